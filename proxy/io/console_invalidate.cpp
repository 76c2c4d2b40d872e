// INVALIDATE TABLE, RULE and TENANT. Names of tables are those of the catalogs as they were last
// read.
#include <algorithm>
#include <utility>

#include "proxy/io/console.h"
#include "proxy/io/server.h"

namespace pgsidecar::io {
namespace {

using policy::relation;

// Entries made of a table depend on its partitions and children, too, and those made of a partition
// on the partition alone: so all below it are outdated with it.
void bump_with_children(core::database& where, const policy::catalog& known, const relation& r,
                        unsigned depth = 0) {
    constexpr unsigned deepest = 64;
    where.table(r.id).bump();
    if (depth == deepest) return;
    for (const auto id : r.children)
        if (const auto* child = known.find(id)) bump_with_children(where, known, *child, depth + 1);
}

bool is_named(const relation& r, std::string_view name) {
    const auto dot = name.find('.');
    if (r.name == name) return true;
    return dot != std::string_view::npos && r.schema == name.substr(0, dot) &&
           r.name == name.substr(dot + 1);
}

}  // namespace

ops::console_answer console::invalidate_table(const ops::console_command& c) {
    ops::console_answer out;
    bool found = false;
    const auto whole = [&](core::database& d, std::string_view why) {
        d.whole().bump();
        out.notices.push_back(std::string{why} + ": every entry of database \"" + d.name() +
                              "\" is invalidated");
        found = true;
    };
    server_.databases().for_each([&](core::database& d) {
        if (!c.database.empty() && d.name() != c.database) return;
        const auto known = d.latest_catalog();
        if (!known) return whole(d, "the tables of the database are not known now");
        for (const auto& r : known->relations()) {
            if (!is_named(r, c.name)) continue;
            if (r.kind == 'v') return whole(d, "a view has no rows of its own");
            bump_with_children(d, *known, r);
            found = true;
        }
    });
    if (!found)
        out.error = {"42P01", "there is no such table in a database that is in use", {}, {}};
    return out;
}

ops::console_answer console::invalidate_rule(const std::string& name) {
    ops::console_answer out;
    const auto& rules = server_.settings().cache.rules.rules;
    if (std::ranges::find(rules, name, &policy::cache_rule::name) == rules.end())
        out.error = {"42704", "there is no such rule", {}, {}};
    else
        server_.versions().rule(name).bump();
    return out;
}

// Whether anybody knows the tenant or not: it may have been forgotten, and its entries have not.
ops::console_answer console::invalidate_tenant(const std::string& name) {
    ops::console_answer out;
    const auto known = server_.tenants()->known();
    if (std::ranges::none_of(known, [&](const auto& t) { return t->name == name; }))
        out.notices.emplace_back("no tenant of that name is known now");
    server_.versions().bump_tenant(name);
    return out;
}

}  // namespace pgsidecar::io

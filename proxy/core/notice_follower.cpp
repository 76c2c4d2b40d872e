#include "proxy/core/notice_follower.h"

#include <set>
#include <vector>

#include "proxy/core/json_notice.h"

namespace pgsidecar::core {
namespace {

// The table, and all that share rows with it: a statement's trigger fires for the table that the
// statement names, whichever of its partitions or children the rows are in.
std::set<policy::oid> family_of(const policy::catalog& catalog, const policy::relation& table) {
    std::set<policy::oid> out{table.id};
    std::vector<const policy::relation*> open{&table};
    const auto go = [&](const std::vector<policy::oid>& ids) {
        for (const auto id : ids) {
            const auto* next = catalog.find(id);
            if (next != nullptr && out.insert(id).second) open.push_back(next);
        }
    };
    while (!open.empty()) {
        const auto& at = *open.back();
        open.pop_back();
        go(at.parents);
        go(at.children);
    }
    return out;
}

}  // namespace

void notice_follower::on_message(std::string_view text) {
    const auto said = read_notice(text);
    if (said && said->of_rows) return written(said->schema, said->table);
    definition_changed();
}

void notice_follower::written(std::string_view schema, std::string_view table) {
    const auto catalog = where_.latest_catalog();
    const auto* named = catalog ? catalog->find(schema, table) : nullptr;
    if (named == nullptr) return where_.whole().bump();
    for (const auto id : family_of(*catalog, *named)) where_.table(id).bump();
}

void notice_follower::definition_changed() {
    where_.begin_schema_change();
    where_.end_schema_change();
}

}  // namespace pgsidecar::core

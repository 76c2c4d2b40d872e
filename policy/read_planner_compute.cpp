// The second half of plan_read(): everything in a text that computes.
#include <algorithm>

#include "policy/function_body.h"
#include "policy/pattern.h"
#include "policy/read_planner.h"
#include "policy/volatility.h"

namespace pgsidecar::policy {
namespace {

bool vouches(const cache_rule& rule, std::string_view schema, std::string_view name) {
    return std::ranges::any_of(rule.functions, [&](const auto& pattern) {
        return matches_function(pattern, schema, name);
    });
}

bool may_be_builtin(const qualified_name& name) noexcept {
    return name.schema.empty() || name.schema == "pg_catalog";
}

bool is_datetime_type(std::string_view name) noexcept {
    return name == "date" || name.starts_with("time") || name.ends_with("range");
}

}  // namespace

void read_planner::compute_all(progress& p, const cache_rule& rule) {
    while (!failed_ && p.computed < p.parcels.size()) {
        const bool of_policy = p.parcels[p.computed].of_policy;
        compute(p, p.computed++, rule);
        if (failed_ && of_policy) plan_.why = reason::row_level_security;
        if (!failed_) follow_all(p);
    }
}

void read_planner::compute(progress& p, std::size_t at, const cache_rule& rule) {
    const parcel in = p.parcels[at];  // by value: opening parcels moves them
    for (const auto& f : in.facts->functions) {
        call(p, in, f, rule);
        if (failed_) return;
    }
    // x.name is a column, unless there is none and a function of that name takes x's row. Of
    // pg_catalog's own, those that take any row read neither clock nor table.
    for (const auto& name : in.facts->field_names) {
        for (const auto* f : in.path->find_functions({{}, name})) {
            if (f->takes_row && !failed_) user_call(p, in, *f, rule);
        }
        if (failed_) return;
    }
    for (const auto& name : in.facts->operators) {
        check_operator(p, in, name, rule);
        if (failed_) return;
    }
    for (const auto& name : in.facts->cast_types) {
        check_cast(in, name);
        if (failed_) return;
    }
    for (const auto& column : in.facts->datetime_cast_columns) {
        if (!snapshot_.is_datetime_column(column, in.relations)) {
            return reject(reason::unproven_cast, column);
        }
    }
}

void read_planner::call(progress& p, const parcel& in, const function_call& f,
                        const cache_rule& rule) {
    const bool builtin =
        may_be_builtin(f.name) && snapshot_.builtin_function(f.name.name).has_value();
    const auto candidates = in.path->find_functions(f.name);
    if (!builtin && candidates.empty()) return reject(reason::unknown_function, f.name.name);
    if (builtin) builtin_call(f, rule);
    for (const auto* candidate : candidates) {
        if (failed_) return;
        user_call(p, in, *candidate, rule);
    }
}

void read_planner::builtin_call(const function_call& f, const cache_rule& rule) {
    const auto& name = f.name.name;
    if (vouches(rule, "pg_catalog", name)) return;
    if (reads_clock(name, f.arguments)) return reject(reason::clock_read, name);
    switch (*snapshot_.builtin_function(name)) {
        case volatility::immutable:
            return;
        case volatility::stable:
            if (!depends_on_key_only(name)) reject(reason::stable_function, name);
            return;
        case volatility::volatile_:
            return reject(reason::volatile_function, name);
    }
}

void read_planner::user_call(progress& p, const parcel& in, const function_info& f,
                             const cache_rule& rule) {
    if (vouches(rule, f.schema, f.name) || !p.seen.emplace(&f, in.running).second) return;
    if (f.kind == volatility::volatile_) return reject(reason::volatile_function, f.name);
    // A default stands in for an argument left out: now() there is read by every such call.
    if (f.defaults != nullptr) {
        open(p,
             {f.defaults.get(), &paths_.printed(), in.running, nullptr, in.of_policy, false, {}});
    }
    const bool readable = f.body != nullptr && !f.body->dynamic_sql && !f.body->opaque;
    const auto& path = paths_.inside(f, *in.running);
    // Its author promised that nothing but the arguments matters. Tables behind it are followed
    // when they can be seen: a promise about "reference data" is broken by the first write to it.
    if (f.kind == volatility::immutable) {
        if (!readable) return;
        for (const auto& name : f.body->reads) {
            for (const auto* r : path.find(name)) {
                if (!is_system_schema(r->schema)) p.tables.push_back(r->id);
            }
        }
        return;
    }
    if (f.aggregate || !readable || f.body->text.kind != statement_kind::select) {
        return reject(reason::stable_function, f.name);
    }
    open(p, {&f.body->text, &path, &path, nullptr, in.of_policy, true, {}});
}

void read_planner::check_operator(progress& p, const parcel& in, const qualified_name& name,
                                  const cache_rule& rule) {
    // pg_catalog's stable operators compare and shift timestamps by TimeZone, print by DateStyle,
    // or search by default_text_search_config: all in the key. None is volatile, but let it say so.
    bool known = false;
    if (may_be_builtin(name)) {
        const auto kind = snapshot_.builtin_operator(name.name);
        known = kind.has_value();
        if (kind == volatility::volatile_) return reject(reason::volatile_operator, name.name);
    }
    for (const auto& o : snapshot_.operators_named(name.name)) {
        if (!in.path->reaches(name, o.schema)) continue;
        known = true;
        if (o.kind == volatility::immutable) continue;
        const auto* f = snapshot_.find_function(o.function);
        if (f == nullptr) return reject(reason::volatile_operator, name.name);
        user_call(p, in, *f, rule);
        if (failed_) return reject(reason::volatile_operator, name.name);
    }
    if (!known) reject(reason::volatile_operator, name.name);
}

void read_planner::check_cast(const parcel& in, const qualified_name& name) {
    if (may_be_builtin(name) && is_catalog_type(name.name)) {
        return reject(reason::stable_function, name.name);
    }
    // In a function's body a parameter may be any column's text.
    if (in.of_function && in.facts->parameter_count > 0 && is_datetime_type(name.name)) {
        return reject(reason::unproven_cast, name.name);
    }
    // A row type reads text by the input functions of all its columns.
    if (name.schema != "pg_catalog" && !in.path->find(name).empty()) {
        return reject(reason::volatile_cast, name.name);
    }
    for (const auto& t : snapshot_.types_named(name.name)) {
        const bool meant =
            t.schema == "pg_catalog" ? may_be_builtin(name) : in.path->reaches(name, t.schema);
        if (meant && t.kind != volatility::immutable) {
            return reject(reason::volatile_cast, name.name);
        }
    }
}

}  // namespace pgsidecar::policy

#include "policy/write_planner.h"

#include <algorithm>
#include <string>

#include "policy/function_body.h"
#include "policy/volatility.h"

namespace pgsidecar::policy {
namespace {

bool is_temporary_schema(std::string_view schema) noexcept {
    return schema == "pg_temp" || schema.starts_with("pg_temp_");
}

}  // namespace

write_planner::write_planner(const catalog& snapshot, const session_scope& scope)
    : snapshot_{snapshot}, scope_{scope}, paths_{snapshot, scope} {}

write_plan write_planner::plan(const statement_facts& facts) {
    statement(facts);
    close();
    plan_.tables.assign(changed_.begin(), changed_.end());
    plan_.reads_only = !other_change_ && !plan_.whole_database && !plan_.whole_cluster &&
                       !plan_.schema_changed && !plan_.taints_session && !plan_.creates_temporary &&
                       plan_.tables.empty() && plan_.settings.empty();
    return std::move(plan_);
}

// Definitions included: migration scripts wrap theirs in DO blocks.
void write_planner::anything() {
    plan_.whole_database = plan_.schema_changed = plan_.taints_session = true;
}

void write_planner::statement(const statement_facts& facts) {
    switch (facts.kind) {
        case statement_kind::empty:
        case statement_kind::begin:
        case statement_kind::commit:
        case statement_kind::rollback:
        case statement_kind::savepoint:
        case statement_kind::release:
        case statement_kind::rollback_to:
        case statement_kind::show:
        case statement_kind::explain:
        case statement_kind::prepare:
        case statement_kind::deallocate:
        case statement_kind::fetch:
        case statement_kind::close_cursor:
        case statement_kind::listen:
        case statement_kind::unlisten:
        case statement_kind::notify:
        case statement_kind::lock:
        case statement_kind::discard_other:
            return;
        case statement_kind::prepare_transaction:
        case statement_kind::discard_all:
        case statement_kind::discard_temp:
            other_change_ = true;
            return;

        case statement_kind::select:
            if (facts.writes_into) return definition(facts);
            [[fallthrough]];
        case statement_kind::copy_to:
            return data_change(facts, op_any);
        case statement_kind::insert:
            // ON CONFLICT DO UPDATE does not show in the facts.
            return data_change(facts, facts.modifying_cte ? op_any : op_insert | op_update);
        case statement_kind::copy_from:
            return data_change(facts, op_insert);
        case statement_kind::update:
            return data_change(facts, facts.modifying_cte ? op_any : op_update);
        case statement_kind::delete_:
            return data_change(facts, facts.modifying_cte ? op_any : op_delete);
        case statement_kind::truncate:
            return data_change(facts, op_truncate);
        case statement_kind::merge:
        case statement_kind::refresh:
        case statement_kind::call:
            return data_change(facts, op_any);

        case statement_kind::explain_analyze:
        case statement_kind::declare_cursor:
            if (facts.inner == nullptr) return anything();
            return statement(*facts.inner);
        case statement_kind::set:
        case statement_kind::reset:
            other_change_ = true;
            return settings(facts);

        case statement_kind::commit_prepared:
        case statement_kind::rollback_prepared:
            plan_.whole_database = true;
            return;
        case statement_kind::ddl:
            return definition(facts);
        case statement_kind::maintenance:
            plan_.whole_database = true;
            return;
        case statement_kind::create_database:
        case statement_kind::drop_database:
        case statement_kind::alter_database:
        case statement_kind::role:
        case statement_kind::privilege:
        case statement_kind::alter_system:
            plan_.whole_cluster = plan_.whole_database = plan_.schema_changed = true;
            return;
        case statement_kind::execute:
            other_change_ = true;
            return data_change(facts, op_any);
        case statement_kind::do_block:
            return anything();
        case statement_kind::other:
            break;
    }
    plan_.whole_cluster = plan_.schema_changed = true;
    anything();
}

void write_planner::data_change(const statement_facts& facts, unsigned operations) {
    const auto& session = paths_.session();
    for (const auto& name : facts.writes) {
        if (is_own_temporary(name)) {
            other_change_ = true;
        } else {
            write(name, session, session, operations);
        }
    }
    settings(facts);
    computes(facts, session, session);
}

// A temporary table of this session is no business of any cached answer, unless it has triggers or
// rules, and giving it those taints the session: see definition().
bool write_planner::is_own_temporary(const qualified_name& name) const {
    if (!scope_.temporary_objects || scope_.tainted) return false;
    if (is_temporary_schema(name.schema)) return true;
    return name.schema.empty() && paths_.session().known() && paths_.session().find(name).empty();
}

void write_planner::definition(const statement_facts& facts) {
    const auto& session = paths_.session();
    settings(facts);
    computes(facts, session, session);
    if (facts.temporary_object) plan_.creates_temporary = true;
    const auto names_temporary = [](const qualified_name& name) {
        return is_temporary_schema(name.schema);
    };
    // CREATE TEMPORARY of one thing, and nothing but its own persistence says that it is temporary.
    if (facts.temporary_object && facts.writes.size() == 1 && facts.writes.front().schema.empty() &&
        std::ranges::none_of(facts.reads, names_temporary)) {
        return;
    }
    plan_.whole_database = plan_.schema_changed = true;
    // A trigger, perhaps, or a parent, for a table that no catalog shows.
    const bool hidden = std::ranges::any_of(facts.writes, [&](const qualified_name& name) {
        return names_temporary(name) || is_own_temporary(name);
    });
    if (hidden) plan_.taints_session = true;
}

void write_planner::settings(const statement_facts& facts) {
    plan_.settings.insert(plan_.settings.end(), facts.settings.begin(), facts.settings.end());
    // current_setting() of an unknown name only reads.
    const bool set_config = std::ranges::any_of(
        facts.functions, [](const function_call& f) { return f.name.name == "set_config"; });
    if (!set_config) return;
    other_change_ = true;
    if (facts.opaque_setting && !facts.bound_settings_suffice) plan_.taints_session = true;
}

// Everything a text runs besides the tables it writes: functions, operators, casts, views,
// policies.
void write_planner::computes(const statement_facts& facts, const name_path& path,
                             const name_path& running) {
    for (const auto& f : facts.functions) call(f, path, running);
    computes_unnamed(facts, path, running);
    reads(facts, path, running);
}

// Functions that run without being called by name.
void write_planner::computes_unnamed(const statement_facts& facts, const name_path& path,
                                     const name_path& running) {
    for (const auto& name : facts.field_names) {
        for (const auto* f : path.find_functions({{}, name})) {
            if (f->takes_row) run(*f, running);
        }
    }
    for (const auto& name : facts.operators) {
        for (const auto& o : snapshot_.operators_named(name.name)) {
            const bool meant = o.kind != volatility::immutable && path.reaches(name, o.schema);
            if (meant) run(o.function, running);
        }
    }
    for (const auto& name : facts.cast_types) {
        for (const auto& t : snapshot_.types_named(name.name)) {
            if (t.schema != "pg_catalog" && !path.reaches(name, t.schema)) continue;
            for (const oid f : t.functions) run(f, running);
        }
    }
    // A plain read assigns to nothing; whatever else runs may.
    const auto is_users = [&](const function_call& f) {
        return !snapshot_.functions_named(f.name.name).empty();
    };
    if (snapshot_.implicit_cast_hazard() || facts.kind != statement_kind::select ||
        std::ranges::any_of(facts.functions, is_users))
        for (const oid f : snapshot_.implicit_cast_functions()) run(f, running);
}

// By an unknown path any relation of that name.
std::vector<const relation*> write_planner::meant(const qualified_name& name,
                                                  const name_path& path) const {
    if (path.known() || !name.schema.empty()) return path.find(name);
    std::vector<const relation*> all;
    for (const auto& r : snapshot_.relations())
        if (r.name == name.name) all.push_back(&r);
    return all;
}

void write_planner::reads(const statement_facts& facts, const name_path& path,
                          const name_path& running) {
    const auto open = [&](const statement_facts* inner) {
        if (inner == nullptr || !seen_.emplace(inner, &running).second) return;
        computes(*inner, paths_.printed(), running);
    };
    for (const auto& name : facts.reads) {
        for (const auto* r : meant(name, path)) {
            if (is_system_schema(r->schema)) continue;
            // A text that the parser refused may call anything.
            if (r->unreadable && (r->kind == 'v' || r->row_security)) anything();
            if (r->kind == 'v') open(r->view.get());
            if (!r->row_security) continue;
            for (const auto& policy : r->policies) open(policy.facts.get());
        }
    }
}

void write_planner::call(const function_call& f, const name_path& path, const name_path& running) {
    const bool builtin = (f.name.schema.empty() || f.name.schema == "pg_catalog") &&
                         snapshot_.builtin_function(f.name.name).has_value();
    const auto candidates = path.find_functions(f.name);
    if (builtin) builtin_call(f.name.name);
    if (!builtin && candidates.empty()) return anything();
    for (const auto* candidate : candidates) run(*candidate, running);
}

void write_planner::builtin_call(const std::string& name) {
    // PostgreSQL lets a function that is not volatile write nothing.
    if (snapshot_.builtin_function(name) != volatility::volatile_) return;
    plan_.locks_session |= locks_for_session(name);
    plan_.seeds_session |= seeds_session(name);
    plan_.reads_own_sequences |= reads_own_sequences(name);
    switch (effect_of_builtin(name)) {
        case builtin_effect::none:
            return;
        case builtin_effect::settings:
        case builtin_effect::harmless:
            other_change_ = true;
            return;
        case builtin_effect::reload:
            plan_.whole_database = plan_.schema_changed = true;
            return;
        case builtin_effect::unknown:
            return anything();
    }
}

void write_planner::run(oid function, const name_path& running) {
    // Not in the snapshot: one of pg_catalog's own (triggers of that kind are not even loaded), or
    // made since.
    if (const auto* f = snapshot_.find_function(function)) {
        run(*f, running);
    } else if (function >= first_user_oid) {
        anything();
    }
}

bool write_planner::calls_user_functions(const function_effects& body) const {
    return std::ranges::any_of(body.functions, [this](const function_call& call) {
        return !snapshot_.functions_named(call.name.name).empty() ||
               !snapshot_.builtin_function(call.name.name);
    });
}

void write_planner::run(const function_info& f, const name_path& running) {
    if (f.harmless || !seen_.emplace(&f, &running).second) return;
    for (const oid part : f.parts) run(part, running);
    if (f.defaults != nullptr) computes(*f.defaults, paths_.printed(), running);
    if (f.aggregate) return;
    const bool promises = f.kind != volatility::volatile_;
    if (f.body == nullptr) {
        if (!promises) anything();
        return;
    }
    if (!promises && (f.body->dynamic_sql || f.body->beyond_settings)) return anything();
    if (!promises && f.body->opaque) {
        // What it sets may be the search_path by which the rest of it resolves.
        plan_.taints_session = true;
        if (!f.body->writes.empty() || calls_user_functions(*f.body)) plan_.whole_database = true;
    }
    // Even a function that may not write can call one that does: PostgreSQL checks statement by
    // statement.
    const auto& path = paths_.inside(f, running);
    if (!promises) {
        for (const auto& name : f.body->writes) write(name, path, path, op_any);
    }
    computes(f.body->text, path, path);
}

}  // namespace pgsidecar::policy

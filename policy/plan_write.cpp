#include "policy/plan_write.h"

#include <algorithm>

#include "policy/volatility.h"
#include "policy/write_planner.h"

namespace pgsidecar::policy {
namespace {

// Without a catalog a name says nothing, except that of a well-known function of pg_catalog.
bool known_to_write_nothing(const function_call& f) {
    if (!f.name.schema.empty() && f.name.schema != "pg_catalog") return false;
    return is_well_known_reader(f.name.name) ||
           effect_of_builtin(f.name.name) == builtin_effect::none ||
           effect_of_builtin(f.name.name) == builtin_effect::harmless ||
           effect_of_builtin(f.name.name) == builtin_effect::settings;
}

bool changes_data(statement_kind kind) noexcept {
    switch (kind) {
        case statement_kind::select:
        case statement_kind::insert:
        case statement_kind::update:
        case statement_kind::delete_:
        case statement_kind::merge:
        case statement_kind::copy_from:
        case statement_kind::copy_to:
        case statement_kind::truncate:
        case statement_kind::refresh:
        case statement_kind::call:
        case statement_kind::execute:
            return true;
        default:
            return false;
    }
}

write_plan plan_blind(const statement_facts& facts, const session_scope& scope) {
    const bool inner = facts.kind == statement_kind::explain_analyze ||
                       facts.kind == statement_kind::declare_cursor;
    if (inner && facts.inner != nullptr) return plan_blind(*facts.inner, scope);
    const bool defines = facts.kind == statement_kind::ddl || facts.writes_into;
    if (!changes_data(facts.kind) && !defines) {
        // The kind alone decides.
        static const catalog nothing;
        return write_planner{nothing, scope}.plan(facts);
    }
    write_plan plan;
    plan.settings = facts.settings;
    const bool executes = facts.kind == statement_kind::execute;
    const bool reads =
        executes || facts.kind == statement_kind::select || facts.kind == statement_kind::copy_to;
    for (const auto& f : facts.functions) {
        plan.locks_session |= locks_for_session(f.name.name);
        plan.seeds_session |= seeds_session(f.name.name);
        plan.reads_own_sequences |= reads_own_sequences(f.name.name);
    }
    const bool calls = !std::ranges::all_of(facts.functions, known_to_write_nothing);
    plan.whole_database = !reads || defines || !facts.writes.empty() || calls;
    plan.schema_changed = defines || calls;
    plan.creates_temporary = defines && facts.temporary_object;
    plan.taints_session = calls || (facts.opaque_setting && !facts.bound_settings_suffice);
    plan.reads_only = !executes && !plan.whole_database && !plan.taints_session &&
                      plan.settings.empty() && facts.bound_settings.empty();
    return plan;
}

}  // namespace

write_plan plan_write(const statement_facts& statement, const catalog* snapshot,
                      const session_scope& scope) {
    if (snapshot == nullptr) return plan_blind(statement, scope);
    return write_planner{*snapshot, scope}.plan(statement);
}

}  // namespace pgsidecar::policy

#include "policy/plan_read.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "policy/analyze_words.h"
#include "policy/pattern.h"
#include "policy/read_planner.h"

namespace pgsidecar::policy {
namespace {

constexpr std::size_t max_parcels = 4096;

// Whether what a view reads is allowed because a rule names the view, or one around it. Views
// cannot be circular; the memo keeps diamonds of views linear.
class coverage {
  public:
    template <typename Uses>
    coverage(const Uses& uses, const cache_rule& rule) : rule_{rule} {
        for (const auto& u : uses) {
            if (u.used->kind == 'v') through_[u.used].push_back(u.view);
        }
    }

    [[nodiscard]] bool named(const relation& r) const {
        return std::ranges::any_of(rule_.tables, [&](const auto& pattern) {
            return matches_table(pattern, r.schema, r.name);
        });
    }

    [[nodiscard]] bool view(const relation* v) {
        if (v == nullptr) return false;
        if (const auto known = memo_.find(v); known != memo_.end()) return known->second;
        bool covered = named(*v);
        if (!covered) {
            const auto& around = through_[v];
            covered = !around.empty() && std::ranges::all_of(around, [this](const auto* outer) {
                return view(outer);
            });
        }
        return memo_[v] = covered;
    }

  private:
    const cache_rule& rule_;
    std::unordered_map<const relation*, std::vector<const relation*>> through_;
    std::unordered_map<const relation*, bool> memo_;
};

reason reason_of_unknown(const qualified_name& name) noexcept {
    if (is_system_schema(name.schema)) return reason::catalog_table;
    return name.schema.starts_with("pg_temp") ? reason::temporary_table : reason::unknown_table;
}

}  // namespace

read_planner::read_planner(const catalog& snapshot, const session_scope& scope,
                           const cache_rules& rules)
    : snapshot_{snapshot}, scope_{scope}, rules_{rules}, paths_{snapshot, scope} {}

void read_planner::reject(reason why, std::string_view culprit) {
    plan_.why = why;
    plan_.culprit = culprit;
    failed_ = true;
}

// What a text shows by itself. The order is the order in which reasons are given.
void read_planner::shape(const statement_facts& facts) {
    if (facts.locks_rows) return reject(reason::locking_clause, {});
    if (facts.writes_into) return reject(reason::select_into, {});
    if (facts.modifying_cte || !facts.writes.empty()) return reject(reason::modifying_cte, {});
    if (facts.tablesample) return reject(reason::tablesample, {});
    if (facts.system_column) return reject(reason::system_column, {});
    if (facts.clock_literal || facts.clock_function) return reject(reason::clock_read, {});
    if (facts.temporary_object) return reject(reason::temporary_table, {});
    if (!facts.settings.empty() || !facts.bound_settings.empty()) {
        return reject(reason::volatile_function, "set_config");
    }
    if (facts.opaque_setting) return reject(reason::opaque_setting, {});
    for (const auto& setting : facts.current_settings) {
        const bool declared = std::ranges::any_of(
            rules_.key_settings, [&](const auto& key) { return same_word(key, setting); });
        if (!declared) {
            return reject(reason::undeclared_setting, setting);
        }
        if (std::ranges::find(plan_.settings, setting) == plan_.settings.end())
            plan_.settings.push_back(setting);
    }
    if (facts.unproven_datetime_cast) return reject(reason::unproven_cast, {});
}

void read_planner::open(progress& p, parcel content) {
    if (p.parcels.size() >= max_parcels) return reject(reason::unsupported_relation, {});
    p.parcels.push_back(std::move(content));
}

void read_planner::follow_all(progress& p) {
    while (!failed_ && p.followed < p.parcels.size()) {
        const bool of_policy = p.parcels[p.followed].of_policy;
        follow(p, p.followed++);
        if (failed_ && of_policy) plan_.why = reason::row_level_security;
    }
}

void read_planner::follow(progress& p, std::size_t at) {
    // Opening parcels moves them, so nothing here keeps a reference to one.
    const auto* facts = p.parcels[at].facts;
    const auto* path = p.parcels[at].path;
    const auto* running = p.parcels[at].running;
    const auto* view = p.parcels[at].view;
    shape(*facts);
    for (const auto& name : facts->reads) {
        if (failed_) return;
        const auto found = path->find(name);
        if (found.empty()) return reject(reason_of_unknown(name), name.name);
        for (const auto* r : found) {
            p.parcels[at].relations.push_back(r->id);
            p.uses.push_back({r, view});
            reach(p, *r, *running);
            if (failed_) return;
        }
    }
}

void read_planner::reach(progress& p, const relation& r, const name_path& running) {
    if (!p.seen.emplace(&r, &running).second) return;
    if (is_system_schema(r.schema)) return reject(reason::catalog_table, r.name);
    // A temporary table can stand before any unqualified name, also in a function's body, and can
    // be the child of an ordinary one.
    if (scope_.temporary_objects) return reject(reason::temporary_table, r.name);
    switch (r.kind) {
        case 'v':
            if (r.view == nullptr) return reject(reason::unsupported_relation, r.name);
            return open(p, {r.view.get(), &paths_.printed(), &running, &r, false, false, {}});
        case 'm':
            plan_.unseen_writes = true;
            p.tables.push_back(r.id);
            if (r.volatile_type) reject(reason::volatile_cast, r.name);
            return;
        case 'r':
        case 'p':
        case 'f':
            return reach_table(p, r, running);
        default:
            return reject(reason::unsupported_relation, r.name);
    }
}

// The table and, since reading a parent reads them, all partitions and children below it.
void read_planner::reach_table(progress& p, const relation& r, const name_path& running) {
    std::vector<const relation*> pending{&r};
    std::unordered_set<const relation*> visited;
    while (!pending.empty()) {
        const auto& table = *pending.back();
        pending.pop_back();
        if (!visited.insert(&table).second) continue;
        if (table.kind == 'f') return reject(reason::foreign_table, table.name);
        if (table.unlogged) return reject(reason::unlogged_table, table.name);
        if (table.volatile_type) return reject(reason::volatile_cast, table.name);
        p.tables.push_back(table.id);
        for (const oid id : table.children) {
            if (const auto* child = snapshot_.find(id)) pending.push_back(child);
        }
    }
    if (r.row_security) reach_policies(p, r, running);
}

void read_planner::reach_policies(progress& p, const relation& r, const name_path& running) {
    if (r.unreadable) return reject(reason::row_level_security, r.name);
    for (const auto& policy : r.policies) {
        if (policy.command != 'r' && policy.command != '*') continue;
        // Its bare columns are the table's own.
        open(p, {policy.facts.get(), &paths_.printed(), &running, nullptr, true, false, {r.id}});
    }
}

const relation* read_planner::uncovered(const progress& p, const cache_rule& rule) const {
    coverage allowed{p.uses, rule};
    for (const auto& u : p.uses) {
        if (u.used->kind != 'v' && !allowed.named(*u.used) && !allowed.view(u.view)) return u.used;
    }
    return nullptr;
}

void read_planner::finish(progress& p, int rule) {
    plan_.why = reason::miss;
    plan_.culprit.clear();
    plan_.rule = rule;
    std::ranges::sort(p.tables);
    p.tables.erase(std::unique(p.tables.begin(), p.tables.end()), p.tables.end());
    plan_.tables = std::move(p.tables);
}

read_plan read_planner::plan(const statement_facts& statement) {
    if (statement.kind != statement_kind::select) return plan_;
    if (scope_.tainted) return {reason::tainted_session, {}, -1, false, {}};
    if (scope_.serializable) return {reason::serializable, {}, -1, false, {}};

    progress start;
    open(start, {&statement, &paths_.session(), &paths_.session(), nullptr, false, false, {}});
    follow_all(start);
    if (!failed_ && snapshot_.implicit_cast_hazard()) reject(reason::volatile_cast, {});
    if (failed_) return std::move(plan_);

    const relation* culprit = nullptr;
    for (std::size_t i = 0; i < rules_.rules.size(); ++i) {
        const auto& rule = rules_.rules[i];
        progress p = start;
        if (const auto* outside = uncovered(p, rule)) {
            if (culprit == nullptr) culprit = outside;
            continue;
        }
        if (rule.mode == rule_mode::off && !p.tables.empty()) {
            return {reason::rule_off, {}, static_cast<int>(i), false, {}};
        }
        compute_all(p, rule);
        if (failed_) return std::move(plan_);
        // Bodies of functions may have named more tables.
        if (const auto* outside = uncovered(p, rule)) {
            if (culprit == nullptr) culprit = outside;
            continue;
        }
        if (p.tables.empty()) break;
        if (rule.mode == rule_mode::off) {
            return {reason::rule_off, {}, static_cast<int>(i), false, {}};
        }
        finish(p, static_cast<int>(i));
        return std::move(plan_);
    }
    const bool tables = !start.tables.empty() || culprit != nullptr;
    reject(tables ? reason::no_rule : reason::no_table,
           culprit == nullptr ? std::string_view{} : std::string_view{culprit->name});
    return std::move(plan_);
}

read_plan plan_read(const statement_facts& statement, const catalog& snapshot,
                    const session_scope& scope, const cache_rules& rules) {
    return read_planner{snapshot, scope, rules}.plan(statement);
}

unlimited_select unlimited_by_rule(const statement_facts& statement, const catalog& snapshot,
                                   const session_scope& scope, const cache_rules& rules) {
    const auto asks = [](const cache_rule& r) { return r.unlimited != unlimited_select::allow; };
    if (std::ranges::none_of(rules.rules, asks)) return unlimited_select::allow;
    const name_path path{snapshot, scope.search_path, scope.current_role};
    std::vector<const relation*> named;
    for (const auto& name : statement.reads)
        for (const auto* r : path.find(name)) named.push_back(r);
    if (named.empty()) return unlimited_select::allow;
    for (const auto& rule : rules.rules) {
        const auto allowed = [&](const relation* r) {
            return std::ranges::any_of(rule.tables, [&](const auto& pattern) {
                return matches_table(pattern, r->schema, r->name);
            });
        };
        if (std::ranges::all_of(named, allowed)) return rule.unlimited;
    }
    return unlimited_select::allow;
}

}  // namespace pgsidecar::policy

// May this statement be answered from the cache, and on which tables does the answer depend? Pure:
// depends on nothing but its arguments, so the caller may remember a plan for as long as the
// catalog, the rules and the scope are the same. Whether the session is idle, and whether the
// statement came alone, is the caller's to know.
#pragma once
#include <string>
#include <vector>

#include "policy/catalog.h"
#include "policy/facts.h"
#include "policy/reason.h"
#include "policy/rules.h"
#include "policy/scope.h"

namespace pgsidecar::policy {

struct read_plan {
    reason why = reason::not_a_select;  // reason::miss = may be cached
    // Every relation whose change can change the answer: tables, partitions and inheritance
    // children, what views, policies and understood functions read. Object ids, ascending, unique.
    std::vector<oid> tables;
    int rule = -1;               // index into cache_rules::rules; set for miss and rule_off
    bool unseen_writes = false;  // one of them (a materialised view) changes without a WAL record
                                 // of its own: only proxied writes to it are seen
    std::string culprit;         // the name that decided against, an identifier, never a literal
    std::vector<std::string> settings{};  // what current_setting() is asked for: lower case, unique
};

[[nodiscard]] read_plan plan_read(const statement_facts& statement, const catalog& snapshot,
                                  const session_scope& scope, const cache_rules& rules);

// What the first rule says that allows every table which the statement itself names, whether it may
// be cached or not.
[[nodiscard]] unlimited_select unlimited_by_rule(const statement_facts& statement,
                                                 const catalog& snapshot,
                                                 const session_scope& scope,
                                                 const cache_rules& rules);

}  // namespace pgsidecar::policy

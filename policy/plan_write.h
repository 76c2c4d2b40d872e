// What may a statement change: tables (with everything it reaches unnamed: cascades, partitions,
// rules, triggers, functions), the schema, the session? Errs towards more. Pure, as plan_read().
// Transaction control is the caller's: begin, commit, rollback, savepoints write nothing here.
// EXECUTE is planned with the facts of the statement it executes. What set_config() takes from
// bound values (statement_facts::bound_settings) is for the caller to add.
#pragma once
#include <vector>

#include "policy/catalog.h"
#include "policy/facts.h"
#include "policy/scope.h"

namespace pgsidecar::policy {

struct write_plan {
    bool reads_only = true;       // writes nothing and changes no session state that the key holds
    bool whole_database = false;  // any table of this database may have changed
    bool whole_cluster = false;   // any table of any database, or who may read it
    bool schema_changed = false;  // the catalog must be read again
    bool taints_session = false;  // session state may have changed in ways that cannot be followed
    bool creates_temporary = false;
    bool locks_session = false;        // may take an advisory lock that outlives the transaction
    bool seeds_session = false;        // setseed()
    bool reads_own_sequences = false;  // what nextval() gave to this session before
    std::vector<oid> tables;           // ascending, unique; complete unless whole_database
    std::vector<setting_change> settings;  // in order of execution
};

// snapshot may be null: no catalog has been read yet. An empty search_path is an unknown one: names
// without a schema are then taken to mean whatever has that name anywhere. Of EXECUTE the plan has
// the arguments; what the prepared statement does is to be added by who knows it.
[[nodiscard]] write_plan plan_write(const statement_facts& statement, const catalog* snapshot,
                                    const session_scope& scope);

}  // namespace pgsidecar::policy

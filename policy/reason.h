// Why a statement was or was not answered from the cache: one stable code for each statement,
// counted per tenant and fingerprint. The text forms are part of the interface; do not rename them.
#pragma once
#include <cstdint>
#include <string_view>

namespace pgsidecar::policy {

enum class reason : std::uint8_t {
    hit,
    miss,
    coalesced,  // a hit that waited for another session's identical miss
    stale,      // its ttl was over, and another session was asking anew (stale_while_revalidate)
    stale_if_error,  // in place of the error that no server connection could be had
    disabled,
    not_a_select,
    parse_error,
    too_long,
    multiple_statements,
    multiple_executes,
    in_transaction,
    pipeline_busy,  // an earlier reply is still owed
    row_limit,      // Execute with max-rows
    named_portal,
    unusual_batch,  // a message sequence that is not Parse? Bind Describe? Execute Sync
    locking_clause,
    select_into,
    modifying_cte,
    tablesample,
    clock_read,
    system_column,
    opaque_setting,
    undeclared_setting,
    volatile_function,
    stable_function,
    unknown_function,
    volatile_operator,
    volatile_cast,
    unproven_cast,
    unknown_table,
    no_table,
    catalog_table,
    foreign_table,
    unlogged_table,
    temporary_table,
    unsupported_relation,
    row_level_security,
    no_rule,
    rule_off,
    no_catalog,
    stale_catalog,
    tainted_session,
    serializable,
    write_in_flight,
    unsettled_write,
    too_large,
    replication,
    doubtful_text,      // the server may read it otherwise than we do: its settings say so
    limited,            // refused by a limit of its tenant
    unknown_statement,  // Bind of a statement this session never saw
    shadow,             // its rule only compares
    rollout,            // its rule is not for this tenant yet
    handover,           // another process may serve clients of the same server
    not_watched,        // writes past the proxy to one of its tables would not be seen
    invalidation_lost,  // writes past the proxy are not seen at present, or too late
    count_              // not a reason
};

[[nodiscard]] std::string_view to_string(reason r) noexcept;

}  // namespace pgsidecar::policy

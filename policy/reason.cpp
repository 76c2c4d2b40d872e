#include "policy/reason.h"

#include <array>
#include <cassert>
#include <cstddef>

namespace pgsidecar::policy {
namespace {

// In the order of the enum; the static_assert below counts them.
constexpr auto names = std::to_array<std::string_view>({
    "hit",
    "miss",
    "coalesced",
    "stale",
    "stale_if_error",
    "bypass:disabled",
    "bypass:not_a_select",
    "bypass:parse_error",
    "bypass:too_long",
    "bypass:multiple_statements",
    "bypass:multiple_executes",
    "bypass:in_transaction",
    "bypass:pipeline_busy",
    "bypass:row_limit",
    "bypass:named_portal",
    "bypass:unusual_batch",
    "bypass:locking_clause",
    "bypass:select_into",
    "bypass:modifying_cte",
    "bypass:tablesample",
    "bypass:clock_read",
    "bypass:system_column",
    "bypass:opaque_setting",
    "bypass:undeclared_setting",
    "bypass:volatile_function",
    "bypass:stable_function",
    "bypass:unknown_function",
    "bypass:volatile_operator",
    "bypass:volatile_cast",
    "bypass:unproven_cast",
    "bypass:unknown_table",
    "bypass:no_table",
    "bypass:catalog_table",
    "bypass:foreign_table",
    "bypass:unlogged_table",
    "bypass:temporary_table",
    "bypass:unsupported_relation",
    "bypass:row_level_security",
    "bypass:no_rule",
    "bypass:rule_off",
    "bypass:no_catalog",
    "bypass:stale_catalog",
    "bypass:tainted_session",
    "bypass:serializable",
    "bypass:write_in_flight",
    "bypass:unsettled_write",
    "bypass:too_large",
    "bypass:replication",
    "bypass:doubtful_text",
    "refused:limit",
    "bypass:unknown_statement",
    "bypass:shadow",
    "bypass:rollout",
    "bypass:handover",
    "bypass:not_watched",
    "bypass:invalidation_lost",
});
static_assert(names.size() == static_cast<std::size_t>(reason::count_));

}  // namespace

std::string_view to_string(reason r) noexcept {
    const auto index = static_cast<std::size_t>(r);
    assert(index < names.size());
    return names[index];
}

}  // namespace pgsidecar::policy

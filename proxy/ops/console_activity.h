// The console's tables about what has been counted: STATS and its like, TENANTS, QUERIES.
#pragma once
#include "proxy/ops/console_command.h"
#include "proxy/ops/console_table.h"
#include "proxy/ops/observations.h"
#include "proxy/ops/program_state.h"

namespace pgsidecar::ops {

[[nodiscard]] bool is_counted(console_view v) noexcept;

// `before`: an older copy, for the averages over the time between; null: since the start.
// `usage`: for TENANTS, what those that are known now use of their limits.
[[nodiscard]] console_table counted_table(const console_command& c, const observations& now,
                                          const observations* before,
                                          const std::vector<tenant_usage>& usage = {});

}  // namespace pgsidecar::ops

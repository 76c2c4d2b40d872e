// What the dashboard shows, as one JSON document: totals since the program began, the last hour as
// columns (one number for each sample, null where there is nothing to say), and tables of the top
// statements and tenants. Durations are microseconds, moments are milliseconds of Unix time.
#pragma once
#include <string>

#include "proxy/ops/history.h"
#include "proxy/ops/observations.h"
#include "proxy/ops/program_state.h"

namespace pgsidecar::ops {

inline constexpr std::size_t dashboard_queries = 25;
inline constexpr std::size_t dashboard_tenants = 50;

[[nodiscard]] std::string dashboard_json(const observations& seen, const history& last_hour,
                                         const program_state& state);

}  // namespace pgsidecar::ops

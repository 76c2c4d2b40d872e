// How writes that do not pass through the proxy are seen in one database, for the console, /readyz
// and /metrics.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "proxy/ops/latency.h"
#include "proxy/ops/program_state.h"

namespace pgsidecar::ops {

struct invalidation_status {
    std::string database{};
    std::string_view how = "ttl";  // or wal
    bool up = true;                // what is cached may be served
    bool in_use = true;            // somebody is logged in there
    std::string detail{};          // why by ttl; why it is not up
    latency staleness{};           // from a commit at the server to its invalidation here
};

// "clinic: wal; other: ttl (there is no publication pgsidecar)".
[[nodiscard]] std::string invalidation_text(std::span<const invalidation_status> all);
// Of readiness: failed while the writes of a database in use should be seen and are not.
[[nodiscard]] readiness_check invalidation_check(std::span<const invalidation_status> all);
// Over all databases.
[[nodiscard]] latency staleness_of(std::span<const invalidation_status> all);

}  // namespace pgsidecar::ops

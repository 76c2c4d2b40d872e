// How the program stands beside what it has counted, as values for whoever shows it: is it ready,
// what are its bounds, what do tenants use of theirs. Made anew for each question.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "policy/limits.h"
#include "policy/tenants.h"

namespace pgsidecar::ops {

// One thing that /readyz looks at. absent: there is no such thing here, which hinders nobody.
struct readiness_check {
    enum class state : std::uint8_t { ok, failed, absent };
    std::string name;
    state is = state::ok;
    std::string detail;  // a few words; nothing that is secret
};

struct tenant_usage {
    std::string name;
    std::string tier;
    double rate_used = 0;              // of the bucket of queries: 0 to 1
    std::uint32_t per_minute = 0;      // queries; 0 = no limit
    std::uint32_t burst = 0;           // tokens of a full bucket; with per_minute
    std::uint32_t running = 0;         // requests
    std::uint32_t waiting = 0;         // requests, for a place
    std::uint32_t max_concurrent = 0;  // 0 = no limit
    std::array<std::uint64_t, policy::limit_kinds> met{};

    [[nodiscard]] double share() const noexcept;  // of the limit that is nearest
    // Whole queries that it may ask at once now; meaningful with per_minute.
    [[nodiscard]] std::uint32_t rate_left() const noexcept;
};

// Of every tenant that is known now.
[[nodiscard]] std::vector<tenant_usage> usage_of(const policy::tenant_directory& all,
                                                 policy::rate_limiter::time_point now);

struct program_state {
    std::string version;
    bool optimizations = true;
    std::uint64_t max_memory = 0;  // bytes, of the cache
    std::uint64_t max_clients = 0;
    std::vector<readiness_check> checks;
    std::vector<tenant_usage> tenants;

    [[nodiscard]] bool ready() const noexcept;
};

}  // namespace pgsidecar::ops

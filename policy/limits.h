// What a tier of tenants may use: plain values, built by config, immutable once shared.
// A limit whose mode is off does not exist; `warn` counts and tells the client in a notice.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/rate_limiter.h"

namespace pgsidecar::policy {

enum class enforcement : std::uint8_t { off, warn, enforce };

enum class limit_kind : std::uint8_t {
    query_timeout,
    max_result_rows,
    max_result_bytes,
    queries_per_minute,
    max_concurrent,
    max_concurrent_requests,  // of all tenants
    max_page_size,
    default_page_size,  // of rules that ask for it
    count_
};

// As the configuration spells it.
[[nodiscard]] std::string_view to_string(limit_kind k) noexcept;

struct tier {
    std::string name{};
    std::vector<std::string> members{};  // tenants' names, with * and ?

    std::chrono::milliseconds query_timeout{3000};
    enforcement query_timeout_mode = enforcement::enforce;
    unsigned max_result_rows = 10'000;
    enforcement max_result_rows_mode = enforcement::enforce;
    std::size_t max_result_bytes = std::size_t{64} << 20;  // of its messages on the wire
    enforcement max_result_bytes_mode = enforcement::enforce;
    unsigned queries_per_minute = 120;
    unsigned burst = 0;  // queries at once; 0 = as many as in a minute
    enforcement queries_per_minute_mode = enforcement::enforce;
    unsigned max_concurrent = 32;  // requests that run at a time
    enforcement max_concurrent_mode = enforcement::enforce;
    std::chrono::milliseconds query_wait_timeout{std::chrono::seconds{10}};
    unsigned max_page_size = 1000;  // rows, of a LIMIT
    enforcement max_page_size_mode = enforcement::enforce;
    unsigned default_page_size = 100;  // rows of a SELECT without LIMIT, for rules that cut it

    [[nodiscard]] policy::rate rate() const noexcept {
        return {queries_per_minute, burst == 0 ? queries_per_minute : burst};
    }
};

// The tiers that exist without being configured: "default", from which the others inherit, and
// "premium".
[[nodiscard]] std::vector<tier> shipped_tiers();
// What the shipped "premium" has of its own, put into one that has inherited.
void make_premium(tier& t) noexcept;

}  // namespace pgsidecar::policy

// A token bucket in one number: the moment at which the bucket would be full again if nothing more
// were taken (GCRA, the "virtual scheduling" form of ITU-T I.371, annex A). One for each tenant,
// shared by all workers without a lock; exact whatever the interleaving. Time is passed in and need
// not be the same for all callers.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace pgsidecar::policy {

struct rate {
    std::uint32_t per_minute = 0;  // tokens that come in each minute; 0 = no limit
    std::uint32_t burst = 0;       // tokens that a full bucket holds; at least 1 counts
};

class rate_limiter {
  public:
    using time_point = std::chrono::steady_clock::time_point;

    // Zero: `tokens` were taken. Otherwise none was, and so many are there after that time. More
    // than a full bucket holds are given when it is full, and what comes next waits for longer.
    [[nodiscard]] std::chrono::nanoseconds take(time_point now, const rate& r,
                                                std::uint32_t tokens = 1) noexcept {
        if (r.per_minute == 0 || tokens == 0) return std::chrono::nanoseconds{0};
        const std::int64_t each = minute / r.per_minute;
        const std::int64_t burst = std::max<std::int64_t>(r.burst, 1);
        const std::int64_t wanted = std::min<std::int64_t>(tokens, burst);
        const std::int64_t at = now.time_since_epoch().count();
        auto full_at = full_at_.load(std::memory_order_relaxed);
        while (true) {
            const auto from = std::max(full_at, at);
            const auto missing = from + each * wanted - at - each * burst;
            if (missing > 0) return std::chrono::nanoseconds{missing};
            const auto next = from + each * std::min<std::int64_t>(tokens, most_at_once);
            if (full_at_.compare_exchange_weak(full_at, next, std::memory_order_relaxed))
                return std::chrono::nanoseconds{0};
        }
    }

    // Nothing would change if it were forgotten.
    [[nodiscard]] bool full(time_point now) const noexcept {
        return full_at_.load(std::memory_order_relaxed) <= now.time_since_epoch().count();
    }

    // How much of a full bucket has been taken and has not come back yet: 0, none of it, to 1.
    [[nodiscard]] double used(time_point now, const rate& r) const noexcept {
        if (r.per_minute == 0) return 0;
        const auto owed = full_at_.load(std::memory_order_relaxed) - now.time_since_epoch().count();
        const auto whole = minute / r.per_minute * std::max<std::int64_t>(r.burst, 1);
        return owed <= 0 ? 0.0
                         : std::min(1.0, static_cast<double>(owed) / static_cast<double>(whole));
    }

  private:
    static constexpr std::int64_t most_at_once = 1'000'000;  // so that no product overflows
    static constexpr std::int64_t minute = 60'000'000'000;   // ns
    static_assert(std::is_same_v<time_point::duration, std::chrono::nanoseconds>);
    std::atomic<std::int64_t> full_at_{std::numeric_limits<std::int64_t>::min() / 2};
};

}  // namespace pgsidecar::policy

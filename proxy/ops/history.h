// The last hour, one sample each ten seconds: what changed since the sample before, so that a
// reader adds up neighbours for a coarser view. Bounded; values, no clock.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>

#include "proxy/ops/latency.h"
#include "proxy/ops/observations.h"

namespace pgsidecar::ops {

struct sample {
    std::chrono::system_clock::time_point at{};  // its end
    std::chrono::milliseconds length{0};
    statement_totals statements;  // of all tenants, in that time
    std::uint64_t cache_bytes = 0, cache_entries = 0, clients = 0, servers = 0;  // at its end
};

class history {
  public:
    static constexpr std::chrono::seconds interval{10};
    static constexpr std::size_t most_samples = 360;

    // A copy, newer than the ones before.
    void add(const observations& now);
    [[nodiscard]] const std::deque<sample>& samples() const noexcept { return samples_; }

  private:
    std::deque<sample> samples_;
    statement_totals last_;
    std::chrono::system_clock::time_point last_at_{};
};

}  // namespace pgsidecar::ops

// How long things took, for quantiles that a verdict rests on: exact below 128 us, above it at most
// one part in 128 too high. Takes memory for each different value of that precision, some thousands
// at most, however many are added. (latency.h is coarser and cheaper; workers count with that.)
#pragma once
#include <chrono>
#include <cstdint>
#include <map>

namespace pgsidecar::ops {

class timings {
  public:
    using duration = std::chrono::microseconds;

    void add(duration took);
    void merge(const timings& other);
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    // The least value that so large a part (0 to 1) of all does not exceed; 0 when there is none.
    [[nodiscard]] duration quantile(double part) const noexcept;

  private:
    std::map<std::uint64_t, std::uint64_t> counts_;  // upper end of each step, us -> how many
    std::uint64_t count_ = 0;
};

}  // namespace pgsidecar::ops

#include "proxy/ops/timings.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace pgsidecar::ops {
namespace {

constexpr int exact_bits = 7;

std::uint64_t step_end(std::uint64_t us) noexcept {
    const int shift = std::max(0, static_cast<int>(std::bit_width(us)) - exact_bits - 1);
    return (((us >> shift) + 1) << shift) - 1;
}

}  // namespace

void timings::add(duration took) {
    ++counts_[step_end(static_cast<std::uint64_t>(std::max<duration::rep>(took.count(), 0)))];
    ++count_;
}

void timings::merge(const timings& other) {
    for (const auto& [end, n] : other.counts_) counts_[end] += n;
    count_ += other.count_;
}

timings::duration timings::quantile(double part) const noexcept {
    const auto wanted = std::max<std::uint64_t>(
        1, static_cast<std::uint64_t>(std::ceil(part * static_cast<double>(count_))));
    std::uint64_t seen = 0;
    for (const auto& [end, n] : counts_) {
        seen += n;
        if (seen >= wanted) return duration{static_cast<duration::rep>(end)};
    }
    return duration{0};
}

}  // namespace pgsidecar::ops

#include "proxy/ops/latency.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace pgsidecar::ops {
namespace {

constexpr unsigned parts_bits = 2;
constexpr std::uint64_t parts = 1U << parts_bits;

}  // namespace

// Below four microseconds each has a bucket of its own; from there on the two bits behind the
// leading one say which quarter of its power of two a value lies in.
std::size_t latency::bucket_of(duration took) noexcept {
    const auto us = static_cast<std::uint64_t>(std::max<duration::rep>(took.count(), 0));
    if (us < parts) return static_cast<std::size_t>(us);
    const auto power = static_cast<unsigned>(std::bit_width(us)) - 1;
    const auto part = (us >> (power - parts_bits)) - parts;
    return std::min<std::size_t>((power - parts_bits + 1) * parts + part, most_buckets - 1);
}

latency::duration latency::bound(std::size_t bucket) noexcept {
    if (bucket < parts) return duration{static_cast<duration::rep>(bucket)};
    const auto shift = bucket / parts - 1;
    const auto next = (parts + bucket % parts + 1) << shift;
    return duration{static_cast<duration::rep>(next - 1)};
}

void latency::merge(const latency& other) {
    if (other.buckets_.size() > buckets_.size()) buckets_.resize(other.buckets_.size());
    for (std::size_t i = 0; i < other.buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    total_ += other.total_;
}

latency latency::since(const latency& earlier) const {
    latency out = *this;
    const auto common = std::min(buckets_.size(), earlier.buckets_.size());
    for (std::size_t i = 0; i < common; ++i) out.buckets_[i] -= earlier.buckets_[i];
    out.count_ -= earlier.count_;
    out.total_ -= earlier.total_;
    return out;
}

latency::duration latency::quantile(double part) const noexcept {
    if (count_ == 0) return duration{0};
    const auto wanted = std::max<std::uint64_t>(
        1, static_cast<std::uint64_t>(std::ceil(part * static_cast<double>(count_))));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        seen += buckets_[i];
        if (seen >= wanted) return bound(i);
    }
    return bound(buckets_.size() - 1);
}

std::uint64_t latency::at_most(duration most) const noexcept {
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size() && bound(i) <= most; ++i) seen += buckets_[i];
    return seen;
}

}  // namespace pgsidecar::ops

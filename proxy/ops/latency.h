// How long things took, in buckets: four to each power of two of microseconds, so a quantile is at
// most a quarter too high. Empty ones at the end take no memory. Values; no lock.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pgsidecar::ops {

class latency {
  public:
    using duration = std::chrono::microseconds;

    // One duration and its bucket, for who adds it to several.
    struct sample {
        explicit sample(duration d) noexcept
            : took{d < duration{0} ? duration{0} : d}, bucket{bucket_of(d)} {}
        duration took;
        std::size_t bucket;
    };

    void add(duration took) { add(sample{took}); }
    void add(const sample& s) {
        if (s.bucket >= buckets_.size()) buckets_.resize(s.bucket + 1);
        ++buckets_[s.bucket];
        ++count_;
        total_ += s.took;
    }
    void merge(const latency& other);
    // What was added since `earlier`, which is an older copy of this one.
    [[nodiscard]] latency since(const latency& earlier) const;

    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    [[nodiscard]] duration total() const noexcept { return total_; }
    // The upper end of the bucket in which that part of all lies; 0 when there is nothing. 0 to 1.
    [[nodiscard]] duration quantile(double part) const noexcept;
    // How many took at most so long, counted by whole buckets: for cumulative histograms, whose
    // bounds are best taken from bound().
    [[nodiscard]] std::uint64_t at_most(duration bound) const noexcept;

    // The greatest duration of a bucket.
    [[nodiscard]] static duration bound(std::size_t bucket) noexcept;
    [[nodiscard]] static std::size_t bucket_of(duration took) noexcept;

  private:
    static constexpr std::size_t most_buckets = 160;  // some twelve days, in the last one
    std::vector<std::uint64_t> buckets_;
    std::uint64_t count_ = 0;
    duration total_{0};
};

}  // namespace pgsidecar::ops

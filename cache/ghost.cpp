#include "cache/ghost.h"

#include <algorithm>
#include <bit>

namespace pgsidecar::cache {

// The high bits choose the bucket, the low ones are the fingerprint: independent up to 65,536
// buckets, a million ghosts in one shard, and still useful beyond.

ghost::bucket& ghost::bucket_of(std::uint32_t hash) noexcept {
    return buckets_[static_cast<std::size_t>((std::uint64_t{hash} * buckets_.size()) >> 32)];
}

std::uint16_t ghost::fingerprint(std::uint32_t hash) noexcept {
    return static_cast<std::uint16_t>(std::max(hash & 0xFFFF, std::uint32_t{1}));
}

void ghost::resize(std::size_t keys) noexcept {
    const std::size_t count = std::bit_ceil(std::max(keys * 3 / 4 / ways, std::size_t{1}));
    const std::size_t before = buckets_.size();
    if (count == before) return;
    heap_array<bucket> grown;
    if (!grown.allocate(count)) return;
    // A bucket becomes several neighbours. Which fingerprint belongs to which is not known: each
    // gets them all, and those that are wrong age away.
    for (std::size_t i = 0; before != 0 && count > before && i < count; ++i) {
        grown[i] = buckets_[i / (count / before)];
    }
    buckets_.swap(grown);
}

void ghost::insert(std::uint32_t hash) noexcept {
    if (buckets_.size() == 0) return;
    bucket& b = bucket_of(hash);
    std::copy_backward(b.begin(), b.end() - 1, b.end());
    b.front() = fingerprint(hash);
}

bool ghost::take(std::uint32_t hash) noexcept {
    if (buckets_.size() == 0) return false;
    bucket& b = bucket_of(hash);
    const auto found = std::find(b.begin(), b.end(), fingerprint(hash));
    if (found == b.end()) return false;
    std::copy(found + 1, b.end(), found);
    b.back() = 0;
    return true;
}

void ghost::clear() noexcept { heap_array<bucket>{}.swap(buckets_); }

}  // namespace pgsidecar::cache

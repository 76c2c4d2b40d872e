// Remembers which keys were evicted lately, to tell a key that comes back from one seen once.
// Buckets of sixteen 16-bit fingerprints, each bucket its own little queue: two bytes for a ghost,
// nothing to allocate when one comes or goes. A false match (about 1 in 4,000) only puts an entry
// into the wrong queue. Belongs to one shard and is guarded by its lock.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "cache/heap.h"

namespace pgsidecar::cache {

class ghost {
  public:
    // Room for about this many. Growing keeps what is remembered; shrinking forgets it. Failing to
    // get memory leaves it as it was.
    void resize(std::size_t keys) noexcept;
    void insert(std::uint32_t hash) noexcept;
    // Whether the key was here; it is not any more.
    [[nodiscard]] bool take(std::uint32_t hash) noexcept;
    void clear() noexcept;

    [[nodiscard]] std::size_t bytes() const noexcept { return buckets_.bytes(); }

  private:
    static constexpr std::size_t ways = 16;
    using bucket = std::array<std::uint16_t, ways>;  // newest first, 0 = empty

    [[nodiscard]] bucket& bucket_of(std::uint32_t hash) noexcept;
    [[nodiscard]] static std::uint16_t fingerprint(std::uint32_t hash) noexcept;

    heap_array<bucket> buckets_;  // a power of two of them
};

}  // namespace pgsidecar::cache

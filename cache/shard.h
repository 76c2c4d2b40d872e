// One part of the store: an index, two queues and a ghost list under one lock.
//
//                   ghost knows it
//     insert ----------------------------+
//        |                               v
//        +--> small (a tenth) --hit--> main --not hit lately--> out
//                  |    again and again   ^  hit: another round |
//                  +--seen once--> out    +---------------------+
//                                   |
//                                   +--> ghost (the hash alone)
//
// S3-FIFO: most keys are asked for once, and pass through the small queue without displacing what
// main holds. Hits only count up two bits: no list is reordered on the hit path. Entries that are
// outdated or expired leave when a look-up meets them or when they reach the end of a queue.
#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>

#include "cache/arena.h"
#include "cache/entry.h"
#include "cache/fifo.h"
#include "cache/ghost.h"
#include "cache/index.h"
#include "cache/store.h"

namespace pgsidecar::cache {

class alignas(64) shard : relocation {
  public:
    explicit shard(std::size_t max_memory) noexcept : max_memory_{max_memory}, arena_{max_memory} {}
    ~shard() { clear(); }
    shard(const shard&) = delete;
    shard& operator=(const shard&) = delete;

    [[nodiscard]] entry_ptr find(std::string_view key, std::uint32_t hash, time_point now,
                                 store::grace expired, lookup& why) noexcept;
    bool insert(entry_ptr e, std::uint32_t hash, time_point now, std::size_t max_size) noexcept;
    void clear() noexcept;
    void set_max_memory(std::size_t bytes) noexcept;
    [[nodiscard]] store_statistics statistics() const noexcept;

  private:
    // Entries on their way out. Declared before the lock, so that blocks are freed after it is
    // gone.
    class bin;

    void moved(const entry* from, entry* to) noexcept override;
    [[nodiscard]] std::size_t bytes() const noexcept;
    // Bytes over max_memory.
    [[nodiscard]] std::size_t excess(std::size_t bytes) const noexcept;
    // Bytes that must go before the entry fits; 0 when there is room, perhaps in a new segment.
    [[nodiscard]] std::size_t shortage(const entry& e) noexcept;
    // Squeezes and evicts until missing() returns 0; false when nothing is left to evict. refill:
    // an empty segment is wanted for filling, not to be given back.
    template <class Missing>
    [[nodiscard]] bool make_room(Missing missing, bool refill, time_point now, bin& out) noexcept;
    // True when the segment became empty by it.
    bool reclaim(segment* s, bool refill) noexcept;
    // At least this many bytes of entries, dead or alive.
    void evict(std::size_t bytes, time_point now, bin& out) noexcept;
    void evict_small(time_point now, bin& out) noexcept;
    void evict_main(time_point now, bin& out) noexcept;
    // Takes it out when it can never be served again.
    bool drop_stale(entry* e, time_point now, bin& out) noexcept;
    void remove(entry* e, bin& out) noexcept;
    // Sizes the index for one entry more, or down to what is left of many, and the ghosts by it.
    [[nodiscard]] bool fit_tables() noexcept;

    mutable std::mutex mutex_;
    std::size_t max_memory_;
    arena arena_;
    std::size_t blocks_ = 0;  // bytes of entries that have blocks of their own
    index index_;
    fifo small_{1};
    fifo main_{2};
    ghost ghost_;
    store_statistics counters_;
};

}  // namespace pgsidecar::cache

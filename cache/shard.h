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

#include "cache/entry.h"
#include "cache/fifo.h"
#include "cache/ghost.h"
#include "cache/index.h"
#include "cache/store.h"

namespace pgsidecar::cache {

class alignas(64) shard {
  public:
    explicit shard(std::size_t max_memory) noexcept : max_memory_{max_memory} {}
    ~shard() { clear(); }
    shard(const shard&) = delete;
    shard& operator=(const shard&) = delete;

    [[nodiscard]] entry_ptr find(std::string_view key, std::uint32_t hash, time_point now,
                                 lookup& why) noexcept;
    bool insert(entry_ptr e, std::uint32_t hash, time_point now, std::size_t max_size) noexcept;
    void clear() noexcept;
    void set_max_memory(std::size_t bytes) noexcept;
    [[nodiscard]] store_statistics statistics() const noexcept;

  private:
    // Entries on their way out. Declared before the lock, so that they are freed after it is gone.
    class bin;

    [[nodiscard]] std::size_t bytes() const noexcept;
    [[nodiscard]] bool make_room(std::size_t size, time_point now, bin& out) noexcept;
    // Sizes the index for one entry more, or down to what is left of many, and the ghosts by it.
    [[nodiscard]] bool fit_tables() noexcept;
    void evict_small(time_point now, bin& out) noexcept;
    void evict_main(time_point now, bin& out) noexcept;
    // Takes it out when it can never be served again.
    bool drop_stale(entry* e, time_point now, bin& out) noexcept;
    void remove(entry* e, bin& out) noexcept;

    mutable std::mutex mutex_;
    std::size_t max_memory_;
    index index_;
    fifo small_{1};
    fifo main_{2};
    ghost ghost_;
    store_statistics counters_;
};

}  // namespace pgsidecar::cache

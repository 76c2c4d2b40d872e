// The result cache of one process: entries by key, bounded in bytes, evicted by S3-FIFO. Called by
// every worker; a call takes one shard's lock for a fraction of a microsecond and frees memory only
// after giving it back.
//
// find() -> miss -> observe() versions, ask upstream, record -> make_entry() -> insert().
// Few entries of max_entry_size in max_memory make fewer shards than asked for.
// max_memory bounds what entries, index and ghosts take, whatever is lost between them included.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "cache/entry.h"
#include "cache/key.h"
#include "cache/options.h"

namespace pgsidecar::cache {

enum class lookup : std::uint8_t {
    hit,
    absent,
    expired,    // removed, unless it is to be kept for a while
    stale,      // expired, but not for longer than is allowed: not removed
    outdated,   // removed
    unsettled,  // kept: it may settle in the entry's favour
};

// Counters since the start; entries and bytes are what is held now.
struct store_statistics {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;  // every find() that was no hit
    std::uint64_t insertions = 0;
    std::uint64_t replacements = 0;   // insertions that took the place of the same key
    std::uint64_t refusals = 0;       // insert() that returned false
    std::uint64_t evictions = 0;      // for room
    std::uint64_t invalidations = 0;  // found outdated
    std::uint64_t expirations = 0;    // found expired
    std::uint64_t unsettled = 0;      // find() that met a write of unknown outcome
    std::uint64_t entries = 0;
    std::uint64_t payload = 0;  // bytes of keys and bodies
    std::uint64_t bytes = 0;    // bytes of memory, what max_memory bounds
    store_statistics& operator+=(const store_statistics& other) noexcept;
};

class shard;

class store {
  public:
    using lookup = cache::lookup;
    using stats = store_statistics;

    explicit store(const store_options& options = {});
    ~store();
    store(const store&) = delete;
    store& operator=(const store&) = delete;

    // What becomes of an entry that is found expired.
    struct grace {
        std::chrono::milliseconds serve{};  // for that long it comes as lookup::stale
        std::chrono::milliseconds keep{};   // for that long it is not removed, though not served
    };
    // The entry whose whole key is equal, if it may be served at `now`; otherwise null.
    // lookup::stale counts as a miss.
    [[nodiscard]] entry_ptr find(std::string_view key, const hash128& hash, time_point now,
                                 lookup* why, grace expired) noexcept;
    [[nodiscard]] entry_ptr find(std::string_view key, const hash128& hash, time_point now,
                                 lookup* why = nullptr) noexcept {
        return find(key, hash, now, why, {});
    }

    // Takes the place of the same key, makes room for it. False when the entry is null, too large,
    // or a write has touched its tables since its versions were observed, or may be touching them
    // now. `now` lets expired entries go first when room is needed.
    bool insert(entry_ptr e, const hash128& hash, time_point now);
    bool insert(entry_ptr e, time_point now);  // hashes the key itself

    void clear();
    // Applies at once; the number of shards stays. This and clear() give memory back to the system,
    // which may take tens of milliseconds.
    void set_limits(std::size_t max_memory, std::size_t max_entry_size);
    [[nodiscard]] stats statistics() const;

  private:
    [[nodiscard]] shard& shard_of(const hash128& hash) const noexcept;

    std::vector<std::unique_ptr<shard>> shards_;
    std::atomic<std::size_t> max_entry_size_;
};

}  // namespace pgsidecar::cache

// Finds a shard's entries by key: open addressing, one 32-bit hash and one pointer for each slot.
// The hashes lie together, so a probe touches a pointer only when all 32 bits agree; the whole key
// decides. Belongs to one shard and is guarded by its lock; it owns no entry.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cache/entry.h"
#include "cache/heap.h"

namespace pgsidecar::cache {

class index {
  public:
    // `hash` is never 0: that marks an empty slot.
    [[nodiscard]] entry* find(std::string_view key, std::uint32_t hash) const noexcept;
    // Makes room for one more. False when memory is short.
    [[nodiscard]] bool reserve() noexcept;
    // reserve() first; the key must be absent.
    void insert(entry* e) noexcept;
    void erase(const entry* e) noexcept;
    // The entry has a new address; at the old one there is nothing to read.
    void moved(const entry* from, entry* to) noexcept;
    // Gives back what far fewer entries than before no longer need.
    void shrink() noexcept;
    void clear() noexcept;

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return hashes_.size(); }
    [[nodiscard]] std::size_t bytes() const noexcept { return hashes_.bytes() + entries_.bytes(); }

  private:
    static constexpr std::size_t least = 16;

    // The slot where a search for this hash begins: the hash as a fraction of the table, which
    // works for any capacity, so that the table may grow by a quarter instead of doubling.
    [[nodiscard]] std::size_t home(std::uint32_t hash) const noexcept;
    [[nodiscard]] std::size_t slot_of(const entry* e, std::uint32_t hash) const noexcept;
    [[nodiscard]] std::size_t next(std::size_t slot) const noexcept;
    [[nodiscard]] bool rebuild(std::size_t capacity) noexcept;
    void put(std::uint32_t hash, entry* e) noexcept;

    heap_array<std::uint32_t> hashes_;
    heap_array<entry*> entries_;
    std::size_t size_ = 0;
};

}  // namespace pgsidecar::cache

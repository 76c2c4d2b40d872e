#include "cache/index.h"

#include <algorithm>
#include <cassert>

namespace pgsidecar::cache {

std::size_t index::home(std::uint32_t hash) const noexcept {
    return static_cast<std::size_t>((std::uint64_t{hash} * capacity()) >> 32);
}

std::size_t index::next(std::size_t slot) const noexcept {
    return slot + 1 == capacity() ? 0 : slot + 1;
}

entry* index::find(std::string_view key, std::uint32_t hash) const noexcept {
    if (size_ == 0) return nullptr;
    for (std::size_t slot = home(hash); hashes_[slot] != 0; slot = next(slot)) {
        if (hashes_[slot] == hash && entries_[slot]->key() == key) return entries_[slot];
    }
    return nullptr;
}

bool index::reserve() noexcept {
    // Six sevenths full at most: a search for what is absent then reads about 25 hashes in a row,
    // two cache lines.
    if ((size_ + 1) * 7 <= capacity() * 6) return true;
    return rebuild(std::max(least, capacity() + capacity() / 4));
}

void index::shrink() noexcept {
    // Failing is harmless: the table stays as it is.
    if (capacity() > least && size_ < capacity() / 4) {
        (void)rebuild(std::max(least, size_ * 2));
    }
}

void index::clear() noexcept {
    size_ = 0;
    heap_array<std::uint32_t>{}.swap(hashes_);
    heap_array<entry*>{}.swap(entries_);
}

bool index::rebuild(std::size_t capacity) noexcept {
    heap_array<std::uint32_t> hashes;
    heap_array<entry*> entries;
    if (!hashes.allocate(capacity) || !entries.allocate(capacity)) return false;
    hashes.swap(hashes_);
    entries.swap(entries_);
    for (std::size_t slot = 0; slot < hashes.size(); ++slot) {
        if (hashes[slot] != 0) put(hashes[slot], entries[slot]);
    }
    return true;
}

void index::put(std::uint32_t hash, entry* e) noexcept {
    std::size_t slot = home(hash);
    while (hashes_[slot] != 0) slot = next(slot);
    hashes_[slot] = hash;
    entries_[slot] = e;
}

void index::insert(entry* e) noexcept {
    assert(e->hash_ != 0 && size_ < capacity());
    put(e->hash_, e);
    ++size_;
}

std::size_t index::slot_of(const entry* e, std::uint32_t hash) const noexcept {
    std::size_t slot = home(hash);
    while (entries_[slot] != e) {
        assert(hashes_[slot] != 0);
        slot = next(slot);
    }
    return slot;
}

void index::moved(const entry* from, entry* to) noexcept {
    entries_[slot_of(from, to->hash_)] = to;
}

void index::erase(const entry* e) noexcept {
    std::size_t hole = slot_of(e, e->hash_);
    // Close the gap: whatever stands behind it, and was pushed past it on the way from its home,
    // moves up. No tombstones, so searches stay as short as if the entry had never been there.
    const std::size_t n = capacity();
    for (std::size_t slot = next(hole); hashes_[slot] != 0; slot = next(slot)) {
        const std::size_t from_home = (slot + n - home(hashes_[slot])) % n;
        const std::size_t from_hole = (slot + n - hole) % n;
        if (from_home < from_hole) continue;
        hashes_[hole] = hashes_[slot];
        entries_[hole] = entries_[slot];
        hole = slot;
    }
    hashes_[hole] = 0;
    entries_[hole] = nullptr;
    --size_;
}

}  // namespace pgsidecar::cache

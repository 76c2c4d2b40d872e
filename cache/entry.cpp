#include "cache/entry.h"

#include <cassert>
#include <cstring>
#include <limits>
#include <new>

#include "cache/arena.h"
#include "cache/heap.h"

namespace pgsidecar::cache {

// The block: entry | tables, as pointers | key | body.
namespace {
constexpr std::size_t pointer_size = sizeof(void*);
constexpr std::size_t max_tables = 0x3FFF;
}  // namespace

char* entry::tail() const noexcept {
    return reinterpret_cast<char*>(const_cast<entry*>(this)) + sizeof(entry);
}

std::span<const table_state* const> entry::tables() const noexcept {
    return {reinterpret_cast<const table_state* const*>(tail()), table_count_};
}

std::string_view entry::key() const noexcept {
    return {tail() + table_count_ * pointer_size, key_size_};
}

std::string_view entry::body() const noexcept {
    return {tail() + table_count_ * pointer_size + key_size_, body_size_};
}

std::size_t entry::size() const noexcept {
    return sizeof(entry) + table_count_ * pointer_size + key_size_ + body_size_;
}

std::size_t entry::footprint() const noexcept {
    if (home_ == in_arena) return extent();
    return block_bytes({const_cast<entry*>(this), home_ == mapped}, size());
}

std::size_t entry::extent() const noexcept {
    return (size() + alignof(entry) - 1) / alignof(entry) * alignof(entry);
}

// Unsettled first, then the version: settle() bumps before it takes the mark away, so whoever finds
// no mark either came before the loss or sees the bump. The other way round, an old version read
// early and a mark gone late would pass for current.
freshness entry::state() const noexcept {
    bool unsettled = false;
    std::uint64_t sum = 0;
    for (const table_state* table : tables()) {
        unsettled |= table->unsettled.load(std::memory_order_acquire) != 0;
        sum += table->version.load(std::memory_order_acquire);
    }
    if (sum != version_sum_) return freshness::outdated;
    return unsettled ? freshness::unsettled : freshness::current;
}

// An answer that arrives while a commit is in flight may already show the new row, while another
// entry of the same table still shows the old one under the same version: a reader served first
// from this one and then from that one would step back in time. In flight, unsettled, version: the
// direction in which a write lives, see versions.h.
bool entry::storable() const noexcept {
    for (const table_state* table : tables()) {
        if (table->commits_in_flight.load(std::memory_order_acquire) != 0) return false;
    }
    return state() == freshness::current;
}

void entry_ptr::acquire(entry* e) noexcept {
    // Whoever copies a reference has one: nothing to order.
    if (e != nullptr) e->references_.fetch_add(1, std::memory_order_relaxed);
}

void entry_ptr::release(entry* e) noexcept {
    if (e == nullptr) return;
    // Read while the reference still holds it in place: once it is gone, a squeeze may overwrite
    // it. The segment itself stays until it is counted out there.
    segment* home = arena::segment_of(e);
    const block whole{e, e->home_ == entry::mapped};
    const std::size_t size = e->size();
    const std::size_t extent = e->extent();
    // Each owner's last reads come before the memory is used again, by whomever.
    if (e->references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (home != nullptr) {
        arena::count_out(home, extent);
    } else {
        e->~entry();
        free_block(whole, size);
    }
}

entry_ptr make_entry(std::string_view key, std::span<const std::string_view> body,
                     std::span<const dependency> dependencies, time_point expires,
                     std::uint32_t rows) noexcept {
    constexpr std::size_t max_size = std::numeric_limits<std::uint32_t>::max();
    std::size_t body_size = 0;
    for (const auto piece : body) {
        if (piece.size() > max_size - body_size) return {};
        body_size += piece.size();
    }
    if (key.size() > max_size) return {};
    if (dependencies.size() > max_tables) return {};

    const std::size_t tables_size = dependencies.size() * pointer_size;
    const block whole = allocate_block(sizeof(entry) + tables_size + key.size() + body_size);
    if (whole.data == nullptr) return {};
    auto* e = new (whole.data) entry;
    if (whole.mapped) e->home_ = entry::mapped;
    e->table_count_ = dependencies.size() & max_tables;
    e->rows_ = rows;
    e->key_size_ = static_cast<std::uint32_t>(key.size());
    e->body_size_ = static_cast<std::uint32_t>(body_size);
    e->expires_ = expires;

    char* at = e->tail();
    for (const auto& d : dependencies) {
        assert(d.table != nullptr);
        std::memcpy(at, &d.table, pointer_size);
        at += pointer_size;
        e->version_sum_ += d.version;
    }
    const auto put = [&at](std::string_view piece) {
        if (piece.empty()) return;
        std::memcpy(at, piece.data(), piece.size());
        at += piece.size();
    };
    put(key);
    for (const auto piece : body) put(piece);
    return entry_ptr{e, entry_ptr::adopt{}};
}

entry_ptr make_entry(std::string_view key, std::string_view body,
                     std::span<const dependency> dependencies, time_point expires,
                     std::uint32_t rows) noexcept {
    return make_entry(key, std::span{&body, 1}, dependencies, expires, rows);
}

}  // namespace pgsidecar::cache

// The immutable bytes of one answer. One block holds the header, the tables it was computed from,
// the key and the body; an intrusive count keeps it alive and in place for as long as a session is
// still writing it, whether or not the store has evicted it meanwhile.
//
// make_entry() -> store::insert(), once. The store may keep a copy in memory of its own instead.
#pragma once
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "cache/versions.h"

namespace pgsidecar::cache {

// Always passed in: this room has no clock.
using time_point = std::chrono::steady_clock::time_point;

class entry_ptr;

enum class freshness : std::uint8_t {
    current,
    outdated,   // a table moved on: can never be served again
    unsettled,  // a write of unknown outcome: not to be served now, perhaps later
};

class entry {
  public:
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;

    [[nodiscard]] std::string_view key() const noexcept;
    // Server frames, ready to be written as they are.
    [[nodiscard]] std::string_view body() const noexcept;
    [[nodiscard]] std::span<const table_state* const> tables() const noexcept;
    [[nodiscard]] time_point expires() const noexcept { return expires_; }
    [[nodiscard]] std::uint32_t rows() const noexcept { return rows_; }

    [[nodiscard]] freshness state() const noexcept;
    [[nodiscard]] bool current() const noexcept { return state() == freshness::current; }
    // Stricter than current(): also no commit is in flight on any of the tables. See store::insert.
    [[nodiscard]] bool storable() const noexcept;

    // Bytes of memory this entry really takes, the allocator's own share included.
    [[nodiscard]] std::size_t footprint() const noexcept;

  private:
    friend class arena;
    friend class entry_ptr;
    friend class fifo;
    friend class index;
    friend class shard;
    friend entry_ptr make_entry(std::string_view, std::span<const std::string_view>,
                                std::span<const dependency>, time_point, std::uint32_t) noexcept;

    entry() = default;
    ~entry() = default;
    [[nodiscard]] char* tail() const noexcept;
    [[nodiscard]] std::size_t size() const noexcept;
    // Bytes in an arena: the size, rounded up so that the next one is aligned.
    [[nodiscard]] std::size_t extent() const noexcept;

    // Where it lives.
    static constexpr std::uint16_t in_heap = 0;
    static constexpr std::uint16_t mapped = 1;  // see heap.h
    static constexpr std::uint16_t in_arena = 2;

    mutable std::atomic<std::uint32_t> references_{1};
    // Owned by the shard that holds the entry, under its lock.
    std::uint32_t hash_ = 0;
    entry* older_ = nullptr;
    entry* newer_ = nullptr;
    std::uint8_t frequency_ = 0;
    std::uint8_t queue_ = 0;
    // Fixed at birth.
    std::uint16_t table_count_ : 14 = 0;
    std::uint16_t home_ : 2 = in_heap;
    std::uint32_t rows_ = 0;
    std::uint32_t key_size_ = 0;
    std::uint32_t body_size_ = 0;
    time_point expires_;
    // Versions only grow, so their sum is unchanged exactly when each of them is: one number does
    // for all the tables.
    std::uint64_t version_sum_ = 0;
};

// Shared ownership of an entry.
class entry_ptr {
  public:
    entry_ptr() noexcept = default;
    entry_ptr(std::nullptr_t) noexcept {}
    entry_ptr(const entry_ptr& other) noexcept : entry_{other.entry_} { acquire(entry_); }
    entry_ptr(entry_ptr&& other) noexcept : entry_{std::exchange(other.entry_, nullptr)} {}
    entry_ptr& operator=(entry_ptr other) noexcept {
        std::swap(entry_, other.entry_);
        return *this;
    }
    ~entry_ptr() { release(entry_); }

    [[nodiscard]] const entry* get() const noexcept { return entry_; }
    const entry& operator*() const noexcept { return *entry_; }
    const entry* operator->() const noexcept { return entry_; }
    explicit operator bool() const noexcept { return entry_ != nullptr; }

  private:
    friend class shard;
    friend entry_ptr make_entry(std::string_view, std::span<const std::string_view>,
                                std::span<const dependency>, time_point, std::uint32_t) noexcept;

    struct adopt {};
    entry_ptr(entry* e, adopt) noexcept : entry_{e} {}
    [[nodiscard]] entry* detach() noexcept { return std::exchange(entry_, nullptr); }
    static void acquire(entry* e) noexcept;
    static void release(entry* e) noexcept;

    entry* entry_ = nullptr;
};

// Copies all it is given. The body's pieces are joined. Null when a size does not fit (4 GiB,
// 16,383 tables) or memory is short; the answer then simply goes unstored.
[[nodiscard]] entry_ptr make_entry(std::string_view key, std::span<const std::string_view> body,
                                   std::span<const dependency> dependencies, time_point expires,
                                   std::uint32_t rows) noexcept;
[[nodiscard]] entry_ptr make_entry(std::string_view key, std::string_view body,
                                   std::span<const dependency> dependencies, time_point expires,
                                   std::uint32_t rows) noexcept;

}  // namespace pgsidecar::cache

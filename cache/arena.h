// Where a shard's smaller entries live: segments of equal size, filled one after the other. Nothing
// is freed one by one; when room is needed, the emptiest segment is squeezed: its living entries
// move into what room the active segment has, or together, and it becomes the active one. So memory
// is held by the segment, its sum is exact, and holes between entries do not outlive the next
// squeeze. A heap cannot move blocks: with four threads and sizes that shift, glibc held 2.6 times
// what was used.
//
// Belongs to one shard and is guarded by its lock, but for one thing: whoever drops an entry's last
// reference counts it out of its segment, from any thread. An entry that somebody reads stays put,
// and the gap in front of it is filled like any other room.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cache/entry.h"

namespace pgsidecar::cache {

struct segment {
    explicit segment(std::size_t bytes) noexcept : size{static_cast<std::uint32_t>(bytes)} {}

    // Bytes of entries that somebody refers to; the highest bit: the arena is gone, and whoever
    // counts the last of them out frees the segment.
    std::atomic<std::uint32_t> live{0};
    const std::uint32_t size;
    segment* next = nullptr;
    segment* previous = nullptr;

    [[nodiscard]] char* front() noexcept { return reinterpret_cast<char*>(this + 1); }
};

// Told of each entry that moved; the old address holds nothing any more.
class relocation {
  public:
    virtual void moved(const entry* from, entry* to) noexcept = 0;

  protected:
    ~relocation() = default;
};

class arena {
  public:
    // Segments suit a shard of this many bytes.
    explicit arena(std::size_t max_memory) noexcept;
    ~arena();
    arena(const arena&) = delete;
    arena& operator=(const arena&) = delete;

    // Larger entries stay in blocks of their own.
    [[nodiscard]] bool suits(const entry& e) const noexcept;
    [[nodiscard]] bool has_room(const entry& e) const noexcept;
    // A copy, with one reference, that the caller owns. has_room() first.
    [[nodiscard]] entry* copy(const entry& e) noexcept;
    // One more segment, and it is the active one. False when memory is short.
    [[nodiscard]] bool grow() noexcept;

    // The segment that squeezing gains most from; null if that is less than `least` bytes.
    [[nodiscard]] segment* emptiest(std::size_t least) const noexcept;
    // Where a living or dead entry of this arena is; null for one with a block of its own.
    [[nodiscard]] static segment* segment_of(const entry* e) noexcept;
    // An entry of this many bytes is dead. From any thread.
    static void count_out(segment* s, std::size_t extent) noexcept;
    // True when the segment is empty by it; else it is as dense as its readers allow, and the
    // active one if it has more room.
    [[nodiscard]] bool squeeze(segment* s, relocation& to) noexcept;
    // Both for an empty segment: fill it next, or give it back.
    void reuse(segment* s) noexcept;
    void release(segment* s) noexcept;
    void release_empty() noexcept;

    [[nodiscard]] std::size_t segment_size() const noexcept { return segment_size_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return count_ * segment_size_; }

  private:
    [[nodiscard]] std::size_t capacity() const noexcept { return segment_size_ - sizeof(segment); }
    [[nodiscard]] std::size_t gain(const segment* s) const noexcept;
    // The first gap of the active segment from the cursor on that holds `size` bytes, or null.
    [[nodiscard]] char* gap_for(std::size_t size) const noexcept;
    [[nodiscard]] char* take(char* gap, std::size_t size) noexcept;
    void activate(segment* s, std::size_t free) noexcept;

    const std::size_t segment_size_;
    std::size_t count_ = 0;
    segment* first_ = nullptr;
    segment* active_ = nullptr;
    char* cursor_ = nullptr;  // in the active segment: whatever is before it is not looked at again
    std::size_t free_ = 0;    // bytes of gaps from there on
};

}  // namespace pgsidecar::cache

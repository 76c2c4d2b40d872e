// Blocks of memory that know what they really cost. The store's bound is worth only as much as its
// bookkeeping: the allocator rounds up and keeps a word of its own for each block.
//
// Large blocks are mapped on their own and go back to the system when freed. From the common heap,
// blocks of such mixed sizes that come and go for days leave holes that nothing fits into: measured
// a third more resident memory than was in use, and more with each thread.
#pragma once
#include <cstddef>
#include <type_traits>
#include <utility>

namespace pgsidecar::cache {

struct block {
    void* data = nullptr;
    bool mapped = false;  // whoever frees it must say so, and the size that was asked for
};

// Null data when memory is short.
[[nodiscard]] block allocate_block(std::size_t size) noexcept;
void free_block(block b, std::size_t size) noexcept;
// What the block takes from the system or the heap; 0 for null.
[[nodiscard]] std::size_t block_bytes(block b, std::size_t size) noexcept;
// Memory for one arena segment, at an address that is a multiple of segment_alignment, which is
// also the largest size. Null when memory is short.
inline constexpr std::size_t segment_alignment = std::size_t{256} << 10;
[[nodiscard]] void* allocate_segment(std::size_t size) noexcept;
void free_segment(void* data, std::size_t size) noexcept;

// Hands back to the system what the heap holds but nobody uses. Slow: for rare occasions.
void trim_heap() noexcept;

// A zeroed array of plain values whose allocation may fail without throwing.
template <class T>
class heap_array {
    static_assert(std::is_trivially_copyable_v<T>);
    // NOLINTNEXTLINE(bugprone-sizeof-expression): an item may well be a pointer
    static constexpr std::size_t item_size = sizeof(T);

  public:
    heap_array() noexcept = default;
    heap_array(const heap_array&) = delete;
    heap_array& operator=(const heap_array&) = delete;
    ~heap_array() { free_block(block_, size_ * item_size); }

    // Once, on an empty array.
    [[nodiscard]] bool allocate(std::size_t size) noexcept {
        block_ = allocate_block(size * item_size);
        if (block_.data == nullptr) return false;
        size_ = size;
        for (std::size_t i = 0; i < size; ++i) data()[i] = T{};
        return true;
    }
    void swap(heap_array& other) noexcept {
        std::swap(block_, other.block_);
        std::swap(size_, other.size_);
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t bytes() const noexcept {
        return block_bytes(block_, size_ * item_size);
    }
    T& operator[](std::size_t i) noexcept { return data()[i]; }
    const T& operator[](std::size_t i) const noexcept { return data()[i]; }

  private:
    [[nodiscard]] T* data() const noexcept { return static_cast<T*>(block_.data); }

    block block_;
    std::size_t size_ = 0;
};

}  // namespace pgsidecar::cache

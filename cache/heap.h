// What a block of the heap really costs, and arrays that know it. The store's bound is worth only
// as much as its bookkeeping: the allocator rounds up and keeps a word of its own for each block.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

namespace pgsidecar::cache {

// Bytes that a block from std::malloc takes from the heap, at least `asked`. 0 for null.
[[nodiscard]] std::size_t heap_bytes(const void* block, std::size_t asked) noexcept;

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
    ~heap_array() { std::free(data_); }

    [[nodiscard]] bool allocate(std::size_t size) noexcept {
        auto* data = static_cast<T*>(std::calloc(size, item_size));
        if (data == nullptr) return false;
        std::free(data_);
        data_ = data;
        size_ = size;
        return true;
    }
    void swap(heap_array& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t bytes() const noexcept {
        return heap_bytes(data_, size_ * item_size);
    }
    T& operator[](std::size_t i) noexcept { return data_[i]; }
    const T& operator[](std::size_t i) const noexcept { return data_[i]; }

  private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace pgsidecar::cache

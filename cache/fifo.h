// A queue of entries in the order they came, linked through the entries themselves, that knows how
// much it holds. Guarded by its shard's lock; it owns no entry.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cache/entry.h"

namespace pgsidecar::cache {

class fifo {
  public:
    explicit fifo(std::uint8_t name) noexcept : name_{name} {}

    void push(entry* e) noexcept;
    void remove(entry* e) noexcept;
    // One of its entries has a new address.
    void moved(entry* to) noexcept;
    // The oldest goes to the other end.
    void rotate() noexcept;

    [[nodiscard]] entry* oldest() const noexcept { return oldest_; }
    [[nodiscard]] bool holds(const entry* e) const noexcept { return e->queue_ == name_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }      // of memory
    [[nodiscard]] std::size_t payload() const noexcept { return payload_; }  // of keys and bodies

  private:
    std::uint8_t name_;
    entry* oldest_ = nullptr;
    entry* newest_ = nullptr;
    std::size_t size_ = 0;
    std::size_t bytes_ = 0;
    std::size_t payload_ = 0;
};

}  // namespace pgsidecar::cache

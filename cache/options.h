// How big the store may grow. Plain values, so that config needs no more of the cache than this.
#pragma once
#include <cstddef>

namespace pgsidecar::cache {

struct store_options {
    std::size_t max_memory = 256u << 20;    // bytes, over all shards
    std::size_t max_entry_size = 1u << 20;  // bytes; a larger answer is not stored
    unsigned shards = 16;
};

}  // namespace pgsidecar::cache

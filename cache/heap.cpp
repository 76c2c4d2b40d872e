#include "cache/heap.h"

#if defined(_WIN32)
#include <malloc.h>
#elif defined(__GLIBC__)
#include <malloc.h>
#endif

namespace pgsidecar::cache {

std::size_t heap_bytes(const void* block, std::size_t asked) noexcept {
    if (block == nullptr) return 0;
#if defined(_WIN32)
    // The heap's granule is 16 bytes and its header another 16.
    return _msize(const_cast<void*>(block)) + 16 + asked % 16;
#elif defined(__GLIBC__)
    // A chunk is what may be used of it and one word of size before it.
    (void)asked;
    return malloc_usable_size(const_cast<void*>(block)) + sizeof(std::size_t);
#else
    return asked + 2 * sizeof(std::size_t);
#endif
}

}  // namespace pgsidecar::cache

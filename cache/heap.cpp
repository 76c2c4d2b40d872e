#include "cache/heap.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>

// The sanitizers watch the heap alone, so under them everything comes from there.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PGSIDECAR_CACHE_MAPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PGSIDECAR_CACHE_MAPS 0
#endif
#endif
#if !defined(PGSIDECAR_CACHE_MAPS)
#if defined(__linux__)
#define PGSIDECAR_CACHE_MAPS 1
#else
#define PGSIDECAR_CACHE_MAPS 0
#endif
#endif

#if PGSIDECAR_CACHE_MAPS
#include <sys/mman.h>
#endif
#if defined(_WIN32) || defined(__GLIBC__)
#include <malloc.h>
#endif

namespace pgsidecar::cache {

namespace {

#if PGSIDECAR_CACHE_MAPS

constexpr std::size_t page = 4096;  // larger pages only make the count a little low
constexpr std::size_t mapped_from = 8 * page;
// Linux allows a process 65,530 mappings by default, and others need some. Beyond these the heap
// has to do.
constexpr std::size_t max_mapped = 30'000;
std::atomic<std::size_t> mapped_blocks{0};

constexpr std::size_t whole_pages(std::size_t size) noexcept {
    return (size + page - 1) / page * page;
}

void* map(std::size_t size) noexcept {
    if (mapped_blocks.fetch_add(1, std::memory_order_relaxed) < max_mapped) {
        void* data = mmap(nullptr, whole_pages(size), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (data != MAP_FAILED) return data;
    }
    mapped_blocks.fetch_sub(1, std::memory_order_relaxed);
    return nullptr;
}

#endif

}  // namespace

block allocate_block(std::size_t size) noexcept {
#if PGSIDECAR_CACHE_MAPS
    if (size >= mapped_from) {
        if (void* data = map(size); data != nullptr) return {data, true};
    }
#endif
    return {std::malloc(size), false};
}

void free_block(block b, [[maybe_unused]] std::size_t size) noexcept {
#if PGSIDECAR_CACHE_MAPS
    if (b.mapped) {
        munmap(b.data, whole_pages(size));
        mapped_blocks.fetch_sub(1, std::memory_order_relaxed);
        return;
    }
#endif
    std::free(b.data);
}

std::size_t block_bytes(block b, [[maybe_unused]] std::size_t size) noexcept {
    if (b.data == nullptr) return 0;
#if PGSIDECAR_CACHE_MAPS
    if (b.mapped) return whole_pages(size);
#endif
#if defined(_WIN32)
    return _msize(b.data) + 16;  // its header; the granule is 16 bytes as well
#elif defined(__GLIBC__)
    // A chunk is what may be used of it and one word of size before it.
    return malloc_usable_size(b.data) + sizeof(std::size_t);
#else
    return size + 2 * sizeof(std::size_t);
#endif
}

void* allocate_segment(std::size_t size) noexcept {
#if PGSIDECAR_CACHE_MAPS
    // More than enough, and what stands over at both ends goes back.
    constexpr std::size_t span = 2 * segment_alignment;
    void* data = mmap(nullptr, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) return nullptr;
    auto* begin = static_cast<char*>(data);
    const auto past = reinterpret_cast<std::uintptr_t>(begin) % segment_alignment;
    char* aligned = past == 0 ? begin : begin + (segment_alignment - past);
    if (aligned != begin) munmap(begin, static_cast<std::size_t>(aligned - begin));
    char* behind = aligned + whole_pages(size);
    if (behind != begin + span) munmap(behind, static_cast<std::size_t>(begin + span - behind));
    return aligned;
#elif defined(_WIN32)
    return _aligned_malloc(size, segment_alignment);
#else
    void* data = nullptr;
    return posix_memalign(&data, segment_alignment, size) == 0 ? data : nullptr;
#endif
}

void free_segment(void* data, [[maybe_unused]] std::size_t size) noexcept {
#if PGSIDECAR_CACHE_MAPS
    munmap(data, whole_pages(size));
#elif defined(_WIN32)
    _aligned_free(data);
#else
    std::free(data);
#endif
}

void trim_heap() noexcept {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

}  // namespace pgsidecar::cache

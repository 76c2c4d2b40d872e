#include "cache/arena.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <new>
#include <utility>

#include "cache/heap.h"

namespace pgsidecar::cache {

namespace {

// Small enough that squeezing one holds the lock for some tens of microseconds, large enough that
// what is lost at each end matters little.
constexpr std::size_t largest_segment = segment_alignment;
constexpr std::size_t smallest_segment = std::size_t{4} << 10;

// A segment is tiled with items, each beginning with two 32-bit words. An entry begins with its
// references (0: dead, but its header still tells its size) and its hash, a gap with this mark and
// its size. Sizes are multiples of eight, so there is always room for both words.
constexpr std::uint32_t gap_mark = ~std::uint32_t{0};

constexpr std::uint32_t orphaned = std::uint32_t{1} << 31;

struct item {
    std::uint32_t references;
    std::uint32_t size;
};

void make_gap(char* at, std::size_t size) noexcept {
    if (size != 0) new (at) item{gap_mark, static_cast<std::uint32_t>(size)};
}

}  // namespace

arena::arena(std::size_t max_memory) noexcept
    : segment_size_{
          std::clamp(std::bit_floor(max_memory / 16), smallest_segment, largest_segment)} {}

arena::~arena() {
    while (first_ != nullptr) {
        segment* s = std::exchange(first_, first_->next);
        if (s->live.fetch_or(orphaned, std::memory_order_acq_rel) == 0) {
            free_segment(s, segment_size_);
        }
    }
}

void arena::count_out(segment* s, std::size_t extent) noexcept {
    const auto bytes = static_cast<std::uint32_t>(extent);
    // Release, for whoever finds the segment empty; acquire, if that is here.
    if (s->live.fetch_sub(bytes, std::memory_order_acq_rel) == (orphaned | bytes)) {
        free_segment(s, s->size);
    }
}

bool arena::suits(const entry& e) const noexcept {
    return e.home_ != entry::mapped && e.extent() <= segment_size_ / 8;
}

bool arena::has_room(const entry& e) const noexcept { return gap_for(e.extent()) != nullptr; }

char* arena::gap_for(std::size_t size) const noexcept {
    if (active_ == nullptr) return nullptr;
    const char* const end = active_->front() + capacity();
    for (char* at = cursor_; at != end;) {
        const auto* e = reinterpret_cast<const entry*>(at);
        if (e->references_.load(std::memory_order_relaxed) != gap_mark) {
            at += e->extent();
        } else if (e->hash_ >= size) {
            return at;
        } else {
            at += e->hash_;
        }
    }
    return nullptr;
}

char* arena::take(char* gap, std::size_t size) noexcept {
    // Gaps that are passed over are lost until the next squeeze.
    for (char* at = cursor_; at != gap;) {
        const auto* e = reinterpret_cast<const entry*>(at);
        const bool is_gap = e->references_.load(std::memory_order_relaxed) == gap_mark;
        if (is_gap) free_ -= e->hash_;
        at += is_gap ? e->hash_ : e->extent();
    }
    make_gap(gap + size, reinterpret_cast<const entry*>(gap)->hash_ - size);
    cursor_ = gap + size;
    free_ -= size;
    active_->live.fetch_add(static_cast<std::uint32_t>(size), std::memory_order_relaxed);
    return gap;
}

entry* arena::copy(const entry& e) noexcept {
    char* gap = gap_for(e.extent());
    assert(gap != nullptr);
    auto* made = new (take(gap, e.extent())) entry;
    made->home_ = entry::in_arena;
    made->table_count_ = e.table_count_;
    made->rows_ = e.rows_;
    made->key_size_ = e.key_size_;
    made->body_size_ = e.body_size_;
    made->expires_ = e.expires_;
    made->version_sum_ = e.version_sum_;
    std::memcpy(made->tail(), e.tail(), e.size() - sizeof(entry));
    return made;
}

void arena::activate(segment* s, std::size_t free) noexcept {
    active_ = s;
    cursor_ = s == nullptr ? nullptr : s->front();
    free_ = free;
}

bool arena::grow() noexcept {
    void* block = allocate_segment(segment_size_);
    if (block == nullptr) return false;
    auto* s = new (block) segment{segment_size_};
    s->next = first_;
    if (first_ != nullptr) first_->previous = s;
    first_ = s;
    ++count_;
    reuse(s);
    return true;
}

void arena::reuse(segment* s) noexcept {
    make_gap(s->front(), capacity());
    activate(s, capacity());
}

void arena::release(segment* s) noexcept {
    assert(s->live.load() == 0);
    (s->previous != nullptr ? s->previous->next : first_) = s->next;
    if (s->next != nullptr) s->next->previous = s->previous;
    if (active_ == s) activate(nullptr, 0);
    --count_;
    free_segment(s, segment_size_);
}

void arena::release_empty() noexcept {
    for (segment* s = first_; s != nullptr;) {
        segment* next = s->next;
        // Acquire: whoever counted the last entry out has done with the segment.
        if (s->live.load(std::memory_order_acquire) == 0) release(s);
        s = next;
    }
}

segment* arena::segment_of(const entry* e) noexcept {
    if (e->home_ != entry::in_arena) return nullptr;
    auto* at = const_cast<char*>(reinterpret_cast<const char*>(e));
    const std::uintptr_t past = reinterpret_cast<std::uintptr_t>(at) % segment_alignment;
    return reinterpret_cast<segment*>(at - past);
}

// Bytes that squeezing would make usable. Entries are counted out a moment after they die, so what
// took their place may be counted in before.
std::size_t arena::gain(const segment* s) const noexcept {
    const std::size_t usable = capacity() - (s == active_ ? free_ : 0);
    return usable - std::min<std::size_t>(usable, s->live.load(std::memory_order_relaxed));
}

segment* arena::emptiest(std::size_t least) const noexcept {
    segment* best = nullptr;
    for (segment* s = first_; s != nullptr; s = s->next) {
        if (const std::size_t g = gain(s); g >= least) {
            best = s;
            least = g + 1;
        }
    }
    return best;
}

bool arena::squeeze(segment* s, relocation& to) noexcept {
    std::size_t free = 0;
    char* dense = s->front();  // all before it is settled
    char* const end = s->front() + capacity();
    for (char* at = dense; at != end;) {
        auto* e = reinterpret_cast<entry*>(at);
        // Acquire: who dropped its reference has done reading.
        const std::uint32_t references = e->references_.load(std::memory_order_acquire);
        const std::size_t size = references == gap_mark ? e->hash_ : e->extent();
        char* const from = at;
        at += size;
        if (references == 0 || references == gap_mark) continue;
        // Under the shard's lock nobody can take a first reference, so one reference and a place in
        // a queue mean that the store alone knows this address.
        if (references != 1 || e->queue_ == 0) {
            make_gap(dense, static_cast<std::size_t>(from - dense));
            free += static_cast<std::size_t>(from - dense);
            dense = at;
            continue;
        }
        char* target = s == active_ ? nullptr : gap_for(size);
        if (target != nullptr) {
            target = take(target, size);
            s->live.fetch_sub(static_cast<std::uint32_t>(size), std::memory_order_relaxed);
        } else {
            target = dense;
            dense += size;
        }
        if (target == from) continue;
        std::memmove(target, from, size);
        to.moved(e, reinterpret_cast<entry*>(target));
    }
    make_gap(dense, static_cast<std::size_t>(end - dense));
    free += static_cast<std::size_t>(end - dense);
    // An entry may be dead and not yet counted out: until then the segment's header is still
    // needed.
    if (free == capacity() && s->live.load(std::memory_order_acquire) == 0) return true;
    if (s == active_ || free > free_) activate(s, free);
    return false;
}

}  // namespace pgsidecar::cache

#include "cache/shard.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace pgsidecar::cache {

namespace {
constexpr std::uint8_t max_frequency = 3;  // two bits
constexpr std::uint8_t promote_at = 2;     // hits in the small queue that earn a place in main
constexpr std::size_t dead_share = 16;     // of the arena, waits dead to be squeezed
}  // namespace

class shard::bin {
  public:
    bin() = default;
    bin(const bin&) = delete;
    bin& operator=(const bin&) = delete;
    ~bin() {
        while (first_ != nullptr) entry_ptr::release(std::exchange(first_, first_->newer_));
    }
    void take(entry* e) noexcept {
        e->newer_ = first_;
        first_ = e;
    }

  private:
    entry* first_ = nullptr;
};

std::size_t shard::bytes() const noexcept {
    return sizeof(shard) + index_.bytes() + ghost_.bytes() + arena_.bytes() + blocks_;
}

entry_ptr shard::find(std::string_view key, std::uint32_t hash, time_point now,
                      store::grace expired, lookup& why) noexcept {
    bin out;
    const std::lock_guard lock{mutex_};
    entry* e = index_.find(key, hash);
    bool gone = false;
    if (e == nullptr) {
        why = lookup::absent;
    } else if (const auto state = e->state(); state == freshness::outdated) {
        why = lookup::outdated;
        gone = true;
        ++counters_.invalidations;
    } else if (e->expires() + std::max(expired.serve, expired.keep) <= now) {
        why = lookup::expired;
        gone = true;
        ++counters_.expirations;
    } else if (state == freshness::unsettled) {
        why = lookup::unsettled;
        ++counters_.unsettled;
    } else if (e->expires() + expired.serve <= now) {
        why = lookup::expired;
    } else if (e->expires() <= now) {
        why = lookup::stale;
        ++counters_.misses;
        entry_ptr::acquire(e);
        return {e, entry_ptr::adopt{}};
    } else {
        why = lookup::hit;
        ++counters_.hits;
        if (e->frequency_ < max_frequency) ++e->frequency_;
        entry_ptr::acquire(e);
        return {e, entry_ptr::adopt{}};
    }
    ++counters_.misses;
    if (gone) {
        // A key that had earned its place in main gets it back when it is filled again.
        if (main_.holds(e)) ghost_.insert(e->hash_);
        remove(e, out);
    }
    return {};
}

bool shard::insert(entry_ptr e, std::uint32_t hash, time_point now, std::size_t max_size) noexcept {
    bin out;
    const std::lock_guard lock{mutex_};
    // A bump may come between this check and the end of the function, or any time later: look-ups
    // check again. The check keeps out what could not be told apart later, see entry::storable.
    if (!e || e->footprint() > max_size || e->expires() <= now || !e->storable()) {
        ++counters_.refusals;
        return false;
    }
    assert(e->queue_ == 0 && e->hash_ == 0);
    bool proven = ghost_.take(hash);
    std::uint8_t frequency = 0;
    entry* before = index_.find(e->key(), hash);
    if (before != nullptr) {
        proven = main_.holds(before);
        frequency = before->frequency_;
        remove(before, out);
    }
    const bool fits =
        fit_tables() && make_room([&] { return shortage(*e); }, arena_.suits(*e), now, out);
    if (!fits) {
        ++counters_.refusals;
        return false;
    }
    ++counters_.insertions;
    if (before != nullptr) ++counters_.replacements;
    entry* held = nullptr;
    if (arena_.suits(*e)) {
        held = arena_.copy(*e);
    } else {
        held = e.detach();
        blocks_ += held->footprint();
    }
    held->hash_ = hash;
    held->frequency_ = frequency;
    index_.insert(held);
    (proven ? main_ : small_).push(held);
    return true;
}

void shard::moved(const entry* from, entry* to) noexcept {
    index_.moved(from, to);
    (main_.holds(to) ? main_ : small_).moved(to);
}

std::size_t shard::shortage(const entry& e) noexcept {
    if (!arena_.suits(e)) return excess(bytes() + e.footprint());
    if (const std::size_t over = excess(bytes()); over != 0) return over;
    if (arena_.has_room(e)) return 0;
    if (excess(bytes() + arena_.segment_size()) == 0 && arena_.grow()) return 0;
    return e.footprint();
}

std::size_t shard::excess(std::size_t bytes) const noexcept {
    return bytes > max_memory_ ? bytes - max_memory_ : 0;
}

// Squeezing too early would move entries that are about to be evicted anyway. So a sixteenth of the
// arena is left to die first: entries leave about in the order in which they were written, so that
// sixteenth is mostly whole segments, and the emptiest of them costs little to squeeze. Each round
// evicts or empties a segment, or is followed by one that does, so there is an end to it, also when
// readers hold entries in every segment.
template <class Missing>
bool shard::make_room(Missing missing, bool refill, time_point now, bin& out) noexcept {
    // A block wants whole segments to go: moving nearly everything in many of them would hold the
    // lock for too long.
    const std::size_t least_gain = arena_.segment_size() / (refill ? 16 : 4);
    bool squeeze = true;
    while (const std::size_t bytes_missing = missing()) {
        const std::size_t living = small_.bytes() + main_.bytes() - blocks_;
        const std::size_t dead = arena_.bytes() - std::min(arena_.bytes(), living);
        const std::size_t reserve = refill ? arena_.bytes() / dead_share : 0;
        segment* s = squeeze && dead >= reserve ? arena_.emptiest(least_gain) : nullptr;
        if (s != nullptr) {
            squeeze = reclaim(s, refill);
            continue;
        }
        if (index_.size() == 0) return false;
        evict(std::max(bytes_missing, reserve - std::min(reserve, dead)), now, out);
        squeeze = true;
    }
    return true;
}

bool shard::reclaim(segment* s, bool refill) noexcept {
    if (!arena_.squeeze(s, *this)) return false;
    if (refill && bytes() <= max_memory_) {
        arena_.reuse(s);
    } else {
        arena_.release(s);
    }
    return true;
}

void shard::evict(std::size_t bytes, time_point now, bin& out) noexcept {
    const auto held = [this] { return small_.bytes() + main_.bytes(); };
    const std::size_t before = held();
    while (index_.size() != 0 && before - held() < bytes) {
        const bool from_small = small_.bytes() > max_memory_ / 10 || main_.size() == 0;
        from_small ? evict_small(now, out) : evict_main(now, out);
    }
}

void shard::evict_small(time_point now, bin& out) noexcept {
    entry* e = small_.oldest();
    if (drop_stale(e, now, out)) return;
    if (e->frequency_ >= promote_at) {
        small_.remove(e);
        e->frequency_ = 0;
        main_.push(e);
        return;
    }
    ++counters_.evictions;
    ghost_.insert(e->hash_);
    remove(e, out);
}

void shard::evict_main(time_point now, bin& out) noexcept {
    entry* e = main_.oldest();
    if (drop_stale(e, now, out)) return;
    if (e->frequency_ > 0) {
        --e->frequency_;
        main_.rotate();
        return;
    }
    ++counters_.evictions;
    remove(e, out);
}

bool shard::drop_stale(entry* e, time_point now, bin& out) noexcept {
    if (e->state() == freshness::outdated) {
        ++counters_.invalidations;
    } else if (e->expires() <= now) {
        ++counters_.expirations;
    } else {
        return false;
    }
    remove(e, out);
    return true;
}

void shard::remove(entry* e, bin& out) noexcept {
    index_.erase(e);
    (main_.holds(e) ? main_ : small_).remove(e);
    if (arena::segment_of(e) != nullptr) {
        entry_ptr::release(e);  // at once: its room is looked for next
    } else {
        blocks_ -= e->footprint();
        out.take(e);
    }
}

bool shard::fit_tables() noexcept {
    index_.shrink();
    const bool fits_one_more = index_.reserve();
    ghost_.resize(index_.capacity());
    return fits_one_more;
}

void shard::clear() noexcept {
    bin out;
    const std::lock_guard lock{mutex_};
    for (fifo* queue : {&small_, &main_}) {
        while (entry* e = queue->oldest()) remove(e, out);
    }
    arena_.release_empty();
    index_.clear();
    ghost_.clear();
}

void shard::set_max_memory(std::size_t max_memory) noexcept {
    bin out;
    const std::lock_guard lock{mutex_};
    max_memory_ = max_memory;
    // No entry is called expired here: the caller has no clock at hand.
    (void)make_room([this] { return excess(bytes()); }, false, time_point::min(), out);
    (void)fit_tables();
}

store_statistics shard::statistics() const noexcept {
    const std::lock_guard lock{mutex_};
    store_statistics s = counters_;
    s.entries = index_.size();
    s.payload = small_.payload() + main_.payload();
    s.bytes = bytes();
    return s;
}

}  // namespace pgsidecar::cache

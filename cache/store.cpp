#include "cache/store.h"

#include <algorithm>

#include "cache/heap.h"
#include "cache/shard.h"

namespace pgsidecar::cache {

namespace {

// A shard must hold several of the largest entries, or the bound would be spent on gaps.
std::size_t shard_count(const store_options& options) noexcept {
    const std::size_t largest = std::max(options.max_entry_size, std::size_t{1});
    const std::size_t worthwhile = options.max_memory / 8 / largest;
    return std::clamp(worthwhile, std::size_t{1}, std::size_t{std::max(options.shards, 1U)});
}

// The shard is chosen by the other half of the hash, so within one shard these bits still vary.
std::uint32_t slot_hash(const hash128& hash) noexcept {
    return std::max(static_cast<std::uint32_t>(hash.lo >> 32), std::uint32_t{1});
}

}  // namespace

store_statistics& store_statistics::operator+=(const store_statistics& other) noexcept {
    hits += other.hits;
    misses += other.misses;
    insertions += other.insertions;
    replacements += other.replacements;
    refusals += other.refusals;
    evictions += other.evictions;
    invalidations += other.invalidations;
    expirations += other.expirations;
    unsettled += other.unsettled;
    entries += other.entries;
    payload += other.payload;
    bytes += other.bytes;
    return *this;
}

store::store(const store_options& options) : max_entry_size_{options.max_entry_size} {
    shards_.resize(shard_count(options));
    for (auto& s : shards_) s = std::make_unique<shard>(options.max_memory / shards_.size());
}

store::~store() = default;

shard& store::shard_of(const hash128& hash) const noexcept {
    return *shards_[static_cast<std::size_t>(((hash.hi >> 32) * shards_.size()) >> 32)];
}

entry_ptr store::find(std::string_view key, const hash128& hash, time_point now, lookup* why,
                      grace expired) noexcept {
    lookup verdict{};
    entry_ptr found = shard_of(hash).find(key, slot_hash(hash), now, expired, verdict);
    if (why != nullptr) *why = verdict;
    return found;
}

bool store::insert(entry_ptr e, const hash128& hash, time_point now) {
    return shard_of(hash).insert(std::move(e), slot_hash(hash), now,
                                 max_entry_size_.load(std::memory_order_relaxed));
}

bool store::insert(entry_ptr e, time_point now) {
    const hash128 hash = e ? hash_key(e->key()) : hash128{};
    return insert(std::move(e), hash, now);
}

void store::clear() {
    for (auto& s : shards_) s->clear();
    trim_heap();
}

void store::set_limits(std::size_t max_memory, std::size_t max_entry_size) {
    max_entry_size_.store(max_entry_size, std::memory_order_relaxed);
    for (auto& s : shards_) s->set_max_memory(max_memory / shards_.size());
    trim_heap();
}

store::stats store::statistics() const {
    stats sum;
    for (const auto& s : shards_) sum += s->statistics();
    return sum;
}

}  // namespace pgsidecar::cache

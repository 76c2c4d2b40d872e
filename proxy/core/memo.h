// What was made from texts, found again by text; bounded by bytes, forgetting what was not asked
// for since it was last passed over (CLOCK). When it is full a text is let in the second time it
// comes, so that texts that never come again push out nothing (the doorkeeper of TinyLFU). Used by
// one thread. A value lives on with whoever holds it.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pgsidecar::core {

// `key(value)` is a view of text that the value owns.
template <class Value, std::string_view (*key)(const Value&)>
class memo {
  public:
    explicit memo(std::size_t limit) : limit_{limit} {}

    [[nodiscard]] std::shared_ptr<const Value> find(std::string_view text) {
        const auto it = known_.find(text);
        if (it == known_.end()) return nullptr;
        it->second.used = true;
        return it->second.value;
    }
    // `cost`: bytes, its text included. A value that would push out much of the rest is not kept.
    void keep(std::shared_ptr<const Value> value, std::size_t cost) {
        if (cost > limit_ / 8) return;
        const auto text = key(*value);
        if (size_ + cost > limit_ && !came_before(text)) return;
        make_room(cost);
        if (!known_.emplace(text, item{std::move(value), cost}).second) return;
        order_.push_back(text);
        size_ += cost;
    }
    void limit(std::size_t bytes) {
        limit_ = bytes;
        make_room(0);
    }
    [[nodiscard]] std::size_t bytes() const noexcept { return size_; }

  private:
    // Among the last comers, of which each takes the place of one before.
    bool came_before(std::string_view text) {
        comers_.resize(most_comers);
        const std::uint64_t hash = std::hash<std::string_view>{}(text);
        const auto mark = static_cast<std::uint32_t>(hash >> 32U) | 1U;
        return std::exchange(comers_[hash % most_comers], mark) == mark;
    }
    void make_room(std::size_t cost) {
        while (size_ + cost > limit_ && !order_.empty()) {
            const auto oldest = order_.front();
            order_.pop_front();
            const auto it = known_.find(oldest);
            if (std::exchange(it->second.used, false)) {
                order_.push_back(oldest);  // second chance
                continue;
            }
            size_ -= it->second.cost;
            const auto text_owner = it->second.value;
            known_.erase(it);
        }
    }

    struct item {
        std::shared_ptr<const Value> value;
        std::size_t cost = 0;
        bool used = false;
    };
    static constexpr std::size_t most_comers = 1U << 14U;
    std::size_t limit_;
    std::size_t size_ = 0;
    std::vector<std::uint32_t> comers_;  // bits of their hashes; empty until it is full
    std::unordered_map<std::string_view, item> known_;
    std::deque<std::string_view> order_;
};

}  // namespace pgsidecar::core

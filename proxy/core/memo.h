// What was made from texts, found again by text; bounded by bytes, forgetting what was not asked
// for since it was last passed over (CLOCK). Used by one thread. A value lives on with whoever
// holds it.
#pragma once
#include <deque>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>

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
        const auto text = key(*value);
        if (!known_.emplace(text, item{std::move(value), cost}).second) return;
        order_.push_back(text);
        size_ += cost;
    }
    [[nodiscard]] std::size_t bytes() const noexcept { return size_; }

  private:
    struct item {
        std::shared_ptr<const Value> value;
        std::size_t cost = 0;
        bool used = false;
    };
    std::size_t limit_;
    std::size_t size_ = 0;
    std::unordered_map<std::string_view, item> known_;
    std::deque<std::string_view> order_;
};

}  // namespace pgsidecar::core

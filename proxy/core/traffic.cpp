#include "proxy/core/traffic.h"

#include <utility>

namespace pgsidecar::core {

traffic::word traffic::of(std::string_view database) const {
    if (!any_.load(std::memory_order_acquire)) return {};
    const std::lock_guard lock{mutex_};
    const auto it = by_name_.find(database);
    auto out = it == by_name_.end() ? word{} : it->second;
    out.paused = out.paused || everything_paused_;
    return out;
}

bool traffic::set(std::string_view database, bool word::*what, bool value) {
    const std::lock_guard lock{mutex_};
    bool changed = false;
    if (database.empty()) {
        changed = std::exchange(everything_paused_, value) != value;
    } else {
        auto& its = by_name_[std::string{database}];
        changed = std::exchange(its.*what, value) != value;
        if (!its.paused && !its.disabled) by_name_.erase(by_name_.find(database));
    }
    any_.store(everything_paused_ || !by_name_.empty(), std::memory_order_release);
    return changed;
}

bool traffic::everything_paused() const {
    const std::lock_guard lock{mutex_};
    return everything_paused_;
}

std::map<std::string, traffic::word, std::less<>> traffic::words() const {
    const std::lock_guard lock{mutex_};
    return by_name_;
}

}  // namespace pgsidecar::core

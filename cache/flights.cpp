#include "cache/flights.h"

#include <algorithm>
#include <utility>

namespace pgsidecar::cache {

std::size_t flights::name_hash::operator()(const name& n) const noexcept {
    return static_cast<std::size_t>(n.hash.lo);
}

std::size_t flights::name_hash::operator()(const name_view& n) const noexcept {
    return static_cast<std::size_t>(n.hash.lo);
}

flights::part& flights::part_of(const hash128& hash) noexcept {
    return parts_[hash.hi % parts_.size()];
}

const flights::part& flights::part_of(const hash128& hash) const noexcept {
    return parts_[hash.hi % parts_.size()];
}

bool flights::under_way(std::string_view key, const hash128& hash) const {
    const part& p = part_of(hash);
    const std::lock_guard lock{p.mutex};
    return p.flights.contains(name_view{key, hash});
}

flights::role flights::join(std::string_view key, const hash128& hash, waiter who) {
    part& p = part_of(hash);
    const std::lock_guard lock{p.mutex};
    const auto found = p.flights.find(name_view{key, hash});
    if (found == p.flights.end()) {
        p.flights.emplace(name{std::string{key}, hash}, flight{who, {}});
        return role::leader;
    }
    found->second.followers.push_back(who);
    return role::follower;
}

std::vector<flights::waiter> flights::finish(std::string_view key, const hash128& hash,
                                             waiter who) {
    part& p = part_of(hash);
    const std::lock_guard lock{p.mutex};
    const auto found = p.flights.find(name_view{key, hash});
    if (found == p.flights.end() || found->second.leader != who) return {};
    std::vector<waiter> woken = std::move(found->second.followers);
    p.flights.erase(found);
    return woken;
}

std::optional<flights::waiter> flights::leave(std::string_view key, const hash128& hash,
                                              waiter who) {
    part& p = part_of(hash);
    const std::lock_guard lock{p.mutex};
    const auto found = p.flights.find(name_view{key, hash});
    if (found == p.flights.end()) return std::nullopt;
    auto& [leader, followers] = found->second;
    if (leader != who) {
        std::erase(followers, who);
        return std::nullopt;
    }
    if (followers.empty()) {
        p.flights.erase(found);
        return std::nullopt;
    }
    leader = followers.front();
    followers.erase(followers.begin());
    return leader;
}

flights::counts flights::size() const {
    counts sum;
    for (const part& p : parts_) {
        const std::lock_guard lock{p.mutex};
        sum.flights += p.flights.size();
        for (const auto& under_way : p.flights) sum.followers += under_way.second.followers.size();
    }
    return sum;
}

}  // namespace pgsidecar::cache

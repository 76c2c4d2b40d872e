#include "proxy/ops/tenant_series.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "proxy/ops/observations.h"

namespace pgsidecar::ops {
namespace {

using numbers = tenant_series::numbers;

void add(numbers& to, const numbers& from) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

// Zero where it would be less.
void take(numbers& from, const numbers& what) {
    for (std::size_t i = 0; i < from.size(); ++i) from[i] -= std::min(from[i], what[i]);
}

}  // namespace

void tenant_series::end(table::iterator which) {
    add(ended_, which->second);
    before_.erase(which->first);
    named_.erase(which);
}

// A newcomer takes the place of the least used name only when it has twice as much: two that are
// near to each other must not take turns.
void tenant_series::choose(const table& all) {
    std::vector<table::const_iterator> rest;
    for (auto at = all.begin(); at != all.end(); ++at)
        if (at->first != other_name && !named_.contains(at->first)) rest.push_back(at);
    std::ranges::sort(rest, [](const auto& a, const auto& b) {
        return a->second[0] != b->second[0] ? a->second[0] > b->second[0] : a->first < b->first;
    });
    // What was never a part of the sum may be shown from its beginning.
    const bool from_zero = overflowed_;
    if (named_.size() + rest.size() > most_) overflowed_ = true;
    for (const auto& newcomer : rest) {
        if (named_.size() >= most_) {
            const auto least = std::ranges::min_element(named_, [&](const auto& a, const auto& b) {
                return all.find(a.first)->second[0] < all.find(b.first)->second[0];
            });
            if (least == named_.end() ||
                newcomer->second[0] <= 2 * all.find(least->first)->second[0])
                return;
            end(least);
        }
        named_.emplace(newcomer->first, numbers{});
        before_.emplace(newcomer->first, from_zero ? newcomer->second : numbers{});
    }
}

void tenant_series::update(const table& all) {
    for (auto at = named_.begin(); at != named_.end();) {
        const auto gone = at++;
        const auto now = all.find(gone->first);
        // It may have come back from zero since: then it is another one by the same name.
        const auto last = gone->second[0] + before_.find(gone->first)->second[0];
        if (now == all.end() || now->second[0] < last) {
            overflowed_ = true;
            end(gone);
        }
    }
    choose(all);
    numbers sum{};
    for (const auto& [name, now] : all) add(sum, now);
    for (auto& [name, shown] : named_) {
        shown = all.find(name)->second;
        take(shown, before_.find(name)->second);
        take(sum, shown);
    }
    take(sum, ended_);
    for (std::size_t i = 0; i < sum.size(); ++i) others_[i] = std::max(others_[i], sum[i]);
    if (all.contains(other_name)) overflowed_ = true;
}

}  // namespace pgsidecar::ops

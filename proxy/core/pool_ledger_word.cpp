// The operator's word to the ledger, and what it tells of itself.
#include <utility>

#include "proxy/core/pool_ledger.h"
#include "proxy/core/pool_ledger_pool.h"

namespace pgsidecar::core {

bool pool_ledger::held(const pool& p) const { return all_held_ || held_.contains(p.database); }

bool pool_ledger::doomed(const pool& p, const birth& born) const {
    if (altered_ && born.altered != altered()) return true;
    const auto before = [&](std::string_view name) {
        const auto it = outdated_.find(name);
        return it != outdated_.end() && born.opened <= it->second;
    };
    return !outdated_.empty() && (before({}) || before(p.database));
}

bool pool_ledger::outdated(const pool& p, const birth& born) const {
    const std::lock_guard lock{mutex_};
    return doomed(p, born);
}

std::pair<std::string, std::string> pool_ledger::names(const pool& p) {
    return {p.database, p.user};  // they never change
}

void pool_ledger::hold(std::string_view database, orders& todo) {
    const std::lock_guard lock{mutex_};
    if (database.empty())
        all_held_ = true;
    else
        held_.emplace(database);
    for (const auto& [key, p] : pools_)
        while (held(*p) && !p->idle.empty()) close_longest_idle(*p, todo);
}

void pool_ledger::let_go(std::string_view database, time_point now, orders& todo) {
    const std::lock_guard lock{mutex_};
    if (database.empty())
        all_held_ = false;
    else if (const auto it = held_.find(database); it != held_.end())
        held_.erase(it);
    open_for_all(now, todo);
}

void pool_ledger::outdate(std::string_view database, time_point now, orders& todo) {
    const std::lock_guard lock{mutex_};
    outdated_[std::string{database}] = now;
    for (const auto& [key, p] : pools_)
        if (database.empty() || p->database == database)
            while (!p->idle.empty()) close_longest_idle(*p, todo);
    open_for_all(now, todo);
}

std::vector<pool_ledger::overview> pool_ledger::list(time_point now) const {
    const std::lock_guard lock{mutex_};
    std::vector<overview> out;
    for (const auto& [key, p] : pools_) {
        out.push_back(
            {p->database, p->user, {p->total, p->idle.size(), p->opening, p->waiting.size()}, {}});
        if (!p->waiting.empty())
            out.back().longest_wait = std::chrono::duration_cast<std::chrono::milliseconds>(
                now - p->waiting.front().since);
    }
    return out;
}

pool_ledger::counts pool_ledger::count(const pool& p) const {
    const std::lock_guard lock{mutex_};
    return {p.total, p.idle.size(), p.opening, p.waiting.size()};
}

pool_ledger::counts pool_ledger::count() const {
    const std::lock_guard lock{mutex_};
    counts all;
    for (const auto& [key, p] : pools_) {
        all.total += p->total;
        all.idle += p->idle.size();
        all.opening += p->opening;
        all.waiting += p->waiting.size();
    }
    return all;
}

std::size_t pool_ledger::pools() const {
    const std::lock_guard lock{mutex_};
    return pools_.size();
}

}  // namespace pgsidecar::core

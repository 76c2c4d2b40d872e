#include "proxy/core/pool_ledger.h"

#include <algorithm>
#include <utility>

namespace pgsidecar::core {

class pool_ledger::pool {
  public:
    struct idle_one {
        place connection;
        time_point since;
    };
    struct waiting_one {
        place who;
        time_point since;
    };
    std::string database, user;
    std::deque<idle_one> idle;  // the longest first
    std::deque<waiting_one> waiting;
    std::size_t total = 0;
    std::size_t opening = 0;
    unsigned last_worker = 0;
    bool proven = false;  // somebody has logged in
    time_point not_before{};
    std::string error;  // with not_before: what those are told who come earlier
};

pool_ledger::pool_ledger(const config::pool_settings& settings) : settings_{settings} {}

pool_ledger::~pool_ledger() = default;

pool_ledger::pool& pool_ledger::of(std::string_view start_up, std::string_view database,
                                   std::string_view user) {
    const std::lock_guard lock{mutex_};
    const auto it = pools_.find(start_up);
    if (it != pools_.end()) return *it->second;
    auto made = std::make_unique<pool>();
    made->database = database;
    made->user = user;
    return *pools_.emplace(std::string{start_up}, std::move(made)).first->second;
}

bool pool_ledger::within_shared_bounds(const pool& p) const {
    const auto room = [](const auto& counted, const std::string& name, std::size_t most) {
        const auto it = counted.find(name);
        return most == 0 || it == counted.end() || it->second < most;
    };
    return room(by_database_, p.database, settings_.max_db_connections) &&
           room(by_user_, p.user, settings_.max_user_connections);
}

bool pool_ledger::may_open(const pool& p, time_point now) const {
    if (now < p.not_before) return false;
    std::size_t most = settings_.default_pool_size;
    if (!p.waiting.empty() && now - p.waiting.front().since >= settings_.reserve_pool_timeout)
        most += settings_.reserve_pool_size;
    return p.total < most;
}

void pool_ledger::order_open(pool& p, unsigned worker, orders& todo) {
    ++p.total;
    ++p.opening;
    ++by_database_[p.database];
    ++by_user_[p.user];
    todo.open.push_back({&p, worker});
}

void pool_ledger::drop(pool& p) {
    --p.total;
    --by_database_[p.database];
    --by_user_[p.user];
}

// An idle connection of another pool goes, the one that lay longest.
void pool_ledger::make_room(pool& p, orders& todo) {
    while (!within_shared_bounds(p)) {
        const auto full = [](const auto& counted, const std::string& name, std::size_t most) {
            return most != 0 && counted.find(name)->second >= most;
        };
        const bool database = full(by_database_, p.database, settings_.max_db_connections);
        pool* from = nullptr;
        for (const auto& [key, other] : pools_) {
            const bool helps = database ? other->database == p.database : other->user == p.user;
            if (!helps || other->idle.empty()) continue;
            if (!from || other->idle.front().since < from->idle.front().since) from = other.get();
        }
        if (!from) return;
        todo.close.push_back({from, from->idle.front().connection});
        from->idle.pop_front();
        drop(*from);
    }
}

void pool_ledger::open_for_waiting(pool& p, time_point now, orders& todo) {
    while (p.opening < p.waiting.size() && may_open(p, now)) {
        make_room(p, todo);
        if (!within_shared_bounds(p)) return;
        order_open(p, p.waiting[p.opening].who.worker, todo);
    }
}

// Others may have waited for the room that is there now.
void pool_ledger::serve_starving(time_point now, orders& todo) {
    if (settings_.max_db_connections == 0 && settings_.max_user_connections == 0) return;
    for (const auto& [key, p] : pools_) open_for_waiting(*p, now, todo);
}

pool_ledger::acquired pool_ledger::acquire(pool& p, place who, time_point now) {
    const std::lock_guard lock{mutex_};
    acquired out;
    p.last_worker = who.worker;
    if (p.waiting.empty() && !p.idle.empty()) {
        // The one used last, and rather one of the same worker: nothing has to be moved then.
        auto it = std::find_if(p.idle.rbegin(), p.idle.rend(), [&](const pool::idle_one& one) {
            return one.connection.worker == who.worker;
        });
        if (it == p.idle.rend()) it = p.idle.rbegin();
        out.what = answer::take;
        out.connection = it->connection;
        p.idle.erase(std::next(it).base());
        return out;
    }
    if (now < p.not_before && p.total == 0 && !p.error.empty()) {
        out.what = answer::refused;
        out.error = p.error;
        return out;
    }
    p.waiting.push_back({who, now});
    open_for_waiting(p, now, out.todo);
    return out;
}

std::optional<std::uint64_t> pool_ledger::take_own(pool& p, unsigned worker) {
    const std::lock_guard lock{mutex_};
    if (!p.waiting.empty()) return std::nullopt;
    const auto it = std::find_if(p.idle.rbegin(), p.idle.rend(), [&](const pool::idle_one& one) {
        return one.connection.worker == worker;
    });
    if (it == p.idle.rend()) return std::nullopt;
    const auto number = it->connection.id;
    p.idle.erase(std::next(it).base());
    return number;
}

bool pool_ledger::forget(pool& p, place who) {
    const std::lock_guard lock{mutex_};
    const auto it = std::find_if(p.waiting.begin(), p.waiting.end(),
                                 [&](const pool::waiting_one& one) { return one.who == who; });
    if (it == p.waiting.end()) return false;
    p.waiting.erase(it);
    return true;
}

std::optional<pool_ledger::place> pool_ledger::settle(pool& p, place connection, time_point now,
                                                      orders& todo) {
    if (!p.waiting.empty()) {
        const auto first = p.waiting.front().who;
        p.waiting.pop_front();
        return first;
    }
    p.idle.push_back({connection, now});
    serve_starving(now, todo);
    return std::nullopt;
}

std::optional<pool_ledger::place> pool_ledger::released(pool& p, place connection, time_point now,
                                                        orders& todo) {
    const std::lock_guard lock{mutex_};
    return settle(p, connection, now, todo);
}

std::optional<pool_ledger::place> pool_ledger::opened(pool& p, place connection, time_point now,
                                                      orders& todo) {
    const std::lock_guard lock{mutex_};
    --p.opening;
    p.proven = true;
    p.not_before = {};
    p.error.clear();
    return settle(p, connection, now, todo);
}

void pool_ledger::closed(pool& p, time_point now, orders& todo) {
    const std::lock_guard lock{mutex_};
    drop(p);
    open_for_waiting(p, now, todo);
    serve_starving(now, todo);
}

bool pool_ledger::lost(pool& p, place connection, time_point now, orders& todo) {
    const std::lock_guard lock{mutex_};
    const auto it = std::find_if(p.idle.begin(), p.idle.end(), [&](const pool::idle_one& one) {
        return one.connection == connection;
    });
    if (it == p.idle.end()) return false;
    p.idle.erase(it);
    drop(p);
    serve_starving(now, todo);
    return true;
}

std::vector<pool_ledger::place> pool_ledger::failed(pool& p, std::string error, bool unreachable,
                                                    time_point now, orders& todo) {
    const std::lock_guard lock{mutex_};
    --p.opening;
    drop(p);
    std::vector<place> told;
    // While others of the pool are there, whoever waits is served by them.
    const bool alone = p.total == p.opening;
    if (unreachable || !alone) {
        p.not_before = now + settings_.server_login_retry;
        if (unreachable) p.error = error;
    }
    while (alone && !p.waiting.empty() && (unreachable || told.empty())) {
        told.push_back(p.waiting.front().who);
        p.waiting.pop_front();
    }
    open_for_waiting(p, now, todo);
    serve_starving(now, todo);
    return told;
}

void pool_ledger::tick(time_point now, orders& todo) {
    const std::lock_guard lock{mutex_};
    for (const auto& [key, p] : pools_) {
        const auto most_idle = settings_.server_idle_timeout;
        while (most_idle.count() > 0 && !p->idle.empty() && p->total > settings_.min_pool_size &&
               now - p->idle.front().since >= most_idle) {
            todo.close.push_back({p.get(), p->idle.front().connection});
            p->idle.pop_front();
            drop(*p);
        }
        open_for_waiting(*p, now, todo);
        while (p->proven && p->total < settings_.min_pool_size && may_open(*p, now) &&
               within_shared_bounds(*p))
            order_open(*p, p->last_worker, todo);
    }
}

void pool_ledger::close_idle(std::string_view database, orders& todo) {
    const std::lock_guard lock{mutex_};
    for (const auto& [key, p] : pools_) {
        if (p->database != database) continue;
        p->proven = false;
        for (; !p->idle.empty(); p->idle.pop_front()) {
            todo.close.push_back({p.get(), p->idle.front().connection});
            drop(*p);
        }
    }
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

}  // namespace pgsidecar::core

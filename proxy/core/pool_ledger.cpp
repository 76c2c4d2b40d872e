#include "proxy/core/pool_ledger.h"

#include <algorithm>
#include <utility>

#include "proxy/core/pool_ledger_pool.h"

namespace pgsidecar::core {

pool_ledger::pool_ledger(config::pool_settings settings, const std::atomic<std::uint64_t>* altered)
    : settings_{std::move(settings)}, altered_{altered} {}

void pool_ledger::adopt(const config::pool_settings& settings) {
    const std::lock_guard lock{mutex_};
    settings_ = settings;
}

pool_ledger::~pool_ledger() = default;

pool_ledger::pool_ptr pool_ledger::of(std::string_view start_up, std::string_view database,
                                      std::string_view user, const server_credentials& known) {
    const std::lock_guard lock{mutex_};
    auto it = pools_.find(start_up);
    if (it == pools_.end()) {
        it = pools_.emplace(start_up, std::make_shared<pool>()).first;
        it->second->database = database;
        it->second->user = user;
    }
    auto& card = it->second->card;
    if (!card || !known.empty())
        card = std::make_shared<const entry_card>(entry_card{it->first, known});
    return it->second;
}

std::shared_ptr<const pool_ledger::entry_card> pool_ledger::card(const pool& p) const {
    const std::lock_guard lock{mutex_};
    return p.card;
}

bool pool_ledger::full(const counted& by, const std::string& name, std::size_t most) {
    const auto it = by.find(name);
    return most != 0 && it != by.end() && it->second >= most;
}

bool pool_ledger::may_open(const pool& p, time_point now) const {
    if (held(p)) return false;
    // A refused log-in holds the next one back only while there are others to wait for.
    if (now < p.not_before && (p.total > p.opening || !p.error.empty())) return false;
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
    todo.open.push_back({p.shared_from_this(), worker});
}

void pool_ledger::drop(pool& p) {
    --p.total;
    const auto count_down = [](counted& by, const std::string& name) {
        const auto it = by.find(name);
        if (--it->second == 0) by.erase(it);
    };
    count_down(by_database_, p.database);
    count_down(by_user_, p.user);
}

pool_ledger::pool* pool_ledger::longest_idle(std::string pool::*name, const pool& p) const {
    pool* from = nullptr;
    for (const auto& [key, other] : pools_) {
        if (other.get()->*name != p.*name || other->idle.empty()) continue;
        if (!from || other->idle.front().since < from->idle.front().since) from = other.get();
    }
    return from;
}

// Idle connections of other pools go, those that lay longest: one of the database, one of the user
// where that is not enough. False: there is no room, and nothing was closed in vain.
bool pool_ledger::make_room(const pool& p, orders& todo) {
    pool *of_database = nullptr, *of_user = nullptr;
    if (full(by_database_, p.database, settings_.max_db_connections)) {
        of_database = longest_idle(&pool::database, p);
        if (!of_database) return false;
    }
    if (full(by_user_, p.user, settings_.max_user_connections) &&
        (!of_database || of_database->user != p.user)) {
        of_user = longest_idle(&pool::user, p);
        if (!of_user) return false;
    }
    for (pool* from : {of_database, of_user})
        if (from) close_longest_idle(*from, todo);
    return true;
}

void pool_ledger::close_longest_idle(pool& p, orders& todo) {
    todo.close.push_back({p.shared_from_this(), p.idle.front().connection});
    p.idle.erase(p.idle.begin());
    drop(p);
}

void pool_ledger::open_for_waiting(pool& p, time_point now, orders& todo) {
    while (p.opening < p.waiting.size() && may_open(p, now) && make_room(p, todo))
        order_open(p, p.waiting[p.opening].who.worker, todo);
}

// Others may have waited for the room that is there now.
void pool_ledger::serve_starving(time_point now, orders& todo) {
    if (settings_.max_db_connections == 0 && settings_.max_user_connections == 0) return;
    open_for_all(now, todo);
}

// Those whose first has waited longest come first.
void pool_ledger::open_for_all(time_point now, orders& todo) {
    std::vector<pool*> wanting;
    for (const auto& [key, p] : pools_)
        if (p->opening < p->waiting.size()) wanting.push_back(p.get());
    std::ranges::stable_sort(wanting, {}, [](const pool* p) { return p->waiting.front().since; });
    for (auto* p : wanting) open_for_waiting(*p, now, todo);
}

pool_ledger::acquired pool_ledger::acquire(pool& p, place who, time_point now) {
    const std::lock_guard lock{mutex_};
    acquired out;
    p.last_worker = who.worker;
    close_altered(out.todo);
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
    if (now < p.not_before && p.total == 0 && !p.error.empty() && !held(p)) {
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
    if (!p.waiting.empty() || altered() != seen_) return std::nullopt;
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

std::optional<pool_ledger::place> pool_ledger::settle(pool& p, place connection, const birth& born,
                                                      time_point now, orders& todo) {
    if (held(p) || doomed(p, born)) {
        todo.close.push_back({p.shared_from_this(), connection});
        drop(p);
        open_for_waiting(p, now, todo);
        serve_starving(now, todo);
        return std::nullopt;
    }
    if (!p.waiting.empty()) {
        const auto first = p.waiting.front().who;
        p.waiting.pop_front();
        return first;
    }
    p.idle.push_back({connection, now, born});
    serve_starving(now, todo);
    return std::nullopt;
}

std::optional<pool_ledger::place> pool_ledger::released(pool& p, place connection,
                                                        const birth& born, time_point now,
                                                        orders& todo) {
    const std::lock_guard lock{mutex_};
    return settle(p, connection, born, now, todo);
}

std::optional<pool_ledger::place> pool_ledger::opened(pool& p, place connection, const birth& born,
                                                      time_point now, orders& todo) {
    const std::lock_guard lock{mutex_};
    --p.opening;
    p.proven = true;
    p.not_before = {};
    p.error.clear();
    const auto whose = settle(p, connection, born, now, todo);
    open_for_waiting(p, now, todo);  // they were held back, perhaps
    return whose;
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
    const bool alone = p.total == p.opening && !held(p);
    p.not_before = now + settings_.server_login_retry;
    // A server that refuses is there; and whom it refuses has to log in before more is opened.
    p.error = unreachable ? std::move(error) : std::string{};
    if (!unreachable && alone) p.proven = false;
    while (alone && !p.waiting.empty() && (unreachable || told.empty())) {
        told.push_back(p.waiting.front().who);
        p.waiting.pop_front();
    }
    open_for_waiting(p, now, todo);
    serve_starving(now, todo);
    return told;
}

void pool_ledger::close_old(pool& p, time_point now, orders& todo) {
    const auto most_idle = settings_.server_idle_timeout;
    while (most_idle.count() > 0 && !p.idle.empty() && p.total > settings_.min_pool_size &&
           now - p.idle.front().since >= most_idle)
        close_longest_idle(p, todo);
    // The pool has become smaller.
    const std::size_t most = settings_.default_pool_size + settings_.reserve_pool_size;
    while (p.total > most && !p.idle.empty()) close_longest_idle(p, todo);
    if (settings_.server_lifetime.count() == 0) return;  // after their first use, that is
    close_idle_if(
        p, todo, [&](const birth& born) { return now - born.opened >= settings_.server_lifetime; });
}

void pool_ledger::close_idle_if(pool& p, orders& todo,
                                const std::function<bool(const birth&)>& which) {
    std::erase_if(p.idle, [&](const pool::idle_one& one) {
        if (!which(one.born)) return false;
        todo.close.push_back({p.shared_from_this(), one.connection});
        drop(p);
        return true;
    });
}

std::uint64_t pool_ledger::altered() const noexcept { return altered_ ? altered_->load() : 0; }

// What logged in before the defaults were altered is of no use to anybody. What becomes idle later
// is looked at then, so one look for each alteration is enough.
void pool_ledger::close_altered(orders& todo) {
    const auto now = altered();
    if (seen_ == now) return;
    seen_ = now;
    for (const auto& [key, p] : pools_)
        close_idle_if(*p, todo, [now](const birth& born) { return born.altered != now; });
}

void pool_ledger::tick(time_point now, orders& todo) {
    const std::lock_guard lock{mutex_};
    close_altered(todo);
    for (const auto& [key, p] : pools_) close_old(*p, now, todo);
    // Who waits goes before sizes that are to be kept.
    open_for_all(now, todo);
    for (const auto& [key, p] : pools_) {
        while (p->proven && p->total < settings_.min_pool_size && may_open(*p, now) &&
               !full(by_database_, p->database, settings_.max_db_connections) &&
               !full(by_user_, p->user, settings_.max_user_connections))
            order_open(*p, p->last_worker, todo);
    }
    // Nobody else has it, and nobody can get it now.
    std::erase_if(pools_, [now](const auto& item) {
        const auto& p = *item.second;
        return item.second.use_count() == 1 && p.total == 0 && now >= p.not_before;
    });
}

void pool_ledger::close_idle(std::string_view database, orders& todo) {
    const std::lock_guard lock{mutex_};
    for (const auto& [key, p] : pools_) {
        if (p->database != database) continue;
        p->proven = false;
        while (!p->idle.empty()) close_longest_idle(*p, todo);
    }
}

}  // namespace pgsidecar::core

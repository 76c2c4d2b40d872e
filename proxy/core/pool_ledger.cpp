#include "proxy/core/pool_ledger.h"

#include <algorithm>
#include <utility>

namespace pgsidecar::core {

class pool_ledger::pool : public std::enable_shared_from_this<pool> {
  public:
    struct idle_one {
        place connection;
        time_point since, opened;
    };
    struct waiting_one {
        place who;
        time_point since;
    };
    std::string database, user;
    std::shared_ptr<const entry_card> card;
    std::vector<idle_one> idle;  // the longest first
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

std::optional<pool_ledger::place> pool_ledger::settle(pool& p, place connection, time_point since,
                                                      time_point now, orders& todo) {
    if (held(p) || doomed(p, since)) {
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
    p.idle.push_back({connection, now, since});
    serve_starving(now, todo);
    return std::nullopt;
}

std::optional<pool_ledger::place> pool_ledger::released(pool& p, place connection, time_point since,
                                                        time_point now, orders& todo) {
    const std::lock_guard lock{mutex_};
    return settle(p, connection, since, now, todo);
}

std::optional<pool_ledger::place> pool_ledger::opened(pool& p, place connection, time_point now,
                                                      orders& todo) {
    const std::lock_guard lock{mutex_};
    --p.opening;
    p.proven = true;
    p.not_before = {};
    p.error.clear();
    const auto whose = settle(p, connection, now, now, todo);
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
    if (settings_.server_lifetime.count() == 0) return;  // after their first use, that is
    std::erase_if(p.idle, [&](const pool::idle_one& one) {
        if (now - one.opened < settings_.server_lifetime) return false;
        todo.close.push_back({p.shared_from_this(), one.connection});
        drop(p);
        return true;
    });
}

void pool_ledger::tick(time_point now, orders& todo) {
    const std::lock_guard lock{mutex_};
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

bool pool_ledger::held(const pool& p) const { return all_held_ || held_.contains(p.database); }

bool pool_ledger::doomed(const pool& p, time_point opened) const {
    const auto before = [&](std::string_view name) {
        const auto it = outdated_.find(name);
        return it != outdated_.end() && opened <= it->second;
    };
    return !outdated_.empty() && (before({}) || before(p.database));
}

bool pool_ledger::outdated(const pool& p, time_point opened) const {
    const std::lock_guard lock{mutex_};
    return doomed(p, opened);
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

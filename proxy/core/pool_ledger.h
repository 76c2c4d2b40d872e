// Who waits for a server connection, which connections lie idle, and how many there may be: one
// ledger for all workers, so that a pool's size is one number and nobody waits while an idle
// connection lies with another worker. It keeps names of connections, never the connections: what
// it answers is for the caller to do. Any thread; each call takes one lock.
//
//     acquire -> take (ours) | move (another worker's) | wait, and perhaps an order to open
//     opened, released -> the first who waits, or idle
//
// A pool lives as long as somebody has it: its sessions, its connections, what is on its way;
// without them until its last refusal is stale.
//
// A connection is one of its pool from the order to open it until closed(), failed() or an order to
// close it. PgBouncer's meanings: default_pool_size, min_pool_size, reserve_pool_*, max_db_*,
// max_user_connections, server_idle_timeout, server_lifetime, server_login_retry.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "proxy/core/authenticator.h"

namespace pgsidecar::core {

class pool_ledger {
  public:
    using time_point = std::chrono::steady_clock::time_point;

    // Who waits: a session, by its worker and token. Or a connection, by its worker and number.
    struct place {
        unsigned worker = 0;
        std::uint64_t id = 0;
        bool operator==(const place&) const = default;
    };
    class pool;
    using pool_ptr = std::shared_ptr<pool>;
    // With what its connections are opened.
    struct entry_card {
        std::string start_up;  // the packet
        server_credentials known;
    };
    struct order_to_open {
        pool_ptr of;
        unsigned worker = 0;  // that of who waits first
    };
    struct order_to_close {
        pool_ptr of;
        place connection{};
    };
    struct orders {
        std::vector<order_to_open> open;
        std::vector<order_to_close> close;
    };

    // Of a connection: when it was opened, and databases::defaults_altered before its log-in.
    struct birth {
        time_point opened{};
        std::uint64_t altered = 0;
    };

    // `altered`: databases::defaults_altered, if there is such a thing. A connection that logged in
    // before it moved is given to nobody and closed, idle or as soon as it is free.
    explicit pool_ledger(config::pool_settings settings,
                         const std::atomic<std::uint64_t>* altered = nullptr);
    ~pool_ledger();
    pool_ledger(const pool_ledger&) = delete;
    pool_ledger& operator=(const pool_ledger&) = delete;

    // Other sizes and times from now on. What is above a smaller size is closed when it is idle.
    void adopt(const config::pool_settings& settings);
    // `known`: what a log-in has shown just now, with which connections are opened from then on.
    // Who was let in without a password has shown nothing: what another log-in has shown stands.
    [[nodiscard]] pool_ptr of(std::string_view start_up, std::string_view database,
                              std::string_view user, const server_credentials& known = {});
    [[nodiscard]] std::shared_ptr<const entry_card> card(const pool& p) const;

    enum class answer : std::uint8_t { take, wait, refused };
    struct acquired {
        answer what = answer::wait;
        place connection{};   // take: with whom it lies; of another worker: to be fetched there
        std::string error{};  // refused: ErrorResponse of the last attempt to connect
        orders todo{};
    };
    [[nodiscard]] acquired acquire(pool& p, place who, time_point now);
    // The number of an idle connection of this very worker, if there is one.
    [[nodiscard]] std::optional<std::uint64_t> take_own(pool& p, unsigned worker);
    // False: it has been given a connection already, which is on its way.
    bool forget(pool& p, place who);

    // A connection is free: whose it is now; nothing: it lies idle with its worker, or is to be
    // closed, where `todo` says so.
    [[nodiscard]] std::optional<place> released(pool& p, place connection, const birth& born,
                                                time_point now, orders& todo);
    [[nodiscard]] std::optional<place> opened(pool& p, place connection, const birth& born,
                                              time_point now, orders& todo);
    // It was in use, or on its way.
    void closed(pool& p, time_point now, orders& todo);
    // The server has ended an idle one. False: somebody has been given it meanwhile.
    [[nodiscard]] bool lost(pool& p, place connection, time_point now, orders& todo);
    // An attempt to open has failed: who is to be told `error`, an ErrorResponse. `unreachable`:
    // nothing answered, so the next ones need not try at once.
    [[nodiscard]] std::vector<place> failed(pool& p, std::string error, bool unreachable,
                                            time_point now, orders& todo);
    // What time brings: idle and old ones to close, reserves and minimum sizes to open. Several
    // times a second.
    void tick(time_point now, orders& todo);
    // Every idle connection to that database.
    void close_idle(std::string_view database, orders& todo);

    // The operator's word; an empty name is every database, a word apart from those by name.
    // hold(): idle connections are closed, others as they become free, none is opened, and who asks
    // waits, until let_go(). outdate(): every connection opened before goes when it becomes free.
    void hold(std::string_view database, orders& todo);
    void let_go(std::string_view database, time_point now, orders& todo);
    void outdate(std::string_view database, time_point now, orders& todo);

    struct counts {
        std::size_t total = 0, idle = 0, opening = 0, waiting = 0;
    };
    [[nodiscard]] counts count(const pool& p) const;
    [[nodiscard]] counts count() const;  // of all pools
    // It goes when it becomes free.
    [[nodiscard]] bool outdated(const pool& p, const birth& born) const;
    [[nodiscard]] static std::pair<std::string, std::string> names(
        const pool& p);  // database, user
    struct overview {
        std::string database, user;
        counts of;
        std::chrono::milliseconds longest_wait{0};
    };
    [[nodiscard]] std::vector<overview> list(time_point now) const;
    [[nodiscard]] std::size_t pools() const;

  private:
    using counted = std::map<std::string, std::size_t, std::less<>>;

    [[nodiscard]] static bool full(const counted& by, const std::string& name, std::size_t most);
    [[nodiscard]] bool held(const pool& p) const;
    [[nodiscard]] bool doomed(const pool& p, const birth& born) const;
    [[nodiscard]] std::uint64_t altered() const noexcept;
    [[nodiscard]] bool may_open(const pool& p, time_point now) const;
    void open_for_waiting(pool& p, time_point now, orders& todo);
    void order_open(pool& p, unsigned worker, orders& todo);
    [[nodiscard]] pool* longest_idle(std::string pool::*name, const pool& p) const;
    [[nodiscard]] bool make_room(const pool& p, orders& todo);
    void close_longest_idle(pool& p, orders& todo);
    void serve_starving(time_point now, orders& todo);
    void open_for_all(time_point now, orders& todo);
    [[nodiscard]] std::optional<place> settle(pool& p, place connection, const birth& born,
                                              time_point now, orders& todo);
    void drop(pool& p);
    void close_idle_if(pool& p, orders& todo, const std::function<bool(const birth&)>& which);
    void close_altered(orders& todo);
    void close_old(pool& p, time_point now, orders& todo);

    mutable std::mutex mutex_;
    config::pool_settings settings_;
    std::map<std::string, pool_ptr, std::less<>> pools_;
    counted by_database_, by_user_;
    bool all_held_ = false;
    std::set<std::string, std::less<>> held_;
    std::map<std::string, time_point, std::less<>> outdated_;  // "" is every database
    const std::atomic<std::uint64_t>* altered_;
    std::uint64_t seen_ = 0;  // of `altered_`: no idle connection is older
};

}  // namespace pgsidecar::core

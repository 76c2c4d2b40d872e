// Many sessions over several workers, a model server, and a network in virtual time that delays,
// splits and cuts: everything that happens follows from the seed. Every reply is checked:
//   - frames in the order that the protocol has them, statuses as the transaction is
//   - no value older than a write that was acknowledged, to anybody, before the read was sent
//   - no session reads an older value than it has itself read before
//   - nothing uncommitted, nothing rolled back, no other tenant's row; own writes are seen
//   - cancelled is only what was cancelled; no error that the server would not have given
// With limits of tenants in force (simulation_limits.h), which the seed chooses:
//   - an error of theirs refuses only what they may; what it says of a write is true
//   - nothing that a client was told has failed is ever committed
//   - neither places nor tokens are given beyond the limits
// With pool_mode: transaction (simulation_pool.h), where the sessions share fewer server
// connections:
//   - every answer is what a server connection of the client's own would give: its settings, path,
//     role and prepared statements, and what it was told of its settings
//   - a connection that is given back is what its server_link says, and holds nobody's things
//   - a session without a server connection does not notice that one has broken
//   - nobody waits while a connection of its pool is idle; at the end none is lost
// At the end every count of commits in flight, writers, clients, places and waiters is at rest.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "proxy/core/pool_ledger.h"
#include "tests/core/model_server.h"
#include "tests/core/simulation_limits.h"
#include "tests/core/world.h"

namespace core_test {

struct simulation_options {
    std::uint64_t seed = 1;
    std::size_t steps = 1000;  // requests of all clients together
    std::size_t clients = 6;
    std::size_t workers = 3;
    bool limits = false;  // of tenants are in force
    bool pooled = false;  // sessions share server connections; not together with limits
    bool trace = false;   // tells standard error of what is sent, and where
};

struct simulation_report {
    std::string violation;  // the first; "" when there is none
    std::map<policy::reason, std::size_t> outcomes;
    std::size_t connections = 0;
    std::size_t unsettled = 0;
    std::array<std::uint64_t, policy::limit_kinds> met{};  // of each limit
    std::size_t kept = 0;                                  // told to be too long, and written
    std::size_t unconfirmed = 0;                           // answered for without the server
    std::size_t given_up = 0;  // connections, for a server that did not react
    std::size_t lines = 0;     // server connections of pools
    std::size_t attached = 0;  // how often one was given to a session
    std::size_t unfit = 0;     // or was taken back to be closed
    std::size_t refused = 0;   // requests for which none was there
};

class chance {
  public:
    explicit chance(std::uint64_t seed) : state_{seed} {}
    std::uint64_t next() {  // splitmix64
        std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27U)) * 0x94D049BB133111EB;
        return z ^ (z >> 31U);
    }
    std::size_t below(std::size_t n) { return next() % n; }
    bool one_in(std::size_t n) { return below(n) == 0; }

  private:
    std::uint64_t state_;
};

class simulated_client;
struct simulated_pool;
struct shared_line;

// Clock, events, network, server and the proxy's shared state.
class simulation : pool_host {
  public:
    explicit simulation(const simulation_options& options);
    ~simulation() override;
    [[nodiscard]] simulation_report run();

    // For the clients.
    void after(std::size_t most, std::function<void()> what);
    void violate(const std::string& what);
    [[nodiscard]] bool over() const { return steps_left_ == 0 || !report_.violation.empty(); }
    // Every second seed writes little, so that entries live.
    [[nodiscard]] bool calm() const { return options_.seed % 2 == 0; }
    void count_step() { steps_left_ -= steps_left_ > 0 ? 1U : 0U; }
    [[nodiscard]] long fresh_value() { return ++last_value_; }
    [[nodiscard]] model_database& database() { return database_; }
    [[nodiscard]] chance& luck() { return luck_; }
    void acknowledge(const std::map<std::string, long>& writes);
    void forbid(long value);  // it must never be committed
    [[nodiscard]] const simulated_limits* limits() const { return limits_ ? &*limits_ : nullptr; }
    [[nodiscard]] const simulated_pool* pool() const { return pool_.get(); }
    [[nodiscard]] simulation_report& report() { return report_; }
    // The newest place in the row's history that somebody has been told of.
    [[nodiscard]] std::size_t acknowledged(const std::string& row) const;

    struct connection;
    // A connection of the proxy to the server; lives until the simulation ends.
    struct line {
        line(model_database& db, std::int32_t pid);
        ~line();
        backend server;
        connection* user = nullptr;  // whose it is now
        // Of each direction: when the last piece under way arrives.
        std::uint64_t proxy_to_server = 0, server_to_proxy = 0;
        std::uint64_t stepped = 0;      // when the server's last planned step is
        std::size_t lag = 10;           // of what the server sends: how late a commit is known
        std::size_t under_way = 0;      // pieces between the proxy and the server
        std::size_t planned_steps = 0;  // of the server: the last one counts
        bool stepping = false, cut = false;
        std::unique_ptr<shared_line> shared;  // null: it is a session's own
    };
    // One client's connection through the proxy; lives until the simulation ends.
    struct connection {
        connection(world& w, std::uint64_t of, std::size_t at_worker, pool_host* host)
            : proxy{w, of, at_worker, host}, token{of}, worker{static_cast<unsigned>(at_worker)} {}
        wired proxy;
        std::uint64_t token;
        unsigned worker;
        line* at = nullptr;  // null: it has no server connection
        simulated_client* client = nullptr;
        std::uint64_t client_to_proxy = 0, proxy_to_client = 0;
        passage passed;
        std::size_t own_cancels = 0;  // sent by the session itself
        core::session::time_point watched = core::limiter::never;
        core::pool_ledger::pool* pool = nullptr;
        bool acquiring = false;
        bool client_left = false, proxy_ended = false;
        bool server_cut = false;  // while it was this client's, or on its way to it
        bool restore_refused = false;
    };
    connection& open(simulated_client& client);
    void send(connection& c, const std::string& bytes);  // from the client
    void leave(connection& c);                           // the client is gone
    void cut_server(connection& c);                      // its own; with a pool any
    void cancel(connection& c, std::function<void()> done);

  private:
    struct event {
        std::uint64_t at, order;
        std::function<void()> what;
        bool operator<(const event& other) const {
            return at != other.at ? at > other.at : order > other.order;
        }
    };
    using deliver = std::function<void(const std::string&)>;
    std::size_t transfer(std::uint64_t& last, const std::string& bytes, const deliver& to,
                         std::size_t lag = 10);
    void trace(const connection& c, const char* what, std::string_view bytes) const;
    void at_end_of(std::uint64_t& last, std::function<void()> what);
    void collect(connection& c);
    line& add_line();
    void cut(line& l);
    void send_to_server(line& l, const std::string& bytes);
    void arrive(line& l, const std::string& piece);
    void ended_for_proxy(line& l);
    void pump_server(line& l);
    void plan_step(line& l, std::uint64_t within);
    void wake_later(const core::wake_up& wake);
    void end_later(connection& c);
    void watch(connection& c);
    void cancel_by_itself(connection& c);
    void watch_limits(connection& c, std::string_view to_server, std::size_t hits, bool quiet);
    void end_of_limits();
    void switch_later();
    void settle_later(line& l, const core::unsettled_commit& lost);

    // simulation_pool.cpp
    void begin_pool();
    void join(std::uint64_t token) override;
    [[nodiscard]] core::server_link* take_now(std::uint64_t token) override;
    void acquire(std::uint64_t token) override;
    void forget(std::uint64_t token) override;
    void give_back(std::uint64_t token, std::string_view unread) override;
    [[nodiscard]] connection& of(std::uint64_t token);
    void lend(line& l, connection& c);
    [[nodiscard]] line* take_idle(unsigned worker, std::uint64_t number);
    void fetch(core::pool_ledger::pool& p, unsigned worker, std::uint64_t number,
               core::pool_ledger::place whose);
    void take_back(line& l);
    void settle(line& l, const std::optional<core::pool_ledger::place>& whose);
    void hand_over(line& l, std::uint64_t token);
    void keep(line& l);
    void look_at_idle(line& l);
    void destroy(line& l);
    void say_goodbye(line& l);
    void open_shared(core::pool_ledger::pool& p, unsigned worker);
    void log_in_shared(line& l);
    void fail_shared(line& l, std::string error, bool unreachable);
    void carry_out(const core::pool_ledger::orders& todo);
    void check_given_back(const line& l);
    void tick();
    void end_with_pool(connection& c);
    void end_of_pool();

    simulation_options options_;
    chance luck_;
    std::optional<simulated_limits> limits_;
    std::optional<limits_watch> watch_;
    world world_;
    model_database database_;
    std::priority_queue<event> events_;
    std::uint64_t now_ = 0, order_ = 0;
    std::unique_ptr<simulated_pool> pool_;
    std::vector<std::unique_ptr<line>> lines_;
    std::vector<std::unique_ptr<connection>> connections_;
    std::vector<std::unique_ptr<simulated_client>> clients_;
    std::map<std::string, std::size_t> acknowledged_;
    std::vector<long> forbidden_;
    simulation_report report_;
    std::size_t steps_left_;
    long last_value_ = 1000;
};

}  // namespace core_test

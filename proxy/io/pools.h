// The shared server connections of one worker: those that lie idle with it, those that it opens,
// and what of them goes to other workers. How many there may be and who is served first the ledger
// of all workers decides. Used on the worker's thread; what comes from others is posted there.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "proxy/core/pool_ledger.h"
#include "proxy/core/pool_login.h"
#include "proxy/io/connector.h"
#include "proxy/io/transport.h"

namespace pgsidecar::ops {
struct live_server;
}

namespace pgsidecar::io {

class worker;

struct pooled_connection {
    std::unique_ptr<transport> io;
    std::unique_ptr<core::server_link> link;
    core::pool_ledger::pool_ptr of;
    std::uint64_t number = 0;  // among its worker's
    [[nodiscard]] core::pool_ledger::birth born() const {
        return {link->opened, link->login_altered};
    }
};
using pooled_ptr = std::unique_ptr<pooled_connection>;

class pools {
  public:
    using pool = core::pool_ledger::pool;
    using pool_ptr = core::pool_ledger::pool_ptr;
    using place = core::pool_ledger::place;

    pools(worker& home, core::pool_ledger& ledger) : home_{home}, ledger_{ledger} {}
    pools(const pools&) = delete;
    pools& operator=(const pools&) = delete;

    // `known`: what the client's log-in has shown, with which connections are opened from now on.
    [[nodiscard]] pool_ptr join(const std::string& start_up, const std::string& database,
                                const std::string& user, const core::server_credentials& known);
    // A connection at once; or it comes later, to the pump's on_server() or on_no_server(); or
    // there is none, and `error` says why.
    [[nodiscard]] pooled_ptr acquire(const pool_ptr& p, std::uint64_t token, std::string& error);
    [[nodiscard]] pooled_ptr take_now(pool& p);  // one that lies idle here, or null
    void forget(pool& p, std::uint64_t token);
    void release(pooled_ptr connection);  // free for others
    void destroy(pooled_ptr connection);  // was in use
    void carry_out(const core::pool_ledger::orders& todo);
    void tell(std::vector<ops::live_server>& servers);  // of those that lie idle
    void stop();

  private:
    class opener;

    void open(const pool_ptr& p);
    void opened(pooled_ptr connection);
    void failed(pool& p, const std::string& error, bool unreachable);
    void settle(pooled_ptr connection, const std::optional<place>& whose);
    void keep(pooled_ptr connection);
    void watch(pooled_connection& idle);
    void on_idle_event(boost::system::error_code error, std::uint64_t number);
    void close_idle(std::uint64_t number);
    void fetch(pool& p, std::uint64_t number, place whose);
    void deliver(pooled_ptr connection, std::uint64_t token);
    static void say_goodbye(pooled_connection& connection);
    [[nodiscard]] pooled_ptr take_idle(std::uint64_t number);

    worker& home_;
    core::pool_ledger& ledger_;
    using idle_list = std::vector<pooled_ptr>;
    [[nodiscard]] idle_list::iterator find_idle(std::uint64_t number);
    idle_list idle_;  // by their numbers: the last one used is the last, and the next to be used
    std::unordered_map<opener*, std::shared_ptr<opener>> opening_;
    std::uint64_t next_ = 1;
    bool stopped_ = false;
};

}  // namespace pgsidecar::io

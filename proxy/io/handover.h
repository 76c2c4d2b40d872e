// Two processes, one port: how the one that is running (the old) gives its place to the next (the
// new) without a client's notice. On main()'s thread.
//
//   new                                old
//   connects to takeover_socket        checks the user
//   "take_over" ->                     <- "database" for each that has clients
//                                      <- "listener" with the listening socket itself: what waits
//                                         in its queue is never lost, whoever accepts it
//   reads their catalogs               serves on
//   "ready" ->                         accepts no more, suspends its cache, waits until no worker
//                                         is in the middle of a look-up
//   accepts; cache off                 <- "yours"; leaving: ends when its clients have gone
//   "cancel" -> (a key it does not know)  <- "cancelled"
//   "stop" -> (this one was told to end)  ends, too
//
// The old keeps the listening socket. When the new goes before it was ready nothing has changed;
// when it goes later and nobody else answers at takeover_socket, the old accepts again. If somebody
// does, he is the new one: the old tells him "leaving". Who may accept and who may cache is decided
// by the lock file alone (serving_lock.h).
#pragma once
#include <atomic>
#include <boost/asio/generic/seq_packet_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/io/cache_guard.h"
#include "proxy/io/packet_socket.h"
#include "proxy/io/serving_lock.h"

namespace pgsidecar::io {

class server;

class handover {
  public:
    // Throws std::runtime_error: another process is there and its place was not asked for, or it
    // does not give it.
    handover(boost::asio::io_context& context, server& owner, bool take_over);
    ~handover();
    handover(const handover&) = delete;
    handover& operator=(const handover&) = delete;

    // The place of another process is being taken; its listening socket, once.
    [[nodiscard]] bool takes_over() const noexcept { return static_cast<bool>(asked_); }
    [[nodiscard]] int inherited_listener() noexcept { return listener_.release(); }
    // Those that clients of the other process work in. A session that logs in before its database's
    // catalogs were read could not be told which defaults it got.
    [[nodiscard]] const std::vector<std::string>& databases_in_use() const noexcept {
        return databases_in_use_;
    }
    // Everything is ready: from here on this process may accept. Throws std::runtime_error.
    void begin();
    // The program was told to end: so do those before it, and the listening socket goes.
    void stop();

    // From any thread. Another process's client may have that key; `done` comes on main()'s.
    void cancel(std::int32_t pid, std::string key, std::function<void()> done);
    [[nodiscard]] bool has_predecessors() const noexcept { return predecessors_known_.load() > 0; }
    [[nodiscard]] std::size_t predecessors() const noexcept { return predecessors_.size(); }

  private:
    using socket = boost::asio::generic::seq_packet_protocol::socket;
    enum class role : std::uint8_t { unknown, candidate, successor, predecessor };
    struct link;
    using link_ptr = std::shared_ptr<link>;
    struct cancel_request;

    void ask_for_place();
    void open_path();
    void wait_for_connections();
    [[nodiscard]] link_ptr adopt(descriptor connection, role what);
    void wait(const link_ptr& from);
    void on_packet(const link_ptr& from, const std::string& text);
    void on_take_over(const link_ptr& from, const std::string& version);
    void give_place();
    void on_workers_at_rest();
    void pass_cancel(const link_ptr& from, const std::string& text);
    void answered(std::uint64_t id);
    void lost(const link_ptr& gone);
    void find_successor();
    void leave(const link_ptr& to);
    void take_back();

    boost::asio::io_context& context_;
    server& server_;
    const std::string path_;
    serving_lock lock_;
    cache_guard guard_;
    descriptor asked_;     // to the process whose place is being taken
    descriptor listener_;  // on its way from it, or kept while leaving
    std::vector<std::string> databases_in_use_;
    bool alone_ = false;     // nobody else served when this process began
    bool yielding_ = false;  // to candidate_, which may have gone meanwhile
    bool stopped_ = false;
    std::unique_ptr<socket> path_listener_;
    boost::asio::steady_timer retry_;
    link_ptr candidate_;
    link_ptr successor_;
    std::vector<link_ptr> predecessors_;
    std::atomic<std::size_t> predecessors_known_{0};
    std::map<std::uint64_t, std::shared_ptr<cancel_request>> cancels_;
    std::uint64_t next_cancel_ = 0;
};

}  // namespace pgsidecar::io

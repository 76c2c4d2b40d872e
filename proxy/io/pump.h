// Drives one session: the client's and the server's connection, what is left of half-read messages,
// backpressure, and the session's actions. Kept alive by the handlers of its own waits, and by its
// worker's list until it has ended. Everything runs on the worker's thread.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/address.h"
#include "proxy/core/session.h"
#include "proxy/io/connector.h"
#include "proxy/io/pools.h"
#include "proxy/io/rest.h"
#include "proxy/io/transport.h"
#include "proxy/ops/observations.h"

namespace pgsidecar::ops {
struct console_answer;
struct live_client;
struct live_server;
}  // namespace pgsidecar::ops

namespace pgsidecar::io {

class worker;

class pump : public std::enable_shared_from_this<pump>, private core::server_source {
  public:
    pump(worker& home, tcp::socket client, std::uint64_t token);
    ~pump() override;
    void start();

    void on_wake(const core::wake_up& wake);
    void on_switched();  // see core::session
    void forget_old_catalog() { session_.forget_old_catalog(); }
    void on_database_released();
    void on_tier_answer(std::uint64_t number, core::tier_finds found);
    void on_secret(std::optional<std::string> secret);  // nothing: nobody could be asked
    void on_login_rules(core::auth_method method, std::optional<core::client_login> login);
    // pool_mode: transaction. What was asked of the pools has come, or will not.
    void on_server(pooled_ptr connection);
    void on_no_server(const std::string& error);
    void acquire_again();
    // From another connection that brought our cancel key; `done` when it may be closed.
    void on_cancel(std::function<void()> done);
    // After worker::watch(). Only the last `due` that was asked for counts.
    void on_deadline(std::chrono::steady_clock::time_point due,
                     std::chrono::steady_clock::time_point now);
    void shut_down();  // once idle
    void kill();       // now
    void dismiss();    // now, and the client is told
    void unpark();     // its database is not paused any more
    void on_console_answer(std::uint64_t number, ops::console_answer answer);
    // For those who list sessions: this one, and its server connection if it has one.
    void tell(std::vector<ops::live_client>& clients, std::vector<ops::live_server>& servers);
    // Of that database (empty: any) it has a server connection, or is about to; with `outdated` one
    // that RECONNECT has doomed.
    [[nodiscard]] bool holds_server(std::string_view database, bool outdated) const;
    [[nodiscard]] bool serves(std::string_view database) const {
        return session_.database_name() == database && !session_.at_console();
    }
    // Past its deadline while not logged in.
    [[nodiscard]] bool too_late(std::chrono::steady_clock::time_point now) const noexcept;
    void give_up();

    [[nodiscard]] std::uint64_t token() const noexcept { return token_; }
    [[nodiscard]] const std::string& client_key() const noexcept { return session_.client_key(); }
    [[nodiscard]] bool ended() const noexcept { return ended_; }

  private:
    void begin();
    void shake_hands(bool direct);
    void wait_client();
    void wait_server();
    void on_client_readable(boost::system::error_code error, std::uint64_t tag);
    void on_server_readable(boost::system::error_code error, std::uint64_t turn);
    void read_client();
    void read_server();
    void take_client(std::string_view fresh);
    void take_server(std::string_view fresh);
    void perform();
    void perform_side_effects();
    void settle();
    void connect_upstream();
    [[nodiscard]] bool turned_away();
    void open_console();
    void take_console(std::string_view fresh);
    void after_console(const std::string& out);
    void settle_console();
    [[nodiscard]] bool console_waits() const;
    void leave_console();
    void ask_login();
    void send_cancel(std::function<void()> done);
    void lose_server();
    void watch();
    [[nodiscard]] core::server_link* take_now() override;
    void join_pool();
    void acquire_server();
    void attach(pooled_ptr connection);
    void give_back_server();
    void note_kept(core::pin why);
    void answer_cancel_request(const core::actions::cancel& request);
    void flush_client();
    void flush_server();
    void end();
    [[nodiscard]] bool client_paused() const;
    [[nodiscard]] bool client_only_watched() const;
    [[nodiscard]] bool server_paused() const;

    worker& home_;
    const std::uint64_t token_;
    core::session session_;
    std::unique_ptr<config::ip_address> client_address_;  // until it is asked for
    struct console_link;
    std::unique_ptr<console_link> console_;  // once it is logged in there
    transport client_;
    std::unique_ptr<transport> server_;
    pooled_ptr pooled_;  // what server_ is, while it is a pool's
    core::pool_ledger::pool_ptr pool_;
    std::shared_ptr<connector> connecting_;
    rest client_rest_;
    rest server_rest_;
    bool rest_taken_ = false;  // what is in it goes with the connection that is given back
    std::chrono::steady_clock::time_point deadline_;  // of the log-in
    // The worker calls on_deadline() then, or earlier.
    std::chrono::steady_clock::time_point watched_ = core::limiter::never;
    ops::database_totals* traffic_ = nullptr;  // of its database, once logged in
    std::chrono::steady_clock::time_point acquiring_since_;
    bool client_waits_ = false;  // a wait for readability is armed
    bool client_talks_ = false;  // while it waits for a server connection: there is more to read
    bool server_waits_ = false;
    bool client_flushes_ = false;
    bool server_flushes_ = false;
    std::uint32_t server_turn_ = 0;  // waits of earlier connections do not count
    bool acquire_ = false;           // a server connection is to be asked for
    bool acquiring_ = false;         // it was, and comes later
    bool resume_ = false;
    bool client_finished_ = false;  // it sends no more
    bool closing_ = false;          // no more reads; ends when all output is sent
    bool ended_ = false;
    bool parked_ = false;  // it would connect to the server, but its database is paused
    std::chrono::system_clock::time_point began_ = std::chrono::system_clock::now();
    core::pin kept_for_ = core::pin::none;  // as counted
    bool registered_ = false;
};

}  // namespace pgsidecar::io

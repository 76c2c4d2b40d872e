// The whole program at run time: what all workers share, the listener, signals, draining. Lives on
// main()'s thread, which runs its io_context; run() returns when everything has ended.
#pragma once
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cache/flights.h"
#include "cache/store.h"
#include "config/settings.h"
#include "policy/tenants.h"
#include "proxy/core/databases.h"
#include "proxy/core/pool_ledger.h"
#include "proxy/core/traffic.h"
#include "proxy/io/cache_purger.h"
#include "proxy/io/cancel.h"
#include "proxy/io/catalogs.h"
#include "proxy/io/config_watch.h"
#include "proxy/io/configuration.h"
#include "proxy/io/live_settings.h"
#include "proxy/io/metrics_sink.h"
#include "proxy/io/observer.h"
#include "proxy/io/service_manager.h"
#include "proxy/io/shared_tier.h"
#include "proxy/io/stored_secrets.h"
#include "proxy/io/tls.h"
#include "proxy/io/users.h"
#include "proxy/io/worker.h"
#include "proxy/ops/comparisons.h"
#include "proxy/ops/console_command.h"

namespace pgsidecar::io {

class alert_sender;
class console;
class handover;
class http_service;

class server {
  public:
    // Throws std::runtime_error: a certificate that cannot be read, an address in use. `program`:
    // its name and version. `take_over`: the place of the process that is running, if there is one
    // (handover.h).
    explicit server(io::configuration& from, std::string program = "pgsidecar",
                    bool take_over = false);
    ~server();
    server(const server&) = delete;
    server& operator=(const server&) = delete;

    int run();

    [[nodiscard]] io::configuration& configuration() noexcept { return configuration_; }
    // On main()'s thread; a worker has its own.
    [[nodiscard]] const config::settings& settings() const noexcept { return *live_->settings; }
    [[nodiscard]] const std::shared_ptr<const live_settings>& live() const noexcept {
        return live_;
    }
    [[nodiscard]] ops::comparisons& comparisons() noexcept { return comparisons_; }
    [[nodiscard]] cache::store& store() noexcept { return store_; }
    [[nodiscard]] cache::flights& flights() noexcept { return flights_; }
    [[nodiscard]] core::databases& databases() noexcept { return databases_; }
    [[nodiscard]] io::catalogs& catalogs() noexcept { return catalogs_; }
    [[nodiscard]] policy::tenant_directory* tenants() noexcept { return &tenants_; }
    // Null: nothing had to be kept yet.
    [[nodiscard]] metrics_sink* metrics() noexcept { return metrics_.get(); }
    [[nodiscard]] shared_tier* tier() noexcept { return tier_.get(); }  // null: none
    [[nodiscard]] stored_secrets& secrets() noexcept { return secrets_; }
    [[nodiscard]] io::users& users() noexcept { return users_; }
    [[nodiscard]] cancel_keys& keys() noexcept { return keys_; }
    [[nodiscard]] worker& worker_of(unsigned index) noexcept { return *workers_[index]; }
    [[nodiscard]] unsigned worker_count() const noexcept {
        return static_cast<unsigned>(workers_.size());
    }
    [[nodiscard]] io::observer& observer() noexcept { return observer_; }
    [[nodiscard]] const policy::tenant_directory& tenant_directory() const noexcept {
        return tenants_;
    }
    [[nodiscard]] bool draining() const noexcept { return draining_; }
    [[nodiscard]] std::vector<ops::invalidation_status> invalidation() const {
        return catalogs_.invalidation();
    }
    [[nodiscard]] const std::string& program() const noexcept { return program_; }
    // What the process has once, beside what its workers count.
    void add_to(ops::observations& sum) const;
    [[nodiscard]] core::pool_ledger& ledger() noexcept { return ledger_; }
    [[nodiscard]] core::traffic& traffic() noexcept { return traffic_; }
    [[nodiscard]] cache::versions& versions() noexcept { return versions_; }
    [[nodiscard]] io::console& console() noexcept { return *console_; }
    [[nodiscard]] boost::asio::io_context& context() noexcept { return context_; }
    // The rest on main()'s thread.
    void shut_down(ops::console_command::ending how);
    // Of a client that has no server process of its own; any thread.
    [[nodiscard]] std::int32_t new_client_pid() noexcept;
    void session_ended();  // from any thread

    // A key that no session of this process has may be one of another process's; any thread.
    [[nodiscard]] bool may_be_elsewhere() const noexcept;
    void cancel_elsewhere(std::int32_t pid, const std::string& key, std::function<void()> done);

    // For the hand-over, on main()'s thread.
    [[nodiscard]] int listener();        // -1: no clients are accepted
    [[nodiscard]] int stop_accepting();  // gives the listening socket away; -1: it was gone
    void accept_again(int listening);
    void leave_http();  // the port is another process's from here on
    // Calls when each worker has come to the end of what it was doing, on main()'s thread.
    void when_workers_rest(std::function<void()> then);
    void leave();  // ends when the clients have gone
    void stop();   // as SIGTERM
    // `done` comes from another thread.
    void cancel(std::int32_t pid, std::string key, std::function<void()> done);

  private:
    void listen();
    void open_http();
    void watch_for_alerts();
    [[nodiscard]] std::string hand_over_state() const;
    void inherit(int listening);
    void use_listener(descriptor given, std::string_view owner, std::string_view otherwise);
    void close_listener();
    [[nodiscard]] tcp::endpoint listen_endpoint() const;
    void read_first_catalogs();
    void check_place(bool catalogs_read);
    void accept();
    void refuse(tcp::socket client);
    [[nodiscard]] std::string adopt(const std::shared_ptr<const config::settings>& next,
                                    std::function<void()> all);
    void switch_workers(std::shared_ptr<const live_settings> next, std::function<void()> all);
    void wait_for_signal();
    // What the service manager is told (server_service.cpp).
    void begin_service();
    void look_alive();
    void reload_for_signal();
    void tell_stopping();
    [[nodiscard]] std::string service_status() const;
    void drain();
    void finish();
    void housekeeping();
    void look_after_pools();
    [[nodiscard]] std::size_t clients() const;
    [[nodiscard]] bool only_consoles() const;
    [[nodiscard]] std::string statistics(const ops::observations& now) const;
    [[nodiscard]] std::string pinned() const;
    [[nodiscard]] static std::string tier_statistics(const ops::tier_totals& t);
    [[nodiscard]] static std::string invalidation_statistics(const ops::observations& now);

    io::configuration& configuration_;
    const std::string program_;
    service_manager manager_;
    std::shared_ptr<const live_settings> live_;  // the latest; workers may not have it yet
    ops::comparisons comparisons_;
    policy::tenant_directory tenants_;
    cache::versions versions_;
    cache::store store_;
    cache::flights flights_;
    core::databases databases_;
    io::catalogs catalogs_;
    stored_secrets secrets_;
    io::users users_;
    cancel_keys keys_;
    core::pool_ledger ledger_;
    core::traffic traffic_;
    std::unique_ptr<metrics_sink> metrics_;
    std::unique_ptr<shared_tier> tier_;
    std::unique_ptr<cache_purger> purger_;
    std::atomic<std::uint32_t> next_pid_;
    boost::asio::io_context context_{1};
    std::unique_ptr<handover> hand_over_;  // null: no takeover_socket
    tcp::acceptor acceptor_;
    boost::asio::signal_set signals_;
    boost::asio::steady_timer drain_timer_;
    boost::asio::steady_timer housekeeping_timer_;
    boost::asio::steady_timer pool_timer_;
    boost::asio::steady_timer alive_timer_;
    config_watch watch_;
    const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
    io::observer observer_;
    std::unique_ptr<http_service> http_;    // null: none is wanted
    std::unique_ptr<alert_sender> alerts_;  // null: before run()
    std::vector<std::unique_ptr<worker>> workers_;
    unsigned next_worker_ = 0;
    bool draining_ = false;
    bool awaits_clients_ = false;  // it ends when they have gone of their own accord
    bool leaving_ = false;         // another process accepts the clients now
    std::unique_ptr<io::console> console_;
};

}  // namespace pgsidecar::io

// The whole program at run time: what all workers share, the listener, signals, draining. Lives on
// main()'s thread, which runs its io_context; run() returns when everything has ended.
#pragma once
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <vector>

#include "cache/flights.h"
#include "cache/store.h"
#include "config/settings.h"
#include "policy/tenants.h"
#include "proxy/core/databases.h"
#include "proxy/core/pool_ledger.h"
#include "proxy/io/cache_purger.h"
#include "proxy/io/cancel.h"
#include "proxy/io/catalogs.h"
#include "proxy/io/metrics_sink.h"
#include "proxy/io/shared_tier.h"
#include "proxy/io/stored_secrets.h"
#include "proxy/io/tls.h"
#include "proxy/io/users.h"
#include "proxy/io/worker.h"

namespace pgsidecar::io {

class server {
  public:
    // Throws std::runtime_error: a certificate that cannot be read, an address in use.
    explicit server(std::shared_ptr<const config::settings> settings);
    ~server();
    server(const server&) = delete;
    server& operator=(const server&) = delete;

    int run();

    [[nodiscard]] const config::settings& settings() const noexcept { return *settings_; }
    [[nodiscard]] std::shared_ptr<const policy::cache_rules> rules() const;
    [[nodiscard]] cache::store& store() noexcept { return store_; }
    [[nodiscard]] cache::flights& flights() noexcept { return flights_; }
    [[nodiscard]] core::databases& databases() noexcept { return databases_; }
    [[nodiscard]] io::catalogs& catalogs() noexcept { return catalogs_; }
    // Null: no limits are in force, and nothing is measured.
    [[nodiscard]] policy::tenant_directory* tenants() noexcept {
        // The shared cache's table has a column for them.
        const bool wanted = tenants_.active() || options_.measures || (tier_ && purger_);
        return settings_->enable_optimizations && wanted ? &tenants_ : nullptr;
    }
    [[nodiscard]] metrics_sink* metrics() noexcept { return metrics_.get(); }  // null: none
    [[nodiscard]] shared_tier* tier() noexcept { return tier_.get(); }         // null: none
    [[nodiscard]] stored_secrets& secrets() noexcept { return secrets_; }
    [[nodiscard]] io::users& users() noexcept { return users_; }
    [[nodiscard]] cancel_keys& keys() noexcept { return keys_; }
    [[nodiscard]] const core::session_options& session_options() const noexcept { return options_; }
    [[nodiscard]] const ssl_ctx_ptr& client_tls() const noexcept { return client_tls_; }
    [[nodiscard]] const ssl_ctx_ptr& server_tls() const noexcept { return server_tls_; }
    [[nodiscard]] worker& worker_of(unsigned index) noexcept { return *workers_[index]; }
    [[nodiscard]] core::pool_ledger& ledger() noexcept { return ledger_; }
    // Of a client that has no server process of its own; any thread.
    [[nodiscard]] std::int32_t new_client_pid() noexcept;
    void session_ended();  // from any thread

  private:
    void listen();
    void accept();
    void refuse(tcp::socket client);
    void wait_for_signal();
    void drain();
    void finish();
    void housekeeping();
    void look_after_pools();
    [[nodiscard]] std::size_t clients() const;
    [[nodiscard]] std::string statistics() const;
    [[nodiscard]] std::string pinned() const;
    [[nodiscard]] std::string tier_statistics() const;

    std::shared_ptr<const config::settings> settings_;
    core::session_options options_;
    ssl_ctx_ptr client_tls_;
    ssl_ctx_ptr server_tls_;
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
    std::unique_ptr<metrics_sink> metrics_;
    std::unique_ptr<shared_tier> tier_;
    std::unique_ptr<cache_purger> purger_;
    std::atomic<std::uint32_t> next_pid_;
    boost::asio::io_context context_{1};
    tcp::acceptor acceptor_;
    boost::asio::signal_set signals_;
    boost::asio::steady_timer drain_timer_;
    boost::asio::steady_timer housekeeping_timer_;
    boost::asio::steady_timer pool_timer_;
    std::vector<std::unique_ptr<worker>> workers_;
    unsigned next_worker_ = 0;
    bool draining_ = false;
};

}  // namespace pgsidecar::io

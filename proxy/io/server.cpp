#include "proxy/io/server.h"

#include <algorithm>
#include <csignal>
#include <stdexcept>
#include <utility>

#include "protocol/backend.h"
#include "proxy/io/crypto.h"
#include "proxy/io/log.h"

namespace pgsidecar::io {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr auto housekeeping_interval = std::chrono::seconds{5};
constexpr auto pool_interval = std::chrono::milliseconds{200};
constexpr auto accept_pause = std::chrono::milliseconds{100};
// How long the first clients wait for the control connection's first look at the catalogs: those
// who log in before it could not be told which defaults they got.
constexpr auto catalog_patience = std::chrono::seconds{2};

// Start-up parameters that tell who asks: with pools of their own the tenants would share nothing.
std::vector<std::string> followed_startup(const config::settings& s) {
    std::vector<std::string> out{"application_name"};
    for (const auto& source : s.tenants.sources)
        if (source.where == policy::tenant_source::from::startup) out.push_back(source.name);
    return out;
}

core::session_options options_from(const config::settings& s) {
    using mode = config::tls_mode;
    const bool authenticates = s.auth_type != config::auth_type::relay;
    return {.cache = s.enable_optimizations && s.cache.enable_query_result_caching,
            .client_tls_offered = s.client_tls.mode != mode::disable,
            .client_tls_required = s.client_tls.mode == mode::require ||
                                   s.client_tls.mode == mode::verify_ca ||
                                   s.client_tls.mode == mode::verify_full,
            .single_flight = s.cache.single_flight,
            .max_entry_size = s.cache.store.max_entry_size,
            .upstream_name = s.upstream.host + ":" + std::to_string(s.upstream.port),
            .server_tls_optional =
                s.upstream.tls.mode == mode::allow || s.upstream.tls.mode == mode::prefer,
            .scram = s.upstream.control_connection.empty() && !authenticates ? nullptr
                                                                             : &openssl_crypto(),
            .authenticates = authenticates,
            .client_idle_timeout = s.client_idle_timeout,
            .idle_transaction_timeout = s.idle_transaction_timeout,
            .pooled = s.pool_mode == config::pool_mode::transaction,
            .query_wait_timeout = s.pool.query_wait_timeout,
            .max_prepared_statements = s.pool.max_prepared_statements,
            .server_check_delay = s.pool.server_check_delay,
            .server_check_query = s.pool.server_check_query,
            .measures = s.enable_optimizations && s.metrics.enable_performance_metrics,
            .followed_startup = followed_startup(s),
            .tier_timeout = s.shared_cache.timeout};
}

std::uint32_t first_client_pid() {
    const auto random = random_bytes(3);
    std::uint32_t out = 0;
    for (const char c : random) out = out << 8U | static_cast<unsigned char>(c);
    return out;
}

}  // namespace

server::server(std::shared_ptr<const config::settings> settings)
    : settings_{std::move(settings)},
      options_{options_from(*settings_)},
      client_tls_{make_client_side_tls(settings_->client_tls)},
      server_tls_{make_server_side_tls(settings_->upstream.tls)},
      tenants_{settings_->tenants},
      store_{settings_->cache.store},
      databases_{versions_},
      catalogs_{databases_, *settings_},
      secrets_{*settings_, databases_.defaults_altered},
      users_{*settings_, secrets_},
      ledger_{settings_->pool},
      next_pid_{first_client_pid()},
      acceptor_{context_},
      signals_{context_},
      drain_timer_{context_},
      housekeeping_timer_{context_},
      pool_timer_{context_} {
    listen();
    if (options_.measures) metrics_ = std::make_unique<metrics_sink>(*settings_);
    tier_ = shared_tier::make(*settings_);
    if (tier_ && settings_->cache.provider == config::cache_provider::database)
        purger_ = std::make_unique<cache_purger>(*settings_);
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    const unsigned wanted = settings_->workers == 0 ? cores : settings_->workers;
    for (unsigned i = 0; i < wanted; ++i) workers_.push_back(std::make_unique<worker>(*this, i));
}

server::~server() {
    secrets_.stop();
    if (tier_) tier_->stop();
    for (auto& w : workers_) w->stop();
    catalogs_.stop();
}

std::shared_ptr<const policy::cache_rules> server::rules() const {
    return {settings_, &settings_->cache.rules};
}

void server::listen() {
    const auto& address = settings_->listen_addr;
    const auto where = address + ":" + std::to_string(settings_->listen_port);
    error_code error;
    const auto ip = asio::ip::make_address(address == "*" ? "::" : address, error);
    if (error) throw std::runtime_error("listen_addr " + address + ": " + error.message());
    const tcp::endpoint endpoint{ip, settings_->listen_port};
    const auto check = [&](const char* step) {
        if (error)
            throw std::runtime_error(std::string{"cannot "} + step + " " + where + ": " +
                                     error.message());
    };
    acceptor_.open(endpoint.protocol(), error);
    check("open a socket for");
#ifndef _WIN32
    acceptor_.set_option(tcp::acceptor::reuse_address{true}, error);
#endif
    acceptor_.bind(endpoint, error);
    check("listen on");
    acceptor_.listen(static_cast<int>(settings_->listen_backlog), error);
    check("listen on");
}

int server::run() {
    std::signal(SIGPIPE, SIG_IGN);
    for (const int number : {SIGINT, SIGTERM}) signals_.add(number);
#ifdef SIGUSR1
    signals_.add(SIGUSR1);
#endif
    wait_for_signal();
    for (auto& w : workers_) w->run();
    if (tier_) tier_->start();
    if (const auto name = control_parameters{*settings_}.database();
        (options_.cache || options_.pooled) && !settings_->upstream.control_connection.empty() &&
        !name.empty()) {
        catalogs_.use(name);
        catalogs_.wait_ready(name, catalog_patience);
    }
    if (tier_) tier_->wait_ready(catalog_patience);
    const auto endpoint = acceptor_.local_endpoint();
    log_info("listening on " + settings_->listen_addr + ":" + std::to_string(endpoint.port()));
    housekeeping();
    if (options_.pooled) look_after_pools();
    accept();
    context_.run();
    secrets_.stop();
    if (tier_) tier_->stop();
    if (purger_) purger_->stop();
    for (auto& w : workers_) w->stop();
    if (metrics_) metrics_->stop();
    catalogs_.stop();
    log_info("stopped");
    return 0;
}

void server::accept() {
    auto& home = *workers_[next_worker_++ % workers_.size()];
    acceptor_.async_accept([this, &home](error_code error, tcp::socket client) {
        if (draining_) return;
        if (!error) {
            if (clients() >= settings_->max_client_conn)
                refuse(std::move(client));
            else
                home.post([&home, c = std::make_shared<tcp::socket>(std::move(client))] {
                    home.adopt(std::move(*c));
                });
            return accept();
        }
        // Out of file descriptors, most likely: give sessions time to end.
        log_warning("cannot accept a connection: " + error.message());
        drain_timer_.expires_after(accept_pause);
        drain_timer_.async_wait([this](error_code) {
            if (!draining_) accept();
        });
    });
}

void server::refuse(tcp::socket client) {
    std::string reply;
    protocol::write_error(reply, "FATAL", "53300", "sorry, too many clients already",
                          "max_client_conn is " + std::to_string(settings_->max_client_conn));
    error_code ignored;
    client.non_blocking(true, ignored);
    client.write_some(asio::buffer(reply), ignored);
    log_warning("client refused: max_client_conn reached");
}

std::size_t server::clients() const {
    std::size_t total = 0;
    for (const auto& w : workers_) total += w->clients();
    return total;
}

void server::wait_for_signal() {
    signals_.async_wait([this](error_code error, int number) {
        if (error) return;
#ifdef SIGUSR1
        if (number == SIGUSR1) {
            log_info("statistics " + statistics());
            return wait_for_signal();
        }
#endif
        if (draining_) return finish();
        log_info("shutting down: waiting for sessions to become idle");
        drain();
        wait_for_signal();
    });
}

void server::drain() {
    draining_ = true;
    error_code ignored;
    acceptor_.close(ignored);
    for (auto& w : workers_) w->drain();
    drain_timer_.expires_after(settings_->shutdown_timeout);
    drain_timer_.async_wait([this](error_code error) {
        if (error) return;
        log_warning("shutdown_timeout reached: ending " + std::to_string(clients()) + " sessions");
        finish();
    });
    session_ended();
}

void server::session_ended() {
    asio::post(context_, [this] {
        if (draining_ && clients() == 0) finish();
    });
}

void server::finish() {
    drain_timer_.cancel();
    context_.stop();
}

void server::housekeeping() {
    housekeeping_timer_.expires_after(housekeeping_interval);
    housekeeping_timer_.async_wait([this](error_code error) {
        if (error) return;
        catalogs_.close_unused(std::chrono::steady_clock::now());
        housekeeping();
    });
}

void server::look_after_pools() {
    pool_timer_.expires_after(pool_interval);
    pool_timer_.async_wait([this](error_code error) {
        if (error) return;
        core::pool_ledger::orders todo;
        ledger_.tick(std::chrono::steady_clock::now(), todo);
        if (!todo.open.empty() || !todo.close.empty()) {
            auto& any = *workers_.front();
            any.post([&any, todo = std::move(todo)] { any.pools().carry_out(todo); });
        }
        look_after_pools();
    });
}

std::int32_t server::new_client_pid() noexcept {
    constexpr std::uint32_t positive = 0x7fffffff;
    const auto next = next_pid_.fetch_add(1) & positive;
    return next == 0 ? new_client_pid() : static_cast<std::int32_t>(next);
}

std::string server::statistics() const {
    std::string out = "{\"reasons\":{";
    bool first = true;
    for (std::size_t i = 0; i < static_cast<std::size_t>(policy::reason::count_); ++i) {
        const auto reason = static_cast<policy::reason>(i);
        std::uint64_t total = 0;
        for (const auto& w : workers_) total += w->count(reason);
        if (total == 0) continue;
        if (!std::exchange(first, false)) out += ",";
        out.append("\"").append(policy::to_string(reason)).append("\":") += std::to_string(total);
    }
    const auto s = store_.statistics();
    out += "},\"entries\":" + std::to_string(s.entries) + ",\"bytes\":" + std::to_string(s.bytes) +
           ",\"evictions\":" + std::to_string(s.evictions) +
           ",\"invalidations\":" + std::to_string(s.invalidations) +
           ",\"clients\":" + std::to_string(clients()) + ",\"limits\":{";
    for (std::size_t i = 0; i < policy::limit_kinds; ++i) {
        const auto kind = static_cast<policy::limit_kind>(i);
        out.append(i == 0 ? "\"" : ",\"").append(policy::to_string(kind)).append("\":") +=
            std::to_string(tenants_.met(kind));
    }
    const auto& gate = tenants_.gate();
    out += "},\"tenants\":" + std::to_string(tenants_.size()) +
           ",\"requests\":{\"running\":" + std::to_string(gate.running()) +
           ",\"waiting\":" + std::to_string(gate.waiting()) + "}}";
    const auto p = ledger_.count();
    out.insert(out.size() - 1, ",\"pools\":{\"servers\":" + std::to_string(p.total) +
                                   ",\"idle\":" + std::to_string(p.idle) +
                                   ",\"opening\":" + std::to_string(p.opening) + ",\"waiting\":" +
                                   std::to_string(p.waiting) + ",\"pinned\":{" + pinned() + "}}");
    if (metrics_) {
        const auto m = metrics_->count();
        out.insert(out.size() - 1, ",\"metrics\":{\"written\":" + std::to_string(m.written) +
                                       ",\"waiting\":" + std::to_string(m.waiting) +
                                       ",\"dropped\":" + std::to_string(m.dropped) + "}");
    }
    if (tier_) out.insert(out.size() - 1, tier_statistics());
    return out;
}

std::string server::tier_statistics() const {
    const auto t = tier_->totals();
    const std::pair<const char*, std::uint64_t> numbers[] = {
        {"asked", t.asked},         {"found", t.found},
        {"used", t.used},           {"refused", t.refused},
        {"harmed", t.harmed},       {"late", t.late},
        {"outages", t.outages},     {"puts", t.puts},
        {"put_bytes", t.put_bytes}, {"put_refused", t.put_refused},
        {"dropped", t.dropped},     {"queued_bytes", t.queued_bytes}};
    std::string out = ",\"shared_cache\":{\"up\":" + std::string{t.up ? "true" : "false"};
    for (const auto& [name, number] : numbers)
        out.append(",\"").append(name).append("\":") += std::to_string(number);
    return out + "}";
}

// Why sessions keep shared server connections, and how many do.
std::string server::pinned() const {
    std::string out;
    for (std::size_t i = 1; i < static_cast<std::size_t>(core::pin::count_); ++i) {
        const auto why = static_cast<core::pin>(i);
        std::int64_t total = 0;
        for (const auto& w : workers_) total += w->kept(why);
        if (total <= 0) continue;
        out.append(out.empty() ? "\"" : ",\"").append(to_string(why)).append("\":") +=
            std::to_string(total);
    }
    return out;
}

}  // namespace pgsidecar::io

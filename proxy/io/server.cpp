#include "proxy/io/server.h"

#include <algorithm>
#include <csignal>
#include <stdexcept>
#include <utility>

#include "protocol/backend.h"
#include "proxy/io/alert_sender.h"
#include "proxy/io/ask_workers.h"
#include "proxy/io/console.h"
#include "proxy/io/crypto.h"
#include "proxy/io/handover.h"
#include "proxy/io/http_service.h"
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

// Not of Asio: systems differ in whether they have it.
void share_port([[maybe_unused]] tcp::acceptor& listener, error_code& error) {
#ifdef SO_REUSEPORT
    using reuse_port = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
    listener.set_option(reuse_port{true}, error);
#else
    error = asio::error::operation_not_supported;
#endif
}

std::uint32_t first_client_pid() {
    const auto random = random_bytes(3);
    std::uint32_t out = 0;
    for (const char c : random) out = out << 8U | static_cast<unsigned char>(c);
    return out;
}

}  // namespace

server::server(io::configuration& from, std::string program, bool take_over)
    : configuration_{from},
      program_{std::move(program)},
      live_{make_live(from.settings(), nullptr)},
      tenants_{limits_in_force(settings())},
      store_{settings().cache.store},
      databases_{versions_},
      catalogs_{databases_, live_->settings},
      secrets_{live_->settings, databases_.defaults_altered},
      users_{settings(), secrets_},
      ledger_{settings().pool, &databases_.defaults_altered},
      next_pid_{first_client_pid()},
      acceptor_{context_},
      signals_{context_},
      drain_timer_{context_},
      housekeeping_timer_{context_},
      pool_timer_{context_},
      alive_timer_{context_},
      watch_{context_, from},
      observer_{context_, *this},
      console_{std::make_unique<io::console>(context_, *this, program_)} {
    if (!settings().takeover_socket.empty())
        hand_over_ = std::make_unique<handover>(context_, *this, take_over);
    else if (take_over)
        throw std::runtime_error("--take-over needs takeover_socket");
    const bool takes_over = hand_over_ && hand_over_->takes_over();
    takes_over ? inherit(hand_over_->inherited_listener()) : listen();
    if (live_->keeps_metrics()) metrics_ = std::make_unique<metrics_sink>(settings());
    tier_ = shared_tier::make(settings());
    if (tier_ && settings().cache.provider == config::cache_provider::database)
        purger_ = std::make_unique<cache_purger>(settings());
    // Its port is still the other process's.
    if (!takes_over) open_http();
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    const unsigned wanted = settings().workers == 0 ? cores : settings().workers;
    for (unsigned i = 0; i < wanted; ++i) workers_.push_back(std::make_unique<worker>(*this, i));
}

server::~server() {
    secrets_.stop();
    if (tier_) tier_->stop();
    for (auto& w : workers_) w->stop();
    for (auto& w : workers_) w->finish();
    catalogs_.stop();
}

// What may fail comes first; nothing has changed then.
std::string server::adopt(const std::shared_ptr<const config::settings>& next,
                          std::function<void()> all) {
    std::shared_ptr<const live_settings> made;
    try {
        made = make_live(next, live_.get());
        // Before any worker measures.
        if (made->keeps_metrics() && !metrics_) metrics_ = std::make_unique<metrics_sink>(*next);
        users_.adopt(*next);
        if (alerts_) alerts_->adopt(next);
    } catch (const std::exception& error) {
        return error.what();
    }
    set_log_level(next->log.level);
    secrets_.adopt(next);
    catalogs_.adopt(next);
    ledger_.adopt(next->pool);
    tenants_.adopt(limits_in_force(*next));
    if (metrics_) metrics_->keep_days(next->metrics.performance_metrics_retention_days);
    const auto& store = next->cache.store;
    if (store.max_memory != settings().cache.store.max_memory ||
        store.max_entry_size != settings().cache.store.max_entry_size)
        store_.set_limits(store.max_memory, store.max_entry_size);
    const bool outdated = shortens_life(settings().cache.rules, next->cache.rules);
    switch_workers(std::move(made), [this, outdated, all = std::move(all)] {
        if (outdated) versions_.bump_all();  // also what a worker kept that came to it late
        all();
    });
    return {};
}

void server::switch_workers(std::shared_ptr<const live_settings> next, std::function<void()> all) {
    // Nothing that was kept before the pause is served after it.
    if (next->options.cache && !live_->options.cache) versions_.bump_all();
    live_ = std::move(next);
    const auto left = std::make_shared<std::atomic<std::size_t>>(workers_.size());
    const auto then = std::make_shared<std::function<void()>>(std::move(all));
    for (auto& w : workers_)
        w->post([this, &home = *w, to = live_, left, then] {
            home.switch_to(to);
            if (left->fetch_sub(1) == 1)
                asio::post(context_, [then] {
                    if (*then) (*then)();
                });
        });
}

tcp::endpoint server::listen_endpoint() const {
    const auto& address = settings().listen_addr;
    error_code error;
    const auto ip = asio::ip::make_address(address == "*" ? "::" : address, error);
    if (error) throw std::runtime_error("listen_addr " + address + ": " + error.message());
    return {ip, settings().listen_port};
}

void server::listen() {
    if (auto given = manager_.take_listener())
        return use_listener(std::move(given), "the service manager",
                            "its unit (ListenStream=) and listen_addr with listen_port must agree");
    const auto where = settings().listen_addr + ":" + std::to_string(settings().listen_port);
    error_code error;
    const auto endpoint = listen_endpoint();
    const auto check = [&](const char* step) {
        if (error)
            throw std::runtime_error(std::string{"cannot "} + step + " " + where + ": " +
                                     error.message());
    };
    acceptor_.open(endpoint.protocol(), error);
    check("open a socket for");
#ifdef _WIN32
    // There "reuse" would let anybody take the port of one who listens.
    using alone = asio::detail::socket_option::boolean<SOL_SOCKET, SO_EXCLUSIVEADDRUSE>;
    acceptor_.set_option(alone{true}, error);
#else
    acceptor_.set_option(tcp::acceptor::reuse_address{true}, error);
#endif
    if (settings().so_reuseport) share_port(acceptor_, error);
    check("share the port of");
    acceptor_.bind(endpoint, error);
    check("listen on");
    acceptor_.listen(static_cast<int>(settings().listen_backlog), error);
    check("listen on");
}

int server::run() {
#ifdef SIGPIPE
    std::signal(SIGPIPE, SIG_IGN);
#endif
    for (const int number : {SIGINT, SIGTERM}) signals_.add(number);
#ifdef SIGHUP
    signals_.add(SIGHUP);
#endif
#ifdef SIGUSR1
    signals_.add(SIGUSR1);
#endif
#ifdef SIGBREAK  // Windows: Ctrl-Break, and the console that closes
    signals_.add(SIGBREAK);
#endif
    configuration_.attach(
        [this](const auto& next, auto all) { return adopt(next, std::move(all)); });
    wait_for_signal();
    for (auto& w : workers_) w->run();
    if (tier_) tier_->start();
    read_first_catalogs();
    if (tier_) tier_->wait_ready(catalog_patience);
    if (hand_over_) hand_over_->begin();
    if (!http_) open_http();
    watch_for_alerts();
    const auto endpoint = acceptor_.local_endpoint();
    log_info("listening on " + settings().listen_addr + ":" + std::to_string(endpoint.port()));
    housekeeping();
    console_->start();
    observer_.start();
    if (http_) http_->start();
    if (live_->options.pooled) look_after_pools();
    watch_.start();
    accept();
    begin_service();
    context_.run();
    configuration_.attach({});
    secrets_.stop();
    if (tier_) tier_->stop();
    if (purger_) purger_->stop();
    for (auto& w : workers_) w->stop();
    if (metrics_) metrics_->stop();
    catalogs_.stop();
    log_info("stopped");
    return 0;
}

void server::read_first_catalogs() {
    const bool takes_over = hand_over_ && hand_over_->takes_over();
    const auto name = control_parameters{settings()}.database();
    bool read = true;
    if (live_->options.follow && !name.empty()) {
        std::vector<std::string> all{name};
        if (takes_over) all = hand_over_->databases_in_use();
        if (takes_over) all.push_back(name);  // the last one decides
        const std::chrono::milliseconds most =
            takes_over ? settings().server_connect_timeout : catalog_patience;
        for (const auto& one : all) catalogs_.use(one);
        for (const auto& one : all) read = catalogs_.wait_ready(one, most);
    }
    if (takes_over) check_place(read);
}

void server::accept() {
    if (!acceptor_.is_open()) return;  // it was given away
    auto& home = *workers_[next_worker_++ % workers_.size()];
    auto taken = [this, &home](error_code error, tcp::socket client) {
        if (draining_ || awaits_clients_ || error == asio::error::operation_aborted) return;
        if (!error) {
            if (clients() >= settings().max_client_conn)
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
            if (!draining_ && !awaits_clients_) accept();
        });
    };
    if constexpr (stream_socket::stays_where_it_was_made)
        acceptor_.async_accept(home.context(), std::move(taken));
    else
        acceptor_.async_accept(std::move(taken));
}

void server::refuse(tcp::socket client) {
    std::string reply;
    protocol::write_error(reply, "FATAL", "53300", "sorry, too many clients already",
                          "max_client_conn is " + std::to_string(settings().max_client_conn));
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
            observer_.look([this](const io::observer::snapshot& now) {
                log_info("statistics " + statistics(*now));
            });
            return wait_for_signal();
        }
#endif
#ifdef SIGHUP
        if (number == SIGHUP) {
            reload_for_signal();
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
    if (hand_over_) hand_over_->stop();
    close_listener();
    tell_stopping();
    for (auto& w : workers_) w->drain();
    drain_timer_.expires_after(settings().shutdown_timeout);
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
        if (awaits_clients_ && !draining_ && only_consoles()) drain();
        if (leaving_ && !draining_ && only_consoles()) finish();
    });
}

bool server::only_consoles() const {
    int consoles = 0;
    for (const auto& w : workers_) consoles += w->consoles();
    return clients() <= static_cast<std::size_t>(std::max(consoles, 0));
}

void server::shut_down(ops::console_command::ending how) {
    using ending = ops::console_command::ending;
    if (draining_ && how != ending::at_once) return;
    log_info("shutting down: at the console's word");
    if (how == ending::at_once) {
        if (!draining_) drain();
        // When the workers have done what they were given.
        ask_workers<int>(
            *this, [](worker&) { return 0; }, [this](const std::vector<int>&) { finish(); });
    } else if (how == ending::wait_for_servers) {
        drain();
    } else {
        awaits_clients_ = true;
        close_listener();
        session_ended();
    }
}

void server::finish() {
    console_->stop();
    drain_timer_.cancel();
    context_.stop();
}

void server::housekeeping() {
    housekeeping_timer_.expires_after(housekeeping_interval);
    housekeeping_timer_.async_wait([this](error_code error) {
        if (error) return;
        // Who leaves is not to stand in the way of a DROP DATABASE through the one that came.
        const auto idle_since = leaving_ ? std::chrono::hours{1} : std::chrono::hours{0};
        catalogs_.close_unused(std::chrono::steady_clock::now() + idle_since);
        for (const auto& w : workers_) w->post([home = w.get()] { home->forget_old_catalogs(); });
        manager_.status(service_status());
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

void server::add_to(ops::observations& sum) const {
    for (std::size_t i = 0; i < policy::limit_kinds; ++i)
        sum.limits_met[i] = tenants_.met(static_cast<policy::limit_kind>(i));
    sum.cache = store_.statistics();
    sum.clients = clients();
    const auto p = ledger_.count();
    sum.servers = p.total;
    sum.servers_idle = p.idle;
    sum.clients_waiting = p.waiting;
    sum.running = tenants_.gate().running();
    sum.queued = tenants_.gate().waiting();
    if (metrics_) {
        const auto m = metrics_->count();
        sum.metrics = {.written = m.written, .dropped = m.dropped, .waiting = m.waiting};
    }
    sum.invalidation = catalogs_.invalidation();
    if (tier_) sum.shared_cache = tier_->totals();
    sum.started = started_;
    sum.taken = std::chrono::system_clock::now();
}

// The line that SIGUSR1 logs.
std::string server::statistics(const ops::observations& now) const {
    const auto list = [](std::string& out, std::string_view name, std::uint64_t value) {
        out.append(out.empty() ? "\"" : ",\"").append(name).append("\":") += std::to_string(value);
    };
    std::string reasons, limits;
    for (std::size_t i = 0; i < now.reasons.size(); ++i)
        if (now.reasons[i] > 0)
            list(reasons, policy::to_string(static_cast<policy::reason>(i)), now.reasons[i]);
    for (std::size_t i = 0; i < now.limits_met.size(); ++i)
        list(limits, policy::to_string(static_cast<policy::limit_kind>(i)), now.limits_met[i]);
    std::string rest, requests, pools, metrics;
    list(rest, "entries", now.cache.entries);
    list(rest, "bytes", now.cache.bytes);
    list(rest, "evictions", now.cache.evictions);
    list(rest, "invalidations", now.cache.invalidations);
    list(rest, "clients", now.clients);
    list(rest, "tenants", tenants_.size());
    list(requests, "running", now.running);
    list(requests, "waiting", now.queued);
    list(pools, "servers", now.servers);
    list(pools, "idle", now.servers_idle);
    list(pools, "opening", ledger_.count().opening);
    list(pools, "waiting", now.clients_waiting);
    auto out = "{\"reasons\":{" + reasons + "}," + rest + ",\"limits\":{" + limits +
               "},\"requests\":{" + requests + "},\"pools\":{" + pools + ",\"pinned\":{" +
               pinned() + "}}";
    ops::comparison_counts both;
    for (const auto& [rule, counts] : comparisons_.counts()) {
        both.equal += counts.equal;
        both.different += counts.different;
    }
    std::string shadow;
    list(shadow, "equal", both.equal);
    list(shadow, "different", both.different);
    out += ",\"shadow\":{" + shadow + "}";
    if (metrics_) {
        list(metrics, "written", now.metrics.written);
        list(metrics, "waiting", now.metrics.waiting);
        list(metrics, "dropped", now.metrics.dropped);
        out += ",\"metrics\":{" + metrics + "}";
    }
    out += invalidation_statistics(now);
    if (tier_) out += tier_statistics(now.shared_cache);
    return out + ",\"hand_over\":" + hand_over_state() + "}";
}

std::string server::invalidation_statistics(const ops::observations& now) {
    const auto stale = ops::staleness_of(now.invalidation);
    const auto us = [&stale](double part) { return std::to_string(stale.quantile(part).count()); };
    const bool up = std::ranges::all_of(now.invalidation, &ops::invalidation_status::up);
    return ",\"invalidation\":{\"up\":" + std::string{up ? "true" : "false"} +
           ",\"commits\":" + std::to_string(stale.count()) + ",\"p50_us\":" + us(0.5) +
           ",\"p99_us\":" + us(0.99) + ",\"max_us\":" + us(1) + "}";
}

std::string server::tier_statistics(const ops::tier_totals& t) {
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

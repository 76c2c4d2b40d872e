#include "proxy/io/worker.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "policy/analyze.h"
#include "proxy/io/log.h"
#include "proxy/io/server.h"
#include "proxy/ops/console_views.h"

namespace pgsidecar::io {
namespace {

constexpr std::size_t scratch_size = 64U << 10;
constexpr auto tick_interval = std::chrono::seconds{1};
constexpr auto finish_patience = std::chrono::seconds{1};
// A token: the worker, the session on it, and room for the session's own count of waits.
constexpr unsigned wait_bits = 20;
constexpr unsigned worker_shift = 56;

core::decider_limits limits_of(const config::settings& s) {
    return {.max_sql_length = s.max_sql_length, .memory = s.statement_memory};
}

}  // namespace

worker::worker(server& owner, unsigned index)
    : owner_{owner},
      index_{index},
      work_{context_.get_executor()},
      timer_{context_},
      watch_timer_{context_},
      live_{owner.live()},
      options_{live_->options},
      decider_{live_->rules(), limits_of(settings())},
      services_{decider_,        owner.store(),
                owner.flights(), owner.databases(),
                options_,        key_buffer_,
                owner.tenants(), owner.tier() ? &owner.tier()->guard() : nullptr},
      scratch_(scratch_size),
      pools_{*this, owner.ledger()} {}

worker::~worker() { stop(); }

void worker::run() {
    tick();
    thread_ = std::thread{[this] { context_.run(); }};
}

void worker::stop() {
    if (!thread_.joinable()) return;
    post([this] {
        timer_.cancel();
        watch_timer_.cancel();
        work_.reset();
        pools_.stop();
        for (const auto copy = pumps_; const auto& [token, p] : copy) p->kill();
        hand_over_metrics();
        context_.stop();
    });
    thread_.join();
}

void worker::finish() {
    if constexpr (stream_socket::stays_where_it_was_made) {
        work_.reset();
        context_.restart();
        context_.run_for(finish_patience);  // returns when nothing is left
    }
}

void worker::tick() {
    timer_.expires_after(tick_interval);
    timer_.async_wait([this](boost::system::error_code error) {
        if (error) return;
        const auto now = std::chrono::steady_clock::now();
        std::vector<std::shared_ptr<pump>> late;  // giving one up removes it from pumps_
        for (const auto& [token, p] : pumps_)
            if (p->too_late(now)) late.push_back(p);
        for (const auto& p : late) p->give_up();
        hand_over_metrics();
        tick();
    });
}

void worker::measure(core::actions& todo) {
    const auto now = std::chrono::steady_clock::now();
    for (const auto& m : todo.measured) collector_.add(m, now);
    if (live_->keeps_metrics()) keep_metrics(todo.measured, now);
    for (const auto& t : todo.transactions) collector_.add(t, now);
}

void worker::keep_metrics(const std::vector<core::measurement>& all,
                          std::chrono::steady_clock::time_point now) {
    const auto percent = settings().metrics.sample_percent;
    const auto ended = wall_clock_.at(now);
    for (const auto& m : all) {
        sampled_ += percent;
        if (sampled_ < 100) continue;
        sampled_ -= 100;
        metrics_.add({.ended = ended,
                      .took = ops::metrics_row::clamp(now - m.since),
                      .rows = ops::metrics_row::clamp(m.rows)},
                     m.tenant, m.tenant->name, m.type);
        if (metrics_.full()) hand_over_metrics();
    }
}

void worker::hand_over_metrics() {
    if (metrics_.empty()) return;
    owner_.metrics()->add(metrics_);
}

// The text itself never reaches the log; its fingerprint is pg_stat_statements' kind of name.
void worker::note_comparisons(const std::vector<core::comparison>& compared) {
    for (const auto& c : compared) {
        const auto now = std::chrono::steady_clock::now();
        if (!owner_.comparisons().add(*c.rule, c.equal, now)) continue;
        policy::sql_facts facts;
        policy::describe(c.text->sql, facts);
        std::ostringstream fingerprint;
        fingerprint << std::hex << facts.fingerprint;
        log_warning("shadow: an answer of the server differs from the cached one: rule=" + *c.rule +
                    " fingerprint=" + fingerprint.str());
    }
}

void worker::watch(std::chrono::steady_clock::time_point due, std::uint64_t token) {
    watched_.emplace(due, token);
    if (due < armed_) arm_watch();
}

void worker::arm_watch() {
    armed_ = watched_.empty() ? core::limiter::never : watched_.top().first;
    if (watched_.empty()) return;
    watch_timer_.expires_at(armed_);
    watch_timer_.async_wait([this](boost::system::error_code error) {
        if (error) return;
        const auto now = std::chrono::steady_clock::now();
        while (!watched_.empty() && watched_.top().first <= now) {
            const auto [due, token] = watched_.top();
            watched_.pop();
            if (const auto p = find(token)) p->on_deadline(due, now);
        }
        arm_watch();
    });
}

void worker::adopt(tcp::socket client) {
    if (!work_.owns_work()) return;  // stopped
    const auto token = static_cast<std::uint64_t>(index_) << worker_shift | next_session_++
                                                                                << wait_bits;
    const auto p = std::make_shared<pump>(*this, std::move(client), token);
    pumps_.emplace(token, p);
    clients_.store(pumps_.size());
    p->start();
    if (draining_) p->shut_down();
}

void worker::drain() {
    post([this] {
        draining_ = true;
        for (const auto copy = pumps_; const auto& [token, p] : copy) p->shut_down();
    });
}

void worker::switch_to(std::shared_ptr<const live_settings> next) {
    const bool others = next->settings != live_->settings;
    live_ = std::move(next);
    options_ = live_->options;
    if (others) decider_.adopt(live_->rules(), limits_of(settings()));
    for (const auto copy = pumps_; const auto& [token, p] : copy) p->on_switched();
}

void worker::forget_old_catalogs() {
    for (const auto& [token, p] : pumps_) p->forget_old_catalog();
    decider_.forget_old_scopes();
}

worker& worker::neighbour(unsigned index) noexcept { return owner_.worker_of(index); }

std::int32_t worker::new_client_pid() noexcept { return owner_.new_client_pid(); }

void worker::acquire_again(std::uint64_t token) {
    if (const auto p = find(token)) p->acquire_again();
}

// A server connection has vanished: the server may be another one from now on.
void worker::distrust_catalogs() {
    services_.dbs.doubt_everywhere(std::chrono::steady_clock::now());
    owner_.catalogs().reload();
}

void worker::carry_out(core::actions& todo) {
    if (!todo.measured.empty() || !todo.transactions.empty()) measure(todo);
    if (!todo.compared.empty()) note_comparisons(todo.compared);
    for (const auto why : todo.outcomes) collector_.count(why);
    for (const auto& wake : todo.wake) {
        auto& home = owner_.worker_of(static_cast<unsigned>(wake.token >> worker_shift));
        const auto session = wake.token >> wait_bits << wait_bits;
        // One that has ended meanwhile has left the flight itself, and handed a lead on.
        home.post([&home, session, wake] {
            if (const auto p = home.find(session)) p->on_wake(wake);
        });
    }
    if (todo.catalog_changed) owner_.catalogs().reload();
    if (todo.database_settled) owner_.catalogs().settled();
    if (todo.unsettled) owner_.catalogs().settle(*todo.unsettled);
}

void worker::use_database(const std::string& name) { owner_.catalogs().use(name); }

void worker::release_database(const std::string& name, std::uint64_t token) {
    core::pool_ledger::orders todo;
    owner_.ledger().close_idle(name, todo);
    pools_.carry_out(todo);
    owner_.catalogs().release(name, [this, token] {
        post([this, token] {
            if (const auto p = find(token)) p->on_database_released();
        });
    });
}

void worker::register_key(std::int32_t pid, const std::string& key, std::uint64_t token) {
    owner_.keys().add(pid, key, index_, token);
}

void worker::forget_key(std::int32_t pid, std::uint64_t token) { owner_.keys().remove(pid, token); }

void worker::cancel(std::int32_t pid, const std::string& key, std::function<void()> done) {
    const auto target = owner_.keys().find(pid, key);
    if (!target && !owner_.may_be_elsewhere()) return post(std::move(done));
    // It stays here: it keeps a pump alive, which must not end on another thread.
    const auto number = next_cancel_++;
    cancels_.emplace(number, std::move(done));
    const auto answer = [this, number] {
        post([this, number] {
            auto waiting = cancels_.extract(number);
            if (!waiting.empty()) waiting.mapped()();
        });
    };
    if (!target) return owner_.cancel_elsewhere(pid, key, answer);
    auto& home = owner_.worker_of(target->worker);
    home.post([&home, token = target->token, answer] {
        if (const auto p = home.find(token)) return p->on_cancel(answer);
        answer();
    });
}

void worker::send_cancel(std::int32_t pid, const std::string& key, std::function<void(bool)> done) {
    std::make_shared<cancel_sender>(context_, shared_settings(), server_tls())
        ->start(pid, key, std::move(done));
}

void worker::carry_to_tier(core::tier_work& work, std::uint64_t token) {
    auto& tier = *owner_.tier();
    tier.count(work);
    if (!work.offers.empty()) tier.put(std::move(work.offers));
    if (!work.question) return;
    const auto number = work.question->number;
    tier.get(std::move(*work.question), [this, token, number](core::tier_finds found) {
        // A function has to be copyable, an answer is not worth copying.
        auto kept = std::make_shared<core::tier_finds>(std::move(found));
        post([this, token, number, kept] {
            if (const auto p = find(token)) p->on_tier_answer(number, std::move(*kept));
        });
    });
}

void worker::look_up_secret(const std::string& user, std::uint64_t token) {
    owner_.secrets().look_up(user, [this, token](std::optional<std::string> secret) {
        post([this, token, secret = std::move(secret)]() mutable {
            if (const auto p = find(token)) p->on_secret(std::move(secret));
        });
    });
}

void worker::doubt_secret(const std::string& user) { owner_.secrets().doubt(user); }

void worker::look_up_login(users::question q, bool for_console, std::uint64_t token) {
    auto done = [this, token](core::auth_method method, std::optional<core::client_login> login) {
        post([this, token, method, login = std::move(login)]() mutable {
            if (const auto p = find(token)) p->on_login_rules(method, std::move(login));
        });
    };
    if (for_console)
        owner_.users().look_up_for_console(std::move(q), std::move(done));
    else
        owner_.users().look_up(std::move(q), std::move(done));
}

io::console& worker::console() noexcept { return owner_.console(); }
const core::traffic& worker::traffic() const noexcept { return owner_.traffic(); }
const core::pool_ledger& worker::ledger() const noexcept { return owner_.ledger(); }

void worker::list(std::vector<ops::live_client>& clients, std::vector<ops::live_server>& servers) {
    for (const auto& [token, p] : pumps_)
        if (!p->ended()) p->tell(clients, servers);
    pools_.tell(servers);
}

std::size_t worker::count_servers(std::string_view database, bool outdated) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        pumps_, [&](const auto& item) { return item.second->holds_server(database, outdated); }));
}

void worker::dismiss(std::string_view database) {
    for (const auto copy = pumps_; const auto& [token, p] : copy)
        if (p->serves(database)) p->dismiss();
}

void worker::unpark() {
    for (const auto copy = pumps_; const auto& [token, p] : copy) p->unpark();
}

void worker::remove(std::uint64_t token) {
    // Not at once: the pump is on the stack.
    post([this, token] {
        pumps_.erase(token);
        clients_.store(pumps_.size());
        owner_.session_ended();
    });
}

std::shared_ptr<pump> worker::find(std::uint64_t token) {
    const auto it = pumps_.find(token);
    return it == pumps_.end() || it->second->ended() ? nullptr : it->second;
}

}  // namespace pgsidecar::io

#include "tests/core/simulation_pool.h"

#include <algorithm>
#include <optional>

#include "tests/core/simulated_client.h"
#include "tests/core/toy_crypto.h"

namespace core_test {
namespace {

using std::chrono::milliseconds;
using where = shared_line::place;
using ledger = core::pool_ledger;

constexpr std::uint64_t token_step = 1U << 20;
const core::server_credentials nothing_shown{};

template <class T>
T any(chance& luck, std::initializer_list<T> of) {
    return of.begin()[luck.below(of.size())];
}

config::pool_settings settings_of(std::uint64_t seed) {
    chance luck{~seed};
    config::pool_settings s;
    s.default_pool_size = any(luck, {1U, 1U, 2U, 3U});
    s.min_pool_size = any(luck, {0U, 0U, 1U});
    s.reserve_pool_size = any(luck, {0U, 0U, 1U});
    s.reserve_pool_timeout = milliseconds{100};
    s.max_db_connections = any(luck, {0U, 0U, 2U, 3U});
    s.query_wait_timeout = any(luck, {milliseconds{0}, milliseconds{0}, milliseconds{300}});
    s.server_idle_timeout = any(luck, {milliseconds{0}, milliseconds{200}});
    constexpr milliseconds hour{3'600'000}, once{0};
    s.server_lifetime = any(luck, {hour, hour, hour, hour, milliseconds{3000}, once});
    s.server_login_retry = milliseconds{100};
    return s;
}

}  // namespace

simulated_pool::simulated_pool(std::uint64_t seed, const std::atomic<std::uint64_t>& altered)
    : settings{settings_of(seed)}, ledger{settings, &altered} {
    chance luck{seed ^ 0x5EED};
    followed = {"application_name"};
    if (luck.one_in(2)) followed.emplace_back(transaction_model::tenant_setting);
    statements = any(luck, {std::size_t{1}, std::size_t{3}, std::size_t{200}});
    refuses = luck.one_in(3);
    checks = luck.one_in(3);
}

void simulation::begin_pool() {
    pool_ = std::make_unique<simulated_pool>(options_.seed, world_.dbs.defaults_altered);
    auto& o = world_.options;
    o.scram = &toy_crypto;
    o.authenticates = o.pooled = true;
    o.query_wait_timeout = pool_->settings.query_wait_timeout;
    o.max_prepared_statements = pool_->statements;
    if (pool_->checks) o.server_check_query = "SELECT 1";
    o.followed_startup = pool_->followed;
}

simulation::connection& simulation::of(std::uint64_t token) {
    return *connections_[token / token_step - 1];
}

void simulation::join(std::uint64_t token) {
    auto& c = of(token);
    const auto& start_up = c.proxy.session().pool_start_up();
    const auto pool = pool_->ledger.of(start_up, "db", "app");
    c.pool = pool.get();
    if (pool_->start_ups.emplace(c.pool, start_up).second) pool_->pools.push_back(pool);
    c.proxy.session().on_pool_joined(static_cast<std::int32_t>(connections_.size()),
                                     std::string(32, 'k'));
}

// It is the session's from now on; what the server has said meanwhile is read soon.
void simulation::lend(line& l, connection& c) {
    l.user = &c;
    l.shared->where = where::used;
    c.at = &l;
    c.server_cut = c.server_cut || l.cut;
    ++report_.attached;
    if (luck_.one_in(60)) {
        l.server.refuse_restore();
        c.restore_refused = true;
    }
    after(5, [this, &l, &c] {
        if (l.user != &c || c.proxy_ended) return;
        const auto said = std::exchange(l.shared->unread, {});
        if (!said.empty()) c.proxy.server(said);
        if (l.user == &c && l.shared->ended) c.proxy.server_gone();
        collect(c);
    });
}

simulation::line* simulation::take_idle(unsigned worker, std::uint64_t number) {
    const auto it = pool_->idle.find({worker, number});
    if (it == pool_->idle.end()) return nullptr;
    auto* const l = it->second;
    pool_->idle.erase(it);
    l->shared->where = where::moving;
    return l;
}

core::server_link* simulation::take_now(std::uint64_t token) {
    auto& c = of(token);
    if (c.at || c.proxy_ended || c.proxy.closing) return nullptr;
    const auto number = pool_->ledger.take_own(*c.pool, c.worker);
    if (!number) return nullptr;
    if (auto* const mine = take_idle(c.worker, *number)) {
        lend(*mine, c);
        return mine->shared->link.get();
    }
    ledger::orders todo;
    pool_->ledger.closed(*c.pool, world_.now, todo);
    carry_out(todo);
    return nullptr;
}

void simulation::acquire(std::uint64_t token) {
    auto& c = of(token);
    for (;;) {
        auto got = pool_->ledger.acquire(*c.pool, {c.worker, token}, world_.now);
        carry_out(got.todo);
        if (got.what == ledger::answer::refused) return c.proxy.no_server(got.error);
        c.acquiring = true;
        if (got.what == ledger::answer::wait) return;
        if (got.connection.worker != c.worker) {
            after(10, [this, &c, from = got.connection, token] {
                fetch(*c.pool, from.worker, from.id, {c.worker, token});
            });
            return;
        }
        if (auto* const mine = take_idle(c.worker, got.connection.id)) {
            c.acquiring = false;
            lend(*mine, c);
            return c.proxy.attach(*mine->shared->link);
        }
        ledger::orders todo;
        pool_->ledger.closed(*c.pool, world_.now, todo);
        carry_out(todo);
    }
}

void simulation::fetch(ledger::pool& p, unsigned worker, std::uint64_t number,
                       ledger::place whose) {
    if (auto* const found = take_idle(worker, number)) return settle(*found, whose);
    ledger::orders todo;
    pool_->ledger.closed(p, world_.now, todo);
    carry_out(todo);
    after(10, [this, token = whose.id] {
        auto& c = of(token);
        if (c.proxy_ended || !std::exchange(c.acquiring, false)) return;
        acquire(token);
        collect(c);
    });
}

void simulation::forget(std::uint64_t token) {
    auto& c = of(token);
    if (std::exchange(c.acquiring, false)) (void)pool_->ledger.forget(*c.pool, {c.worker, token});
}

void simulation::give_back(std::uint64_t token, std::string_view unread) {
    auto& c = of(token);
    if (!c.at) return;
    auto& l = *std::exchange(c.at, nullptr);
    send_to_server(l, c.proxy.to_server());
    l.user = nullptr;
    if (!l.shared->link->take_idle(unread)) l.shared->link->unfit = true;
    if (l.shared->link->unfit) return destroy(l);
    check_given_back(l);
    l.shared->worker = c.worker;
    take_back(l);
}

void simulation::take_back(line& l) {
    auto& s = *l.shared;
    const auto lifetime = pool_->settings.server_lifetime;
    if (world_.now - s.link->opened >= lifetime) return destroy(l);
    s.link->idle_since = world_.now;
    s.number = pool_->next++;
    ledger::orders todo;
    const auto whose = pool_->ledger.released(
        *s.of, {s.worker, s.number}, {s.link->opened, s.link->login_altered}, world_.now, todo);
    settle(l, whose);
    carry_out(todo);
}

void simulation::settle(line& l, const std::optional<ledger::place>& whose) {
    if (!whose) return keep(l);
    l.shared->where = where::moving;
    after(10, [this, &l, who = *whose] {
        l.shared->worker = who.worker;
        hand_over(l, who.id);
    });
}

void simulation::hand_over(line& l, std::uint64_t token) {
    auto& c = of(token);
    if (c.proxy_ended || c.proxy.closing || !std::exchange(c.acquiring, false)) return take_back(l);
    lend(l, c);
    c.proxy.attach(*l.shared->link);
    collect(c);
}

void simulation::keep(line& l) {
    l.shared->where = where::idle;
    pool_->idle.emplace(std::pair{l.shared->worker, l.shared->number}, &l);
    if (l.shared->ended || !l.shared->unread.empty()) after(5, [this, &l] { look_at_idle(l); });
}

// What the server says to a connection that no session uses.
void simulation::look_at_idle(line& l) {
    auto& s = *l.shared;
    if (s.where == where::opening) return log_in_shared(l);
    if (s.where != where::idle) return;
    if (!s.ended && s.link->take_idle(std::exchange(s.unread, {}))) return;
    (void)take_idle(s.worker, s.number);
    s.where = where::gone;
    if (!l.cut) violate("an idle connection is out of step");
    world_.dbs.want_reload_everywhere();
    const auto generation = world_.db().wanted();
    after(100, [this, generation] { world_.db().publish(small_catalog(generation)); });
    ledger::orders todo;
    (void)pool_->ledger.lost(*s.of, {s.worker, s.number}, world_.now, todo);
    carry_out(todo);
    say_goodbye(l);
}

void simulation::destroy(line& l) {
    l.shared->where = where::gone;
    report_.unfit += l.shared->link->unfit ? 1U : 0U;
    send_to_server(l, terminate());
    say_goodbye(l);
    ledger::orders todo;
    pool_->ledger.closed(*l.shared->of, world_.now, todo);
    carry_out(todo);
}

void simulation::open_shared(ledger::pool& p, unsigned worker) {
    auto& l = add_line();
    ++report_.lines;
    l.shared = std::make_unique<shared_line>();
    auto& s = *l.shared;
    s.of = &p;
    s.worker = worker;
    s.altered = world_.dbs.defaults_altered.load();
    s.login =
        std::make_unique<core::pool_login>(toy_crypto, nothing_shown, pool_->start_ups.at(&p),
                                           std::string{}, std::string(core::scram_nonce_size, 'n'));
    const auto dice = pool_->refuses ? luck_.below(20) : 20;
    if (dice < 2) {
        after(60, [this, &l, dice] {
            if (l.shared->where != where::opening) return;  // it was cut meanwhile
            l.cut = true;
            l.server.end();
            fail_shared(l, failed(dice == 0 ? "53300" : "08001", "FATAL"), dice != 0);
        });
        return;
    }
    std::string first;
    s.login->begin(first);
    send_to_server(l, first);
}

void simulation::log_in_shared(line& l) {
    auto& s = *l.shared;
    std::string answer;
    s.unread.erase(0, s.login->on_server(s.unread, answer));
    using result = core::pool_login::result;
    if (s.login->verdict() == result::refused) return violate("a log-in at the server fails");
    if (s.login->verdict() == result::more) {
        if (s.ended) fail_shared(l, failed("08006", "FATAL"), true);
        return;
    }
    s.link = s.login->take_link();
    s.link->opened = s.link->idle_since = world_.now;
    s.link->login_altered = s.altered;
    if (!s.link->take_idle(std::exchange(s.unread, {}))) s.link->unfit = true;
    s.number = pool_->next++;
    s.where = where::moving;
    ledger::orders todo;
    const auto whose = pool_->ledger.opened(*s.of, {s.worker, s.number}, {world_.now, s.altered},
                                            world_.now, todo);
    settle(l, whose);
    carry_out(todo);
}

void simulation::fail_shared(line& l, std::string error, bool unreachable) {
    auto& s = *l.shared;
    s.where = where::gone;
    ledger::orders todo;
    const auto told = pool_->ledger.failed(*s.of, error, unreachable, world_.now, todo);
    for (const auto& who : told)
        after(10, [this, token = who.id, error] {
            auto& c = of(token);
            if (c.proxy_ended || c.proxy.closing || !std::exchange(c.acquiring, false)) return;
            c.proxy.no_server(error);
            collect(c);
        });
    carry_out(todo);
}

void simulation::carry_out(const ledger::orders& todo) {
    for (const auto& order : todo.open)
        after(10, [this, order] { open_shared(*order.of, order.worker); });
    for (const auto& order : todo.close)
        after(10, [this, place = order.connection] {
            auto* const l = take_idle(place.worker, place.id);
            if (!l) return;
            l->shared->where = where::gone;
            send_to_server(*l, terminate());
            say_goodbye(*l);
        });
}

// What the proxy believes of it is so, and nothing there is anybody's.
void simulation::check_given_back(const line& l) {
    const auto& link = *l.shared->link;
    if (l.cut || l.shared->ended) return;
    const auto& there = l.server.transaction();
    if (!l.server.quiet()) return violate("given back in the middle of something");
    if (there.holds_anything()) violate("given back with what is its client's alone");
    if (l.server.tainted()) violate("given back after code that nobody knows");
    for (const auto& [name, value] : *link.settings) {
        if (value.find('\0') != std::string::npos) continue;
        const bool no_role = name == "role" && value == "none";
        if (there.value(name) != (no_role ? "" : value))
            violate("given back, and " + name + " is '" + there.value(name) + "', not '" + value +
                    "'");
    }
    for (const auto& [name, value] : there.set())
        if (!link.settings->contains(name) && there.at_start().find(name) == there.at_start().end())
            violate("given back, and of " + name + " nothing is known");
    // A DISCARD ALL that failed has left some whose numbers nobody uses again.
    std::size_t ours = 0;
    for (const auto& name : l.server.prepared_names()) {
        if (core::server_statements::is_ours(name))
            ++ours;
        else if (name.empty()
                     ? !link.unnamed
                     : !link.by_sql.contains(name) && std::ranges::count(link.leftovers, name) == 0)
            violate("given back, and of statement '" + name + "' nothing is known");
    }
    if (ours < link.statements.size())
        violate("given back without statements that should be there");
    for (const auto name : {"TimeZone", "application_name"}) {
        const auto it = link.reported->find(name);
        const auto* at = std::string_view{name} == "TimeZone" ? "timezone" : name;
        if (it == link.reported->end() || it->second != there.value(at))
            violate(std::string{"given back, and "} + name + " was reported otherwise");
    }
}

// Several times a second.
void simulation::tick() {
    ledger::orders todo;
    pool_->ledger.tick(world_.now, todo);
    carry_out(todo);
    for (const auto& p : pool_->pools) {
        const auto n = pool_->ledger.count(*p);
        if (n.waiting > 0 && n.idle > 0) violate("somebody waits while a connection is idle");
    }
    if (over() && ++pool_->ticks_left > 400) return;
    after(40, [this] { tick(); });
}

void simulation::end_with_pool(connection& c) {
    if (std::exchange(c.acquiring, false)) (void)pool_->ledger.forget(*c.pool, {c.worker, c.token});
    if (!c.at) return;
    c.at->shared->link->unfit = true;
    auto& l = *std::exchange(c.at, nullptr);
    l.user = nullptr;
    destroy(l);
}

void simulation::end_of_pool() {
    std::size_t idle = 0;
    for (const auto& l : lines_) {
        idle += l->shared->where == where::idle ? 1U : 0U;
        if (l->shared->where == where::gone || l->shared->where == where::idle) continue;
        if (report_.violation.empty()) violate("a server connection is lost");
    }
    const auto n = pool_->ledger.count();
    if (report_.violation.empty() &&
        (n.total != idle || n.idle != idle || n.opening != 0 || n.waiting != 0))
        violate("the ledger counts " + std::to_string(n.total) + " connections, " +
                std::to_string(n.idle) + " of them idle, " + std::to_string(n.opening) +
                " opening and " + std::to_string(n.waiting) + " waiting, where " +
                std::to_string(idle) + " are idle");
}

}  // namespace core_test

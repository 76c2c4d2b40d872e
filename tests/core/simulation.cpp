#include "tests/core/simulation.h"

#include <algorithm>
#include <cstdio>

#include "tests/core/messages.h"
#include "tests/core/simulated_client.h"
#include "tests/core/simulation_pool.h"

namespace core_test {
namespace {

constexpr std::uint64_t token_step = 1U << 20;

}  // namespace

simulation::simulation(const simulation_options& options)
    : options_{options},
      luck_{options.seed},
      limits_{options.limits ? std::optional{simulated_limits::of(options.seed)} : std::nullopt},
      world_{options.workers},
      steps_left_{options.steps} {
    if (options_.pooled) begin_pool();
    if (!limits_) return;
    world_.limit(limits_->options);
    watch_.emplace(*limits_);
    if (limits_->cuts_pages) world_.rules->rules.front().unlimited = policy::unlimited_select::cut;
}
simulation::~simulation() = default;
simulation::line::line(model_database& db, std::int32_t pid) : server{db, pid} {}
simulation::line::~line() = default;

void simulation::after(std::size_t most, std::function<void()> what) {
    events_.push({now_ + 1 + luck_.below(most), order_++, std::move(what)});
}

void simulation::violate(const std::string& what) {
    if (!report_.violation.empty()) return;
    report_.violation = "seed " + std::to_string(options_.seed) + ", with " +
                        std::to_string(steps_left_) + " steps left: " + what;
}

void simulation::acknowledge(const std::map<std::string, long>& writes) {
    for (const auto& [row, value] : writes) {
        const auto* place = database_.find(value);
        if (!place) return violate("acknowledged, but not committed: " + row);
        if (place->row != row) return violate("written to " + place->row + ": " + row);
        auto& newest = acknowledged_[row];
        newest = std::max(newest, place->at);
    }
}

void simulation::forbid(long value) {
    if (database_.find(value)) violate("refused, and committed: " + std::to_string(value));
    forbidden_.push_back(value);
}

std::size_t simulation::acknowledged(const std::string& row) const {
    const auto it = acknowledged_.find(row);
    return it == acknowledged_.end() ? 0 : it->second;
}

// In pieces, in order, each after a while of its own.
std::size_t simulation::transfer(std::uint64_t& last, const std::string& bytes, const deliver& to,
                                 std::size_t lag) {
    std::size_t pieces = 0;
    const std::size_t most = luck_.one_in(8) ? 1 : luck_.one_in(3) ? 16 : bytes.size();
    for (std::size_t at = 0; at < bytes.size();) {
        const auto size = std::min(bytes.size() - at, 1 + luck_.below(most));
        last = std::max(last, now_) + 1 + luck_.below(luck_.one_in(10) ? 20 * lag : lag);
        events_.push({last, order_++, [to, piece = bytes.substr(at, size)] { to(piece); }});
        at += size;
        ++pieces;
    }
    return pieces;
}

void simulation::trace(const connection& c, const char* what, std::string_view bytes) const {
    if (!options_.trace || bytes.empty()) return;
    const auto pid =
        c.at ? 77 + std::ranges::find(lines_, c.at, &std::unique_ptr<line>::get) - lines_.begin()
             : 0;
    std::fprintf(
        stderr, "%llu connection %llu, backend %td: %s %s\n", static_cast<unsigned long long>(now_),
        static_cast<unsigned long long>(c.token / token_step), pid, what, show(bytes).c_str());
}

void simulation::at_end_of(std::uint64_t& last, std::function<void()> what) {
    last = std::max(last, now_) + 1 + luck_.below(20);
    events_.push({last, order_++, std::move(what)});
}

simulation::line& simulation::add_line() {
    lines_.push_back(
        std::make_unique<line>(database_, 77 + static_cast<std::int32_t>(lines_.size())));
    if (luck_.one_in(4)) lines_.back()->lag = pool_ ? 60 : 300;
    return *lines_.back();
}

simulation::connection& simulation::open(simulated_client& client) {
    const auto token = (connections_.size() + 1) * token_step;
    pool_host* const host = pool_ ? this : nullptr;
    connections_.push_back(
        std::make_unique<connection>(world_, token, luck_.below(options_.workers), host));
    ++report_.connections;
    auto& c = *connections_.back();
    c.client = &client;
    if (!pool_) {
        c.at = &add_line();
        c.at->user = &c;
    }
    return c;
}

void simulation::send(connection& c, const std::string& bytes) {
    trace(c, "the client sends", bytes);
    transfer(c.client_to_proxy, bytes, [this, &c](const std::string& piece) {
        if (c.proxy_ended) return;
        c.proxy.client(piece);
        collect(c);
    });
}

void simulation::leave(connection& c) {
    c.client_left = true;
    at_end_of(c.client_to_proxy, [this, &c] {
        if (c.proxy_ended) return;
        const bool half = pool_ && !c.proxy.session().waits_for_server() && luck_.one_in(2);
        half ? c.proxy.client_finished() : c.proxy.client_gone();
        collect(c);
    });
}

void simulation::cut_server(connection& c) {
    if (!pool_) return cut(*c.at);
    if (!lines_.empty()) cut(*lines_[luck_.below(lines_.size())]);
}

// What the server has received it still processes, or part of it; what it answers may be lost.
void simulation::cut(line& l) {
    if (l.cut) return;
    l.cut = true;
    if (l.user) l.user->server_cut = true;
    at_end_of(l.server_to_proxy, [this, &l] { ended_for_proxy(l); });
    after(100, [&l] { l.server.end(); });
}

void simulation::cancel(connection& c, std::function<void()> done) {
    after(50, [this, &c, done = std::move(done)] {
        const bool forward = !c.proxy_ended && c.proxy.cancel();
        c.proxy.cancel_due = false;
        auto* const meant = c.at;
        if (!c.proxy_ended) collect(c);
        if (!forward) return after(20, done);
        after(50, [this, &c, meant, done] {
            meant->server.cancel();
            after(50, [this, &c, done] {
                if (!c.proxy_ended) {
                    c.proxy.cancel_sent();
                    collect(c);
                }
                after(20, done);
            });
        });
    });
}

void simulation::send_to_server(line& l, const std::string& bytes) {
    l.under_way += transfer(l.proxy_to_server, bytes, [this, &l](const std::string& piece) {
        --l.under_way;
        l.server.receive(piece);
        pump_server(l);
    });
}

void simulation::arrive(line& l, const std::string& piece) {
    --l.under_way;
    if (l.shared) l.shared->unread += l.user ? "" : piece;
    if (l.shared && !l.user) return look_at_idle(l);
    auto& c = *l.user;
    if (c.proxy_ended) return;
    trace(c, "the server says", piece);
    c.proxy.server(piece);
    collect(c);
}

void simulation::ended_for_proxy(line& l) {
    if (l.shared) l.shared->ended = true;
    if (l.shared && !l.user) return look_at_idle(l);
    auto& c = *l.user;
    if (c.proxy_ended) return;
    c.proxy.server_gone();
    collect(c);
}

// Carries out what the proxy's session wants, as the pump would.
void simulation::collect(connection& c) {
    const bool quiet = c.at && c.at->under_way == 0 && c.at->server.quiet();
    std::size_t hits = 0;
    for (const auto why : c.proxy.outcomes()) {
        ++report_.outcomes[why];
        trace(c, "outcome", to_string(why));
        if (why == policy::reason::hit || why == policy::reason::coalesced) ++hits;
    }
    if (std::exchange(c.proxy.connect, false)) {
        after(50, [this, &c] {
            if (c.proxy_ended) return;
            c.proxy.connected();
            collect(c);
        });
    }
    const auto to_server = c.proxy.to_server();
    trace(c, "to the server", to_server);
    if (limits_) watch_limits(c, to_server, hits, quiet);
    if (c.at)
        send_to_server(*c.at, to_server);
    else if (!to_server.empty() && !c.proxy.closing)
        violate("bytes for a server, and none is there");
    const auto to_client = c.proxy.to_client();
    trace(c, "to the client", to_client);
    transfer(c.proxy_to_client, to_client, [&c](const std::string& piece) {
        if (!c.client_left) c.client->receive(piece);
    });
    for (const auto& wake : c.proxy.wakes()) wake_later(wake);
    if (std::exchange(c.proxy.catalog_changed, false)) {
        const auto generation = world_.db().wanted();
        after(100, [this, generation] { world_.db().publish(small_catalog(generation)); });
    }
    for (const auto& lost : c.proxy.unsettled)
        settle_later(pool_ ? *lines_[static_cast<std::size_t>(lost.backend_pid - 77)] : *c.at,
                     lost);
    c.proxy.unsettled.clear();
    if (std::exchange(c.proxy.cancel_due, false)) cancel_by_itself(c);
    if (c.proxy.closing && !c.proxy_ended) return end_later(c);
    watch(c);
}

void simulation::wake_later(const core::wake_up& wake) {
    after(wake.admitted && luck_.one_in(5) ? 400 : 20, [this, wake] {
        auto& woken = *connections_[wake.token / token_step - 1];
        if (woken.proxy_ended) return;
        woken.proxy.wake(wake);
        collect(woken);
    });
}

void simulation::end_later(connection& c) {
    c.proxy_ended = true;
    at_end_of(c.proxy_to_client, [&c] {
        if (!c.client_left) c.client->lost();
    });
    if (pool_) return end_with_pool(c);
    say_goodbye(*c.at);
}

// Behind what was sent, the server sees the end.
void simulation::say_goodbye(line& l) {
    at_end_of(l.proxy_to_server, [this, &l] {
        l.cut = true;
        at_end_of(l.stepped, [this, &l] { at_end_of(l.stepped, [&l] { l.server.end(); }); });
    });
}

void simulation::pump_server(line& l) {
    if (l.stepping || !l.server.has_work()) return;
    l.stepping = true;
    const bool slow = luck_.one_in(10);
    plan_step(l, slow && limits_ && luck_.one_in(3) ? luck_.one_in(8) ? 9000 : 1000
                 : slow                             ? 100
                                                    : 10);
}

void simulation::plan_step(line& l, std::uint64_t within) {
    l.stepped = std::max(l.stepped, now_) + 1 + luck_.below(within);
    events_.push({l.stepped, order_++, [this, &l, plan = ++l.planned_steps] {
                      if (plan != l.planned_steps) return;
                      l.stepping = false;
                      if (!l.server.has_work()) return;
                      const auto out = l.server.step();
                      if (!l.cut)
                          l.under_way += transfer(
                              l.server_to_proxy, out,
                              [this, &l](const std::string& piece) { arrive(l, piece); }, l.lag);
                      if (l.server.ended()) cut(l);
                      pump_server(l);
                  }});
}

// The server says that the backend is gone: not before it is.
void simulation::settle_later(line& l, const core::unsettled_commit& lost) {
    ++report_.unsettled;
    after(200, [this, &l, lost] {
        if (!l.server.ended()) return settle_later(l, lost);
        for (auto* table : lost.tables) table->settle();
        if (!lost.schema_changed) return;
        lost.where->end_schema_change();
        world_.publish();
    });
}

// The cache goes off for a while, and on again, for all sessions at once, whatever they are at.
void simulation::switch_later() {
    after(world_.options.cache ? 3000 : 300, [this] {
        world_.options.cache = !world_.options.cache;
        if (world_.options.cache) world_.versions.bump_all();
        for (std::size_t i = 0; i < connections_.size(); ++i) {
            auto& c = *connections_[i];
            if (c.proxy_ended) continue;
            c.proxy.switched();
            collect(c);
        }
        if (!over()) switch_later();
    });
}

simulation_report simulation::run() {
    world_.options.follow = true;
    if (options_.seed % 3 == 0) switch_later();
    for (std::size_t i = 0; i < options_.clients; ++i) {
        clients_.push_back(std::make_unique<simulated_client>(*this));
        clients_.back()->connect();
    }
    if (pool_) tick();
    std::size_t events = 0;
    while (!events_.empty() && report_.violation.empty()) {
        auto next = std::move(const_cast<event&>(events_.top()));
        events_.pop();
        now_ = next.at;
        world_.now =
            core::session::time_point{std::chrono::hours{1}} + std::chrono::milliseconds{now_};
        next.what();
        if (++events > options_.steps * 10000) violate("it does not come to an end");
    }
    for (const auto value : forbidden_)
        if (database_.find(value)) violate("refused, and committed: " + std::to_string(value));
    if (limits_) end_of_limits();
    if (pool_) end_of_pool();
    for (const auto& client : clients_)
        if (report_.violation.empty() && client->waits()) violate("a reply never came");
    if (report_.violation.empty())
        if (const auto left = world_.unrest({}); !left.empty()) violate("not at rest: " + left);
    return report_;
}

}  // namespace core_test

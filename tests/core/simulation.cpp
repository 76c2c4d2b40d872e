#include "tests/core/simulation.h"

#include <algorithm>

#include "tests/core/simulated_client.h"

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
    if (!limits_) return;
    world_.limit(limits_->options);
    watch_.emplace(*limits_);
    if (limits_->cuts_pages) world_.rules->rules.front().unlimited = policy::unlimited_select::cut;
}
simulation::~simulation() = default;

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

void simulation::at_end_of(std::uint64_t& last, std::function<void()> what) {
    last = std::max(last, now_) + 1 + luck_.below(20);
    events_.push({last, order_++, std::move(what)});
}

simulation::connection& simulation::open(simulated_client& client) {
    const auto token = (connections_.size() + 1) * token_step;
    connections_.push_back(
        std::make_unique<connection>(world_, token, luck_.below(options_.workers), database_));
    ++report_.connections;
    auto& c = *connections_.back();
    c.client = &client;
    if (luck_.one_in(4)) c.lag = 300;
    return c;
}

void simulation::send(connection& c, const std::string& bytes) {
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
        c.proxy.client_gone();
        collect(c);
    });
}

// What the server has received it still processes, or part of it; what it answers may be lost.
void simulation::cut_server(connection& c) {
    if (c.server_cut) return;
    c.server_cut = true;
    at_end_of(c.server_to_proxy, [this, &c] {
        if (c.proxy_ended) return;
        c.proxy.server_gone();
        collect(c);
    });
    after(100, [&c] { c.server.end(); });
}

void simulation::cancel(connection& c, std::function<void()> done) {
    after(50, [this, &c, done = std::move(done)] {
        const bool forward = !c.proxy_ended && c.proxy.cancel();
        c.proxy.cancel_due = false;
        if (!c.proxy_ended) collect(c);
        if (!forward) return after(20, done);
        after(50, [this, &c, done] {
            c.server.cancel();
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

// Carries out what the proxy's session wants, as the pump would.
void simulation::collect(connection& c) {
    const bool quiet = c.under_way == 0 && c.server.quiet();
    std::size_t hits = 0;
    for (const auto why : c.proxy.outcomes()) {
        ++report_.outcomes[why];
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
    if (limits_) watch_limits(c, to_server, hits, quiet);
    c.under_way += transfer(c.proxy_to_server, to_server, [this, &c](const std::string& piece) {
        --c.under_way;
        c.server.receive(piece);
        pump_server(c);
    });
    transfer(c.proxy_to_client, c.proxy.to_client(), [&c](const std::string& piece) {
        if (!c.client_left) c.client->receive(piece);
    });
    for (const auto& wake : c.proxy.wakes()) wake_later(wake);
    if (std::exchange(c.proxy.catalog_changed, false)) {
        const auto generation = world_.db().wanted();
        after(100, [this, generation] { world_.db().publish(small_catalog(generation)); });
    }
    for (const auto& lost : c.proxy.unsettled) settle_later(c, lost);
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
    // Behind what was sent, the server sees the end.
    at_end_of(c.proxy_to_server, [this, &c] {
        c.server_cut = true;
        at_end_of(c.stepped, [this, &c] { at_end_of(c.stepped, [&c] { c.server.end(); }); });
    });
}

void simulation::pump_server(connection& c) {
    if (c.stepping || !c.server.has_work()) return;
    c.stepping = true;
    const bool slow = luck_.one_in(10);
    plan_step(c, slow && limits_ && luck_.one_in(3) ? luck_.one_in(8) ? 9000 : 1000
                 : slow                             ? 100
                                                    : 10);
}

void simulation::plan_step(connection& c, std::uint64_t within) {
    c.stepped = std::max(c.stepped, now_) + 1 + luck_.below(within);
    events_.push({c.stepped, order_++, [this, &c, plan = ++c.planned_steps] {
                      if (plan != c.planned_steps) return;
                      c.stepping = false;
                      if (!c.server.has_work()) return;
                      const auto out = c.server.step();
                      if (!c.server_cut)
                          c.under_way += transfer(
                              c.server_to_proxy, out,
                              [this, &c](const std::string& piece) {
                                  --c.under_way;
                                  if (c.proxy_ended) return;
                                  c.proxy.server(piece);
                                  collect(c);
                              },
                              c.lag);
                      if (c.server.ended()) cut_server(c);
                      pump_server(c);
                  }});
}

// The server says that the backend is gone: not before it is.
void simulation::settle_later(connection& c, const core::unsettled_commit& lost) {
    ++report_.unsettled;
    after(200, [this, &c, lost] {
        if (!c.server.ended()) return settle_later(c, lost);
        for (auto* table : lost.tables) table->settle();
        if (!lost.schema_changed) return;
        lost.where->end_schema_change();
        world_.publish();
    });
}

simulation_report simulation::run() {
    for (std::size_t i = 0; i < options_.clients; ++i) {
        clients_.push_back(std::make_unique<simulated_client>(*this));
        clients_.back()->connect();
    }
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
    for (const auto& client : clients_)
        if (report_.violation.empty() && client->waits()) violate("a reply never came");
    if (report_.violation.empty())
        if (const auto left = world_.unrest({}); !left.empty()) violate("not at rest: " + left);
    return report_;
}

}  // namespace core_test

#include "tests/core/simulation_limits.h"

#include <algorithm>

#include "protocol/framer.h"
#include "protocol/frontend.h"
#include "tests/core/simulation.h"

namespace core_test {
namespace {

using kind = statement::kind;
using policy::enforcement;
using std::chrono::milliseconds;

template <class T>
T any(chance& luck, std::initializer_list<T> of) {
    return of.begin()[luck.below(of.size())];
}

// May what follows belong to another tenant?
bool moves(const statement& s) {
    switch (s.what) {
        case kind::set_tenant:
        case kind::set_tenant_local:
        case kind::reset_tenant:
        case kind::discard_all:
        case kind::commit:
        case kind::rollback:
        case kind::rollback_to:
            return true;
        default:
            return false;
    }
}

}  // namespace

simulated_limits simulated_limits::of(std::uint64_t seed) {
    chance luck{~seed};
    simulated_limits out;
    auto& o = out.options;
    o.limits = luck.one_in(8) ? enforcement::warn : enforcement::enforce;
    out.by_startup = luck.one_in(2);
    if (!out.by_startup)
        o.sources = {{.where = policy::tenant_source::from::setting, .name = "app.tenant_id"}};
    o.tiers.resize(1);
    auto& t = o.tiers.front();
    const auto mode = [&] {
        return any(luck, {enforcement::off, enforcement::warn, enforcement::enforce,
                          enforcement::enforce, enforcement::enforce});
    };
    t.query_timeout = any(luck, {milliseconds{80}, milliseconds{300}, milliseconds{1500}});
    t.query_timeout_mode = mode();
    t.max_result_rows = any(luck, {1U, 10'000U});
    t.max_result_rows_mode = mode();
    t.max_result_bytes = any(luck, {std::size_t{24}, std::size_t{1} << 20});
    t.max_result_bytes_mode = mode();
    t.queries_per_minute = any(luck, {60U, 240U, 1200U, 60'000U});
    t.burst = any(luck, {4U, 10U});
    t.queries_per_minute_mode = mode();
    t.max_concurrent = any(luck, {1U, 1U, 2U, 3U});
    t.max_concurrent_mode = mode();
    t.query_wait_timeout =
        any(luck, {milliseconds{100}, milliseconds{2000}, milliseconds{std::chrono::hours{1}}});
    o.max_concurrent_requests = any(luck, {0U, 0U, 1U, 2U, 3U});
    t.default_page_size = 1;
    out.cuts_pages = luck.one_in(6);
    return out;
}

std::vector<statement> passage::sent(std::string_view bytes) {
    std::vector<statement> out;
    in.append(bytes);
    protocol::frame f;
    std::error_code error;
    const auto next = [&] {
        return started ? protocol::next(in, f, error) : protocol::next_startup(in, f, error);
    };
    for (; next() == protocol::peek_result::ok; in.erase(0, f.whole.size())) {
        if (!std::exchange(started, true)) continue;
        protocol::query q;
        protocol::parse_message p;
        protocol::bind b;
        if (f.type == 'Q' && !protocol::parse(f.body, q)) {
            if (const auto s = statement::read(std::string{q.sql}, {})) out.push_back(*s);
        } else if (f.type == 'S') {
            skipped = false;
        } else if (skipped) {
            continue;
        } else if (f.type == 'P' && !protocol::parse(f.body, p)) {
            skipped = !statement::read(std::string{p.sql}, {});
            prepared[std::string{p.name}] = statement::read(std::string{p.sql}, {});
        } else if (f.type == 'B' && !protocol::parse(f.body, b)) {
            const auto it = prepared.find(b.statement);
            portal = it == prepared.end() ? std::nullopt : it->second;
        } else if (f.type == 'E' && portal) {
            out.push_back(*portal);
        }
    }
    return out;
}

void limits_watch::at_rest(passage& p, const std::string& tenant) const {
    p.runs = p.moved = p.block = false;
    if (!limits_.by_startup) p.tenant = tenant;
}

bool limits_watch::note(passage& p, std::string_view bytes, std::size_t hits, std::uint64_t now) {
    const token when{p.held_since.value_or(now), now};
    auto& taken = taken_[p.tenant];
    taken.insert(taken.end(), hits, when);
    bool took = hits > 0;
    for (const auto& s : p.sent(bytes)) {
        took = took || s.counts();
        if (s.counts() && !p.moved && !p.block) taken.push_back(when);
        p.runs = p.runs || s.counts() || s.what == kind::begin;
        p.block = p.block || s.what == kind::begin;
        p.moved = p.moved || (!limits_.by_startup && moves(s));
    }
    return took;
}

std::string limits_watch::crowd(const std::vector<const passage*>& alive, unsigned places) const {
    std::map<std::string, unsigned> running;
    unsigned all = 0;
    for (const auto* p : alive) {
        if (!p->runs) continue;
        ++all;
        ++running[p->tenant];
    }
    if (all > places) return "a request runs that has no place";
    if (limits_.options.limits != enforcement::enforce) return {};
    if (const auto most = limits_.options.max_concurrent_requests; most != 0 && all > most)
        return std::to_string(all) + " requests run at a time";
    if (!limits_.enforced(limits_.tier().max_concurrent_mode)) return {};
    for (const auto& [tenant, count] : running)
        if (count > limits_.tier().max_concurrent)
            return std::to_string(count) + " requests of tenant '" + tenant + "' run at a time";
    return {};
}

// In no span of time may all that were surely taken in it be more than had come and were there.
std::string limits_watch::excess() const {
    if (!limits_.enforced(limits_.tier().queries_per_minute_mode)) return {};
    const auto rate = limits_.tier().rate();
    for (const auto& [tenant, taken] : taken_) {
        auto by_end = taken;
        std::ranges::stable_sort(by_end, {}, &token::until);
        for (const auto& [start, unused] : taken) {
            std::size_t count = 0;
            for (const auto& t : by_end) {
                if (t.from < start) continue;
                const auto span = static_cast<double>(t.until - start);
                if (static_cast<double>(++count) >
                    rate.per_minute * span / 60'000 + rate.burst + .1)
                    return std::to_string(count) + " queries of tenant '" + tenant + "' within " +
                           std::to_string(t.until - start) + " ms";
            }
        }
    }
    return {};
}

// Calls on_deadline() when it is due, or a little later.
void simulation::watch(connection& c) {
    const auto due = c.proxy.session().deadline();
    if (c.proxy_ended || due >= c.watched) return;
    c.watched = due;
    const auto left = std::chrono::ceil<milliseconds>(due - world_.now).count();
    const auto late = luck_.one_in(4) ? luck_.below(40) : 0;
    const auto at = now_ + static_cast<std::uint64_t>(std::max(left, decltype(left){0})) + late;
    events_.push({at, order_++, [this, &c, due] {
                      if (c.proxy_ended || c.watched != due) return;
                      c.watched = core::limiter::never;
                      c.proxy.on_deadline();
                      collect(c);
                  }});
}

// The session's own cancel reaches the server soon, or late, or never.
void simulation::cancel_by_itself(connection& c) {
    ++c.own_cancels;
    const auto way = luck_.below(8);
    after(way < 2 ? 800 : 20, [this, &c, arrives = way > 0] {
        if (arrives) {
            c.at->server.cancel();
            // Whatever it is at ends soon, or does not look.
            if (c.at->stepping && !luck_.one_in(4)) {
                c.at->stepped = now_;
                plan_step(*c.at, 20);
            }
        }
        after(50, [this, &c] {
            if (c.proxy_ended) return;
            c.proxy.cancel_sent();
            collect(c);
        });
    });
}

void simulation::watch_limits(connection& c, std::string_view to_server, std::size_t hits,
                              bool quiet) {
    if (quiet) watch_->at_rest(c.passed, c.at->server.tenant());
    const bool took = watch_->note(c.passed, to_server, hits, now_);
    auto& since = c.passed.held_since;
    if (c.proxy.held() == 0)
        since.reset();
    else if (took || !since)
        since = now_;
    std::vector<const passage*> alive;
    for (const auto& other : connections_)
        if (!other->proxy_ended && !other->proxy.closing) alive.push_back(&other->passed);
    const auto crowd = watch_->crowd(alive, world_.tenants->gate().running());
    if (!crowd.empty()) violate(crowd);
}

void simulation::end_of_limits() {
    for (std::size_t k = 0; k < policy::limit_kinds; ++k)
        report_.met[k] = world_.tenants->met(static_cast<policy::limit_kind>(k));
    if (const auto excess = watch_->excess(); !excess.empty()) violate(excess);
}

}  // namespace core_test

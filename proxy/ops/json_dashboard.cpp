#include "proxy/ops/json_dashboard.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <map>
#include <utility>
#include <vector>

#include "proxy/ops/json_health.h"
#include "proxy/ops/readable.h"

namespace pgsidecar::ops {
namespace {

namespace json = boost::json;

std::int64_t milliseconds(std::chrono::system_clock::time_point t) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(t.time_since_epoch()).count();
}

// null: nothing was asked that might have been a hit.
json::value hit_ratio(const statement_totals& s) {
    if (s.count(outcome::hit) + s.count(outcome::miss) == 0) return nullptr;
    return s.hit_ratio();
}

json::value quantile(const latency& of, double part) {
    if (of.count() == 0) return nullptr;
    return of.quantile(part).count();
}

json::object totals(const statement_totals& s) {
    const auto all = s.all();
    return {{"statements", s.calls()},
            {"hits", s.count(outcome::hit)},
            {"misses", s.count(outcome::miss)},
            {"bypasses", s.count(outcome::bypass)},
            {"failures", s.count(outcome::failed)},
            {"hit_ratio", hit_ratio(s)},
            {"p50_us", quantile(all, 0.5)},
            {"p95_us", quantile(all, 0.95)},
            {"p99_us", quantile(all, 0.99)},
            {"time_us", all.total().count()},
            {"saved_us", s.saved().count()},
            {"rows", s.rows},
            {"bytes", s.bytes}};
}

// The last hour as a whole.
json::object hour(const history& last_hour) {
    statement_totals sum;
    std::chrono::milliseconds length{0};
    for (const auto& sample : last_hour.samples()) {
        sum.merge(sample.statements);
        length += sample.length;
    }
    auto out = totals(sum);
    out["seconds"] = static_cast<double>(length.count()) / 1000;
    return out;
}

json::object columns(const history& last_hour) {
    const auto& samples = last_hour.samples();
    json::object out;
    const auto column = [&](const char* name, auto value) {
        json::array numbers;
        numbers.reserve(samples.size());
        for (const auto& s : samples) numbers.emplace_back(value(s));
        out[name] = std::move(numbers);
    };
    const auto counts = [&](const char* name, outcome which) {
        column(name, [=](const sample& s) { return s.statements.count(which); });
    };
    std::vector<latency> all;
    all.reserve(samples.size());
    for (const auto& s : samples) all.push_back(s.statements.all());
    const auto quantiles = [&](const char* name, double part) {
        json::array numbers;
        for (const auto& one : all) numbers.emplace_back(quantile(one, part));
        out[name] = std::move(numbers);
    };
    column("at", [](const sample& s) { return milliseconds(s.at); });
    column("length_ms", [](const sample& s) { return s.length.count(); });
    counts("hits", outcome::hit);
    counts("misses", outcome::miss);
    counts("bypasses", outcome::bypass);
    counts("failures", outcome::failed);
    column("hit_ratio", [](const sample& s) { return hit_ratio(s.statements); });
    quantiles("p50_us", 0.5);
    quantiles("p95_us", 0.95);
    quantiles("p99_us", 0.99);
    column("cache_bytes", [](const sample& s) { return s.cache_bytes; });
    column("clients", [](const sample& s) { return s.clients; });
    column("servers", [](const sample& s) { return s.servers; });
    return out;
}

json::array top_queries(const observations& seen) {
    struct ranked {
        const query_totals* of;
        latency all;
    };
    std::vector<ranked> order;
    order.reserve(seen.queries.size());
    for (const auto& [id, q] : seen.queries) order.push_back({&q, q.statements.all()});
    std::ranges::stable_sort(
        order, [](const auto& a, const auto& b) { return a.all.total() > b.all.total(); });
    if (order.size() > dashboard_queries) order.resize(dashboard_queries);
    json::array out;
    for (const auto& [q, all] : order) {
        auto one = totals(q->statements);
        one["text"] = readable(q->text);
        one["database"] = readable(q->database);
        one["rule"] = readable(q->rule);
        one["reason"] = policy::to_string(q->last_reason);
        out.push_back(std::move(one));
    }
    return out;
}

json::object limits_met(const std::array<std::uint64_t, policy::limit_kinds>& met) {
    json::object out;
    for (std::size_t i = 0; i < met.size(); ++i)
        if (met[i] > 0) out[policy::to_string(static_cast<policy::limit_kind>(i))] = met[i];
    return out;
}

// Those nearest to a limit first, then those with most statements.
json::array tenants(const observations& seen, const program_state& state) {
    struct row {
        std::string_view name;
        const tenant_usage* usage = nullptr;
        const tenant_totals* counted = nullptr;
        double share = 0;
        std::uint64_t calls = 0;
    };
    std::map<std::string_view, row> all;
    for (const auto& usage : state.tenants) {
        auto& r = all[usage.name];
        r.usage = &usage;
        r.share = usage.share();
    }
    for (const auto& [name, counted] : seen.tenants) {
        auto& r = all[name];
        r.counted = &counted;
        r.calls = counted.statements.calls();
    }
    std::vector<row> order;
    for (auto& [name, r] : all) {
        r.name = name;
        if (r.calls > 0 || r.share > 0) order.push_back(r);
    }
    std::ranges::stable_sort(order, [](const row& a, const row& b) {
        return a.share != b.share ? a.share > b.share : a.calls > b.calls;
    });
    if (order.size() > dashboard_tenants) order.resize(dashboard_tenants);
    json::array out;
    for (const auto& r : order) {
        auto one = totals(r.counted == nullptr ? statement_totals{} : r.counted->statements);
        one["tenant"] = readable(r.name);
        one["tier"] = readable(r.counted != nullptr ? r.counted->tier : r.usage->tier);
        if (r.usage != nullptr) {
            one["share"] = r.share;
            one["rate_used"] = r.usage->rate_used;
            one["per_minute"] = r.usage->per_minute;
            one["running"] = r.usage->running;
            one["max_concurrent"] = r.usage->max_concurrent;
            one["limits_met"] = limits_met(r.usage->met);
        }
        out.push_back(std::move(one));
    }
    return out;
}

json::array reasons(const observations& seen) {
    std::vector<std::pair<std::uint64_t, std::string_view>> order;
    for (std::size_t i = 0; i < seen.reasons.size(); ++i)
        if (seen.reasons[i] > 0)
            order.emplace_back(seen.reasons[i], policy::to_string(static_cast<policy::reason>(i)));
    std::ranges::stable_sort(order, [](const auto& a, const auto& b) { return a.first > b.first; });
    json::array out;
    for (const auto& [count, name] : order)
        out.push_back(json::object{{"reason", name}, {"count", count}});
    return out;
}

json::array checks(const program_state& state) {
    json::array out;
    for (const auto& check : state.checks)
        out.push_back(json::object{{"name", check.name},
                                   {"status", to_string(check.is)},
                                   {"detail", readable(check.detail)}});
    return out;
}

}  // namespace

std::string dashboard_json(const observations& seen, const history& last_hour,
                           const program_state& state) {
    const auto& c = seen.cache;
    return json::serialize(
        json::object{{"version", state.version},
                     {"now", milliseconds(seen.taken)},
                     {"started", milliseconds(seen.started)},
                     {"optimizations", state.optimizations},
                     {"ready", state.ready()},
                     {"checks", checks(state)},
                     {"totals", totals(seen.all())},
                     {"hour", hour(last_hour)},
                     {"series", columns(last_hour)},
                     {"cache", json::object{{"bytes", c.bytes},
                                            {"max_bytes", state.max_memory},
                                            {"entries", c.entries},
                                            {"evictions", c.evictions},
                                            {"invalidations", c.invalidations},
                                            {"expirations", c.expirations}}},
                     {"clients", json::object{{"connected", seen.clients},
                                              {"max", state.max_clients},
                                              {"waiting", seen.clients_waiting}}},
                     {"servers", json::object{{"open", seen.servers}, {"idle", seen.servers_idle}}},
                     {"requests", json::object{{"running", seen.running}, {"queued", seen.queued}}},
                     {"metrics", json::object{{"written", seen.metrics.written},
                                              {"waiting", seen.metrics.waiting},
                                              {"dropped", seen.metrics.dropped}}},
                     {"limits_met", limits_met(seen.limits_met)},
                     {"reasons", reasons(seen)},
                     {"queries", top_queries(seen)},
                     {"tenants", tenants(seen, state)}});
}

}  // namespace pgsidecar::ops

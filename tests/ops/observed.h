// Observations as a load would leave them, filled by hand.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "proxy/ops/observations.h"
#include "proxy/ops/program_state.h"

namespace observed {

using namespace pgsidecar;
using std::chrono::microseconds;

// The moment at which everything here is taken.
inline constexpr std::chrono::system_clock::time_point taken{std::chrono::seconds{1'700'003'600}};

inline void add(ops::statement_totals& to, ops::outcome how, unsigned times, microseconds each) {
    for (unsigned i = 0; i < times; ++i) to.times[static_cast<std::size_t>(how)].add(each);
    to.rows += times;
    to.bytes += 100 * times;
}

// Of a tenant, and so of its tier.
inline void add(ops::observations& to, const std::string& tenant, const std::string& tier,
                ops::outcome how, unsigned times, microseconds each) {
    to.tenants[tenant].tier = tier;
    add(to.tenants[tenant].statements, how, times, each);
    add(to.tiers[tier], how, times, each);
}

inline ops::observations load() {
    ops::observations o;
    add(o, "clinic-7", "premium", ops::outcome::hit, 90, microseconds{40});
    add(o, "clinic-7", "premium", ops::outcome::miss, 10, microseconds{2000});
    add(o, "small", "default", ops::outcome::bypass, 5, microseconds{700});
    add(o, "small", "default", ops::outcome::failed, 1, microseconds{12});
    auto& q = o.queries[1];
    q.database = "clinic";
    q.text = "SELECT * FROM prescriptions WHERE id = $1";
    q.rule = "prescriptions";
    q.last_reason = policy::reason::hit;
    q.statements = o.tenants["clinic-7"].statements;
    auto& other = o.queries[2];
    other.database = "clinic";
    other.text = "UPDATE a SET b = $1";
    other.last_reason = policy::reason::not_a_select;
    other.statements = o.tenants["small"].statements;
    o.databases["clinic"] = {.transactions = 106,
                             .queries = 106,
                             .received = 5000,
                             .sent = 90000,
                             .transaction_time = microseconds{1'500'000},
                             .query_time = microseconds{1'250'000},
                             .wait_time = microseconds{500}};
    o.reasons[static_cast<std::size_t>(policy::reason::hit)] = 90;
    o.reasons[static_cast<std::size_t>(policy::reason::miss)] = 10;
    o.reasons[static_cast<std::size_t>(policy::reason::not_a_select)] = 6;
    o.limits_met[static_cast<std::size_t>(policy::limit_kind::queries_per_minute)] = 3;
    o.cache.bytes = 1 << 20;
    o.cache.entries = 10;
    o.cache.hits = 90;
    o.cache.evictions = 2;
    o.clients = 4;
    o.servers = 3;
    o.servers_idle = 2;
    o.metrics = {.written = 7, .dropped = 8, .waiting = 9};
    o.taken = taken;
    o.started = taken - std::chrono::hours{1};
    return o;
}

inline ops::program_state state() {
    using check = ops::readiness_check;
    ops::program_state s;
    s.version = "1.2.3";
    s.max_memory = 256 << 20;
    s.max_clients = 100;
    s.checks = {{"upstream", check::state::ok, "reachable"},
                {"invalidation", check::state::absent, "not configured"}};
    ops::tenant_usage u;
    u.name = "clinic-7";
    u.tier = "premium";
    u.rate_used = 0.85;
    u.per_minute = 600;
    u.running = 2;
    u.max_concurrent = 32;
    u.met[static_cast<std::size_t>(policy::limit_kind::queries_per_minute)] = 3;
    s.tenants = {u};
    return s;
}

}  // namespace observed

// What the program has seen since it began, as plain values: the one source of the console, of
// /metrics, of the dashboard and of alerts. Each worker counts for itself (collector.h) and copies
// when asked; merge() adds the copies up. No literal, parameter or row is in it: statements stand
// in their normal form.
//
// All numbers only grow until the program ends, so a rate or a window is the difference of two
// copies. A tenant or statement that had to make room for others is counted under other_name.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cache/store.h"
#include "policy/limits.h"
#include "policy/reason.h"
#include "policy/tenants.h"
#include "proxy/ops/invalidation.h"
#include "proxy/ops/latency.h"
#include "proxy/ops/tier_totals.h"

namespace pgsidecar::ops {

inline constexpr std::string_view other_name = "(others)";

// How a statement was answered. hit: from the cache, also after it waited for another session's
// identical miss. miss: by the server, and it might have been a hit. bypass: by the server, for a
// reason that has a code. failed: with an error, the server's or a limit's.
enum class outcome : std::uint8_t { hit, miss, bypass, failed, count_ };
inline constexpr auto outcomes = static_cast<std::size_t>(outcome::count_);
[[nodiscard]] std::string_view to_string(outcome o) noexcept;
[[nodiscard]] outcome outcome_of(policy::reason why) noexcept;

// Of some statements.
struct statement_totals {
    std::array<latency, outcomes> times;  // from when it was first shown to its end
    std::uint64_t rows = 0;
    std::uint64_t bytes = 0;  // sent to clients in answers
    [[nodiscard]] std::uint64_t calls() const noexcept;
    [[nodiscard]] std::uint64_t count(outcome o) const noexcept { return of(o).count(); }
    [[nodiscard]] const latency& of(outcome o) const noexcept {
        return times[static_cast<std::size_t>(o)];
    }
    [[nodiscard]] latency all() const;  // of every outcome
    // hits / (hits + misses); 0 without either.
    [[nodiscard]] double hit_ratio() const noexcept;
    // What the hits would have taken, had each taken as long as the average miss, less what they
    // took.
    [[nodiscard]] std::chrono::microseconds saved() const noexcept;
    void merge(const statement_totals& other);
    [[nodiscard]] statement_totals since(const statement_totals& earlier) const;
};

struct tenant_totals {
    std::string tier;
    statement_totals statements;
};

struct query_totals {
    std::string database{};
    std::string text{};  // normal form
    std::string rule{};  // the cache rule that its answers are kept by; empty: none
    policy::reason last_reason = policy::reason::miss;
    statement_totals statements{};
};

// PgBouncer's SHOW STATS, by its words.
struct database_totals {
    std::uint64_t transactions = 0;  // also the one statement outside a block
    std::uint64_t queries = 0;
    std::uint64_t received = 0;  // bytes, from clients
    std::uint64_t sent = 0;      // bytes, to clients
    std::chrono::microseconds transaction_time{0};
    std::chrono::microseconds query_time{0};
    std::chrono::microseconds wait_time{0};  // of clients, for a server connection
};

struct metrics_totals {
    std::uint64_t written = 0, dropped = 0, waiting = 0;
};

struct observations {
    std::map<std::string, tenant_totals, std::less<>> tenants;
    std::map<std::uint64_t, query_totals> queries;  // by fingerprint of database and normal form
    std::map<std::string, database_totals, std::less<>> databases;
    std::map<std::string, statement_totals, std::less<>> tiers;
    std::array<std::uint64_t, static_cast<std::size_t>(policy::reason::count_)> reasons{};
    std::array<std::uint64_t, policy::limit_kinds> limits_met{};
    cache::store_statistics cache;
    std::uint64_t clients = 0, servers = 0, servers_idle = 0, clients_waiting = 0;
    std::uint64_t running = 0, queued = 0;  // requests at the tenants' gate
    metrics_totals metrics;
    std::vector<invalidation_status> invalidation;    // of the databases in use
    tier_totals shared_cache;                         // of the tier that several sidecars share
    std::chrono::system_clock::time_point taken{};    // when this copy was made
    std::chrono::system_clock::time_point started{};  // the program

    [[nodiscard]] statement_totals all() const;  // over the tiers
    // Another worker's counts: everything but what the whole process has only once.
    void merge(const observations& other);
};

}  // namespace pgsidecar::ops

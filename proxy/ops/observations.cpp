#include "proxy/ops/observations.h"

#include <algorithm>

namespace pgsidecar::ops {
namespace {

void add(database_totals& to, const database_totals& from) {
    to.transactions += from.transactions;
    to.queries += from.queries;
    to.received += from.received;
    to.sent += from.sent;
    to.transaction_time += from.transaction_time;
    to.query_time += from.query_time;
    to.wait_time += from.wait_time;
}

}  // namespace

std::string_view to_string(outcome o) noexcept {
    switch (o) {
        case outcome::hit:
            return "hit";
        case outcome::miss:
            return "miss";
        case outcome::bypass:
            return "bypass";
        case outcome::failed:
            return "failed";
        case outcome::count_:
            break;
    }
    return "unknown";
}

outcome outcome_of(policy::reason why) noexcept {
    switch (why) {
        case policy::reason::hit:
        case policy::reason::coalesced:
        case policy::reason::stale:
        case policy::reason::stale_if_error:
            return outcome::hit;
        case policy::reason::miss:
            return outcome::miss;
        default:
            return outcome::bypass;
    }
}

std::uint64_t statement_totals::calls() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& t : times) sum += t.count();
    return sum;
}

latency statement_totals::all() const {
    latency out;
    for (const auto& t : times) out.merge(t);
    return out;
}

double statement_totals::hit_ratio() const noexcept {
    const auto hits = count(outcome::hit);
    const auto asked = hits + count(outcome::miss);
    return asked == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(asked);
}

std::chrono::microseconds statement_totals::saved() const noexcept {
    const auto& hits = of(outcome::hit);
    const auto& misses = of(outcome::miss);
    if (misses.count() == 0) return std::chrono::microseconds{0};
    const auto each =
        static_cast<double>(misses.total().count()) / static_cast<double>(misses.count());
    const auto instead = std::chrono::microseconds{
        static_cast<std::int64_t>(each * static_cast<double>(hits.count()))};
    return std::max(instead - hits.total(), std::chrono::microseconds{0});
}

void statement_totals::merge(const statement_totals& other) {
    for (std::size_t i = 0; i < outcomes; ++i) times[i].merge(other.times[i]);
    rows += other.rows;
    bytes += other.bytes;
}

statement_totals statement_totals::since(const statement_totals& earlier) const {
    statement_totals out;
    for (std::size_t i = 0; i < outcomes; ++i) out.times[i] = times[i].since(earlier.times[i]);
    out.rows = rows - earlier.rows;
    out.bytes = bytes - earlier.bytes;
    return out;
}

statement_totals observations::all() const {
    statement_totals out;
    for (const auto& [name, totals] : tiers) out.merge(totals);
    return out;
}

void observations::merge(const observations& other) {
    for (const auto& [name, theirs] : other.tenants) {
        auto& ours = tenants[name];
        ours.tier = theirs.tier;
        ours.statements.merge(theirs.statements);
    }
    for (const auto& [id, theirs] : other.queries) {
        const auto [at, fresh] = queries.try_emplace(id, theirs);
        if (fresh) continue;
        at->second.rule = theirs.rule;
        at->second.last_reason = theirs.last_reason;
        at->second.statements.merge(theirs.statements);
    }
    for (const auto& [name, theirs] : other.databases) add(databases[name], theirs);
    for (const auto& [name, theirs] : other.tiers) tiers[name].merge(theirs);
    for (std::size_t i = 0; i < reasons.size(); ++i) reasons[i] += other.reasons[i];
}

}  // namespace pgsidecar::ops

// The console's tables about what has been counted.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "proxy/ops/console_activity.h"

namespace {

using namespace pgsidecar::ops;
namespace policy = pgsidecar::policy;
using namespace std::chrono_literals;

console_command show(console_view v, std::uint64_t limit = 0) {
    console_command c;
    c.view = v;
    c.number = limit;
    return c;
}

std::string at(const console_table& t, std::string_view name, std::string_view column) {
    for (const auto& row : t.rows)
        for (std::size_t i = 0; i < t.columns.size(); ++i)
            if (row[0] == name && t.columns[i].name == column) return row[i].value_or("NULL");
    return "no row";
}

observations counted(std::uint64_t times) {
    observations o;
    o.started = std::chrono::system_clock::time_point{1000s};
    o.taken = o.started + 10s * times;
    auto& d = o.databases["shop"];
    d.transactions = 20 * times;
    d.queries = 40 * times;
    d.received = 1000 * times;
    d.sent = 3000 * times;
    d.transaction_time = 400us * times;
    d.query_time = 200us * times;
    for (std::uint64_t i = 0; i < times; ++i) {
        auto& slow = o.queries[0xabc];
        slow.database = "shop";
        slow.text = "SELECT $1";
        slow.rule = "doses";
        slow.statements.times[static_cast<std::size_t>(outcome::hit)].add(100us);
        slow.statements.times[static_cast<std::size_t>(outcome::miss)].add(1000us);
        auto& quick = o.queries[0xdef];
        quick.database = "shop";
        quick.statements.times[static_cast<std::size_t>(outcome::bypass)].add(10us);
        auto& tenant = o.tenants["acme"];
        tenant.tier = "premium";
        tenant.statements = slow.statements;
        tenant.statements.rows = 7;
    }
    return o;
}

}  // namespace

TEST_CASE("console activity: totals, and averages over the time between two copies") {
    const auto before = counted(1), now = counted(4);
    const auto stats = counted_table(show(console_view::stats), now, &before);
    CHECK(at(stats, "shop", "total_query_count") == "160");
    CHECK(at(stats, "shop", "total_requests") == "160");
    CHECK(at(stats, "shop", "avg_query_count") == "4");
    CHECK(at(stats, "shop", "avg_xact_count") == "2");
    CHECK(at(stats, "shop", "avg_recv") == "100");
    CHECK(at(stats, "shop", "avg_xact_time") == "20");
    CHECK(at(stats, "shop", "avg_query_time") == "5");
    CHECK(at(counted_table(show(console_view::stats), now, nullptr), "shop", "avg_sent") == "300");
    CHECK(at(counted_table(show(console_view::stats_totals), now, &before), "shop",
             "bytes_received") == "4000");
    CHECK(at(counted_table(show(console_view::stats_averages), now, &before), "shop",
             "bytes_sent") == "300");
    const auto totals = counted_table(show(console_view::totals), now, &before);
    CHECK(at(totals, "total_query_count", "value") == "160");
    CHECK(at(totals, "avg_query_count", "value") == "4");
    CHECK(totals.rows.size() == 14);
}

TEST_CASE("console activity: statements by the time they took, and tenants") {
    const auto now = counted(3);
    const auto queries = counted_table(show(console_view::queries), now, nullptr);
    REQUIRE(queries.rows.size() == 2);
    CHECK(queries.rows[0][0] == "abc");
    CHECK(at(queries, "abc", "calls") == "6");
    CHECK(at(queries, "abc", "hit_ratio") == "0.500");
    CHECK(at(queries, "abc", "avg_hit_us") == "100");
    CHECK(at(queries, "abc", "avg_miss_us") == "1000");
    CHECK(at(queries, "abc", "total_us") == "3300");
    CHECK(at(queries, "abc", "query") == "SELECT $1");
    CHECK(counted_table(show(console_view::queries, 1), now, nullptr).rows.size() == 1);
    const auto tenants = counted_table(show(console_view::tenants), now, nullptr);
    CHECK(at(tenants, "acme", "tier") == "premium");
    CHECK(at(tenants, "acme", "hits") == "3");
    CHECK(at(tenants, "acme", "rows") == "7");
    CHECK(at(tenants, "acme", "saved_us") == "2700");
    // Nobody knows it now.
    CHECK(at(tenants, "acme", "rate_left") == "NULL");
    for (const auto v : {console_view::stats, console_view::stats_totals, console_view::totals,
                         console_view::tenants, console_view::queries}) {
        const auto t = counted_table(show(v), now, nullptr);
        for (const auto& row : t.rows) CHECK(row.size() == t.columns.size());
    }
}

TEST_CASE("console activity: what tenants use of their limits, also of those that asked nothing") {
    auto options = policy::tenant_options{.limits = policy::enforcement::enforce};
    options.tiers.front().queries_per_minute = 60;
    options.tiers.front().burst = 10;
    options.tiers.front().max_concurrent = 4;
    policy::tenant_directory all{options};
    const policy::rate_limiter::time_point now{1h};
    const auto acme = all.find("acme", now);
    const auto rate = acme->of->rate();
    for (int i = 0; i < 3; ++i) REQUIRE(acme->queries.take(now, rate).count() == 0);
    all.gate().enter_at_once(acme->lane);
    all.count(*acme, policy::limit_kind::max_result_rows);
    all.count(*acme, policy::limit_kind::max_result_rows);
    const auto shown = [&](std::chrono::milliseconds later) {
        return counted_table(show(console_view::tenants), counted(1), nullptr,
                             usage_of(all, now + later));
    };
    const auto t = shown(0ms);
    for (const auto& row : t.rows) CHECK(row.size() == t.columns.size());
    CHECK(at(t, "acme", "hits") == "1");
    CHECK(at(t, "acme", "rate_left") == "7");
    CHECK(at(t, "acme", "queries_per_minute") == "60");
    CHECK(at(t, "acme", "running") == "1");
    CHECK(at(t, "acme", "max_concurrent") == "4");
    CHECK(at(t, "acme", "met_max_result_rows") == "2");
    CHECK(at(t, "acme", "met_queries_per_minute") == "0");
    CHECK(at(t, "default", "calls") == "0");
    CHECK(at(t, "default", "rate_left") == "10");
    // A token a second comes back.
    CHECK(at(shown(999ms), "acme", "rate_left") == "7");
    CHECK(at(shown(1000ms), "acme", "rate_left") == "8");
    CHECK(at(shown(1h), "acme", "rate_left") == "10");
    std::vector<policy::gate::ticket> admitted;
    for (policy::gate::ticket one = 1; one <= 5; ++one)
        CHECK(all.gate().enter(acme->lane, one, admitted) == (one <= 3));
    CHECK(at(shown(0ms), "acme", "running") == "4");
    CHECK(at(shown(0ms), "acme", "waiting") == "2");
    CHECK(all.gate().give_up(acme->lane, 4, admitted));
    CHECK(at(shown(0ms), "acme", "waiting") == "1");
    // Without a limit there is no bucket.
    options.tiers.front().queries_per_minute_mode = policy::enforcement::off;
    all.adopt(options);
    CHECK(at(shown(0ms), "acme", "rate_left") == "NULL");
    CHECK(at(shown(0ms), "acme", "queries_per_minute") == "0");
}

// The token bucket: exact in time, whoever asks.
#include "policy/rate_limiter.h"

#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace pgsidecar::policy;

namespace {
using time_point = rate_limiter::time_point;
constexpr time_point start{1h};
}  // namespace

TEST_CASE("rate: a full bucket gives its burst at once, then one for each interval") {
    rate_limiter l;
    const rate r{.per_minute = 120, .burst = 20};
    for (int i = 0; i < 20; ++i) CHECK(l.take(start, r) == 0ns);
    CHECK(l.take(start, r) == 500ms);
    CHECK(l.take(start + 499ms, r) == 1ms);
    CHECK(l.take(start + 500ms, r) == 0ns);
    CHECK(l.take(start + 500ms, r) == 500ms);
}

TEST_CASE("rate: what was refused costs nothing") {
    rate_limiter l;
    const rate r{.per_minute = 60, .burst = 1};
    CHECK(l.take(start, r) == 0ns);
    for (int i = 0; i < 1000; ++i) CHECK(l.take(start + 10ms, r) == 990ms);
    CHECK(l.take(start + 1s, r) == 0ns);
}

TEST_CASE("rate: idleness fills the bucket and no more") {
    rate_limiter l;
    const rate r{.per_minute = 60, .burst = 5};
    for (int i = 0; i < 5; ++i) CHECK(l.take(start, r) == 0ns);
    const auto later = start + 24h;
    for (int i = 0; i < 5; ++i) CHECK(l.take(later, r) == 0ns);
    CHECK(l.take(later, r) == 1s);
}

TEST_CASE("rate: numbers at the edges") {
    const struct {
        const char* name;
        rate r;
        std::int64_t at_once;  // -1 = any number
    } rows[] = {
        {"no limit", {0, 0}, -1},
        {"no limit, a burst that says nothing", {0, 7}, -1},
        {"a burst of nothing is one", {60, 0}, 1},
        {"one a minute", {1, 1}, 1},
        {"the largest", {4'294'967'295U, 4'294'967'295U}, -1},
        {"rare, in large bursts", {1, 1000}, 1000},
    };
    for (const auto& row : rows) {
        CAPTURE(row.name);
        rate_limiter l;
        const auto tries = row.at_once < 0 ? 10'000 : row.at_once;
        for (std::int64_t i = 0; i < tries; ++i) CHECK(l.take(start, row.r) == 0ns);
        if (row.at_once >= 0) CHECK(l.take(start, row.r) > 0ns);
    }
}

TEST_CASE("rate: a clock that steps back gives nothing away") {
    rate_limiter l;
    const rate r{.per_minute = 60, .burst = 2};
    CHECK(l.take(start, r) == 0ns);
    CHECK(l.take(start - 10s, r) == 10s);  // the bucket is full again at start + 1 s
    CHECK(l.take(start, r) == 0ns);
    CHECK(l.take(start, r) > 0ns);
}

TEST_CASE("rate: over an hour of random requests the count is exact") {
    for (const std::uint32_t seed : {1U, 2U, 3U}) {
        CAPTURE(seed);
        std::mt19937 random{seed};
        rate_limiter l;
        const rate r{.per_minute = 600, .burst = 50};
        std::uint64_t taken = 0;
        auto now = start;
        while (now < start + 1h) {  // four times as many requests as may pass
            taken += l.take(now, r) == 0ns ? 1U : 0U;
            now += std::chrono::microseconds{random() % 50'000};
        }
        CHECK(taken >= 36'000);
        CHECK(taken <= 36'050);
    }
}

TEST_CASE("rate: several tokens at once, all or none") {
    rate_limiter l;
    const rate r{.per_minute = 60, .burst = 10};
    CHECK(l.take(start, r, 0) == 0ns);
    CHECK(l.take(start, r, 7) == 0ns);
    CHECK(l.take(start, r, 5) == 2s);
    CHECK(l.take(start, r, 3) == 0ns);  // the refused five cost nothing
    CHECK(l.take(start, r, 0) == 0ns);
    CHECK(l.take(start, r, 4) == 4s);
    CHECK(l.take(start + 4s, r, 4) == 0ns);
    CHECK(l.take(start + 4s, r) == 1s);
}

TEST_CASE("rate: more tokens than the bucket holds are given when it is full, and paid back") {
    rate_limiter l;
    const rate r{.per_minute = 60, .burst = 10};
    CHECK(l.take(start, r, 25) == 0ns);
    CHECK(l.take(start, r) == 16s);
    CHECK(l.take(start, r, 25) == 25s);
    CHECK(l.take(start + 16s - 1ns, r) == 1ns);
    CHECK(l.take(start + 16s, r) == 0ns);
    CHECK(l.take(start + 16s, r, 25) == 10s);  // not before it is full
    CHECK(l.take(start + 26s, r, 11) == 0ns);
    CHECK(l.take(start + 26s, r, 10) == 11s);
}

TEST_CASE("rate: full when nothing would change if it were forgotten") {
    rate_limiter l;
    const rate r{.per_minute = 60, .burst = 10};
    CHECK(l.full(start));
    CHECK(l.full(time_point{}));
    CHECK(l.take(start, rate{}, 5) == 0ns);
    CHECK(l.full(start));  // without a limit there is nothing to remember
    CHECK(l.take(start, r) == 0ns);
    CHECK(!l.full(start));
    CHECK(!l.full(start + 1s - 1ns));
    CHECK(l.full(start + 1s));
    CHECK(l.take(start + 1s, r, 30) == 0ns);
    CHECK(!l.full(start + 31s - 1ns));
    CHECK(l.full(start + 31s));
}

TEST_CASE("rate: how much of the bucket is used") {
    rate_limiter l;
    const rate r{.per_minute = 60, .burst = 10};
    CHECK(l.used(start, r) == 0);
    CHECK(l.take(start, r, 5) == 0ns);
    CHECK(l.used(start, r) == 0.5);
    CHECK(l.used(start + 4s, r) == 0.1);
    CHECK(l.used(start + 1h, r) == 0);
    CHECK(l.take(start + 5s, r, 30) == 0ns);
    CHECK(l.used(start + 5s, r) == 1);  // three times over is not more than all
    CHECK(l.used(start + 5s, rate{}) == 0);
}

TEST_CASE("rate: over hours of requests for many tokens the count is exact to a token") {
    for (const std::uint32_t seed : {1U, 2U, 3U}) {
        CAPTURE(seed);
        std::mt19937 random{seed};
        rate_limiter l;
        const rate r{.per_minute = 600, .burst = 50};
        std::uint64_t taken = 0;
        auto now = start;
        const auto came_in = [&] { return std::uint64_t((now - start) / 100ms); };
        CHECK(l.take(now, r, 50) == 0ns);
        taken = 50;
        while (now < start + 6h) {  // asks again as soon as there may be enough
            const auto tokens = static_cast<std::uint32_t>(random() % 200 + 1);
            if (const auto wait = l.take(now, r, tokens); wait > 0ns) {
                now += wait;
                REQUIRE(l.take(now, r, tokens) == 0ns);
            }
            taken += tokens;
            const auto most = came_in() + std::max(tokens, r.burst);
            REQUIRE(taken <= most);
            REQUIRE(taken + 1 >= most);
        }
        while (!l.full(now)) now += 100ms;
        CHECK(taken <= came_in());
        CHECK(taken + 1 >= came_in());
    }
}

TEST_CASE("rate: threads together take no more and no less than one") {
    rate_limiter l;
    const rate r{.per_minute = 6'000, .burst = 100};
    std::atomic<std::int64_t> clock{0};
    std::atomic<std::uint64_t> taken{0};
    const auto ask = [&] {
        while (true) {
            const auto at = std::chrono::microseconds{clock.fetch_add(100)};
            if (at > 60s) return;
            taken += l.take(start + at, r) == 0ns ? 1U : 0U;
        }
    };
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back(ask);
    threads.clear();
    CHECK(taken >= 6'000);
    CHECK(taken <= 6'101);
}

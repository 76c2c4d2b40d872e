// How often the catalogs may be read.
#include <doctest/doctest.h>

#include "proxy/core/reading_budget.h"

using namespace std::chrono_literals;
using budget = pgsidecar::core::reading_budget;

TEST_CASE("reading budget: a second at once, a quarter of the time thereafter") {
    budget b;
    budget::time_point now{1h};
    // Reads that take 10 ms each, whenever they may, for a minute.
    std::chrono::milliseconds reading{0}, first_second{0};
    for (const auto end = now + 60s; now < end;) {
        if (const auto rest = b.wait(now); rest.count() > 0) {
            now += rest;
            continue;
        }
        b.spend(now, now + 10ms);
        now += 10ms;
        reading += 10ms;
        if (now < end - 59s) first_second += 10ms;
    }
    CHECK(first_second >= 980ms);
    CHECK(reading >= 15s);
    CHECK(reading <= 16200ms);
}

TEST_CASE("reading budget: one long read is paid for with three times its length") {
    budget b;
    const budget::time_point begin{1h};
    CHECK(b.wait(begin) == 0ms);
    b.spend(begin, begin + 8s);
    const auto now = begin + 8s;
    const auto rest = b.wait(now);
    CHECK(rest >= 20s - 1ms);
    CHECK(rest <= 20s + 2ms);
    CHECK(b.wait(now + rest) == 0ms);
}

TEST_CASE("reading budget: idleness saves no more than a second") {
    budget b;
    budget::time_point now{1h};
    CHECK(b.wait(now) == 0ms);
    now += 24h;
    CHECK(b.wait(now) == 0ms);
    b.spend(now, now + 1100ms);
    CHECK(b.wait(now) > 300ms);
}

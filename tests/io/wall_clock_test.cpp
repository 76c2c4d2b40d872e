#include "proxy/io/wall_clock.h"

#include <doctest/doctest.h>

using pgsidecar::io::wall_clock;
using namespace std::chrono_literals;

TEST_CASE("wall clock: goes on with the steady one, and is looked at again") {
    wall_clock clock;
    const auto began = std::chrono::steady_clock::now();
    const auto first = clock.at(began);
    CHECK(std::chrono::abs(std::chrono::system_clock::now() - first) < 1min);
    CHECK(clock.at(began + 99ms) == first + 99ms);
    // An hour later by the steady clock; it is not by the other.
    CHECK(clock.at(began + 1h) < first + 1min);
    CHECK(clock.at(began + 1h) >= first);
}

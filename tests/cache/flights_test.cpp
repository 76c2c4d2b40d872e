#include "cache/flights.h"

#include <doctest/doctest.h>

#include <optional>
#include <vector>

using namespace pgsidecar::cache;
using role = flights::role;
using tokens = std::vector<flights::waiter>;

namespace {

// One key's view of the flights.
struct one_key {
    flights& all;
    std::string_view key;
    hash128 hash = hash_key(key);

    role join(flights::waiter who) { return all.join(key, hash, who); }
    tokens finish(flights::waiter who) { return all.finish(key, hash, who); }
    std::optional<flights::waiter> leave(flights::waiter who) { return all.leave(key, hash, who); }
};

}  // namespace

TEST_CASE("flights: one leader, and all others are woken in order when it finishes") {
    flights f;
    one_key q{f, "q"};
    CHECK(q.join(1) == role::leader);
    CHECK(q.join(2) == role::follower);
    CHECK(q.join(3) == role::follower);
    CHECK(f.size().flights == 1);
    CHECK(f.size().followers == 2);
    CHECK(q.finish(1) == tokens{2, 3});
    CHECK(f.size().flights == 0);
    CHECK(f.size().followers == 0);
    CHECK(q.join(4) == role::leader);  // a new flight
}

TEST_CASE("flights: other keys fly alone, whatever their hash") {
    flights f;
    const hash128 same{7, 7};
    CHECK(f.join("a", same, 1) == role::leader);
    CHECK(f.join("b", same, 2) == role::leader);
    CHECK(f.join("b", same, 3) == role::follower);
    CHECK(f.finish("a", same, 1).empty());
    CHECK(f.finish("b", same, 2) == tokens{3});
}

TEST_CASE("flights: a failed leader hands over to the first that waits") {
    flights f;
    one_key q{f, "q"};
    REQUIRE(q.join(1) == role::leader);
    REQUIRE(q.join(2) == role::follower);
    REQUIRE(q.join(3) == role::follower);
    CHECK(q.leave(1) == 2);
    CHECK(q.finish(2) == tokens{3});
}

TEST_CASE("flights: the last to leave ends the flight") {
    flights f;
    one_key q{f, "q"};
    REQUIRE(q.join(1) == role::leader);
    REQUIRE(q.join(2) == role::follower);
    CHECK(q.leave(1) == 2);
    CHECK(q.leave(2) == std::nullopt);
    CHECK(f.size().flights == 0);
    CHECK(q.join(3) == role::leader);
}

TEST_CASE("flights: a follower that leaves is not woken") {
    flights f;
    one_key q{f, "q"};
    REQUIRE(q.join(1) == role::leader);
    for (flights::waiter w = 2; w <= 4; ++w) REQUIRE(q.join(w) == role::follower);
    CHECK(q.leave(3) == std::nullopt);
    CHECK(q.finish(1) == tokens{2, 4});
}

TEST_CASE("flights: an heir that leaves before it hears of its office hands it on") {
    flights f;
    one_key q{f, "q"};
    REQUIRE(q.join(1) == role::leader);
    REQUIRE(q.join(2) == role::follower);
    REQUIRE(q.join(3) == role::follower);
    REQUIRE(q.leave(1) == 2);  // the wake-up for 2 is under way
    CHECK(q.leave(2) == 3);    // and 2 times out: nobody would ever finish
    CHECK(q.finish(3) == tokens{});
}

TEST_CASE("flights: a leader that left has no say in what follows") {
    flights f;
    one_key q{f, "q"};
    REQUIRE(q.join(1) == role::leader);
    REQUIRE(q.join(2) == role::follower);
    REQUIRE(q.join(3) == role::follower);
    REQUIRE(q.leave(1) == 2);
    CHECK(q.finish(1).empty());
    CHECK(q.leave(1) == std::nullopt);
    CHECK(f.size().followers == 1);
    CHECK(q.finish(2) == tokens{3});
    CHECK(q.finish(2).empty());
}

TEST_CASE("flights: strangers change nothing") {
    flights f;
    one_key q{f, "q"};
    CHECK(q.finish(9).empty());
    CHECK(q.leave(9) == std::nullopt);
    REQUIRE(q.join(1) == role::leader);
    REQUIRE(q.join(2) == role::follower);
    CHECK(q.finish(2).empty());  // a follower cannot end the flight
    CHECK(q.leave(9) == std::nullopt);
    CHECK(q.finish(1) == tokens{2});
}

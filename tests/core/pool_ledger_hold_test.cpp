// The operator's word to the ledger: hold(), let_go(), outdate().
#include "ledger_desk.h"

#include "proxy/core/traffic.h"

using namespace core_test;

TEST_CASE("pool ledger: what is held gives nothing out, and goes on afterwards") {
    desk d;
    d.s.default_pool_size = 2;
    auto& p = d.pool();
    auto& other = d.pool("ann", "else");
    d.use(p, {0, 1}, {0, 1});
    d.idle(p, {0, 2});
    d.ledger.hold("db", d.todo);
    CHECK(d.closes() == "0/2");
    CHECK(d.count(p) == "1 0 0 0");
    CHECK(d.acquire(p, {0, 3}) == "wait");
    CHECK(d.opens() == "");
    CHECK_FALSE(d.ledger.take_own(p, 0));
    CHECK(d.acquire(other, {0, 9}) == "wait");  // another database
    CHECK(d.opens() == "0");
    // Nobody is given it, also not who waits: it is closed.
    CHECK(d.released(p, {0, 1}) == "nobody");
    CHECK(d.closes() == "0/1");
    CHECK(d.count(p) == "0 0 0 1");
    d.s.min_pool_size = 1;
    d.tick(1s);
    CHECK(d.opens() == "");
    d.s.min_pool_size = 0;
    d.ledger.let_go("db", d.now, d.todo);
    CHECK(d.opens() == "0");
    CHECK(d.opened(p, {0, 4}) == "0/3");
}

TEST_CASE("pool ledger: an attempt under way when the pause comes") {
    for (const bool reached : {true, false}) {
        CAPTURE(reached);
        desk d;
        d.s.server_login_retry = 15s;
        auto& p = d.pool();
        CHECK(d.acquire(p, {0, 1}) == "wait");
        CHECK(d.opens() == "0");
        d.ledger.hold("", d.todo);
        if (reached) {
            CHECK(d.opened(p, {0, 1}) == "nobody");
            CHECK(d.closes() == "0/1");
        } else {
            CHECK(d.unreachable(p) == "");  // who waits is not told while the server may be away
        }
        CHECK(d.acquire(p, {0, 2}) == "wait");
        CHECK(d.count(p) == "0 0 0 2");
        d.now += 15s;
        d.ledger.let_go("", d.now, d.todo);
        CHECK(d.opens() == "0 0");
    }
}

TEST_CASE("pool ledger: everything and one database are held apart") {
    desk d;
    auto& p = d.pool();
    d.ledger.hold("", d.todo);
    d.ledger.hold("db", d.todo);
    CHECK(d.acquire(p, {0, 1}) == "wait");
    d.ledger.let_go("", d.now, d.todo);
    CHECK(d.opens() == "");
    d.ledger.let_go("db", d.now, d.todo);
    CHECK(d.opens() == "0");
}

TEST_CASE("pool ledger: outdated connections go as they become free, newer ones stay") {
    desk d;
    d.s.default_pool_size = 3;
    auto& p = d.pool();
    const auto born = d.now;
    d.use(p, {0, 1}, {0, 1});
    d.idle(p, {0, 2});
    d.now += 1s;
    d.ledger.outdate("db", d.now, d.todo);
    CHECK(d.closes() == "0/2");
    CHECK(d.ledger.outdated(p, {born}));
    d.now += 1s;
    CHECK_FALSE(d.ledger.outdated(p, {d.now}));
    CHECK(d.acquire(p, {0, 3}) == "wait");
    CHECK(d.opens() == "0");
    CHECK(d.released(p, {0, 1}, born) == "nobody");
    CHECK(d.closes() == "0/1");
    CHECK(d.opened(p, {0, 3}) == "0/3");
    CHECK(d.released(p, {0, 3}, d.now) == "nobody");
    CHECK(d.closes() == "");
    CHECK(d.count(p) == "1 1 0 0");
    const auto all = d.ledger.list(d.now);
    REQUIRE(all.size() == 1);
    CHECK(all.front().database == "db");
    CHECK(all.front().of.idle == 1);
}

TEST_CASE("pool ledger: who logged in before the defaults were altered is given to nobody") {
    desk d;
    d.s.default_pool_size = 4;
    auto& p = d.pool();
    auto& other = d.pool("bob");
    d.use(p, {0, 1}, {0, 1});
    d.idle(p, {0, 2});
    d.idle(other, {0, 3});
    REQUIRE(d.acquire(p, {0, 4}) == "take 0/2");
    REQUIRE(d.released(p, {0, 2}) == "nobody");
    REQUIRE(d.acquire(p, {0, 5}) == "take 0/2");
    REQUIRE(d.acquire(p, {0, 6}) == "wait");
    REQUIRE(d.opens() == "0");
    const pool_ledger::birth before{d.now, d.altered.load()};
    REQUIRE(d.released(p, {0, 2}) == "0/6");
    REQUIRE(d.released(p, {0, 2}) == "nobody");
    ++d.altered;
    CHECK(d.ledger.outdated(p, before));
    CHECK_FALSE(d.ledger.take_own(p, 0));
    CHECK_FALSE(d.ledger.take_own(other, 0));
    CHECK(d.closes() == "");
    bool asked = false;
    SUBCASE("closed when somebody asks") {
        asked = true;
        CHECK(d.acquire(p, {0, 7}) == "wait");
        CHECK(d.opens() == "");  // one is on its way
    }
    SUBCASE("closed in time") { d.tick(); }
    CHECK(d.closes() == "0/2 0/3");
    CHECK(d.count(other) == "0 0 0 0");
    // In use, or logging in, when it happened.
    CHECK(show(d.ledger.released(p, {0, 1}, before, d.now, d.todo)) == "nobody");
    CHECK(d.closes() == "0/1");
    CHECK(show(d.ledger.opened(p, {0, 8}, before, d.now, d.todo)) == "nobody");
    CHECK(d.closes() == "0/8");
    CHECK(d.opens() == (asked ? "0" : ""));  // in its place, for who waits
    // And what logs in from now on stays.
    d.idle(other, {0, 9});
    CHECK(d.ledger.take_own(other, 0) == 9U);
}

TEST_CASE("traffic: words for everything and for one database are kept apart") {
    pgsidecar::core::traffic t;
    CHECK_FALSE(t.paused("db"));
    CHECK(t.pause("db"));
    CHECK_FALSE(t.pause("db"));
    CHECK(t.paused("db"));
    CHECK_FALSE(t.paused("other"));
    CHECK(t.pause(""));
    CHECK(t.paused("other"));
    CHECK(t.everything_paused());
    CHECK(t.resume(""));
    CHECK_FALSE(t.resume(""));
    CHECK(t.paused("db"));
    CHECK(t.disable("db"));
    CHECK(t.resume("db"));
    CHECK(t.words().at("db").disabled);
    CHECK(t.enable("db"));
    CHECK(t.words().empty());
    CHECK_FALSE(t.disabled("db"));
}

// How many server connections there may be over several pools, what time brings, what is closed.
#include <doctest/doctest.h>

#include "tests/core/ledger_desk.h"

using namespace core_test;

TEST_CASE("pool ledger: a shared bound closes what lies idle longest in another pool") {
    for (const bool by_database : {true, false}) {
        CAPTURE(by_database);
        desk d;
        (by_database ? d.s.max_db_connections : d.s.max_user_connections) = 3;
        const auto pool = [&](const std::string& name) -> pool_ledger::pool& {
            return by_database ? d.pool(name, "db") : d.pool("ann", name);
        };
        auto &a = pool("a"), &b = pool("b"), &c = pool("c");
        auto& beside = by_database ? d.pool("a", "other") : d.pool("bob", "a");
        d.idle(beside, {0, 9});  // of no help, though it lay longest
        for (auto* p : {&b, &a}) {
            d.now += 1s;
            d.idle(*p, {0, p == &b ? 2U : 1U});
        }
        d.use(c, {1, 3}, {1, 3});
        CHECK(d.closes() == "");
        CHECK(d.acquire(c, {1, 4}) == "wait");
        CHECK(d.closes() == "0/2");
        CHECK(d.opens() == "1");
        CHECK(d.acquire(c, {1, 5}) == "wait");
        CHECK(d.closes() == "0/1");
        CHECK(d.opens() == "1");
        CHECK(d.acquire(c, {1, 6}) == "wait");
        CHECK(d.closes() == "");
        CHECK(d.opens() == "");
        CHECK(d.count(c) == "3 0 2 3");
        CHECK(d.count(a) == "0 0 0 0");
        CHECK(d.count(beside) == "1 1 0 0");
        CHECK(d.count() == "4 1 2 3");
    }
}

TEST_CASE("pool ledger: nothing is closed that makes no room") {
    desk d;
    d.s.max_db_connections = 2;
    d.s.max_user_connections = 1;
    auto& p = d.pool("ann", "db");
    d.use(d.pool("ann", "other"), {0, 1}, {0, 1});
    d.idle(d.pool("bob", "db"), {0, 2});
    d.idle(d.pool("eve", "db"), {0, 3});
    // The database is full, and so is the user, who has nothing idle.
    CHECK(d.acquire(p, {0, 4}) == "wait");
    CHECK(d.closes() == "");
    d.now += 1s;
    CHECK(d.released(d.pool("ann", "other"), {0, 4}) == "nobody");
    CHECK(d.closes() == "0/2 0/4");
    CHECK(d.opens() == "0");
    CHECK(d.count() == "2 1 1 1");
}

TEST_CASE("pool ledger: one idle connection may make room for both bounds") {
    desk d;
    d.s.max_db_connections = 2;
    d.s.max_user_connections = 1;
    d.idle(d.pool("ann", "db", "+"), {0, 1});
    d.use(d.pool("bob", "db"), {0, 2}, {0, 2});
    CHECK(d.acquire(d.pool("ann", "db"), {0, 3}) == "wait");
    CHECK(d.closes() == "0/1");
    CHECK(d.opens() == "0");
}

TEST_CASE("pool ledger: room is for the pool that has waited longest for it") {
    const struct {
        const char* name;
        void (*makes_room)(desk&, pool_ledger::pool&);
        const char* closes;
    } rows[] = {
        {"closed", [](desk& d, pool_ledger::pool& p) { d.closed(p); }, ""},
        {"idle",
         [](desk& d, pool_ledger::pool& p) {
             CHECK(d.released(p, {0, 7}) == "nobody");
         },
         "0/7"},
        {"opened, but its client is gone",
         [](desk& d, pool_ledger::pool& p) {
             CHECK(d.acquire(p, {0, 8}) == "wait");
             d.closed(p);
             CHECK(d.opens() == "0");
             CHECK(d.ledger.forget(p, {0, 8}));
             CHECK(d.opened(p, {0, 7}) == "nobody");
         },
         "0/7"},
        {"failed",
         [](desk& d, pool_ledger::pool& p) {
             CHECK(d.acquire(p, {0, 8}) == "wait");
             d.closed(p);
             CHECK(d.opens() == "0");
             CHECK(d.refused(p) == "0/8");
         },
         ""},
    };
    for (const auto& row : rows) {
        CAPTURE(row.name);
        desk d;
        d.s.max_db_connections = 1;
        auto &holder = d.pool("holder"), &early = d.pool("z"), &late = d.pool("a");
        d.use(holder, {0, 1}, {0, 1});
        CHECK(d.acquire(early, {1, 2}) == "wait");
        d.now += 1s;
        CHECK(d.acquire(late, {2, 3}) == "wait");
        CHECK(d.opens() == "");
        row.makes_room(d, holder);
        CHECK(d.closes() == row.closes);
        CHECK(d.opens() == "1");
        CHECK(d.opened(early, {1, 1}) == "1/2");
        CHECK(d.released(early, {1, 2}) == "nobody");
        CHECK(d.closes() == "1/2");
        CHECK(d.opens() == "2");
    }
}

TEST_CASE("pool ledger: what the server has ended leaves room") {
    desk d;
    d.s.max_db_connections = 1;
    auto& p = d.pool();
    d.idle(p, {1, 1});
    CHECK_FALSE(d.ledger.lost(p, {0, 1}, d.now, d.todo));  // that number of another worker
    CHECK(d.acquire(p, {0, 5}) == "take 1/1");
    CHECK_FALSE(d.ledger.lost(p, {1, 1}, d.now, d.todo));  // it is on its way to somebody
    CHECK(d.count(p) == "1 0 0 0");
    CHECK(d.released(p, {0, 2}) == "nobody");
    CHECK(d.ledger.lost(p, {0, 2}, d.now, d.todo));
    CHECK_FALSE(d.ledger.lost(p, {0, 2}, d.now, d.todo));
    CHECK(d.count(p) == "0 0 0 0");
    CHECK(d.acquire(d.pool("bob"), {0, 6}) == "wait");
    CHECK(d.opens() == "0");
}

TEST_CASE("pool ledger: idle ones go after server_idle_timeout, the longest first") {
    desk d;
    d.s.server_lifetime = 0s;
    d.s.server_idle_timeout = 10s;
    auto& p = d.pool();
    for (const std::uint64_t id : {1, 2, 3}) d.use(p, {0, id}, {0, id});
    for (const std::uint64_t id : {1, 2, 3}) {
        CHECK(d.released(p, {0, id}) == "nobody");
        d.now += 1s;
    }
    d.tick(6999ms);
    CHECK(d.closes() == "");
    d.tick(1ms);
    CHECK(d.closes() == "0/1");
    SUBCASE("all of them") {
        d.tick(1h);
        CHECK(d.closes() == "0/2 0/3");
        CHECK(d.count(p) == "0 0 0 0");
    }
    SUBCASE("but for min_pool_size") {
        d.s.min_pool_size = 1;
        d.tick(1h);
        CHECK(d.closes() == "0/2");
        CHECK(d.opens() == "");
        CHECK(d.count(p) == "1 1 0 0");
    }
    SUBCASE("never") {
        d.s.server_idle_timeout = 0s;
        d.tick(24h);
        CHECK(d.closes() == "");
    }
}

TEST_CASE("pool ledger: min_pool_size is kept once somebody has logged in") {
    desk d;
    d.s.min_pool_size = 3;
    d.s.default_pool_size = 2;  // never more than these
    auto& p = d.pool();
    d.tick();
    CHECK(d.opens() == "");
    CHECK(d.acquire(p, {1, 1}) == "wait");
    CHECK(d.opens() == "1");
    d.tick();
    CHECK(d.opens() == "");
    CHECK(d.opened(p, {1, 1}) == "1/1");
    d.tick();
    CHECK(d.opens() == "1");
    d.tick();
    CHECK(d.opens() == "");
    CHECK(d.opened(p, {1, 2}) == "nobody");
    CHECK(d.ledger.lost(p, {1, 2}, d.now, d.todo));
    CHECK(d.opens() == "");
    d.tick();
    CHECK(d.opens() == "1");
    SUBCASE("the server is gone: the next try is after server_login_retry") {
        CHECK(d.unreachable(p) == "");
        d.tick(14999ms);
        CHECK(d.opens() == "");
        d.tick(1ms);
        CHECK(d.opens() == "1");
    }
    SUBCASE("the user may no longer log in: no more tries until one succeeds") {
        d.closed(p);
        CHECK(d.refused(p) == "");
        d.tick(1h);
        CHECK(d.opens() == "");
        CHECK(d.acquire(p, {0, 2}) == "wait");
        CHECK(d.opens() == "0");
        CHECK(d.opened(p, {0, 3}) == "0/2");
        d.tick();
        CHECK(d.opens() == "0");
    }
}

TEST_CASE("pool ledger: min_pool_size takes nobody's room") {
    desk d;
    d.s.min_pool_size = 2;
    d.s.max_db_connections = 2;
    d.s.server_login_retry = 5s;
    auto &a = d.pool("a"), &b = d.pool("b");
    d.use(a, {0, 1}, {0, 1});
    d.use(b, {1, 2}, {1, 2});
    d.tick();
    CHECK(d.opens() == "");
    CHECK(d.acquire(b, {1, 3}) == "wait");
    CHECK(d.opens() == "");
    d.closed(a);
    CHECK(d.opens() == "1");
    CHECK(d.unreachable(b) == "");
    d.now += 5s;
    // Now both could have what is free: who waits goes first.
    d.tick();
    CHECK(d.opens() == "1");
    CHECK(d.opened(b, {1, 4}) == "1/3");
    d.tick();
    CHECK(d.opens() == "");
    // An idle one goes for who waits elsewhere, and does not come back at his expense.
    CHECK(d.released(b, {1, 5}) == "nobody");
    CHECK(d.acquire(a, {0, 6}) == "wait");
    CHECK(d.closes() == "1/5");
    CHECK(d.opens() == "0");
    d.tick();
    CHECK(d.opens() == "");
}

TEST_CASE("pool ledger: a database that is to be left alone") {
    desk d;
    d.s.min_pool_size = 2;
    auto &ann = d.pool("ann"), &bob = d.pool("bob"), &other = d.pool("ann", "other");
    d.use(ann, {0, 5}, {0, 2});
    d.idle(ann, {0, 1});
    d.idle(bob, {1, 3});
    d.idle(other, {0, 4});
    d.ledger.close_idle("db", d.todo);
    CHECK(d.closes() == "0/1 1/3");
    CHECK(d.count() == "2 1 0 0");
    d.tick();
    CHECK(d.opens() == "0");  // for `other`
    CHECK(d.count(other) == "2 1 1 0");
    CHECK(d.released(ann, {0, 6}) == "nobody");
    d.tick();
    CHECK(d.opens() == "");
    CHECK(d.acquire(bob, {1, 7}) == "wait");  // until somebody comes
    CHECK(d.opens() == "1");
}

TEST_CASE("pool ledger: an idle connection that is too old goes, used lately or not") {
    desk d;
    d.s.server_lifetime = 60s;
    d.s.server_idle_timeout = 0s;
    auto& p = d.pool();
    const auto start = d.now;
    d.use(p, {0, 91}, {0, 1});
    d.use(p, {0, 92}, {0, 2});
    d.tick(40s);
    CHECK(d.released(p, {0, 1}, start) == "nobody");
    CHECK(d.released(p, {0, 2}, d.now) == "nobody");
    d.tick(19s);
    CHECK(d.closes() == "");
    d.tick(1s);
    CHECK(d.closes() == "0/1");
    CHECK(d.ledger.count(p).total == 1);
    d.tick(40s);
    CHECK(d.closes() == "0/2");
    CHECK(d.ledger.count(p).total == 0);
    // min_pool_size is kept by younger ones.
    d.s.min_pool_size = 1;
    d.tick();
    CHECK(d.opens() == "0");
}

TEST_CASE("pool ledger: a pool that nobody has is forgotten, but not what its server said") {
    desk d;
    d.s.server_login_retry = 15s;
    d.s.server_idle_timeout = 10s;
    for (int i = 0; i < 1000; ++i) (void)d.pool("ann", "db", " odd " + std::to_string(i));
    CHECK(d.ledger.pools() == 1000);
    d.held.clear();
    auto kept = d.ledger.of("kept", "db", "ann");
    CHECK(d.acquire(*kept, {0, 1}) == "wait");
    CHECK(d.opens() == "0");
    CHECK(d.unreachable(*kept) == "0/1");
    auto used = d.ledger.of("used", "db", "bob");
    d.idle(*used, {0, 7});
    kept.reset();
    used.reset();
    d.tick();
    CHECK(d.ledger.pools() == 2);
    CHECK(d.acquire(*d.ledger.of("kept", "db", "ann"), {0, 2}) == "refused gone");
    d.tick(14s);
    CHECK(d.closes() == "0/7");
    CHECK(d.ledger.pools() == 2);
    d.todo = {};
    d.tick(1s);
    CHECK(d.ledger.pools() == 0);
    CHECK(d.ledger.count().total == 0);
}

TEST_CASE("pool ledger: connections are opened with what the last log-in has shown") {
    desk d;
    pgsidecar::core::server_credentials shown;
    shown.password = "first";
    const auto p = d.ledger.of("packet", "db", "ann", shown);
    CHECK(d.ledger.card(*p)->start_up == "packet");
    CHECK(d.ledger.card(*p)->known.password == "first");
    (void)d.ledger.of("packet", "db", "ann");  // let in without a password
    CHECK(d.ledger.card(*p)->known.password == "first");
    shown.password = "second";
    CHECK(d.ledger.of("packet", "db", "ann", shown) == p);
    CHECK(d.ledger.card(*p)->known.password == "second");
}

TEST_CASE("pool ledger: a pool that becomes smaller closes what lies idle above its size") {
    desk d;
    d.s.default_pool_size = 3;
    auto& p = d.pool();
    for (unsigned i = 1; i <= 3; ++i) d.use(p, {0, 10 + i}, {0, i});
    for (unsigned i = 1; i <= 2; ++i) CHECK(d.released(p, {0, i}) == "nobody");
    d.s.default_pool_size = 1;
    d.tick();
    CHECK(d.closes() == "0/1 0/2");
    CHECK(d.count(p) == "1 0 0 0");  // what is in use stays
    CHECK(d.released(p, {0, 3}) == "nobody");
    d.tick();
    CHECK(d.closes() == "");
    d.s.default_pool_size = 2;
    CHECK(d.acquire(p, {0, 5}) == "take 0/3");
    CHECK(d.acquire(p, {0, 6}) == "wait");
    CHECK(d.opens() == "0");
}

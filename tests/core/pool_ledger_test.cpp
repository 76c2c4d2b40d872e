// Who is given which server connection, and what is opened. Bounds that pools share and what time
// brings: pool_ledger_bounds_test.cpp; random calls: pool_ledger_model_test.cpp.
#include <doctest/doctest.h>

#include "tests/core/ledger_desk.h"

using namespace core_test;

TEST_CASE("pool ledger: a start-up packet is a pool") {
    desk d;
    CHECK(&d.pool() == &d.pool());
    CHECK(&d.pool() != &d.pool("ann", "db", "+"));
    CHECK(d.count(d.pool()) == "0 0 0 0");
}

TEST_CASE("pool ledger: who came first is served first, of whatever worker") {
    desk d;
    d.s.default_pool_size = 1;
    auto& p = d.pool();
    d.use(p, {0, 1}, {0, 1});
    for (const place who : {place{1, 2}, place{0, 3}, place{1, 4}})
        CHECK(d.acquire(p, who) == "wait");
    CHECK(d.opens() == "");
    CHECK(d.count(p) == "1 0 0 3");
    CHECK(d.released(p, {0, 1}) == "1/2");
    CHECK(d.released(p, {1, 1}) == "0/3");
    CHECK(d.released(p, {0, 2}) == "1/4");
    CHECK(d.released(p, {1, 2}) == "nobody");
    CHECK(d.count(p) == "1 1 0 0");
}

TEST_CASE("pool ledger: the last used is taken first, and rather one of the same worker") {
    desk d;
    auto& p = d.pool();
    for (const place c : {place{0, 1}, place{1, 2}, place{0, 3}, place{1, 4}})
        d.use(p, {c.worker, 10 + c.id}, c);
    for (const place c : {place{0, 1}, place{1, 2}, place{0, 3}, place{1, 4}})
        CHECK(d.released(p, c) == "nobody");
    CHECK(d.acquire(p, {0, 20}) == "take 0/3");
    CHECK(d.acquire(p, {2, 21}) == "take 1/4");
    CHECK(d.acquire(p, {1, 22}) == "take 1/2");
    CHECK(d.acquire(p, {1, 23}) == "take 0/1");
    CHECK(d.acquire(p, {1, 24}) == "wait");
}

TEST_CASE("pool ledger: one of the very worker, or none at all") {
    desk d;
    auto& p = d.pool();
    for (const place c : {place{0, 1}, place{0, 2}, place{1, 3}})
        d.use(p, {c.worker, 10 + c.id}, c);
    for (const place c : {place{0, 1}, place{0, 2}, place{1, 3}})
        CHECK(d.released(p, c) == "nobody");
    CHECK(d.ledger.take_own(p, 0) == 2U);
    CHECK(d.ledger.take_own(p, 0) == 1U);
    CHECK_FALSE(d.ledger.take_own(p, 0));
    CHECK_FALSE(d.ledger.take_own(p, 2));
    CHECK(d.count(p) == "3 1 0 0");
    CHECK(d.released(p, {0, 4}) == "nobody");
    CHECK(d.ledger.take_own(p, 0) == 4U);
}

TEST_CASE("pool ledger: default_pool_size counts over all workers") {
    desk d;
    d.s.default_pool_size = 3;
    auto& p = d.pool();
    for (unsigned w = 0; w < 5; ++w) CHECK(d.acquire(p, {w, w}) == "wait");
    CHECK(d.opens() == "0 1 2");
    CHECK(d.count(p) == "3 0 3 5");
    CHECK(d.opened(p, {2, 1}) == "0/0");
    CHECK(d.opens() == "");
    d.closed(p);
    CHECK(d.opens() == "3");  // two are on their way to those who wait first
}

TEST_CASE("pool ledger: no more is opened than wait") {
    desk d;
    auto& p = d.pool();
    CHECK(d.acquire(p, {0, 1}) == "wait");
    CHECK(d.opens() == "0");
    CHECK(d.ledger.forget(p, {0, 1}));
    CHECK(d.acquire(p, {1, 2}) == "wait");
    CHECK(d.opens() == "");  // the one that is being opened will do
    CHECK(d.acquire(p, {2, 3}) == "wait");
    CHECK(d.opens() == "2");
    CHECK(d.opened(p, {0, 1}) == "1/2");
    CHECK(d.released(p, {0, 2}) == "2/3");
    CHECK(d.opened(p, {2, 1}) == "nobody");
    CHECK(d.opens() == "");
    CHECK(d.count(p) == "2 1 0 0");
}

TEST_CASE("pool ledger: who waits no more is not served") {
    desk d;
    d.s.default_pool_size = 1;
    auto& p = d.pool();
    d.use(p, {0, 1}, {0, 1});
    for (const std::uint64_t id : {2, 3, 4}) CHECK(d.acquire(p, {0, id}) == "wait");
    CHECK(d.ledger.forget(p, {0, 3}));
    CHECK_FALSE(d.ledger.forget(p, {0, 3}));
    CHECK_FALSE(d.ledger.forget(p, {1, 2}));  // another worker's
    CHECK(d.released(p, {0, 2}) == "0/2");
    CHECK_FALSE(d.ledger.forget(p, {0, 2}));  // it is on its way to him
    CHECK(d.released(p, {0, 3}) == "0/4");
    CHECK(d.count(p) == "1 0 0 0");
}

TEST_CASE("pool ledger: a refused log-in is told to one, and is not remembered") {
    desk d;
    d.s.default_pool_size = 2;
    auto& p = d.pool();
    for (unsigned w = 0; w < 4; ++w) CHECK(d.acquire(p, {w, w}) == "wait");
    CHECK(d.opens() == "0 1");
    CHECK(d.refused(p) == "0/0");
    CHECK(d.opens() == "2");  // behind the one that is still under way for worker 1
    CHECK(d.refused(p) == "1/1");
    CHECK(d.opens() == "3");
    CHECK(d.opened(p, {2, 1}) == "2/2");
    CHECK(d.refused(p) == "");  // there is one that he can wait for
    CHECK(d.opens() == "");
    CHECK(d.released(p, {2, 2}) == "3/3");

    desk e;
    auto& q = e.pool();
    CHECK(e.acquire(q, {0, 1}) == "wait");
    CHECK(e.refused(q) == "0/1");
    CHECK(e.opens() == "0");
    CHECK(e.acquire(q, {0, 2}) == "wait");
    CHECK(e.opens() == "0");
}

TEST_CASE("pool ledger: a server that cannot be reached is told to all, and is remembered") {
    desk d;
    d.s.default_pool_size = 2;
    d.s.server_login_retry = 15s;
    auto& p = d.pool();
    for (unsigned w = 0; w < 4; ++w) CHECK(d.acquire(p, {w, w}) == "wait");
    CHECK(d.opens() == "0 1");
    CHECK(d.unreachable(p) == "0/0 1/1 2/2 3/3");
    CHECK(d.acquire(p, {0, 9}) == "wait");  // the other attempt is still under way
    CHECK(d.unreachable(p, "still gone") == "0/9");
    CHECK(d.opens() == "");
    CHECK(d.acquire(p, {0, 10}) == "refused still gone");
    d.now += 14999ms;
    CHECK(d.acquire(p, {0, 11}) == "refused still gone");
    d.now += 1ms;
    CHECK(d.acquire(p, {0, 12}) == "wait");
    CHECK(d.opens() == "0");
    CHECK(d.opened(p, {0, 1}) == "0/12");
    CHECK(d.acquire(p, {0, 13}) == "wait");
    CHECK(d.opens() == "0");
    d.closed(p);
    CHECK(d.unreachable(p) == "0/13");
    // Of other pools nothing is said.
    CHECK(d.acquire(d.pool("bob"), {0, 14}) == "wait");
    CHECK(d.opens() == "0");
    d.s.server_login_retry = 0s;
    CHECK(d.unreachable(d.pool("bob")) == "0/14");
    CHECK(d.acquire(d.pool("bob"), {0, 15}) == "wait");
    CHECK(d.opens() == "0");
}

TEST_CASE("pool ledger: while others of the pool are there, nobody is told") {
    for (const bool unreachable : {false, true}) {
        CAPTURE(unreachable);
        desk d;
        d.s.server_login_retry = 15s;
        auto& p = d.pool();
        d.use(p, {0, 1}, {0, 1});
        for (const std::uint64_t id : {2, 3}) CHECK(d.acquire(p, {0, id}) == "wait");
        CHECK(d.opens() == "0 0");
        CHECK((unreachable ? d.unreachable(p) : d.refused(p)) == "");
        CHECK((unreachable ? d.unreachable(p) : d.refused(p)) == "");
        CHECK(d.acquire(p, {0, 4}) == "wait");
        d.tick(14999ms);
        CHECK(d.opens() == "");
        CHECK(d.count(p) == "1 0 0 3");
        SUBCASE("they wait for those, or for the next attempt") {
            d.tick(1ms);
            CHECK(d.opens() == "0 0 0");
            CHECK(d.released(p, {0, 2}) == "0/2");
            // It works again: nothing holds the next ones back.
            CHECK((unreachable ? d.unreachable(p) : d.refused(p)) == "");
            CHECK(d.opens() == "");
            CHECK(d.opened(p, {0, 3}) == "0/3");
            CHECK(d.acquire(p, {1, 5}) == "wait");
            CHECK(d.opens() == "1");
        }
        SUBCASE("the last of those goes") {
            d.closed(p);
            // A refused log-in is not held against the next one.
            CHECK(d.opens() == (unreachable ? "" : "0 0 0"));
            d.tick(1ms);
            CHECK(d.opens() == (unreachable ? "0 0 0" : ""));
            CHECK(d.refused(p) == "0/2");
        }
    }
}

TEST_CASE("pool ledger: what is open again opens the way for all who wait") {
    desk d;
    d.s.default_pool_size = 3;
    auto& p = d.pool();
    for (const std::uint64_t id : {1, 2}) CHECK(d.acquire(p, {0, id}) == "wait");
    CHECK(d.opens() == "0 0");
    CHECK(d.unreachable(p) == "0/1 0/2");
    for (const std::uint64_t id : {3, 4, 5}) CHECK(d.acquire(p, {0, id}) == "wait");
    CHECK(d.opens() == "");
    CHECK(d.opened(p, {0, 1}) == "0/3");
    CHECK(d.opens() == "0 0");
}

TEST_CASE("pool ledger: the reserve is for who has waited long") {
    desk d;
    d.s.default_pool_size = 1;
    d.s.reserve_pool_size = 2;
    d.s.reserve_pool_timeout = 5s;
    auto& p = d.pool();
    d.use(p, {0, 1}, {0, 1});
    for (const std::uint64_t id : {2, 3, 4, 5}) CHECK(d.acquire(p, {0, id}) == "wait");
    d.tick(4999ms);
    CHECK(d.opens() == "");
    d.tick(1ms);
    CHECK(d.opens() == "0 0");
    d.tick(1h);
    CHECK(d.opens() == "");
    CHECK(d.opened(p, {0, 2}) == "0/2");
    CHECK(d.opened(p, {0, 3}) == "0/3");
    CHECK(d.count(p) == "3 0 0 2");
    // Who has come just now does not wait long.
    CHECK(d.released(p, {0, 4}) == "0/4");
    CHECK(d.released(p, {0, 5}) == "0/5");
    CHECK(d.acquire(p, {0, 6}) == "wait");
    d.closed(p);
    CHECK(d.opens() == "");
    d.closed(p);
    CHECK(d.opens() == "");
    d.closed(p);
    CHECK(d.opens() == "0");
}

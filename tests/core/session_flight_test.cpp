// Identical misses at once: one asks, the others wait; whoever leads may fail, and nobody may wait
// for ever.
#include <doctest/doctest.h>

#include "tests/core/script.h"
#include "tests/core/session_group.h"

using namespace core_test;
using namespace std::chrono_literals;

namespace {

const auto select_kv = query("SELECT v FROM kv");

// Three sessions on two workers, logged in.
struct three : session_group {
    three() : session_group{2} { log_in(3); }
    // All three ask the same; the first leads.
    void ask() {
        for (auto& l : each) l->client(select_kv);
        CHECK(show(each[0]->to_server()) == show(select_kv));
        CHECK(each[1]->to_server().empty());
        CHECK(each[2]->to_server().empty());
        CHECK(w.flights.size().followers == 2);
    }
};

}  // namespace

TEST_CASE("flight: one asks, all are answered, each outcome is named") {
    three t;
    t.ask();
    t[0].server(answer("one"));
    t.deliver();
    for (std::size_t i = 0; i < 3; ++i) CHECK(show(t[i].to_client()) == show(answer("one")));
    CHECK(t[1].to_server().empty());
    CHECK(t[0].outcomes() == std::vector{policy::reason::miss});
    CHECK(t[1].outcomes() == std::vector{policy::reason::coalesced});
}

TEST_CASE("flight: beyond the ttl one asks, the others are given what is allowed still") {
    session_group t{2};
    t.w.rules->rules.front().ttl = 10s;
    t.w.rules->rules.front().stale_while_revalidate = 5s;
    t.log_in(3);
    const auto asks = [&t](std::size_t i) {
        t[i].client(select_kv);
        return show(t[i].to_server()) == show(select_kv);
    };
    const auto given = [&t](std::size_t i) { return show(t[i].to_client()); };
    CHECK(asks(0));
    t[0].server(answer("old"));
    CHECK(given(0) == show(answer("old")));
    t.w.now += 12s;
    CHECK(asks(0));
    CHECK(!asks(1));
    CHECK(given(1) == show(answer("old")));
    CHECK(t[1].outcomes() == std::vector{policy::reason::stale});
    t[0].server(answer("new"));
    t.deliver();
    CHECK(given(0) == show(answer("new")));
    CHECK(!asks(1));
    CHECK(given(1) == show(answer("new")));
    CHECK(t[1].outcomes().back() == policy::reason::hit);
    // A write ends it at once.
    t.w.now += 12s;
    CHECK(asks(0));
    t.w.kv().bump();
    CHECK(!asks(1));  // it waits for the first
    CHECK(given(1).empty());
    t[0].server(answer("newer"));
    t.deliver();
    // And so does the end of what is allowed.
    CHECK(show(t[1].to_server()) == show(select_kv));
    t[1].server(answer("newest"));
    CHECK(given(1) == show(answer("newest")));
    t.w.now += 15s;
    CHECK(asks(0));
    CHECK(!asks(2));
    CHECK(given(2).empty());
    t[0].server(answer("last"));
    t.deliver();
    CHECK(given(2) == show(answer("last")));
}

TEST_CASE("flight: an answer that cannot be kept sends each waiter to the server itself") {
    three t;
    t.ask();
    t[0].server(failed("42501") + ready());
    t.deliver();
    CHECK(show(t[0].to_client()) == show(failed("42501") + ready()));
    for (std::size_t i = 1; i < 3; ++i) {
        CHECK(show(t[i].to_server()) == show(select_kv));
        t[i].server(answer("one"));
        CHECK(show(t[i].to_client()) == show(answer("one")));
    }
}

TEST_CASE("flight: when the leader dies, one waiter leads and the other is answered by it") {
    three t;
    t.ask();
    t[0].client_gone();
    t.deliver();
    CHECK(show(t[1].to_server()) == show(select_kv));
    CHECK(t[2].to_server().empty());
    t[1].server(answer("one"));
    t.deliver();
    CHECK(show(t[2].to_client()) == show(answer("one")));
}

TEST_CASE("flight: when the leader's server vanishes the waiters ask their own") {
    three t;
    t.ask();
    t[0].server_gone();
    t.deliver();
    for (std::size_t i = 1; i < 3; ++i) {
        CHECK(show(t[i].to_server()) == show(select_kv));
        t[i].server(answer("one"));
        t.deliver();
        CHECK(show(t[i].to_client()) == show(answer("one")));
    }
}

TEST_CASE("flight: a waiter whose connection dies does not inherit the lead") {
    for (const bool client_dies : {true, false}) {
        three t;
        t.ask();
        client_dies ? t[1].client_gone() : t[1].server_gone();
        t[0].client_gone();
        t.deliver();
        CHECK(show(t[2].to_server()) == show(select_kv));
    }
}

TEST_CASE("flight: a waiter that dies between being made leader and hearing of it passes it on") {
    for (const bool client_dies : {true, false}) {
        three t;
        t.ask();
        t[0].client_gone();
        const auto wakes = t[0].wakes();
        REQUIRE(wakes.size() == 1);
        CHECK(wakes[0].leads);
        client_dies ? t[1].client_gone() : t[1].server_gone();
        t.deliver(wakes[0]);
        t.deliver();
        CHECK(show(t[2].to_server()) == show(select_kv));
    }
}

TEST_CASE("flight: cancelled while waiting, told so, and in step afterwards") {
    three t;
    t.ask();
    CHECK(!t[1].cancel());
    const auto told = t[1].to_client();
    CHECK(show(told).find("57014") != std::string::npos);
    CHECK(told.ends_with(ready()));
    CHECK(t.w.flights.size().followers == 1);
    t[1].client(select_kv);  // asks again, waits again
    CHECK(t[1].to_server().empty());
    t[0].server(answer("one"));
    t.deliver();
    CHECK(show(t[1].to_client()) == show(answer("one")));
    CHECK(show(t[2].to_client()) == show(answer("one")));
}

TEST_CASE("flight: cancelled while waiting with a batch, all of it is refused") {
    const auto batch = parse("", "SELECT v FROM kv") + bind("") + execute() + sync_now();
    three t;
    t[0].client(batch);
    t[1].client(batch);
    CHECK(t[1].to_server().empty());
    CHECK(!t[1].cancel());
    const auto told = t[1].to_client();
    CHECK(show(told).find("57014") != std::string::npos);
    CHECK(told.ends_with(ready()));
    CHECK(told.find(ready()) == told.size() - ready().size());
}

TEST_CASE("flight: a late wake-up does not reach a later wait") {
    three t;
    t.ask();
    t[0].server(answer("one"));
    const auto wakes = t[0].wakes();
    REQUIRE(wakes.size() == 2);
    (void)t[1].cancel();
    (void)t[1].to_client();
    t.w.store.clear();
    t[2].wake(wakes[1]);  // misses again and leads now
    CHECK(show(t[2].to_server()) == show(select_kv));
    t[1].client(select_kv);  // waits for it
    t.deliver(wakes[0]);     // meant for its first wait
    CHECK(t[1].to_server().empty());
    t[2].server(answer("two"));
    t.deliver();
    CHECK(show(t[1].to_client()) == show(answer("two")));
}

TEST_CASE("flight: an answer overtaken by a write is not handed to the waiters") {
    three t;
    t.ask();
    t.w.kv().bump();
    t[0].server(answer("old"));
    t.deliver();
    CHECK(show(t[0].to_client()) == show(answer("old")));
    for (std::size_t i = 1; i < 3; ++i) {
        CHECK(t[i].to_client().empty());
        CHECK(show(t[i].to_server()) == show(select_kv));
    }
}

TEST_CASE("flight: switched off, each asks for itself") {
    world w;
    w.options.single_flight = false;
    wired a{w, token_step}, b{w, 2 * token_step};
    for (auto* l : {&a, &b}) {
        l->log_in();
        l->client(select_kv);
        CHECK(show(l->to_server()) == show(select_kv));
    }
    a.client_gone();
    b.client_gone();
}

TEST_CASE("flight: a waiter is answered when a shutdown comes, then ended") {
    three t;
    t.ask();
    t[1].shutdown();
    CHECK(!t[1].closing);
    t[0].server(answer("one"));
    t.deliver();
    const auto told = t[1].to_client();
    CHECK(told.starts_with(answer("one")));
    CHECK(t[1].closing);
}

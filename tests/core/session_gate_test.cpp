// Requests that wait for a place among those of their tenant.
#include <doctest/doctest.h>

#include "tests/core/limited.h"
#include "tests/core/session_group.h"

using namespace core_test;
using namespace core_test::limited;

namespace {

// Sessions of one tenant of which one may run, or so many.
struct queue : session_group {
    explicit queue(std::size_t sessions, unsigned most = 1) {
        w.limit(limits([&](policy::tier& t, auto&) {
            t.max_concurrent = most;
            t.query_wait_timeout = 5s;
        }));
        log_in(sessions);
    }
};

const auto inserted = completed("INSERT 0 1") + ready();

}  // namespace

TEST_CASE("limits: one runs, the others wait in the order they came") {
    queue q{3};
    for (auto& l : q.each) l->client(insert_kv);
    CHECK(show(q.each[0]->to_server()) == show(insert_kv));
    for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = i + 1; j < 3; ++j) CHECK(q.each[j]->to_server().empty());
        q.each[i]->server(inserted);
        CHECK(show(q.each[i]->to_client()) == show(inserted));
        q.deliver();
        if (i + 1 < 3) CHECK(show(q.each[i + 1]->to_server()) == show(insert_kv));
    }
}

TEST_CASE("limits: who waits for too long is told so, and its place in the queue is gone") {
    queue q{3};
    for (auto& l : q.each) l->client(insert_kv);
    q.each[1]->later(5s);
    CHECK(show(q.each[1]->to_client()).find("55P03") != std::string::npos);
    q.each[0]->server(inserted);
    q.deliver();
    CHECK(q.each[1]->to_server().find("INSERT") == std::string::npos);
    CHECK(show(q.each[2]->to_server()) == show(insert_kv));
}

TEST_CASE("limits: whoever dies gives its place on, running, waiting, or just admitted") {
    for (const bool client_dies : {true, false}) {
        queue q{4};
        for (auto& l : q.each) l->client(insert_kv);
        const auto die = [&](wired& l) { client_dies ? l.client_gone() : l.server_gone(); };
        die(*q.each[1]);  // waiting
        die(*q.each[0]);  // running; the next is admitted, and
        die(*q.each[2]);  // does not live to hear of it
        q.deliver();
        CHECK(q.each[3]->to_server().find("INSERT") != std::string::npos);
    }
}

TEST_CASE("limits: one that waits can be cancelled") {
    queue q{2};
    for (auto& l : q.each) l->client(insert_kv);
    CHECK_FALSE(q.each[1]->cancel());
    CHECK(show(q.each[1]->to_client()).find("57014") != std::string::npos);
    q.each[1]->client(insert_kv);  // waits again
    CHECK(q.each[1]->to_server().empty());
    q.each[0]->server(inserted);
    q.deliver();
    CHECK(show(q.each[1]->to_server()) == show(insert_kv));
}

TEST_CASE("limits: a transaction keeps its place until its end") {
    queue q{2};
    q.each[0]->client(begin);
    q.each[0]->server(begun);
    q.each[1]->client(insert_kv);
    CHECK(q.each[1]->to_server().empty());
    q.each[0]->client(insert_kv);
    q.each[0]->server(completed("INSERT 0 1") + ready('T'));
    q.deliver();
    CHECK(q.each[1]->to_server().empty());
    q.each[0]->client(rollback);
    q.each[0]->server(rolled_back);
    q.deliver();
    CHECK(show(q.each[1]->to_server()) == show(insert_kv));
}

TEST_CASE("limits: an answer of the cache waits for its turn like any other") {
    queue q{2};
    q.each[1]->client(select_kv);
    q.each[1]->server(answer("one"));
    (void)q.each[1]->to_client();
    q.each[0]->client(query("SELECT v FROM other, random() r"));
    q.each[1]->client(select_kv);
    CHECK(q.each[1]->to_client().empty());
    q.each[0]->server(answer("x"));
    q.deliver();
    CHECK(show(q.each[1]->to_client()) == show(answer("one")));
}

TEST_CASE("limits: nobody passes the gate behind what needs no place") {
    queue q{2};
    const auto unlisten = query("UNLISTEN *");
    q.each[0]->client(insert_kv);
    q.each[1]->client(unlisten + insert_kv);
    CHECK(show(q.each[1]->to_server()) == show(unlisten));
    q.each[1]->server(completed("UNLISTEN") + ready());
    CHECK(q.each[1]->to_server().empty());
    q.each[0]->server(inserted);
    q.deliver();
    CHECK(show(q.each[1]->to_server()) == show(insert_kv));
}

TEST_CASE("limits: who waits for too long is told what for, also when a place has just come free") {
    queue q{3, 2};
    for (auto& l : q.each) l->client(insert_kv);
    for (std::size_t i = 0; i < 2; ++i) q.each[i]->server(inserted);
    q.each[2]->later(5s);  // before it hears that it was admitted
    CHECK(show(q.each[2]->to_client()).find("max_concurrent of tenant") != std::string::npos);
}

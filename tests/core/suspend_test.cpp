// While the cache is suspended, for another process writes, nothing comes from it and nothing goes
// into it; afterwards nothing is left of before.
#include "tests/core/two_sessions.h"

using namespace core_test;

TEST_CASE("suspend: what is cached is not served, and is not there any more afterwards") {
    two t;
    t.fill("before");
    CHECK(t.hit());
    t.w.dbs.suspend();
    CHECK_FALSE(t.hit());
    t.w.publish();  // the catalogs are read as ever
    CHECK_FALSE(t.hit());
    CHECK(t.reader.outcomes().back() == policy::reason::handover);
    t.w.dbs.resume_anew();
    CHECK_FALSE(t.hit());  // the definitions may be others
    CHECK(t.reader.outcomes().back() == policy::reason::stale_catalog);
    t.w.publish();
    CHECK_FALSE(t.hit());  // so may the rows: this one is asked for, and kept
    CHECK(t.hit());
}

TEST_CASE("suspend: an answer that is under way is not kept, whenever it comes") {
    for (const bool late : {false, true}) {
        CAPTURE(late);
        two t;
        t.reader.client(select_kv);
        t.w.dbs.suspend();
        if (!late) t.reader.server(answer("old"));
        t.w.dbs.resume_anew();
        t.w.publish();
        if (late) t.reader.server(answer("old"));
        CHECK_FALSE(t.hit());
    }
}

TEST_CASE("suspend: who waits for another's answer asks the server") {
    two t;
    t.writer.client(select_kv);
    CHECK_FALSE(t.writer.to_server().empty());
    t.reader.client(select_kv);
    CHECK(t.reader.to_server().empty());  // it waits
    t.w.dbs.suspend();
    t.writer.server(answer("v"));
    for (const auto& wake : t.writer.wakes()) t.reader.wake(wake);
    CHECK(show(t.reader.to_server()) == show(select_kv));
    t.reader.server(answer("v"));
    t.w.dbs.resume_anew();
}

TEST_CASE("suspend: writes are followed meanwhile") {
    two t;
    t.w.dbs.suspend();
    const auto before = t.w.kv().version.load();
    t.writer.client(query("UPDATE kv SET v = 1"));
    CHECK(t.w.kv().commits_in_flight.load() == 1);
    t.writer.server(completed("UPDATE 1") + ready());
    CHECK(t.w.kv().version.load() > before);
    t.w.dbs.resume_anew();
}

TEST_CASE("suspend: a database that is first seen meanwhile is suspended, too") {
    world w;
    w.dbs.suspend();
    auto& late = w.dbs.of("late");
    late.publish(small_catalog(late.wanted()));
    CHECK(late.usable_catalog() == nullptr);
    CHECK(late.latest_catalog() != nullptr);
    const auto epoch = late.epoch();
    w.dbs.resume_anew();
    CHECK(late.epoch() > epoch);
    CHECK(late.usable_catalog() == nullptr);  // what was read before need not be so any more
    late.publish(small_catalog(late.wanted()));
    CHECK(late.usable_catalog() != nullptr);
}

TEST_CASE("suspend: a log-in before the first catalog is not followed, another one is") {
    world w;
    w.dbs.suspend();
    w.dbs.of("db").withdraw();
    wired early{w};
    early.log_in();
    w.publish();
    wired late{w, second_token};
    late.log_in();
    w.dbs.resume_anew();
    w.publish();
    for (auto* session : {&early, &late}) {
        for (int i = 0; i < 3; ++i) {
            session->client(select_kv);
            if (!session->to_server().empty()) session->server(answer("v"));
            (void)session->to_client();
        }
        const auto said = session->outcomes();
        CHECK((said.back() == policy::reason::hit) == (session == &late));
        session->client_gone();
    }
}

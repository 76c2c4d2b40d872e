// What a write means to others, and when: counted as in flight before its bytes leave, known to the
// cache before its acknowledgement is passed on, handed over when nobody is left to acknowledge it.
#include <doctest/doctest.h>

#include "tests/core/script.h"
#include "tests/core/two_sessions.h"

using namespace core_test;

namespace {

const auto update = query("UPDATE kv SET v = 'new'");
const auto updated = completed("UPDATE 1") + ready();

}  // namespace

TEST_CASE("write: counted before the bytes leave, known before the acknowledgement passes") {
    two t;
    t.fill("old");
    const auto before = t.w.kv().version.load();
    core::actions out;
    CHECK(t.w.kv().commits_in_flight.load() == 0);
    t.writer.client(update);
    CHECK(t.w.kv().commits_in_flight.load() == 1);
    CHECK(t.w.db().writers.load() == 1);
    CHECK(t.w.kv().version.load() == before);
    // With the first frame that could tell of the commit, not with the last.
    t.writer.server(completed("UPDATE 1"));
    CHECK(t.w.kv().version.load() > before);
    CHECK(t.w.kv().commits_in_flight.load() == 1);
    CHECK(!t.hit());
    t.writer.server(ready());
    CHECK(t.w.kv().commits_in_flight.load() == 0);
    CHECK(t.w.db().writers.load() == 0);
}

TEST_CASE("write: bumped before even a notice or a parameter change is passed on") {
    for (const auto& first : {notice(), parameter("TimeZone", "UTC"), failed("40001"),
                              message(protocol::notification_response{1, "c", "p"})}) {
        two t;
        const auto before = t.w.kv().version.load();
        t.writer.client(update);
        t.writer.server(first);
        CHECK(t.w.kv().version.load() > before);
        t.writer.server(ready());
    }
}

TEST_CASE("write: rows of RETURNING say nothing of the commit") {
    two t;
    t.writer.client(query("UPDATE kv SET v = 'new' RETURNING v"));
    const auto before = t.w.kv().version.load();
    t.writer.server(described() + row_of("new"));
    CHECK(t.w.kv().version.load() == before);
    t.writer.server(updated);
    CHECK(t.w.kv().version.load() > before);
}

TEST_CASE("write: while it is in flight nothing new is kept") {
    two t;
    t.writer.client(update);
    t.reader.client(select_kv);
    t.reader.server(answer("old or new"));
    t.writer.server(updated);
    (void)t.reader.to_server();
    CHECK(!t.hit());
    CHECK(t.hit());
}

TEST_CASE("write: a fill that began before the write and ended after it is not kept") {
    two t;
    t.reader.client(select_kv);
    (void)t.reader.to_server();
    t.writer.client(update);
    t.writer.server(updated);
    t.reader.server(answer("old"));
    CHECK(!t.hit());
    CHECK(t.hit());
}

TEST_CASE("write: another table's entries stay") {
    two t;
    t.fill("old");
    t.writer.client(query("UPDATE other SET v = 'new'"));
    CHECK(t.hit());
    t.writer.server(updated);
    CHECK(t.hit());
}

TEST_CASE("write: a reader that may have seen the new row takes no step back") {
    two t;
    t.fill("old");
    t.writer.client(update);
    // Nothing read from the server since: the old entry is as good as the server's own answer.
    CHECK(t.hit());
    // This may have shown the new row.
    t.reader.client(query("SELECT count(v) FROM kv"));
    t.reader.server(answer("1"));
    (void)t.reader.to_server();
    CHECK(!t.hit());
    t.writer.server(updated);
    CHECK(!t.hit());
    CHECK(t.hit());
}

TEST_CASE("write: in a block it counts from the COMMIT on, and not after a ROLLBACK") {
    two t;
    t.fill("old");
    const auto before = t.w.kv().version.load();
    t.writer.client(query("BEGIN"));
    t.writer.server(completed("BEGIN") + ready('T'));
    t.writer.client(update);
    t.writer.server(completed("UPDATE 1") + ready('T'));
    CHECK(t.w.kv().commits_in_flight.load() == 0);
    CHECK(t.w.kv().version.load() == before);
    CHECK(t.hit());
    SUBCASE("commit") {
        t.writer.client(query("COMMIT"));
        CHECK(t.w.kv().commits_in_flight.load() == 1);
        t.writer.server(completed("COMMIT") + ready());
        CHECK(t.w.kv().version.load() > before);
        CHECK(!t.hit());
    }
    SUBCASE("rollback") {
        t.writer.client(query("ROLLBACK"));
        CHECK(t.w.kv().commits_in_flight.load() == 0);
        t.writer.server(completed("ROLLBACK") + ready());
        CHECK(t.hit());
    }
    SUBCASE("rollback, and a write behind it") {
        t.writer.client(query("ROLLBACK") + update);
        CHECK(t.w.kv().commits_in_flight.load() == 1);
        t.writer.server(completed("ROLLBACK") + ready() + updated);
        CHECK(!t.hit());
    }
    SUBCASE("commit and chain") {
        t.writer.client(query("COMMIT AND CHAIN"));
        t.writer.server(completed("COMMIT") + ready('T'));
        CHECK(t.w.kv().commits_in_flight.load() == 0);
        CHECK(!t.hit());
    }
    SUBCASE("the client goes: the server rolls back") {
        t.writer.client_gone();
        CHECK(t.writer.unsettled.empty());
        CHECK(t.hit());
    }
}

TEST_CASE("write: a pipelined block counts from its first write on") {
    two t;
    const auto block = query("BEGIN") + update + query("COMMIT");
    t.writer.client(block);
    CHECK(show(t.writer.to_server()) == show(block));
    CHECK(t.w.kv().commits_in_flight.load() == 1);
    t.writer.server(completed("BEGIN") + ready('T'));
    t.writer.server(completed("UPDATE 1") + ready('T'));
    CHECK(t.w.kv().commits_in_flight.load() == 1);
    const auto before = t.w.kv().version.load();
    t.writer.server(completed("COMMIT") + ready());
    CHECK(t.w.kv().version.load() > before);
    CHECK(t.w.kv().commits_in_flight.load() == 0);
}

TEST_CASE("write: with the server gone in mid-commit its tables are handed over") {
    for (const bool acknowledged : {false, true}) {
        two t;
        t.fill("old");
        t.writer.client(update);
        if (acknowledged) t.writer.server(completed("UPDATE 1"));
        t.writer.server_gone();
        REQUIRE(t.writer.unsettled.size() == 1);
        CHECK(t.writer.unsettled[0].backend_pid == 77);
        CHECK(t.w.kv().unsettled.load() == 1);
        CHECK(t.w.kv().commits_in_flight.load() == 0);
        CHECK(!t.hit());
        CHECK(!t.hit());
    }
}

TEST_CASE(
    "server: it restarts, or vanishes: nothing is served before the catalogs were read again") {
    for (const auto& last : {failed("57P01", "FATAL"), failed("57P02", "FATAL"), ""s}) {
        CAPTURE(show(last));
        two t;
        t.fill("old");
        t.writer.server(last);
        t.writer.server_gone();
        CHECK(t.writer.catalog_changed);
        CHECK(!t.hit());
        t.w.publish();
        CHECK(t.hit());
    }
}

TEST_CASE("server: a session that it ends alone disturbs nobody") {
    two t;
    t.fill("old");
    t.writer.server(failed("57P05", "FATAL"));  // idle_session_timeout
    t.writer.server_gone();
    CHECK(t.hit());
}

TEST_CASE("server: refused log-ins count only when it says that it is starting") {
    for (const bool starting : {true, false}) {
        two t;
        t.fill("old");
        wired late{t.w, 3U << 20};
        late.client(client_startup());
        late.connected();
        late.server(failed(starting ? "57P03" : "28P01", "FATAL"));
        late.server_gone();
        CHECK(t.hit() != starting);
    }
}

TEST_CASE("write: with the client gone in mid-commit its tables are handed over, settled later") {
    two t;
    t.fill("old");
    t.writer.client(update);
    t.writer.client_gone();
    REQUIRE(t.writer.unsettled.size() == 1);
    CHECK(!t.hit());
    for (auto* table : t.writer.unsettled[0].tables) table->settle();
    t.writer.unsettled.clear();
    CHECK(!t.hit());
    CHECK(t.hit());
}

TEST_CASE("write: DDL makes the catalog unusable until it is read again") {
    two t;
    t.fill("old");
    t.writer.client(query("ALTER TABLE kv ADD COLUMN w int"));
    CHECK(t.w.db().usable_catalog() == nullptr);
    t.writer.server(completed("ALTER TABLE") + ready());
    CHECK(t.writer.catalog_changed);
    CHECK(t.w.db().usable_catalog() == nullptr);
    CHECK(!t.hit());
    t.w.publish();
    CHECK(!t.hit());
    CHECK(t.hit());
}

TEST_CASE("write: a catalog whose reading began before the DDL ended is not usable") {
    two t;
    t.writer.client(query("ALTER TABLE kv ADD COLUMN w int"));
    const auto read_under = t.w.db().wanted();
    t.writer.server(completed("ALTER TABLE") + ready());
    t.w.db().publish(small_catalog(read_under));
    CHECK(t.w.db().usable_catalog() == nullptr);
}

TEST_CASE("write: DDL outdates what was cached even if the catalogs read the same afterwards") {
    two t;
    t.fill("old");
    t.writer.client(query("ALTER TABLE other ENABLE TRIGGER t"));
    t.writer.server(completed("ALTER TABLE") + ready());
    t.w.publish();
    CHECK(!t.hit());
}

TEST_CASE("write: DDL in a block counts from the COMMIT on, and not after a ROLLBACK") {
    for (const bool commits : {true, false}) {
        two t;
        t.fill("old");
        t.writer.client(query("BEGIN"));
        t.writer.server(completed("BEGIN") + ready('T'));
        t.writer.client(query("ALTER TABLE other ADD COLUMN w int"));
        t.writer.server(completed("ALTER TABLE") + ready('T'));
        CHECK(t.hit());
        t.writer.client(query(commits ? "COMMIT" : "ROLLBACK"));
        CHECK(t.hit() != commits);
        t.writer.server(completed(commits ? "COMMIT" : "ROLLBACK") + ready());
        t.w.publish();
        CHECK(t.hit() != commits);
    }
}

TEST_CASE("write: one that waited while a definition changed may have done more than was planned") {
    two t;
    wired definer{t.w, 3U << 20};
    definer.log_in();
    t.writer.client(query("DELETE FROM other"));
    definer.client(query("ALTER TABLE other ENABLE TRIGGER writes_kv"));
    definer.server(completed("ALTER TABLE") + ready());
    t.w.publish();
    t.fill("old");
    CHECK(t.hit());
    t.writer.server(completed("DELETE 1"));
    CHECK(!t.hit());
    t.writer.server(ready());
    definer.client_gone();
}

TEST_CASE("write: a DO block may define anything") {
    two t;
    t.fill("old");
    t.writer.client(query("DO 'x'"));
    CHECK(t.w.db().usable_catalog() == nullptr);
    t.writer.server(completed("DO") + ready());
    CHECK(t.writer.catalog_changed);
    CHECK(t.w.db().usable_catalog() == nullptr);
    t.w.publish();
    CHECK(!t.hit());
    CHECK(t.hit());
}

TEST_CASE("write: Bind of a statement that SQL PREPARE made is what was prepared") {
    two t;
    t.writer.client(query("PREPARE p AS UPDATE kv SET v = $1"));
    t.writer.server(completed("PREPARE") + ready());
    t.fill("old");
    t.writer.client(bind("p", {"new"}) + execute() + sync_now());
    CHECK(t.w.kv().commits_in_flight.load() == 1);
    t.writer.server(bind_complete() + completed("UPDATE 1") + ready());
    CHECK(!t.hit());
    CHECK(t.hit());
    t.writer.client(query("PREPARE q AS SELECT v FROM other"));
    t.writer.server(completed("PREPARE") + ready());
    t.writer.client(bind("q") + execute() + sync_now());
    t.writer.server(bind_complete() + completed("SELECT 0") + ready());
    CHECK(t.hit());
}

TEST_CASE("write: GRANT, TRUNCATE, EXPLAIN ANALYZE, a CTE, EXECUTE: each is one") {
    for (const char* sql :
         {"GRANT SELECT ON kv TO bob", "TRUNCATE kv", "EXPLAIN ANALYZE DELETE FROM kv",
          "WITH d AS (DELETE FROM kv RETURNING v) SELECT v FROM d", "CALL p()", "DO 'x'",
          "SELECT unheard_of()", "EXECUTE unheard_of", "COMMIT PREPARED 'x'", "not even SQL",
          "INSERT INTO kv VALUES (1)", "DELETE FROM kv", "SELECT v INTO new FROM kv"}) {
        CAPTURE(sql);
        two t;
        t.fill("old");
        t.writer.client(query(sql));
        t.writer.server(completed("X") + ready());
        t.w.publish();
        CHECK(!t.hit());
    }
}

TEST_CASE("write: a function call by protocol counts as able to do anything") {
    two t;
    t.fill("old");
    protocol::function_call call;
    call.function_oid = 1;
    t.writer.client(message(call));
    t.writer.server(message(protocol::function_call_response{}) + ready());
    CHECK(!t.hit());
}

TEST_CASE("write: Execute with a row limit and Bind without a new Parse are writes too") {
    two t;
    t.writer.client(parse("w", "UPDATE kv SET v = $1") + sync_now());
    t.writer.server(parse_complete() + ready());
    t.fill("old");
    t.writer.client(bind("w", {"x"}) + execute("", 1) + sync_now());
    t.writer.server(bind_complete() + completed("UPDATE 1") + ready());
    CHECK(!t.hit());
}

TEST_CASE("write: a shared prepared write by SQL EXECUTE") {
    two t;
    t.writer.client(query("PREPARE w AS UPDATE kv SET v = $1"));
    t.writer.server(completed("PREPARE") + ready());
    t.fill("old");
    t.writer.client(query("EXECUTE w('x')"));
    CHECK(t.w.kv().commits_in_flight.load() == 1);
    CHECK(t.w.other().commits_in_flight.load() == 0);
    t.writer.server(updated);
    CHECK(!t.hit());
}

TEST_CASE("write: DROP DATABASE waits until what we hold there is gone") {
    const auto drop = query("DROP DATABASE elsewhere");
    two t;
    t.writer.client(drop);
    CHECK(t.writer.release == "elsewhere");
    CHECK(t.writer.to_server().empty());
    CHECK(t.writer.session().blocked());
    t.writer.database_released();
    CHECK(show(t.writer.to_server()) == show(drop));
    t.writer.server(completed("DROP DATABASE") + ready());
    CHECK(t.writer.settled);
    CHECK(show(t.writer.to_client()) == show(completed("DROP DATABASE") + ready()));
}

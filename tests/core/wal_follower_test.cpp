// Writes that do not pass through the proxy, as the WAL tells of them, and sessions that read the
// same tables meanwhile.
#include "proxy/core/wal_follower.h"

#include <doctest/doctest.h>

#include <string>

#include "protocol/bytes.h"
#include "tests/core/two_sessions.h"

using namespace core_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t xid = 700;

struct stream {
    explicit stream(world& w) : follower{w.db()} {}

    core::wal_follower::progress feed(const std::string& message) {
        core::wal_follower::progress out;
        REQUIRE_FALSE(follower.on_message(message, out));
        return out;
    }
    static std::string message(char type, std::initializer_list<std::uint32_t> words,
                               std::string_view rest = {}) {
        std::string out{type};
        protocol::writer w{out};
        for (const auto word : words) w.u32(word);
        w.raw(rest);
        return out;
    }
    void begin(std::uint32_t number = xid) { feed(message('B', {0, 1, 0, 2, number})); }
    void change(std::uint32_t table, char type = 'U') { feed(message(type, {table})); }
    core::wal_follower::progress commit() {
        std::string body(1, '\0');
        return feed("C" + body + message('\0', {0, 1, 0, 9, 0, 5}).substr(1));
    }
    // One transaction that has changed a row of each.
    core::wal_follower::progress write(std::initializer_list<std::uint32_t> tables,
                                       std::uint32_t number = xid) {
        begin(number);
        for (const auto t : tables) change(t);
        return commit();
    }
    core::wal_follower follower;
};

struct outside {
    world w;
    stream wal{w};
    wired reader{w, 1U << 20};
    outside() { reader.log_in(); }
    ~outside() {
        reader.client_gone();
        wal.follower.abandon();
        CHECK(w.unrest({}) == "");
    }
    bool hit() {
        reader.client(select_kv);
        const bool here = reader.to_server().empty();
        if (!here) reader.server(answer("row"));
        (void)reader.to_client();
        return here;
    }
};

}  // namespace

TEST_CASE("wal: a commit outdates what was cached of its tables, and of nothing else") {
    outside o;
    CHECK(!o.hit());
    CHECK(o.hit());
    const auto other = o.wal.write({other_oid});
    CHECK(other.committed);
    CHECK(other.touched);
    CHECK(other.end == 9);
    CHECK(other.committed_us == 5);
    CHECK(o.hit());
    o.wal.write({kv_oid}, 701);
    o.wal.follower.settle(701);
    CHECK(!o.hit());
    CHECK(o.hit());
}

TEST_CASE("wal: nothing is stored while a commit is in the WAL and not yet to be seen") {
    outside o;
    o.wal.write({kv_oid});
    CHECK(!o.hit());  // the old row: the commit waits for its standby
    CHECK(!o.hit());
    CHECK(!o.wal.follower.settled());
    CHECK(o.wal.follower.unsettled() == std::vector<std::uint32_t>{xid});
    o.wal.follower.settle(xid);
    CHECK(o.wal.follower.settled());
    CHECK(!o.hit());
    CHECK(o.hit());
}

TEST_CASE("wal: a fill that began before the commit could be seen is not stored after it") {
    outside o;
    o.wal.write({kv_oid});
    o.reader.client(select_kv);
    REQUIRE(!o.reader.to_server().empty());
    o.wal.follower.settle(xid);
    o.reader.server(answer("old"));
    (void)o.reader.to_client();
    CHECK(!o.hit());
}

TEST_CASE("wal: a fill that began before the commit came is not stored") {
    outside o;
    o.reader.client(select_kv);
    REQUIRE(!o.reader.to_server().empty());
    o.wal.write({kv_oid});
    o.wal.follower.settle(xid);
    o.reader.server(answer("old"));
    (void)o.reader.to_client();
    CHECK(!o.hit());
}

TEST_CASE("wal: every kind of change counts, a transaction without any does not") {
    outside o;
    std::uint32_t number = 800;
    const auto outdated = [&](auto write) {
        if (!o.hit()) CHECK(o.hit());
        o.wal.begin(++number);
        write();
        o.wal.commit();
        o.wal.follower.settle(number);
        return !o.hit();
    };
    for (const char type : {'I', 'U', 'D'}) CHECK(outdated([&] { o.wal.change(kv_oid, type); }));
    CHECK(outdated([&] {
        o.wal.feed(
            stream::message('T', {2}, "\1" + stream::message('\0', {other_oid, kv_oid}).substr(1)));
    }));
    CHECK_FALSE(outdated([] {}));
    CHECK(o.wal.follower.settled());
    // Of one statement's many rows the same is said again and again.
    CHECK(outdated([&] {
        for (int i = 0; i < 100; ++i) o.wal.change(kv_oid);
        for (int i = 0; i < 100; ++i) o.wal.change(other_oid);
    }));
}

TEST_CASE("wal: a partition's change is its parent's, and an unknown table's may be anybody's") {
    outside o;
    auto& months = o.w.db().table(months_oid);
    auto& whole = o.w.db().whole();
    const auto before = months.version.load(), at_first = whole.version.load();
    o.wal.write({january_oid});
    CHECK(months.version.load() > before);
    CHECK(months.commits_in_flight.load() == 1);
    CHECK(whole.version.load() == at_first);
    o.wal.write({months_oid}, 701);  // TRUNCATE names the parent, too
    CHECK(o.w.db().table(january_oid).commits_in_flight.load() == 1);
    o.wal.write({40000}, 702);
    CHECK(whole.version.load() > at_first);
    o.wal.follower.settle(xid);
    o.wal.follower.settle(701);
    o.wal.follower.settle(702);
    CHECK(months.commits_in_flight.load() == 0);
    CHECK(whole.commits_in_flight.load() == 0);
}

TEST_CASE(
    "wal: a definition that has changed outdates everything until the catalogs are read again") {
    outside o;
    CHECK(!o.hit());
    CHECK(o.hit());
    const auto told = [&](std::string_view flags, std::string_view prefix) {
        o.wal.begin();
        o.wal.feed("M" + std::string{flags} + std::string(8, '\0') + std::string{prefix} +
                   std::string("\0\0\0\0\2{}", 7));
        o.wal.commit();
        o.wal.follower.settle(xid);
    };
    told("\1", "somebody");
    CHECK(o.hit());
    told("\1", "pgsidecar");
    CHECK(o.w.db().usable_catalog() == nullptr);
    CHECK(!o.hit());
    o.w.publish();
    CHECK(!o.hit());
    CHECK(o.hit());
    // Not a part of its transaction: at once.
    o.wal.feed("M" + std::string(9, '\0') + "pgsidecar" + std::string("\0\0\0\0\2{}", 7));
    CHECK(o.w.db().usable_catalog() == nullptr);
    o.w.publish();
    CHECK(!o.hit());
}

TEST_CASE("wal: a table that is described anew has the catalogs read again") {
    outside o;
    const std::string description = stream::message('R', {kv_oid}, "public");
    o.wal.feed(description);
    CHECK(o.w.db().usable_catalog() != nullptr);
    o.wal.feed(description);
    CHECK(o.w.db().usable_catalog() == nullptr);
    // Unless an event trigger would have told of a definition: an ANALYZE describes it, too.
    o.w.publish();
    o.w.db().require({.whom = core::outside_coverage::by::publication,
                      .publication = "pgsidecar",
                      .of_definitions = true});
    o.wal.feed(description);
    CHECK(o.w.db().usable_catalog() != nullptr);
}

TEST_CASE("wal: the end of the stream frees the tables, and what comes is no stream is an error") {
    outside o;
    o.wal.write({kv_oid});
    o.wal.follower.abandon();
    CHECK(o.w.kv().commits_in_flight.load() == 0);
    core::wal_follower::progress out;
    CHECK(o.wal.follower.on_message("Zwhatever", out));
    CHECK(o.wal.follower.on_message("B", out));
}

TEST_CASE("wal: nothing is served or stored while the database is not trusted") {
    outside o;
    CHECK(!o.hit());
    CHECK(o.hit());
    o.w.db().trust_until(o.w.now + 1s);
    CHECK(o.hit());
    o.w.now += 1s;
    CHECK(o.hit());
    o.w.now += 1ms;
    CHECK(!o.hit());
    CHECK(!o.hit());
    o.w.db().trust_until(o.w.now + 1s);
    CHECK(o.hit());  // nothing has moved meanwhile
}

TEST_CASE("wal: only tables that the publication tells of are cached") {
    outside o;
    const auto cached = [&](const char* sql) {
        for (int i = 0; i < 2; ++i) {
            o.reader.client(query(sql));
            const bool here = o.reader.to_server().empty();
            if (!here) o.reader.server(answer("row"));
            (void)o.reader.to_client();
            if (here) return true;
        }
        return false;
    };
    CHECK(cached("SELECT v FROM other"));
    o.w.db().require({.whom = core::outside_coverage::by::publication, .publication = "pgsidecar"});
    CHECK(!cached("SELECT v FROM other"));
    CHECK(cached("SELECT v FROM kv"));
    CHECK(cached("SELECT v FROM months"));
    CHECK(cached("SELECT v FROM january"));
    CHECK(!cached("SELECT kv.v FROM kv, other"));
    o.w.db().require({.whom = core::outside_coverage::by::publication, .publication = "another"});
    CHECK(!cached("SELECT v FROM kv"));
    o.w.db().require({});
    CHECK(cached("SELECT v FROM other"));
}

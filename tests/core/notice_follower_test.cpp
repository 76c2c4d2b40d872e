// What triggers notify of moves versions on; nothing that is not understood goes by.
#include "proxy/core/notice_follower.h"

#include <doctest/doctest.h>

#include "tests/core/world.h"

using namespace core_test;

namespace {

struct listener {
    world w;
    core::notice_follower follower{w.db()};

    std::uint64_t moved(cache::table_state& table, std::string_view message) {
        const auto before = table.version.load();
        follower.on_message(message);
        return table.version.load() - before;
    }
};

}  // namespace

TEST_CASE("notify: each kind of write moves its table on, and no other") {
    listener l;
    for (const char* kind : {"insert", "update", "delete", "truncate"}) {
        const auto message =
            R"({"kind" : ")" + std::string{kind} + R"(", "schema" : "public", "table" : "kv"})";
        const auto other = l.w.other().version.load(), whole = l.w.db().whole().version.load();
        CHECK(l.moved(l.w.kv(), message) == 1);
        CHECK(l.w.other().version.load() == other);
        CHECK(l.w.db().whole().version.load() == whole);
        CHECK(l.w.kv().commits_in_flight.load() == 0);
    }
}

TEST_CASE("notify: a partition's write is its parent's, and the other way round") {
    listener l;
    auto &months = l.w.db().table(months_oid), &january = l.w.db().table(january_oid);
    CHECK(l.moved(months, R"({"kind":"insert","schema":"public","table":"january"})") == 1);
    CHECK(l.moved(january, R"({"kind":"delete","schema":"public","table":"months"})") == 1);
}

TEST_CASE("notify: a table that is not known may be anybody's") {
    listener l;
    CHECK(l.moved(l.w.db().whole(), R"({"kind":"insert","schema":"public","table":"fresh"})") == 1);
    CHECK(l.moved(l.w.db().whole(), R"({"kind":"insert"})") == 1);
    CHECK(l.w.db().usable_catalog() != nullptr);
}

TEST_CASE("notify: a definition, and what is not understood, outdates everything") {
    listener l;
    for (const char* message : {R"({"kind":"ddl","command":"ALTER TABLE","tables":["public.kv"]})",
                                R"({"kind":"new"})", "{}", "[1]", "insert", "", R"({"kind":)"}) {
        CAPTURE(message);
        l.w.publish();
        REQUIRE(l.w.db().usable_catalog() != nullptr);
        CHECK(l.moved(l.w.db().whole(), message) == 1);
        CHECK(l.w.db().usable_catalog() == nullptr);
    }
}

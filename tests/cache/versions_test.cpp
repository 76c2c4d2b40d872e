#include "cache/versions.h"

#include <doctest/doctest.h>

#include <set>

#include "cache/entry.h"

using namespace pgsidecar::cache;

TEST_CASE("versions: same table name in two databases has two states") {
    versions v;
    CHECK(&v.of("a", 1) != &v.of("b", 1));
    CHECK(&v.of("a", 1) != &v.of("a", 2));
    CHECK(&v.of("a", 1) == &v.of("a", 1));
    CHECK(&v.database("a") == &v.of("a", 0));
    CHECK(&v.database("a") != &v.database("b"));
    CHECK(&v.cluster() != &v.database(""));
    CHECK(v.size() == 6);
}

TEST_CASE("versions: addresses stay while thousands of tables are added") {
    versions v;
    std::vector<table_state*> first;
    for (std::uint32_t oid = 0; oid < 100; ++oid) first.push_back(&v.of("db", oid));
    for (std::uint32_t oid = 100; oid < 20'000; ++oid) v.of("db", oid).bump();
    for (std::uint32_t oid = 0; oid < 100; ++oid) {
        REQUIRE(&v.of("db", oid) == first[oid]);
        CHECK(first[oid]->version == 1);
    }
}

TEST_CASE("versions: bump_all reaches every state, shared ones and the cluster included") {
    versions v{3};
    const std::vector<table_state*> all{&v.of("a", 0), &v.of("a", 1),   &v.of("b", 7),
                                        &v.of("c", 9), &v.of("d", 123), &v.cluster()};
    CHECK(v.size() == 3);
    v.bump_all();
    for (const auto* t : all) CHECK(t->version == 2);
}

TEST_CASE("versions: tables created and dropped for ever do not grow memory for ever") {
    versions v{100};
    std::set<const table_state*> distinct;
    for (std::uint32_t oid = 1; oid <= 50'000; ++oid) distinct.insert(&v.of("db", oid));
    CHECK(v.size() == 100);
    CHECK(distinct.size() > 1000);  // spread over the shared ones
    CHECK(distinct.size() <= 100 + 1024);
    // And each keeps its own: a state that moved would lose the bumps made on the other.
    for (std::uint32_t oid = 1; oid <= 200; ++oid) CHECK(&v.of("db", oid) == &v.of("db", oid));
}

TEST_CASE("table_state: each outcome of a commit leaves the right trace") {
    table_state t;
    const auto trace = [&t] {
        return std::vector<std::uint64_t>{t.version, t.commits_in_flight, t.unsettled};
    };
    using row = std::vector<std::uint64_t>;
    t.begin_commit();
    t.begin_commit();
    CHECK(trace() == row{1, 2, 0});
    t.end_commit();
    CHECK(trace() == row{2, 1, 0});
    t.drop_commit();
    CHECK(trace() == row{2, 0, 0});
    t.begin_commit();
    t.lose_commit();
    CHECK(trace() == row{2, 0, 1});
    t.settle();
    CHECK(trace() == row{3, 0, 0});
}

// The rules by which an answer may come from the cache, one trap at a time.
#include "cache/store.h"

#include <doctest/doctest.h>

#include "tests/cache/support.h"

using namespace cache_test;
using namespace std::chrono_literals;

TEST_CASE("store: a hit gives the bytes that were inserted") {
    store s;
    table_state t;
    CHECK(look(s, "q") == lookup::absent);
    REQUIRE(s.insert(filled("q", "rows", {&t}), start));
    lookup why{};
    const entry_ptr hit = s.find("q", hash_key("q"), start, &why);
    REQUIRE(hit);
    CHECK(why == lookup::hit);
    CHECK(hit->body() == "rows");
    CHECK(s.find("q", hash_key("q"), start));  // the reason is optional
    const auto n = s.statistics();
    CHECK(n.hits == 2);
    CHECK(n.misses == 1);
    CHECK(n.insertions == 1);
    CHECK(n.entries == 1);
    CHECK(n.payload == 5);
}

TEST_CASE("store: a hash collision leaks no row to another key") {
    store s;
    const hash128 same{42, 43};
    REQUIRE(s.insert(filled("tenant a", "a's rows"), same, start));
    lookup why{};
    CHECK(!s.find("tenant b", same, start, &why));
    CHECK(why == lookup::absent);
    // Nor does the other key push it out, or answer for it.
    REQUIRE(s.insert(filled("tenant b", "b's rows"), same, start));
    CHECK(s.find("tenant a", same, start)->body() == "a's rows");
    CHECK(s.find("tenant b", same, start)->body() == "b's rows");
    CHECK(!s.find("tenant ", same, start));
    CHECK(s.statistics().replacements == 0);
}

TEST_CASE("store: a hash of zero is a hash like any other") {
    store s;
    CHECK(!s.find("z", {0, 0}, start));
    REQUIRE(s.insert(filled("z", "rows"), {0, 0}, start));
    CHECK(s.find("z", {0, 0}, start)->body() == "rows");
    CHECK(!s.find("y", {0, 0}, start));
}

TEST_CASE("store: read old, write, invalidate, store old") {
    store s;
    table_state t;
    const auto before = observed({&t});  // and now the query is sent, and reads the old row
    t.begin_commit();
    t.end_commit();
    CHECK(!s.insert(make_entry("q", "old row", before, never, 1), start));
    CHECK(look(s, "q") == lookup::absent);
    CHECK(s.statistics().refusals == 1);
    CHECK(s.insert(filled("q", "new row", {&t}), start));
}

TEST_CASE("store: an entry whose fill lost the race after its check is never served") {
    store s;
    table_state t;
    REQUIRE(s.insert(filled("q", "old row", {&t}), start));
    t.bump();
    CHECK(look(s, "q") == lookup::outdated);
    CHECK(look(s, "q") == lookup::absent);  // removed
    CHECK(s.statistics().invalidations == 1);
    CHECK(s.statistics().entries == 0);
}

TEST_CASE("store: nothing is filled while a commit is in flight, on any of the tables") {
    store s;
    table_state quiet;
    table_state written;
    written.begin_commit();
    CHECK(!s.insert(filled("q", "old or new", {&quiet, &written}), start));
    written.drop_commit();  // rolled back: what was read is what is
    CHECK(s.insert(filled("q", "old", {&quiet, &written}), start));
}

TEST_CASE("store: a commit in flight does not outdate what was cached before") {
    store s;
    table_state t;
    REQUIRE(s.insert(filled("q", "old row", {&t}), start));
    t.begin_commit();
    CHECK(look(s, "q") == lookup::hit);
    t.end_commit();
    CHECK(look(s, "q") == lookup::outdated);
}

TEST_CASE("store: a write of unknown outcome hides entries and refuses new ones until it settles") {
    store s;
    table_state t;
    REQUIRE(s.insert(filled("q", "old row", {&t}), start));
    t.begin_commit();
    t.lose_commit();
    CHECK(look(s, "q") == lookup::unsettled);
    CHECK(look(s, "q") == lookup::unsettled);  // kept
    CHECK(s.statistics().entries == 1);
    CHECK(s.statistics().unsettled == 2);
    CHECK(!s.insert(filled("p", "who knows", {&t}), start));
    t.settle();
    CHECK(look(s, "q") == lookup::outdated);
    CHECK(s.insert(filled("q", "new row", {&t}), start));
}

TEST_CASE("store: database and cluster versions count like a table's") {
    store s;
    pgsidecar::cache::versions v;
    auto fill = [&] {
        REQUIRE(
            s.insert(filled("q", "r", {&v.of("db", 5), &v.database("db"), &v.cluster()}), start));
    };
    fill();
    v.of("db", 6).bump();
    v.of("other", 5).bump();
    v.database("other").bump();
    CHECK(look(s, "q") == lookup::hit);
    v.database("db").bump();
    CHECK(look(s, "q") == lookup::outdated);
    fill();
    v.cluster().bump();
    CHECK(look(s, "q") == lookup::outdated);
    fill();
    v.bump_all();
    CHECK(look(s, "q") == lookup::outdated);
}

TEST_CASE("store: an entry lives until its expiry and not at it") {
    store s;
    REQUIRE(s.insert(filled("q", "r", {}, start + 10s), start));
    CHECK(look(s, "q", start + 10s - 1ns) == lookup::hit);
    CHECK(look(s, "q", start + 10s) == lookup::expired);
    CHECK(look(s, "q", start) == lookup::absent);
    CHECK(s.statistics().expirations == 1);
    CHECK(!s.insert(filled("q", "r", {}, start), start));  // born dead
}

TEST_CASE("store: beyond its expiry an entry is found for as long as the caller allows") {
    store s;
    table_state t;
    REQUIRE(s.insert(filled("q", "r", {&t}, start + 10s), start));
    const auto find = [&s](time_point now, std::chrono::milliseconds stale) {
        lookup why{};
        const auto found = s.find("q", hash_key("q"), now, &why, {.serve = stale});
        CHECK(static_cast<bool>(found) == (why == lookup::hit || why == lookup::stale));
        return why;
    };
    CHECK(find(start + 10s - 1ns, 5s) == lookup::hit);
    CHECK(find(start + 10s, 5s) == lookup::stale);
    CHECK(find(start + 15s - 1ns, 5s) == lookup::stale);
    CHECK(s.statistics().hits == 1);
    t.begin_commit();
    t.lose_commit();
    CHECK(find(start + 10s, 5s) == lookup::unsettled);
    t.settle();
    CHECK(find(start + 10s, 5s) == lookup::outdated);
    REQUIRE(s.insert(filled("q", "r", {}, start + 10s), start));
    CHECK(find(start + 15s, 5s) == lookup::expired);
    CHECK(find(start, 5s) == lookup::absent);
}

TEST_CASE("store: what one may serve no more is kept for another") {
    store s;
    REQUIRE(s.insert(filled("q", "r", {}, start + 10s), start));
    const auto find = [&s](time_point now, store::grace expired) {
        lookup why{};
        const auto found = s.find("q", hash_key("q"), now, &why, expired);
        CHECK(static_cast<bool>(found) == (why == lookup::hit || why == lookup::stale));
        return why;
    };
    CHECK(find(start + 12s, {.serve = 2s, .keep = 5s}) == lookup::expired);
    CHECK(s.statistics().expirations == 0);
    CHECK(find(start + 12s, {.serve = 5s}) == lookup::stale);
    CHECK(find(start + 15s, {.serve = 2s, .keep = 5s}) == lookup::expired);
    CHECK(find(start, {}) == lookup::absent);
    CHECK(s.statistics().expirations == 1);
}

TEST_CASE("store: the same key is replaced, and a reader keeps what it holds") {
    store s;
    REQUIRE(s.insert(filled("q", "first"), start));
    const entry_ptr reading = s.find("q", hash_key("q"), start);
    REQUIRE(s.insert(filled("q", "second"), start));
    CHECK(s.find("q", hash_key("q"), start)->body() == "second");
    CHECK(reading->body() == "first");
    CHECK(s.statistics().entries == 1);
    CHECK(s.statistics().replacements == 1);
    s.clear();
    CHECK(reading->body() == "first");
}

TEST_CASE("store: what is too large is refused, to the byte") {
    const entry_ptr probe = filled("q", std::string(1000, 'x'));
    const std::size_t exact = probe->footprint();
    store fits{{.max_memory = 1 << 20, .max_entry_size = exact}};
    store tight{{.max_memory = 1 << 20, .max_entry_size = exact - 1}};
    CHECK(fits.insert(filled("q", std::string(1000, 'x')), start));
    CHECK(!tight.insert(filled("q", std::string(1000, 'x')), start));
    CHECK(!fits.insert(nullptr, start));
}

TEST_CASE("store: an entry larger than the whole memory is refused and leaves the store usable") {
    store s{{.max_memory = 64 << 10, .max_entry_size = 1 << 20}};
    REQUIRE(s.insert(filled("small", "r"), start));
    CHECK(!s.insert(filled("big", std::string(100 << 10, 'x')), start));
    CHECK(s.insert(filled("small again", "r"), start));
    CHECK(s.statistics().bytes <= std::size_t{64} << 10);
}

TEST_CASE("store: no memory at all caches nothing") {
    store s{{.max_memory = 0, .max_entry_size = 0}};
    CHECK(!s.insert(filled("q", "r"), start));
    CHECK(look(s, "q") == lookup::absent);
}

TEST_CASE("store: clear forgets entries and gives their memory back") {
    store s;
    const auto empty = s.statistics().bytes;
    for (int i = 0; i < 1000; ++i) REQUIRE(s.insert(filled(std::to_string(i), "rows"), start));
    CHECK(s.statistics().bytes > empty + std::size_t{1000} * 64);
    s.clear();
    CHECK(s.statistics().entries == 0);
    CHECK(s.statistics().payload == 0);
    CHECK(s.statistics().bytes == empty);
    CHECK(look(s, "7") == lookup::absent);
    CHECK(s.insert(filled("7", "rows"), start));
}

TEST_CASE("store: limits set at run time apply at once") {
    store s{{.max_memory = 8 << 20, .max_entry_size = 64 << 10}};
    for (int i = 0; i < 4000; ++i) {
        REQUIRE(s.insert(filled(std::to_string(i), std::string(1000, 'x')), start));
    }
    s.set_limits(2 << 20, 2000);
    CHECK(s.statistics().bytes <= 2u << 20);
    CHECK(s.statistics().entries > 1300);
    CHECK(!s.insert(filled("q", std::string(4000, 'x')), start));
    s.set_limits(8 << 20, 64 << 10);
    CHECK(s.insert(filled("q", std::string(4000, 'x')), start));
}

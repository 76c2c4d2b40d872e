// S3-FIFO: what stays and what goes.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "cache/ghost.h"
#include "cache/store.h"
#include "tests/cache/support.h"

using namespace cache_test;
using namespace std::chrono_literals;

namespace {

// One shard, so that the order of eviction is known.
constexpr store_options one_shard{.max_memory = 256 << 10, .max_entry_size = 64 << 10, .shards = 1};
const std::string kilobyte(1000, 'x');

void fill(store& s, std::string_view prefix, int count) {
    for (int i = 0; i < count; ++i) {
        REQUIRE(s.insert(filled(std::string{prefix} + std::to_string(i), kilobyte), start));
    }
}

}  // namespace

TEST_CASE("eviction: a scan of keys seen once does not push out what is asked for again") {
    store s{one_shard};
    fill(s, "hot", 50);
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 50; ++i) REQUIRE(look(s, "hot" + std::to_string(i)) == lookup::hit);
    }
    fill(s, "scan", 5000);
    int kept = 0;
    for (int i = 0; i < 50; ++i) kept += look(s, "hot" + std::to_string(i)) == lookup::hit;
    CHECK(kept == 50);
    CHECK(s.statistics().evictions > 4700);
}

TEST_CASE("eviction: first in, first out among keys never asked for") {
    store s{one_shard};
    fill(s, "k", 1000);
    CHECK(look(s, "k0") == lookup::absent);
    CHECK(look(s, "k999") == lookup::hit);
    const auto n = s.statistics();
    CHECK(n.evictions + n.entries == 1000);
    CHECK(n.entries > 200);
}

TEST_CASE("eviction: a key that comes back soon after it was evicted goes to main") {
    store s{one_shard};
    fill(s, "a", 300);
    REQUIRE(look(s, "a0") == lookup::absent);  // evicted, its ghost remains
    REQUIRE(s.insert(filled("a0", kilobyte), start));
    fill(s, "b", 250);  // enough to flush everything that waits in the small queue
    CHECK(look(s, "a0") == lookup::hit);
    CHECK(look(s, "b0") == lookup::absent);
}

TEST_CASE("eviction: a key that comes back long after it was evicted is new") {
    store s{one_shard};
    fill(s, "a", 300);
    fill(s, "scan", 20'000);
    REQUIRE(s.insert(filled("a0", kilobyte), start));
    fill(s, "b", 300);
    CHECK(look(s, "a0") == lookup::absent);
}

TEST_CASE("eviction: a main entry that is outdated returns to main when filled again") {
    store s{one_shard};
    table_state t;
    REQUIRE(s.insert(filled("q", kilobyte, {&t}), start));
    for (int i = 0; i < 3; ++i) REQUIRE(look(s, "q") == lookup::hit);
    fill(s, "a", 400);  // moves q to main
    t.bump();
    REQUIRE(look(s, "q") == lookup::outdated);
    REQUIRE(s.insert(filled("q", kilobyte, {&t}), start));
    fill(s, "b", 240);  // would flush it from the small queue
    CHECK(look(s, "q") == lookup::hit);
}

TEST_CASE("eviction: main entries nobody asks for any more leave in the end") {
    store s{one_shard};
    fill(s, "old", 100);
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 100; ++i) REQUIRE(look(s, "old" + std::to_string(i)) == lookup::hit);
    }
    for (int wave = 0; wave < 40; ++wave) {  // new favourites, wave after wave
        const std::string prefix = "new" + std::to_string(wave) + "_";
        fill(s, prefix, 50);
        for (int i = 0; i < 150; ++i) (void)look(s, prefix + std::to_string(i % 50));
    }
    int kept = 0;
    for (int i = 0; i < 100; ++i) kept += look(s, "old" + std::to_string(i)) == lookup::hit;
    CHECK(kept == 0);
}

TEST_CASE("eviction: outdated and expired entries go before live ones") {
    store s{one_shard};
    table_state t;
    for (int i = 0; i < 60; ++i) {
        REQUIRE(s.insert(filled("outdated" + std::to_string(i), kilobyte, {&t}), start));
        REQUIRE(s.insert(filled("expired" + std::to_string(i), kilobyte, {}, start + 1s), start));
    }
    // All of them much asked for: only being dead can make them go.
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 60; ++i) {
            REQUIRE(look(s, "outdated" + std::to_string(i)) == lookup::hit);
            REQUIRE(look(s, "expired" + std::to_string(i)) == lookup::hit);
        }
    }
    fill(s, "live", 100);
    t.bump();
    const time_point later = start + 2s;
    for (int i = 0; i < 150; ++i) {
        REQUIRE(s.insert(filled("new" + std::to_string(i), kilobyte), later));
    }
    const auto n = s.statistics();
    CHECK(n.invalidations == 60);
    CHECK(n.expirations == 60);
    CHECK(n.evictions <= 45);
}

TEST_CASE("eviction: unsettled entries are not taken for outdated ones") {
    store s{one_shard};
    table_state t;
    REQUIRE(s.insert(filled("q", kilobyte, {&t}), start));
    for (int i = 0; i < 3; ++i) REQUIRE(look(s, "q") == lookup::hit);
    t.begin_commit();
    t.lose_commit();
    fill(s, "a", 400);
    CHECK(look(s, "q") == lookup::unsettled);
    CHECK(s.statistics().invalidations == 0);
}

TEST_CASE("eviction: hit ratio on skewed keys is well above that of plain FIFO") {
    // 20,000 keys asked for with probability ~ 1/rank, room for about 1,000 of them, and a third of
    // the requests are for keys that never return. Of these requests FIFO hits 0.31 and LRU 0.34.
    store s{{.max_memory = 1 << 20, .max_entry_size = 64 << 10, .shards = 1}};
    random_numbers random{7};
    std::uint64_t hits = 0;
    constexpr int requests = 200'000;
    for (int i = 0; i < requests; ++i) {
        const double u = static_cast<double>(random.next() >> 11) * 0x1p-53;
        const auto rank = static_cast<int>(std::pow(20'000.0, u));
        const std::string key =
            random.below(3) == 0 ? "once" + std::to_string(i) : "key" + std::to_string(rank);
        if (look(s, key) == lookup::hit) {
            ++hits;
        } else {
            REQUIRE(s.insert(filled(key, std::string(900, 'x')), start));
        }
    }
    MESSAGE("hit ratio ", static_cast<double>(hits) / requests);
    CHECK(hits > requests * 42 / 100);
}

TEST_CASE("ghost: remembers, forgets when taken, and survives growth") {
    pgsidecar::cache::ghost g;
    g.insert(5);
    CHECK(!g.take(5));  // no memory yet: knows nobody
    g.resize(1000);
    random_numbers random{3};
    std::vector<std::uint32_t> hashes;
    hashes.reserve(200);
    for (int i = 0; i < 200; ++i) hashes.push_back(static_cast<std::uint32_t>(random.next()));
    for (const auto h : hashes) g.insert(h);
    g.resize(8000);
    for (const auto h : hashes) {
        CHECK(g.take(h));
        CHECK(!g.take(h));
    }
}

TEST_CASE("ghost: strangers are rarely taken for ghosts") {
    pgsidecar::cache::ghost g;
    g.resize(10'000);
    random_numbers random{4};
    for (int i = 0; i < 50'000; ++i) g.insert(static_cast<std::uint32_t>(random.next()));
    int mistaken = 0;
    for (int i = 0; i < 100'000; ++i) mistaken += g.take(static_cast<std::uint32_t>(random.next()));
    CHECK(mistaken < 100);
}

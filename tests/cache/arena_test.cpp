// Entries that move while others are read. The arena is reached through a store with one shard.
#include "cache/arena.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/cache/support.h"

using namespace cache_test;

namespace {

constexpr std::size_t max_memory = 1 << 20;  // sixteen segments of 64 kB
constexpr store_options one_shard{
    .max_memory = max_memory, .max_entry_size = 64 << 10, .shards = 1};

std::string body_of(int i, std::size_t size) { return std::string(size, static_cast<char>(i)); }

bool whole(const entry_ptr& e, int i) {
    return e->key() == "k" + std::to_string(i) &&
           e->body().find_first_not_of(static_cast<char>(i)) == std::string_view::npos;
}

}  // namespace

TEST_CASE("arena: entries survive being moved, with key, body, tables, expiry and rows") {
    store s{one_shard};
    table_state kept;
    table_state doomed;
    constexpr int count = 700;
    for (int i = 0; i < count; ++i) {
        // Two of three will be dead: what stays is scattered over every segment.
        const auto dependencies = observed({i % 3 == 0 ? &kept : &doomed});
        REQUIRE(
            s.insert(make_entry("k" + std::to_string(i), body_of(i, 1000), dependencies,
                                start + std::chrono::hours{i + 1}, static_cast<std::uint32_t>(i)),
                     start));
    }
    doomed.bump();
    for (int i = 0; i < count; ++i) {
        const std::string key = "k" + std::to_string(i);
        CHECK(look(s, key) == (i % 3 == 0 ? lookup::hit : lookup::outdated));
    }
    // Fits only if what is dead is made room of, and no living entry has to go for it.
    for (int i = count; i < count + 430; ++i) {
        REQUIRE(s.insert(filled("k" + std::to_string(i), body_of(i, 1000), {&kept}), start));
    }
    CHECK(s.statistics().evictions == 0);
    for (int i = 0; i < count; i += 3) {
        const std::string key = "k" + std::to_string(i);
        const entry_ptr e = s.find(key, hash_key(key), start);
        REQUIRE(e);
        CHECK(whole(e, i));
        CHECK(e->expires() == start + std::chrono::hours{i + 1});
        CHECK(e->rows() == static_cast<std::uint32_t>(i));
        REQUIRE(e->tables().size() == 1);
        CHECK(e->tables()[0] == &kept);
    }
    kept.bump();
    for (int i = 0; i < count; i += 3) CHECK(look(s, "k" + std::to_string(i)) == lookup::outdated);
}

TEST_CASE("arena: an entry being read stays where it is, evicted or not") {
    store s{one_shard};
    std::vector<entry_ptr> reading;
    std::vector<std::string_view> bodies;
    for (int i = 0; i < 5000; ++i) {
        const std::string key = "k" + std::to_string(i);
        REQUIRE(s.insert(filled(key, body_of(i, 300 + static_cast<std::size_t>(i) % 700)), start));
        if (i % 100 == 0) {
            reading.push_back(s.find(key, hash_key(key), start));
            bodies.push_back(reading.back()->body());
        }
    }
    REQUIRE(s.statistics().evictions > 2000);
    for (std::size_t n = 0; n < reading.size(); ++n) {
        CHECK(reading[n]->body().data() == bodies[n].data());
        CHECK(whole(reading[n], static_cast<int>(n) * 100));
    }
}

TEST_CASE("arena: readers that hold something in every segment cannot make the store overflow") {
    store s{one_shard};
    std::vector<entry_ptr> reading;
    for (int i = 0; i < 4000; ++i) {
        const std::string key = "k" + std::to_string(i);
        if (!s.insert(filled(key, body_of(i, 1000)), start)) continue;
        reading.push_back(s.find(key, hash_key(key), start));
        REQUIRE(s.statistics().bytes <= max_memory);
    }
    // Everything is held: what does not fit any more is refused.
    CHECK(s.statistics().refusals > 2500);
    CHECK(reading.size() > 700);
    for (const auto& e : reading) CHECK(whole(e, std::stoi(std::string{e->key().substr(1)})));
    reading.clear();
    // And when they let go, all of the memory is of use again.
    for (int i = 0; i < 900; ++i) {
        REQUIRE(s.insert(filled("new" + std::to_string(i), body_of(i, 1000)), start));
    }
    CHECK(s.statistics().entries > 800);
}

TEST_CASE("arena: gaps in front of a reader's entry are used once it is gone") {
    store s{one_shard};
    std::vector<entry_ptr> reading;
    for (int i = 0; i < 850; ++i) {  // about full, one of ten is being read
        const std::string key = "k" + std::to_string(i);
        REQUIRE(s.insert(filled(key, body_of(i, 1000)), start));
        if (i % 10 == 9) reading.push_back(s.find(key, hash_key(key), start));
    }
    for (int i = 0; i < 3000; ++i) {  // nothing can be moved together across those
        REQUIRE(s.insert(filled("a" + std::to_string(i), body_of(i, 100)), start));
    }
    for (const auto& e : reading) CHECK(whole(e, std::stoi(std::string{e->key().substr(1)})));
    reading.clear();
    for (int i = 0; i < 3000; ++i) {
        REQUIRE(s.insert(filled("b" + std::to_string(i), body_of(i, 1000)), start));
    }
    CHECK(s.statistics().entries > 800);
}

TEST_CASE("arena: small entries make way for large ones, and large ones for small ones") {
    store s{one_shard};
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 2000; ++i) {
            REQUIRE(s.insert(filled("s" + std::to_string(i), body_of(i, 500)), start));
        }
        CHECK(s.statistics().payload > max_memory * 75 / 100);
        for (int i = 0; i < 100; ++i) {
            REQUIRE(s.insert(filled("l" + std::to_string(i), body_of(i, 50'000)), start));
            REQUIRE(s.statistics().bytes <= max_memory);
        }
        CHECK(s.statistics().payload > max_memory * 75 / 100);
    }
}

TEST_CASE("arena: what a session still holds outlives even the store") {
    entry_ptr held;
    {
        store s{one_shard};
        REQUIRE(s.insert(filled("k7", body_of(7, 1000)), start));
        held = s.find("k7", hash_key("k7"), start);
    }
    CHECK(whole(held, 7));
}

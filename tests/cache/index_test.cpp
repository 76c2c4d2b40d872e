#include "cache/index.h"

#include <doctest/doctest.h>

#include <string>
#include <unordered_map>

#include "cache/store.h"
#include "tests/cache/support.h"

using namespace cache_test;

// The index is reached through a store with one shard, whose hashes the test chooses: removal in
// crowded and wrapping neighbourhoods is where open addressing goes wrong.
TEST_CASE("index: agrees with a map through inserts, replacements and removals in crowded slots") {
    constexpr std::uint64_t last = 0xFFFFFFFF;
    const std::uint64_t crowds[] = {0, 1, 2, last / 2, last - 2, last - 1, last};
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        store s{{.max_memory = 64 << 20, .max_entry_size = 1 << 20, .shards = 1}};
        std::unordered_map<std::string, std::string> model;
        table_state tables[64];
        random_numbers random{seed};
        for (int step = 0; step < 3000; ++step) {
            const auto n = random.below(400);
            const std::string key = "k" + std::to_string(n);
            const hash128 hash{crowds[n % std::size(crowds)] << 32, 0};
            if (random.below(3) != 0) {
                const std::string body = std::to_string(step);
                REQUIRE(s.insert(filled(key, body, {&tables[n % 64]}), hash, start));
                model[key] = body;
            } else {
                // Removal: the look-up that finds its table bumped.
                if (random.below(2) == 0 && model.contains(key)) {
                    tables[n % 64].bump();
                    for (std::uint64_t other = n % 64; other < 400; other += 64) {
                        const std::string name = "k" + std::to_string(other);
                        const hash128 h{crowds[other % std::size(crowds)] << 32, 0};
                        REQUIRE(!s.find(name, h, start));
                        model.erase(name);
                    }
                }
            }
            const entry_ptr found = s.find(key, hash, start);
            REQUIRE(static_cast<bool>(found) == model.contains(key));
            if (found) REQUIRE(found->body() == model[key]);
            REQUIRE(s.statistics().entries == model.size());
        }
    }
}

TEST_CASE("index: gives memory back when few entries remain of many") {
    store s{{.max_memory = 32 << 20, .max_entry_size = 4 << 20, .shards = 1}};
    for (int i = 0; i < 100'000; ++i) REQUIRE(s.insert(filled(std::to_string(i), "r"), start));
    for (int i = 0; i < 200; ++i) {
        REQUIRE(s.insert(filled("big" + std::to_string(i), std::string(1 << 20, 'x')), start));
    }
    const auto n = s.statistics();
    REQUIRE(n.entries < 100);
    std::size_t held = 0;
    for (int i = 0; i < 200; ++i) {
        const std::string key = "big" + std::to_string(i);
        if (const entry_ptr e = s.find(key, hash_key(key), start)) held += e->footprint();
    }
    CHECK(n.bytes - held < 300'000);  // one segment, and not the index of a hundred thousand
}

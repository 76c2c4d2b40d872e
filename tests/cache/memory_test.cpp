// The bound in bytes, held against what the system says the process has resident.
#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "cache/store.h"
#include "tests/cache/support.h"

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CAN_MEASURE 1
#else
#define CAN_MEASURE 0
#endif

using namespace cache_test;

namespace {

// Sizes as answers have them: mostly small, some of tens of kilobytes, few of hundreds.
std::size_t mixed_size(random_numbers& random) {
    const auto kind = random.below(100);
    if (kind < 70) return 100 + random.below(2000);
    if (kind < 97) return 2000 + random.below(30'000);
    return 30'000 + random.below(900'000);
}

#if CAN_MEASURE
double resident() {
    std::ifstream statm{"/proc/self/statm"};
    std::size_t total = 0;
    std::size_t pages = 0;
    statm >> total >> pages;
    return static_cast<double>(pages * 4096);
}
#endif

}  // namespace

TEST_CASE("memory: never above max_memory, and close to it, with mixed sizes") {
    for (const std::size_t max_memory : {std::size_t{16} << 20, std::size_t{64} << 20}) {
        store s{{.max_memory = max_memory, .max_entry_size = 1 << 20, .shards = 16}};
        random_numbers random{11};
        const std::string bytes(1 << 20, 'x');
        for (int i = 0; i < 20'000; ++i) {
            const std::string_view body{bytes.data(), mixed_size(random)};
            (void)s.insert(filled("key" + std::to_string(random.below(50'000)), body), start);
            REQUIRE(s.statistics().bytes <= max_memory);
        }
        CHECK(s.statistics().bytes > max_memory * 90 / 100);
        CHECK(s.statistics().evictions > 1000);
    }
}

#if CAN_MEASURE

TEST_CASE("memory: what is resident is what is accounted, within 2 % of max_memory") {
    // The last kind changes between two sizes: blocks of one size leave holes of that size.
    for (const std::size_t kind : {0, 1, 2, 3}) {
        CAPTURE(kind);
        constexpr std::size_t max_memory = 32 << 20;
        const std::string bytes(1 << 20, 'x');
        random_numbers random{12};
        const double before = resident();
        store s{{.max_memory = max_memory, .max_entry_size = 1 << 20, .shards = 16}};
        for (int i = 0; i < 300'000; ++i) {
            std::size_t size = mixed_size(random);
            if (kind == 0 && i % 6 != 0) continue;
            if (kind == 1) size = 50;
            if (kind == 2) size = 1000;
            if (kind == 3) size = i / 75'000 % 2 == 0 ? 200 + random.below(800) : 5000;
            (void)s.insert(filled("key" + std::to_string(i), {bytes.data(), size}), start);
        }
        const auto measured = resident() - before;
        const auto n = s.statistics();
        MESSAGE("entries ", n.entries, ", resident over max_memory ", measured / max_memory,
                ", accounted ", static_cast<double>(n.bytes) / max_memory, ", payload ",
                static_cast<double>(n.payload) / max_memory);
        REQUIRE(n.evictions > 0);
        CHECK(measured < max_memory * 1.02);
        CHECK(n.bytes <= max_memory);
        CHECK(static_cast<double>(n.bytes) > max_memory * 0.93);
    }
}

TEST_CASE("memory: several threads need no more than one does") {
    constexpr std::size_t max_memory = 64 << 20;
    const std::string bytes(1 << 20, 'x');
    const double before = resident();
    store s{{.max_memory = max_memory, .max_entry_size = 1 << 20, .shards = 16}};
    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            random_numbers random{t};
            for (int i = 0; i < 50'000; ++i) {
                const std::size_t size =
                    i < 25'000 ? 200 + random.below(2000) : random.below(20'000);
                (void)s.insert(filled(std::to_string(random.next()), {bytes.data(), size}), start);
            }
        });
    }
    for (auto& t : threads) t.join();
    CHECK(resident() - before < max_memory * 1.04);  // stacks included
}

TEST_CASE("memory: cleared memory returns to the system") {
    const double before = resident();
    store s{{.max_memory = 64 << 20, .max_entry_size = 1 << 20, .shards = 16}};
    for (int i = 0; i < 50'000; ++i) {
        REQUIRE(s.insert(filled(std::to_string(i), std::string(1000, 'x')), start));
    }
    REQUIRE(resident() - before > 50e6);
    s.clear();
    CHECK(resident() - before < 3e6);
}

TEST_CASE("memory: at most 1.15 times the payload with answers of a kilobyte") {
    store s{{.max_memory = 256 << 20, .max_entry_size = 1 << 20, .shards = 16}};
    table_state table;
    table_state database;
    table_state cluster;
    const std::string body(1024, 'x');
    for (int i = 0; i < 50'000; ++i) {
        std::string key = "key" + std::to_string(i);
        key.resize(200, '.');
        REQUIRE(s.insert(filled(key, body, {&table, &database, &cluster}), start));
    }
    const auto n = s.statistics();
    const double ratio = static_cast<double>(n.bytes) / static_cast<double>(n.payload);
    MESSAGE("memory over payload ", ratio);
    CHECK(ratio < 1.15);
}

#endif

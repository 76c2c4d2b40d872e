// The bound in bytes, held against what the allocator says. Alone in its file: mallinfo2 counts the
// whole process, so nothing else may allocate meanwhile.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "cache/store.h"
#include "tests/cache/support.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <malloc.h>
#define CAN_ASK_THE_ALLOCATOR 1
#else
#define CAN_ASK_THE_ALLOCATOR 0
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

#if CAN_ASK_THE_ALLOCATOR

TEST_CASE("memory: what is accounted is what the allocator gave, within 2 %") {
    const auto in_use = [] {
        const struct mallinfo2 m = mallinfo2();
        return m.uordblks + m.hblkhd;
    };
    for (const std::size_t fixed : {std::size_t{0}, std::size_t{50}, std::size_t{1000}}) {
        CAPTURE(fixed);
        constexpr std::size_t max_memory = 64 << 20;
        const std::string bytes(1 << 20, 'x');
        random_numbers random{12};
        const std::size_t before = in_use();
        store s{{.max_memory = max_memory, .max_entry_size = 1 << 20, .shards = 16}};
        const int count = fixed == 50 ? 600'000 : 100'000;
        for (int i = 0; i < count; ++i) {
            const std::size_t size = fixed != 0 ? fixed : mixed_size(random);
            (void)s.insert(filled("key" + std::to_string(i), {bytes.data(), size}), start);
        }
        const auto measured = static_cast<double>(in_use() - before);
        const auto accounted = static_cast<double>(s.statistics().bytes);
        MESSAGE("entries ", s.statistics().entries, ", measured over accounted ",
                measured / accounted, ", over max_memory ", measured / max_memory);
        REQUIRE(s.statistics().evictions > 0);
        CHECK(measured < accounted * 1.02);
        CHECK(measured > accounted * 0.98);
        CHECK(measured < max_memory * 1.02);
        CHECK(measured > max_memory * 0.95);
    }
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

// Many threads on one store, one set of versions and one set of flights. Worth most under
// ThreadSanitizer; the invariants hold anywhere.
#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cache/flights.h"
#include "cache/store.h"
#include "tests/cache/support.h"

using namespace cache_test;
using pgsidecar::cache::flights;
using pgsidecar::cache::versions;

namespace {

constexpr int threads = 4;
#if defined(__SANITIZE_THREAD__)
constexpr int rounds = 20'000;
#else
constexpr int rounds = 40'000;
#endif

template <class F>
void in_threads(int count, F&& body) {
    std::vector<std::thread> all;
    all.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) all.emplace_back([&body, i] { body(i); });
    for (auto& t : all) t.join();
}

// A table whose rows are one number. What a server would do: a commit becomes visible at some
// moment between begin_commit() and end_commit(), and the acknowledgement comes after the latter.
struct model_table {
    std::atomic<std::uint64_t> committed{0};
    std::atomic<std::uint64_t> acknowledged{0};
};

}  // namespace

TEST_CASE("stress: no read after an acknowledged write returns what was there before it") {
    constexpr std::uint32_t table_count = 8;
    store s{{.max_memory = 1 << 20, .max_entry_size = 16 << 10, .shards = 4}};
    versions v;
    model_table server[table_count];
    std::mutex writing[table_count];
    std::atomic<std::uint64_t> stale{0};
    std::atomic<std::uint64_t> hits{0};
    std::atomic<std::uint64_t> backwards{0};

    in_threads(threads, [&](int thread) {
        random_numbers random{static_cast<std::uint64_t>(thread) + 100};
        std::vector<std::uint64_t> seen(table_count);
        for (int i = 0; i < rounds; ++i) {
            const auto n = static_cast<std::uint32_t>(random.below(table_count));
            table_state& table = v.of("db", n + 1);
            if (random.below(20) == 0) {
                const std::lock_guard lock{writing[n]};
                const auto value = server[n].committed.load() + 1;
                table.begin_commit();
                if (random.below(4) == 0) {  // the connection dies; did it commit or not?
                    if (random.below(2) == 0) server[n].committed = value;
                    table.lose_commit();
                    std::this_thread::yield();
                    table.settle();
                } else {
                    server[n].committed = value;
                    table.end_commit();
                }
                server[n].acknowledged = server[n].committed.load();
                continue;
            }
            const std::string key = std::to_string(n) + ":" + std::to_string(random.below(20));
            const hash128 hash = hash_key(key);
            const std::uint64_t floor = server[n].acknowledged;
            if (const entry_ptr e = s.find(key, hash, start)) {
                std::uint64_t value = 0;
                std::memcpy(&value, e->body().data(), sizeof value);
                stale += value < floor;
                // Entries of one table and one version agree, so a reader of the cache alone never
                // steps back.
                backwards += value < seen[n];
                seen[n] = value;
                ++hits;
            } else {
                const auto before = observed({&table, &v.database("db"), &v.cluster()});
                const std::uint64_t value = server[n].committed;
                std::string body(sizeof value + random.below(3000), '\0');
                std::memcpy(body.data(), &value, sizeof value);
                (void)s.insert(make_entry(key, body, before, never, 1), hash, start);
            }
        }
    });
    CHECK(stale == 0);
    CHECK(backwards == 0);
    CHECK(hits > 1000);
    CHECK(s.statistics().bytes <= 1u << 20);
}

TEST_CASE("stress: evicted, replaced and cleared entries stay whole while they are read") {
    store s{{.max_memory = 256 << 10, .max_entry_size = 16 << 10, .shards = 2}};
    versions v{50};  // most tables share
    std::atomic<std::uint64_t> torn{0};
    in_threads(threads, [&](int thread) {
        random_numbers random{static_cast<std::uint64_t>(thread) + 1};
        entry_ptr kept;
        for (int i = 0; i < rounds / 2; ++i) {
            const auto n = random.below(500);
            const std::string key = "key" + std::to_string(n);
            const auto dice = random.below(1000);
            if (dice == 0) s.clear();
            if (dice == 1) v.bump_all();
            if (dice == 2) s.set_limits((100 + random.below(200)) << 10, 16 << 10);
            if (dice == 3) (void)s.statistics();
            if (const entry_ptr e = s.find(key, hash_key(key), start)) {
                torn += e->body().find_first_not_of(e->body().front()) != std::string_view::npos;
                torn += e->key() != key;
                if (random.below(8) == 0) kept = e;
            } else {
                const auto fill = static_cast<char>('a' + random.below(26));
                const auto before = observed({&v.of("db", static_cast<std::uint32_t>(n))});
                const std::string body(1 + random.below(4000), fill);
                (void)s.insert(make_entry(key, body, before, never, 1), start);
            }
            if (kept) torn += kept->body().back() != kept->body().front();
        }
    });
    CHECK(torn == 0);
    CHECK(s.statistics().evictions > 100);
}

TEST_CASE("stress: every flight ends, with one leader at a time and nobody left waiting") {
    flights f;
    constexpr int keys = 4;
    struct mailbox {
        std::mutex mutex;
        std::condition_variable arrived;
        std::map<flights::waiter, bool> letters;  // token -> it leads now
    } post;
    std::atomic<int> leading[keys] = {};
    std::atomic<int> crowded{0};
    std::atomic<int> led{0};
    const auto send = [&post](flights::waiter to, bool leads) {
        const std::lock_guard lock{post.mutex};
        post.letters[to] = leads;
        post.arrived.notify_all();
    };
    in_threads(threads * 2, [&](int thread) {
        random_numbers random{static_cast<std::uint64_t>(thread) + 50};
        for (int i = 0; i < rounds / 20; ++i) {
            const auto token = (std::uint64_t(thread) << 32) + std::uint64_t(i);
            const auto k = random.below(keys);
            const std::string key = "key" + std::to_string(k);
            const hash128 hash = hash_key(key);
            bool leads = f.join(key, hash, token) == flights::role::leader;
            if (!leads) {
                std::unique_lock lock{post.mutex};
                const auto patience = std::chrono::microseconds{random.below(400)};
                const bool told = post.arrived.wait_for(
                    lock, patience, [&] { return post.letters.contains(token); });
                if (told) leads = post.letters[token];
                lock.unlock();
                if (!told) {  // timed out: and perhaps made the leader this very moment
                    if (const auto heir = f.leave(key, hash, token)) send(*heir, true);
                    continue;
                }
                if (!leads) continue;
            }
            crowded += leading[k].fetch_add(1) != 0;
            ++led;
            std::this_thread::yield();
            leading[k].fetch_sub(1);
            if (random.below(3) == 0) {
                if (const auto heir = f.leave(key, hash, token)) send(*heir, true);
            } else {
                for (const auto w : f.finish(key, hash, token)) send(w, false);
            }
        }
    });
    CHECK(crowded == 0);
    CHECK(led > 100);
    CHECK(f.size().flights == 0);
    CHECK(f.size().followers == 0);
}

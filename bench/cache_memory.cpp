// bench_cache_memory: what the store takes of the heap over what it was given, and what a look-up
// and an invalidation cost when it holds a million entries of ten thousand tables, against a
// thousand of ten.
//
// Keys look like the proxy's (an SQL text, session state, a parameter), bodies are about 1 kB.
// Every look-up is of a key that is there, in an order that no prefetcher can guess. Memory is
// asked of two witnesses: the store's own count and the kernel's (the allocator does not see what
// the store maps for itself).
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/support.h"
#include "cache/store.h"

namespace pgsidecar::bench {
namespace {

constexpr std::uint64_t stride = 2654435761;  // prime, so every order visits every entry once
constexpr std::uint64_t invalidations = 1000000;
constexpr std::uint32_t first_oid = 16384;

std::string key_of(std::uint64_t i) {
    std::string key =
        "clinic\x1f"
        "app\x1f"
        "app\x1f\"$user\", public\x1fISO, MDY\x1fUTF8\x1f"
        "SELECT id, drug_name, dosage, status FROM prescriptions WHERE tenant_id = $1 AND id = "
        "$2\x1f";
    key += "pharmacy-" + std::to_string(i % 50) + '\x1f' + std::to_string(i);
    return key;
}

struct outcome {
    cache::store_statistics held;
    double resident = 0;   // bytes, by the kernel
    double lookup_ns = 0;  // hash, find, version check, release
    double insert_ns = 0;
    double invalidate_ns = 0;  // find the table's version, move it on
};

outcome fill_and_ask(std::uint64_t entries, std::uint64_t tables, std::uint64_t lookups,
                     std::size_t body_size) {
    if (entries == 0 || tables == 0) die("no entries, or of no tables, asked for");
    outcome result;
    cache::versions versions;
    const auto table_of = [&](std::uint64_t i) -> cache::table_state& {
        return versions.of("clinic", first_oid + static_cast<std::uint32_t>(i % tables));
    };
    const auto now = cache::time_point{} + std::chrono::hours(1);
    const auto expires = now + std::chrono::hours(1);
    const std::string body(body_size, 'r');

    const auto resident_before = rss_of(getpid());
    cache::store store({.max_memory = std::size_t{8} << 30});
    auto began = now_ns();
    for (std::uint64_t i = 0; i < entries; ++i) {
        const cache::dependency dependencies[] = {cache::observe(table_of(i)),
                                                  cache::observe(versions.database("clinic")),
                                                  cache::observe(versions.cluster())};
        if (!store.insert(cache::make_entry(key_of(i), body, dependencies, expires, 1), now)) {
            die("the store refused an entry");
        }
    }
    result.insert_ns = static_cast<double>(now_ns() - began) / static_cast<double>(entries);
    result.resident = static_cast<double>(rss_of(getpid())) - static_cast<double>(resident_before);

    // The keys are built before the clock starts: building them is not the store's work.
    constexpr std::uint64_t batch = 4096;
    std::vector<std::string> keys(batch);
    std::uint64_t spent = 0;
    std::uint64_t next = 0;
    std::uint64_t found = 0;
    for (std::uint64_t done = 0; done < lookups; done += batch) {
        for (auto& key : keys) key = key_of(next = (next + stride) % entries);
        began = now_ns();
        for (const auto& key : keys) {
            const auto e = store.find(key, cache::hash_key(key), now);
            if (e) found += e->body().size() == body_size ? 1 : 0;
        }
        spent += now_ns() - began;
    }
    const auto asked = (lookups + batch - 1) / batch * batch;
    if (found != asked) die("entries are missing: " + std::to_string(asked - found));
    result.lookup_ns = static_cast<double>(spent) / static_cast<double>(asked);
    result.held = store.statistics();

    began = now_ns();
    for (std::uint64_t i = 0, table = 0; i < invalidations; ++i)
        table_of(table = (table + stride) % tables).bump();
    result.invalidate_ns =
        static_cast<double>(now_ns() - began) / static_cast<double>(invalidations);
    if (store.find(key_of(0), cache::hash_key(key_of(0)), now)) die("an entry is served still");
    return result;
}

void print(std::uint64_t entries, const outcome& o) {
    const auto payload = static_cast<double>(o.held.payload);
    std::printf("{\"entries\":%" PRIu64
                ",\"payload_bytes\":%.0f,\"counted_over_payload\":%.3f,"
                "\"resident_over_payload\":%.3f,"
                "\"lookup_ns\":%.0f,\"insert_ns\":%.0f,\"invalidate_ns\":%.0f}\n",
                entries, payload, static_cast<double>(o.held.bytes) / payload, o.resident / payload,
                o.lookup_ns, o.insert_ns, o.invalidate_ns);
}

int run(int argc, char** argv) {
    std::uint64_t entries = 1000000;
    std::uint64_t tables = 10000;
    std::uint64_t lookups = 2000000;
    std::size_t body_size = 900;
    CLI::App app{
        "Fills the store, looks everything up and outdates it; prints a line of JSON for 1,000 "
        "entries of 10 tables and one for many."};
    app.add_option("--entries", entries, "How many is many")->check(CLI::Range(1000, 100000000));
    app.add_option("--tables", tables, "Of how many tables many entries are")
        ->check(CLI::Range(10, 1000000));
    app.add_option("--lookups", lookups, "Look-ups to time");
    app.add_option("--body", body_size, "Bytes of one answer");
    CLI11_PARSE(app, argc, argv);
    const auto few = fill_and_ask(1000, 10, lookups, body_size);
    const auto many = fill_and_ask(entries, tables, lookups, body_size);
    print(1000, few);
    print(entries, many);
    std::printf("{\"lookup_many_over_few\":%.2f,\"invalidate_many_over_few\":%.2f}\n",
                many.lookup_ns / few.lookup_ns, many.invalidate_ns / few.invalidate_ns);
    return 0;
}

}  // namespace
}  // namespace pgsidecar::bench

int main(int argc, char** argv) { return pgsidecar::bench::run(argc, argv); }

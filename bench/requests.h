// The requests of the benchmark, as bytes, built once before anything is measured.
//
// A request_set owns one contiguous run of bytes: request i is the slice [offsets[i],
// offsets[i+1]), so a pipelined batch of neighbours is one slice and one send(). The first `wrap`
// requests are repeated at the end, so that a batch may start at any key. The shapes are those of
// the field's drivers: a simple Query with literals (psql, libpq's PQexec),
// Parse/Bind/Describe/Execute/Sync (Npgsql unprepared), and Bind/Execute/Sync on a named statement
// (Npgsql prepared), the last two with binary parameters and results. PostgreSQL
// documentation, 55.7 "Message Formats".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgsidecar::bench {

enum class shape { simple, extended, prepared };
enum class query { point, list };

struct workload {
    shape how = shape::simple;
    query what = query::point;
    std::uint64_t keys = 1000;     // distinct keys, used in turn
    std::uint64_t first = 0;       // the first key: two runs with disjoint ranges share no key
    std::uint64_t rows = 1000000;  // rows of the table `prescriptions`
    // Not 0: the point select asks prescriptions_0, prescriptions_1 ... in turn, of `rows` rows
    // each.
    std::uint64_t tables = 0;
    std::size_t wrap = 1;  // the deepest pipeline that will be asked for
};

struct request_set {
    std::string bytes;
    std::vector<std::size_t> offsets;  // keys + wrap + 1 of them
    std::string prepare;               // sent once per connection; empty unless prepared
    std::uint32_t prepares = 0;        // its ReadyForQuery

    [[nodiscard]] std::string_view slice(std::uint64_t key, std::size_t count) const {
        return std::string_view(bytes).substr(offsets[key], offsets[key + count] - offsets[key]);
    }
};

[[nodiscard]] request_set build(const workload& w);

// How many rows every reply to this query has: the load generator checks it.
[[nodiscard]] std::uint64_t rows_per_reply(query what);

}  // namespace pgsidecar::bench

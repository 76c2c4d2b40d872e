// What a run of `pgsidecar validate` has found, and whether that is good enough. Each client
// tallies for itself; merge() adds up. Values; proxy/io/validate fills them, validation_report.h
// shows them.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proxy/ops/answer.h"
#include "proxy/ops/timings.h"
#include "proxy/ops/workload.h"

namespace pgsidecar::ops {

struct finding {
    difference what;
    std::size_t parameters = 0;  // which set of the statement's, from 1; 0: it has none
};

// Of one statement, over all its sets of parameters.
struct statement_tally {
    timings blue, green_first, green;   // green: from the second time on
    std::uint64_t pairs = 0;            // answers of green that were compared with one of blue
    std::uint64_t different = 0;        // ... and were another one, or failed on green alone
    std::uint64_t failed = 0;           // pairs that failed on blue: they prove nothing
    std::uint64_t unstable = 0;         // times that blue's answer was not the one before
    std::uint64_t rows = 0, bytes = 0;  // of the largest answer
    std::optional<finding> first;       // difference
    std::string sqlstate;               // of the first failure on blue
    void merge(const statement_tally& other);
};

struct validation_limits {
    std::chrono::milliseconds target{0};  // of p95 through green, over the workload; 0 = none
    double max_slowdown_percent = 50;     // of p50 and p95, green's repeats against blue
    unsigned max_unstable = 0;            // statements
};
// By so much green may be slower whatever the percentage says: the way through another process.
inline constexpr std::chrono::microseconds slowdown_grace{1000};

struct cache_use {
    std::uint64_t hits = 0, calls = 0;  // of all clients of the proxy, while the run went on
};

struct side {
    std::string address, database, user, version;
};

struct validation {
    std::vector<workload_statement> statements;
    std::vector<statement_tally> tallies;  // in step with them
    std::vector<skipped_statement> skipped;
    std::vector<std::string> broken;  // why the run could not be made, or not to its end
    bool interrupted = false;         // by whoever had it run
    std::optional<cache_use> cache;
    side blue, green;
    unsigned clients = 1, rounds = 0;
    std::chrono::milliseconds duration{0};  // asked for; 0: rounds count
    std::uint64_t seed = 0;
    bool allow_writes = false;
    std::string source, program, started;  // where the workload is from; our version; ISO 8601
    std::chrono::milliseconds took{0};

    [[nodiscard]] statement_tally all() const;  // without `first` and `sqlstate`
    [[nodiscard]] std::size_t unstable_statements() const noexcept;
};

struct verdict {
    bool passed = false;
    std::vector<std::string> reasons;  // why not
};
[[nodiscard]] verdict judge(const validation& run, const validation_limits& limits);

// By how much green's repeats are slower than blue, in percent; negative: faster.
[[nodiscard]] double slowdown_percent(const statement_tally& tally, double quantile) noexcept;

// "0.412": milliseconds.
[[nodiscard]] std::string in_ms(timings::duration d);

}  // namespace pgsidecar::ops

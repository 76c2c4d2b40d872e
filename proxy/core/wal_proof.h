// What following the server's write-ahead log has shown of one database: with that, answers that
// other processes have cached can be judged (tier_guard.h).
#pragma once
#include <chrono>
#include <cstdint>

namespace pgsidecar::core {

// A position in the write-ahead log. Comparable within one history: a server and its timeline.
struct wal_place {
    std::uint64_t history = 0;  // 0: no log is followed
    std::uint64_t position = 0;
};

struct wal_proof {
    std::uint64_t history = 0;
    // Of this stream, unbroken: every commit behind `began` and up to `reached` has moved on what
    // it outdates; what is before `began` was visible when the stream began.
    std::uint64_t began = 0, reached = 0;
    // All that was visible at `at` is before `proven`, and the stream has passed that.
    std::uint64_t proven = 0;
    std::chrono::steady_clock::time_point at{};
};

}  // namespace pgsidecar::core

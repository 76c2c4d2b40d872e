// The run itself of `pgsidecar validate`: asks blue and green in turn, compares, tallies. First
// each statement once (blue, green, and blue again: does its own answer hold still?), then in
// rounds, each client in an order of its own, blue and green taking turns in who is asked first. A
// client is one thread with one connection to each side; what it keeps is three answers at a time.
#pragma once
#include <chrono>
#include <iosfwd>

#include "proxy/io/validate_connection.h"
#include "proxy/ops/validation.h"

namespace pgsidecar::io {

struct run_options {
    connection_options blue, green;
    std::chrono::milliseconds timeout{60'000};  // of one answer
    bool unprepared = false;
    bool terminal = false;  // progress in one line, each second; else none
};

// Fills tallies, sides, broken, interrupted and took of `run`, by its statements, clients, rounds,
// duration and seed; ends early, and says so in it, when an interruption comes. Progress goes to
// `progress`.
void run_validation(ops::validation& run, const run_options& options, std::ostream& progress);

}  // namespace pgsidecar::io

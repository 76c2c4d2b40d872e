// What the tier that several sidecars share has done since the start, as values. Numbers only grow;
// keys and entries are counted, not questions.
#pragma once
#include <cstdint>
#include <string_view>

namespace pgsidecar::ops {

struct tier_totals {
    std::string_view provider{};  // empty: there is none, and all below is 0
    bool up = false;              // asked now; false: it is not there, or too slow
    std::uint64_t asked = 0;
    std::uint64_t found = 0;    // unharmed, for that very key
    std::uint64_t used = 0;     // of these: served
    std::uint64_t refused = 0;  // of these: could not be shown to be valid here
    std::uint64_t harmed = 0;   // damaged, foreign, or of another key
    std::uint64_t late = 0;     // questions that waited in vain
    std::uint64_t outages = 0;  // how often it was given up
    std::uint64_t puts = 0;     // entries that it has taken
    std::uint64_t put_bytes = 0;
    std::uint64_t put_refused = 0;   // by the tier: full, or not allowed
    std::uint64_t dropped = 0;       // before they were sent: too many were waiting
    std::uint64_t queued_bytes = 0;  // now
};

}  // namespace pgsidecar::ops

// The seeded simulation, a few seeds of it; core_simulation runs as many as wanted.
// That it can fail was seen by breaking the code, one thing at a time:
//   bump_marks() without its bump                                 "stale"
//   versions observed when the answer has come, not before        "stale"
//   saw_writes_ never set by note_sight_of_writes()               "a step back"
//   one more at the gate than may run                             "3 requests run at a time"
//   every seventh of the admitted not woken                       "no place"
//   the limit named that is full, not the one that was met        "no place within"
//   a setting left out by send_restore()                          "given back, and"
//   one path, or one TimeZone, for all in what shared statements are read by
//                                                                 "a parameter of type"
//   given back while a transaction is open                        "in the middle of"
#include <doctest/doctest.h>

#include "tests/core/simulation.h"

using namespace core_test;

namespace {

struct totals {
    std::map<policy::reason, std::size_t> outcomes;
    std::map<policy::limit_kind, std::uint64_t> met;
    std::size_t asked = 0, unsettled = 0, kept = 0, unconfirmed = 0;
    std::size_t attached = 0, lines = 0, unfit = 0, refused = 0;
};

totals run(std::uint64_t seeds, bool limits, bool pooled = false) {
    totals all;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        CAPTURE(seed);
        const auto report =
            simulation{{.seed = seed, .steps = 500, .limits = limits, .pooled = pooled}}.run();
        REQUIRE(report.violation == "");
        all.unsettled += report.unsettled;
        all.attached += report.attached;
        all.lines += report.lines;
        all.unfit += report.unfit;
        all.refused += report.refused;
        all.kept += report.kept;
        all.unconfirmed += report.unconfirmed;
        for (const auto& [why, count] : report.outcomes) {
            all.outcomes[why] += count;
            all.asked += count;
        }
        for (std::size_t k = 0; k < report.met.size(); ++k)
            all.met[static_cast<policy::limit_kind>(k)] += report.met[k];
    }
    return all;
}

}  // namespace

TEST_CASE("simulation: no stale, foreign or uncommitted row, whatever fails and when") {
    auto all = run(40, false);
    // Or it proves nothing.
    using enum policy::reason;
    CHECK(all.outcomes[hit] + all.outcomes[coalesced] > all.asked / 10);
    CHECK(all.outcomes[write_in_flight] > 0);
    CHECK(all.unsettled > 0);
}

TEST_CASE("simulation: the same with limits, and nothing runs or is kept that they refused") {
    auto all = run(24, true);
    CHECK(all.outcomes[policy::reason::hit] > all.asked / 50);
    CHECK(all.kept > 0);
    CHECK(all.unconfirmed > 0);
    using enum policy::limit_kind;
    for (const auto kind : {query_timeout, max_result_rows, max_result_bytes, queries_per_minute,
                            max_concurrent, max_concurrent_requests, default_page_size}) {
        CAPTURE(to_string(kind));
        CHECK(all.met[kind] > 0);
    }
}

TEST_CASE("simulation: sessions that share server connections have each what is its own") {
    auto all = run(30, false, true);
    CHECK(all.outcomes[policy::reason::hit] > all.asked / 100);
    CHECK(all.attached > 3 * all.lines / 2);
    CHECK(all.unfit > 0);
    CHECK(all.refused > 0);
}

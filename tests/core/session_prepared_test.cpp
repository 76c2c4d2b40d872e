// Prepared statements in pipelines of which a part fails.
#include <doctest/doctest.h>

#include "tests/core/script.h"

using namespace core_test;

namespace {

const auto parse_s = parse("s", "SELECT v FROM kv");
const auto run_s = bind("s") + execute() + sync_now();
// The cache never answers it.
const auto portion = bind("s") + execute("", 1) + sync_now();
const auto one_row = row_of("x") + completed("SELECT 1") + ready();
const auto portion_answer = bind_complete() + row_of("x") + completed("SELECT 1") + ready();

// The client has the statement, the server does not.
script answered_here() {
    script s;
    s.passes(parse("t", "SELECT v FROM kv") + bind("t") + execute() + sync_now(),
             parse_complete() + bind_complete() + one_row);
    s.hits(parse_s + run_s, parse_complete() + bind_complete() + one_row);
    return s;
}

}  // namespace

TEST_CASE("prepared: of two Parses that were skipped, neither is believed in") {
    const auto bad = parse("", "SELECT nonsense") + parse_s + parse("s", "SELECT v FROM other");
    answered_here()
        .passes(close_statement("s") + sync_now(), close_complete() + ready())
        .passes(bad + sync_now(), failed("42703") + ready())
        .passes(run_s, failed("26000") + ready())
        .play_everyhow();
}

TEST_CASE(
    "prepared: a statement made good in a batch that may fail is made good for the next, too") {
    const auto again = close_statement("s") + parse_s;
    const auto made_good = close_complete() + parse_complete() + portion_answer;
    const auto error = failed("57014") + ready();
    for (const bool first_fails : {false, true}) {
        for (const bool second_fails : {false, true}) {
            CAPTURE(first_fails);
            CAPTURE(second_fails);
            auto s = answered_here();
            s.client(portion + portion, {.server = parse_s + portion + again + portion});
            s.server(first_fails ? error : parse_complete() + portion_answer,
                     {.client = first_fails ? error : portion_answer});
            s.server(second_fails ? error : made_good,
                     {.client = second_fails ? error : portion_answer});
            const bool gone = first_fails && second_fails;
            s.client(portion, {.server = (gone ? parse_s : std::string{}) + portion});
            s.server((gone ? parse_complete() : std::string{}) + portion_answer,
                     {.client = portion_answer});
            s.play_everyhow();
        }
    }
}

TEST_CASE(
    "prepared: a statement closed behind the batch that made it good is not made good again") {
    const auto closed = close_statement("s") + sync_now();
    auto s = answered_here();
    s.client(portion + closed + portion, {.server = parse_s + portion + closed + portion});
    s.server(parse_complete() + portion_answer, {.client = portion_answer});
    const auto rest = close_complete() + ready() + failed("26000") + ready();
    s.server(rest, {.client = rest});
    s.play_everyhow();
}

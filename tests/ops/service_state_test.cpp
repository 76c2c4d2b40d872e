// What a Windows service reports, without Windows.
#include "proxy/ops/service_state.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace pgsidecar::ops;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds minute{60'000};

}  // namespace

TEST_CASE("service state: a start, a stop, and the numbers that the service manager may see") {
    service_state s{minute};
    CHECK(s.now().phase == service_phase::start_pending);
    CHECK(s.now().checkpoint == 1);
    CHECK(s.now().wait_hint > milliseconds::zero());
    CHECK(!s.now().takes_controls);

    const auto on = s.running();
    REQUIRE(on);
    // Checkpoint and hint are zero outside of the pending states: Windows says so.
    CHECK(*on == service_report{service_phase::running, true, 0, {}, 0});
    CHECK(!s.running());

    const auto stopping = s.stop(minute);
    REQUIRE(stopping);
    CHECK(stopping->phase == service_phase::stop_pending);
    CHECK(!stopping->takes_controls);
    CHECK(stopping->checkpoint == 1);
    CHECK(stopping->wait_hint > service_state::step);
    CHECK(!s.stop(minute));  // preshutdown after stop

    const auto gone = s.ended(0);
    REQUIRE(gone);
    CHECK(*gone == service_report{service_phase::stopped, false, 0, {}, 0});
}

TEST_CASE("service state: progress counts up while something is under way, and not for ever") {
    service_state s{milliseconds{2'500}};
    std::vector<std::uint32_t> seen;
    while (const auto report = s.progress(service_state::step)) seen.push_back(report->checkpoint);
    CHECK(seen == std::vector<std::uint32_t>{2, 3, 4});
    CHECK(s.now().phase == service_phase::start_pending);

    REQUIRE(s.running());
    CHECK(!s.progress(service_state::step));
    REQUIRE(s.stop(milliseconds{1'500}));
    CHECK(s.progress(service_state::step)->checkpoint == 2);
    CHECK(s.progress(service_state::step)->checkpoint == 3);
    CHECK(!s.progress(service_state::step));
}

TEST_CASE("service state: a start that fails ends with its code, and nothing follows") {
    service_state s{minute};
    const auto gone = s.ended(2);
    REQUIRE(gone);
    CHECK(gone->phase == service_phase::stopped);
    CHECK(gone->exit_code == 2);
    CHECK(!s.running());
    CHECK(!s.stop(minute));
    CHECK(!s.progress(service_state::step));
    CHECK(!s.ended(0));
    CHECK(s.now().exit_code == 2);
}

TEST_CASE("service state: told to stop while it still starts") {
    service_state s{minute};
    REQUIRE(s.stop(minute));
    CHECK(!s.running());  // too late
    CHECK(s.ended(0)->phase == service_phase::stopped);
}

TEST_CASE("service command line: each word comes back as it was") {
    static const struct {
        const char* word;
        const char* quoted;
    } rows[] = {
        {"plain", "plain"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"C:\\dir\\", "C:\\dir\\"},
        {"C:\\my dir\\", "\"C:\\my dir\\\\\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"a\\\"b", "\"a\\\\\\\"b\""},
    };
    for (const auto& row : rows) {
        CAPTURE(row.word);
        CHECK(quoted_argument(row.word) == row.quoted);
    }
    CHECK(service_command_line({"C:\\pgsidecar.exe", "service", "run", "--name", "a b"}) ==
          "\"C:\\pgsidecar.exe\" service run --name \"a b\"");
    CHECK(service_command_line({"C:\\Program Files\\p.exe"}) == "\"C:\\Program Files\\p.exe\"");
}

TEST_CASE("service names: what Windows takes, and what is safe in a path and an account") {
    CHECK(bad_service_name("pgsidecar").empty());
    CHECK(bad_service_name("pgsidecar-2_b.c").empty());
    CHECK(!bad_service_name("").empty());
    CHECK(!bad_service_name("a/b").empty());
    CHECK(!bad_service_name("a\\b").empty());
    CHECK(!bad_service_name("a b").empty());
    CHECK(!bad_service_name(std::string(81, 'a')).empty());
}

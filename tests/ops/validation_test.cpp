#include "proxy/ops/validation.h"

#include <doctest/doctest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "proxy/ops/validation_report.h"

using namespace pgsidecar;
using namespace std::chrono_literals;
using ops::validation;
using lines = std::vector<std::string>;
namespace json = boost::json;

namespace {

// Two statements, ten pairs each: blue takes 10 ms, green 20 ms at first and then 2 ms.
validation good() {
    validation run;
    for (const auto* name : {"page", ""}) {
        ops::workload_statement s;
        s.sql = "SELECT 'zz91q'";
        s.normalized = "SELECT $1";
        s.name = name;
        s.line = 3;
        run.statements.push_back(s);
        ops::statement_tally t;
        t.pairs = 10;
        t.rows = 2;
        for (int i = 0; i < 10; ++i) t.blue.add(10ms);
        t.green_first.add(20ms);
        for (int i = 0; i < 9; ++i) t.green.add(2ms);
        run.tallies.push_back(t);
    }
    run.blue = {"127.0.0.1:5432", "clinic", "app", "15.1"};
    run.green = {"127.0.0.1:6432", "clinic", "app", "15.1"};
    run.rounds = 9;
    run.took = 1234ms;
    return run;
}

lines reasons(const validation& run, const ops::validation_limits& limits = {100ms, 50, 0}) {
    const auto result = ops::judge(run, limits);
    CHECK(result.passed == result.reasons.empty());
    return result.reasons;
}

}  // namespace

TEST_CASE("timings: quantiles are exact, or a hundredth too high") {
    ops::timings t;
    CHECK(t.quantile(0.5) == 0us);
    for (int i = 1; i <= 100; ++i) t.add(std::chrono::microseconds{i});
    CHECK(t.quantile(0.5) == 50us);
    CHECK(t.quantile(0.95) == 95us);
    CHECK(t.quantile(1) == 100us);
    CHECK(t.quantile(0) == 1us);
    for (const auto us : {127, 128, 255, 256, 1000, 123'456, 98'765'432}) {
        CAPTURE(us);
        ops::timings one;
        one.add(std::chrono::microseconds{us});
        const auto got = one.quantile(0.5).count();
        CHECK(got >= us);
        CHECK(static_cast<double>(got) <= us * (1 + 1.0 / 128));
        if (us < 128) CHECK(got == us);
    }
    ops::timings both = t;
    both.merge(t);
    CHECK(both.count() == 200);
    CHECK(both.quantile(0.95) == 95us);
}

TEST_CASE("verdict: each limit by itself") {
    CHECK(reasons(good()).empty());
    CHECK(reasons(good(), {0ms, 50, 0}).empty());
    CHECK(reasons(good(), {19ms, 50, 0}) ==
          lines{"p95 through green is 20.095 ms, the target is 19 ms"});
    auto run = good();
    run.tallies[1].different = 3;
    CHECK(reasons(run) == lines{"3 of 20 answers of green are not blue's, of 1 statement"});
    run = good();
    run.tallies[0].unstable = 5;
    CHECK(reasons(run) == lines{"the answers of 1 statement changed on blue itself; --max-unstable "
                                "allows 0"});
    CHECK(reasons(run, {100ms, 50, 1}).empty());
    run = good();
    run.tallies[0].failed = 10;
    CHECK(reasons(run) == lines{"1 statement failed on blue, which proves nothing about green"});
    run = good();
    run.broken = {"green: cannot connect: refused"};
    CHECK(reasons(run) == run.broken);
    run.interrupted = true;
    CHECK(reasons(run) == lines{"interrupted: this is what was done until then", run.broken[0]});
    run = good();
    run.tallies.assign(2, {});
    CHECK(reasons(run) == lines{"nothing was compared"});
}

TEST_CASE("verdict: green may be slower by a percentage, and by a millisecond in any case") {
    const auto slower = [](std::chrono::microseconds blue, std::chrono::microseconds green) {
        auto run = good();
        for (auto& t : run.tallies) {
            t.blue = t.green = {};
            t.blue.add(blue);
            t.green.add(green);
        }
        return reasons(run).size();
    };
    CHECK(slower(100us, 900us) == 0);
    CHECK(slower(100us, 1300us) == 2);
    CHECK(slower(10ms, 14ms) == 0);
    CHECK(slower(10ms, 17ms) == 2);
    auto tail = good();  // p50 as before, p95 far above
    for (auto& t : tail.tallies) t.green.add(90ms);
    REQUIRE(reasons(tail).size() == 1);
    CHECK(reasons(tail)[0] ==
          "p95 through green is 797 % above blue's; --max-slowdown allows 50 %");
}

TEST_CASE("report: both hold what was found, and no value") {
    auto run = good();
    run.tallies[0].different = 2;
    run.tallies[0].first = {{"value", "row 3, column 2 (name): 5 bytes on blue, 6 on green", 3, 2},
                            1};
    run.tallies[1].failed = 4;
    run.tallies[1].sqlstate = "42P01";
    run.skipped = {{"SELECT $1 FROM x", "it needs values"}};
    run.cache = ops::cache_use{30, 40};
    const ops::validation_limits limits{100ms, 50, 0};
    const auto result = ops::judge(run, limits);
    const auto text = ops::text_report(run, limits, result);
    const auto raw = ops::json_report(run, limits, result);
    CHECK(raw.find("zz91q") == std::string::npos);
    CHECK(text.find("zz91q") == std::string::npos);
    for (const auto* word :
         {"pgsidecar validate: FAIL\n", "2 of 20 answers", "row 3, column 2 (name)",
          "params line 1", "line 3: page", "SQLSTATE 42P01", "SELECT $1 FROM x", "it needs values",
          "75.0 % of 40 statements were hits", "127.0.0.1:6432 clinic as app",
          "compared as sets"}) {
        CAPTURE(word);
        CHECK(text.find(word) != std::string::npos);
    }
    const auto r = json::parse(raw).as_object();
    CHECK(r.at("report_version").as_int64() == 1);
    CHECK_FALSE(r.at("passed").as_bool());
    CHECK(r.at("reasons").as_array().size() == 2);
    CHECK(r.at("seconds").as_double() == doctest::Approx(1.234));
    CHECK(r.at("totals").at("pairs").to_number<int>() == 20);
    CHECK(r.at("totals").at("green").at("count").to_number<int>() == 18);
    CHECK(r.at("totals").at("slowdown_p50_percent").to_number<double>() < -70);
    CHECK(r.at("cache").at("hit_ratio").as_double() == doctest::Approx(0.75));
    CHECK(r.at("limits").at("target_ms").to_number<int>() == 100);
    const auto& first = r.at("statements").as_array().at(0);
    CHECK(first.at("name").as_string() == "page");
    CHECK(first.at("query").as_string() == "SELECT $1");
    CHECK(first.at("first_difference").at("row").to_number<int>() == 3);
    CHECK(first.at("first_difference").at("kind").as_string() == "value");
    const auto& second = r.at("statements").as_array().at(1);
    CHECK(second.at("name").is_null());
    CHECK(second.at("first_difference").is_null());
    CHECK(second.at("sqlstate").as_string() == "42P01");
    CHECK(r.at("skipped").as_array().at(0).at("why").as_string() == "it needs values");
}

TEST_CASE("report: long texts and lists are cut, in whole characters") {
    auto run = good();
    run.statements[1].normalized = std::string(59, 'x') + "\u00e9" + std::string(50, 'y');
    for (int i = 0; i < 40; ++i) run.skipped.push_back({"SELECT x", "because"});
    const ops::validation_limits limits{100ms, 50, 0};
    const auto text = ops::text_report(run, limits, ops::judge(run, limits));
    CHECK(text.find(std::string(59, 'x') + "...") != std::string::npos);
    CHECK(text.find("\u00e9") == std::string::npos);
    CHECK(text.find("  and 20 more\n") != std::string::npos);
    CHECK(text.find("PASS") != std::string::npos);
}

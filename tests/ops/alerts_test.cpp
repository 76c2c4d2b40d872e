// Alerts: when they fire and clear, and how little is said.
#include "proxy/ops/alerts.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

using namespace pgsidecar;
using namespace std::chrono_literals;

namespace {

using lines = std::vector<std::string>;

constexpr ops::alert_rules rules{.target = 100ms,
                                 .window = 60s,
                                 .windows = 2,
                                 .min_statements = 10,
                                 .repeat_interval = 10min,
                                 .max_tenants = 3};

// What the workers would have counted, one window after the other.
class day {
  public:
    explicit day(ops::alert_rules r) : watch_{r} { (void)watch_.look(now_); }

    day& runs(const std::string& tenant, std::chrono::milliseconds each, int times = 20) {
        auto& totals = now_.tenants[tenant];
        totals.tier = "premium";
        for (int i = 0; i < times; ++i)
            totals.statements.times[static_cast<std::size_t>(ops::outcome::miss)].add(each);
        return *this;
    }
    day& forgets(const std::string& tenant) {
        now_.tenants.erase(tenant);
        return *this;
    }
    // The window ends; what is said of it.
    lines ends(std::chrono::seconds length = 60s) {
        now_.taken += length;
        report = watch_.look(now_);
        lines out;
        for (const auto& a : report.named)
            out.push_back((a.what == ops::alert::state::fired ? "fired " : "cleared ") + a.tenant);
        return out;
    }
    lines window(const std::string& tenant, std::chrono::milliseconds each, int times = 20) {
        return runs(tenant, each, times).ends();
    }
    day& set_clock_back() {
        now_.taken -= 1h;
        return *this;
    }
    ops::alert_report report;
    ops::alert_watch watch_;

  private:
    ops::observations now_;
};

const lines nothing{};
const lines fired{"fired a"}, cleared{"cleared a"};

}  // namespace

TEST_CASE("alerts: one fires after so many windows in a row, and says what it saw") {
    day d{rules};
    CHECK(d.window("a", 200ms) == nothing);
    CHECK(d.window("a", 50ms) == nothing);  // not in a row
    CHECK(d.window("a", 200ms) == nothing);
    CHECK(d.window("a", 200ms) == fired);
    REQUIRE(d.report.named.size() == 1);
    const auto& a = d.report.named.front();
    CHECK(a.tier == "premium");
    CHECK(a.statements == 20);
    CHECK(a.target == 100ms);
    CHECK(a.p95 >= 200ms);
    CHECK(a.p95 <= 250ms);
    CHECK(d.report.alerting == 1);
}

TEST_CASE("alerts: of a window its own statements count, and their 95th percentile") {
    day d{rules};
    d.runs("a", 1ms, 100'000);
    CHECK(d.ends() == nothing);
    CHECK(d.window("a", 200ms) == nothing);
    CHECK(d.window("a", 200ms) == fired);  // the first window weighs nothing
    day few{rules};
    for (int i = 0; i < 5; ++i) CHECK(few.runs("a", 1ms, 96).runs("a", 900ms, 4).ends() == nothing);
    CHECK(few.runs("a", 1ms, 94).runs("a", 900ms, 6).ends() == nothing);
    CHECK(few.runs("a", 1ms, 94).runs("a", 900ms, 6).ends() == fired);
}

TEST_CASE("alerts: between nine tenths and the target nothing changes") {
    day d{rules};
    for (int i = 0; i < 5; ++i) CHECK(d.window("a", 92ms) == nothing);
    CHECK(d.window("a", 200ms) == nothing);
    CHECK(d.window("a", 200ms) == fired);
    // 80 ms lies in the bucket that ends at 81.9 ms; 85 ms in one that ends above 90.
    for (int i = 0; i < 5; ++i) CHECK(d.window("a", 85ms) == nothing);
    CHECK(d.report.alerting == 1);
    CHECK(d.window("a", 80ms) == cleared);
    CHECK(d.report.alerting == 0);
    CHECK(d.window("a", 80ms) == nothing);
}

TEST_CASE("alerts: one that stays is told again after the interval") {
    day d{rules};
    lines said;
    for (int minute = 0; minute < 22; ++minute)
        for (const auto& line : d.window("a", 200ms)) said.push_back(std::to_string(minute) + line);
    CHECK(said == lines{"1fired a", "11fired a", "21fired a"});
}

TEST_CASE("alerts: one that goes up and down is told of once in an interval") {
    auto quick = rules;
    quick.windows = 1;
    day d{quick};
    lines said;
    for (int minute = 0; minute < 20; ++minute)
        for (const auto& line : d.window("a", minute % 2 == 0 ? 200ms : 10ms))
            said.push_back(std::to_string(minute) + line);
    CHECK(said == lines{"0fired a", "1cleared a", "10fired a", "11cleared a"});
}

TEST_CASE("alerts: an interval of nothing tells each change, and no more") {
    auto each = rules;
    each.repeat_interval = 0s;
    each.windows = 1;
    day d{each};
    CHECK(d.window("a", 200ms) == fired);
    CHECK(d.window("a", 200ms) == nothing);
    CHECK(d.window("a", 10ms) == cleared);
    CHECK(d.window("a", 200ms) == fired);
}

TEST_CASE("alerts: too few statements say nothing, and silence clears") {
    day d{rules};
    for (int i = 0; i < 5; ++i) CHECK(d.window("a", 200ms, 9) == nothing);
    d.window("a", 200ms);
    CHECK(d.window("a", 200ms) == fired);
    CHECK(d.ends() == nothing);
    CHECK(d.ends() == cleared);
}

TEST_CASE("alerts: a tenant that is forgotten clears, and counts from nothing when it is back") {
    day d{rules};
    d.runs("a", 200ms, 1000).ends();
    CHECK(d.window("a", 200ms) == fired);
    CHECK(d.forgets("a").ends() == nothing);
    CHECK(d.ends() == cleared);
    day back{rules};
    back.runs("a", 1ms, 1000).ends();
    back.forgets("a").runs("a", 1ms, 12);  // within one window: fewer than before
    CHECK(back.ends() == nothing);
    CHECK(back.forgets("a").window("a", 200ms, 11) == nothing);
    CHECK(back.window("a", 200ms, 10) == lines{"fired a"});
}

TEST_CASE("alerts: who made room for others is nobody") {
    day d{rules};
    for (int i = 0; i < 5; ++i) CHECK(d.window(std::string{ops::other_name}, 900ms) == nothing);
}

TEST_CASE("alerts: many at once are a few names and a number") {
    day d{rules};
    const auto all = [&](std::chrono::milliseconds each) {
        for (int t = 0; t < 50; ++t)
            d.runs("t" + std::to_string(t), each * (t == 31 ? 4 : t == 7 ? 2 : 1));
        return d.ends();
    };
    all(200ms);
    const auto said = all(200ms);
    REQUIRE(said.size() == 3);
    CHECK(said[0] == "fired t31");
    CHECK(said[1] == "fired t7");
    CHECK(d.report.more_fired == 47);
    CHECK(d.report.alerting == 50);
    for (int i = 0; i < 5; ++i) CHECK(all(200ms) == nothing);  // those not named were told of, too
    CHECK(all(1ms).size() == 3);
    CHECK(d.report.more_cleared == 47);
    CHECK(d.report.more_fired == 0);
}

TEST_CASE("alerts: a window ends with the sample that is nearest to it") {
    day d{rules};
    d.runs("a", 200ms);
    for (int i = 0; i < 5; ++i) CHECK(d.ends(10s) == nothing);
    d.ends(9s);
    d.runs("a", 200ms);
    for (int i = 0; i < 5; ++i) CHECK(d.ends(10s) == nothing);
    CHECK(d.ends(10s) == fired);
}

TEST_CASE("alerts: a clock that is set back begins a window anew") {
    day d{rules};
    d.window("a", 200ms);
    CHECK(d.set_clock_back().window("a", 200ms) == nothing);
    CHECK(d.window("a", 200ms) == fired);
}

TEST_CASE("alerts: without a target nobody is told, and one that is given begins then") {
    auto none = rules;
    none.target = 0ms;
    day d{none};
    for (int i = 0; i < 5; ++i) CHECK(d.window("a", 900ms) == nothing);
    d.watch_.set(rules);
    CHECK(d.window("a", 900ms) == nothing);  // with its end the first one begins
    CHECK(d.window("a", 900ms) == nothing);
    CHECK(d.window("a", 900ms) == fired);
}

TEST_CASE("alerts: another target counts for the window under way, from nothing") {
    day d{rules};
    CHECK(d.window("a", 200ms) == nothing);
    auto lower = rules, higher = rules;
    lower.target = 50ms;
    higher.target = 400ms;
    d.watch_.set(higher);
    for (int i = 0; i < 3; ++i) CHECK(d.window("a", 200ms) == nothing);
    d.watch_.set(rules);
    CHECK(d.window("a", 200ms) == nothing);
    d.watch_.set(lower);
    CHECK(d.window("a", 70ms) == nothing);  // over the one and over the other are not two windows
    CHECK(d.window("a", 70ms) == fired);
    CHECK(d.report.named.front().target == 50ms);
    d.watch_.set(rules);
    CHECK(d.window("a", 70ms) == cleared);
    CHECK(d.report.named.front().target == 100ms);
}

TEST_CASE("alerts: new settings neither lose nor repeat what is alerting") {
    day d{rules};
    d.window("a", 200ms);
    CHECK(d.window("a", 200ms) == fired);
    auto other = rules;
    lines said;
    for (int minute = 1; minute < 10; ++minute) {
        other.target = std::chrono::milliseconds{minute % 2 == 0 ? 100 : 150};
        other.windows = minute % 3 == 0 ? 2 : 3;
        other.min_statements = minute % 2 == 0 ? 10 : 15;
        d.watch_.set(other);
        for (const auto& line : d.window("a", 200ms)) said.push_back(line);
        CHECK(d.report.alerting == 1);
    }
    CHECK(said == nothing);
    d.watch_.set(rules);
    CHECK(d.window("a", 200ms) == fired);  // as its interval has it
    auto narrow = rules;
    narrow.max_tenants = 1;
    d.watch_.set(narrow);
    CHECK(d.window("a", 80ms) == cleared);
}

TEST_CASE("alerts: when there is no target any more, what was told of clears, once") {
    day d{rules};
    for (int i = 0; i < 2; ++i) d.runs("a", 200ms).runs("b", 1ms).ends();
    CHECK(d.report.alerting == 1);
    d.runs("b", 200ms).runs("a", 200ms).ends();
    auto none = rules;
    none.target = 0ms;
    d.watch_.set(none);
    CHECK(d.ends(10s) == cleared);  // and nobody is told of b
    CHECK(d.report.alerting == 0);
    CHECK(d.ends(10s) == nothing);
    d.watch_.set(rules);
    CHECK(d.ends(10s) == nothing);
    CHECK(d.window("a", 200ms) == nothing);
    CHECK(d.window("a", 200ms) == fired);
}

TEST_CASE("alerts: their texts") {
    ops::alert a{.tenant = "cl\"i\nnic\\", .tier = "premium", .p95 = 250'499us, .target = 100ms};
    a.statements = 42;
    CHECK(ops::to_line(a) ==
          "alert fired: tenant=cl\"i\\x0anic\\ tier=premium p95=250.5ms target=100.0ms "
          "statements=42");
    const std::string json = R"({"state":"fired","tenant":"cl\"i\u000anic\\","tier":"premium",)"
                             R"("p95_ms":250.5,"target_ms":100.0,"statements":42})";
    CHECK(ops::to_json(a) == json);
    ops::alert_report report{.named = {a, a}, .more_fired = 3, .alerting = 5};
    CHECK(ops::to_json(report) == "{\"alerts\":[" + json + "," + json +
                                      "],\"more_fired\":3,\"more_cleared\":0,\"alerting\":5}");
}

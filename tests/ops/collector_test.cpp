#include "proxy/ops/collector.h"

#include <doctest/doctest.h>

#include <string>

#include "policy/analyze.h"
#include "proxy/ops/history.h"

namespace {

using namespace pgsidecar;
using ops::outcome;
using std::chrono::milliseconds;

struct fixture {
    cache::versions versions;
    core::databases databases{versions};
    core::decider decide{std::make_shared<policy::cache_rules>(), {}};
    std::shared_ptr<const std::string> type = std::make_shared<std::string>("prescriptions");
    ops::collector counted;
    const cache::time_point start{std::chrono::hours{1}};

    std::shared_ptr<const policy::tenant> tenant(const std::string& name) {
        return std::make_shared<policy::tenant>(
            name, std::make_shared<policy::tier>(policy::tier{.name = "premium"}));
    }
    core::measurement one(const std::string& sql, policy::reason why) {
        return {.tenant = tenant("clinic-1"),
                .type = type,
                .text = decide.text(sql),
                .where = &databases.of("clinic"),
                .since = start,
                .rows = 2,
                .bytes = 50,
                .why = why,
                .by_rule = true,
                .alone = why == policy::reason::hit};
    }
    const ops::query_totals& query(const std::string& text) {
        for (const auto& [id, q] : counted.totals().queries)
            if (q.text == text) return q;
        throw std::runtime_error("no statement " + text);
    }
    bool has_row(const std::string& text) {
        for (const auto& [id, q] : counted.totals().queries)
            if (q.text == text) return true;
        return false;
    }
};

TEST_CASE_FIXTURE(fixture, "collector: statements that differ in literals are one, and show none") {
    counted.add(one("select a from t where b = 'secret'", policy::reason::miss),
                start + milliseconds{10});
    counted.add(one("select a from t where b = 'other'", policy::reason::hit),
                start + milliseconds{1});
    CHECK(counted.totals().queries.size() == 1);
    const auto& q = counted.totals().queries.begin()->second;
    CHECK(q.text == policy::normalize("select a from t where b = 'secret'"));
    CHECK(q.text.find("secret") == std::string::npos);
    CHECK(q.database == "clinic");
    CHECK(q.rule == "prescriptions");
    CHECK(q.last_reason == policy::reason::hit);
    CHECK(q.statements.calls() == 2);
    CHECK(q.statements.rows == 4);
    CHECK(q.statements.bytes == 100);
    CHECK(q.statements.hit_ratio() == doctest::Approx(0.5));
    CHECK(q.statements.saved() == milliseconds{9});
}

TEST_CASE_FIXTURE(fixture, "collector: tenant, tier, database and outcome each have their sum") {
    counted.add(one("select 1", policy::reason::hit), start + milliseconds{1});
    counted.add(one("select 1", policy::reason::in_transaction), start + milliseconds{2});
    auto failed = one("select 1", policy::reason::miss);
    failed.failed = true;
    counted.add(failed, start + milliseconds{3});
    counted.add(core::transaction_end{&databases.of("clinic"), start}, start + milliseconds{7});
    const auto& t = counted.totals().tenants.at("clinic-1");
    CHECK(t.tier == "premium");
    for (const auto* totals : {&t.statements, &counted.totals().tiers.at("premium")}) {
        CHECK(totals->count(outcome::hit) == 1);
        CHECK(totals->count(outcome::bypass) == 1);
        CHECK(totals->count(outcome::failed) == 1);
        CHECK(totals->count(outcome::miss) == 0);
        CHECK(totals->all().total() == milliseconds{6});
    }
    const auto& d = counted.totals().databases.at("clinic");
    CHECK(d.queries == 3);
    CHECK(d.query_time == milliseconds{6});
    CHECK(d.transactions == 2);  // the hit is one of its own
    CHECK(d.transaction_time == milliseconds{8});
}

TEST_CASE_FIXTURE(fixture, "collector: the same text in two databases is two") {
    counted.add(one("select 1", policy::reason::hit), start);
    auto other = one("select 1", policy::reason::hit);
    other.where = &databases.of("archive");
    counted.add(other, start);
    counted.add(one("select 1", policy::reason::hit), start);
    REQUIRE(counted.totals().queries.size() == 2);
    std::map<std::string, std::uint64_t> calls;
    for (const auto& [id, q] : counted.totals().queries) calls[q.database] = q.statements.calls();
    CHECK(calls == std::map<std::string, std::uint64_t>{{"archive", 1}, {"clinic", 2}});
}

TEST_CASE_FIXTURE(fixture, "collector: too many statements are counted together, none is lost") {
    const auto kept = one("select kept from t", policy::reason::hit);
    for (int i = 0; i < 10; ++i) counted.add(kept, start);
    constexpr auto many = ops::collector::most_queries * 2;
    for (std::size_t i = 0; i < many; ++i)
        counted.add(one("select a" + std::to_string(i) + " from t", policy::reason::miss), start);
    CHECK(counted.totals().queries.size() <= ops::collector::most_queries + 1);
    std::uint64_t calls = 0;
    for (const auto& [id, q] : counted.totals().queries) calls += q.statements.calls();
    CHECK(calls == many + 10);
    CHECK(query(policy::normalize("select kept from t")).statements.calls() == 10);
    CHECK(query(std::string{ops::other_name}).statements.calls() > 0);
}

TEST_CASE_FIXTURE(fixture, "collector: rows change hands now and then, not with every statement") {
    const auto at = [&](int s) { return start + std::chrono::seconds{s}; };
    const auto ask = [&](const std::string& name, int seconds) {
        for (std::size_t i = 0; i < ops::collector::most_queries; ++i)
            counted.add(one("select " + name + std::to_string(i) + " from t", policy::reason::hit),
                        at(seconds));
    };
    ask("a", 0);
    ask("b", 0);
    const auto late = one("select late from t", policy::reason::hit);
    const auto text = policy::normalize(late.text->sql);
    counted.add(late, at(9));
    CHECK_FALSE(has_row(text));
    CHECK(has_row(std::string{ops::other_name}));
    // Nobody new comes: what has no row is looked at again all the same.
    counted.add(late, at(10));
    CHECK(query(text).statements.calls() == 1);
    counted.add(late, at(11));
    CHECK(query(text).statements.calls() == 2);
}

TEST_CASE_FIXTURE(fixture, "collector: too many tenants are counted together, none is lost") {
    auto m = one("select 1", policy::reason::hit);
    constexpr auto many = ops::collector::most_tenants + 500;
    for (std::size_t i = 0; i < many; ++i) {
        m.tenant = tenant("t" + std::to_string(i));
        counted.add(m, start);
    }
    CHECK(counted.totals().tenants.size() <= ops::collector::most_tenants + 1);
    std::uint64_t calls = 0;
    for (const auto& [name, t] : counted.totals().tenants) calls += t.statements.calls();
    CHECK(calls == many);
}

TEST_CASE_FIXTURE(fixture, "collector: a long text is cut between its characters") {
    std::string sql = "select ";
    for (int i = 0; i < 3000; ++i) sql += "\"\xc3\xa4\",";
    counted.add(one(sql + "1", policy::reason::miss), start);
    const auto& text = counted.totals().queries.begin()->second.text;
    CHECK(text.size() <= ops::collector::most_text + 3);
    CHECK(text.ends_with("..."));
    const auto last = static_cast<unsigned char>(text[text.size() - 4]);
    CHECK((last < 0x80 || (last & 0xc0U) == 0x80U));  // no leading byte stands alone
}

TEST_CASE_FIXTURE(fixture,
                  "observations: workers' copies add up, and a summary has no statements") {
    counted.add(one("select 1", policy::reason::hit), start + milliseconds{4});
    counted.count(policy::reason::hit);
    auto sum = counted.totals();
    sum.merge(counted.totals());
    CHECK(sum.queries.begin()->second.statements.calls() == 2);
    CHECK(sum.tenants.at("clinic-1").statements.calls() == 2);
    CHECK(sum.databases.at("clinic").queries == 2);
    CHECK(sum.reasons[static_cast<std::size_t>(policy::reason::hit)] == 2);
    CHECK(sum.all().calls() == 2);
    const auto summary = counted.summary();
    CHECK(summary.queries.empty());
    CHECK(summary.tenants.size() == 1);
    CHECK(summary.all().calls() == 1);
}

TEST_CASE_FIXTURE(fixture, "history: each sample is what came since the one before, for an hour") {
    ops::history h;
    auto now = counted.totals();
    now.taken = std::chrono::system_clock::time_point{std::chrono::hours{100}};
    h.add(now);
    CHECK(h.samples().empty());
    for (std::size_t i = 0; i < ops::history::most_samples + 3; ++i) {
        counted.add(one("select 1", policy::reason::hit), start + milliseconds{1});
        now = counted.totals();
        now.taken = std::chrono::system_clock::time_point{std::chrono::hours{100}} +
                    ops::history::interval * (i + 1);
        h.add(now);
    }
    CHECK(h.samples().size() == ops::history::most_samples);
    for (const auto& s : h.samples()) {
        CHECK(s.statements.calls() == 1);
        CHECK(s.length == ops::history::interval);
    }
}

}  // namespace

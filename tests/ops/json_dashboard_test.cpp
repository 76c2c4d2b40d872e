#include "proxy/ops/json_dashboard.h"

#include <doctest/doctest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "proxy/ops/json_health.h"
#include "proxy/ops/readable.h"
#include "tests/ops/observed.h"

using namespace pgsidecar;
namespace json = boost::json;

namespace {

json::value page_of(const ops::observations& seen, const ops::history& hour = {}) {
    return json::parse(ops::dashboard_json(seen, hour, observed::state()));
}

std::string text_at(const json::value& v, const char* pointer) {
    return std::string{v.at_pointer(pointer).as_string()};
}
double number_at(const json::value& v, const char* pointer) {
    return v.at_pointer(pointer).to_number<double>();
}

}  // namespace

TEST_CASE("totals, bounds and tables are the observations'") {
    const auto page = page_of(observed::load());
    CHECK(text_at(page, "/version") == "1.2.3");
    CHECK(number_at(page, "/totals/statements") == 106);
    CHECK(number_at(page, "/totals/hits") == 90);
    CHECK(number_at(page, "/totals/hit_ratio") == doctest::Approx(0.9));
    CHECK(number_at(page, "/totals/saved_us") == 90 * 1960);
    CHECK(number_at(page, "/cache/bytes") == 1 << 20);
    CHECK(number_at(page, "/cache/max_bytes") == 256 << 20);
    CHECK(number_at(page, "/clients/connected") == 4);
    CHECK(number_at(page, "/metrics/dropped") == 8);
    CHECK(text_at(page, "/reasons/0/reason") == "hit");
    CHECK(number_at(page, "/reasons/2/count") == 6);
    CHECK(number_at(page, "/limits_met/queries_per_minute") == 3);
    CHECK(text_at(page, "/checks/1/status") == "absent");
    CHECK(number_at(page, "/now") - number_at(page, "/started") == 3'600'000);
}

TEST_CASE("statements stand by the time they took, with what they are kept under") {
    const auto page = page_of(observed::load());
    REQUIRE(page.at("queries").as_array().size() == 2);
    CHECK(text_at(page, "/queries/0/text") == "SELECT * FROM prescriptions WHERE id = $1");
    CHECK(text_at(page, "/queries/0/rule") == "prescriptions");
    CHECK(text_at(page, "/queries/0/reason") == "hit");
    CHECK(number_at(page, "/queries/0/time_us") == 90 * 40 + 10 * 2000);
    CHECK(text_at(page, "/queries/1/reason") == "bypass:not_a_select");
    CHECK(page.at_pointer("/queries/1/hit_ratio").is_null());
}

TEST_CASE("tenants stand by how near they are to a limit") {
    auto seen = observed::load();
    observed::add(seen, "busy", "default", ops::outcome::miss, 500, observed::microseconds{10});
    auto state = observed::state();
    ops::tenant_usage idle;
    idle.name = "never seen";
    state.tenants.push_back(idle);
    const auto page = json::parse(ops::dashboard_json(seen, {}, state));
    REQUIRE(page.at("tenants").as_array().size() == 3);
    CHECK(text_at(page, "/tenants/0/tenant") == "clinic-7");
    CHECK(number_at(page, "/tenants/0/share") == doctest::Approx(0.85));
    CHECK(number_at(page, "/tenants/0/limits_met/queries_per_minute") == 3);
    CHECK(number_at(page, "/tenants/0/statements") == 100);
    CHECK(text_at(page, "/tenants/1/tenant") == "busy");
    CHECK(text_at(page, "/tenants/2/tenant") == "small");
}

TEST_CASE("the last hour: one number for each sample, none where there is nothing to say") {
    ops::history hour;
    auto seen = observed::load();
    hour.add(seen);
    seen.taken += std::chrono::seconds{10};
    hour.add(seen);  // nothing new
    observed::add(seen, "clinic-7", "premium", ops::outcome::hit, 3, observed::microseconds{40});
    observed::add(seen, "clinic-7", "premium", ops::outcome::miss, 1, observed::microseconds{900});
    seen.taken += std::chrono::seconds{10};
    seen.cache.bytes = 77;
    hour.add(seen);
    const auto page = page_of(seen, hour);
    const auto& series = page.at("series").as_object();
    for (const auto& [name, column] : series) {
        CAPTURE(std::string{name});
        CHECK(column.as_array().size() == 2);
    }
    CHECK(number_at(page, "/series/at/1") == 1'700'003'620'000.0);
    CHECK(number_at(page, "/series/length_ms/1") == 10'000);
    CHECK(number_at(page, "/series/hits/0") == 0);
    CHECK(page.at_pointer("/series/hit_ratio/0").is_null());
    CHECK(page.at_pointer("/series/p95_us/0").is_null());
    CHECK(number_at(page, "/series/hits/1") == 3);
    CHECK(number_at(page, "/series/hit_ratio/1") == doctest::Approx(0.75));
    CHECK(number_at(page, "/series/p50_us/1") == 47);
    CHECK(number_at(page, "/series/cache_bytes/1") == 77);
    CHECK(number_at(page, "/hour/statements") == 4);
    CHECK(number_at(page, "/hour/seconds") == 20);
}

TEST_CASE("more statements and tenants than a page should hold: the first ones") {
    ops::observations seen;
    for (unsigned i = 0; i < 200; ++i) {
        observed::add(seen, "t" + std::to_string(i), "default", ops::outcome::miss, 1,
                      observed::microseconds{10});
        seen.queries[i].text = "q" + std::to_string(i);
        observed::add(seen.queries[i].statements, ops::outcome::miss, 1,
                      observed::microseconds{1000 + i});
    }
    const auto page = page_of(seen);
    CHECK(page.at("queries").as_array().size() == ops::dashboard_queries);
    CHECK(text_at(page, "/queries/0/text") == "q199");
    CHECK(page.at("tenants").as_array().size() == ops::dashboard_tenants);
}

TEST_CASE("text from outside stays UTF-8 and bounded, and reads as what it is") {
    ops::observations seen;
    seen.queries[1].text = "SELECT '\xc3\xa4\xff' </script>\"\n" + std::string(5000, 'x');
    observed::add(seen.queries[1].statements, ops::outcome::miss, 1, observed::microseconds{10});
    const auto page = page_of(seen);
    const auto text = text_at(page, "/queries/0/text");
    CHECK(text.substr(0, 27) == "SELECT '\xc3\xa4?' </script>\" xxx");
    CHECK(text.size() == 2003);
    CHECK(ops::readable("a\x01z\x7f") == "a?z?");
    CHECK(ops::readable("\xc3\xa4\xc3\xa4", 3) == "\xc3\xa4...");
}

TEST_CASE("before anything was seen the page says so with empty tables") {
    ops::observations nothing;
    const auto page = page_of(nothing);
    CHECK(page.at("queries").as_array().empty());
    CHECK(page.at("reasons").as_array().empty());
    CHECK(page.at_pointer("/totals/hit_ratio").is_null());
    CHECK(page.at_pointer("/hour/p95_us").is_null());
    CHECK(page.at_pointer("/series/at").as_array().empty());
}

TEST_CASE("readiness: one failed check is enough; what is absent hinders nobody") {
    using check = ops::readiness_check;
    auto state = observed::state();
    CHECK(ops::readiness_json(state) ==
          R"({"status":"ready","checks":{"upstream":{"status":"ok","detail":"reachable"},)"
          R"("invalidation":{"status":"absent","detail":"not configured"}}})");
    state.checks.push_back({"clients", check::state::failed, "shutting down"});
    CHECK_FALSE(state.ready());
    const auto page = json::parse(ops::readiness_json(state));
    CHECK(text_at(page, "/status") == "not ready");
    CHECK(text_at(page, "/checks/clients/status") == "failed");
    CHECK(ops::health_json() == R"({"status":"alive"})");
}

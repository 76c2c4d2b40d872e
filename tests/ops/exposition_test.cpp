#include "proxy/ops/exposition.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/ops/observed.h"

using namespace pgsidecar;

namespace {

std::string text_of(const ops::observations& seen, std::size_t most = 100) {
    ops::exposition e{most};
    return e.text(seen, observed::state());
}

// The line that begins so, without that.
std::string value_of(const std::string& text, const std::string& series) {
    const auto at = ("\n" + text).find("\n" + series + " ");
    if (at == std::string::npos) return "nothing";
    const auto from = at + series.size() + 1;
    return text.substr(from, text.find('\n', from) - from);
}

}  // namespace

TEST_CASE("each number stands under its name and labels") {
    const auto text = text_of(observed::load());
    static const struct {
        const char* series;
        const char* want;
    } rows[] = {
        {"pgsidecar_build_info{version=\"1.2.3\"}", "1"},
        {"pgsidecar_start_time_seconds", "1700000000"},
        {"pgsidecar_optimizations_enabled", "1"},
        {"pgsidecar_ready", "1"},
        {"pgsidecar_check_ok{check=\"upstream\"}", "1"},
        {"pgsidecar_check_ok{check=\"invalidation\"}", "nothing"},
        {"pgsidecar_statements_total{tier=\"premium\",outcome=\"hit\"}", "90"},
        {"pgsidecar_statements_total{tier=\"premium\",outcome=\"miss\"}", "10"},
        {"pgsidecar_statements_total{tier=\"default\",outcome=\"hit\"}", "0"},
        {"pgsidecar_statements_total{tier=\"default\",outcome=\"failed\"}", "1"},
        {"pgsidecar_rows_total{tier=\"premium\"}", "100"},
        {"pgsidecar_answer_bytes_total{tier=\"default\"}", "600"},
        {"pgsidecar_reasons_total{reason=\"hit\"}", "90"},
        {"pgsidecar_reasons_total{reason=\"bypass:not_a_select\"}", "6"},
        {"pgsidecar_cache_bytes", "1048576"},
        {"pgsidecar_cache_max_bytes", "268435456"},
        {"pgsidecar_cache_evictions_total", "2"},
        {"pgsidecar_clients", "4"},
        {"pgsidecar_servers_idle", "2"},
        {"pgsidecar_limits_met_total{limit=\"queries_per_minute\"}", "3"},
        {"pgsidecar_metrics_rows_written_total", "7"},
        {"pgsidecar_metrics_rows_dropped_total", "8"},
        {"pgsidecar_metrics_rows_waiting", "9"},
        {"pgsidecar_tenant_statements_total{tenant=\"clinic-7\",outcome=\"hit\"}", "90"},
        {"pgsidecar_tenant_rows_total{tenant=\"small\"}", "6"},
        {"pgsidecar_tenant_statement_seconds_total{tenant=\"clinic-7\"}", "0.0236"},
        {"pgsidecar_database_queries_total{database=\"clinic\"}", "106"},
        {"pgsidecar_database_transaction_seconds_total{database=\"clinic\"}", "1.5"},
        {"pgsidecar_tenant_rows_total{tenant=\"(others)\"}", "nothing"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.series);
        CHECK(value_of(text, row.series) == row.want);
    }
}

TEST_CASE("the bounds of the histogram are bounds of buckets, near to the round ones") {
    const auto& bounds = ops::exposition::histogram_bounds();
    ops::latency::duration before{0};
    for (const auto bound : bounds) {
        CAPTURE(bound.count());
        CHECK(bound > before);
        CHECK(ops::latency::bound(ops::latency::bucket_of(bound)) == bound);
        before = bound;
    }
    CHECK(bounds.front().count() == 47);
    CHECK(bounds[3].count() == 511);
    CHECK(bounds[6].count() == 5119);
}

TEST_CASE("a histogram is cumulative, ends with all, and agrees with its counter") {
    const auto text = text_of(observed::load());
    const std::string series = "pgsidecar_statement_duration_seconds";
    const std::string labels = "tier=\"premium\",outcome=\"hit\"";
    CHECK(value_of(text, series + "_count{" + labels + "}") == "90");
    CHECK(value_of(text, series + "_sum{" + labels + "}") == "0.0036");
    CHECK(value_of(text, series + "_bucket{" + labels + ",le=\"4.7e-05\"}") == "90");
    CHECK(value_of(text, series + "_bucket{" + labels + ",le=\"+Inf\"}") == "90");
    const std::string misses = "tier=\"premium\",outcome=\"miss\"";
    CHECK(value_of(text, series + "_bucket{" + misses + ",le=\"0.001023\"}") == "0");
    CHECK(value_of(text, series + "_bucket{" + misses + ",le=\"0.002559\"}") == "10");
}

TEST_CASE("names from outside cannot break out of their label, and none stands twice") {
    ops::observations o;
    observed::add(o, "a\"} 1\nevil 2\\", "default", ops::outcome::hit, 1,
                  observed::microseconds{9});
    o.databases["bad\xff"].queries = 2;
    o.databases["bad\xfe"].queries = 3;
    const auto text = text_of(o);
    CHECK(value_of(text, "pgsidecar_tenant_rows_total{tenant=\"a\\\"} 1 evil 2\\\\\"}") == "1");
    CHECK(text.find("\nevil") == std::string::npos);
    CHECK(value_of(text, "pgsidecar_database_queries_total{database=\"bad?\"}") == "5");
}

TEST_CASE("of many tenants only so many have series; the others are one") {
    ops::observations o;
    for (unsigned i = 0; i < 20; ++i)
        observed::add(o, "t" + std::to_string(i), "default", ops::outcome::miss, i + 1,
                      observed::microseconds{10});
    const auto text = text_of(o, 2);
    const auto misses = [&](const std::string& tenant) {
        return value_of(
            text, "pgsidecar_tenant_statements_total{tenant=\"" + tenant + "\",outcome=\"miss\"}");
    };
    CHECK(misses("t19") == "20");
    CHECK(misses("t18") == "19");
    CHECK(misses("t17") == "nothing");
    CHECK(misses("(others)") == "171");
}

TEST_CASE("nothing seen yet is a page, too") {
    const auto text = text_of({});
    CHECK(value_of(text, "pgsidecar_clients") == "0");
    CHECK(text.back() == '\n');
}

TEST_CASE("a cache that several share has its numbers, and without one there are no such series") {
    auto seen = observed::load();
    seen.shared_cache = {};
    CHECK(text_of(seen).find("shared_cache") == std::string::npos);
    seen.shared_cache = {.provider = "redis", .up = true, .asked = 7, .used = 5, .late = 2};
    const auto text = text_of(seen);
    CHECK(value_of(text, "pgsidecar_shared_cache_up{provider=\"redis\"}") == "1");
    CHECK(value_of(text, "pgsidecar_shared_cache_asked_total") == "7");
    CHECK(value_of(text, "pgsidecar_shared_cache_used_total") == "5");
    CHECK(value_of(text, "pgsidecar_shared_cache_late_total") == "2");
    CHECK(value_of(text, "pgsidecar_shared_cache_puts_total") == "0");
}

// The application's appsettings.json: where each key lands, and what is refused, by line and key.
#include "config/appsettings.h"

#include <string>
#include <vector>

#include "tests/config/folder.h"

using namespace pgsidecar::config;
using namespace std::chrono_literals;

namespace {

// A file that includes `json`, after `yaml`.
load_result load(std::string_view json, std::string_view yaml = "") {
    const folder files;
    files.write("p.yaml", std::string{"include_appsettings: a.json\n"}.append(yaml));
    files.write("a.json", json);
    load_result r = load_file(files.at("p.yaml"));
    for (auto* list : {&r.problems, &r.notes}) {
        for (problem& p : *list) p.file = files.without_path(p.file);
    }
    return r;
}

settings performance(const std::string& keys) {
    const load_result r =
        load("{\"Performance\": {" + keys + "}}", "upstream: {control_connection: user=u}\n");
    CHECK(problems_of(r) == lines{});
    return r.value;
}

lines refused(std::string_view json, std::string_view yaml = "") {
    return problems_of(load(json, yaml));
}

// Of one key, in line 2.
lines refused_key(const std::string& keys) {
    return refused("{\"Performance\": {\n" + keys + "}}");
}

}  // namespace

TEST_CASE("appsettings: every key of Performance reaches its setting") {
    CHECK_FALSE(performance("\"EnableOptimizations\": false").enable_optimizations);
    CHECK(performance("\"CacheProvider\": \"MEMORY\"").cache.provider == cache_provider::memory);
    CHECK(performance("\"MaxPageSize\": 11").tenants.tiers[0].max_page_size == 11);
    CHECK(performance("\"DefaultPageSize\": 12").tenants.tiers[0].default_page_size == 12);
    CHECK(performance("\"QueryTimeoutSeconds\": 13").tenants.tiers[0].query_timeout == 13s);
    CHECK(performance("\"QueryTimeoutSeconds\": 13").tenants.tiers[1].query_timeout == 5s);
    CHECK(performance("\"EnableQueryResultCaching\": true").cache.enable_query_result_caching);
    CHECK(performance("\"CacheExpirationMinutes\": 14").cache.default_ttl == 14min);
    CHECK(performance("\"MaxConcurrentRequests\": 15").tenants.max_concurrent_requests == 15);
    CHECK(performance("\"DatabaseConnectionPoolSize\": 16").pool.default_pool_size == 16);
    CHECK(performance("\"EnablePerformanceMetrics\": true").metrics.enable_performance_metrics);
    CHECK(performance("\"PerformanceMetricsRetentionDays\": 17")
              .metrics.performance_metrics_retention_days == 17);
    CHECK(performance("\"EnableDetailedLogging\": true").log.level == log_level::debug);
    CHECK(performance("\"EnableDetailedLogging\": false").log.level == log_level::info);
}

TEST_CASE("appsettings: PerformanceLimits go to the tier of that name") {
    const load_result r = load(
        R"({"PerformanceLimits": {
  "DefaultTenant": {"QueryTimeoutMs": 21, "MaxResultSetSize": 22, "QueriesPerMinute": 23},
  "premiumtenant": {"QueryTimeoutMs": 31, "MaxResultSetSize": 32, "QueriesPerMinute": 33},
  "Gold": {"QueryTimeoutMs": 41}, "SilverTenant": {"QueryTimeoutMs": 51}}})",
        "tenants: {tiers: [{name: gold, burst: 5}, {name: Silver, query_timeout: 9s}]}\n");
    REQUIRE(problems_of(r) == lines{});
    const auto& tiers = r.value.tenants.tiers;
    REQUIRE(tiers.size() == 4);
    CHECK(tiers[0].name == "default");
    CHECK(tiers[0].query_timeout == 21ms);
    CHECK(tiers[0].max_result_rows == 22);
    CHECK(tiers[0].queries_per_minute == 23);
    CHECK(tiers[1].name == "gold");
    CHECK(tiers[1].burst == 5);
    CHECK(tiers[1].query_timeout == 41ms);
    CHECK(tiers[1].max_result_rows == 22);
    CHECK(tiers[2].name == "Silver");
    CHECK(tiers[2].query_timeout == 51ms);
    CHECK(tiers[3].name == "premium");
    CHECK(tiers[3].query_timeout == 31ms);
    CHECK(tiers[3].max_result_rows == 32);
    CHECK(tiers[3].queries_per_minute == 33);
}

TEST_CASE("appsettings: the log's level in .NET's words") {
    static const struct {
        const char* word;
        log_level want;
    } rows[] = {
        {"Trace", log_level::trace},      {"debug", log_level::debug},
        {"Information", log_level::info}, {"Warning", log_level::warning},
        {"ERROR", log_level::error},      {"Critical", log_level::error},
        {"None", log_level::off},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.word});
        const std::string word{row.word};
        CHECK(load("{\"Logging\": {\"LogLevel\": {\"Default\": \"" + word + "\"}}}")
                  .value.log.level == row.want);
        CHECK(load("{\"logging\": {\"loglevel\": {\"PgSidecar\": \"" + word +
                   "\", \"Microsoft\": 7, \"default\": \"Information\"}}}")
                  .value.log.level == row.want);
    }
    CHECK(refused("{\"Logging\": {\"LogLevel\": {\n\"Default\": \"Info\"}}}") ==
          lines{"a.json:2: Logging.LogLevel.Default: \"Info\" is not one of: Trace, Debug, "
                "Information, Warning, Error, Critical, None"});
    // What is none of ours is passed over, whatever it is.
    CHECK(refused("{\"Logging\": 5}") == lines{});
    CHECK(refused("{\"Logging\": {\"LogLevel\": [1], \"Console\": {\"LogLevel\": 1}}}") == lines{});
    CHECK(refused("{\"Logging\": {\"LogLevel\": {\"Default:X\": 1}}}") == lines{});
}

TEST_CASE("appsettings: the more special key wins, in whatever order they stand") {
    const char* const limits =
        "\"PerformanceLimits\": {\"DefaultTenant\": {\"QueryTimeoutMs\": 1}}";
    const char* const timeout = "\"Performance\": {\"QueryTimeoutSeconds\": 2}";
    for (const std::string& text : {std::string{"{"} + limits + ", " + timeout + "}",
                                    std::string{"{"} + timeout + ", " + limits + "}"}) {
        CHECK(load(text).value.tenants.tiers[0].query_timeout == 1ms);
    }
    CHECK(load("{\"Performance\": {\"EnableDetailedLogging\": true}, \"Logging\": {\"LogLevel\": "
               "{\"Default\": \"Error\"}}}")
              .value.log.level == log_level::debug);
    CHECK(load("{\"Logging\": {\"LogLevel\": {\"pgsidecar\": \"Error\", \"Default\": \"Trace\"}}, "
               "\"Performance\": {\"EnableDetailedLogging\": true}}")
              .value.log.level == log_level::error);
}

TEST_CASE("appsettings: as .NET has it") {
    const load_result r = load(
        "\xef\xbb\xbf// a comment\r\n{\r\n  /* and\r\n another */\r\n"
        "  \"performance:MAXPAGESIZE\": \"77\",\r\n"
        "  \"Performance\": {\"EnableOptimizations\": \"False\",},\r\n}\r\n\r\n");
    REQUIRE(problems_of(r) == lines{});
    CHECK(r.value.tenants.tiers[0].max_page_size == 77);
    CHECK_FALSE(r.value.enable_optimizations);
    CHECK(r.origins.at("tenants.tiers[0].max_page_size").find("a.json:5 Performance.MAXPAGESIZE") !=
          std::string::npos);
    CHECK(refused("{}") == lines{});
    CHECK(refused("{\"Performance\": null, \"PerformanceLimits\": {\"DefaultTenant\": {}}}") ==
          lines{});
}

TEST_CASE("appsettings: answers are always streamed; to ask for less is said to be in vain") {
    for (const bool asked : {true, false}) {
        CAPTURE(asked);
        const load_result r = load(std::string{"{\"Performance\": {\n\"EnableAsyncStreaming\": "} +
                                   (asked ? "true" : "false") + "}}");
        CHECK(problems_of(r) == lines{});
        CHECK(changed_keys(r.value, settings{}).empty());
        lines notes;
        for (const problem& p : r.notes) notes.push_back(to_string(p));
        const lines said{
            "a.json:2: Performance.EnableAsyncStreaming: changes nothing: answers are streamed in "
            "any case"};
        CHECK(notes == (asked ? lines{} : said));
    }
    CHECK(refused_key("\"EnableAsyncStreaming\": 1") ==
          lines{"a.json:2: Performance.EnableAsyncStreaming: \"1\" is neither true nor false"});
}

TEST_CASE("appsettings: alerts are asked for by one key") {
    CHECK(performance("\"EnableAlerts\": true").alerts.enable_alerts);
    CHECK_FALSE(performance("\"EnableAlerts\": false").alerts.enable_alerts);
    CHECK(refused_key("\"EnableAlerts\": 1") ==
          lines{"a.json:2: Performance.EnableAlerts: \"1\" is neither true nor false"});
}

TEST_CASE("appsettings: the target and the leave to load") {
    CHECK(performance("\"PerformanceTargetMs\": 250").performance_target == 250ms);
    CHECK(performance("\"PerformanceTargetMs\": 0").performance_target == 0ms);
    CHECK_FALSE(performance("\"PerformanceTargetMs\": 0").enable_load_testing);
    CHECK(performance("\"EnableLoadTesting\": true").enable_load_testing);
    CHECK(refused_key("\"PerformanceTargetMs\": true") ==
          lines{"a.json:2: Performance.PerformanceTargetMs: \"true\" is not a whole number from 0 "
                "to 3600000"});
}

TEST_CASE("appsettings: a value that does not fit") {
    static const struct {
        const char* keys;
        const char* want;
    } rows[] = {
        {"\"MaxPageSize\": 1e999",
         "MaxPageSize: \"1e999\" is not a whole number from 1 to "
         "1000000000"},
        {"\"MaxPageSize\": -1e999",
         "MaxPageSize: \"-1e999\" is not a whole number from 1 to "
         "1000000000"},
        {"\"MaxPageSize\": 1e-999",
         "MaxPageSize: \"1e-999\" is not a whole number from 1 to "
         "1000000000"},
        {"\"MaxPageSize\": 1.5", "MaxPageSize: \"1.5\" is not a whole number from 1 to 1000000000"},
        {"\"MaxPageSize\": 10.0",
         "MaxPageSize: \"10.0\" is not a whole number from 1 to 1000000000"},
        {"\"MaxPageSize\": 99999999999999999999999999",
         "MaxPageSize: \"99999999999999999999999999\" is not a whole number from 1 to 1000000000"},
        {"\"QueryTimeoutSeconds\": 0",
         "QueryTimeoutSeconds: \"0\" is not a whole number from 1 to 86400"},
        {"\"QueryTimeoutSeconds\": -1",
         "QueryTimeoutSeconds: \"-1\" is not a whole number from 1 to 86400"},
        {"\"QueryTimeoutSeconds\": 86401",
         "QueryTimeoutSeconds: \"86401\" is not a whole number from 1 to 86400"},
        {"\"QueryTimeoutSeconds\": \"3s\"",
         "QueryTimeoutSeconds: \"3s\" is not a whole number from 1 to 86400"},
        {"\"CacheExpirationMinutes\": 525601",
         "CacheExpirationMinutes: \"525601\" is not a whole number from 1 to 525600"},
        {"\"CacheProvider\": \"none\"",
         "CacheProvider: \"none\" is not one of: memory, database, redis"},
        {"\"CacheProvider\": 1", "CacheProvider: \"1\" is not one of: memory, database, redis"},
        {"\"EnableOptimizations\": \"yes\"",
         "EnableOptimizations: \"yes\" is neither true nor false"},
        {"\"EnableOptimizations\": null", "EnableOptimizations: has no value"},
        {"\"EnableOptimizations\": [true]", "EnableOptimizations: takes one value"},
        {"\"EnableOptimizations\": {}", "EnableOptimizations: takes one value"},
        {"\"MaxPageSise\": 5", "MaxPageSise: is not a known key; did you mean MaxPageSize?"},
        {"\"maxpagesizes\": 5", "maxpagesizes: is not a known key; did you mean MaxPageSize?"},
        {"\"Nonsense\": 5", "Nonsense: is not a known key"},
        {"\"QueryTimeoutMs\": 5", "QueryTimeoutMs: is not a known key"},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.keys});
        CHECK(refused_key(row.keys) == lines{std::string{"a.json:2: Performance."} + row.want});
    }
    CHECK(refused_key("\"MaxPageSize:Deep\": 5") ==
          lines{"a.json:2: \"Performance.MaxPageSize:Deep\": is not a known key; did you mean "
                "MaxPageSize?"});
    CHECK(refused_key("\"a\\nforged: b\": 5") ==
          lines{"a.json:2: \"Performance.a\\x0aforged: b\": is not a known key"});
}

TEST_CASE("appsettings: sections and tiers that are not what they should be") {
    CHECK(refused("{\n\"Performance\": 5}") ==
          lines{"a.json:2: Performance: takes keys of its own"});
    CHECK(refused("{\n\"PerformanceLimits\": {\"DefaultTenant\": []}}") ==
          lines{"a.json:2: PerformanceLimits.DefaultTenant: takes keys of its own"});
    CHECK(refused("{\"PerformanceLimits\": {\n\"DefaultTenent\": {\"QueryTimeoutMs\": 1, "
                  "\"QueriesPerMinute\": 1}}}") ==
          lines{"a.json:2: PerformanceLimits.DefaultTenent: is no tier that has been named before; "
                "did you mean DefaultTenant?"});
    CHECK(refused("{\"PerformanceLimits\": {\"DefaultTenant\": {\n\"QueriesPerMinutes\": 1}}}") ==
          lines{"a.json:2: PerformanceLimits.DefaultTenant.QueriesPerMinutes: is not a known key; "
                "did you mean QueriesPerMinute?"});
    CHECK(
        refused("{\"PerformanceLimits\": {\"DefaultTenant\": {\n\"QueriesPerMinute\": 1e3}}}") ==
        lines{"a.json:2: PerformanceLimits.DefaultTenant.QueriesPerMinute: \"1e3\" is not a whole "
              "number from 1 to 100000000"});
    CHECK(refused("{\"PerformanceLimits\": {\n\"Premium\": {\"QueryTimeoutMs\": 1},\n"
                  "\"PremiumTenant\": {\"QueryTimeoutMs\": 2}}}") ==
          lines{"a.json:3: PerformanceLimits.PremiumTenant.QueryTimeoutMs: is given twice; the "
                "first is in line 2"});
    CHECK(refused("{\"Performance:MaxPageSize\": 1,\n\"Performance\": {\"MaxPageSize\": 2}}") ==
          lines{"a.json:2: Performance.MaxPageSize: is given twice; the first is in line 1"});
}

TEST_CASE("appsettings: a combination that cannot work is told by the application's key") {
    CHECK(refused("{\"Performance\": {\n\"EnableQueryResultCaching\": true}}") ==
          lines{"a.json:2: Performance.EnableQueryResultCaching: needs "
                "upstream.control_connection, which reads the catalogs"});
    CHECK(
        refused("{\"Performance\": {\n\"DatabaseConnectionPoolSize\": 3}}", "min_pool_size: 4\n") ==
        lines{"p.yaml:2: min_pool_size: 4 is more than default_pool_size, 3"});
}

TEST_CASE("appsettings: what other sections hold is never shown") {
    for (const char* text : {
             "{\"ConnectionStrings\": {\"a\": \"Password=hunter2\"},\n\"Performance\": {\"x\": 1}}",
             "{\"ConnectionStrings\": {\"a\": \"Password=hunter2\", \"a\": \"hunter2\"}}",
             "{\"ConnectionStrings\": {\"a\": \"Password=hunter2\n\"}}",
             "{\"ConnectionStrings\": {\"a\": hunter2}}",
             "{\"ConnectionStrings\": {\"a\": \"Password=hunter2\"}",
         }) {
        CAPTURE(std::string{text});
        const load_result r = load(text);
        REQUIRE(r.problems.size() == 1);
        CHECK(to_string(r.problems[0]).find("hunter2") == std::string::npos);
        CHECK(dump(r).find("hunter2") == std::string::npos);
    }
}

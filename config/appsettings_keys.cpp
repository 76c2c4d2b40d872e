#include "config/appsettings_keys.h"

#include <algorithm>
#include <array>

#include "config/appsettings.h"
#include "config/schema.h"

namespace pgsidecar::config {
namespace {

constexpr std::array performance_table{
    json_key{"EnableOptimizations", as::flag, "enable_optimizations"},
    json_key{"CacheProvider", as::word, "cache.cache_provider"},
    json_key{"MaxPageSize", as::count, "tenants.tiers[].max_page_size"},
    json_key{"DefaultPageSize", as::count, "tenants.tiers[].default_page_size"},
    json_key{"QueryTimeoutSeconds", as::seconds, "tenants.tiers[].query_timeout"},
    json_key{"EnableQueryResultCaching", as::flag, "cache.enable_query_result_caching"},
    json_key{"CacheExpirationMinutes", as::minutes, "cache.default_ttl"},
    json_key{"MaxConcurrentRequests", as::count, "tenants.max_concurrent_requests"},
    json_key{"DatabaseConnectionPoolSize", as::count, "default_pool_size"},
    json_key{"EnableDetailedLogging", as::detailed, "log.level"},
    json_key{"EnableAsyncStreaming", as::always},
    json_key{"EnablePerformanceMetrics", as::flag, "metrics.enable_performance_metrics"},
    json_key{"PerformanceMetricsRetentionDays", as::count,
             "metrics.performance_metrics_retention_days"},
    json_key{"EnableLoadTesting", as::flag, "enable_load_testing"},
    json_key{"EnableAlerts", as::flag, "alerts.enable_alerts"},
    json_key{"PerformanceTargetMs", as::milliseconds, "performance_target"},
};
constexpr std::array limit_table{
    json_key{"QueryTimeoutMs", as::milliseconds, "tenants.tiers[].query_timeout"},
    json_key{"MaxResultSetSize", as::count, "tenants.tiers[].max_result_rows"},
    json_key{"QueriesPerMinute", as::count, "tenants.tiers[].queries_per_minute"},
};
constexpr json_key level_key{"", as::level, "log.level"};

// There is no level above error; it is the nearest to Critical.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> level_table{{
    {"Trace", "trace"},
    {"Debug", "debug"},
    {"Information", "info"},
    {"Warning", "warning"},
    {"Error", "error"},
    {"Critical", "error"},
    {"None", "off"},
}};

std::uint64_t factor_of(as how) noexcept {
    if (how == as::seconds) return 1'000;
    return how == as::minutes ? 60'000 : 1;
}

constexpr std::string_view opening = R"(
## The application's appsettings.json

`include_appsettings: appsettings.Production.json`, at the top of a file, reads the application's
own settings on top of that file; the path is relative to it. It is JSON as .NET has it: comments,
trailing commas and a byte order mark are allowed, upper and lower case of keys are the same,
`"A:B"` is B inside A, and a number or a switch may be written as a text. UTF-8, 1MB and 64 levels
at most.

Read are the sections `Performance` and `PerformanceLimits`, where an unknown key is an error, and
`Default` and `pgsidecar` of `Logging.LogLevel`. Everything else is passed over.

In `PerformanceLimits` a tier goes by its name, in any case, with or without `Tenant` behind it:
`DefaultTenant` is `default`, `PremiumTenant` is `premium`. Others must be named in
`tenants.tiers` of that YAML file or of one that is read before it. What `Performance` says of
tiers is for `default`, from which the others start; `premium` keeps its own numbers for what it
has of its own.

Where two keys mean the same, the more special one wins: `PerformanceLimits` over `Performance`,
and `LogLevel.pgsidecar` over `EnableDetailedLogging` over `LogLevel.Default`.

| key | value | setting |
|---|---|---|
)";

std::string value_of(const json_key& key) {
    const bounds range = range_of(key);
    const std::string span =
        std::to_string(range.min).append(" to ").append(std::to_string(range.max));
    switch (key.how) {
        case as::flag:
        case as::always:
            return "`true`, `false`";
        case as::detailed:
            return "`true`; `false` says nothing";
        case as::word:
            return "one of the setting's, in any case";
        case as::count:
            return "number, " + span;
        case as::milliseconds:
            return "milliseconds, " + span;
        case as::seconds:
            return "seconds, " + span;
        case as::minutes:
            return "minutes, " + span;
        case as::level:
            break;
    }
    std::string out;
    for (const auto& [theirs, ours] : level_table) {
        out.append(out.empty() ? "`" : ", `").append(theirs).append("`");
    }
    return out;
}

std::string line(const std::string& path, const json_key& key) {
    std::string out = "| `";
    out.append(path).append("` | ").append(value_of(key)).append(" | ");
    if (key.how == as::always) return out.append("none: answers are streamed in any case |\n");
    if (key.setting.empty()) return out.append("none yet |\n");
    out.append("`").append(key.setting).append("`");
    if (key.how == as::detailed) out.append(": `debug`");
    const bool of_default = key.setting.starts_with(of_tier) && path.starts_with("Performance.");
    return out.append(of_default ? " of `default` |\n" : " |\n");
}

}  // namespace

std::span<const json_key> performance_keys() noexcept { return performance_table; }
std::span<const json_key> limit_keys() noexcept { return limit_table; }
const json_key& log_level_key() noexcept { return level_key; }
std::span<const std::pair<std::string_view, std::string_view>> dotnet_levels() noexcept {
    return level_table;
}

std::string_view suffix_of(as how) noexcept {
    switch (how) {
        case as::milliseconds:
            return "ms";
        case as::seconds:
            return "s";
        case as::minutes:
            return "m";
        default:
            return "";
    }
}

bounds range_of(const json_key& key) noexcept {
    constexpr bounds any{0, 2'147'483'647};  // .NET's int
    bounds range = any;
    const auto take = [&](const auto& rows, std::string_view path) {
        for (const auto& row : rows) {
            if (row.path == path) range = row.range;
        }
    };
    if (key.setting.starts_with(of_tier)) {
        take(kind_of<policy::tier>().rows, key.setting.substr(of_tier.size()));
    } else {
        take(setting_rows(), key.setting);
    }
    const std::uint64_t factor = factor_of(key.how);
    return {(range.min + factor - 1) / factor, std::min(range.max / factor, any.max)};
}

std::string appsettings_reference() {
    std::string out{opening};
    for (const json_key& key : performance_table) {
        out.append(line("Performance." + std::string{key.name}, key));
    }
    for (const json_key& key : limit_table) {
        out.append(line("PerformanceLimits.<tier>." + std::string{key.name}, key));
    }
    for (const char* name : {"Default", "pgsidecar"}) {
        out.append(line(std::string{"Logging.LogLevel."} + name, level_key));
    }
    return out;
}

}  // namespace pgsidecar::config

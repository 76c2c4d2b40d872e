#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "proxy/ops/validation_report.h"

namespace pgsidecar::ops {
namespace {

namespace json = boost::json;

constexpr std::array quantiles{std::pair{"p50_ms", 0.5}, std::pair{"p95_ms", 0.95},
                               std::pair{"p99_ms", 0.99}};

double rounded_ms(timings::duration d) { return static_cast<double>(d.count()) / 1000.0; }

json::object times(const timings& t) {
    json::object out{{"count", t.count()}};
    for (const auto& [name, part] : quantiles)
        out[name] = t.count() > 0 ? json::value(rounded_ms(t.quantile(part))) : json::value();
    return out;
}

json::object side_of(const side& s) {
    return {{"address", s.address},
            {"database", s.database},
            {"user", s.user},
            {"server_version", s.version}};
}

json::value text_or_null(const std::string& text) {
    return text.empty() ? json::value() : json::value(text);
}
json::value number_or_null(std::uint64_t number) {
    return number == 0 ? json::value() : json::value(number);
}

json::object statement_of(const workload_statement& s, const statement_tally& t) {
    json::object out{{"query", s.normalized},
                     {"name", text_or_null(s.name)},
                     {"line", number_or_null(static_cast<std::uint64_t>(s.line))},
                     {"parameter_sets", s.parameters.size()},
                     {"ordered", s.ordered},
                     {"pairs", t.pairs},
                     {"different", t.different},
                     {"failed_on_blue", t.failed},
                     {"sqlstate", text_or_null(t.sqlstate)},
                     {"unstable", t.unstable},
                     {"rows", t.rows},
                     {"bytes", t.bytes},
                     {"blue", times(t.blue)},
                     {"green_first", times(t.green_first)},
                     {"green", times(t.green)},
                     {"first_difference", nullptr}};
    if (t.first)
        out["first_difference"] =
            json::object{{"kind", t.first->what.kind},
                         {"text", t.first->what.words},
                         {"row", number_or_null(t.first->what.row)},
                         {"column", number_or_null(t.first->what.column)},
                         {"parameter_set", number_or_null(t.first->parameters)}};
    return out;
}

json::object totals_of(const validation& run) {
    const auto all = run.all();
    return {{"statements", run.statements.size()},
            {"pairs", all.pairs},
            {"different", all.different},
            {"failed_on_blue", all.failed},
            {"unstable_statements", run.unstable_statements()},
            {"skipped", run.skipped.size()},
            {"blue", times(all.blue)},
            {"green_first", times(all.green_first)},
            {"green", times(all.green)},
            {"slowdown_p50_percent", slowdown_percent(all, 0.5)},
            {"slowdown_p95_percent", slowdown_percent(all, 0.95)}};
}

json::value cache_of(const std::optional<cache_use>& cache) {
    if (!cache) return nullptr;
    json::object out{{"hits", cache->hits}, {"calls", cache->calls}, {"hit_ratio", nullptr}};
    if (cache->calls > 0)
        out["hit_ratio"] = static_cast<double>(cache->hits) / static_cast<double>(cache->calls);
    return out;
}

}  // namespace

std::string json_report(const validation& run, const validation_limits& limits,
                        const verdict& result) {
    json::array reasons(result.reasons.begin(), result.reasons.end());
    json::array statements, skipped;
    for (std::size_t i = 0; i < run.tallies.size(); ++i)
        statements.push_back(statement_of(run.statements[i], run.tallies[i]));
    for (const auto& s : run.skipped)
        skipped.push_back(json::object{{"query", s.normalized}, {"why", s.why}});
    const json::object out{
        {"report_version", report_version},
        {"program", run.program},
        {"passed", result.passed},
        {"interrupted", run.interrupted},
        {"reasons", std::move(reasons)},
        {"started", run.started},
        {"seconds", static_cast<double>(run.took.count()) / 1000},
        {"blue", side_of(run.blue)},
        {"green", side_of(run.green)},
        {"run", json::object{{"workload", run.source},
                             {"clients", run.clients},
                             {"rounds", number_or_null(run.rounds)},
                             {"duration_ms",
                              number_or_null(static_cast<std::uint64_t>(run.duration.count()))},
                             {"seed", run.seed},
                             {"allow_writes", run.allow_writes}}},
        {"limits", json::object{{"target_ms", limits.target.count()},
                                {"max_slowdown_percent", limits.max_slowdown_percent},
                                {"max_unstable", limits.max_unstable}}},
        {"totals", totals_of(run)},
        {"cache", cache_of(run.cache)},
        {"statements", std::move(statements)},
        {"skipped", std::move(skipped)}};
    return json::serialize(out) + "\n";
}

}  // namespace pgsidecar::ops

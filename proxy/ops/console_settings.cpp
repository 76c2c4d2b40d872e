// SHOW CONFIG, FLAGS, RULES and CACHE.
#include <utility>

#include "config/list.h"
#include "config/values.h"
#include "proxy/ops/console_columns.h"
#include "proxy/ops/console_views.h"

namespace pgsidecar::ops {
namespace {

std::string joined(const std::vector<std::string>& all) {
    std::string out;
    for (const auto& one : all) out.append(out.empty() ? "" : ", ").append(one);
    return out;
}

std::string_view word_of(policy::rule_mode m) {
    return m == policy::rule_mode::on ? "on" : m == policy::rule_mode::off ? "off" : "shadow";
}

std::string_view word_of(policy::unlimited_select u) {
    using policy::unlimited_select;
    return u == unlimited_select::allow ? "allow" : u == unlimited_select::cut ? "cut" : "refuse";
}

console_table config_table(const config::settings& s) {
    console_table out{columns_of(console_view::config), {}};
    for (auto& one : config::list_settings(s))
        out.rows.push_back({std::move(one.key), std::move(one.value), std::move(one.by_default),
                            cell(one.changeable ? "yes" : "no")});
    return out;
}

// What lets the DBA turn something on and off without taking anything else away.
console_table flags_table(const config::settings& s) {
    console_table out{columns_of(console_view::flags), {}};
    const auto wanted = [](std::string_view key) {
        return key == "enable_optimizations" || key == "cache.enable_query_result_caching" ||
               key == "cache.single_flight" || key == "tenants.limits" ||
               (key.starts_with("cache.rules[") &&
                (key.ends_with("].mode") || key.ends_with("].rollout_percent")));
    };
    for (auto& one : config::list_settings(s)) {
        if (!wanted(one.key)) continue;
        // A rule is known by its name.
        if (const auto open = one.key.find('['); open != std::string::npos) {
            const auto close = one.key.find(']');
            const auto index = std::stoul(one.key.substr(open + 1, close - open - 1));
            one.key = one.key.substr(0, open + 1) + s.cache.rules.rules[index].name +
                      one.key.substr(close);
        }
        out.rows.push_back(
            {std::move(one.key), std::move(one.value), cell(one.changeable ? "yes" : "no")});
    }
    return out;
}

console_table rules_table(const config::settings& s) {
    console_table out{columns_of(console_view::rules), {}};
    for (const auto& r : s.cache.rules.rules)
        out.rows.push_back({cell(r.name), cell(word_of(r.mode)), joined(r.tables),
                            joined(r.functions), config::write_duration(r.ttl),
                            cell(word_of(r.unlimited))});
    return out;
}

}  // namespace

bool is_of_settings(console_view v) noexcept {
    return v == console_view::config || v == console_view::flags || v == console_view::rules;
}

console_table settings_table(console_view v, const config::settings& s) {
    if (v == console_view::flags) return flags_table(s);
    return v == console_view::rules ? rules_table(s) : config_table(s);
}

console_table cache_table(const cache::store_statistics& of, const config::settings& s) {
    const auto asked = of.hits + of.misses;
    const double ratio =
        asked == 0 ? 0.0 : static_cast<double>(of.hits) / static_cast<double>(asked);
    const bool on = s.enable_optimizations && s.cache.enable_query_result_caching;
    console_table out{columns_of(console_view::cache), {}};
    out.rows.push_back({cell("memory"), cell(of.entries), cell(of.bytes),
                        cell(s.cache.store.max_memory), cell(of.payload), cell(of.hits),
                        cell(of.misses), cell(ratio), cell(of.insertions), cell(of.replacements),
                        cell(of.refusals), cell(of.evictions), cell(of.invalidations),
                        cell(of.expirations), cell(of.unsettled), flag(on),
                        cell("seen at once, before the writer has its acknowledgement"),
                        cell("seen when the entry's ttl has passed")});
    return out;
}

}  // namespace pgsidecar::ops

#include "proxy/ops/flags.h"

#include <array>
#include <string_view>
#include <utility>

namespace pgsidecar::ops {
namespace {

constexpr std::array<std::string_view, 3> mode_names{"off", "shadow", "on"};
constexpr std::array<std::string_view, 3> enforcement_names{"off", "warn", "enforce"};

std::string word(bool on) { return on ? "true" : "false"; }

}  // namespace

std::vector<flag_row> flags(const config::load_result& in_force,
                            const comparisons::by_rule& compared) {
    const auto& s = in_force.value;
    const auto origin = [&](const std::string& key) {
        const auto found = in_force.origins.find(key);
        return found == in_force.origins.end() ? std::string{"default"} : found->second;
    };
    std::vector<flag_row> out;
    const auto general = [&](std::string key, std::string value) {
        auto from = origin(key);
        out.push_back({std::move(key), "all", std::move(value), std::move(from)});
    };
    general("enable_optimizations", word(s.enable_optimizations));
    general("cache.enable_query_result_caching", word(s.cache.enable_query_result_caching));
    general("tenants.limits",
            std::string{enforcement_names[static_cast<std::size_t>(s.tenants.limits)]});
    general("metrics.enable_performance_metrics", word(s.metrics.enable_performance_metrics));
    const auto& rules = s.cache.rules.rules;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const auto& rule = rules[i];
        const auto key = "cache.rules[" + std::to_string(i) + "].";
        const auto name = "cache.rules[" + rule.name + "].";
        const auto counted = compared.find(rule.name);
        out.push_back({name + "mode", "rule " + rule.name,
                       std::string{mode_names[static_cast<std::size_t>(rule.mode)]},
                       origin(key + "mode"),
                       counted == compared.end() ? comparison_counts{} : counted->second});
        out.push_back({name + "rollout_percent", "rule " + rule.name,
                       std::to_string(rule.rollout_percent), origin(key + "rollout_percent")});
    }
    return out;
}

}  // namespace pgsidecar::ops

// SHOW CONFIG, FLAGS, RULES and CACHE.
#include <algorithm>
#include <map>
#include <utility>

#include "config/list.h"
#include "config/values.h"
#include "proxy/ops/console_columns.h"
#include "proxy/ops/console_views.h"
#include "proxy/ops/observations.h"

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

// Where a key stands that was given: itself, or what it is a part of.
std::string origin_of(const std::map<std::string, std::string>& all, std::string key) {
    while (true) {
        if (const auto it = all.find(key); it != all.end()) return it->second;
        const auto end = key.find_last_of(".[");
        if (end == std::string::npos) return "default";
        key.resize(end);
    }
}

}  // namespace

console_table config_table(const config::load_result& in_force,
                           const std::vector<std::string>& waiting) {
    console_table out{columns_of(console_view::config), {}};
    for (auto& one : config::list_settings(in_force.value)) {
        auto origin = origin_of(in_force.origins, one.key);
        const bool waits = std::ranges::find(waiting, one.key) != waiting.end();
        out.rows.push_back({std::move(one.key), std::move(one.value), std::move(one.by_default),
                            cell(one.changeable ? "yes" : "no"), std::move(origin), flag(waits)});
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

console_table flags_table(const std::vector<flag_row>& all) {
    console_table out{columns_of(console_view::flags), {}};
    for (const auto& f : all)
        out.rows.push_back({cell(f.name), cell(f.value), cell("yes"), cell(f.origin),
                            cell(f.compared.equal), cell(f.compared.different)});
    return out;
}

console_table cache_table(const observations& now, const config::settings& s) {
    const auto& of = now.cache;
    const auto& shared = now.shared_cache;
    const auto asked = of.hits + of.misses;
    const double ratio =
        asked == 0 ? 0.0 : static_cast<double>(of.hits) / static_cast<double>(asked);
    const bool on = s.enable_optimizations && s.cache.enable_query_result_caching;
    console_table out{columns_of(console_view::cache), {}};
    // As the tier has it; without one it is this process's memory alone.
    const auto provider = shared.provider.empty() ? std::string_view{"memory"} : shared.provider;
    out.rows.push_back({cell(provider), cell(of.entries), cell(of.bytes),
                        cell(s.cache.store.max_memory), cell(of.payload), cell(of.hits),
                        cell(of.misses), cell(ratio), cell(of.insertions), cell(of.replacements),
                        cell(of.refusals), cell(of.evictions), cell(of.invalidations),
                        cell(of.expirations), cell(of.unsettled), flag(on),
                        cell("seen at once, before the writer has its acknowledgement"),
                        cell(invalidation_text(now.invalidation))});
    auto& row = out.rows.back();
    const auto of_shared = {shared.asked,       shared.found,   shared.used,
                            shared.refused,     shared.harmed,  shared.late,
                            shared.outages,     shared.puts,    shared.put_bytes,
                            shared.put_refused, shared.dropped, shared.queued_bytes};
    if (shared.provider.empty()) {
        row.resize(row.size() + 1 + of_shared.size());  // nulls
    } else {
        row.push_back(flag(shared.up));
        for (const auto number : of_shared) row.push_back(cell(number));
    }
    const auto stale = staleness_of(now.invalidation);
    row.push_back(cell(stale.count()));
    for (const double part : {0.5, 0.99})
        row.push_back(cell(static_cast<std::uint64_t>(stale.quantile(part).count())));
    return out;
}

}  // namespace pgsidecar::ops

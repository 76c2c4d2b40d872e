#include "proxy/core/tier_guard.h"

#include <algorithm>

namespace pgsidecar::core {

tier_guard::time_point tier_guard::changed(std::span<const cache::dependency> observed,
                                           const database& where) {
    const auto from_the_start = [&](const cache::dependency& d) {
        return d.version <= (where.is_whole(d.table) ? where.first_version()
                                                     : cache::table_state::first_version);
    };
    if (std::ranges::all_of(observed, from_the_start)) return never_changed;
    const auto now = clock_();
    auto latest = never_changed;
    const std::lock_guard lock{mutex_};
    for (const auto& d : observed) {
        if (from_the_start(d)) continue;
        auto& known = seen_[d.table];
        // Versions only grow. Of one that was observed long ago somebody has seen a later one.
        if (d.version > known.version) known = {d.version, now};
        latest = std::max(latest, known.since);
    }
    return latest;
}

bool tier_guard::may_serve(const tier_find& found, const cache::hash128& versions,
                           std::uint64_t catalog, time_point changed) const noexcept {
    if (found.age < std::chrono::microseconds{0} || found.age >= found.ttl) return false;
    if (found.filler == self_ && found.versions == versions) return true;
    if (found.catalog != catalog) return false;
    if (changed == never_changed) return true;
    return found.asked - found.age - clock_slack > changed;
}

}  // namespace pgsidecar::core

#include "proxy/core/tier_guard.h"

#include <algorithm>

namespace pgsidecar::core {

bool tier_guard::from_the_start(const cache::dependency& d, const database& where) {
    return d.version <=
           (where.is_whole(d.table) ? where.first_version() : cache::table_state::first_version);
}

tier_guard::time_point tier_guard::changed(std::span<const cache::dependency> observed,
                                           const database& where) {
    const auto unchanged = [&](const cache::dependency& d) { return from_the_start(d, where); };
    if (std::ranges::all_of(observed, unchanged)) return never_changed;
    const auto now = clock_();
    auto latest = never_changed;
    const std::lock_guard lock{mutex_};
    for (const auto& d : observed) {
        if (unchanged(d)) continue;
        auto& known = seen_[d.table];
        // Versions only grow. Of one that was observed long ago somebody has seen a later one.
        if (d.version > known.version) known = {d.version, now, {}};
        latest = std::max(latest, known.since);
    }
    return latest;
}

std::optional<wal_place> tier_guard::least_place(std::span<const cache::dependency> observed,
                                                 const database& where) {
    const auto proof = where.wal();
    if (proof.history == 0 || proof.proven == 0) return std::nullopt;
    wal_place out{proof.history, proof.began};
    const std::lock_guard lock{mutex_};
    for (const auto& d : observed) {
        if (from_the_start(d, where)) continue;
        const auto found = seen_.find(d.table);
        if (found == seen_.end()) return std::nullopt;
        auto& known = found->second;
        if (known.place.history != proof.history) {
            if (proof.at <= known.since) return std::nullopt;
            known.place = {proof.history, proof.proven};
        }
        out.position = std::max(out.position, known.place.position);
    }
    return out;
}

bool tier_guard::filled_after(const tier_find& found, time_point when) noexcept {
    return when == never_changed || found.asked - found.age - clock_slack > when;
}

bool tier_guard::may_serve(const tier_find& found, const tier_claim& mine) const noexcept {
    if (found.age < std::chrono::microseconds{0} || found.age >= found.ttl) return false;
    if (found.filler == self_ && found.versions == mine.versions) return true;
    if (found.catalog != mine.catalog) return false;
    if (by_ == validity::ttl) return filled_after(found, mine.changed);
    return mine.least.history != 0 && found.wal.history == mine.least.history &&
           found.wal.position >= mine.least.position &&
           filled_after(found, time_point{time_point::duration{invalidated_.load()}});
}

}  // namespace pgsidecar::core

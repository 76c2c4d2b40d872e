// Which entries of a shared tier this process may serve, so that nothing in it is ever stale after
// a write that it has acknowledged. Two rules, of which one must hold (tables: all that the answer
// depends on, as this process plans it, with the database and the cluster):
//
//   own      this process has put it, and every table has the version that it had then;
//   foreign  it was planned by the same catalogs, and its fill began after every table had got its
//            present version here. A table that has not been written or changed here since the
//            process began has always had it.
//
// Shared by all workers. Nothing of it is asked on a hit in memory.
#pragma once
#include <atomic>
#include <functional>
#include <mutex>
#include <span>
#include <unordered_map>

#include "cache/versions.h"
#include "proxy/core/databases.h"
#include "proxy/core/tier.h"

namespace pgsidecar::core {

class tier_guard {
  public:
    using time_point = cache::time_point;
    // `clock`: read after the versions, since a time taken before could be that of before the
    // write.
    tier_guard(const cache::instance_id& self, std::function<time_point()> clock)
        : self_{self}, clock_{std::move(clock)} {}

    // Whether asking makes sense now: false while the tier is not there. Any thread.
    [[nodiscard]] bool available() const noexcept {
        return available_.load(std::memory_order_relaxed);
    }
    void set_available(bool is) noexcept { available_.store(is, std::memory_order_relaxed); }

    // When the last of them got the version that was observed, or later; never_changed: each has
    // had it from the beginning.
    [[nodiscard]] time_point changed(std::span<const cache::dependency> observed,
                                     const database& where);
    static constexpr time_point never_changed = time_point::min();

    // `versions`, `catalog`, `changed`: of the reader, taken before the tier was asked.
    [[nodiscard]] bool may_serve(const tier_find& found, const cache::hash128& versions,
                                 std::uint64_t catalog, time_point changed) const noexcept;

    // The clocks of two nodes of one tier may differ by so much.
    static constexpr std::chrono::seconds clock_slack{2};

  private:
    struct sight {
        std::uint64_t version = 0;
        time_point since{};
    };
    const cache::instance_id self_;
    const std::function<time_point()> clock_;
    std::atomic<bool> available_{false};
    std::mutex mutex_;
    std::unordered_map<const cache::table_state*, sight> seen_;
};

}  // namespace pgsidecar::core

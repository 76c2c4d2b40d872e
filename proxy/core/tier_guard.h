// Which entries of a shared tier this process may serve, so that nothing in it is ever stale after
// a write that it has acknowledged. Two rules, of which one must hold (tables: all that the answer
// depends on, as this process plans it, with the database and the cluster):
//
//   own      this process has put it, and every table has the version that it had then;
//   foreign  it was planned by the same catalogs, and its fill began after every table had got its
//            present version here. A table that has not been written or changed here since the
//            process began has always had it.
//
// With a proof from the write-ahead log (validity::wal) the second one is another: before its query
// was sent, its filler had applied all commits up to a position at which this process's stream had
// begun already, and behind which nothing has happened here that any of the tables has seen. What
// has happened to a table without the log's telling (a write whose commit is still to be read, a
// definition) is taken to be at the first position that is proven to be behind it. An INVALIDATE is
// in no log: what was filled before it is not served.
//
// Shared by all workers. Nothing of it is asked on a hit in memory.
#pragma once
#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
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
    enum class validity : std::uint8_t { ttl, wal };
    tier_guard(const cache::instance_id& self, std::function<time_point()> clock,
               validity by = validity::ttl)
        : self_{self}, clock_{std::move(clock)}, by_{by} {}
    [[nodiscard]] bool wants_proof() const noexcept { return by_ == validity::wal; }

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

    // For validity::wal: where an entry must have been filled, or behind it. Nothing: not to be
    // told yet. After changed() of the same.
    [[nodiscard]] std::optional<wal_place> least_place(std::span<const cache::dependency> observed,
                                                       const database& where);

    [[nodiscard]] bool may_serve(const tier_find& found, const tier_claim& mine) const noexcept;

    // All that was cached before now is not to be served again. Any thread.
    void invalidated() noexcept { invalidated_.store(clock_().time_since_epoch().count()); }

    // The clocks of two nodes of one tier may differ by so much.
    static constexpr std::chrono::seconds clock_slack{2};

  private:
    struct sight {
        std::uint64_t version = 0;
        time_point since{};
        wal_place place{};  // where its version is proven to be from, or before
    };
    [[nodiscard]] static bool from_the_start(const cache::dependency& d, const database& where);
    // With the slack, since ages are told by other clocks.
    [[nodiscard]] static bool filled_after(const tier_find& found, time_point when) noexcept;

    const cache::instance_id self_;
    const std::function<time_point()> clock_;
    const validity by_;
    std::atomic<bool> available_{false};
    std::atomic<time_point::rep> invalidated_{never_changed.time_since_epoch().count()};
    std::mutex mutex_;
    std::unordered_map<const cache::table_state*, sight> seen_;
};

}  // namespace pgsidecar::core

// What all workers share about each database of the upstream: its catalog snapshot, its table
// versions, and how many sessions have a commit in flight. A database lives as long as the process
// (its addresses are kept in sessions and entries); the catalog inside is replaced as a whole.
//
// A snapshot is usable while its generation is the wanted one and no schema change is in flight.
// want_reload() makes every snapshot whose reading began earlier unusable: the reader of catalogs
// takes wanted() first, reads, then publishes under that number.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "cache/versions.h"
#include "policy/catalog.h"
#include "proxy/core/wal_proof.h"

namespace pgsidecar::core {

// Who tells of writes that do not pass through the proxy.
struct outside_coverage {
    enum class by : std::uint8_t {
        nobody,       // none is required
        publication,  // the stream of one that tells of every change of the table
        triggers      // those of `pgsidecar migrate up --notify`, on the table and all above it
    };
    by whom = by::nobody;
    std::string publication{};
    bool of_definitions = false;  // an event trigger tells of them, beside the publication
    bool operator==(const outside_coverage&) const = default;
};

class database {
  public:
    database(std::string name, cache::versions& versions, const std::atomic<bool>& suspended)
        : name_{std::move(name)},
          versions_{versions},
          suspended_{suspended},
          whole_{versions.database(name_)},
          cluster_{versions.cluster()} {}

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] cache::table_state& whole() noexcept { return whole_; }
    [[nodiscard]] cache::table_state& cluster() noexcept { return cluster_; }
    [[nodiscard]] cache::table_state& table(policy::oid id) { return versions_.of(name_, id); }
    [[nodiscard]] cache::versions& versions() noexcept { return versions_; }

    // Any thread. Null with nothing published, with what is published being out of date, or while
    // the cache is suspended.
    [[nodiscard]] std::shared_ptr<const policy::catalog> usable_catalog() const;
    // What there is, usable or not: good enough to widen a write's reach, not to allow a read.
    [[nodiscard]] std::shared_ptr<const policy::catalog> latest_catalog() const;
    // True: it differs from the one before, and what was cached is gone.
    bool publish(std::shared_ptr<const policy::catalog> snapshot);
    void withdraw();  // nobody looks any more: nothing is known
    // The control connection is gone. What was cached before is not served as if it were fresh, and
    // is outdated when a catalog is published again.
    void lose(std::chrono::steady_clock::time_point now);
    // For who must do without the server: what was usable before it was lost or doubted, until a
    // catalog is published again. Null: nothing, or definitions may have changed after it was read.
    [[nodiscard]] std::shared_ptr<const policy::catalog> doubted_catalog() const;

    [[nodiscard]] bool suspended() const noexcept { return suspended_.load(); }  // as databases are

    [[nodiscard]] std::uint64_t wanted() const noexcept { return wanted_.load(); }
    void want_reload() noexcept;
    // Likewise, but for no change: the server may be another one, or gone.
    void doubt(std::chrono::steady_clock::time_point now);
    // Changes whenever usable_catalog() may answer differently: cheap to compare on the hot path.
    [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_.load(); }

    // From before the bytes that may commit it leave until its outcome is known. All that was
    // cached before is outdated then, whatever the next snapshot shows: a trigger may have been
    // enabled and disabled again around a write.
    void begin_schema_change() noexcept { schema_changes_.fetch_add(1), epoch_.fetch_add(1); }
    void end_schema_change() noexcept;
    void move_epoch() noexcept { epoch_.fetch_add(1); }

    // whole()'s version is up to this one while nothing has been written or changed here: the first
    // catalog is no change.
    [[nodiscard]] std::uint64_t first_version() const noexcept { return first_version_.load(); }
    [[nodiscard]] bool is_whole(const cache::table_state* t) const noexcept { return t == &whole_; }

    // How far the cache may be relied upon with a view to writes that do not come through here:
    // until then, unless somebody says so again. max(): by the age of its entries alone.
    using time_point = std::chrono::steady_clock::time_point;
    // min(): not any more.
    void trust_until(time_point when) noexcept {
        if (when != time_point::min()) seen_until_.store(when.time_since_epoch().count());
        trusted_until_.store(when.time_since_epoch().count());
    }
    [[nodiscard]] bool trusted(time_point now) const noexcept {
        return now.time_since_epoch().count() <= trusted_until_.load(std::memory_order_acquire);
    }
    // Until when definitions, and writes that do not come through here, were followed last; max():
    // they are, or are never but by the age of entries.
    [[nodiscard]] time_point seen_until() const;
    // Any thread. See wal_proof.h; wal_ended(): there is none from here on.
    void wal_began(std::uint64_t history, std::uint64_t position);
    void wal_reached(std::uint64_t position);
    void wal_proven(std::uint64_t position, time_point at);
    void wal_ended() { wal_began(0, 0); }
    [[nodiscard]] wal_proof wal() const;

    // Only tables of whose changes somebody tells may be cached.
    void require(outside_coverage coverage);
    [[nodiscard]] outside_coverage required() const;

    std::atomic<std::uint32_t> writers{0};  // sessions that have a commit in flight here
    std::atomic<std::uint32_t> clients{0};  // logged-in sessions

  private:
    [[nodiscard]] bool is_usable() const;  // what is published; under the mutex

    std::string name_;
    cache::versions& versions_;
    const std::atomic<bool>& suspended_;
    cache::table_state& whole_;
    cache::table_state& cluster_;
    std::atomic<std::uint64_t> wanted_{1};
    std::atomic<std::uint64_t> changed_{1};  // wanted_, when a change was the last time the reason
    std::atomic<std::uint64_t> epoch_{1};
    std::atomic<std::uint32_t> schema_changes_{0};
    std::atomic<std::uint64_t> first_version_{cache::table_state::first_version};
    std::atomic<time_point::rep> trusted_until_{time_point::max().time_since_epoch().count()};
    std::atomic<time_point::rep> seen_until_{time_point::max().time_since_epoch().count()};
    mutable std::mutex mutex_;
    std::shared_ptr<const policy::catalog> catalog_;
    std::shared_ptr<const policy::catalog> before_loss_;
    time_point doubted_at_ = time_point::max();
    outside_coverage required_;
    mutable std::mutex wal_mutex_;
    wal_proof wal_;
};

class databases {
  public:
    explicit databases(cache::versions& versions) : versions_{versions} {}
    [[nodiscard]] database& of(std::string_view name);
    void for_each(const std::function<void(database&)>& visit);
    // After a change that concerns every database (roles, privileges, server settings).
    void want_reload_everywhere();
    void doubt_everywhere(std::chrono::steady_clock::time_point now);

    // While suspended nothing is served from the cache and nothing is put into it, in any database;
    // a session that is in the middle of a call may have seen the state before. Writes are followed
    // as ever.
    void suspend();
    // Somebody else may have written meanwhile, data and definitions: all that was cached before is
    // outdated, and catalogs are to be read again before anything is served.
    void resume_anew();
    // Nobody has written meanwhile, and nothing was cached before.
    void resume_first();
    [[nodiscard]] bool suspended() const noexcept { return suspended_.load(); }

    // Moved before and after each statement that alters what a log-in is given.
    std::atomic<std::uint64_t> defaults_altered{0};

  private:
    cache::versions& versions_;
    std::atomic<bool> suspended_{false};
    std::mutex mutex_;
    std::map<std::string, std::unique_ptr<database>, std::less<>> by_name_;
};

}  // namespace pgsidecar::core

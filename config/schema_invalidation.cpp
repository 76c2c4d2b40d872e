// How writes that do not pass through the proxy are seen.
#include <array>

#include "config/schema.h"

namespace pgsidecar::config {
namespace {

constexpr std::uint64_t minute = 60'000;  // ms

#define PGSIDECAR_AT(member) [](settings& s) -> slot { return &s.member; }

const std::array invalidation_table{
    key_row<settings>{"cache.invalidation",
                      PGSIDECAR_AT(cache.invalidation),
                      "How writes that do not pass through pgsidecar outdate what is cached. "
                      "`wal`: each database's WAL "
                      "is followed through a temporary replication "
                      "slot, and only tables of the `publication` are cached. `notify`: by the "
                      "triggers of `pgsidecar migrate up --notify`, and only tables that have them "
                      "are cached. `ttl`: not at all, an answer is served until its time is over. "
                      "`auto`: the first of these that the server allows; the log and `SHOW CACHE` "
                      "say which.",
                      {},
                      nullptr,
                      key_flag::restart},
    key_row<settings>{"cache.publication",
                      PGSIDECAR_AT(cache.publication),
                      "The publication that `wal` follows, as `pgsidecar migrate up --wal` makes "
                      "it. It has to tell of inserts, updates, deletes and truncates, without row "
                      "filters and not by the root of partitions.",
                      {},
                      check_object_name,
                      key_flag::restart},
    key_row<settings>{
        "cache.persistent_slot",
        PGSIDECAR_AT(cache.persistent_slot),
        "With `wal`: a name, of lower-case letters, digits and `_`. The slot of a database is then "
        "`<name>_<the database's oid>`, and stays when its connection is lost, so that what is "
        "cached "
        "outlives that. A slot that nobody follows keeps the server's WAL: set "
        "`max_slot_wal_keep_size` there. Two pgsidecars of one server need two names. Empty: a "
        "temporary slot, which ends with its connection.",
        {},
        check_slot_name,
        key_flag::restart},
    key_row<settings>{
        "cache.max_invalidation_lag",
        PGSIDECAR_AT(cache.max_invalidation_lag),
        "With `wal` and `notify`: how long ago the stream may have been known to be complete. "
        "Beyond that `on_invalidation_loss` says what happens.",
        {50, 10 * minute},
        nullptr,
        key_flag::restart},
    key_row<settings>{
        "cache.on_invalidation_loss",
        PGSIDECAR_AT(cache.on_invalidation_loss),
        "With `wal` and `notify`, while the stream is lost or late: `bypass` asks the server for "
        "everything; `ttl` goes on serving answers until their time is over, though "
        "they may be outdated.",
        {},
        nullptr,
        key_flag::restart},
};

#undef PGSIDECAR_AT

}  // namespace

std::span<const key_row<settings>> invalidation_rows() noexcept { return invalidation_table; }

}  // namespace pgsidecar::config

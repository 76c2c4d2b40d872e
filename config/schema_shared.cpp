// The keys of the tier that several sidecars share.
#include <array>

#include "config/conninfo.h"
#include "config/schema.h"

namespace pgsidecar::config {
namespace {

constexpr std::uint64_t kb = 1024, mb = kb * kb, gb = kb * mb;

// The tier is made once, so all of it takes a restart.
constexpr key_row<settings> row(std::string_view path, slot (*at)(settings&),
                                std::string_view meaning, bounds range = {},
                                text_check check = nullptr) {
    return {path, at, meaning, range, check, key_flag::restart};
}

// How a row's lambda hands out a member.
#define PGSIDECAR_AT(member) [](settings& s) -> slot { return &s.shared_cache.member; }

constexpr std::array shared_table{
    row("shared_cache.validity", PGSIDECAR_AT(validity),
        "By what an entry of the tier is known to be valid; has to be said. `wal`: by what the "
        "server's WAL tells (`cache.invalidation: wal`), so that one from the tier is as good as "
        "one "
        "of this sidecar's own; databases whose WAL is not followed do without the tier. `ttl`: by "
        "its age, and by what this sidecar itself has written; what is written elsewhere shows "
        "when "
        "the `ttl` is over.",
        {}, check_validity),
    row("shared_cache.timeout", PGSIDECAR_AT(timeout),
        "How long a query that is not in memory waits for the tier before it goes to the server.",
        {1, 10'000}),
    row("shared_cache.max_queued", PGSIDECAR_AT(max_queued),
        "Answers on their way to the tier; what is more is not put there, and counted.",
        {64 * kb, 16 * gb}),
    row("shared_cache.prefix", PGSIDECAR_AT(prefix),
        "What the names of all entries begin with. Sidecars with different ones share nothing.", {},
        check_key_prefix),
    row("shared_cache.encryption_key_file", PGSIDECAR_AT(encryption_key_file),
        "File with a key of 32 bytes (as they are, as 64 hexadecimal digits, or in base64) by "
        "which "
        "entries are encrypted (AES-256-GCM) and their names hidden. Sidecars with different keys "
        "share nothing. Empty: entries lie there as they are, and are trusted as they lie there.",
        {}, check_path),
    key_row<settings>{
        "shared_cache.connection",
        PGSIDECAR_AT(connection),
        "`database`: libpq connection string of the database that has the table, with "
        "the upstream's host and port where it names none. The role needs SELECT, "
        "INSERT, UPDATE and DELETE; the table's schema is in its search_path. Empty "
        "is `upstream.control_connection`.",
        {0, 4096},
        check_conninfo,
        key_flag::conninfo},
    row("shared_cache.redis_addresses", PGSIDECAR_AT(redis_addresses),
        "`redis`: host:port of the server (6.2 or newer), of Sentinels, or of some nodes of a "
        "cluster. Of several servers the first that answers is used.",
        {0, 100}, check_endpoint),
    row("shared_cache.redis_sentinel_master", PGSIDECAR_AT(redis_sentinel_master),
        "Name of the server that the Sentinels at `redis_addresses` watch; empty: these are no "
        "Sentinels."),
    row("shared_cache.redis_cluster", PGSIDECAR_AT(redis_cluster),
        "Whether `redis_addresses` are nodes of a cluster."),
    row("shared_cache.redis_username", PGSIDECAR_AT(redis_username),
        "ACL user; empty is redis's `default`. It needs GET, SET, TIME, PING, and CLUSTER SLOTS in "
        "a cluster, on keys that begin with the prefix."),
    row("shared_cache.redis_password_file", PGSIDECAR_AT(redis_password_file),
        "File with the password, a line. Empty: no AUTH. Sentinels are not given it.", {},
        check_path),
    row("shared_cache.redis_tls_sslmode", PGSIDECAR_AT(redis_tls.mode),
        "TLS towards redis and Sentinels, in libpq's words; `allow` and `prefer` are as `require`, "
        "for redis does not negotiate."),
    row("shared_cache.redis_tls_ca_file", PGSIDECAR_AT(redis_tls.ca_file),
        "Authorities that sign redis's certificate, PEM; needed by `verify-ca` and `verify-full`.",
        {}, check_path),
    row("shared_cache.redis_tls_cert_file", PGSIDECAR_AT(redis_tls.cert_file),
        "Certificate shown to redis, PEM.", {}, check_path),
    row("shared_cache.redis_tls_key_file", PGSIDECAR_AT(redis_tls.key_file),
        "Private key of that certificate, PEM.", {}, check_path),
    row("shared_cache.redis_tls_min_protocol", PGSIDECAR_AT(redis_tls.min_protocol),
        "Oldest TLS version accepted from redis."),
};
#undef PGSIDECAR_AT

}  // namespace

std::span<const key_row<settings>> shared_cache_rows() noexcept { return shared_table; }

}  // namespace pgsidecar::config

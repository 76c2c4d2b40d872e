#include <array>

#include "config/schema.h"

namespace pgsidecar::config {
namespace {

constexpr std::uint64_t hour = 3'600'000, day = 24 * hour;  // milliseconds

constexpr key_row<settings> row(std::string_view path, slot (*at)(settings&),
                                std::string_view meaning, bounds range,
                                text_check check = nullptr) {
    return {path, at, meaning, range, check, key_flag::none};
}

// How a row's lambda hands out a member.
#define PGSIDECAR_AT(member) [](settings& s) -> slot { return &s.pool.member; }

constexpr std::array pool_table{
    row("default_pool_size", PGSIDECAR_AT(default_pool_size),
        "Server connections of one pool, over all workers. A pool belongs to a database, a user "
        "and the start-up parameters other than `application_name`. This key and those below it, "
        "up to `max_prepared_statements`, are for `pool_mode: transaction`.",
        {1, 10'000}),
    row("min_pool_size", PGSIDECAR_AT(min_pool_size),
        "Connections of a pool that are kept open also when nobody uses them, once its user has "
        "logged in; `default_pool_size` at most.",
        {0, 10'000}),
    row("reserve_pool_size", PGSIDECAR_AT(reserve_pool_size),
        "Connections that a pool may have beyond `default_pool_size` once a client has waited for "
        "`reserve_pool_timeout`; 0 is none.",
        {0, 10'000}),
    row("reserve_pool_timeout", PGSIDECAR_AT(reserve_pool_timeout),
        "How long a client waits before its pool may use the reserve.", {1, hour}),
    row("max_db_connections", PGSIDECAR_AT(max_db_connections),
        "Server connections to one database, over all its pools. At that number an idle connection "
        "of another pool is closed to make room. 0 is no limit.",
        {0, 10'000}),
    row("max_user_connections", PGSIDECAR_AT(max_user_connections),
        "Server connections of one user, over all pools of that user. At that number an idle "
        "connection of another pool is closed to make room. 0 is no limit.",
        {0, 10'000}),
    row("query_wait_timeout", PGSIDECAR_AT(query_wait_timeout),
        "How long a client may wait for a server connection of its pool; then its request is "
        "refused (55P03), and the client stays connected. 0 is for ever. Not to be confused with "
        "the key of that name in `tenants.tiers`, for the turn that a tenant's request waits for.",
        {0, day}),
    row("server_idle_timeout", PGSIDECAR_AT(server_idle_timeout),
        "A server connection that nobody has used for so long is closed, unless that left fewer "
        "than `min_pool_size`; 0 is never.",
        {0, 365 * day}),
    row("server_lifetime", PGSIDECAR_AT(server_lifetime),
        "A server connection older than that is closed as soon as nobody uses it; 0 closes each "
        "one after its first use.",
        {0, 365 * day}),
    row("server_login_retry", PGSIDECAR_AT(server_login_retry),
        "How long clients are refused with the same error after connecting to the server has "
        "failed, instead of another attempt; 0 attempts it each time. A log-in that the server "
        "refused is not remembered.",
        {0, hour}),
    row("server_check_delay", PGSIDECAR_AT(server_check_delay),
        "A server connection that was idle for longer is asked `server_check_query` before it is "
        "used.",
        {0, day}),
    row("server_check_query", PGSIDECAR_AT(server_check_query),
        "SQL that shows whether a server connection still works; empty asks nothing.", {},
        check_query),
    row("max_prepared_statements", PGSIDECAR_AT(max_prepared_statements),
        "Prepared statements kept at each server connection; the least recently used go first.",
        {1, 100'000}),
};
#undef PGSIDECAR_AT

}  // namespace

std::span<const key_row<settings>> pool_rows() noexcept { return pool_table; }

}  // namespace pgsidecar::config

// The commands of the admin console: their grammar, who may use them, and the words with which they
// are explained. Pure; whoever carries a command out is in proxy/io/console.
//
//     split_commands() -> read_command() -> may() -> the protocol answers what is local(), asks for
//     the rest
//
// Words are PgBouncer's. Names stand as they are typed, or in quotes. No error holds a part of the
// text: it may be a statement that somebody has sent to the wrong place.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace pgsidecar::ops {

enum class console_view : std::uint8_t {
    stats,
    stats_totals,
    stats_averages,
    totals,
    pools,
    lists,
    users,
    databases,
    clients,
    servers,
    sockets,
    active_sockets,
    mem,
    dns_hosts,
    dns_zones,
    config,
    state,
    version,
    help,
    cache,
    tenants,
    queries,
    explain,
    flags,
    rules,
    parameter,  // SHOW of one of the server's own settings, which drivers ask for
    count_
};
[[nodiscard]] std::string_view to_string(console_view v) noexcept;

struct console_command {
    enum class kind : std::uint8_t {
        show,
        pause,
        resume,
        disable,
        enable,
        reconnect,
        kill,
        kill_client,
        reload,
        rollback_config,
        set,
        shutdown,
        wait_close,
        invalidate,
        // What drivers say when they connect, or give a connection back to their pool.
        chatter,  // done by saying so: tag
        select,   // one row of one column: name, value
        begin,
        commit,
        rollback
    };
    enum class reach : std::uint8_t { all, table, tenant, rule };
    enum class ending : std::uint8_t { at_once, wait_for_clients, wait_for_servers };

    kind what = kind::show;
    console_view view = console_view::help;
    reach invalidates = reach::all;
    ending ends = ending::at_once;
    std::string tag{};         // of its CommandComplete
    std::string name{};        // of a database (empty: all), table, tenant, rule, key, or column
    std::string value{};       // of SET; the statement of EXPLAIN; the cell of a select
    std::string database{};    // EXPLAIN, INVALIDATE TABLE; empty: not said
    std::string user{};        // EXPLAIN
    std::uint64_t number = 0;  // LIMIT, 0: not said; the client of KILL_CLIENT

    // No more than an answer of the protocol's.
    [[nodiscard]] bool local() const noexcept { return what >= kind::chatter; }
};

struct console_error {
    std::string sqlstate{};  // empty: there is none
    std::string message{};
    std::string detail{};
    std::string hint{};
};

[[nodiscard]] std::variant<console_command, console_error> read_command(std::string_view text);

// Who somebody is at the console; none: has no business there.
enum class console_role : std::uint8_t { none, stats, admin };
[[nodiscard]] console_role role_of(std::string_view user, std::span<const std::string> admin_users,
                                   std::span<const std::string> stats_users) noexcept;
[[nodiscard]] bool may(console_role who, const console_command& c) noexcept;

// Every command, a line each.
[[nodiscard]] std::string console_usage();

}  // namespace pgsidecar::ops

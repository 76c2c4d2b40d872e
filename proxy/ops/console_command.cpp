#include "proxy/ops/console_command.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "protocol/ascii.h"
#include "proxy/ops/console_chatter.h"
#include "proxy/ops/console_text.h"

namespace pgsidecar::ops {
namespace {

using kind = console_command::kind;
using reach = console_command::reach;
using ending = console_command::ending;
using outcome_of_reading = std::variant<console_command, console_error>;

constexpr auto views = static_cast<std::size_t>(console_view::count_);
constexpr std::array<std::string_view, views> view_names{"stats",
                                                         "stats_totals",
                                                         "stats_averages",
                                                         "totals",
                                                         "pools",
                                                         "lists",
                                                         "users",
                                                         "databases",
                                                         "clients",
                                                         "servers",
                                                         "sockets",
                                                         "active_sockets",
                                                         "mem",
                                                         "dns_hosts",
                                                         "dns_zones",
                                                         "config",
                                                         "state",
                                                         "version",
                                                         "help",
                                                         "cache",
                                                         "tenants",
                                                         "queries",
                                                         "explain",
                                                         "flags",
                                                         "rules",
                                                         ""};

console_error invalid(std::string message) {
    return {"42601", std::move(message), "These exist:\n" + console_usage(), "Use SHOW HELP."};
}

console_error incomplete(std::string_view command, std::string_view lacks) {
    return invalid(std::string{command} + " needs " + std::string{lacks});
}

console_command made(kind what, std::string_view tag) {
    console_command out;
    out.what = what;
    out.tag = tag;
    return out;
}

// With nothing behind it.
outcome_of_reading finished(console_command&& c, const word_reader& in) {
    if (in.at_end()) return std::move(c);
    return invalid("unexpected words behind " + c.tag);
}

// PAUSE [db], and its like.
outcome_of_reading read_database(kind what, std::string_view tag, bool needed, word_reader& in) {
    auto c = made(what, tag);
    if (!in.at_end() && !in.take_name(c.name)) return invalid("invalid name behind " + c.tag);
    if (needed && c.name.empty()) return incomplete(tag, "the name of a database");
    return finished(std::move(c), in);
}

bool read_number(std::string_view text, std::uint64_t& out) {
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    if (hex) text.remove_prefix(2);
    const auto* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, out, hex ? 16 : 10);
    return error == std::errc{} && at == end && !text.empty();
}

outcome_of_reading read_explain(word_reader& in) {
    auto c = made(kind::show, "SHOW");
    c.view = console_view::explain;
    for (;;) {
        auto* to = in.take("database") ? &c.database : in.take("user") ? &c.user : nullptr;
        if (!to) break;
        if (!in.take_name(*to))
            return incomplete("SHOW EXPLAIN", "a name behind DATABASE and USER");
    }
    c.value = in.rest();
    if (c.value.empty()) return incomplete("SHOW EXPLAIN", "a statement");
    return c;
}

outcome_of_reading read_show(word_reader& in) {
    if (in.at_end()) return incomplete("SHOW", "to be told what");
    if (in.take("explain")) return read_explain(in);
    auto c = made(kind::show, "SHOW");
    for (std::size_t i = 0; i < views; ++i) {
        if (view_names[i].empty() || !in.take(view_names[i])) continue;
        c.view = static_cast<console_view>(i);
        if (c.view == console_view::queries && in.take("limit")) {
            std::string number;
            if (!in.take_name(number) || !read_number(number, c.number) || c.number == 0)
                return incomplete("LIMIT", "a number");
        }
        return finished(std::move(c), in);
    }
    if (in.take("fds"))
        return console_error{
            "0A000", "SHOW FDS is not offered: it would give secrets away", {}, {}};
    if (auto parameter = read_parameter(in)) return std::move(*parameter);
    return invalid("invalid command: there is no such SHOW");
}

outcome_of_reading read_set(word_reader& in) {
    if (auto chatter = read_ignored_set(in)) return std::move(*chatter);
    auto c = made(kind::set, "SET");
    if (!in.take_name(c.name)) return incomplete("SET", "a key and a value");
    if (!in.take_char('=') && !in.take("to")) return incomplete("SET", "= and a value");
    if (in.at_end()) return incomplete("SET", "a value");
    auto whole = in;
    if (!whole.take_name(c.value) || !whole.at_end()) c.value = in.rest();
    return c;
}

outcome_of_reading read_shutdown(word_reader& in) {
    auto c = made(kind::shutdown, "SHUTDOWN");
    if (in.take("wait_for_clients"))
        c.ends = ending::wait_for_clients;
    else if (in.take("wait_for_servers"))
        c.ends = ending::wait_for_servers;
    return finished(std::move(c), in);
}

outcome_of_reading read_kill_client(word_reader& in) {
    auto c = made(kind::kill_client, "KILL_CLIENT");
    std::string number;
    if (!in.take_name(number) || !read_number(number, c.number))
        return incomplete("KILL_CLIENT", "the ptr of a client, as SHOW CLIENTS has it");
    return finished(std::move(c), in);
}

outcome_of_reading read_invalidate(word_reader& in) {
    auto c = made(kind::invalidate, "INVALIDATE");
    if (in.take("all")) return finished(std::move(c), in);
    if (in.take("table"))
        c.invalidates = reach::table;
    else if (in.take("tenant"))
        c.invalidates = reach::tenant;
    else if (in.take("rule"))
        c.invalidates = reach::rule;
    else
        return incomplete("INVALIDATE", "ALL, TABLE, TENANT or RULE");
    if (!in.take_name(c.name)) return incomplete("INVALIDATE", "a name");
    if (c.invalidates == reach::table) {
        // "a"."b"
        std::string second;
        if (in.take_char('.')) {
            if (!in.take_name(second)) return incomplete("INVALIDATE TABLE", "a name");
            c.name += '.' + second;
        }
        if (in.take("in") && !in.take_name(c.database))
            return incomplete("INVALIDATE TABLE", "a database behind IN");
    }
    return finished(std::move(c), in);
}

struct database_command {
    std::string_view word, tag;
    kind what;
    bool needs_name;
};
constexpr std::array database_commands{
    database_command{"pause", "PAUSE", kind::pause, false},
    database_command{"resume", "RESUME", kind::resume, false},
    database_command{"disable", "DISABLE", kind::disable, true},
    database_command{"enable", "ENABLE", kind::enable, true},
    database_command{"reconnect", "RECONNECT", kind::reconnect, false},
    database_command{"kill", "KILL", kind::kill, true},
    database_command{"wait_close", "WAIT_CLOSE", kind::wait_close, false},
};

}  // namespace

std::string_view to_string(console_view v) noexcept {
    return view_names[static_cast<std::size_t>(v)];
}

outcome_of_reading read_command(std::string_view text) {
    word_reader in{text};
    for (const auto& c : database_commands)
        if (in.take(c.word)) return read_database(c.what, c.tag, c.needs_name, in);
    if (in.take("show")) return read_show(in);
    if (in.take("set")) return read_set(in);
    if (in.take("kill_client")) return read_kill_client(in);
    if (in.take("reload")) return finished(made(kind::reload, "RELOAD"), in);
    if (in.take("shutdown")) return read_shutdown(in);
    if (in.take("invalidate")) return read_invalidate(in);
    if (in.take("suspend"))
        return console_error{"0A000",
                             "SUSPEND is not offered",
                             "PAUSE waits until no server connection is in use.",
                             {}};
    if (auto rollback = in; rollback.take("rollback") && rollback.take("config"))
        return finished(made(kind::rollback_config, "ROLLBACK CONFIG"), rollback);
    if (auto chatter = read_chatter(in)) return std::move(*chatter);
    return invalid("invalid command");
}

console_role role_of(std::string_view user, std::span<const std::string> admin_users,
                     std::span<const std::string> stats_users) noexcept {
    if (std::ranges::find(admin_users, user) != admin_users.end()) return console_role::admin;
    if (std::ranges::find(stats_users, user) != stats_users.end()) return console_role::stats;
    return console_role::none;
}

bool may(console_role who, const console_command& c) noexcept {
    if (who == console_role::admin) return true;
    return who == console_role::stats && (c.what == kind::show || c.local());
}

std::string console_usage() {
    return "SHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION|STATE\n"
           "SHOW SOCKETS|ACTIVE_SOCKETS|LISTS|MEM|DNS_HOSTS|DNS_ZONES\n"
           "SHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS\n"
           "SHOW CACHE|TENANTS|RULES|FLAGS\n"
           "SHOW QUERIES [LIMIT <n>]\n"
           "SHOW EXPLAIN [DATABASE <db>] [USER <user>] <statement>\n"
           "SET <key> = <value>\n"
           "RELOAD\n"
           "ROLLBACK CONFIG\n"
           "PAUSE [<db>]\n"
           "RESUME [<db>]\n"
           "DISABLE <db>\n"
           "ENABLE <db>\n"
           "RECONNECT [<db>]\n"
           "KILL <db>\n"
           "KILL_CLIENT <ptr>\n"
           "WAIT_CLOSE [<db>]\n"
           "INVALIDATE ALL|TABLE <name> [IN <db>]|TENANT <name>|RULE <name>\n"
           "SHUTDOWN [WAIT_FOR_CLIENTS|WAIT_FOR_SERVERS]";
}

}  // namespace pgsidecar::ops

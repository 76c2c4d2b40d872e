#include "config/schema.h"

#include <array>
#include <cassert>
#include <type_traits>

#include "config/conninfo.h"

namespace pgsidecar::config {
namespace {

using policy::cache_rule;
using policy::rule_mode;

constexpr std::uint64_t kb = 1024, mb = kb * kb, gb = kb * mb;
constexpr std::uint64_t second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;

// How a row's lambda hands out a member.
#define PGSIDECAR_AT(member) [](settings& s) -> slot { return &s.member; }

constexpr std::array setting_table{
    key_row<settings>{"listen_addr",
                      PGSIDECAR_AT(listen_addr),
                      "IP address on which clients are accepted; `*` is every interface.",
                      {},
                      check_listen_addr,
                      key_flag::restart},
    key_row<settings>{"listen_port",
                      PGSIDECAR_AT(listen_port),
                      "TCP port on which clients are accepted; 0 takes a free one and logs it.",
                      {0, 65535},
                      nullptr,
                      key_flag::restart},
    key_row<settings>{"listen_backlog",
                      PGSIDECAR_AT(listen_backlog),
                      "Connections the operating system may queue before they are accepted.",
                      {1, 65535},
                      nullptr,
                      key_flag::restart},
    key_row<settings>{"workers",
                      PGSIDECAR_AT(workers),
                      "Threads that serve clients; 0 is one for each processor core.",
                      {0, 1024},
                      nullptr,
                      key_flag::restart},
    key_row<settings>{"max_client_conn",
                      PGSIDECAR_AT(max_client_conn),
                      "Client connections at one time; a further one is refused.",
                      {1, 1'000'000}},
    key_row<settings>{"enable_optimizations", PGSIDECAR_AT(enable_optimizations),
                      "The kill switch: `false` makes the proxy a pure pass-through."},
    key_row<settings>{"pool_mode",
                      PGSIDECAR_AT(pool_mode),
                      "`session`: each client has a server connection of its own, and the server "
                      "authenticates it.",
                      {},
                      nullptr,
                      key_flag::restart},
    key_row<settings>{"server_connect_timeout",
                      PGSIDECAR_AT(server_connect_timeout),
                      "How long connecting to the server may take, TLS included.",
                      {1, hour}},
    key_row<settings>{"client_login_timeout",
                      PGSIDECAR_AT(client_login_timeout),
                      "How long a client may take from connecting to being logged in.",
                      {1, hour}},
    key_row<settings>{"shutdown_timeout",
                      PGSIDECAR_AT(shutdown_timeout),
                      "How long a shutdown waits for clients to finish; 0 does not wait.",
                      {0, day}},
    key_row<settings>{"max_sql_length",
                      PGSIDECAR_AT(max_sql_length),
                      "Longest SQL text that is analysed; a longer one is passed on and never "
                      "cached.",
                      {1 * kb, 64 * mb}},

    key_row<settings>{"client_tls_sslmode", PGSIDECAR_AT(client_tls.mode),
                      "TLS towards clients. `allow` and `prefer` leave it to the client, `require` "
                      "insists, `verify-ca` and `verify-full` also want a client certificate."},
    key_row<settings>{"client_tls_cert_file",
                      PGSIDECAR_AT(client_tls.cert_file),
                      "Certificate shown to clients, PEM, with its chain.",
                      {},
                      check_path},
    key_row<settings>{"client_tls_key_file",
                      PGSIDECAR_AT(client_tls.key_file),
                      "Private key of that certificate, PEM.",
                      {},
                      check_path},
    key_row<settings>{"client_tls_ca_file",
                      PGSIDECAR_AT(client_tls.ca_file),
                      "Authorities that sign client certificates, PEM.",
                      {},
                      check_path},
    key_row<settings>{"client_tls_min_protocol", PGSIDECAR_AT(client_tls.min_protocol),
                      "Oldest TLS version accepted from clients."},

    key_row<settings>{
        "auth_query",
        PGSIDECAR_AT(auth_query),
        "Asked over `upstream.control_connection` for the stored password of user $1; "
        "the second column is used. Needed for SCRAM where both legs are under TLS, "
        "with clients that use channel binding. A role without the right to read "
        "`pg_shadow` may call a SECURITY DEFINER function, named with its schema.",
        {1, 4096},
        check_auth_query},

    key_row<settings>{"tcp_keepalive", PGSIDECAR_AT(keepalive.enabled),
                      "Whether idle connections, to clients and to the server, are probed."},
    key_row<settings>{"tcp_keepidle",
                      PGSIDECAR_AT(keepalive.idle),
                      "Silence before the first probe; 0 is the operating system's choice.",
                      {0, day}},
    key_row<settings>{"tcp_keepintvl",
                      PGSIDECAR_AT(keepalive.interval),
                      "Time between probes; 0 is the operating system's choice.",
                      {0, hour}},
    key_row<settings>{"tcp_keepcnt",
                      PGSIDECAR_AT(keepalive.count),
                      "Unanswered probes that end a connection; 0 is the operating system's "
                      "choice.",
                      {0, 100}},

    key_row<settings>{"upstream.host",
                      PGSIDECAR_AT(upstream.host),
                      "Name or address of the PostgreSQL server.",
                      {},
                      check_host},
    key_row<settings>{
        "upstream.port", PGSIDECAR_AT(upstream.port), "Port of the PostgreSQL server.", {1, 65535}},
    key_row<settings>{"upstream.server_tls_sslmode", PGSIDECAR_AT(upstream.tls.mode),
                      "TLS towards the server, in libpq's words."},
    key_row<settings>{"upstream.server_tls_ca_file",
                      PGSIDECAR_AT(upstream.tls.ca_file),
                      "Authorities that sign the server's certificate, PEM; needed by `verify-ca` "
                      "and `verify-full`.",
                      {},
                      check_path},
    key_row<settings>{"upstream.server_tls_cert_file",
                      PGSIDECAR_AT(upstream.tls.cert_file),
                      "Certificate shown to the server, PEM.",
                      {},
                      check_path},
    key_row<settings>{"upstream.server_tls_key_file",
                      PGSIDECAR_AT(upstream.tls.key_file),
                      "Private key of that certificate, PEM.",
                      {},
                      check_path},
    key_row<settings>{"upstream.server_tls_min_protocol", PGSIDECAR_AT(upstream.tls.min_protocol),
                      "Oldest TLS version accepted from the server."},
    key_row<settings>{"upstream.control_connection",
                      PGSIDECAR_AT(upstream.control_connection),
                      "libpq connection string of the connection that reads catalogs; caching "
                      "needs it. Host, port and sslmode are the upstream's unless given; the "
                      "database is replaced by the one in use. A password is better kept in a "
                      "password file.",
                      {0, 4096},
                      check_conninfo,
                      key_flag::conninfo},

    key_row<settings>{"cache.enable_query_result_caching",
                      PGSIDECAR_AT(cache.enable_query_result_caching),
                      "Whether answers may come from the cache at all."},
    key_row<settings>{"cache.cache_provider",
                      PGSIDECAR_AT(cache.provider),
                      "Where answers are kept: `memory` of this process.",
                      {},
                      nullptr,
                      key_flag::restart},
    key_row<settings>{"cache.max_memory",
                      PGSIDECAR_AT(cache.store.max_memory),
                      "Memory the cache may take, its own bookkeeping included.",
                      {1 * mb, 1024 * gb}},
    key_row<settings>{"cache.max_entry_size",
                      PGSIDECAR_AT(cache.store.max_entry_size),
                      "Largest answer that is kept.",
                      {1 * kb, 1 * gb}},
    key_row<settings>{"cache.shards",
                      PGSIDECAR_AT(cache.store.shards),
                      "Parts of the cache that are locked apart from each other.",
                      {1, 1024},
                      nullptr,
                      key_flag::restart},
    key_row<settings>{"cache.single_flight", PGSIDECAR_AT(cache.single_flight),
                      "Whether identical queries that miss at the same time wait for one answer."},
    key_row<settings>{"cache.catalog_refresh_interval",
                      PGSIDECAR_AT(cache.catalog_refresh_interval),
                      "How often tables, functions and privileges are read anew from the server.",
                      {100, day}},
    key_row<settings>{"cache.key_settings",
                      PGSIDECAR_AT(cache.rules.key_settings),
                      "Server settings that queries and row-level security policies may read; "
                      "their values are part of what an answer is kept under.",
                      {0, 100},
                      check_setting_name,
                      key_flag::folded},
    key_row<settings>{"cache.rules",
                      PGSIDECAR_AT(cache.rules.rules),
                      "What may be cached. The first rule that allows every table of a query "
                      "decides; without a rule nothing is cached.",
                      {0, 1000}},

    key_row<settings>{"log.level", PGSIDECAR_AT(log.level), "The least severe message written."},
    key_row<settings>{"log.file",
                      PGSIDECAR_AT(log.file),
                      "File the log is appended to; empty is standard error.",
                      {},
                      check_path,
                      key_flag::restart},
};
#undef PGSIDECAR_AT

constexpr std::array rule_table{
    key_row<cache_rule>{"name",
                        [](cache_rule& r) -> slot { return &r.name; },
                        "Name of the rule, unique; it is the query type in statistics. 50 "
                        "characters at most. Required.",
                        {},
                        check_rule_name},
    key_row<cache_rule>{"tables",
                        [](cache_rule& r) -> slot { return &r.tables; },
                        "Patterns `schema.table` with `*` and `?`, upper and lower case as in the "
                        "catalog; without a dot in schema `public`; `*` alone is every table. "
                        "Required.",
                        {0, 1000},
                        check_table_pattern},
    key_row<cache_rule>{"functions",
                        [](cache_rule& r) -> slot { return &r.functions; },
                        "Functions, `schema.name` or `name`, that the rule vouches for: same "
                        "arguments, same answer, whatever their declared volatility.",
                        {0, 1000},
                        check_function},
    key_row<cache_rule>{"ttl",
                        [](cache_rule& r) -> slot { return &r.ttl; },
                        "How long an answer is served at most; a write ends it at once.",
                        {1, 365 * day}},
    key_row<cache_rule>{"mode", [](cache_rule& r) -> slot { return &r.mode; },
                        "`on` serves from the cache; `off` keeps these tables out."},
};

constexpr std::array section_table{
    section{"upstream", "The PostgreSQL server behind the proxy."},
    section{"cache", "The cache of query results."},
    section{"log", "The log."},
};

constexpr std::array<std::string_view, 6> tls_modes{"disable", "allow",     "prefer",
                                                    "require", "verify-ca", "verify-full"};
constexpr std::array<std::string_view, 2> tls_versions{"TLSv1.2", "TLSv1.3"};
constexpr std::array<std::string_view, 1> pool_modes{"session"};
constexpr std::array<std::string_view, 1> providers{"memory"};
constexpr std::array<std::string_view, 6> levels{"trace",   "debug", "info",
                                                 "warning", "error", "off"};
constexpr std::array<std::string_view, 3> rule_modes{"off", "shadow", "on"};

std::span<const std::string_view> names(tls_mode) noexcept { return tls_modes; }
std::span<const std::string_view> names(tls_version) noexcept { return tls_versions; }
std::span<const std::string_view> names(pool_mode) noexcept { return pool_modes; }
std::span<const std::string_view> names(cache_provider) noexcept { return providers; }
std::span<const std::string_view> names(log_level) noexcept { return levels; }
std::span<const std::string_view> names(rule_mode) noexcept { return rule_modes; }

// What the vocabulary holds but this version does not do is refused rather than taken for another.
template <class E>
bool supported(E value) noexcept {
    if constexpr (std::is_same_v<E, rule_mode>) return value != rule_mode::shadow;
    return true;
}

template <class E>
std::string read_choice(std::string_view text, E& out) {
    const auto all = names(E{});
    bool known = std::is_same_v<E, pool_mode> && (text == "transaction" || text == "statement");
    std::string list;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto value = static_cast<E>(i);
        known = known || text == all[i];
        if (!supported(value)) continue;
        if (text == all[i]) return out = value, std::string{};
        list.append(list.empty() ? "" : ", ").append(all[i]);
    }
    if (known) return show(text) + " is not supported by this version, only: " + list;
    return show(text) + " is not one of: " + list;
}

std::string read_text(std::string_view text, text_check check, key_flag flag, bounds range,
                      std::string& out) {
    if (flag == key_flag::conninfo && text.size() > range.max) return "is too long";
    if (check != nullptr) {
        if (std::string reason = check(text); !reason.empty()) return reason;
    }
    out = text;
    return {};
}

}  // namespace

std::span<const key_row<settings>> setting_rows() noexcept { return setting_table; }
std::span<const key_row<cache_rule>> rule_rows() noexcept { return rule_table; }
std::span<const section> sections() noexcept { return section_table; }

std::vector<std::string_view> choices(const slot& s) {
    return std::visit(
        [](auto* at) {
            using value = std::remove_pointer_t<decltype(at)>;
            std::vector<std::string_view> out;
            if constexpr (std::is_enum_v<value>) {
                const auto all = names(value{});
                for (std::size_t i = 0; i < all.size(); ++i) {
                    if (supported(static_cast<value>(i))) out.push_back(all[i]);
                }
            }
            return out;
        },
        s);
}

std::string read_scalar(std::string_view text, const slot& s, bounds range, text_check check,
                        key_flag flag) {
    return std::visit(
        [&](auto* at) -> std::string {
            using value = std::remove_pointer_t<decltype(at)>;
            std::uint64_t number = 0;
            std::string reason;
            if constexpr (std::is_same_v<value, bool>) {
                return read_bool(text, *at);
            } else if constexpr (std::is_same_v<value, std::size_t>) {
                reason = read_size(text, range, number);
                if (reason.empty()) *at = static_cast<value>(number);
            } else if constexpr (std::is_integral_v<value>) {
                assert(range.max <= std::numeric_limits<value>::max());
                reason = read_integer(text, range, number);
                if (reason.empty()) *at = static_cast<value>(number);
            } else if constexpr (std::is_same_v<value, std::chrono::milliseconds>) {
                return read_duration(text, range, *at);
            } else if constexpr (std::is_same_v<value, std::chrono::seconds>) {
                std::chrono::milliseconds ms{};
                reason = read_duration(text, range, ms);
                if (reason.empty() && ms.count() % 1000 != 0) {
                    return show(text) + " is not a whole number of seconds";
                }
                if (reason.empty()) *at = std::chrono::duration_cast<value>(ms);
            } else if constexpr (std::is_enum_v<value>) {
                return read_choice(text, *at);
            } else if constexpr (std::is_same_v<value, std::string>) {
                return read_text(text, check, flag, range, *at);
            } else {
                assert(false && "a list is not one scalar");
            }
            return reason;
        },
        s);
}

std::string write_scalar(const slot& s) {
    return std::visit(
        [](auto* at) -> std::string {
            using value = std::remove_pointer_t<decltype(at)>;
            if constexpr (std::is_same_v<value, bool>) {
                return *at ? "true" : "false";
            } else if constexpr (std::is_same_v<value, std::size_t>) {
                return write_size(*at);
            } else if constexpr (std::is_integral_v<value>) {
                return std::to_string(*at);
            } else if constexpr (std::is_same_v<value, std::chrono::milliseconds> ||
                                 std::is_same_v<value, std::chrono::seconds>) {
                return write_duration(*at);
            } else if constexpr (std::is_enum_v<value>) {
                return std::string{names(value{})[static_cast<std::size_t>(*at)]};
            } else if constexpr (std::is_same_v<value, std::string>) {
                return write_text(*at);
            } else if constexpr (std::is_same_v<value, std::vector<std::string>>) {
                std::string list = "[";
                for (const std::string& text : *at) {
                    list.append(list.size() == 1 ? "" : ", ").append(write_text(text));
                }
                return list + ']';
            } else {
                assert(false && "rules take more than one line");
                return {};
            }
        },
        s);
}

}  // namespace pgsidecar::config

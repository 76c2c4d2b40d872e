#include "config/schema.h"

#include <algorithm>
#include <array>

#include "config/conninfo.h"

namespace pgsidecar::config {
namespace {

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
                      "The master switch: `false` makes the proxy a pure pass-through at once: "
                      "nothing is answered from the cache, limited or measured."},
    key_row<settings>{"pool_mode",
                      PGSIDECAR_AT(pool_mode),
                      "`session`: each client has a server connection of its own. `transaction`: "
                      "clients share server connections, each has one for the length of a "
                      "transaction; needs an `auth_type` other than `relay` and "
                      "`upstream.control_connection`.",
                      {},
                      nullptr,
                      key_flag::restart},
    key_row<settings>{"performance_target",
                      PGSIDECAR_AT(performance_target),
                      "What 95 of 100 answers are to take at most; 0 is no target. `pgsidecar "
                      "validate` fails when they take longer through the proxy.",
                      {0, hour}},
    key_row<settings>{"enable_load_testing", PGSIDECAR_AT(enable_load_testing),
                      "Whether `pgsidecar validate` may run with more than 2 clients, 20 rounds or "
                      "60 seconds. For environments where nobody is disturbed by a load."},
    key_row<settings>{"server_connect_timeout",
                      PGSIDECAR_AT(server_connect_timeout),
                      "How long connecting to the server may take, TLS included.",
                      {1, hour}},
    key_row<settings>{"client_login_timeout",
                      PGSIDECAR_AT(client_login_timeout),
                      "How long a client may take from connecting to being logged in.",
                      {1, hour}},
    key_row<settings>{"client_idle_timeout",
                      PGSIDECAR_AT(client_idle_timeout),
                      "A client that says nothing for so long, outside a transaction, is "
                      "disconnected (57P05); 0 is never. Let it be longer than the life of idle "
                      "connections in the application's own pool.",
                      {0, 365 * day}},
    key_row<settings>{"idle_transaction_timeout",
                      PGSIDECAR_AT(idle_transaction_timeout),
                      "A client that says nothing for so long inside a transaction is disconnected "
                      "(25P03), which rolls it back; 0 is never.",
                      {0, 365 * day}},
    key_row<settings>{"shutdown_timeout",
                      PGSIDECAR_AT(shutdown_timeout),
                      "How long a shutdown waits for clients to finish; 0 does not wait.",
                      {0, day}},
    key_row<settings>{"config_watch_interval",
                      PGSIDECAR_AT(config_watch_interval),
                      "How often the files that the configuration is made of are looked at; when "
                      "one has changed they are loaded as by SIGHUP. Certificates, keys and the "
                      "files of users belong to them. 0 is never.",
                      {0, hour}},
    key_row<settings>{"max_sql_length",
                      PGSIDECAR_AT(max_sql_length),
                      "Longest SQL text that is analysed; a longer one is passed on and never "
                      "cached.",
                      {1 * kb, 64 * mb}},
    key_row<settings>{
        "statement_memory",
        PGSIDECAR_AT(statement_memory),
        "Memory of each worker for what is known of SQL texts; what was not asked for "
        "longest is forgotten and analysed anew when it comes again. A kind of "
        "statement takes some 2 kB and a text of it 300 bytes.",
        {1 * mb, 16 * gb}},

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

    key_row<settings>{"auth_type",
                      PGSIDECAR_AT(auth_type),
                      "Who asks a client for its password. `relay`: the server, and its answers "
                      "are passed on. Otherwise the proxy, which then logs in at the server as the "
                      "same user with what it has learnt: `scram-sha-256` (with channel binding "
                      "under TLS), `md5` (SCRAM for those whose secret is one), `plain`, `hba` (by "
                      "the first record of `auth_hba_file` that fits), or nobody, `trust` (on a "
                      "loopback address alone).",
                      {},
                      nullptr,
                      key_flag::restart},
    key_row<settings>{"auth_file",
                      PGSIDECAR_AT(auth_file),
                      "Users and their passwords, MD5 hashes or SCRAM secrets, a line each: "
                      "`\"user\" \"secret\"`, as PgBouncer has it. Whom it does not name "
                      "`auth_query` is asked about, if there is an `upstream.control_connection`.",
                      {},
                      check_path},
    key_row<settings>{"auth_hba_file",
                      PGSIDECAR_AT(auth_hba_file),
                      "For `auth_type: hba`: who may log in from where and how, as pg_hba.conf.",
                      {},
                      check_path},
    key_row<settings>{
        "auth_query",
        PGSIDECAR_AT(auth_query),
        "Asked over `upstream.control_connection` for the stored password of user $1; "
        "the second column is used; the third, where there is one, says for how many seconds it "
        "is still valid (NULL: for ever; 0: not any more). Needed for SCRAM where both legs are "
        "under TLS, with clients that use channel binding. A role without the right to read "
        "`pg_shadow` may call a SECURITY DEFINER function, named with its schema.",
        {1, 4096},
        check_auth_query},
    key_row<settings>{"auth_query_ttl",
                      PGSIDECAR_AT(auth_query_ttl),
                      "How long an answer of `auth_query` is used, that there is no such user "
                      "included; 0 asks at each log-in. Roles that are altered through the proxy, "
                      "the end of a VALID UNTIL, and a password that does not fit (but not more "
                      "than once a second) end it earlier.",
                      {0, hour}},

    key_row<settings>{"admin_users",
                      PGSIDECAR_AT(admin_users),
                      "Users of the admin console, which a client reaches as the database "
                      "`pgsidecar` (or `pgbouncer`). They show the password that `auth_file` has, "
                      "or else `auth_query`, also with `auth_type: relay`. While neither this nor "
                      "`stats_users` names anybody there is no console, and databases of these "
                      "names are the server's.",
                      {0, 1000},
                      check_user_name},
    key_row<settings>{"stats_users",
                      PGSIDECAR_AT(stats_users),
                      "Users of the admin console who may look, and change nothing.",
                      {0, 1000},
                      check_user_name},

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
                      check_host,
                      key_flag::restart},
    key_row<settings>{"upstream.port",
                      PGSIDECAR_AT(upstream.port),
                      "Port of the PostgreSQL server.",
                      {1, 65535},
                      nullptr,
                      key_flag::restart},
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
                      key_flag::conninfo | key_flag::restart},

    key_row<settings>{"cache.enable_query_result_caching",
                      PGSIDECAR_AT(cache.enable_query_result_caching),
                      "Whether answers may come from the cache at all."},
    key_row<settings>{"cache.cache_provider",
                      PGSIDECAR_AT(cache.provider),
                      "Where answers are kept: in the `memory` of this process, and below it, for "
                      "all sidecars that share it, in the table `prescription_query_cache` of a "
                      "`database` or in `redis`; see `shared_cache`.",
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
    key_row<settings>{"cache.default_ttl",
                      PGSIDECAR_AT(cache.default_ttl),
                      "How long an answer is served at most, for rules that do not say.",
                      {1, 365 * day}},
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

    key_row<settings>{"tenants.limits", PGSIDECAR_AT(tenants.limits),
                      "The master switch, the most that the modes of any tier may do. `off`: no "
                      "limit is in force."},
    key_row<settings>{"tenants.sources",
                      PGSIDECAR_AT(tenant_source_texts),
                      "Where a tenant's name may stand. They are asked in order and the first "
                      "usable name wins.",
                      {0, 100},
                      check_tenant_source},
    key_row<settings>{"tenants.default_tenant",
                      PGSIDECAR_AT(tenants.default_tenant),
                      "The tenant where no source has a usable name. 100 bytes at most.",
                      {},
                      check_tenant_name},
    key_row<settings>{"tenants.default_tier",
                      PGSIDECAR_AT(tenants.default_tier),
                      "The tier of tenants that are a member of none.",
                      {},
                      check_tier_name},
    key_row<settings>{"tenants.max_concurrent_requests",
                      PGSIDECAR_AT(tenants.max_concurrent_requests),
                      "Requests of all tenants that run at a time, while `tenants.limits` is "
                      "`enforce`. Those above it wait and the tenants take turns, so that a noisy "
                      "one queues behind itself. 0 is no limit.",
                      {0, 1'000'000}},
    key_row<settings>{"tenants.max_tenants",
                      PGSIDECAR_AT(tenants.max_tenants),
                      "Tenants known at a time. Above it those that nobody uses are forgotten; if "
                      "there are none, a new one counts as the default tenant.",
                      {1, 1'000'000}},
    key_row<settings>{"tenants.tiers",
                      PGSIDECAR_AT(tenants.tiers),
                      "What tenants may use. The first tier that has a tenant as a member is its "
                      "tier.",
                      {0, 1000}},

    key_row<settings>{"metrics.enable_performance_metrics",
                      PGSIDECAR_AT(metrics.enable_performance_metrics),
                      "Whether a row for each statement is written into the table "
                      "`prescription_query_metrics`, which `pgsidecar migrate up` makes. Not with "
                      "`enable_optimizations: false`."},
    key_row<settings>{"metrics.connection",
                      PGSIDECAR_AT(metrics.connection),
                      "libpq connection string of the database that has the table, with the "
                      "upstream's host and port where it names none. The role needs INSERT, and "
                      "USAGE on the table's sequence; SELECT and DELETE for the retention; the "
                      "table's schema is in its search_path. Empty is "
                      "`upstream.control_connection`.",
                      {},
                      check_conninfo,
                      key_flag::conninfo | key_flag::restart},
    key_row<settings>{"metrics.performance_metrics_retention_days",
                      PGSIDECAR_AT(metrics.performance_metrics_retention_days),
                      "Rows older than so many days are deleted, some thousand at a time, once an "
                      "hour. 0 keeps them for ever.",
                      {0, 36'500}},
    key_row<settings>{"metrics.sample_percent",
                      PGSIDECAR_AT(metrics.sample_percent),
                      "Of how many statements in a hundred a row is written.",
                      {1, 100}},
    key_row<settings>{"metrics.max_queued_rows",
                      PGSIDECAR_AT(metrics.max_queued_rows),
                      "Rows that wait in memory while the database does not take them, 64 bytes "
                      "each at most beside the names of tenants. Further ones are dropped and "
                      "counted.",
                      {1'000, 10'000'000},
                      nullptr,
                      key_flag::restart},

    key_row<settings>{"log.level", PGSIDECAR_AT(log.level), "The least severe message written."},
    key_row<settings>{"log.file",
                      PGSIDECAR_AT(log.file),
                      "File the log is appended to; empty is standard error.",
                      {},
                      check_path,
                      key_flag::restart},
};
#undef PGSIDECAR_AT

constexpr std::string_view tenants_meaning =
    R"(Who a session works for, and what each tenant may use.

A source is written `startup:NAME`, a start-up parameter or `-c` option of that name, fixed for the
connection's life; `setting:NAME`, the same setting as it is now; `comment:KEY`, the value that
sqlcommenter writes as `KEY='value'` in a comment of the statement, `/* */` or `--`;
`application_name`, `user` or `database`, the whole of it or what a pattern has for `{tenant}`, as
in `user:app_{tenant}`.)";

constexpr std::string_view shared_cache_meaning =
    R"(The tier that several sidecars share, with `cache.cache_provider: database` or `redis`: what
one of them has asked the server for the others find there, and so does one that has just been
started. What comes from it is kept in memory as well.

Reads through a sidecar never show anything older than a write which that same sidecar, since its
start, has acknowledged. What was written elsewhere (through another sidecar, past all of them, or
before a restart) is not noticed by the tier: there it promises no more than that no answer is older
than its rule's `ttl`. Sidecars find each other's entries if `upstream.host` and `upstream.port` are
written alike, their control connections have the same role, and the clocks of the servers that hold
the tier do not go back.)";

constexpr std::string_view metrics_meaning =
    R"(What is written into the table prescription_query_metrics: a row for each statement that was
answered, from the cache or by the server, with an error or without. `tenant_id` is the tenant,
`query_type` the name of the matching rule, else the statement's kind (`select`, `insert`, `begin`;
`unknown` where the text could not be read), `record_count` the rows given or changed (0 for an
error), `timestamp` when it was over, in the time zone of the connection that writes.
`execution_time_ms` begins when the request is read and ends with its answer; waiting for a turn or a
server connection is in it. What a limit refused, or the server before it ran, has no row. No
statement waits for any of this.)";

constexpr std::string_view alerts_meaning =
    R"(Who is told when a tenant's statements take too long. For each `window` the 95th percentile of
a tenant's statements, with hits and with those that failed, is compared with `performance_target`.
An alert fires when it was above the target in `windows` windows in a row, and clears when it is
below nine tenths of the target. A reload judges the window that is under way by the new settings;
what is alerting stays so, and is not told of again for it. Where nobody is to be told any more, or
`performance_target` becomes 0, alerts that are open clear. The log always tells (`warning` when one fires, `info` when it
clears); NOTIFY and the webhook are sent by threads of their own, and what they cannot deliver is
given up and counted in the log.)";

const std::array section_table{
    section{"upstream", "The PostgreSQL server behind the proxy."},
    section{"cache", "The cache of query results."},
    section{"shared_cache", shared_cache_meaning},
    section{"tenants", tenants_meaning},
    section{"metrics", metrics_meaning},
    section{"alerts", alerts_meaning},
    section{"http", http_meaning()},
    section{"log", "The log."},
};

// The keys of a part follow the key that they belong to.
std::vector<key_row<settings>> all_rows() {
    std::vector<key_row<settings>> out{setting_table.begin(), setting_table.end()};
    const auto put_behind = [&out](std::string_view path, std::span<const key_row<settings>> rows) {
        const auto at = std::ranges::find(out, path, &key_row<settings>::path);
        out.insert(at + 1, rows.begin(), rows.end());
    };
    put_behind("pool_mode", pool_rows());
    put_behind("shutdown_timeout", hand_over_rows());
    put_behind("cache.rules", shared_cache_rows());
    put_behind("cache.catalog_refresh_interval", invalidation_rows());
    put_behind("metrics.max_queued_rows", http_rows());
    put_behind("metrics.max_queued_rows", alert_rows());
    return out;
}

}  // namespace

std::span<const key_row<settings>> setting_rows() noexcept {
    static const std::vector<key_row<settings>> rows = all_rows();
    return rows;
}
std::span<const section> sections() noexcept { return section_table; }

}  // namespace pgsidecar::config

// Everything an operator can set, as plain values. A settings object is built by load_file() or
// load_text() (config/load.h), checked there as a whole, and never changed afterwards: whoever
// needs it shares it as std::shared_ptr<const settings>, and a reload makes a new one.
// Member names are the keys of the YAML file; config/SETTINGS.md describes each of them.
// Durations are std::chrono types, sizes are bytes.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cache/options.h"
#include "policy/rules.h"
#include "policy/tenants.h"

namespace pgsidecar::config {

// libpq's words. Towards clients allow and prefer both mean "TLS when the client asks for it",
// verify_ca and verify_full both mean "the client must show a certificate that ca_file signs".
enum class tls_mode : std::uint8_t { disable, allow, prefer, require, verify_ca, verify_full };
enum class tls_version : std::uint8_t { v1_2, v1_3 };
enum class pool_mode : std::uint8_t { session, transaction };
// Who asks clients for their passwords: the server (relay), or the proxy, by PgBouncer's words.
enum class auth_type : std::uint8_t { relay, trust, plain, md5, scram_sha_256, hba };
// Where answers are kept below this process's memory; memory: nowhere.
enum class cache_provider : std::uint8_t { memory, database, redis };
// How writes that do not pass through the proxy are seen, and what is done while they are not.
enum class invalidation : std::uint8_t { automatic, wal, notify, ttl };
enum class invalidation_loss : std::uint8_t { bypass, ttl };
enum class log_level : std::uint8_t { trace, debug, info, warning, error, off };

struct tls_settings {
    tls_mode mode = tls_mode::disable;
    tls_version min_protocol = tls_version::v1_2;
    std::string cert_file{};  // PEM; empty = none
    std::string key_file{};
    std::string ca_file{};
};

struct upstream_settings {
    std::string host = "127.0.0.1";  // name or address
    std::uint16_t port = 5432;
    tls_settings tls{.mode = tls_mode::prefer};  // keys server_tls_*
    // libpq conninfo of the connection that reads catalogs; host, port and sslmode default to the
    // upstream's. May hold a password: show it only through redact_conninfo() (config/conninfo.h).
    std::string control_connection;
};

struct cache_settings {
    bool enable_query_result_caching = false;
    cache_provider provider = cache_provider::memory;  // key cache_provider
    cache::store_options store;                        // keys max_memory, max_entry_size, shards
    policy::cache_rules rules;                         // keys rules, key_settings
    bool single_flight = true;
    std::chrono::milliseconds default_ttl{std::chrono::minutes{5}};  // of rules without ttl
    std::chrono::milliseconds catalog_refresh_interval{std::chrono::seconds{30}};
    config::invalidation invalidation = config::invalidation::automatic;
    std::string publication = "pgsidecar";  // with wal
    std::string persistent_slot;            // with wal; empty: slots are temporary
    std::chrono::milliseconds max_invalidation_lag{std::chrono::seconds{1}};
    config::invalidation_loss on_invalidation_loss = config::invalidation_loss::bypass;
};

// The tier that several sidecars share, with cache_provider database or redis.
struct shared_cache_settings {
    // By what an entry is known to be valid, said by name; empty = not said. "ttl" = by its age.
    std::string validity;
    std::chrono::milliseconds timeout{20};  // that a miss may wait for it
    std::size_t max_queued = 16U << 20;     // bytes of answers on their way to it
    std::string prefix = "pgsidecar";       // of every key
    std::string encryption_key_file;        // empty = not encrypted
    std::string connection;                 // database: libpq conninfo; empty = control_connection
    std::vector<std::string> redis_addresses;  // host:port
    std::string redis_sentinel_master;         // the addresses are Sentinels'; empty = they are not
    bool redis_cluster = false;
    std::string redis_username;       // empty = redis's own default user
    std::string redis_password_file;  // empty = no AUTH
    tls_settings redis_tls;           // keys redis_tls_*
};

struct log_settings {
    log_level level = log_level::info;
    std::string file;  // empty = standard error
};

// What is written into prescription_query_metrics.
struct metrics_settings {
    bool enable_performance_metrics = false;
    // libpq conninfo, as upstream.control_connection, which it is when this is empty.
    std::string connection;
    unsigned performance_metrics_retention_days = 30;  // 0 = for ever
    unsigned sample_percent = 100;                     // of the statements
    unsigned max_queued_rows = 1'000'000;              // of at most 64 bytes each
};

// Metrics, health and the dashboard, over plain HTTP.
struct http_settings {
    std::string listen_addr = "127.0.0.1";  // IP address; "*" = every interface
    std::uint16_t listen_port = 0;          // 0 = none of it is there
    std::string token_file;                 // holds the token that requests must show; empty = none
    unsigned max_connections = 64;
    unsigned tenant_series = 100;  // tenants that have metrics of their own
};

// Tenants whose statements take too long; see proxy/ops/alerts.h.
struct alert_settings {
    bool enable_alerts = false;
    std::chrono::milliseconds window{std::chrono::minutes{1}};
    unsigned windows = 2;          // in a row over the target, before anything is said
    unsigned min_statements = 20;  // of a tenant in a window; with fewer it is passed over
    std::chrono::milliseconds repeat_interval{std::chrono::minutes{15}};
    unsigned max_tenants = 10;   // named at a time
    bool event_log = false;      // the machine's own
    std::string notify_channel;  // empty = no NOTIFY
    // libpq conninfo, as upstream.control_connection, which it is when this is empty.
    std::string connection;
    std::string webhook_url;                 // empty = none
    std::vector<std::string> webhook_hosts;  // that it may name, beside loopback addresses
    std::chrono::milliseconds webhook_timeout{std::chrono::seconds{5}};
};

// 0 = what the operating system says.
struct keepalive_settings {
    bool enabled = true;               // key tcp_keepalive
    std::chrono::seconds idle{0};      // key tcp_keepidle
    std::chrono::seconds interval{0};  // key tcp_keepintvl
    unsigned count = 0;                // key tcp_keepcnt
};

// Server connections that clients share, with pool_mode: transaction. A pool belongs to a database,
// a user and the start-up parameters; its keys stand at the top of the file, by PgBouncer's words.
struct pool_settings {
    unsigned default_pool_size = 20;    // connections of one pool
    unsigned min_pool_size = 0;         // kept open also when nobody uses them
    unsigned reserve_pool_size = 0;     // more, once a client has waited for reserve_pool_timeout
    unsigned max_db_connections = 0;    // to one database, over its pools; 0 = as many as wanted
    unsigned max_user_connections = 0;  // of one user, over its pools; 0 = as many as wanted
    std::chrono::milliseconds reserve_pool_timeout{std::chrono::seconds{5}};
    std::chrono::milliseconds query_wait_timeout{std::chrono::seconds{120}};  // 0 = none
    std::chrono::milliseconds server_idle_timeout{std::chrono::minutes{10}};  // 0 = none
    std::chrono::milliseconds server_lifetime{std::chrono::hours{1}};         // 0 = one use
    std::chrono::milliseconds server_login_retry{std::chrono::seconds{15}};   // 0 = none
    std::chrono::milliseconds server_check_delay{std::chrono::seconds{30}};
    std::string server_check_query{};        // empty = none is sent
    unsigned max_prepared_statements = 200;  // of one server connection
};

struct settings {
    std::string listen_addr = "127.0.0.1";  // IP address; "*" = every interface
    std::uint16_t listen_port = 6432;
    unsigned listen_backlog = 128;
    unsigned workers = 0;  // threads; 0 = number of cores
    unsigned max_client_conn = 10'000;
    bool enable_optimizations = true;  // false: pure pass-through
    config::pool_mode pool_mode = config::pool_mode::session;
    pool_settings pool;
    // What 95 of 100 answers are to take at most; 0 = no target.
    std::chrono::milliseconds performance_target{500};
    bool enable_load_testing = false;  // `validate` may load the server

    std::chrono::milliseconds server_connect_timeout{std::chrono::seconds{15}};
    std::chrono::milliseconds client_login_timeout{std::chrono::seconds{60}};
    std::chrono::milliseconds client_idle_timeout{0};       // 0 = none
    std::chrono::milliseconds idle_transaction_timeout{0};  // 0 = none
    std::chrono::milliseconds shutdown_timeout{std::chrono::seconds{30}};
    // Where the next process asks this one for its place; empty = nowhere. Beside it lies the lock
    // that says who may cache.
    std::string takeover_socket;
    std::chrono::milliseconds handover_timeout{0};  // 0 = as long as clients stay
    bool so_reuseport = false;
    std::chrono::milliseconds config_watch_interval{std::chrono::seconds{1}};  // 0 = never

    std::size_t max_sql_length = 1u
                                 << 20;  // bytes; a longer text is forwarded unread, never cached
    std::size_t statement_memory = 64u << 20;  // bytes a worker

    tls_settings client_tls;  // keys client_tls_*
    config::auth_type auth_type = config::auth_type::relay;
    std::string auth_file;      // as PgBouncer's userlist.txt; empty = none
    std::string auth_hba_file;  // as pg_hba.conf; with auth_type hba
    // PgBouncer's word: gives a user's name and stored password for $1.
    std::string auth_query =
        "SELECT usename, CASE WHEN valuntil < pg_catalog.now() THEN NULL ELSE passwd END, "
        "CASE WHEN pg_catalog.isfinite(valuntil) THEN pg_catalog.date_part('epoch', "
        "valuntil - pg_catalog.now()) END "
        "FROM pg_catalog.pg_shadow WHERE usename = $1";
    std::chrono::milliseconds auth_query_ttl{std::chrono::seconds{10}};  // 0 = ask each time
    // Of the admin console, by PgBouncer's words. Without any there is no console.
    std::vector<std::string> admin_users;
    std::vector<std::string> stats_users;  // may look, and change nothing
    keepalive_settings keepalive;
    upstream_settings upstream;
    cache_settings cache;
    shared_cache_settings shared_cache;
    // As loaded: the tier "default" stands first, every shipped tier is there.
    policy::tenant_options tenants;
    // Key tenants.sources as it was written; what it means is in tenants.sources.
    std::vector<std::string> tenant_source_texts = {policy::default_tenant_sources.begin(),
                                                    policy::default_tenant_sources.end()};
    metrics_settings metrics;
    alert_settings alerts;
    http_settings http;
    log_settings log;
};

}  // namespace pgsidecar::config

#include "config/load.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/config/support.h"

using namespace pgsidecar::config;
using namespace std::chrono_literals;

TEST_CASE("an empty file is the defaults, and the defaults are sound") {
    for (const char* text : {"", "# nothing\n", "---\n", "{}", "upstream:\ncache:\nlog:\n"}) {
        CAPTURE(std::string{text});
        const load_result r = load_text(text, "f");
        CHECK(problems_of(r) == lines{});
        CHECK(changed_keys(r.value, settings{}).empty());
    }
}

TEST_CASE("a small file as an operator would write it") {
    const load_result r = load_text(R"(listen_addr: 127.0.0.1
listen_port: 6432
upstream:
  host: 127.0.0.1
  port: 5432
  server_tls_sslmode: prefer
  control_connection: "user=postgres dbname=postgres"   # comment
cache:
  enable_query_result_caching: true
  max_memory: 256MB
  rules:
    - name: prescriptions
      tables: ["public.prescription*"]
      ttl: 5m
)",
                                    "pgsidecar.yaml");
    REQUIRE(problems_of(r) == lines{});
    CHECK(r.value.listen_addr == "127.0.0.1");
    CHECK(r.value.upstream.tls.mode == tls_mode::prefer);
    CHECK(r.value.upstream.control_connection == "user=postgres dbname=postgres");
    CHECK(r.value.cache.enable_query_result_caching);
    REQUIRE(r.value.cache.rules.rules.size() == 1);
    const auto& rule = r.value.cache.rules.rules[0];
    CHECK(rule.name == "prescriptions");
    CHECK(rule.tables == std::vector<std::string>{"public.prescription*"});
    CHECK(rule.ttl == 5min);
    CHECK(rule.mode == pgsidecar::policy::rule_mode::on);
    CHECK(r.value.cache.rules.key_settings == std::vector<std::string>{"app.tenant_id"});
}

TEST_CASE("every key reaches its own member") {
    const load_result r = load_text(R"(
listen_addr: "::1"
listen_port: 1001
listen_backlog: 1002
workers: 3
max_client_conn: 1004
enable_optimizations: no
pool_mode: transaction
default_pool_size: 1021
min_pool_size: 22
reserve_pool_size: 1023
reserve_pool_timeout: 24s
max_db_connections: 1025
max_user_connections: 1026
query_wait_timeout: 27s
server_idle_timeout: 28s
server_lifetime: 29s
server_login_retry: 30s
server_check_delay: 31s
server_check_query: select 1; select 2
max_prepared_statements: 32
server_connect_timeout: 5s
client_login_timeout: 6s
client_idle_timeout: 71s
idle_transaction_timeout: 72s
shutdown_timeout: 7s
takeover_socket: /run/p.sock
handover_timeout: 73s
so_reuseport: yes
config_watch_interval: 74s
performance_target: 75ms
enable_load_testing: yes
admin_users: [dba]
stats_users: [monitor, prometheus]
max_sql_length: 9kB
statement_memory: 7MB
client_tls_sslmode: verify-ca
client_tls_cert_file: c.crt
client_tls_key_file: c.key
client_tls_ca_file: c.ca
client_tls_min_protocol: TLSv1.3
auth_type: hba
auth_file: users.txt
auth_hba_file: hba.conf
auth_query: SELECT * FROM s.f($1)
auth_query_ttl: 3m
tcp_keepalive: off
tcp_keepidle: 10
tcp_keepintvl: 11s
tcp_keepcnt: 12
upstream:
  host: db.example
  port: 1013
  server_tls_sslmode: verify-full
  server_tls_ca_file: s.ca
  server_tls_cert_file: s.crt
  server_tls_key_file: s.key
  server_tls_min_protocol: TLSv1.3
  control_connection: user=u
cache:
  enable_query_result_caching: yes
  cache_provider: memory
  max_memory: 14MB
  max_entry_size: 15kB
  shards: 33
  single_flight: false
  default_ttl: 16s
  catalog_refresh_interval: 17s
  invalidation: wal
  publication: told
  persistent_slot: kept
  max_invalidation_lag: 1700ms
  on_invalidation_loss: ttl
  key_settings: [App.Tenant, TimeZone]
  rules:
    - {name: r, tables: [a.b, c], functions: [pg_catalog.f, g], ttl: 18, mode: off, unlimited: cut,
       stale_while_revalidate: 19, stale_if_error: 21}
tenants:
  limits: warn
  sources: [user]
  default_tenant: nobody
  default_tier: premium
  max_concurrent_requests: 19
  max_tenants: 20
  tiers: [{name: t}]
metrics:
  enable_performance_metrics: yes
  connection: user=m
  performance_metrics_retention_days: 33
  sample_percent: 34
  max_queued_rows: 1035
shared_cache:
  validity: ttl
  timeout: 85ms
  max_queued: 86MB
  prefix: farm
  encryption_key_file: e.key
  connection: user=s
  redis_addresses: [r.example:87]
  redis_sentinel_master: main
  redis_cluster: yes
  redis_username: app
  redis_password_file: r.pass
  redis_tls_sslmode: verify-full
  redis_tls_ca_file: r.ca
  redis_tls_cert_file: r.crt
  redis_tls_key_file: r.key
  redis_tls_min_protocol: TLSv1.3
alerts:
  enable_alerts: yes
  window: 76s
  windows: 77
  min_statements: 78
  repeat_interval: 79s
  max_tenants: 80
  event_log: yes
  notify_channel: slow
  connection: user=a
  webhook_url: http://relay.example:81/x
  webhook_hosts: [relay.example]
  webhook_timeout: 8s
http:
  listen_addr: 127.0.0.2
  listen_port: 1082
  token_file: token
  max_connections: 83
  tenant_series: 84
log:
  level: warning
  file: /var/log/p.log
)",
                                    "f");
    REQUIRE(problems_of(r) == lines{});
    const settings& s = r.value;
    CHECK(s.listen_addr == "::1");
    CHECK(s.listen_port == 1001);
    CHECK(s.listen_backlog == 1002);
    CHECK(s.workers == 3);
    CHECK(s.max_client_conn == 1004);
    CHECK_FALSE(s.enable_optimizations);
    CHECK(s.pool_mode == pool_mode::transaction);
    CHECK(s.pool.default_pool_size == 1021);
    CHECK(s.pool.min_pool_size == 22);
    CHECK(s.pool.reserve_pool_size == 1023);
    CHECK(s.pool.reserve_pool_timeout == 24s);
    CHECK(s.pool.max_db_connections == 1025);
    CHECK(s.pool.max_user_connections == 1026);
    CHECK(s.pool.query_wait_timeout == 27s);
    CHECK(s.pool.server_idle_timeout == 28s);
    CHECK(s.pool.server_lifetime == 29s);
    CHECK(s.pool.server_login_retry == 30s);
    CHECK(s.pool.server_check_delay == 31s);
    CHECK(s.pool.server_check_query == "select 1; select 2");
    CHECK(s.pool.max_prepared_statements == 32);
    CHECK(s.server_connect_timeout == 5s);
    CHECK(s.client_login_timeout == 6s);
    CHECK(s.client_idle_timeout == 71s);
    CHECK(s.idle_transaction_timeout == 72s);
    CHECK(s.shutdown_timeout == 7s);
    CHECK(s.max_sql_length == 9 * 1024);
    CHECK(s.statement_memory == 7U << 20);
    CHECK(s.client_tls.mode == tls_mode::verify_ca);
    CHECK(s.client_tls.cert_file == "c.crt");
    CHECK(s.client_tls.key_file == "c.key");
    CHECK(s.client_tls.ca_file == "c.ca");
    CHECK(s.client_tls.min_protocol == tls_version::v1_3);
    CHECK(s.auth_query == "SELECT * FROM s.f($1)");
    CHECK(s.auth_query_ttl == 3min);
    CHECK_FALSE(s.keepalive.enabled);
    CHECK(s.keepalive.idle == 10s);
    CHECK(s.keepalive.interval == 11s);
    CHECK(s.keepalive.count == 12);
    CHECK(s.upstream.host == "db.example");
    CHECK(s.upstream.port == 1013);
    CHECK(s.upstream.tls.mode == tls_mode::verify_full);
    CHECK(s.upstream.tls.ca_file == "s.ca");
    CHECK(s.upstream.tls.cert_file == "s.crt");
    CHECK(s.upstream.tls.key_file == "s.key");
    CHECK(s.upstream.tls.min_protocol == tls_version::v1_3);
    CHECK(s.upstream.control_connection == "user=u");
    CHECK(s.cache.enable_query_result_caching);
    CHECK(s.cache.store.max_memory == 14u << 20);
    CHECK(s.cache.store.max_entry_size == 15u << 10);
    CHECK(s.cache.store.shards == 33);
    CHECK_FALSE(s.cache.single_flight);
    CHECK(s.cache.default_ttl == 16s);
    CHECK(s.cache.catalog_refresh_interval == 17s);
    CHECK(s.cache.invalidation == invalidation::wal);
    CHECK(s.cache.publication == "told");
    CHECK(s.cache.persistent_slot == "kept");
    CHECK(s.cache.max_invalidation_lag == 1700ms);
    CHECK(s.cache.on_invalidation_loss == invalidation_loss::ttl);
    CHECK(s.cache.rules.key_settings == std::vector<std::string>{"app.tenant", "timezone"});
    REQUIRE(s.cache.rules.rules.size() == 1);
    CHECK(s.cache.rules.rules[0].tables == std::vector<std::string>{"a.b", "c"});
    CHECK(s.cache.rules.rules[0].functions == std::vector<std::string>{"pg_catalog.f", "g"});
    CHECK(s.cache.rules.rules[0].ttl == 18s);
    CHECK(s.cache.rules.rules[0].stale_while_revalidate == 19s);
    CHECK(s.cache.rules.rules[0].stale_if_error == 21s);
    CHECK(s.cache.rules.rules[0].mode == pgsidecar::policy::rule_mode::off);
    CHECK(s.cache.rules.rules[0].unlimited == pgsidecar::policy::unlimited_select::cut);
    CHECK(s.tenants.limits == pgsidecar::policy::enforcement::warn);
    REQUIRE(s.tenants.sources.size() == 1);
    CHECK(s.tenants.sources[0].where == pgsidecar::policy::tenant_source::from::user);
    CHECK(s.tenants.default_tenant == "nobody");
    CHECK(s.tenants.default_tier == "premium");
    CHECK(s.tenants.max_concurrent_requests == 19);
    CHECK(s.tenants.max_tenants == 20);
    REQUIRE(s.tenants.tiers.size() == 3);  // the keys of one: tenants_test.cpp
    CHECK(s.tenants.tiers[1].name == "t");
    CHECK(s.metrics.enable_performance_metrics);
    CHECK(s.metrics.connection == "user=m");
    CHECK(s.metrics.performance_metrics_retention_days == 33);
    CHECK(s.metrics.sample_percent == 34);
    CHECK(s.metrics.max_queued_rows == 1035);
    CHECK(s.shared_cache.validity == "ttl");
    CHECK(s.shared_cache.timeout == 85ms);
    CHECK(s.shared_cache.max_queued == 86U << 20);
    CHECK(s.shared_cache.prefix == "farm");
    CHECK(s.shared_cache.encryption_key_file == "e.key");
    CHECK(s.shared_cache.connection == "user=s");
    CHECK(s.shared_cache.redis_addresses == std::vector<std::string>{"r.example:87"});
    CHECK(s.shared_cache.redis_sentinel_master == "main");
    CHECK(s.shared_cache.redis_cluster);
    CHECK(s.shared_cache.redis_username == "app");
    CHECK(s.shared_cache.redis_password_file == "r.pass");
    CHECK(s.shared_cache.redis_tls.mode == tls_mode::verify_full);
    CHECK(s.shared_cache.redis_tls.ca_file == "r.ca");
    CHECK(s.shared_cache.redis_tls.cert_file == "r.crt");
    CHECK(s.shared_cache.redis_tls.key_file == "r.key");
    CHECK(s.shared_cache.redis_tls.min_protocol == tls_version::v1_3);
    CHECK(s.takeover_socket == "/run/p.sock");
    CHECK(s.handover_timeout == 73s);
    CHECK(s.so_reuseport);
    CHECK(s.config_watch_interval == 74s);
    CHECK(s.performance_target == 75ms);
    CHECK(s.enable_load_testing);
    CHECK(s.admin_users == std::vector<std::string>{"dba"});
    CHECK(s.stats_users == std::vector<std::string>{"monitor", "prometheus"});
    CHECK(s.alerts.enable_alerts);
    CHECK(s.alerts.window == 76s);
    CHECK(s.alerts.windows == 77);
    CHECK(s.alerts.min_statements == 78);
    CHECK(s.alerts.repeat_interval == 79s);
    CHECK(s.alerts.max_tenants == 80);
    CHECK(s.alerts.event_log);
    CHECK(s.alerts.notify_channel == "slow");
    CHECK(s.alerts.connection == "user=a");
    CHECK(s.alerts.webhook_url == "http://relay.example:81/x");
    CHECK(s.alerts.webhook_hosts == std::vector<std::string>{"relay.example"});
    CHECK(s.alerts.webhook_timeout == 8s);
    CHECK(s.http.listen_addr == "127.0.0.2");
    CHECK(s.http.listen_port == 1082);
    CHECK(s.http.token_file == "token");
    CHECK(s.http.max_connections == 83);
    CHECK(s.http.tenant_series == 84);
    CHECK(s.log.level == log_level::warning);
    CHECK(s.log.file == "/var/log/p.log");
    // What is left at its default here was not tested above: only what has one allowed value.
    CHECK(changed_keys(s, settings{}).size() + 1 == [] {
        std::size_t n = 0;
        for (const std::string& key : known_keys()) n += key.find("[]") == std::string::npos;
        return n;
    }());
}

TEST_CASE("overrides win over the file and are named as such") {
    const std::vector<std::string> overrides{"listen_port=7000",
                                             "upstream.control_connection=user=a password='b: # c'",
                                             "log.file=",
                                             "cache.key_settings=[x.y]",
                                             "cache.rules=[{name: n, tables: [t]}]",
                                             "listen_port=7001"};
    const load_result r = load_text(
        "listen_port: 1\nlog: {file: x}\ncache: {rules: [{name: m, tables: [u]}]}", "f", overrides);
    REQUIRE(problems_of(r) == lines{});
    CHECK(r.value.listen_port == 7001);
    CHECK(r.value.upstream.control_connection == "user=a password='b: # c'");
    CHECK(r.value.log.file.empty());
    CHECK(r.value.cache.rules.key_settings == std::vector<std::string>{"x.y"});
    REQUIRE(r.value.cache.rules.rules.size() == 1);
    CHECK(r.value.cache.rules.rules[0].name == "n");

    CHECK(problems("", {"listen_port=x", "listen_prot=1", "cache=1", "nothing", "=1",
                        "cache.rules[0].ttl=5m", "cache.key_settings=a", "cache.rules=[{name: a}",
                        "log.file=a\nb"}) ==
          lines{"--set listen_port: \"x\" is not a whole number from 0 to 65535",
                "--set listen_prot: is not a known key; did you mean listen_port?",
                "--set cache: is no single key; name one below it",
                "--set: is not of the form key=value", "--set: is not of the form key=value",
                "--set cache.rules[0].ttl: there is no rule of that name",
                "--set cache.key_settings: takes a list, [a, b]",
                "--set cache.rules: a key must be a name; is a bracket not closed?",
                "--set log.file: holds a control character"});
    CHECK(problems("", {"cache.rules=[{name: a}]"}) ==
          lines{"--set cache.rules[0]: has no tables: it would never apply"});
    CHECK(problems("cache:\n  max_entry_size: 3MB", {"cache.max_memory=2MB"}) ==
          lines{"f:2: cache.max_entry_size: 3MB is more than cache.max_memory, 2MB"});
    CHECK(problems("", {"cache.enable_query_result_caching=on"}) ==
          lines{"--set cache.enable_query_result_caching: needs upstream.control_connection, which "
                "reads the catalogs"});
}

TEST_CASE("a file: read as a whole, or refused with the system's reason") {
    const std::string path = (std::filesystem::temp_directory_path() /
                              ("pgsidecar_config_" + std::to_string(::getpid()) + ".yaml"))
                                 .string();
    CHECK(problems_of(load_file(path)) ==
          lines{path + ": cannot be read: No such file or directory"});
    CHECK(problems_of(load_file("/")) == lines{"/: cannot be read: Is a directory"});

    std::ofstream{path, std::ios::binary} << "\xef\xbb\xbflisten_port: 7000\r\nworkers: 2\r\n";
    const load_result good = load_file(path);
    CHECK(problems_of(good) == lines{});
    CHECK(good.value.listen_port == 7000);
    CHECK(good.value.workers == 2);

    std::ofstream{path, std::ios::binary} << "workers: 2\r\n\r\nlisten_port: x\r\n";
    CHECK(problems_of(load_file(path)) ==
          lines{path + ":3: listen_port: \"x\" is not a whole number from 0 to 65535"});

    std::string big = "listen_port: 7000\n";
    big.resize(max_file_size, '#');
    big[18] = '#';
    std::ofstream{path, std::ios::binary} << big;
    CHECK(problems_of(load_file(path)) == lines{});
    std::ofstream{path, std::ios::binary} << big << '#';
    CHECK(problems_of(load_file(path)) == lines{path + ": is larger than 1MB"});
    std::remove(path.c_str());
}

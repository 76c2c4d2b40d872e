// Every way a file can be wrong: the line, the key and the words that an operator is told.
#include <string>

#include "config/text_checks.h"
#include "tests/config/support.h"

using namespace pgsidecar::config;

TEST_CASE("a value that does not fit: one problem with its line, its key and the reason") {
    static const struct {
        const char* yaml;
        lines want;
    } rows[] = {
        {"\nlisten_port: -1\n", {"f:2: listen_port: \"-1\" is not a whole number from 0 to 65535"}},
        {"listen_port: 65536",
         {"f:1: listen_port: \"65536\" is not a whole number from 0 to 65535"}},
        {"workers: many", {"f:1: workers: \"many\" is not a whole number from 0 to 1024"}},
        {"enable_optimizations: maybe",
         {"f:1: enable_optimizations: \"maybe\" is neither true nor false (true, on, yes; false, "
          "off, no)"}},
        {"client_login_timeout: 5 minutes",
         {"f:1: client_login_timeout: \"5 minutes\" is not a duration such as 30s (ms, s, m, h, d; "
          "a "
          "bare number is seconds)"}},
        {"client_login_timeout: 0", {"f:1: client_login_timeout: \"0\" is not between 1ms and 1h"}},
        {"tcp_keepidle: 1500ms",
         {"f:1: tcp_keepidle: \"1500ms\" is not a whole number of seconds"}},
        {"cache:\n  max_memory: lots",
         {"f:2: cache.max_memory: \"lots\" is not a size such as 256MB (B, kB, MB, GB, TB; a bare "
          "number is bytes)"}},
        {"cache:\n  max_memory: 1kB",
         {"f:2: cache.max_memory: \"1kB\" is not between 1MB and 1TB"}},
        {"cache:\n  cache_provider: memcached",
         {"f:2: cache.cache_provider: \"memcached\" is not one of: memory, database, redis"}},
        {"shared_cache:\n  validity: always",
         {"f:2: shared_cache.validity: \"always\" is not one of: ttl, wal"}},
        {"shared_cache:\n  prefix: a b",
         {"f:2: shared_cache.prefix: \"a b\" is not 1 to 100 letters, digits, and _ - . : { }"}},
        {"shared_cache:\n  timeout: 11s",
         {"f:2: shared_cache.timeout: \"11s\" is not between 1ms and 10s"}},
        {"auth_query: SELECT 1", {"f:1: auth_query: does not ask for the user, $1"}},
        {"log: {level: loud}",
         {"f:1: log.level: \"loud\" is not one of: trace, debug, info, warning, error, off"}},
        {"client_tls_sslmode: verify_full",
         {"f:1: client_tls_sslmode: \"verify_full\" is not one of: disable, allow, prefer, "
          "require, "
          "verify-ca, verify-full"}},
        {"pool_mode: statement",
         {"f:1: pool_mode: \"statement\" is not supported by this version, only: session, "
          "transaction"}},
        {"pool_mode: sesion", {"f:1: pool_mode: \"sesion\" is not one of: session, transaction"}},
        {"default_pool_size: 0",
         {"f:1: default_pool_size: \"0\" is not a whole number from 1 to 10000"}},
        {"min_pool_size: 10001",
         {"f:1: min_pool_size: \"10001\" is not a whole number from 0 to 10000"}},
        {"reserve_pool_size: 10001",
         {"f:1: reserve_pool_size: \"10001\" is not a whole number from 0 to 10000"}},
        {"reserve_pool_timeout: 0", {"f:1: reserve_pool_timeout: \"0\" is not between 1ms and 1h"}},
        {"max_db_connections: 10001",
         {"f:1: max_db_connections: \"10001\" is not a whole number from 0 to 10000"}},
        {"max_user_connections: -1",
         {"f:1: max_user_connections: \"-1\" is not a whole number from 0 to 10000"}},
        {"query_wait_timeout: 2d", {"f:1: query_wait_timeout: \"2d\" is not between 0s and 1d"}},
        {"server_idle_timeout: 366d",
         {"f:1: server_idle_timeout: \"366d\" is not between 0s and 365d"}},
        {"server_lifetime: 366d", {"f:1: server_lifetime: \"366d\" is not between 0s and 365d"}},
        {"server_login_retry: 2h", {"f:1: server_login_retry: \"2h\" is not between 0s and 1h"}},
        {"server_check_delay: 25h", {"f:1: server_check_delay: \"25h\" is not between 0s and 1d"}},
        {"server_check_query: \"select 1\\0\"",
         {"f:1: server_check_query: holds a control character"}},
        {"server_check_query: \"select 1;\\nselect 2\"",
         {"f:1: server_check_query: holds a control character"}},
        {"max_prepared_statements: 0",
         {"f:1: max_prepared_statements: \"0\" is not a whole number from 1 to 100000"}},
        {"listen_addr: localhost",
         {"f:1: listen_addr: \"localhost\" is not an IP address (127.0.0.1, ::1, or * for every "
          "interface)"}},
        {"upstream:\n  host: /var/run/postgresql",
         {"f:2: upstream.host: is a path; Unix sockets are not supported, name a host"}},
        {"upstream:\n  host: db:5432",
         {"f:2: upstream.host: \"db:5432\" is not a host name or IP address; the port has a key of "
          "its own"}},
        {"upstream:\n  host: \"a\\nb\"",
         {"f:2: upstream.host: \"a\\x0ab\" is not a host name or IP address"}},
        {"upstream:\n  host: ''", {"f:2: upstream.host: is empty"}},
        {"log: {file: \"a\\0b\"}", {"f:1: log.file: holds a control character"}},
        {"listen_port:", {"f:1: listen_port: has no value"}},
        {"listen_port: ~", {"f:1: listen_port: has no value"}},
        {"listen_port: [6432]", {"f:1: listen_port: takes one value"}},
        {"listen_port: {a: 1}", {"f:1: listen_port: takes one value"}},
        {"cache: 5", {"f:1: cache: takes keys of its own, indented below it"}},
        {"cache:\n  - 5", {"f:1: cache: takes keys of its own, indented below it"}},
        {"- a\n- b", {"f:1: the file is no map of keys"}},
        {"just text", {"f:1: the file is no map of keys"}},
        {"cache:\n  key_settings: app.tenant_id",
         {"f:2: cache.key_settings: takes a list, [a, b]"}},
        {"cache:\n  key_settings:\n    - app.tenant_id\n    - 'a b'\n    - [x]",
         {"f:4: cache.key_settings[1]: \"a b\" is not the name of a server setting, such as "
          "app.tenant_id",
          "f:5: cache.key_settings[2]: takes one value"}},
        {"cache:\n  key_settings:", {"f:2: cache.key_settings: has no value; [] is an empty list"}},
        {"cache: {rules: {a: b}}", {"f:1: cache.rules: takes a list of rules"}},
        {"cache:\n  rules:\n    - prescriptions",
         {"f:3: cache.rules[0]: is not a rule; a rule has keys: name, tables, ttl"}},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.yaml});
        CHECK(problems(row.yaml) == row.want);
    }
}

TEST_CASE("server_check_query: one line of some length, whatever it asks") {
    CHECK(check_query("").empty());
    CHECK(check_query("select 1; select 'a'").empty());
    CHECK(check_query(std::string(4096, 'x')).empty());
    CHECK(check_query(std::string(4097, 'x')) == "is longer than 4096 bytes");
    CHECK(check_query("select\r1") == "holds a control character");
}

TEST_CASE("listen_addr: an address that could be bound, in its usual forms") {
    for (const char* good : {"*", "0.0.0.0", "127.0.0.1", "255.255.255.255", "::", "::1",
                             "1::", "fe80::1%eth0", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::",
                             "::ffff:10.0.0.1", "1:2:3:4:5:6:1.2.3.4", "ABCD:ef01::"}) {
        CAPTURE(std::string{good});
        CHECK(check_listen_addr(good).empty());
    }
    for (const char* bad : {"",
                            "localhost",
                            "256.0.0.1",
                            "1.2.3",
                            "1.2.3.4.5",
                            "1.2.3.04",
                            "1.2.3.",
                            ".1.2.3",
                            "1.2.3.4:80",
                            "1.2.3.4 ",
                            ":",
                            ":::",
                            "1::2::3",
                            "1:2:3:4:5:6:7",
                            "1:2:3:4:5:6:7:8:9",
                            ":1:2:3:4:5:6:7",
                            "1:2:3:4:5:6:7:",
                            "12345::",
                            "g::",
                            "::1%",
                            "::1%a b",
                            "::1.2.3.256",
                            "1:2:3:4:5:6:7:1.2.3.4",
                            "[::1]",
                            "**"}) {
        CAPTURE(std::string{bad});
        CHECK_FALSE(check_listen_addr(bad).empty());
    }
}

TEST_CASE("rules: what could never apply, or mean two things, is refused") {
    static const struct {
        const char* yaml;
        lines want;
    } rows[] = {
        {"cache:\n  rules:\n    - name: a\n",
         {"f:3: cache.rules[0]: has no tables: it would never apply"}},
        {"cache:\n  rules:\n    - tables: [x]\n", {"f:3: cache.rules[0]: has no name"}},
        {"cache:\n  rules:\n    - name: a\n      tables: []\n",
         {"f:3: cache.rules[0]: has no tables: it would never apply"}},
        {"cache:\n  rules:\n    - name: a\n      tables: [x]\n      ttl: 0\n",
         {"f:5: cache.rules[0].ttl: \"0\" is not between 1ms and 365d"}},
        {"cache:\n  rules:\n    - {name: a, tables: [x]}\n    - name: b\n      tables: [x]\n    - "
         "tables: [x]\n      name: a\n",
         {"f:7: cache.rules[2].name: \"a\" is the name of cache.rules[0] already"}},
        {"cache:\n  rules:\n    - name: \"a\\tb\"\n      tables: [x]\n",
         {"f:3: cache.rules[0].name: \"a\\x09b\" holds a control character"}},
        {"cache:\n  rules:\n    - name: ''\n      tables: [x]\n",
         {"f:3: cache.rules[0].name: is empty"}},
        {"cache:\n  rules:\n    - name: 123456789012345678901234567890123456789012345678901\n      "
         "tables: [x]\n",
         {"f:3: cache.rules[0].name: \"123456789012345678901234567890123456789012345678901\" is "
          "longer than 50 characters, the width of query_type"}},
        {"cache:\n  rules:\n    - name: a\n      tables:\n        - 'public.\"X\"'\n        - "
         "a.b.c\n  "
         "      - a.\n        - ''\n        - ok\n",
         {"f:5: cache.rules[0].tables[0]: \"public.\\\"X\\\"\" is not a table pattern: it holds "
          "\"; "
          "write names as the catalog has them, without quotes or brackets",
          "f:6: cache.rules[0].tables[1]: \"a.b.c\" is not a table pattern: it has more than one "
          "dot; the form is schema.table",
          "f:7: cache.rules[0].tables[2]: \"a.\" is not a table pattern: a part is empty or has a "
          "blank at its edge; the form is schema.table",
          "f:8: cache.rules[0].tables[3]: \"\" is not a table pattern: it is empty"}},
        {"cache:\n  rules:\n    - name: a\n      tables: [x]\n      functions: [now()]\n",
         {"f:5: cache.rules[0].functions[0]: \"now()\" is not a function name: it holds (; write "
          "names as the catalog has them, without quotes or brackets"}},
        {"cache:\n  rules:\n    - name: a\n      tables: [x]\n      tll: 5m\n",
         {"f:5: cache.rules[0].tll: is not a known key; did you mean cache.rules[].ttl?"}},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.yaml});
        CHECK(problems(row.yaml) == row.want);
    }
}

TEST_CASE("rules: a mode that does not exist must not pass for on") {
    CHECK(problems("cache: {rules: [{name: a, tables: [x], mode: dark}]}") ==
          lines{"f:1: cache.rules[0].mode: \"dark\" is not one of: off, shadow, on"});
}

TEST_CASE("table patterns: what a catalog may hold is allowed") {
    for (const char* pattern :
         {"*", "public.*", "prescription", "Rx_2024$?", "s p.t-1", "\xc3\xa9t\xc3\xa9.x"}) {
        CAPTURE(std::string{pattern});
        CHECK(problems(std::string{"cache: {rules: [{name: a, tables: ['"} + pattern + "']}]}") ==
              lines{});
    }
}

TEST_CASE("an unknown key names the nearest one, wherever that belongs") {
    static const struct {
        const char* yaml;
        lines want;
    } rows[] = {
        {"listen_prot: 1", {"f:1: listen_prot: is not a known key; did you mean listen_port?"}},
        {"ListenPort: 1", {"f:1: ListenPort: is not a known key; did you mean listen_port?"}},
        {"cahce:\n  max_memory: 1MB", {"f:1: cahce: is not a known key; did you mean cache?"}},
        {"server_tls_sslmode: require",
         {"f:1: server_tls_sslmode: is not a known key; did you mean "
          "upstream.server_tls_sslmode?"}},
        {"port: 1", {"f:1: port: is not a known key; did you mean upstream.port?"}},
        {"upstream: {level: info}",
         {"f:1: upstream.level: is not a known key; did you mean log.level?"}},
        {"cache:\n  max_size: 1", {"f:2: cache.max_size: is not a known key"}},
        {"cache:\n  max_memry: 1",
         {"f:2: cache.max_memry: is not a known key; did you mean cache.max_memory?"}},
        {"upstream:\n  hots: x",
         {"f:2: upstream.hots: is not a known key; did you mean upstream.host?"}},
        {"cache.max_memory: 1MB",
         {"f:1: cache.max_memory: is written with a dot; put max_memory under cache"}},
        {"entirely_different: 1", {"f:1: entirely_different: is not a known key"}},
        {"\"a\\nFATAL: forged\": 1", {"f:1: \"a\\x0aFATAL: forged\": is not a known key"}},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.yaml});
        CHECK(problems(row.yaml) == row.want);
    }
}

TEST_CASE("combinations that cannot work are refused at the line of the key to change") {
    static const struct {
        const char* yaml;
        lines want;
    } rows[] = {
        {"auth_type: md5\nauth_file: u\npool_mode: transaction\n",
         {"f:3: pool_mode: needs upstream.control_connection, which tells what a session may have "
          "changed"}},
        {"upstream: {control_connection: user=u}\npool_mode: transaction\n",
         {"f:2: pool_mode: needs auth_type other than relay: the server has no part in a client's "
          "log-in"}},
        {"pool_mode: transaction\n",
         {"f:1: pool_mode: needs auth_type other than relay: the server has no part in a client's "
          "log-in; it also needs upstream.control_connection, which tells what a session may have "
          "changed"}},
        {"pool_mode: transaction\nauth_type: trust\nupstream: {control_connection: user=u}\n", {}},
        {"pool_mode: transaction\nauth_type: relai\nupstream: {control_connection: user=u}\n",
         {"f:2: auth_type: \"relai\" is not one of: relay, trust, plain, md5, scram-sha-256, "
          "hba"}},
        {"cache:\n  rules:\n    - {name: a, tables: [t]}\n    - name: b\n      tables: [u]\n"
         "      stale_if_error: 5m\n",
         {"f:6: cache.rules[1].stale_if_error: needs pool_mode: transaction; otherwise a client's "
          "connection ends with its server's"}},
        {"http:\n  listen_port: 9187\n  listen_addr: 0.0.0.0\n",
         {"f:3: http.listen_addr: \"0.0.0.0\" is reached from other machines: set http.token_file "
          "too, or listen on a loopback address"}},
        {"http: {listen_port: 9187, listen_addr: '*', token_file: t}\n", {}},
        {"http: {listen_port: 9187, listen_addr: '::1'}\n", {}},
        {"http: {listen_addr: 0.0.0.0}\n", {}},  // off
        {"http: {listen_port: 6432}\n",
         {"f:1: http.listen_port: is where clients of the database connect"}},
        {"listen_addr: '*'\nhttp: {listen_port: 6432}\n",
         {"f:2: http.listen_port: is where clients of the database connect"}},
        {"listen_addr: 10.0.0.1\nhttp: {listen_port: 6432}\n", {}},
        {"http: {max_connections: 3}\n",
         {"f:1: http.max_connections: \"3\" is not a whole number from 4 to 10000"}},
        {"default_pool_size: 3\nmin_pool_size: 4\n",
         {"f:2: min_pool_size: 4 is more than default_pool_size, 3"}},
        {"default_pool_size: 3\nmin_pool_size: 3\n", {}},
        {"min_pool_size: 21\n", {"f:1: min_pool_size: 21 is more than default_pool_size, 20"}},
        {"upstream:\n  server_tls_sslmode: verify-full\n",
         {"f:2: upstream.server_tls_sslmode: verifies nothing without "
          "upstream.server_tls_ca_file"}},
        {"upstream:\n  server_tls_sslmode: verify-ca\n",
         {"f:2: upstream.server_tls_sslmode: verifies nothing without "
          "upstream.server_tls_ca_file"}},
        {"upstream:\n  server_tls_cert_file: x\n",
         {"f:2: upstream.server_tls_cert_file: has no key: set upstream.server_tls_key_file too"}},
        {"upstream:\n  server_tls_key_file: x\n",
         {"f:2: upstream.server_tls_key_file: has no certificate: set "
          "upstream.server_tls_cert_file "
          "too"}},
        {"client_tls_sslmode: allow\n",
         {"f:1: client_tls_sslmode: needs client_tls_cert_file and client_tls_key_file"}},
        {"client_tls_cert_file: a\nclient_tls_key_file: b\nclient_tls_sslmode: verify-full\n",
         {"f:3: client_tls_sslmode: verifies nothing without client_tls_ca_file"}},
        {"client_tls_cert_file: a\n",
         {"f:1: client_tls_cert_file: has no key: set client_tls_key_file too"}},
        {"cache:\n  enable_query_result_caching: on\n",
         {"f:2: cache.enable_query_result_caching: needs upstream.control_connection, which reads "
          "the catalogs"}},
        {"metrics:\n  enable_performance_metrics: on\n",
         {"f:2: metrics.enable_performance_metrics: has nowhere to write: set metrics.connection, "
          "or "
          "upstream.control_connection"}},
        {"metrics:\n  enable_performance_metrics: on\n  connection: dbname=m\n", {}},
        {"cache:\n  max_memory: 2MB\n  max_entry_size: 3MB\n",
         {"f:3: cache.max_entry_size: 3MB is more than cache.max_memory, 2MB"}},
        // The key named is not in the file: the line is that of the key that made it wrong.
        {"# big\ncache:\n  max_entry_size: 512MB\n",
         {"f:3: cache.max_entry_size: 512MB is more than cache.max_memory, 256MB"}},
        {"listen_port: 5432\n", {"f:1: upstream.port: is where this proxy itself listens"}},
        {"listen_addr: '*'\nupstream:\n  host: localhost\n  port: 6432\n",
         {"f:4: upstream.port: is where this proxy itself listens"}},
        {"listen_addr: 10.0.0.1\nupstream:\n  host: 10.0.0.2\n  port: 6432\n", {}},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.yaml});
        CHECK(problems(row.yaml) == row.want);
    }
}

TEST_CASE("all problems are reported, in order, and none that only follows from another") {
    CHECK(problems("listen_port: x\n"
                   "upstream:\n"
                   "  server_tls_sslmode: verify-full\n"
                   "  server_tls_ca_file: \"a\\nb\"\n"  // not: "verifies nothing without"
                   "  port: 99999\n"
                   "cache:\n"
                   "  rules:\n"
                   "    - name: a\n"
                   "      tables: [a.b.c]\n"  // not: "has no tables"
                   "nonsense: 1\n") ==
          lines{"f:1: listen_port: \"x\" is not a whole number from 0 to 65535",
                "f:4: upstream.server_tls_ca_file: holds a control character",
                "f:5: upstream.port: \"99999\" is not a whole number from 1 to 65535",
                "f:9: cache.rules[0].tables[0]: \"a.b.c\" is not a table pattern: it has more than "
                "one dot; the form is schema.table",
                "f:10: nonsense: is not a known key"});
}

TEST_CASE("a password never reaches a message") {
    for (const char* yaml : {
             "upstream: {control_connection: \"hunter2\"}",
             "upstream: {control_connection: \"user=x password='hunter2\"}",
             "upstream: {control_connection: [hunter2]}",
             "upstream: {control_connection: \"password=hunter2\\n\"}",
         }) {
        CAPTURE(std::string{yaml});
        const lines got = problems(yaml);
        REQUIRE(got.size() == 1);
        CHECK(got[0].find("hunter2") == std::string::npos);
        CHECK(got[0].find("f:1: upstream.control_connection: ") == 0);
    }
    const lines got = problems("", {"upstream.control_connection=hunter2", "hunter2"});
    REQUIRE(got.size() == 2);
    CHECK((got[0] + got[1]).find("hunter2") == std::string::npos);
}

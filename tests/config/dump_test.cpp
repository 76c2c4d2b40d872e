#include <algorithm>
#include <string>
#include <vector>

#include "tests/config/support.h"

using namespace pgsidecar::config;
using namespace std::chrono_literals;

namespace {

settings unusual() {
    settings s;
    s.listen_addr = "*";
    s.listen_port = 7000;
    s.workers = 3;
    s.enable_optimizations = false;
    s.pool_mode = pool_mode::transaction;
    s.auth_type = auth_type::scram_sha_256;
    s.pool.reserve_pool_timeout = 1ms;
    s.pool.query_wait_timeout = 0ms;
    s.pool.server_check_query = "select 'a: # \\'; select \"b\"";
    s.server_connect_timeout = 1500ms;
    s.keepalive.idle = 90s;
    s.max_sql_length = 10'001;
    s.statement_memory = 3'000'001;
    s.upstream.tls.mode = tls_mode::verify_full;
    s.upstream.tls.min_protocol = tls_version::v1_3;
    s.upstream.tls.ca_file = "C:\\Program Files\\pg \"x\"\\ca: #1.pem";
    s.upstream.control_connection = "user=postgres dbname='a b'";
    s.cache.enable_query_result_caching = true;
    s.cache.rules.key_settings = {};
    s.cache.rules.rules = {
        {"null", {"*"}, {}, 5min, pgsidecar::policy::rule_mode::off},
        {"- name: x # y",
         {"public.a*", "S p.T"},
         {"pg_catalog.f"},
         1ms,
         pgsidecar::policy::rule_mode::off},
        {"\xc3\xa9t\xc3\xa9 {}", {"x"}, {}, std::chrono::days{2}, pgsidecar::policy::rule_mode::on},
    };
    s.tenants.limits = pgsidecar::policy::enforcement::warn;
    s.tenant_source_texts = {"setting:App.Tenant", "user:{tenant}", "comment:it's \"x\""};
    s.tenants.default_tenant = "null";
    s.tenants.default_tier = "gold";
    s.tenants.max_tenants = 1;
    s.tenants.tiers[0].query_timeout = 1h;
    s.tenants.tiers[0].max_result_bytes = 12'345;
    s.tenants.tiers[0].max_page_size_mode = pgsidecar::policy::enforcement::off;
    s.tenants.tiers[0].burst = 7;
    s.tenants.tiers.insert(s.tenants.tiers.begin() + 1, s.tenants.tiers[0]);
    s.tenants.tiers[1].name = "gold";
    s.tenants.tiers[1].members = {"*", "a: #\xc3\xa9"};
    s.log.level = log_level::off;
    return s;
}

}  // namespace

TEST_CASE("what is dumped loads back to the same settings") {
    for (const settings& s : {settings{}, unusual()}) {
        const std::string text = dump(s);
        CAPTURE(text);
        const load_result back = load_text(text, "dump");
        for (const problem& p : back.problems) FAIL_CHECK(to_string(p));
        CHECK(changed_keys(s, back.value) == std::vector<std::string>{});
        CHECK(dump(back.value) == text);
    }
}

TEST_CASE("a dump shows no password, in whatever form it was given") {
    for (const char* conninfo : {"user=x password=hunter2", "postgresql://x:hunter2@h/db",
                                 "password='hunter2' user=x", "hunter2"}) {
        settings s;
        s.upstream.control_connection = conninfo;
        CHECK(dump(s).find("hunter2") == std::string::npos);
        CHECK(dump(s).find("********") != std::string::npos);
    }
}

TEST_CASE("the difference between two settings names exactly what differs") {
    using keys = std::vector<std::string>;
    CHECK(changed_keys({}, {}) == keys{});
    settings s;
    s.log.level = log_level::debug;
    s.listen_port = 1;
    s.cache.rules.rules = {{"a", {"b"}, {}, 5min, {}}};
    CHECK(changed_keys({}, s) == keys{"listen_port", "cache.rules", "log.level"});

    settings t = s;
    t.cache.rules.rules[0].ttl = 6min;
    CHECK(changed_keys(s, t) == keys{"cache.rules"});
    t = s;
    t.cache.rules.rules[0].functions = {"f"};
    CHECK(changed_keys(s, t) == keys{"cache.rules"});

    t = s;
    t.tenants.tiers[1].max_page_size_mode = pgsidecar::policy::enforcement::warn;
    CHECK(changed_keys(s, t) == keys{"tenants.tiers"});
    t = s;
    t.tenants.limits = pgsidecar::policy::enforcement::enforce;
    t.tenant_source_texts.pop_back();
    CHECK(changed_keys(s, t) == keys{"tenants.limits", "tenants.sources"});

    // A new password is a difference although a dump shows none.
    s.upstream.control_connection = "password=a";
    t = s;
    t.upstream.control_connection = "password=b";
    CHECK(dump(s) == dump(t));
    CHECK(changed_keys(s, t) == keys{"upstream.control_connection"});
}

TEST_CASE("only what is made once at start-up needs a restart") {
    for (const char* key :
         {"listen_addr", "listen_port", "workers", "cache.shards", "pool_mode", "auth_type",
          "upstream.host", "upstream.port", "upstream.control_connection", "metrics.connection"}) {
        CHECK(needs_restart(key));
    }
    for (const char* key :
         {"enable_optimizations", "cache.rules", "cache.max_memory", "log.level",
          "cache.enable_query_result_caching", "default_pool_size", "auth_file",
          "metrics.sample_percent", "performance_target", "alerts.enable_alerts", "alerts.window",
          "alerts.connection", "alerts.webhook_url", "no_such_key"}) {
        CHECK_FALSE(needs_restart(key));
    }
}

TEST_CASE("what needs a restart stays as it is until then") {
    settings running, next;
    running.listen_port = 7000;
    running.upstream.control_connection = "user=a";
    running.max_client_conn = 5;
    next.workers = 3;
    next.upstream.control_connection = "user=b";
    next.max_client_conn = 6;
    keep_until_restart(running, next);
    CHECK(next.listen_port == 7000);
    CHECK(next.workers == running.workers);
    CHECK(next.upstream.control_connection == "user=a");
    CHECK(next.max_client_conn == 6);
    CHECK(changed_keys(running, next) == std::vector<std::string>{"max_client_conn"});
}

TEST_CASE("every known key is named once") {
    std::vector<std::string> keys = known_keys();
    CHECK(keys.size() > 40);
    std::ranges::sort(keys);
    CHECK(std::ranges::adjacent_find(keys) == keys.end());
    CHECK(std::ranges::find(keys, "cache.rules[].ttl") != keys.end());
    CHECK(std::ranges::find(keys, "tenants.tiers[].burst") != keys.end());
}

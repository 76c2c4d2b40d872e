// The tier that several sidecars share: what its keys may be, and together.
#include "tests/config/support.h"

using namespace pgsidecar::config;

namespace {

const std::string upstream = "upstream: {control_connection: user=u}\n";

lines provider(const std::string& name, const std::string& shared) {
    return problems(upstream + "cache: {cache_provider: " + name + "}\n" +
                    (shared.empty() ? "" : "shared_cache:\n  " + shared + "\n"));
}

}  // namespace

TEST_CASE("a shared cache says by name that it promises no more than its ttl") {
    for (const char* name : {"database", "redis"}) {
        const auto found = provider(name, "redis_addresses: [\"h:1\"]");
        REQUIRE(found.size() == 1);
        CHECK(
            found[0] ==
            "f:2: cache.cache_provider: needs shared_cache.validity: wal, or ttl, said by name: of "
            "what other sidecars write that notices nothing before the ttl is over");
        CHECK(provider(name, "validity: ttl\n  redis_addresses: [\"h:1\"]") == lines{});
        CHECK(provider(name, "validity: wal\n  redis_addresses: [\"h:1\"]") == lines{});
    }
    CHECK(provider("memory", "") == lines{});
    CHECK(provider("memory", "validity: ttl") == lines{});
}

TEST_CASE("a shared cache has somewhere to be") {
    CHECK(provider("redis", "validity: ttl") ==
          lines{"f:2: cache.cache_provider: needs shared_cache.redis_addresses"});
    CHECK(provider("database", "validity: ttl") == lines{});
    const std::string nowhere =
        "cache: {cache_provider: database}\nshared_cache:\n  validity: ttl\n";
    CHECK(problems(nowhere) == lines{"f:1: cache.cache_provider: needs shared_cache.connection, or "
                                     "upstream.control_connection in its place"});
    CHECK(problems(nowhere + "  connection: dbname=c\n") == lines{});
}

TEST_CASE("addresses of redis are host:port, and IPv6 stands in brackets") {
    const auto address = [](const std::string& text) {
        return provider("redis", "validity: ttl\n  redis_addresses: ['" + text + "']");
    };
    for (const char* good : {"redis1:6379", "10.0.0.1:1", "[::1]:65535", "a.b-c.example:26379"}) {
        CAPTURE(good);
        CHECK(address(good) == lines{});
    }
    for (const char* bad :
         {"", "redis1", "redis1:", ":6379", "redis1:0", "redis1:65536", "redis1:6379x", "::1:6379",
          "[::1:6379", "[x]:6379", "redis 1:6379", "redis://h:1", "h:99999999999999999999"}) {
        CAPTURE(bad);
        CHECK(address(bad).size() == 1);
    }
}

TEST_CASE("keys of redis that need each other") {
    const auto redis = [](const std::string& more) {
        return provider("redis", "validity: ttl\n  redis_addresses: ['h:1']\n  " + more);
    };
    CHECK(redis("redis_username: u") ==
          lines{"f:6: shared_cache.redis_username: has no password: set "
                "shared_cache.redis_password_file too"});
    CHECK(redis("redis_username: u\n  redis_password_file: p") == lines{});
    CHECK(redis("redis_cluster: on\n  redis_sentinel_master: m") ==
          lines{"f:6: shared_cache.redis_cluster: and redis_sentinel_master exclude each other"});
    CHECK(redis("redis_tls_sslmode: verify-full") ==
          lines{"f:6: shared_cache.redis_tls_sslmode: verifies nothing without "
                "shared_cache.redis_tls_ca_file"});
    CHECK(redis("redis_tls_sslmode: verify-full\n  redis_tls_ca_file: ca") == lines{});
}

TEST_CASE("the connection of a shared cache shows no password, and all of it takes a restart") {
    settings s;
    s.shared_cache.connection = "user=x password=hunter2";
    CHECK(dump(s).find("hunter2") == std::string::npos);
    for (const std::string& key : known_keys()) {
        CAPTURE(key);
        if (key.starts_with("shared_cache.") && key != "shared_cache.connection")
            CHECK(needs_restart(key));
    }
    CHECK(needs_restart("cache.cache_provider"));
}

#include "config/check.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "config/text_checks.h"
#include "config/values.h"
#include "config/webhook_url.h"

namespace pgsidecar::config {
namespace {

using findings = std::vector<finding>;

void check_tls(const tls_settings& tls, const std::string& prefix, findings& out) {
    const std::string cert = prefix + "cert_file", key = prefix + "key_file",
                      ca = prefix + "ca_file", mode = prefix + "sslmode";
    if (!tls.cert_file.empty() && tls.key_file.empty()) {
        out.push_back({cert, {key}, "has no key: set " + key + " too"});
    }
    if (tls.cert_file.empty() && !tls.key_file.empty()) {
        out.push_back({key, {cert}, "has no certificate: set " + cert + " too"});
    }
    const bool verifies = tls.mode == tls_mode::verify_ca || tls.mode == tls_mode::verify_full;
    if (verifies && tls.ca_file.empty()) {
        out.push_back({mode, {ca}, "verifies nothing without " + ca});
    }
}

void check_cache(const cache_settings& cache, const upstream_settings& upstream, findings& out) {
    if (cache.enable_query_result_caching && upstream.control_connection.empty()) {
        out.push_back({"cache.enable_query_result_caching",
                       {"upstream.control_connection"},
                       "needs upstream.control_connection, which reads the catalogs"});
    }
    if (cache.store.max_entry_size > cache.store.max_memory) {
        out.push_back({"cache.max_entry_size",
                       {"cache.max_memory"},
                       write_size(cache.store.max_entry_size) + " is more than cache.max_memory, " +
                           write_size(cache.store.max_memory)});
    }
}

void check_shared_cache(const settings& s, findings& out) {
    const auto& shared = s.shared_cache;
    check_tls(shared.redis_tls, "shared_cache.redis_tls_", out);
    if (s.cache.provider == cache_provider::memory) return;
    const bool redis = s.cache.provider == cache_provider::redis;
    finding lacks{"cache.cache_provider", {}, {}};
    const auto needs = [&](const char* key, const char* what) {
        lacks.also.emplace_back(key);
        lacks.reason.append(lacks.reason.empty() ? "needs " : "; it also needs ").append(what);
    };
    if (shared.validity.empty())
        needs("shared_cache.validity",
              "shared_cache.validity: wal, or ttl, said by name: of what other sidecars write that "
              "notices nothing before the ttl is over");
    if (shared.validity == "wal" &&
        (s.cache.invalidation == invalidation::ttl || s.cache.invalidation == invalidation::notify))
        out.push_back({"shared_cache.validity",
                       {"cache.invalidation"},
                       "is wal, and cache.invalidation neither wal nor auto"});
    if (redis && shared.redis_addresses.empty())
        needs("shared_cache.redis_addresses", "shared_cache.redis_addresses");
    if (!redis && shared.connection.empty() && s.upstream.control_connection.empty())
        needs("shared_cache.connection",
              "shared_cache.connection, or upstream.control_connection in its place");
    if (!lacks.also.empty()) out.push_back(std::move(lacks));
    if (shared.redis_cluster && !shared.redis_sentinel_master.empty())
        out.push_back({"shared_cache.redis_cluster",
                       {"shared_cache.redis_sentinel_master"},
                       "and redis_sentinel_master exclude each other"});
    if (!shared.redis_username.empty() && shared.redis_password_file.empty())
        out.push_back({"shared_cache.redis_username",
                       {"shared_cache.redis_password_file"},
                       "has no password: set shared_cache.redis_password_file too"});
}

void check_metrics(const settings& s, findings& out) {
    if (s.metrics.enable_performance_metrics && s.metrics.connection.empty() &&
        s.upstream.control_connection.empty())
        out.push_back({"metrics.enable_performance_metrics",
                       {"metrics.connection", "upstream.control_connection"},
                       "has nowhere to write: set metrics.connection, or "
                       "upstream.control_connection"});
}

void check_alerts(const settings& s, findings& out) {
    const alert_settings& a = s.alerts;
    if (!a.notify_channel.empty() && a.connection.empty() && s.upstream.control_connection.empty())
        out.push_back({"alerts.notify_channel",
                       {"alerts.connection", "upstream.control_connection"},
                       "has no connection: set alerts.connection, or "
                       "upstream.control_connection"});
    std::string ignored;
    const auto url = read_webhook_url(a.webhook_url, ignored);
    if (url && !is_loopback(url->host) &&
        std::ranges::find(a.webhook_hosts, url->host) == a.webhook_hosts.end())
        out.push_back({"alerts.webhook_url",
                       {"alerts.webhook_hosts"},
                       "goes to another machine; name its host in alerts.webhook_hosts"});
}

// Whether there is a way from one process to the next (proxy/io/packet_socket.h).
#ifdef _WIN32
constexpr bool hands_over = false;
#else
constexpr bool hands_over = true;
#endif

void check_hand_over(const settings& s, findings& out) {
    if (!hands_over && !s.takeover_socket.empty())
        out.push_back({"takeover_socket",
                       {},
                       "is not to be had on Windows: a service there is stopped and started"});
    if (s.so_reuseport && s.takeover_socket.empty())
        out.push_back({"so_reuseport",
                       {"takeover_socket"},
                       "needs takeover_socket: two processes that know nothing of each other must "
                       "not cache"});
}

using names = std::map<std::string_view, std::size_t>;

// The element `i` of a list has a name of its own.
void check_name(const std::string& list, std::size_t i, const std::string& name, names& seen,
                findings& out) {
    const std::string path = list + '[' + std::to_string(i) + ']';
    if (name.empty()) {
        out.push_back({path, {path + ".name"}, "has no name"});
        return;
    }
    const auto [first, fresh] = seen.emplace(name, i);
    if (fresh) return;
    out.push_back({path + ".name",
                   {},
                   show(name) + " is the name of " + list + '[' + std::to_string(first->second) +
                       "] already"});
}

void check_rules(const settings& s, findings& out) {
    const auto& rules = s.cache.rules.rules;
    names seen;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const std::string path = "cache.rules[" + std::to_string(i) + ']';
        if (rules[i].tables.empty()) {
            out.push_back({path, {path + ".tables"}, "has no tables: it would never apply"});
        }
        if (rules[i].stale_if_error.count() > 0 && s.pool_mode != pool_mode::transaction) {
            out.push_back(
                {path + ".stale_if_error",
                 {"pool_mode"},
                 "needs pool_mode: transaction; otherwise a client's connection ends with "
                 "its server's"});
        }
        check_name("cache.rules", i, rules[i].name, seen, out);
    }
}

// In a message; a file may hold a thousand.
std::string some_of(const std::vector<std::string_view>& all) {
    constexpr std::size_t most = 8;
    std::string out;
    for (std::size_t i = 0; i < std::min(most, all.size()); ++i) {
        out.append(out.empty() ? "" : ", ").append(all[i]);
    }
    if (all.size() > most) out.append(" and ").append(std::to_string(all.size() - most));
    return out.append(all.size() > most ? " more" : "");
}

void check_tiers(const policy::tenant_options& tenants, findings& out) {
    names seen;
    for (std::size_t i = 0; i < tenants.tiers.size(); ++i) {
        const policy::tier& tier = tenants.tiers[i];
        check_name("tenants.tiers", i, tier.name, seen, out);
        if (tier.name == "default" && !tier.members.empty()) {
            out.push_back(
                {"tenants.tiers[" + std::to_string(i) + "].members",
                 {},
                 "is not for default: tenants that no tier names have tenants.default_tier"});
        }
    }
    const std::vector<policy::tier> shipped = policy::shipped_tiers();
    std::vector<std::string_view> known;
    known.reserve(shipped.size() + tenants.tiers.size());
    for (const policy::tier& tier : shipped) known.push_back(tier.name);
    for (const policy::tier& tier : tenants.tiers) {
        if (std::ranges::find(known, tier.name) == known.end()) known.push_back(tier.name);
    }
    if (std::ranges::find(known, tenants.default_tier) != known.end()) return;
    out.push_back({"tenants.default_tier",
                   {"tenants.tiers"},
                   show(tenants.default_tier) + " is not one of the tiers: " + some_of(known)});
}

void check_authentication(const settings& s, findings& out) {
    if (s.auth_type == auth_type::hba && s.auth_hba_file.empty())
        out.push_back({"auth_type", {"auth_hba_file"}, "needs auth_hba_file"});
    if (s.auth_type != auth_type::hba && !s.auth_hba_file.empty())
        out.push_back({"auth_hba_file", {"auth_type"}, "is read with auth_type: hba alone"});
    const bool console = !s.admin_users.empty() || !s.stats_users.empty();
    if (s.auth_type == auth_type::relay && !s.auth_file.empty() && !console)
        out.push_back({"auth_file",
                       {"auth_type"},
                       "is not read while auth_type is relay, but for users of the admin console"});
    if (s.auth_type == auth_type::trust && !is_loopback(s.listen_addr))
        out.push_back({"auth_type",
                       {"listen_addr"},
                       "trust lets everybody in; listen on a loopback address, or say in "
                       "auth_hba_file whom to trust"});
    const bool asks = s.auth_type != auth_type::relay && s.auth_type != auth_type::trust;
    if (asks && s.auth_file.empty() && s.upstream.control_connection.empty())
        out.push_back({"auth_type",
                       {"auth_file", "upstream.control_connection"},
                       "knows no users: set auth_file, or upstream.control_connection for "
                       "auth_query"});
}

void check_http(const settings& s, findings& out) {
    if (s.http.listen_port == 0) return;
    if (!is_loopback(s.http.listen_addr) && s.http.token_file.empty())
        out.push_back({"http.listen_addr",
                       {"http.token_file", "http.listen_port"},
                       show(s.http.listen_addr) +
                           " is reached from other machines: set http.token_file too, or listen on "
                           "a loopback address"});
    if (s.http.listen_port == s.listen_port &&
        (s.listen_addr == s.http.listen_addr || same_address(s.listen_addr, s.http.listen_addr) ||
         same_address(s.http.listen_addr, s.listen_addr)))
        out.push_back({"http.listen_port",
                       {"listen_port", "http.listen_addr", "listen_addr"},
                       "is where clients of the database connect"});
}

// One finding for all that the mode lacks: of two on the same key the loader would show the first.
void check_pool_mode(const settings& s, findings& out) {
    if (s.pool_mode != pool_mode::transaction) return;
    finding lacks{"pool_mode", {}, {}};
    const auto needs = [&](const char* key, const char* what) {
        lacks.also.emplace_back(key);
        lacks.reason.append(lacks.reason.empty() ? "needs " : "; it also needs ").append(what);
    };
    if (s.auth_type == auth_type::relay)
        needs("auth_type",
              "auth_type other than relay: the server has no part in a client's log-in");
    if (s.upstream.control_connection.empty())
        needs("upstream.control_connection",
              "upstream.control_connection, which tells what a session may have changed");
    if (!lacks.also.empty()) out.push_back(std::move(lacks));
}

void check_pool(const pool_settings& pool, findings& out) {
    if (pool.min_pool_size > pool.default_pool_size) {
        out.push_back({"min_pool_size",
                       {"default_pool_size"},
                       std::to_string(pool.min_pool_size) + " is more than default_pool_size, " +
                           std::to_string(pool.default_pool_size)});
    }
}

}  // namespace

std::vector<finding> check_combinations(const settings& s) {
    findings out;
    check_pool_mode(s, out);
    check_pool(s.pool, out);
    check_authentication(s, out);
    check_tls(s.client_tls, "client_tls_", out);
    if (s.client_tls.mode != tls_mode::disable && s.client_tls.cert_file.empty() &&
        s.client_tls.key_file.empty()) {
        out.push_back({"client_tls_sslmode",
                       {"client_tls_cert_file", "client_tls_key_file"},
                       "needs client_tls_cert_file and client_tls_key_file"});
    }
    check_tls(s.upstream.tls, "upstream.server_tls_", out);
    if (s.upstream.port == s.listen_port && same_address(s.listen_addr, s.upstream.host)) {
        out.push_back({"upstream.port",
                       {"listen_port", "listen_addr", "upstream.host"},
                       "is where this proxy itself listens"});
    }
    check_cache(s.cache, s.upstream, out);
    check_shared_cache(s, out);
    check_metrics(s, out);
    check_http(s, out);
    check_alerts(s, out);
    check_hand_over(s, out);
    check_rules(s, out);
    check_tiers(s.tenants, out);
    return out;
}

}  // namespace pgsidecar::config

#include "config/check.h"

#include <map>
#include <string_view>

#include "config/text_checks.h"
#include "config/values.h"

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

void check_rules(const std::vector<policy::cache_rule>& rules, findings& out) {
    std::map<std::string_view, std::size_t> names;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const std::string path = "cache.rules[" + std::to_string(i) + ']';
        const std::string name = path + ".name", tables = path + ".tables";
        if (rules[i].tables.empty()) {
            out.push_back({path, {tables}, "has no tables: it would never apply"});
        }
        if (rules[i].name.empty()) {
            out.push_back({path, {name}, "has no name"});
            continue;
        }
        const auto [first, fresh] = names.emplace(rules[i].name, i);
        if (!fresh) {
            out.push_back({name,
                           {},
                           show(rules[i].name) + " is the name of cache.rules[" +
                               std::to_string(first->second) + "] already"});
        }
    }
}

}  // namespace

std::vector<finding> check_combinations(const settings& s) {
    findings out;
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
    check_rules(s.cache.rules.rules, out);
    return out;
}

}  // namespace pgsidecar::config

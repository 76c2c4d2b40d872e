#include "proxy/io/live_settings.h"

#include <algorithm>
#include <utility>

#include "proxy/io/crypto.h"

namespace pgsidecar::io {
namespace {

// Start-up parameters that tell who asks: with pools of their own the tenants would share nothing.
std::vector<std::string> followed_startup(const config::settings& s) {
    std::vector<std::string> out{"application_name"};
    for (const auto& source : s.tenants.sources)
        if (source.where == policy::tenant_source::from::startup) out.push_back(source.name);
    return out;
}

bool may_cache(const config::settings& s) {
    return s.enable_optimizations && s.cache.enable_query_result_caching &&
           !s.upstream.control_connection.empty();
}

bool for_a_part(const policy::cache_rule& r) {
    return r.rollout_percent > 0 && r.rollout_percent < 100;
}

core::session_options options_from(const config::settings& s) {
    using mode = config::tls_mode;
    const bool authenticates = s.auth_type != config::auth_type::relay;
    return {.cache = may_cache(s),
            // Without a control connection the cache cannot come on before a restart.
            .follow = !s.upstream.control_connection.empty(),
            .client_tls_offered = s.client_tls.mode != mode::disable,
            .client_tls_required = s.client_tls.mode == mode::require ||
                                   s.client_tls.mode == mode::verify_ca ||
                                   s.client_tls.mode == mode::verify_full,
            .single_flight = s.cache.single_flight,
            .max_entry_size = s.cache.store.max_entry_size,
            .upstream_name = s.upstream.host + ":" + std::to_string(s.upstream.port),
            .server_tls_optional =
                s.upstream.tls.mode == mode::allow || s.upstream.tls.mode == mode::prefer,
            .scram = s.upstream.control_connection.empty() && !authenticates ? nullptr
                                                                             : &openssl_crypto(),
            .authenticates = authenticates,
            .client_idle_timeout = s.client_idle_timeout,
            .idle_transaction_timeout = s.idle_transaction_timeout,
            .pooled = s.pool_mode == config::pool_mode::transaction,
            .query_wait_timeout = s.pool.query_wait_timeout,
            .max_prepared_statements = s.pool.max_prepared_statements,
            .server_check_delay = s.pool.server_check_delay,
            .server_check_query = s.pool.server_check_query,
            .measures = s.enable_optimizations,
            .rollout = may_cache(s) && std::ranges::any_of(s.cache.rules.rules, for_a_part),
            .console = s.admin_users.empty() && s.stats_users.empty() ? nullptr : &openssl_crypto(),
            .followed_startup = followed_startup(s),
            .tier_timeout = s.shared_cache.timeout};
}

}  // namespace

bool live_settings::keeps_metrics() const noexcept {
    return options.measures && settings->metrics.enable_performance_metrics &&
           !(settings->metrics.connection.empty() && settings->upstream.control_connection.empty());
}

std::shared_ptr<const live_settings> make_live(std::shared_ptr<const config::settings> settings,
                                               const live_settings* first) {
    auto made = std::make_shared<live_settings>();
    made->options = options_from(*settings);
    // Pools that are there were begun with these.
    if (first) made->options.followed_startup = first->options.followed_startup;
    made->client_tls = make_client_side_tls(settings->client_tls);
    made->server_tls = make_server_side_tls(settings->upstream.tls);
    made->settings = std::move(settings);
    return made;
}

policy::tenant_options limits_in_force(const config::settings& s) {
    auto out = s.tenants;
    if (!s.enable_optimizations) out.limits = policy::enforcement::off;
    return out;
}

bool shortens_life(const policy::cache_rules& old, const policy::cache_rules& now) {
    const auto same = [](const policy::cache_rule& a, const policy::cache_rule& b) {
        return a.tables == b.tables && a.functions == b.functions && a.ttl == b.ttl;
    };
    if (std::ranges::equal(old.rules, now.rules, same)) return false;
    std::chrono::milliseconds longest{0};
    for (const auto& r : old.rules) longest = std::max(longest, r.ttl);
    return std::ranges::any_of(now.rules, [&](const auto& r) { return r.ttl < longest; });
}

}  // namespace pgsidecar::io

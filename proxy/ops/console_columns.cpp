#include "proxy/ops/console_columns.h"

#include <array>
#include <string>
#include <utility>

#include "policy/limits.h"
#include "policy/tenants.h"

namespace pgsidecar::ops {
namespace {

using columns = std::vector<console_column>;

constexpr auto text = cell_type::text;
constexpr auto int4 = cell_type::int4;
constexpr auto int8 = cell_type::int8;
constexpr auto float8 = cell_type::float8;
constexpr auto boolean = cell_type::boolean;

columns joined(columns first, const columns& more) {
    first.insert(first.end(), more.begin(), more.end());
    return first;
}

// total_requests is what PgBouncer called total_query_count before 1.8: exporters still ask for it.
columns of_stats() {
    return {{"database", text},         {"total_xact_count", int8}, {"total_query_count", int8},
            {"total_received", int8},   {"total_sent", int8},       {"total_xact_time", int8},
            {"total_query_time", int8}, {"total_wait_time", int8},  {"avg_xact_count", int8},
            {"avg_query_count", int8},  {"avg_recv", int8},         {"avg_sent", int8},
            {"avg_xact_time", int8},    {"avg_query_time", int8},   {"avg_wait_time", int8},
            {"total_requests", int8}};
}

columns of_totals() {
    return {{"database", text},       {"xact_count", int8}, {"query_count", int8},
            {"bytes_received", int8}, {"bytes_sent", int8}, {"xact_time", int8},
            {"query_time", int8},     {"wait_time", int8}};
}

columns of_pools() {
    return {{"database", text},
            {"user", text},
            {"cl_active", int4},
            {"cl_waiting", int4},
            {"cl_active_cancel_req", int4},
            {"cl_waiting_cancel_req", int4},
            {"sv_active", int4},
            {"sv_active_cancel", int4},
            {"sv_being_canceled", int4},
            {"sv_idle", int4},
            {"sv_used", int4},
            {"sv_tested", int4},
            {"sv_login", int4},
            {"maxwait", int4},
            {"maxwait_us", int4},
            {"pool_mode", text}};
}

columns of_databases() {
    return {{"name", text},
            {"host", text},
            {"port", int4},
            {"database", text},
            {"force_user", text},
            {"pool_size", int4},
            {"min_pool_size", int4},
            {"reserve_pool", int4},
            {"pool_mode", text},
            {"max_connections", int4},
            {"current_connections", int4},
            {"paused", int4},
            {"disabled", int4},
            {"catalog", text}};
}

columns of_connections() {
    return {{"type", text},         {"user", text},       {"database", text},
            {"state", text},        {"addr", text},       {"port", int4},
            {"local_addr", text},   {"local_port", int4}, {"connect_time", text},
            {"request_time", text}, {"wait", int4},       {"wait_us", int4},
            {"close_needed", int4}, {"ptr", text},        {"link", text},
            {"remote_pid", int4},   {"tls", text},        {"application_name", text}};
}

columns of_clients() { return joined(of_connections(), {{"kept_for", text}, {"tenant", text}}); }

columns of_sockets() {
    return joined(of_connections(), {{"recv_pos", int4},
                                     {"pkt_pos", int4},
                                     {"pkt_remain", int4},
                                     {"send_pos", int4},
                                     {"send_remain", int4},
                                     {"pkt_avail", int4},
                                     {"send_avail", int4}});
}

columns of_cache() {
    return {{"provider", text},
            {"entries", int8},
            {"bytes", int8},
            {"max_memory", int8},
            {"payload", int8},
            {"hits", int8},
            {"misses", int8},
            {"hit_ratio", float8},
            {"insertions", int8},
            {"replacements", int8},
            {"refusals", int8},
            {"evictions", int8},
            {"invalidations", int8},
            {"expirations", int8},
            {"unsettled", int8},
            {"enabled", boolean},
            {"writes_through_proxy", text},
            {"writes_from_outside", text},
            {"shared_up", boolean},
            {"shared_asked", int8},
            {"shared_found", int8},
            {"shared_used", int8},
            {"shared_refused", int8},
            {"shared_harmed", int8},
            {"shared_late", int8},
            {"shared_outages", int8},
            {"shared_puts", int8},
            {"shared_put_bytes", int8},
            {"shared_put_refused", int8},
            {"shared_dropped", int8},
            {"shared_queued_bytes", int8},
            {"outside_commits", int8},
            {"staleness_p50_us", int8},
            {"staleness_p99_us", int8}};
}

// Columns keep views of their names.
const std::array<std::string, policy::limit_kinds>& names_of_met() {
    static const auto names = [] {
        std::array<std::string, policy::limit_kinds> out;
        for (std::size_t i = 0; i < out.size(); ++i)
            out[i].append("met_").append(policy::to_string(static_cast<policy::limit_kind>(i)));
        return out;
    }();
    return names;
}

columns of_tenants() {
    columns out{{"tenant", text}, {"tier", text},     {"calls", int8},    {"hits", int8},
                {"misses", int8}, {"bypasses", int8}, {"failures", int8}, {"hit_ratio", float8},
                {"p50_us", int8}, {"p95_us", int8},   {"p99_us", int8},   {"rows", int8},
                {"bytes", int8},  {"saved_us", int8}};
    for (const auto* name :
         {"rate_left", "queries_per_minute", "running", "max_concurrent", "waiting"})
        out.push_back({name, int8});
    for (const auto& name : names_of_met()) out.push_back({name, int8});
    return out;
}

columns of_queries() {
    return {
        {"fingerprint", text}, {"database", text},    {"query", text},       {"rule", text},
        {"calls", int8},       {"hits", int8},        {"misses", int8},      {"bypasses", int8},
        {"failures", int8},    {"hit_ratio", float8}, {"total_us", int8},    {"avg_hit_us", int8},
        {"p95_hit_us", int8},  {"avg_miss_us", int8}, {"p95_miss_us", int8}, {"rows", int8},
        {"bytes", int8},       {"saved_us", int8},    {"last_reason", text}};
}

columns of_explain() {
    return {{"cached", boolean}, {"reason", text},   {"explanation", text}, {"rule", text},
            {"ttl", text},       {"tables", text},   {"outdated_by", text}, {"key_parts", text},
            {"culprit", text},   {"database", text}, {"user", text},        {"search_path", text},
            {"query", text}};
}

columns of_rules() {
    return {{"rule", text},      {"mode", text}, {"tables", text},
            {"functions", text}, {"ttl", text},  {"unlimited", text}};
}

}  // namespace

columns columns_of(console_view v) {
    switch (v) {
        case console_view::stats:
            return of_stats();
        case console_view::stats_totals:
        case console_view::stats_averages:
            return of_totals();
        case console_view::totals:
            return {{"name", text}, {"value", int8}};
        case console_view::pools:
            return of_pools();
        case console_view::lists:
            return {{"list", text}, {"items", int4}};
        case console_view::users:
            return {{"name", text}, {"pool_mode", text}};
        case console_view::databases:
            return of_databases();
        case console_view::clients:
            return of_clients();
        case console_view::servers:
            return of_connections();
        case console_view::sockets:
        case console_view::active_sockets:
            return of_sockets();
        case console_view::mem:
            return {
                {"name", text}, {"size", int8}, {"used", int8}, {"free", int8}, {"memtotal", int8}};
        case console_view::dns_hosts:
            return {{"hostname", text}, {"ttl", int8}, {"addrs", text}};
        case console_view::dns_zones:
            return {{"zonename", text}, {"serial", int8}, {"count", int4}};
        case console_view::config:
            return {{"key", text},        {"value", text},  {"default", text},
                    {"changeable", text}, {"origin", text}, {"waits", boolean}};
        case console_view::state:
            return {{"key", text}, {"value", text}};
        case console_view::version:
            return {{"version", text}};
        case console_view::help:
            return {{"command", text}};
        case console_view::cache:
            return of_cache();
        case console_view::tenants:
            return of_tenants();
        case console_view::queries:
            return of_queries();
        case console_view::explain:
            return of_explain();
        case console_view::flags:
            return {{"flag", text},   {"value", text}, {"changeable", text},
                    {"origin", text}, {"equal", int8}, {"different", int8}};
        case console_view::rules:
            return of_rules();
        case console_view::parameter:
        case console_view::count_:
            break;
    }
    return {};
}

columns columns_of(const console_command& c) {
    if (c.what == console_command::kind::show) return columns_of(c.view);
    if (c.what != console_command::kind::select) return {};
    const bool number = c.name == "?column?";
    return {{c.name, number ? int4 : text}};
}

}  // namespace pgsidecar::ops

#include "proxy/ops/exposition.h"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <cmath>
#include <ranges>
#include <utility>
#include <vector>

#include "proxy/ops/readable.h"

namespace pgsidecar::ops {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;
using labels = std::vector<ClientMetric::Label>;

double seconds(std::chrono::microseconds time) { return static_cast<double>(time.count()) / 1e6; }

// Families in the order in which they are added; a value goes to the family added last.
class page {
  public:
    void family(MetricType type, const char* name, const char* help) {
        families_.push_back({std::string{"pgsidecar_"} + name, help, type, {}});
    }
    void value(double number, labels its = {}) {
        auto& one = add(std::move(its));
        if (families_.back().type == MetricType::Counter)
            one.counter.value = number;
        else
            one.gauge.value = number;
    }
    void value(std::uint64_t number, labels its = {}) {
        value(static_cast<double>(number), std::move(its));
    }
    void histogram(const latency& of, labels its) {
        auto& out = add(std::move(its)).histogram;
        out.sample_count = of.count();
        out.sample_sum = seconds(of.total());
        for (const auto bound : exposition::histogram_bounds())
            out.bucket.push_back({of.at_most(bound), seconds(bound)});
    }
    void counter(const char* name, const char* help, std::uint64_t number) {
        family(MetricType::Counter, name, help);
        value(number);
    }
    void gauge(const char* name, const char* help, double number) {
        family(MetricType::Gauge, name, help);
        value(number);
    }
    void gauge(const char* name, const char* help, std::uint64_t number) {
        gauge(name, help, static_cast<double>(number));
    }
    [[nodiscard]] std::string text() const {
        return prometheus::TextSerializer{}.Serialize(families_);
    }

  private:
    ClientMetric& add(labels its) {
        auto& one = families_.back().metric.emplace_back();
        one.label = std::move(its);
        return one;
    }
    std::vector<prometheus::MetricFamily> families_;
};

std::string name_of(outcome o) { return std::string{to_string(o)}; }

void add_program(page& out, const observations& seen, const program_state& state) {
    const auto since_epoch = [](std::chrono::system_clock::time_point t) {
        return seconds(std::chrono::duration_cast<std::chrono::microseconds>(t.time_since_epoch()));
    };
    out.family(MetricType::Gauge, "build_info", "1; the label says which version runs.");
    out.value(1.0, {{"version", state.version}});
    out.gauge("start_time_seconds", "When the program began, as a Unix time.",
              since_epoch(seen.started));
    out.gauge("optimizations_enabled", "0 while the kill switch makes it a pure pass-through.",
              state.optimizations ? 1.0 : 0.0);
    out.gauge("ready", "1 when /readyz says so.", state.ready() ? 1.0 : 0.0);
    out.family(MetricType::Gauge, "check_ok",
               "Of each part of readiness that is there: 1 when it is well.");
    for (const auto& check : state.checks)
        if (check.is != readiness_check::state::absent)
            out.value(check.is == readiness_check::state::ok ? 1.0 : 0.0, {{"check", check.name}});
}

void add_statements(page& out, const observations& seen) {
    out.family(MetricType::Counter, "statements_total",
               "Statements that are over, by the tenant's tier and how they were answered.");
    for (const auto& [tier, totals] : seen.tiers)
        for (std::size_t i = 0; i < outcomes; ++i)
            out.value(totals.times[i].count(),
                      {{"tier", tier}, {"outcome", name_of(static_cast<outcome>(i))}});
    out.family(MetricType::Histogram, "statement_duration_seconds",
               "From when a statement was first shown to the end of its answer.");
    for (const auto& [tier, totals] : seen.tiers)
        for (std::size_t i = 0; i < outcomes; ++i)
            out.histogram(totals.times[i],
                          {{"tier", tier}, {"outcome", name_of(static_cast<outcome>(i))}});
    out.family(MetricType::Counter, "rows_total", "Rows given or changed.");
    for (const auto& [tier, totals] : seen.tiers) out.value(totals.rows, {{"tier", tier}});
    out.family(MetricType::Counter, "answer_bytes_total", "Bytes of the answers to statements.");
    for (const auto& [tier, totals] : seen.tiers) out.value(totals.bytes, {{"tier", tier}});
    out.family(MetricType::Counter, "reasons_total",
               "Why statements were or were not answered from the cache.");
    for (std::size_t i = 0; i < seen.reasons.size(); ++i)
        out.value(seen.reasons[i],
                  {{"reason", std::string{policy::to_string(static_cast<policy::reason>(i))}}});
    out.gauge("time_saved_seconds",
              "What the hits would have taken, had each taken as long as the average miss, less "
              "what they took.",
              seconds(seen.all().saved()));
}

void add_cache(page& out, const observations& seen, const program_state& state) {
    const auto& c = seen.cache;
    out.gauge("cache_bytes", "Memory that the cache uses.", c.bytes);
    out.gauge("cache_max_bytes", "Memory that the cache may use.", state.max_memory);
    out.gauge("cache_payload_bytes", "Bytes of the keys and answers in the cache.", c.payload);
    out.gauge("cache_entries", "Answers in the cache.", c.entries);
    out.counter("cache_hits_total", "Look-ups that found an entry.", c.hits);
    out.counter("cache_misses_total", "Look-ups that found none.", c.misses);
    out.counter("cache_insertions_total", "Answers that were stored.", c.insertions);
    out.counter("cache_refusals_total",
                "Answers that were not stored: too large, or a write had touched their tables.",
                c.refusals);
    out.counter("cache_evictions_total", "Entries that made room for others.", c.evictions);
    out.counter("cache_invalidations_total", "Entries found outdated by a write.", c.invalidations);
    out.counter("cache_expirations_total", "Entries found expired.", c.expirations);
    out.counter("cache_unsettled_total", "Look-ups that met a write of unknown outcome.",
                c.unsettled);
}

void add_invalidation(page& out, const observations& seen) {
    out.family(MetricType::Gauge, "invalidation_up",
               "1 while writes from outside are seen as they should be, by database.");
    for (const auto& s : seen.invalidation)
        out.value(s.up ? 1.0 : 0.0, {{"database", s.database}, {"by", std::string{s.how}}});
    out.family(MetricType::Histogram, "staleness_seconds",
               "From a commit at the server to the invalidation of what it outdates.");
    for (const auto& s : seen.invalidation)
        if (s.how != "ttl") out.histogram(s.staleness, {{"database", s.database}});
}

// Where no tier is shared there are no such series, rather than zeros.
void add_shared_cache(page& out, const tier_totals& t) {
    if (t.provider.empty()) return;
    out.family(MetricType::Gauge, "shared_cache_up",
               "1 while the cache that several sidecars share is asked.");
    out.value(t.up ? 1.0 : 0.0, {{"provider", std::string{t.provider}}});
    out.counter("shared_cache_asked_total", "Keys that it was asked for.", t.asked);
    out.counter("shared_cache_found_total", "Entries that it had, unharmed.", t.found);
    out.counter("shared_cache_used_total", "Of these, those that were served.", t.used);
    out.counter("shared_cache_refused_total",
                "Of these, those that could not be shown to be valid here.", t.refused);
    out.counter("shared_cache_harmed_total", "Entries that were damaged or foreign.", t.harmed);
    out.counter("shared_cache_late_total", "Questions that waited in vain.", t.late);
    out.counter("shared_cache_outages_total", "How often it was given up.", t.outages);
    out.counter("shared_cache_puts_total", "Entries that it has taken.", t.puts);
    out.counter("shared_cache_put_bytes_total", "Bytes of these.", t.put_bytes);
    out.counter("shared_cache_put_refused_total", "Entries that it has not taken.", t.put_refused);
    out.counter("shared_cache_dropped_total", "Entries that were not sent: too many were waiting.",
                t.dropped);
    out.gauge("shared_cache_queued_bytes", "Bytes that wait to be sent.", t.queued_bytes);
}

void add_connections(page& out, const observations& seen, const program_state& state) {
    out.gauge("clients", "Client connections.", seen.clients);
    out.gauge("max_clients", "Client connections that there may be.", state.max_clients);
    out.gauge("clients_waiting", "Clients that wait for a server connection.",
              seen.clients_waiting);
    out.gauge("servers", "Server connections that clients share.", seen.servers);
    out.gauge("servers_idle", "Of these, those that nobody uses.", seen.servers_idle);
    out.gauge("requests_running", "Requests that have a place at their tenants' gate.",
              seen.running);
    out.gauge("requests_queued", "Requests that wait for a place.", seen.queued);
    out.family(MetricType::Counter, "limits_met_total",
               "How often a limit of a tenant was met, refused or only warned about.");
    for (std::size_t i = 0; i < seen.limits_met.size(); ++i)
        out.value(seen.limits_met[i],
                  {{"limit", std::string{policy::to_string(static_cast<policy::limit_kind>(i))}}});
    out.counter("metrics_rows_written_total", "Rows written into prescription_query_metrics.",
                seen.metrics.written);
    out.counter("metrics_rows_dropped_total",
                "Rows that could not wait any longer and were dropped.", seen.metrics.dropped);
    out.gauge("metrics_rows_waiting", "Rows that wait to be written.", seen.metrics.waiting);
}

// One family of a table of names: the numbers at these places, with a label for each if it has one.
struct column {
    const char* name;
    const char* help;
    bool time;  // microseconds, shown as seconds
    std::vector<std::pair<std::size_t, const char*>> parts;
};

void add_table(page& out, const tenant_series& of, const char* label, const char* part_label,
               const std::vector<column>& columns) {
    for (const auto& c : columns) {
        out.family(MetricType::Counter, c.name, c.help);
        const auto row = [&](std::string_view name, const tenant_series::numbers& numbers) {
            for (const auto& [place, part] : c.parts) {
                labels its{{label, std::string{name}}};
                if (part != nullptr) its.push_back({part_label, part});
                const auto number = static_cast<double>(numbers[place]);
                out.value(c.time ? number / 1e6 : number, std::move(its));
            }
        };
        for (const auto& [name, numbers] : of.named()) row(name, numbers);
        if (of.has_others()) row(other_name, of.others());
    }
}

// Names that look the same are one: two series of the same labels would spoil the whole page.
void count(tenant_series::table& to, std::string_view name, const tenant_series::numbers& what) {
    auto& sum = to[readable(name)];
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += what[i];
}

void add_tenants(page& out, tenant_series& series, const observations& seen) {
    tenant_series::table all;
    for (const auto& [name, tenant] : seen.tenants) {
        const auto& s = tenant.statements;
        std::chrono::microseconds time{0};
        for (const auto& t : s.times) time += t.total();
        count(
            all, name,
            {s.calls(), s.count(outcome::hit), s.count(outcome::miss), s.count(outcome::bypass),
             s.count(outcome::failed), static_cast<std::uint64_t>(time.count()), s.rows, s.bytes});
    }
    series.update(all);
    add_table(out, series, "tenant", "outcome",
              {{"tenant_statements_total",
                "Statements of a tenant, by how they were answered.",
                false,
                {{1, "hit"}, {2, "miss"}, {3, "bypass"}, {4, "failed"}}},
               {"tenant_statement_seconds_total",
                "What the statements of a tenant took.",
                true,
                {{5, nullptr}}},
               {"tenant_rows_total", "Rows given to a tenant or changed.", false, {{6, nullptr}}},
               {"tenant_answer_bytes_total",
                "Bytes of the answers to a tenant.",
                false,
                {{7, nullptr}}}});
}

void add_databases(page& out, tenant_series& series, const observations& seen) {
    const auto whole = [](std::chrono::microseconds t) {
        return static_cast<std::uint64_t>(t.count());
    };
    tenant_series::table all;
    for (const auto& [name, d] : seen.databases)
        count(all, name,
              {d.queries, d.transactions, d.received, d.sent, whole(d.transaction_time),
               whole(d.query_time), whole(d.wait_time), 0});
    series.update(all);
    add_table(
        out, series, "database", "",
        {{"database_queries_total", "Statements in a database.", false, {{0, nullptr}}},
         {"database_transactions_total", "Transactions in a database.", false, {{1, nullptr}}},
         {"database_received_bytes_total", "Bytes from its clients.", false, {{2, nullptr}}},
         {"database_sent_bytes_total", "Bytes to its clients.", false, {{3, nullptr}}},
         {"database_transaction_seconds_total",
          "What its transactions took.",
          true,
          {{4, nullptr}}},
         {"database_query_seconds_total", "What its statements took.", true, {{5, nullptr}}},
         {"database_wait_seconds_total",
          "What its clients waited for server connections.",
          true,
          {{6, nullptr}}}});
}

}  // namespace

// A quantile in between is then a guess within a bucket, never one about where the bucket ends.
const std::array<latency::duration, exposition::bounds>& exposition::histogram_bounds() {
    static const auto made = [] {
        constexpr std::array<latency::duration::rep, bounds> wanted{
            50,      100,       250,       500,       1'000,      2'500,
            5'000,   10'000,    25'000,    50'000,    100'000,    250'000,
            500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000, 60'000'000};
        std::array<latency::duration, bounds> out{};
        for (std::size_t i = 0; i < bounds; ++i) {
            const latency::duration aim{wanted[i]};
            const auto above = latency::bucket_of(aim);
            const auto higher = latency::bound(above), lower = latency::bound(above - 1);
            out[i] = higher - aim < aim - lower ? higher : lower;
        }
        return out;
    }();
    return made;
}

std::string exposition::text(const observations& seen, const program_state& state) {
    page out;
    add_program(out, seen, state);
    add_statements(out, seen);
    add_cache(out, seen, state);
    add_invalidation(out, seen);
    add_shared_cache(out, seen.shared_cache);
    add_connections(out, seen, state);
    add_tenants(out, tenants_, seen);
    add_databases(out, databases_, seen);
    return out.text();
}

}  // namespace pgsidecar::ops

#include "proxy/ops/console_activity.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proxy/ops/console_columns.h"
#include "proxy/ops/console_views.h"

namespace pgsidecar::ops {
namespace {

constexpr std::size_t usual_limit = 50;  // of QUERIES

struct change {
    database_totals of;
    double seconds = 0;
};

std::uint64_t per_second(std::uint64_t count, const change& c) {
    return c.seconds <= 0 ? 0 : static_cast<std::uint64_t>(static_cast<double>(count) / c.seconds);
}

std::int64_t each(std::chrono::microseconds total, std::uint64_t count) {
    return count == 0 ? 0 : total.count() / static_cast<std::int64_t>(count);
}

change since(const std::string& name, const observations& now, const observations* before) {
    change out;
    out.of = now.databases.at(name);
    const auto from = before ? before->taken : now.started;
    out.seconds = std::chrono::duration<double>(now.taken - from).count();
    if (!before) return out;
    const auto it = before->databases.find(name);
    if (it == before->databases.end()) return out;
    const auto& old = it->second;
    out.of.transactions -= old.transactions;
    out.of.queries -= old.queries;
    out.of.received -= old.received;
    out.of.sent -= old.sent;
    out.of.transaction_time -= old.transaction_time;
    out.of.query_time -= old.query_time;
    out.of.wait_time -= old.wait_time;
    return out;
}

// Seven numbers, in the order of all of these tables.
console_row totals_of(const database_totals& d) {
    return {cell(d.transactions),
            cell(d.queries),
            cell(d.received),
            cell(d.sent),
            cell(d.transaction_time.count()),
            cell(d.query_time.count()),
            cell(d.wait_time.count())};
}

console_row averages_of(const change& c) {
    return {cell(per_second(c.of.transactions, c)),
            cell(per_second(c.of.queries, c)),
            cell(per_second(c.of.received, c)),
            cell(per_second(c.of.sent, c)),
            cell(each(c.of.transaction_time, c.of.transactions)),
            cell(each(c.of.query_time, c.of.queries)),
            cell(per_second(static_cast<std::uint64_t>(c.of.wait_time.count()), c))};
}

console_row named(const std::string& name, const console_row& a, const console_row& b = {}) {
    console_row out{cell(name)};
    out.insert(out.end(), a.begin(), a.end());
    out.insert(out.end(), b.begin(), b.end());
    return out;
}

void add_stats(console_view v, const observations& now, const observations* before,
               console_table& out) {
    for (const auto& [name, d] : now.databases) {
        const auto averages = averages_of(since(name, now, before));
        if (v == console_view::stats_totals) {
            out.rows.push_back(named(name, totals_of(d)));
        } else if (v == console_view::stats_averages) {
            out.rows.push_back(named(name, averages));
        } else {
            out.rows.push_back(named(name, totals_of(d), averages));
            out.rows.back().push_back(cell(d.queries));
        }
    }
}

void add_sums(const observations& now, const observations* before, console_table& out) {
    database_totals sum;
    change recent;
    for (const auto& [name, d] : now.databases) {
        const auto c = since(name, now, before);
        for (auto [to, from] : {std::pair{&sum, &d}, std::pair{&recent.of, &c.of}}) {
            to->transactions += from->transactions;
            to->queries += from->queries;
            to->received += from->received;
            to->sent += from->sent;
            to->transaction_time += from->transaction_time;
            to->query_time += from->query_time;
            to->wait_time += from->wait_time;
        }
        recent.seconds = c.seconds;
    }
    constexpr std::array<std::string_view, 7> names{"xact_count",   "query_count", "client_bytes",
                                                    "server_bytes", "xact_time",   "query_time",
                                                    "wait_time"};
    const auto totals = totals_of(sum), averages = averages_of(recent);
    for (std::size_t i = 0; i < names.size(); ++i)
        out.rows.push_back({"total_" + std::string{names[i]}, totals[i]});
    for (std::size_t i = 0; i < names.size(); ++i)
        out.rows.push_back({"avg_" + std::string{names[i]}, averages[i]});
}

// calls, hits, misses, bypasses, failures, hit_ratio
console_row outcomes_of(const statement_totals& s) {
    return {cell(s.calls()),
            cell(s.count(outcome::hit)),
            cell(s.count(outcome::miss)),
            cell(s.count(outcome::bypass)),
            cell(s.count(outcome::failed)),
            cell(s.hit_ratio())};
}

// rate_left, queries_per_minute, running, max_concurrent, waiting, and how often each limit was
// met.
console_row limits_of(const tenant_usage* u) {
    // Forgotten since nobody uses it: then its bucket is full, and nothing else is known.
    if (!u) return console_row(5 + policy::limit_kinds);
    console_row out{u->per_minute == 0 ? std::nullopt : cell(u->rate_left()), cell(u->per_minute),
                    cell(u->running), cell(u->max_concurrent), cell(u->waiting)};
    for (const auto count : u->met) out.push_back(cell(count));
    return out;
}

// Those that have asked something, and those that are known for other reasons.
void add_tenants(const observations& now, const std::vector<tenant_usage>& usage,
                 console_table& out) {
    std::map<std::string_view, const tenant_usage*> by_name;
    for (const auto& u : usage) by_name[u.name] = &u;
    const auto add = [&out](const std::string& name, const std::string& tier,
                            const statement_totals& counted, const tenant_usage* u) {
        auto row = named(name, {cell(tier)}, outcomes_of(counted));
        const auto all = counted.all();
        for (const double part : {0.5, 0.95, 0.99}) row.push_back(cell(all.quantile(part).count()));
        row.insert(row.end(),
                   {cell(counted.rows), cell(counted.bytes), cell(counted.saved().count())});
        const auto more = limits_of(u);
        row.insert(row.end(), more.begin(), more.end());
        out.rows.push_back(std::move(row));
    };
    for (const auto& [name, t] : now.tenants) {
        const auto u = by_name.find(name);
        add(name, t.tier, t.statements, u == by_name.end() ? nullptr : u->second);
    }
    for (const auto& u : usage)
        if (!now.tenants.contains(u.name)) add(u.name, u.tier, {}, &u);
}

// Those that took most time in all.
void add_queries(std::size_t most, const observations& now, console_table& out) {
    struct one {
        std::uint64_t fingerprint;
        const query_totals* of;
        std::chrono::microseconds total;
    };
    std::vector<one> all;
    for (const auto& [fingerprint, q] : now.queries)
        all.push_back({fingerprint, &q, q.statements.all().total()});
    std::ranges::stable_sort(all, std::ranges::greater{}, &one::total);
    if (all.size() > most) all.resize(most);
    for (const auto& o : all) {
        const auto& s = o.of->statements;
        const auto &hits = s.of(outcome::hit), &misses = s.of(outcome::miss);
        auto row =
            named(id_text(o.fingerprint).substr(2),
                  {cell(o.of->database), cell(o.of->text), cell(o.of->rule)}, outcomes_of(s));
        row.insert(row.end(),
                   {cell(o.total.count()), cell(each(hits.total(), hits.count())),
                    cell(hits.quantile(0.95).count()), cell(each(misses.total(), misses.count())),
                    cell(misses.quantile(0.95).count()), cell(s.rows), cell(s.bytes),
                    cell(s.saved().count()), cell(policy::to_string(o.of->last_reason))});
        out.rows.push_back(std::move(row));
    }
}

}  // namespace

bool is_counted(console_view v) noexcept {
    switch (v) {
        case console_view::stats:
        case console_view::stats_totals:
        case console_view::stats_averages:
        case console_view::totals:
        case console_view::tenants:
        case console_view::queries:
            return true;
        default:
            return false;
    }
}

console_table counted_table(const console_command& c, const observations& now,
                            const observations* before, const std::vector<tenant_usage>& usage) {
    console_table out{columns_of(c.view), {}};
    if (c.view == console_view::tenants)
        add_tenants(now, usage, out);
    else if (c.view == console_view::queries)
        add_queries(c.number == 0 ? usual_limit : static_cast<std::size_t>(c.number), now, out);
    else if (c.view == console_view::totals)
        add_sums(now, before, out);
    else
        add_stats(c.view, now, before, out);
    return out;
}

}  // namespace pgsidecar::ops

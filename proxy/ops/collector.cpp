#include "proxy/ops/collector.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "cache/key.h"
#include "policy/analyze.h"

namespace pgsidecar::ops {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;

constexpr std::uint64_t others_id = 0;
constexpr std::string_view unread_text = "(not read)";
// More addresses than this are forgotten, and found again when they are met.
constexpr std::size_t most_known = 32'768;
// So long what has no row of its own stays without: a workload of more statements than there are
// rows would have them change hands all the time.
constexpr auto stay = std::chrono::seconds{10};

void add(statement_totals& to, outcome how, const latency::sample& took, std::uint64_t rows,
         std::uint64_t bytes) {
    to.times[static_cast<std::size_t>(how)].add(took);
    to.rows += rows;
    to.bytes += bytes;
}

// No longer than what is kept, and cut between characters.
std::string shortened(std::string text, std::size_t most) {
    if (text.size() <= most) return text;
    auto end = most;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
    text.resize(end);
    return text + "...";
}

// The eighth with the fewest calls goes into one.
template <class Map, class Count, class Fold>
void fold_the_least(Map& map, Count count, Fold fold) {
    std::vector<std::pair<std::uint64_t, typename Map::key_type>> by_calls;
    by_calls.reserve(map.size());
    for (const auto& [key, value] : map) by_calls.emplace_back(count(value), key);
    const auto end = by_calls.begin() + static_cast<std::ptrdiff_t>(by_calls.size() / 8 + 1);
    std::nth_element(by_calls.begin(), end - 1, by_calls.end());
    for (auto it = by_calls.begin(); it != end; ++it) fold(it->second);
}

}  // namespace

void collector::add(const core::measurement& m, time_point ended) {
    const latency::sample sample{duration_cast<microseconds>(ended - m.since)};
    const auto took = sample.took;
    const auto how = m.failed ? outcome::failed : outcome_of(m.why);
    if (m.tenant) {
        const auto slot = slot_of(m.tenant);
        ops::add(*slot.tenant, how, sample, m.rows, m.bytes);
        ops::add(*slot.tier, how, sample, m.rows, m.bytes);
    }
    auto& query = slot_of(m, ended);
    query.last_reason = m.why;
    ops::add(query.statements, how, sample, m.rows, m.bytes);
    auto& database = database_of(m.where);
    ++database.queries;
    database.query_time += took;
    if (!m.alone) return;
    ++database.transactions;
    database.transaction_time += took;
}

void collector::add(const core::transaction_end& t, time_point ended) {
    auto& database = database_of(t.where);
    ++database.transactions;
    database.transaction_time +=
        duration_cast<microseconds>(std::max(ended - t.since, time_point::duration{}));
}

database_totals& collector::database_of(const core::database* where) {
    if (where == last_where_ && last_database_) return *last_database_;
    last_where_ = where;
    last_database_ = &of_database(where ? where->name() : std::string{});
    return *last_database_;
}

collector::tenant_slot collector::slot_of(const std::shared_ptr<const policy::tenant>& who) {
    if (const auto it = tenants_.find(who.get()); it != tenants_.end() && !it->second.of.expired())
        return it->second.slot;
    if (totals_.tenants.size() >= most_tenants && !totals_.tenants.contains(who->name))
        make_room_for_tenants();
    if (tenants_.size() >= most_known) tenants_.clear();
    auto& totals = totals_.tenants[who->name];
    totals.tier = who->of->name;
    const tenant_slot slot{&totals.statements, &totals_.tiers[who->of->name]};
    tenants_.insert_or_assign(who.get(),
                              known<policy::tenant, tenant_slot>{.of = who, .slot = slot});
    return slot;
}

query_totals& collector::slot_of(const core::measurement& m, time_point now) {
    const auto* of = m.text ? m.text->known.get() : nullptr;
    if (of == nullptr) return find_query(m, now);
    const auto it = queries_.find(of);
    if (it != queries_.end() && it->second.where == m.where && !it->second.of.expired() &&
        (it->second.slot != others_ || rows_stay(now)))
        return *it->second.slot;
    auto& found = find_query(m, now);
    if (queries_.size() >= most_known) queries_.clear();
    queries_.insert_or_assign(of, known<core::analysis, query_totals*>{
                                      .of = m.text->known, .where = m.where, .slot = &found});
    return found;
}

query_totals& collector::find_query(const core::measurement& m, time_point now) {
    auto text =
        m.text && !m.text->sql.empty() ? policy::normalize(m.text->sql) : std::string{unread_text};
    std::string named = m.where ? m.where->name() : std::string{};
    const auto end_of_name = named.size();
    named.append(1, '\0').append(text);
    const auto id = std::max<std::uint64_t>(cache::hash_key(named).lo, others_id + 1);
    auto it = totals_.queries.find(id);
    if (it == totals_.queries.end()) {
        if (totals_.queries.size() >= most_queries && !make_room_for_queries(now)) return others();
        it = totals_.queries
                 .emplace(id, query_totals{.database = named.substr(0, end_of_name),
                                           .text = shortened(std::move(text), most_text)})
                 .first;
    }
    it->second.rule = m.by_rule ? *m.type : std::string{};
    return it->second;
}

query_totals& collector::others() {
    if (others_ == nullptr) {
        others_ = &totals_.queries[others_id];
        others_->text = other_name;
    }
    return *others_;
}

bool collector::rows_stay(time_point now) const noexcept {
    return room_made_ && now < *room_made_ + stay;
}

bool collector::make_room_for_queries(time_point now) {
    if (rows_stay(now)) return false;
    room_made_ = now;
    queries_.clear();
    auto& rest = others();
    fold_the_least(
        totals_.queries, [](const query_totals& q) { return q.statements.calls(); },
        [&](std::uint64_t id) {
            if (id == others_id) return;
            rest.statements.merge(totals_.queries.at(id).statements);
            totals_.queries.erase(id);
        });
    return true;
}

void collector::make_room_for_tenants() {
    tenants_.clear();
    auto& rest = totals_.tenants[std::string{other_name}];
    fold_the_least(
        totals_.tenants, [](const tenant_totals& t) { return t.statements.calls(); },
        [&](const std::string& name) {
            if (name == other_name) return;
            rest.statements.merge(totals_.tenants.at(name).statements);
            totals_.tenants.erase(name);
        });
}

observations collector::summary() const {
    observations out;
    out.tenants = totals_.tenants;
    out.databases = totals_.databases;
    out.tiers = totals_.tiers;
    out.reasons = totals_.reasons;
    return out;
}

}  // namespace pgsidecar::ops

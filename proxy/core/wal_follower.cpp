#include "proxy/core/wal_follower.h"

#include <algorithm>
#include <utility>

namespace pgsidecar::core {
namespace {

template <class... Fs>
struct overloaded : Fs... {
    using Fs::operator()...;
};
template <class... Fs>
overloaded(Fs...) -> overloaded<Fs...>;

}  // namespace

std::error_code wal_follower::on_message(protocol::bytes payload, progress& out) {
    protocol::wal_message m;
    if (const auto error = protocol::parse(payload, m)) return error;
    std::visit(overloaded{[&](const protocol::begin_transaction& b) { begin(b.xid); },
                          [&](const protocol::commit_transaction& c) {
                              out = {
                                  .committed = true, .committed_us = c.committed_us, .end = c.end};
                              commit(out);
                          },
                          [&](const protocol::relation_description& r) { describe(r.relation); },
                          [&](const protocol::row_change& r) { touch(r.relation); },
                          [&](const protocol::truncation& t) {
                              for (const auto relation : t.relations) touch(relation);
                          },
                          [&](const protocol::logical_message& l) { definition_changed(l); },
                          [](const protocol::other_message&) {}},
               m);
    return {};
}

void wal_follower::begin(std::uint32_t xid) {
    xid_ = xid;
    last_relation_ = 0;
    current_ = {};
}

void wal_follower::touch(std::uint32_t relation) {
    // Rows of one statement follow each other.
    if (relation == last_relation_) return;
    last_relation_ = relation;
    current_.relations.insert(relation);
}

// A second time: perhaps its definition has changed, even into a partition of another table; or it
// was only analyzed, so what an event trigger tells is better.
void wal_follower::describe(std::uint32_t relation) {
    if (!described_.insert(relation).second && !where_.required().of_definitions)
        where_.want_reload();
}

void wal_follower::definition_changed(const protocol::logical_message& m) {
    if (m.prefix != prefix) return;
    if (m.transactional) {
        current_.schema_changed = true;
    } else {
        where_.begin_schema_change();
        where_.end_schema_change();
    }
}

// What the change of a row changes: its table, and whatever that is a partition or a child of. What
// the catalog does not know yet may be a part of anything.
std::vector<cache::table_state*> wal_follower::states_of(const transaction& t) {
    const auto catalog = where_.latest_catalog();
    std::unordered_set<std::uint32_t> all{t.relations};
    std::vector<std::uint32_t> open{t.relations.begin(), t.relations.end()};
    bool unknown = t.schema_changed || !catalog;
    while (!open.empty() && !unknown) {
        const auto* known = catalog->find(open.back());
        open.pop_back();
        unknown = known == nullptr;
        if (unknown) break;
        for (const auto parent : known->parents)
            if (all.insert(parent).second) open.push_back(parent);
    }
    std::vector<cache::table_state*> out;
    out.reserve(all.size() + 1);
    for (const auto relation : all) out.push_back(&where_.table(relation));
    if (unknown && (!t.relations.empty() || t.schema_changed)) out.push_back(&where_.whole());
    return out;
}

void wal_follower::commit(progress& out) {
    const auto done = std::exchange(current_, {});
    auto states = states_of(done);
    if (states.empty()) return;
    out.touched = true;
    auto& t = pending_[xid_];
    finish(std::exchange(t, {}));
    for (auto* state : states) {
        state->begin_commit();
        state->bump();
    }
    if (done.schema_changed) where_.begin_schema_change();
    t = {.tables = std::move(states), .schema_changed = done.schema_changed};
}

std::vector<std::uint32_t> wal_follower::unsettled() const {
    std::vector<std::uint32_t> out;
    out.reserve(pending_.size());
    for (const auto& [xid, t] : pending_) out.push_back(xid);
    return out;
}

void wal_follower::finish(const unsettled_transaction& t) {
    for (auto* state : t.tables) state->end_commit();
    if (t.schema_changed) where_.end_schema_change();
}

void wal_follower::settle(std::uint32_t xid) {
    const auto found = pending_.extract(xid);
    if (found) finish(found.mapped());
}

void wal_follower::interrupt() {
    described_.clear();
    current_ = {};
}

void wal_follower::abandon() {
    for (const auto& [xid, t] : std::exchange(pending_, {})) finish(t);
    interrupt();
}

}  // namespace pgsidecar::core

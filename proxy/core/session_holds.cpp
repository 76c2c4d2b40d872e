// What keeps a session at its server connection between transactions: things that only this one
// has.
#include <algorithm>
#include <utility>

#include "proxy/core/session.h"

namespace pgsidecar::core {

using policy::statement_kind;

namespace {
// Statements of SQL's PREPARE: more are not made anew at every change of the server connection.
constexpr int most_repeated = 20;

std::uint8_t holds_of(const planned_write& w) {
    std::uint8_t out = 0;
    if (w.locks_session) out |= pooling::session_lock;
    if (w.reads_own_sequences) out |= pooling::own_sequences;
    if (w.seeds_session) out |= pooling::seeded;
    return out;
}

std::uint8_t holds_of(const planned_write& w, const policy::statement_facts& s) {
    auto out = holds_of(w);
    if (s.kind == statement_kind::listen) out |= pooling::listens;
    if (s.kind == statement_kind::declare_cursor && s.with_hold) out |= pooling::open_cursor;
    return out;
}
}  // namespace

std::string_view to_string(pin why) noexcept {
    switch (why) {
        case pin::not_followed:
            return "not_followed";
        case pin::temporary_objects:
            return "temporary_objects";
        case pin::listen:
            return "listen";
        case pin::advisory_lock:
            return "advisory_lock";
        case pin::held_cursor:
            return "cursor_with_hold";
        case pin::own_sequences:
            return "currval";
        case pin::seeded:
            return "setseed";
        case pin::sql_prepare:
            return "sql_prepare";
        case pin::dialect:
            return "encoding_or_string_syntax";
        case pin::none:
        case pin::count_:
            break;
    }
    return "";
}

pin session::pinned() const noexcept {
    if (!pool_) return pin::none;
    if (taints_ != clean_taints_ || unproven_) return pin::not_followed;
    if (temporary_) return pin::temporary_objects;
    if ((pool_->holds & pooling::listens) != 0) return pin::listen;
    if ((pool_->holds & pooling::session_lock) != 0) return pin::advisory_lock;
    if ((pool_->holds & pooling::open_cursor) != 0) return pin::held_cursor;
    if ((pool_->holds & pooling::own_sequences) != 0) return pin::own_sequences;
    if ((pool_->holds & pooling::seeded) != 0) return pin::seeded;
    if (statements_.holds_private() || statements_.repeatable() > most_repeated)
        return pin::sql_prepare;
    if (!dialect_.shareable()) return pin::dialect;
    return pin::none;
}

// It asks what this session has taken from sequences: of what others have taken at the same server
// connection it must not hear.
void session::note_sequences(const statement_text& text) {
    if (attached()) return;
    const auto effects = services_.decide.plan_for(text, *database_, scope());
    if (std::ranges::any_of(effects->writes,
                            [](const planned_write& w) { return w.reads_own_sequences; }))
        pool_->discard_sequences = true;
}

// Settings that it reads exist there, and this session believes them to be unknown.
bool session::link_knows_more(const planned_read& read) const {
    if (!pool_ || !pool_->link) return false;
    return std::ranges::any_of(read.settings, [this](const auto& name) {
        return pool_->link->touched.contains(name) && !settings_.touched().contains(name) &&
               !settings_.find(name);
    });
}

void session::note_holds(const planned_write& w) {
    if (pool_) pool_->holds |= holds_of(w);
}

void session::note_holds(const planned_write& w, const policy::statement_facts& s) {
    if (!pool_) return;
    pool_->holds |= holds_of(w, s);
    if (s.kind == statement_kind::discard_all ||
        std::ranges::any_of(w.settings, [](const auto& change) { return !change.value; }))
        pool_->resets = true;
    const bool drops_all = s.kind == statement_kind::discard_all ||
                           (s.kind == statement_kind::deallocate && s.name.empty());
    if (drops_all && pool_->link) pool_->link->statements.clear();
    // Who takes a name of ours for its own has the connection to itself.
    const bool names = s.kind == statement_kind::prepare || s.kind == statement_kind::deallocate;
    if (names && server_statements::is_ours(s.name) && pool_->link) pool_->link->unfit = true;
}

// Of what has been sent and is not answered yet: what it may hold. Of what was not read, anything.
std::uint8_t session::holds_to_come() {
    constexpr std::uint8_t anything = 0xff;
    std::uint8_t out = 0;
    for (std::size_t i = 0; i < owed_.size(); ++i) {
        const auto& item = owed_.at(i);
        if (item.what == reply::function_call) return anything;
        if (item.what != reply::query && item.what != reply::execute) continue;
        if (!item.text || !item.effects || !item.text->facts().parsed) return anything;
        const auto& statements = item.text->facts().statements;
        for (std::size_t j = item.done; j < statements.size(); ++j) {
            if (execute_in(statements[j])) return anything;
            out |= holds_of(item.effects->writes[j], statements[j]);
        }
    }
    return out;
}

// It has been done. What was sent behind it holds what it holds.
void session::drop_holds(unsigned what) {
    if ((pool_->holds & what) == 0) return;
    pool_->holds = static_cast<std::uint8_t>(pool_->holds & ~(what & ~holds_to_come()));
}

// The transaction is over: what UNLISTEN has done in it is so, or never was.
void session::end_unlisten(bool committed) {
    if (pool_ && std::exchange(pool_->unlistens, false) && committed) drop_holds(pooling::listens);
}

void session::end_holds(const policy::statement_facts& s) {
    if (!pool_) return;
    const auto drop = [this](unsigned what) { drop_holds(what); };
    switch (s.kind) {
        case statement_kind::discard_all:
            drop(0xff);
            return;
        case statement_kind::unlisten:
            pool_->unlistens = pool_->unlistens || s.name.empty();
            return;
        case statement_kind::listen:
        case statement_kind::rollback:
        case statement_kind::rollback_to:
            pool_->unlistens = false;
            return;
        case statement_kind::close_cursor:
            if (s.name.empty()) drop(pooling::open_cursor);
            return;
        case statement_kind::select:
            if (s.functions.size() == 1 &&
                s.functions.front().name.name == "pg_advisory_unlock_all")
                drop(pooling::session_lock);
            return;
        default:
            return;
    }
}

}  // namespace pgsidecar::core

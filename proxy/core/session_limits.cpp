// What the tenant's limits do to requests: who asks, and whether it is held, refused or let in.
// Answers that are cut are in session_cut.cpp.
//
// A request is refused here and now when the session is idle: nothing of it was sent, so nothing
// has to be undone. Otherwise something that must fail is sent in its place. Then the server itself
// skips the rest of the batch and aborts an open transaction, and its error is passed on in our
// words: the transaction status that the client sees is always the server's.
#include <algorithm>
#include <utility>

#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {
namespace {

using policy::statement_kind;

// Connections are kept in order by these; a client that is over its rate may still do that.
bool counts(const policy::statement_facts& s) {
    if (policy::controls_transaction(s.kind)) return false;
    switch (s.kind) {
        case statement_kind::empty:
        case statement_kind::set:
        case statement_kind::reset:
        case statement_kind::discard_all:
        case statement_kind::discard_temp:
        case statement_kind::discard_other:
        case statement_kind::deallocate:
        case statement_kind::close_cursor:
        case statement_kind::unlisten:
            return false;
        // What drivers SET with, and reset by: not to be charged to whom the connection worked for.
        case statement_kind::select:
            return !s.about_session;
        default:
            return true;
    }
}

// What the rows of an answer take on the wire.
std::size_t row_bytes(protocol::bytes answer) {
    std::size_t total = 0;
    protocol::frame f;
    std::error_code error;
    while (protocol::next(answer, f, error) == protocol::peek_result::ok) {
        if (f.type == 'D') total += f.whole.size();
        answer.remove_prefix(f.whole.size());
    }
    return total;
}

}  // namespace

session::demand session::demand_of(const statement_text& text) {
    const auto& facts = text.facts();
    if (facts.statements.empty()) return facts.parsed ? demand{} : demand{1, true};
    demand out;
    for (const auto& s : facts.statements) {
        if (counts(s)) ++out.queries;
        out.place = out.place || counts(s) || s.kind == statement_kind::begin;
    }
    return out;
}

void session::begin_limits(time_point now) {
    if (!wants_tenant() || transparent_) return;
    limits_ = std::make_unique<limiter>(*services_.tenants);
    find_tenant({}, now);
}

policy::tenant_evidence session::evidence_with(std::string_view sql) const {
    const auto text = [](const std::string* found) {
        return found ? std::optional<std::string>{*found} : std::nullopt;
    };
    return {.at_startup = [this,
                           text](std::string_view name) { return text(settings_.at_start(name)); },
            .now = [this, text](std::string_view name) { return text(settings_.find(name)); },
            .sql = sql,
            .user = *user_,
            .database = database_->name()};
}

void session::find_tenant(std::string_view sql, time_point now) {
    limits_->resolve(evidence_with(sql), settings_.revision(), now);
}

// What is under way is its tenant's: its limits hold it, and it is counted. Of a pipeline another
// tenant's request therefore waits behind it, and so does any behind a setting that may name one.
bool session::may_change_tenant(std::string_view sql) {
    if (unholdable_ || copy_in_ || owed_.empty()) return false;
    if (owed_settings_ > 0 && limits_->in_force()) return true;
    if (!limits_->changes_with(evidence_with(sql), settings_.revision())) return false;
    for (std::size_t i = 0; i < owed_.size(); ++i) {
        const auto& item = owed_.at(i);
        if (item.what == reply::function_call) return true;
        if (item.what != reply::query && item.what != reply::execute) continue;
        if (!item.text || demand_of(*item.text).queries > 0) return true;
    }
    return false;
}

// A message in the middle of a batch: if all before it is answered, none of that is late any more.
void session::begin_anew(time_point now) {
    limits_->began(now);
    cut_.reset();
}

// Whether the request in front may go on: to the cache, or to the server. Asked again when the
// request is shown again. Without a text, which is not known then, its tenant is the last one's.
session::admission session::admit(const demand& wanted, std::optional<std::string_view> sql,
                                  time_point now, actions& out) {
    continue_batch(now);
    if (!limits_ || skipping_) return admission::pass;
    const bool waits = sql && limits_->refusal.empty() && may_change_tenant(*sql);
    if (!limits_->in_force()) {
        if (waits) {
            (void)hold_until_drained();
            return admission::hold;
        }
        if (sql) find_tenant(*sql, now);
        return admission::pass;
    }
    if (std::exchange(cancelled_, false)) {
        protocol::write_error(limits_->refusal, "ERROR", "57014",
                              "canceling statement due to user request");
        settle_lead(false, out);
    }
    if (!limits_->refusal.empty()) return admission::refused;
    // Behind an answer that may be cut in a block nothing may be under way that ends it, and who
    // has no place yet does not get one by standing behind what needs none.
    const bool overtakes = wanted.place && !limits_->inside() && status_ == 'I';
    if (waits || ((block_rows_ || overtakes) && !unholdable_ && !copy_in_ && !owed_.empty())) {
        (void)hold_until_drained();
        return admission::hold;
    }
    if (sql) find_tenant(*sql, now);
    if (rules(limits_->charge(wanted.queries, now), out)) return admission::refused;
    if (wanted.place && !limits_->inside()) {
        if (status_ != 'I' || unholdable_ || !owed_.empty()) {
            limits_->enter_at_once();
        } else {
            limiter::tickets others;
            wait_token_ = token_ + (++waits_ & 0xfffffU);
            const bool in = limits_->enter(wait_token_, now, others);
            wake_admitted(others, out);
            if (!in) {
                waiting_ = wait::gate;
                return admission::hold;
            }
        }
        (void)rules(limits_->crowded(), out);
    }
    if (owed_.empty() && !limits_->running()) limits_->began(now);
    return admission::pass;
}

// True: refused; the error is kept in limits_->refusal. A warning goes out at once.
bool session::rules(ruling&& r, actions& out) {
    if (r.what == policy::enforcement::off) return false;
    if (r.refused()) {
        limits_->refusal = std::move(r.message);
        return true;
    }
    // Not into the middle of a message that streams through.
    if (server_stream_ == 0) out.client.own(std::move(r.message));
    return false;
}

// Can the answer be given here, without the server knowing of the request?
bool session::may_refuse_here() const noexcept {
    return owed_.empty() && status_ == 'I' && !unholdable_ && !copy_in_;
}

// What begins a block is refused only here, where nothing that stands behind it can run alone.
bool session::drains_to_refuse(bool begins) const noexcept {
    return begins && status_ == 'I' && !unholdable_ && !copy_in_ && !owed_.empty();
}

// The held or complete request in front ends here. `text`: the simple query that it is; `begins`:
// it is a batch after which the server would be in a block.
void session::refuse_here(actions& out, const statement_text* text, bool begins) {
    auto reply = std::exchange(limits_->refusal, {});
    if (begins || (text && begins_block(*text)))
        refuse_block(reply, text && text->facts().statements.size() == 1 ? text : nullptr);
    protocol::write_ready(reply, refused_ ? refused_->status() : status_);
    out.client.own(std::move(reply));
    out.outcomes.push_back(policy::reason::limited);
    settle_lead(false, out);
    consumed(out);
}

// In the place of a message that a limit refuses. A text that is no SQL fails in any state of the
// server, and leaves no statement behind.
void session::send_failure(bool with_sync, std::string error, actions& out) {
    std::string message;
    protocol::write(message, protocol::parse_message{"pgsidecar", "pgsidecar: refused", {}});
    owed_reply item{.what = reply::execute};
    if (!error.empty()) item.refusal = std::make_shared<const std::string>(std::move(error));
    owe(std::move(item));
    if (with_sync) {
        protocol::write(message, protocol::sync{});
        owe({.what = reply::sync});
    }
    out.server.own(std::move(message));
}

// A whole Query or FunctionCall in front is not to run.
void session::refuse_request(actions& out, const statement_text* text) {
    if (may_refuse_here()) return refuse_here(out, text);
    send_failure(true, std::exchange(limits_->refusal, {}), out);
    out.outcomes.push_back(policy::reason::limited);
    unholdable_ = false;
    limits_->request_consumed();
}

// True: an Execute or a Bind was refused, and something that fails stands in its place.
bool session::refuse_message(ruling&& r, actions& out) {
    if (!rules(std::move(r), out)) return false;
    fail_in_place(out);
    return true;
}

void session::fail_in_place(actions& out) {
    send_failure(false, std::exchange(limits_->refusal, {}), out);
    out.outcomes.push_back(policy::reason::limited);
}

void session::consumed(actions& out) {
    if (!limits_) return;
    limits_->request_consumed();
    if (owed_.empty() && waiting_ == wait::none) leave_gate(out);
}

void session::leave_gate(actions& out) {
    if (!limits_) return;
    limits_->ended();
    limiter::tickets others;
    limits_->leave(others);
    wake_admitted(others, out);
    if (waiting_ == wait::gate) waiting_ = wait::none;
}

void session::wake_admitted(const limiter::tickets& others, actions& out) {
    for (const auto ticket : others) out.wake.push_back({.token = ticket, .admitted = true});
}

// An answer that lies ready in the cache obeys the same limits. True: it does not; it was refused.
bool session::too_large_for_tenant(const cache::entry& e, actions& out) {
    if (!limits_) return false;
    // Rows are a part of the body: only one that is larger has to be looked at.
    auto size = e.body().size();
    if (size > limits_->tenant().of->max_result_bytes) size = row_bytes(e.body());
    return rules(limits_->whole_answer(e.rows(), size), out);
}

session::time_point session::deadline() const noexcept {
    if (state_ != state::ready) return limiter::never;
    if (waiting_ == wait::server && pool_->look_again != limiter::never) return pool_->look_again;
    if (waiting_ == wait::server)
        return std::min(pool_->wait_ends, limits_ ? limits_->deadline(true) : limiter::never);
    if (waiting_ == wait::tier)
        return std::min(tier_->due, limits_ ? limits_->deadline(true) : limiter::never);
    const auto idle = idle_deadline();
    if (!limits_ || idle != limiter::never) return idle;
    if (cut_) return owed_.empty() ? limiter::never : cut_->due;
    return limits_->deadline(!owed_.empty() || waiting_ == wait::flight);
}

void session::on_deadline(time_point now, actions& out) {
    if (now < deadline()) return;
    if (waiting_ == wait::server && pool_->look_again <= now) return look_for_catalog(now, out);
    if (waiting_ == wait::server && pool_->wait_ends <= now) return end_server_wait(out);
    if (waiting_ == wait::tier && tier_->due <= now) return give_up_tier(out);
    if (idle_deadline() <= now) return end_idle(out);
    if (cut_) return on_silence(now, out);
    if (limits_->waiting()) {
        if (!rules(limits_->waited_too_long(), out)) return;
        leave_gate(out);
        out.resume_client = true;
        return;
    }
    if (!rules(limits_->timed_out(), out)) return;
    if (waiting_ == wait::server) {
        refuse_waiting(std::exchange(limits_->refusal, {}), out);
        return;
    }
    if (waiting_ == wait::flight || waiting_ == wait::tier) {
        leave_flight(out);
        out.resume_client = true;
        return;
    }
    begin_cut(false, now, out);
}

}  // namespace pgsidecar::core

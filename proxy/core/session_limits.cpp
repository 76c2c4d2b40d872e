// What the tenant's limits do to a session: requests that are held or refused, answers that are
// cut, and time that runs out.
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
using std::chrono::milliseconds;

// How long after query_timeout the server may still say itself how its statement ended.
constexpr milliseconds grace{25};
// It has more to do where a long answer is under way.
constexpr milliseconds patience_with_rows{1000};
// A server that does not react for so long after that is given up.
constexpr milliseconds silence{5000};

// Connections are kept in order by these; a client that is over its rate may still do that.
bool counts(const policy::statement_facts& s) {
    switch (s.kind) {
        case statement_kind::empty:
        case statement_kind::begin:
        case statement_kind::commit:
        case statement_kind::rollback:
        case statement_kind::savepoint:
        case statement_kind::release:
        case statement_kind::rollback_to:
        case statement_kind::prepare_transaction:
        case statement_kind::set:
        case statement_kind::reset:
        case statement_kind::discard_all:
        case statement_kind::discard_temp:
        case statement_kind::discard_other:
        case statement_kind::deallocate:
        case statement_kind::close_cursor:
        case statement_kind::unlisten:
            return false;
        default:
            return true;
    }
}

bool controls_transaction(const policy::statement_facts& s) {
    return s.kind == statement_kind::begin || s.kind == statement_kind::commit ||
           s.kind == statement_kind::rollback || s.kind == statement_kind::prepare_transaction ||
           s.kind == statement_kind::rollback_to;
}

bool ends_request(reply what) {
    return what == reply::sync || what == reply::query || what == reply::function_call;
}

// At most so many rows come back; nothing: as many as there are.
std::optional<std::uint32_t> bounded_rows(const policy::statement_facts& s) {
    switch (s.kind) {
        case statement_kind::insert:
            if (!s.returning) return 0;
            // A function among the values may return a set.
            if (s.values_rows == 0 || !s.functions.empty()) return std::nullopt;
            return s.values_rows;
        case statement_kind::update:
        case statement_kind::delete_:
        case statement_kind::merge:
            if (s.returning) return std::nullopt;
            return 0;
        case statement_kind::select:
        case statement_kind::copy_to:
        case statement_kind::explain:
        case statement_kind::explain_analyze:
        case statement_kind::fetch:
        case statement_kind::execute:
        case statement_kind::call:
        case statement_kind::other:
            return std::nullopt;
        default:
            return 0;
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

// The same error with more to its DETAIL.
std::string with_detail(const std::string& error, std::string_view more) {
    protocol::error_response m;
    if (protocol::parse(std::string_view{error}.substr(protocol::head_size), m)) return error;
    std::string out;
    protocol::write_error(out, "ERROR", m.sqlstate(), m.message(),
                          std::string{m.detail()}.append(more), m.hint());
    return out;
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
    if (services_.tenants == nullptr || transparent_) return;
    limits_ = std::make_unique<limiter>(*services_.tenants);
    find_tenant({}, now);
}

void session::find_tenant(std::string_view sql, time_point now) {
    const auto text = [](const std::string* found) {
        return found ? std::optional<std::string>{*found} : std::nullopt;
    };
    const policy::tenant_evidence evidence{
        .at_startup = [&](std::string_view name) { return text(settings_.at_start(name)); },
        .now = [&](std::string_view name) { return text(settings_.find(name)); },
        .sql = sql,
        .user = *user_,
        .database = database_->name()};
    limits_->resolve(evidence, settings_.revision(), now);
}

// Whether the request in front may go on: to the cache, or to the server. Asked again when the
// request is shown again.
session::admission session::admit(const demand& wanted, std::string_view sql, time_point now,
                                  actions& out) {
    if (!limits_ || skipping_) return admission::pass;
    if (std::exchange(cancelled_, false)) {
        protocol::write_error(limits_->refusal, "ERROR", "57014",
                              "canceling statement due to user request");
        settle_lead(false, out);
    }
    if (!limits_->refusal.empty()) return admission::refused;
    // A tenant that is being set is known when that was acknowledged.
    if (must_drain() && !unholdable_ && !owed_.empty()) {
        (void)hold_until_drained();
        return admission::hold;
    }
    find_tenant(sql, now);
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

// The held or complete request in front ends here.
void session::refuse_here(actions& out) {
    auto reply = std::exchange(limits_->refusal, {});
    protocol::write_ready(reply, status_);
    out.client.own(std::move(reply));
    out.outcomes.push_back(policy::reason::limited);
    settle_lead(false, out);
    consumed(out);
}

// In the place of a message that a limit refuses. A text that is no SQL fails in any state of the
// server, and leaves no statement behind.
void session::send_failure(bool with_sync, std::string error, actions& out) {
    std::string message;
    protocol::write(message, protocol::parse_message{
                                 "pgsidecar", "pgsidecar: refused by a limit of its tenant", {}});
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
void session::refuse_request(actions& out) {
    if (may_refuse_here()) return refuse_here(out);
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
bool session::too_large_for_tenant(const cache::entry& e) {
    if (!limits_) return false;
    auto r = limits_->whole_answer(e.rows(), row_bytes(e.body()));
    if (!r.refused()) return false;
    limits_->refusal = std::move(r.message);
    return true;
}

// The server's next row, or a part of a COPY. True: it is one too many, and is not passed on.
bool session::count_row(std::size_t size, time_point now, actions& out) {
    if (!limits_ || cut_ || owed_.empty()) return false;
    if (auto& item = owed_.front(); item.page > 0 && limits_->rows() >= item.page)
        return item.page_over = true;
    auto r = limits_->add_row(size);
    if (!rules(std::move(r), out)) return false;
    begin_cut(true, std::exchange(limits_->refusal, {}), out);
    cut_->due = now + patience_with_rows;
    return true;
}

// Has the request in front, whose answer is awaited, been sent whole?
bool session::front_request_is_whole() {
    for (std::size_t i = 0; i < owed_.size(); ++i)
        if (ends_request(owed_.at(i).what)) return true;
    return false;
}

// The request under way is to end with `error`. `answer`: the server has begun an answer of which
// the client gets no more; otherwise what still comes in time is passed on.
void session::begin_cut(bool answer, std::string error, actions& out) {
    spoil_fill();
    free_followers(out);
    cut_ = std::make_unique<cut>();
    cut_->answer = answer;
    cut_->error = std::move(error);
    if (copy_in_ && client_stream_ == 0) {
        std::string message;
        protocol::write(message, protocol::copy_fail{"pgsidecar: a limit of its tenant"});
        out.server.own(std::move(message));
    } else if (!cancel_in_flight_) {
        cancel_in_flight_ = true;
        out.cancel_upstream = true;
    }
    // If it is done before the cancel comes, the rest of its batch must not take effect.
    if (!front_request_is_whole() && client_stream_ == 0 && !copy_in_) send_failure(false, {}, out);
}

void session::tell_cut(bool completed, actions& out) {
    auto& c = *cut_;
    if (std::exchange(c.told, true)) return;
    const bool kept =
        completed && status_ == 'I' && !owed_.empty() && owed_.front().effects &&
        std::any_of(owed_.front().effects->writes.begin(), owed_.front().effects->writes.end(),
                    [](const planned_write& w) { return !w.reads_only; });
    out.client.own(kept ? with_detail(c.error, " What it wrote is kept.") : c.error);
}

// An error of the server while an answer is cut. True: it is not for the client.
bool session::cut_hides_error(const protocol::frame& f, actions& out) {
    if (server_fatal_) return false;
    protocol::error_response m;
    const bool parsed = !protocol::parse(f.body, m);
    // Time was up, but this is how it has really ended.
    if (!cut_->answer && !cut_->told && !(parsed && m.sqlstate() == "57014") && !copy_failed(m))
        return false;
    tell_cut(false, out);
    return true;
}

bool session::copy_failed(const protocol::error_response& m) const {
    return m.message().find("pgsidecar: a limit of its tenant") != std::string_view::npos;
}

// ReadyForQuery behind a request that was cut. True: the client does not get this one.
bool session::settle_cut(char status, actions& out) {
    auto& c = *cut_;
    // Done in time, and the client knows. Or it was answered by an error of another kind.
    if (!c.told) {
        cut_.reset();
        return false;
    }
    if (status == 'T' && owed_.empty()) {
        // It was done before the cancel came. The client was told of an error, so the block ends.
        send_failure(true, {}, out);
        return true;
    }
    const bool given = c.ready_given;
    const bool kept = !given || status == c.promised;
    cut_.reset();
    if (!kept)
        fail("08006", "the server ended a statement otherwise than its client was told",
             "server out of step after query_timeout", out);
    if (given) out.resume_client = true;
    return given;
}

// The status behind the request in front if it fails now; nothing: only the server knows.
std::optional<char> session::status_after_failure() {
    for (std::size_t i = 0; i < owed_.size(); ++i) {
        const auto& item = owed_.at(i);
        if (item.what == reply::query || item.what == reply::execute) {
            if (!item.text || !item.text->facts().parsed) return std::nullopt;
            const auto& all = item.text->facts().statements;
            if (std::any_of(all.begin(), all.end(), controls_transaction)) return std::nullopt;
        }
        if (ends_request(item.what)) return status_ == 'I' ? 'I' : 'E';
    }
    return std::nullopt;
}

session::time_point session::deadline() const noexcept {
    if (state_ != state::ready) return limiter::never;
    const auto idle = idle_deadline();
    if (!limits_ || idle != limiter::never) return idle;
    if (cut_) return cut_->due;
    return limits_->deadline(!owed_.empty() || waiting_ == wait::flight);
}

void session::on_deadline(time_point now, actions& out) {
    if (now < deadline()) return;
    if (idle_deadline() <= now) return end_idle(out);
    if (cut_) return on_silence(now, out);
    if (limits_->waiting()) {
        if (!rules(limits_->waited_too_long(), out)) return;
        leave_gate(out);
        out.resume_client = true;
        return;
    }
    if (!rules(limits_->timed_out(), out)) return;
    if (waiting_ == wait::flight) {
        leave_flight(out);
        out.resume_client = true;
        return;
    }
    begin_cut(false, std::exchange(limits_->refusal, {}), out);
    cut_->due = now + grace;
}

// The server has not answered to the cancel. What the status will be is known nearly always: then
// the client has its answer, and this session waits for the server before it sends any more.
void session::on_silence(time_point now, actions& out) {
    auto& c = *cut_;
    if (c.silent) return fail("08006", "the server does not react", "no reaction to a cancel", out);
    c.silent = true;
    c.due = now + std::max(limits_->patience(), silence);
    if (server_stream_ > 0) return;  // in the middle of a message
    const auto promised = status_after_failure();
    if (front_request_is_whole() && !promised) return;
    if (!c.told) {
        c.told = true;
        out.client.own(
            with_detail(c.error, " The server has not confirmed it; what it writes may be kept."));
    }
    if (!promised) return;  // its Sync brings the rest
    c.ready_given = true;
    c.promised = *promised;
    std::string ready;
    protocol::write_ready(ready, c.promised);
    out.client.own(std::move(ready));
}

// Rows that a batch sends back may be too many, and only then is it known that what it writes must
// not be kept: what makes it permanent waits until they have been counted.
void session::note_rows(const portal& bound, const plan& effects) {
    if (!limits_ || !limits_->cuts_answers()) return;
    const auto& all = bound.definition->text->facts().statements;
    batch_writes_ = batch_writes_ || all.empty() ||
                    std::any_of(effects.writes.begin(), effects.writes.end(),
                                [](const planned_write& w) { return !w.reads_only; });
    const auto most = limits_->tenant().of->max_result_rows;
    batch_rows_ = batch_rows_ || all.empty() || std::any_of(all.begin(), all.end(), [&](auto& s) {
                      const auto rows = bounded_rows(s);
                      return !rows || *rows > most;
                  });
}

bool session::must_await_rows(actions& out) {
    if (!batch_writes_ || !batch_rows_ || owed_.empty() || skipping_ || cut_ || copy_in_)
        return false;
    std::string message;
    protocol::write(message, protocol::flush{});
    out.server.own(std::move(message));
    waiting_ = wait::rows;
    return true;
}

}  // namespace pgsidecar::core

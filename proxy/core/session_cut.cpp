// Requests that end with an error of ours: an answer that is cut, and time that has run out. What
// the server still says to them is taken back; what a batch of them has written does not become
// permanent.
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
constexpr milliseconds again{200};
// A server that does not react for so long after that is given up.
constexpr milliseconds silence{5000};

constexpr std::string_view copy_refusal = "pgsidecar: a limit of its tenant";

bool controls(const policy::statement_facts& s) { return policy::controls_transaction(s.kind); }

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

// The server's next row, or a part of a COPY. True: it is one too many, and is not passed on.
bool session::count_row(std::size_t size, time_point now, actions& out) {
    if (!limits_ || owed_.empty() || (cut_ && cut_->hides())) return false;
    if (auto& item = owed_.front(); item.page > 0 && limits_->rows() >= item.page)
        return item.page_over = true;
    auto r = limits_->add_row(size);
    if (!rules(std::move(r), out)) return false;
    if (cut_) {  // its time had run out before, and the cancel is on its way
        cut_->answer = true;
        cut_->error = std::exchange(limits_->refusal, {});
        fail_rest(out);
    } else {
        begin_cut(true, now, out);
    }
    return true;
}

// Has the request in front, whose answer is awaited, been sent whole?
bool session::front_request_is_whole() {
    for (std::size_t i = 0; i < owed_.size(); ++i)
        if (ends_request(owed_.at(i).what)) return true;
    return false;
}

// The request under way is to end with the refusal's error. `answer`: the server has begun an
// answer of which the client gets no more; otherwise what still comes in time is passed on.
void session::begin_cut(bool answer, time_point now, actions& out) {
    spoil_fill();
    free_followers(out);
    cut_ = std::make_unique<cut>();
    cut_->answer = answer;
    cut_->error = std::exchange(limits_->refusal, {});
    cut_->due = now + (answer ? patience_with_rows : grace);
    cut_->ends = cut_->due + std::max(limits_->patience(), silence);
    if ((!copy_in_ || client_stream_ > 0) && !cancel_in_flight_) {
        cancel_in_flight_ = true;
        out.cancel_upstream = true;
    }
    if (answer || copy_in_) fail_rest(out);
}

// Its client is told of an error: what has not been sent yet of the request in front must not take
// effect, even if what was sent is done before the cancel comes.
void session::fail_rest(actions& out) {
    auto& rest = cut_->rest_of_batch;
    if (rest == cut::rest::fails) return;
    rest = client_stream_ > 0 ? cut::rest::to_fail : cut::rest::fails;
    if (client_stream_ > 0) return;
    if (copy_in_) {
        std::string message;
        protocol::write(message, protocol::copy_fail{copy_refusal});
        out.server.own(std::move(message));
    } else if (!front_request_is_whole()) {
        send_failure(false, cut_->error, out);
    }
}

void session::tell_cut(bool completed, actions& out) {
    auto& c = *cut_;
    if (std::exchange(c.told, true)) return;
    // Without its Sync a batch can still be made to fail, and was.
    const bool kept =
        completed && status_ == 'I' && front_request_is_whole() && owed_.front().effects &&
        std::any_of(owed_.front().effects->writes.begin(), owed_.front().effects->writes.end(),
                    [](const planned_write& w) { return !w.reads_only; });
    out.client.own(kept ? with_detail(c.error, " What it wrote is kept.") : c.error);
}

// The client was told of an error before: to it this Parse or Close has not happened. What it has
// sent under that name since then has.
void session::forget_parse(const owed_reply& item) {
    if (item.injected || (item.what == reply::close && !item.close_statement)) return;
    take_back(item, item.before, {.client = true, .server = false}, 1);
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

// Behind an error the request in front has only its ReadyForQuery to come: no time-out may follow
// it, and of a cut nothing is left to do, unless the client has had that already.
void session::request_has_failed() {
    if (limits_) limits_->ended();
    if (cut_ && !cut_->ready_given) cut_.reset();
}

bool session::copy_failed(const protocol::error_response& m) const {
    return m.message().find(copy_refusal) != std::string_view::npos;
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

// Does only the server know how the request in front ends, even if it fails now?
bool session::end_is_open() {
    // All is done but for ReadyForQuery, or a part that says what the rest is in.
    if (owed_.front().what == reply::sync || control_done_) return true;
    for (std::size_t i = 0; i < owed_.size(); ++i) {
        const auto& item = owed_.at(i);
        if (item.refusal) return i == 0;  // the server runs nothing behind it
        if (item.what == reply::query || item.what == reply::execute) {
            if (!item.text || !item.text->facts().parsed) return true;
            const auto& all = item.text->facts().statements;
            if (item.what == reply::query && item.done >= all.size()) return true;
            if (std::any_of(all.begin(), all.end(), controls)) return true;
        }
        if (ends_request(item.what)) return false;
    }
    return false;
}

// The server has not answered to the cancel. How it will end is known nearly always: then the
// client has its answer, and this session waits for the server before it sends any more. A
// cancel that comes before the server has begun with the statement is lost: it is sent again.
void session::on_silence(time_point now, actions& out) {
    auto& c = *cut_;
    const bool given_up = now >= c.ends;
    if (c.silent && !cancel_in_flight_ && !copy_in_) {
        cancel_in_flight_ = true;
        out.cancel_upstream = true;
    }
    if (given_up) return fail("08006", "the server does not react", "no reaction to a cancel", out);
    c.due = std::min(now + again, c.ends);
    if (std::exchange(c.silent, true)) return;
    if (server_stream_ > 0) return;  // in the middle of a message
    if (end_is_open()) return;
    const bool whole = front_request_is_whole();
    if (!c.told) {
        c.told = true;
        out.client.own(with_detail(
            c.error, whole ? " The server has not confirmed it; what it writes may be kept."
                           : " The server has not confirmed it."));
    }
    if (!whole) return fail_rest(out);  // its Sync brings the end
    c.ready_given = true;
    c.promised = status_ == 'I' ? 'I' : 'E';
    std::string ready;
    protocol::write_ready(ready, c.promised);
    out.client.own(std::move(ready));
}

// Rows that a batch sends back may be too many, and only then is it known that what it writes must
// not be kept: what makes it permanent waits until they have been counted.
void session::note_rows(const statement_text& text, const plan& effects) {
    if (!limits_ || !limits_->cuts_answers()) return;
    const auto& all = text.facts().statements;
    block_ =
        block_ || status_ != 'I' || all.empty() || std::any_of(all.begin(), all.end(), controls);
    batch_writes_ = batch_writes_ || all.empty() ||
                    std::any_of(effects.writes.begin(), effects.writes.end(),
                                [](const planned_write& w) { return !w.reads_only; });
    const auto most = limits_->tenant().of->max_result_rows;
    const bool many = all.empty() || std::any_of(all.begin(), all.end(), [&](const auto& one) {
                          const auto rows = bounded_rows(one);
                          return !rows || *rows > most;
                      });
    batch_rows_ = batch_rows_ || many;
    block_rows_ = block_rows_ || (many && block_);
}

// A Sync makes permanent what its batch has written; `control`: a COMMIT in the batch more than
// that.
bool session::must_await_rows(bool control, actions& out) {
    if (!batch_rows_ || (!batch_writes_ && !control) || owed_.empty() || skipping_ || copy_in_ ||
        (cut_ && cut_->hides()))
        return false;
    await_answers(wait::rows, out);
    return true;
}

}  // namespace pgsidecar::core

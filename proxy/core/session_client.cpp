// Requests in state `ready`: which are looked up, which are held back, and what is remembered of
// those that leave for the server.
#include <algorithm>
#include <utility>

#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {
namespace {

using protocol::peek_result;

// A message longer than this is forwarded as it comes; only its front is looked at.
constexpr std::size_t whole_limit = 64U << 10;
// The front of a Bind holds two names, each shorter than any sensible limit.
constexpr std::size_t front_limit = 8U << 10;

bool is_extended(char type) {
    return type == 'P' || type == 'B' || type == 'D' || type == 'E' || type == 'C';
}

std::string_view type_name(char type, std::string& scratch) {
    const auto name = protocol::frontend_name(type);
    if (!name.empty()) return name;
    scratch = std::to_string(static_cast<unsigned char>(type));
    return scratch;
}

}  // namespace

std::size_t session::on_request(protocol::bytes in, time_point now, actions& out) {
    if (transparent_) {
        client_active_ = true;
        out.server.forward(in);
        return in.size();
    }
    if (client_stream_ > 0) {
        const auto part = in.substr(0, client_stream_);
        client_stream_ -= static_cast<std::uint32_t>(part.size());
        if (!discarding_) out.server.forward(part);
        discarding_ = discarding_ && client_stream_ > 0;
        if (client_stream_ == 0 && cut_ && cut_->rest_of_batch == cut::rest::to_fail)
            fail_rest(out);
        return part.size();
    }
    protocol::head head;
    std::error_code error;
    const auto found = protocol::peek_head(in, head, error);
    if (found == peek_result::need_more) return 0;
    if (found == peek_result::bad || head.type == 'p' ||
        head.length > protocol::frontend_length_limit(head.type)) {
        std::string scratch;
        fail("08P01",
             "invalid frontend message: type " + std::string{type_name(head.type, scratch)},
             "invalid message from the client", out);
        return in.size();
    }
    const bool extended = is_extended(head.type);
    if (services_.tenants && may_refuse_here()) renew_limits(now);
    if (measures() && (extended || head.type == 'Q')) limits_->asked(now);
    if (refused_ && head.type != 'X') return on_refused_block(head, in, out);
    if (!attached()) {
        if (in.size() < front_of(head)) return 0;
        if (const auto used = on_detached(head, in, now, out)) return used;
    }
    if ((extended || head.type == 'Q' || head.type == 'F') && awaits_restore()) {
        waiting_ = wait::drain;
        return 0;
    }
    if (extended && !unholdable_) return on_batch(head, in, now, out);
    const bool long_query = head.type == 'Q' && head.length > services_.decide.max_sql_length() + 6;
    if (long_query || head.type == 'F') {
        const auto admitted = admit({1, true}, std::string_view{}, now, out);
        if (admitted == admission::hold) return 0;
        if (admitted == admission::refused) return refuse_long(head, in, out);
        if (lacks_server(now, out)) return 0;
    }
    if (head.type != 'Q' || long_query) return forward_one(head, in, now, out);
    return on_query(head, in, now, out);
}

std::size_t session::on_query(const protocol::head& head, protocol::bytes in, time_point now,
                              actions& out) {
    if (in.size() < head.length) return 0;
    const auto frame = protocol::whole_frame(in, head);
    protocol::query query;
    if (protocol::parse(frame.body, query)) {
        fail("08P01", "invalid Query message", "malformed Query", out);
        return in.size();
    }
    const auto text = text_of(query.sql);
    switch (admit(demand_of(*text), query.sql, now, out)) {
        case admission::hold:
            return 0;
        case admission::refused:
            if (drains_to_refuse(begins_block(*text))) return (void)hold_until_drained(), 0;
            refuse_request(out, text.get());
            return frame.whole.size();
        case admission::pass:
            break;
    }
    std::uint32_t page = 0;
    if (judge_page(*text, nullptr, page, out)) {
        if (drains_to_refuse(begins_block(*text))) return (void)hold_until_drained(), 0;
        refuse_request(out, text.get());
        return frame.whole.size();
    }
    if (limits_) limits_->pages_judged = true;
    if (!attached() && answer_here(text, out)) return frame.whole.size();
    if (page > 0) {
        if (lacks_server(now, out)) return 0;
        forward_cut_query(text, page, out);
        return frame.whole.size();
    }
    switch (look_up_query(text, now, out)) {
        case verdict::served:
            return frame.whole.size();
        case verdict::hold:
            return 0;
        case verdict::forward:
            break;
    }
    note_sequences(*text);
    if (lacks_server(now, out) || must_release_database(*text, out)) return 0;
    forward_query(text, frame.whole, out);
    return frame.whole.size();
}

// A message that is not read whole, of a request that is refused.
std::size_t session::refuse_long(const protocol::head& head, protocol::bytes in, actions& out) {
    refuse_request(out);
    return discard(head, in);
}

// The message in front goes no further, however long it is.
std::size_t session::discard(const protocol::head& head, protocol::bytes in) {
    const auto part = in.substr(0, head.length);
    client_stream_ = static_cast<std::uint32_t>(head.length - part.size());
    discarding_ = client_stream_ > 0;
    return part.size();
}

// Bytes of a message that must be here before any of it is sent.
std::size_t session::front_of(const protocol::head& head) const noexcept {
    if (head.type == 'd') return 0;
    const bool has_text = head.type == 'P' || head.type == 'Q';
    const auto most = whole_limit + (has_text ? services_.decide.max_sql_length() : 0);
    return head.length <= most ? head.length : front_limit;
}

std::size_t session::forward_one(const protocol::head& head, protocol::bytes in, time_point now,
                                 actions& out) {
    if (head.type != 'X' && lacks_server(now, out)) return 0;
    continue_batch(now);
    const auto wanted = front_of(head);
    if (in.size() < wanted) return 0;
    if (wanted == head.length)
        return forward_frame(protocol::whole_frame(in, head), now, out) ? head.length : 0;
    protocol::reader front{in.substr(protocol::head_size)};
    std::size_t skipped = 0;  // was sent in other words
    switch (head.type) {
        case 'B': {
            protocol::bind names;
            names.portal = front.cstring();
            names.statement = front.cstring();
            if (must_hold(names.statement, out)) return 0;
            const auto renamed = forward_bind(names, head.length, out);
            if (!renamed) return discard(head, in);
            skipped = *renamed;
            break;
        }
        case 'P': {
            const auto name = front.cstring();
            if (awaits_name(name)) return (void)hold_until_drained(), 0;
            forward_parse(name, {}, {}, {}, out);
            break;
        }
        case 'Q':
            forward_query(services_.decide.unread(), {}, out);
            break;
        case 'F':
            forward_function_call();
            break;
        default:
            break;
    }
    if (front.failed() || state_ == state::closed) {
        fail("08P01", "a name in a message is too long", "oversized name", out);
        return in.size();
    }
    const auto part = in.substr(0, head.length);
    client_stream_ = static_cast<std::uint32_t>(head.length - part.size());
    out.server.forward(part.substr(skipped));
    return part.size();
}

// False: hold the frame back, nothing of it was sent.
bool session::forward_frame(const protocol::frame& f, time_point now, actions& out) {
    bool well_formed = true;
    switch (f.type) {
        case 'Q': {
            protocol::query m;
            well_formed = !protocol::parse(f.body, m);
            if (well_formed) forward_query(text_of(m.sql), f.whole, out);
            break;
        }
        case 'P':
        case 'B':
        case 'D':
        case 'E':
        case 'C':
            switch (forward_extended(f, now, out)) {
                case sending::held:
                    return false;
                case sending::replaced:
                    return true;
                case sending::malformed:
                    well_formed = false;
                    break;
                case sending::done:
                    break;
            }
            break;
        case 'S':
            if (must_await_rows(false, out)) return false;
            forward_sync();
            break;
        case 'F': {
            protocol::function_call m;
            well_formed = !protocol::parse(f.body, m);
            if (well_formed) forward_function_call();
            break;
        }
        case 'c':
        case 'f':
            if (copy_in_)
                copy_in_ = false;
            else if (!owed_.empty())
                owe({.what = reply::copy_end});
            break;
        case 'X':
            on_client_finished(out);
            return true;
        default:
            break;
    }
    if (!well_formed)
        fail("08P01", "invalid " + std::string{protocol::frontend_name(f.type)} + " message",
             "malformed message from the client", out);
    else if (state_ != state::closed && f.type != 'Q' && f.type != 'P')
        out.server.forward(f.whole);
    return true;
}

void session::forward_sync() {
    unholdable_ = false;
    next_fill_ = -1;
    batch_reason_ = policy::reason::miss;
    batch_writes_ = batch_rows_ = false;
    if (limits_) limits_->request_consumed();
    if (copy_in_) return;  // ignored there
    skipping_ = false;
    if (pool_) ++pool_->batch;
    owe({.what = reply::sync});
}

void session::forward_function_call() {
    if (limits_) limits_->request_consumed();
    note_effects(unknown_write(), policy::statement_kind::call, true);
    owe({.what = reply::function_call});
}

owed_reply& session::owe(owed_reply&& item) {
    static thread_local owed_reply skipped;
    item.taints = taints_;
    if (measures()) item.since = limits_->since();
    // What the server skips it does not answer; only a Sync counts.
    if (skipping_ && item.what != reply::sync) {
        skipped = std::move(item);
        return skipped;
    }
    return owed_.push(std::move(item));
}

void session::forward_query(const std::shared_ptr<const statement_text>& text,
                            std::string_view whole, actions& out) {
    if (skipping_) return out.server.forward(whole);  // thrown away there, and owes nothing
    unholdable_ = false;                              // it ends a batch without a Sync
    batch_writes_ = batch_rows_ = false;
    if (limits_) limits_->request_consumed();
    auto planned = plan_of(*text);
    const auto& effects = *planned;  // what is owed keeps it
    if (!effects.inert)
        for (const auto name : named_statements(*text)) send_repair(name, true, out);
    note_rows(*text, effects);
    batch_writes_ = batch_rows_ = false;
    if (!effects.inert) repair_before_reading_changes(effects, true, out);
    const auto why = count_forwarded(*text, effects, out);
    statements_.set("", {});  // a simple query drops the unnamed statement
    portals_.drop_unnamed();
    owed_reply item{.what = reply::query,
                    .why = why,
                    .fill = next_fill_,
                    .text = text,
                    .effects = std::move(planned)};
    next_fill_ = -1;
    batch_reason_ = policy::reason::miss;
    owe(std::move(item));
    note_text_effects(text, effects);
    out.server.forward(whole);
}

policy::reason session::count_forwarded(const statement_text& text, const plan& effects,
                                        actions& out) {
    auto why = effects.read.why;
    if (why == policy::reason::miss && batch_reason_ != policy::reason::miss) why = batch_reason_;
    if (why == policy::reason::miss && next_fill_ < 0) why = session_verdict();
    if (text.facts().statements.size() > 1)
        out.outcomes.insert(out.outcomes.end(), text.facts().statements.size(), why);
    else
        out.outcomes.push_back(why);
    return why;
}

}  // namespace pgsidecar::core

// Replies in state `ready`: each is matched with what is owed, recorded where an answer is to be
// kept, and passed on. A commit is made known to the cache before its acknowledgement is passed on.
#include <algorithm>
#include <charconv>
#include <utility>

#include "protocol/backend.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {
namespace {

using protocol::peek_result;

constexpr std::string_view parse_complete{"1\0\0\0\4", 5};

// A frame longer than this is passed on as it comes.
constexpr std::size_t whole_limit = 64U << 10;

// The last number of a command's tag: "SELECT 5", "INSERT 0 5", "CREATE TABLE".
std::uint64_t rows_of(std::string_view tag) {
    std::uint64_t rows = 0;
    const auto last = tag.substr(tag.rfind(' ') + 1);
    std::from_chars(last.data(), last.data() + last.size(), rows);
    return rows;
}

bool is_row(char type) {
    return type == 'D' || type == 'd' || type == 'T' || type == 't' || type == '1' || type == '2' ||
           type == '3' || type == 'n';
}

}  // namespace

std::size_t session::on_reply(protocol::bytes in, time_point now, actions& out) {
    if (server_stream_ > 0) {
        const auto part = in.substr(0, server_stream_);
        server_stream_ -= static_cast<std::uint32_t>(part.size());
        if (!server_hidden_) out.client.forward(part);
        return part.size();
    }
    protocol::head head;
    std::error_code error;
    const auto found = protocol::peek_head(in, head, error);
    if (found == peek_result::need_more) return 0;
    if (found == peek_result::bad || !protocol::is_backend_type(head.type) || head.type == 'R' ||
        head.type == 'K' || head.type == 'v') {
        fail("08P01", "the server sent an unexpected message", "server out of step", out);
        return in.size();
    }
    if (in.size() >= head.length) {
        const auto frame = protocol::whole_frame(in, head);
        if (transparent_)
            pass_reply(frame, out);
        else
            handle_reply(frame, now, out);
        return head.length;
    }
    const bool data = head.type == 'D' || head.type == 'd';
    const bool recorded = fills_ && data && !owed_.empty() && owed_.front().fill >= 0 &&
                          head.length <= services_.options.max_entry_size;
    if (recorded || (!data && head.length <= whole_limit)) return 0;
    // Long and of a kind that must be understood whole: only errors, notices and descriptions of
    // rows can be that long, and they are bounded by what the server's memory holds.
    if (!data && head.type != 'T' && head.type != 't' && head.type != 'V' && head.type != 'A')
        return 0;
    if (fills_ && !owed_.empty() && owed_.front().fill >= 0)
        fills_->each[static_cast<std::size_t>(owed_.front().fill)].recorder.give_up();
    free_followers(out);
    if (head.type == 'T' || head.type == 't') return 0;
    if (head.type == 'V') bump_marks();
    if (data) ++page_rows_;
    answer_bytes_ += head.length;
    server_hidden_ =
        restoring() || (data && count_row(head.length, now, out)) || (cut_ && cut_->hides());
    server_stream_ = static_cast<std::uint32_t>(head.length - in.size());
    if (!server_hidden_) out.client.forward(in);
    return in.size();
}

void session::pass_reply(const protocol::frame& f, actions& out) {
    if (f.type == 'Z') {
        protocol::ready_for_query ready;
        if (!protocol::parse(f.body, ready)) status_ = ready.status;
        client_active_ = false;
    } else if (f.type == 'E') {
        note_fatal(f);
    }
    out.client.forward(f.whole);
    if (draining_ && idle()) on_shutdown(out);
}

void session::note_fatal(const protocol::frame& f) {
    protocol::error_response m;
    if (!protocol::parse(f.body, m)) {
        const auto severity = m.severity();
        server_fatal_ = severity == "FATAL" || severity == "PANIC";
        const auto code = m.sqlstate();  // admin_shutdown, crash_shutdown, cannot_connect_now
        server_restarts_ = server_fatal_ && (code == "57P01" || code == "57P02" || code == "57P03");
    }
}

void session::handle_reply(const protocol::frame& f, time_point now, actions& out) {
    if (restoring()) return on_restore_reply(f, out);
    if (commit_in_flight() && !is_row(f.type)) bump_marks();
    const auto named =
        pool_ && f.type == 'E' && !owed_.empty() ? owed_.front().name : std::string{};
    bool hide = swallow() || (cut_ && cut_->hides());
    answer_bytes_ += f.whole.size();
    switch (f.type) {
        case 'D':
        case 'd':
            if (count_row(f.whole.size(), now, out)) hide = true;
            ++page_rows_;
            record(f, out);
            break;
        case 'T':
        case 'n':
            record(f, out);
            on_described(f, out);
            break;
        case 't':
            note_parameter_types(f);
            break;
        case '2':
            record(f, out);
            if (!owed_.empty() && owed_.front().what == reply::bind) {
                const auto& item = owed_.front();
                if (item.definitions != 0) item.definition->bound_by = item.definitions;
                pop_owed();
            }
            break;
        case '1':
        case '3':
            hide = on_parsed_or_closed(f.type, hide, out) || hide;
            break;
        case 'C':
        case 'I':
        case 's':
            record(f, out);
            if (!owed_.empty() && owed_.front().page_over && !hide) {
                end_page(out);
                hide = true;
            }
            if (limits_) limits_->statement_ended();
            if (cut_ && cut_->answer) tell_cut(true, out);
            on_completed(f, now, out);
            break;
        case 'V':
            break;
        case 'G':
            on_copy_in();
            break;
        case 'E':
            hide = answer_error(f, now, out) || tell_renamed(f, named, out);
            break;
        case 'Z':
            on_ready(f, now, out);
            return;
        case 'S': {
            protocol::parameter_status m;
            if (!protocol::parse(f.body, m)) note_parameter(m.name, m.value);
            spoil_fill();
            hide = pool_ && keeps_back(m, out);
            break;
        }
        case 'N':
            spoil_fill();
            hide = false;
            break;
        case 'A':
            // Whoever is told of a commit before its acknowledgement has passed here may rely on
            // it.
            if (database_->writers.load() > 0) saw_writes_ = true;
            spoil_fill();
            hide = false;
            break;
        case 'W':
            leave_gate(out);
            transparent_ = true;
            break;
        default:
            break;
    }
    if (!hide) out.client.forward(f.whole);
}

// ParseComplete and CloseComplete. True: the client has got what it is to get.
bool session::on_parsed_or_closed(char type, bool hide, actions& out) {
    if (owed_.empty()) return false;
    const auto& item = owed_.front();
    const bool stands_for_parse = type == '3' && item.stands_for_parse;
    if (!stands_for_parse && item.what != (type == '1' ? reply::parse : reply::close)) return false;
    if (cut_ && cut_->told) forget_parse(item);
    if (!stands_for_parse) {
        if (type == '1' && swallow() && item.added == 0) --owed_repairs_;
        if (item.added != 0) pool_->link->statements.confirm(item.added);
    } else if (!hide) {
        out.client.literal(parse_complete);
    }
    pop_owed();
    return stands_for_parse;
}

void session::record(const protocol::frame& f, actions& out) {
    if (!fills_ || owed_.empty() || owed_.front().fill < 0) return;
    auto& recorder = fills_->each[static_cast<std::size_t>(owed_.front().fill)].recorder;
    if (!recorder.add(f.whole)) free_followers(out);
}

void session::spoil_fill() {
    if (!fills_) return;
    for (auto& f : fills_->each) f.recorder.give_up();
}

void session::pop_owed() {
    if (owed_.empty()) return;
    owed_.pop();
    while (!owed_.empty() && owed_.front().what == reply::copy_end) owed_.pop();
}

void session::on_completed(const protocol::frame& f, time_point now, actions& out) {
    copy_in_ = false;
    const auto rows = std::exchange(page_rows_, 0);
    if (owed_.empty()) return;
    auto& item = owed_.front();
    protocol::command_complete m;
    if (f.type == 'C' && protocol::parse(f.body, m)) return;
    if (measures() && f.type != 'I')
        measure_front(f.type == 'C' ? rows_of(m.tag) : rows, false, now, out);
    if (item.what == reply::query) {
        statement_done(item, m.tag);
    } else if (item.what == reply::execute) {
        if (f.type == 'C') statement_done(item, m.tag);
        pop_owed();
    }
}

// While the server reads COPY data it ignores Sync and Flush: those already sent up to the end of
// the data are not answered.
void session::on_copy_in() {
    spoil_fill();
    for (std::size_t i = 1; i < owed_.size();) {
        const auto what = owed_.at(i).what;
        if (what == reply::copy_end) {
            owed_.erase(i);
            return;
        }
        if (what == reply::sync)
            owed_.erase(i);
        else
            ++i;
    }
    copy_in_ = true;
}

// True: the client does not get this one.
bool session::answer_error(const protocol::frame& f, time_point now, actions& out) {
    page_rows_ = 0;
    if (measures() && !owed_.empty()) measure_front(0, true, now, out);
    const auto refusal = owed_.empty() ? nullptr : owed_.front().refusal;
    const bool hidden = swallow();
    note_outdated(f);
    if (limits_) limits_->statement_ended();
    if (on_reply_error(f) && hidden) {
        if (status_ == 'T') repair_error_ = std::make_unique<std::string>(f.whole);
        return true;
    }
    bool replaced = cut_ && cut_->told;
    if (refusal && !server_fatal_ && !replaced) {
        out.client.own(*refusal);
        replaced = true;
    } else if (const auto why = std::exchange(repair_error_, nullptr); why && !replaced && !cut_) {
        // Its own block was aborted by what was done on its behalf: it hears of that, not of 25P02.
        out.client.own(*why);
        replaced = true;
    } else if (cut_) {
        replaced = cut_hides_error(f, out);
    }
    request_has_failed();
    return replaced;
}

// True: the error answers something of ours and is not for the client.
bool session::on_reply_error(const protocol::frame& f) {
    note_fatal(f);
    spoil_fill();
    if (copy_in_) copy_in_ = false;
    if (owed_.empty()) return false;
    // Set before a simple query, a repair stands alone: its failure is not the client's.
    bool ours = owed_.front().injected;
    if (ours) {
        std::size_t i = 0;
        while (i < owed_.size() && owed_.at(i).injected && owed_.at(i).what != reply::sync) ++i;
        ours = i < owed_.size() && owed_.at(i).injected;
    }
    if (!ours) failed_ = true;
    const auto what = owed_.front().what;
    if (what == reply::function_call || what == reply::sync) return ours;
    if (what == reply::query) {
        refuse(owed_.front(), true, 1);
        return ours;
    }
    // A simple query or a function call is skipped as well, and owes no ReadyForQuery then. Taken
    // back from the last to the first, for each returns to what stood before it.
    std::size_t end = 1;
    while (end < owed_.size() && owed_.at(end).what != reply::sync) ++end;
    for (std::size_t i = end; i-- > 0;) refuse(owed_.at(i), i == 0, end);
    while (!owed_.empty() && end-- > 0) owed_.pop();
    skipping_ = owed_.empty();
    unholdable_ = unholdable_ || skipping_;
    return ours;
}

// Takes back what was believed when the message was sent. `ran`: the server refused it; otherwise
// it never looked at it. `end`: of the batch that failed.
void session::refuse(owed_reply& item, bool ran, std::size_t end) {
    if (item.statements) {
        for (auto& d : item.statements->deallocates)
            if (d.statement >= item.done) statements_.restore(std::move(d.slots));
        for (const auto& made : item.statements->prepares)
            if (made.statement >= item.done && statements_.client(made.name) == made.definition)
                statements_.set(made.name, {});
    }
    if (item.added != 0 && pool_ && pool_->link) pool_->link->statements.remove(item.added);
    if (item.added != 0 && item.injected) return;
    if (item.what != reply::parse && !item.close_statement) return;
    if (item.what == reply::parse && item.injected) --owed_repairs_;
    auto before = item.before;
    if (item.what == reply::parse && ran && item.name.empty()) before = {};
    // Of our own repeating the client knows nothing: its statement exists, whatever comes of that.
    take_back(item, std::move(before), {.client = !item.injected, .server = true}, end);
}

// What stood before it stands before what was sent under that name later, or stands now.
void session::take_back(const owed_reply& item, prepared_statements::views before, sides of,
                        std::size_t later) {
    for (; later < owed_.size() && (of.client || of.server); ++later) {
        auto& next = owed_.at(later);
        if (auto* const dropped = next.deallocates(item.name)) {
            if (of.client) dropped->restore_client(before);
            if (of.server) dropped->server = before.server;
            return;
        }
        if (!next.defines(item.name)) continue;
        if (of.client) next.before.restore_client(before);
        if (of.server) next.before.server = before.server;
        of = {.client = of.client && next.injected, .server = false};
    }
    // SQL may have taken the name since.
    if (item.what == reply::parse && !item.injected && item.definition &&
        statements_.client(item.name) != item.definition)
        return;
    auto views = statements_.get(item.name);
    if (of.client) views.restore_client(before);
    if (of.server) views.server = std::move(before.server);
    statements_.set(item.name, std::move(views));
}

void session::on_ready(const protocol::frame& f, time_point now, actions& out) {
    protocol::ready_for_query ready;
    if (protocol::parse(f.body, ready)) {
        fail("08P01", "the server sent an unexpected message", "malformed ReadyForQuery", out);
        return;
    }
    const bool hide = swallow();
    while (!owed_.empty() && owed_.front().what != reply::sync &&
           owed_.front().what != reply::query && owed_.front().what != reply::function_call)
        pop_owed();
    pop_owed();
    copy_in_ = false;
    skipping_ = control_done_ = false;
    status_ = ready.status;
    answer_bytes_ = 0;
    if (status_ != 'E') repair_error_.reset();
    if (status_ == 'I') end_measured_transaction(out);
    if (!hide) {
        note_sight_of_writes();
        if (status_ == 'I') {
            failed_ ? settings_.rollback() : settings_.commit();
            end_unlisten(!failed_);
            portals_.drop_named();
        }
        store_fills(!failed_ && status_ == 'I', now, out);
        failed_ = false;
    }
    const bool cut_away = cut_ && !hide && settle_cut(status_, out);
    if (owed_.empty())
        on_drained(out);
    else if (limits_)
        limits_->began(now);
    if (!hide && !cut_away && state_ != state::closed) out.client.forward(f.whole);
    if (draining_ && idle()) on_shutdown(out);
}

void session::on_drained(actions& out) {
    owed_.release_memory();
    owed_settings_ = owed_others_ = owed_repairs_ = owed_names_ = 0;
    if (status_ == 'I') {
        release_marks(out, false);
        if (releasing_ == release::done) {
            releasing_ = release::none;
            out.database_settled = true;
        }
    } else {
        release_commits();
    }
    if (status_ == 'I')
        leave_gate(out);
    else if (limits_)
        limits_->ended();
    block_ = block_rows_ = path_in_doubt_ = reading_in_doubt_ = false;
    if (waiting_ == wait::drain) {
        waiting_ = wait::none;
        out.resume_client = true;
    }
    if (pool_) give_back(out);
}

// Inside a block nothing has been committed after all.
void session::release_commits() {
    if (!commit_in_flight()) return;
    for (auto* table : writing_->marked) table->end_commit();
    writing_->marked.clear();
    database_->writers.fetch_sub(1);
}

}  // namespace pgsidecar::core

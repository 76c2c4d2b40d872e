// Batches of the extended protocol up to their Sync: which are held back, and answered whole.
#include <algorithm>
#include <utility>

#include "policy/analyze.h"
#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "proxy/core/answer_key.h"
#include "proxy/core/session_batch.h"

namespace pgsidecar::core {
namespace {

using policy::reason;
using namespace std::string_view_literals;

// A batch that is longer is not held back.
constexpr std::size_t batch_limit = 64U << 10;
constexpr std::size_t unit_limit = 1000;

constexpr auto parse_complete = "1\0\0\0\4"sv;
constexpr auto close_complete = "3\0\0\0\4"sv;

}  // namespace

std::size_t session::on_batch(const protocol::head& head, protocol::bytes in, time_point now,
                              actions& out) {
    static thread_local batch room;  // the next one's too, so that most need not ask for memory
    const struct leaving {
        ~leaving() { room.clear(); }
    } emptied;
    return answer_batch(head, in, room, now, out);
}

std::size_t session::answer_batch(const protocol::head& head, protocol::bytes in, batch& b,
                                  time_point now, actions& out) {
    const bool judged =
        limits_ && (limits_->in_force() || (wants_tenant() && limits_->reads_comments()));
    const bool may_hold = status_ == 'I' && (caching() || judged) && !skipping_ && !copy_in_;
    if (may_hold && in.size() < hold_until_) return 0;
    if (may_hold && !read_batch(in, b)) {
        if (in.size() < batch_limit) {
            // Not read anew for each byte that comes, but when its next message is there.
            protocol::head next;
            std::error_code unread;
            const bool known =
                protocol::peek_head(in.substr(b.size), next, unread) == protocol::peek_result::ok;
            hold_until_ = static_cast<std::uint32_t>(
                std::min(batch_limit, b.size + (known ? next.length : protocol::head_size)));
            return 0;
        }
        b.why = reason::too_long;
    }
    std::optional<std::string_view> text;
    if (!limits_ || !limits_->reads_comments()) {
        text.emplace();  // whatever it is
    } else if (judged && !may_hold) {
        if (in.size() < front_of(head)) return 0;
        text = text_in_front(head, in);
    }
    auto result = verdict::forward;
    switch (admit_batch(b, text, now, out)) {
        case admission::hold:
            return 0;
        case admission::refused:
            if (b.complete && drains_to_refuse(b.begins())) return (void)hold_until_drained(), 0;
            if (b.complete && may_refuse_here())
                return refuse_here(out, nullptr, b.begins()), b.size;
            if (lacks_server(now, out)) return 0;
            unholdable_ = true;
            send_failure(false, std::exchange(limits_->refusal, {}), out);
            return forward_one(head, in, now, out);
        case admission::pass:
            break;
    }
    if (cancelled_ && b.complete) {
        cancelled_ = false;
        refuse_cancelled(out);
        return b.size;
    }
    if (may_hold) {
        if (b.why == reason::miss) b.why = verdict_at(now);
        if (b.why == reason::pipeline_busy && must_drain())
            result = hold_until_drained();
        else if (b.why == reason::miss || b.why == reason::pipeline_busy)
            result = look_up_batch(b, now, out);
    }
    if (result == verdict::hold) return 0;
    if (result == verdict::served) return b.size;
    for (const auto& u : b.units)
        if (u.definition) note_sequences(*u.definition->text);
    if (lacks_server(now, out)) return 0;
    if (next_fill_ < 0) settle_lead(false, out);
    unholdable_ = true;
    batch_reason_ = b.why;
    return forward_one(head, in, now, out);
}

// The text of which the message in front speaks, as far as it is there; none: not known.
std::optional<std::string_view> session::text_in_front(const protocol::head& head,
                                                       protocol::bytes in) {
    protocol::reader front{in.substr(protocol::head_size, head.length - protocol::head_size)};
    const auto name = front.cstring();
    if (head.type == 'E') {
        const auto* bound = portals_.find(name);
        if (bound) return bound->definition->text->sql;
    }
    const auto second = front.cstring();  // a text, or the name of its statement
    if (front.failed()) return std::nullopt;
    if (head.type == 'P') return second;
    const auto& definition = statements_.client(second);
    if (head.type != 'B' || !definition) return std::nullopt;
    return definition->text->sql;
}

// What is read of it so far; the Executes of one that is not held are charged as they come. `sql`:
// the text in front of one that is not read, or where nobody reads its comments.
session::admission session::admit_batch(batch& b, std::optional<std::string_view> sql,
                                        time_point now, actions& out) {
    if (!limits_) return admission::pass;
    demand wanted{.place = !b.complete};
    for (const auto& u : b.units) {
        if (!u.definition) {
            wanted.place = true;
            continue;
        }
        const auto its = demand_of(*u.definition->text);
        if (b.complete && u.executed) wanted.queries += its.queries;
        wanted.place = wanted.place || its.place;
        if (!sql) sql = u.definition->text->sql;
    }
    const auto admitted = admit(wanted, sql, now, out);
    if (!limits_ || admitted != admission::pass || !b.complete) return admitted;
    for (const auto& u : b.units) {
        std::uint32_t page = 0;
        if (!u.definition) continue;
        if (judge_page(*u.definition->text, &u.bind, page, out)) return admission::refused;
        if (page > 0) b.why = reason::row_limit;  // only the server can stop there
    }
    limits_->pages_judged = true;
    return admitted;
}

// False: its end has not come yet. A sequence that is no batch for the cache sets b.why and counts
// as read, wherever it ends.
bool session::read_batch(protocol::bytes in, batch& b) {
    protocol::frame frame;
    std::error_code error;
    while (protocol::next(in.substr(b.size), frame, error) == protocol::peek_result::ok) {
        b.size += frame.whole.size();
        if (frame.type == 'S') {
            b.complete = true;
            if (b.units.empty() || !b.units.back().executed) b.why = reason::unusual_batch;
            if (b.units.size() > unit_limit) b.why = reason::multiple_executes;
            return true;
        }
        if (!read_frame(frame, b)) {
            if (b.why == reason::miss) b.why = reason::unusual_batch;
            return true;
        }
    }
    if (error) b.why = reason::unusual_batch;
    return static_cast<bool>(error);
}

bool session::read_frame(const protocol::frame& f, batch& b) {
    const bool open = !b.units.empty() && !b.units.back().executed;
    switch (f.type) {
        case 'P': {
            protocol::parse_message m;
            if (open || protocol::parse(f.body, m)) return false;
            const auto known = b.find(statements_, m.name);
            if (known && !m.name.empty()) return false;  // a duplicate: the server refuses it
            const auto types = f.body.substr(m.name.size() + m.sql.size() + 2);
            const auto text = text_of(m.sql);
            if (text->facts().too_long) return false;  // it could not be repeated to the server
            if (known && known->text == text && known->types == types &&
                known->definitions == definitions() && known->literals == literals_read_by())
                b.steps.push_back({batch::step::parse, m.name, known});
            else
                b.steps.push_back({batch::step::parse, m.name, definition_of(m.name, text, types)});
            return true;
        }
        case 'B': {
            unit u;
            if (open || protocol::parse(f.body, u.bind)) return false;
            if (!u.bind.portal.empty()) b.why = reason::named_portal;
            u.definition = b.find(statements_, u.bind.statement);
            if (!u.definition || u.definition->sql_statement >= 0)
                b.why = reason::unknown_statement;
            b.units.push_back(std::move(u));
            b.steps.push_back({batch::step::unit, {}, nullptr});
            return b.why == reason::miss;
        }
        case 'D': {
            protocol::describe m;
            if (!open || protocol::parse(f.body, m) || m.kind != 'P' || !m.name.empty() ||
                b.units.back().described)
                return false;
            b.units.back().described = true;
            return true;
        }
        case 'E': {
            protocol::execute m;
            if (!open || protocol::parse(f.body, m) || !m.portal.empty()) return false;
            if (m.row_limit != 0) b.why = reason::row_limit;
            b.units.back().executed = true;
            return b.why == reason::miss;
        }
        case 'C': {
            protocol::close m;
            if (open || protocol::parse(f.body, m)) return false;
            // Closing the unnamed portal behind its Execute changes nothing but the reply.
            if (m.kind == 'P' && !m.name.empty()) return false;
            if (m.kind == 'S')
                b.steps.push_back({batch::step::close, m.name, nullptr});
            else
                b.steps.push_back({batch::step::close, portal_marker, nullptr});
            return true;
        }
        default:
            return false;
    }
}

// Prepared by other settings or definitions it may mean something else than the same text does now,
// which is what the key names. Until the server has bound it once more nobody knows whether it
// refuses it.
bool session::means_the_same(const prepared& made, const plan& now, const scope_text& where) {
    if (made.literals != literals_read_by()) return false;
    // In need `where` is from before, and stands for what is prepared now that nobody can look.
    const auto definitions = definitions_in(*database_, where);
    if (made.definitions == definitions || made.definitions == this->definitions()) return true;
    return made.bound_by == definitions && (made.tables.empty() || made.tables == now.read.tables);
}

reason session::judge_unit(unit& u, const std::shared_ptr<const scope_text>& where) {
    u.planned = services_.decide.plan_for(*u.definition->text, *database_, where);
    if (const auto why = table_verdict(*u.planned); why != reason::miss) return why;
    if (!means_the_same(*u.definition, *u.planned, *where)) return reason::doubtful_text;
    for (const auto& value : u.bind.values)
        if (value && policy::mentions_clock_word(*value)) return reason::clock_read;
    build_key(u.key, context(), u.described ? answer_shape::described : answer_shape::rows_only,
              u.definition->text->sql, u.definition->types, u.bind.parameters_raw, told_in_key(u));
    u.hash = cache::hash_key(u.key);
    return reason::miss;
}

session::verdict session::look_up_batch(batch& b, time_point now, actions& out) {
    const bool busy = b.why == reason::pipeline_busy;
    stale_ = false;
    bool all_hit = true;
    bool compares = false;
    for (auto& u : b.units) {
        if (const auto why = judge_unit(u, scope()); why != reason::miss) {
            b.why = why;
            return verdict::forward;
        }
        u.entry = find_entry(u.key, u.hash, u.planned->read, now);
        all_hit = all_hit && u.entry;
        compares = compares || u.planned->read.mode == policy::rule_mode::shadow;
    }
    if (compares) {
        b.why = reason::shadow;
        return busy ? verdict::forward : shadow_batch(b, now, out);
    }
    if (busy) return all_hit && owed_others_ == 0 ? hold_until_drained() : verdict::forward;
    if (all_hit) {
        serve_or_refuse(b, out);
        return verdict::served;
    }
    if (b.units.size() == 1)
        return begin_fill(b.units.front().key, b.units.front().hash, b.units.front().planned->read,
                          now, out);
    if (asks_tier(b, now, out) || lacks_server(now, out)) return verdict::hold;
    tier_.reset();
    for (auto& u : b.units) prepare_fill(u.key, u.hash, u.planned->read, now);
    next_fill_ = 0;
    return verdict::forward;
}

// Asked of the server as a whole; see session_shadow.cpp.
session::verdict session::shadow_batch(batch& b, time_point now, actions& out) {
    if (lacks_server(now, out)) return verdict::hold;
    settle_lead(false, out);
    for (auto& u : b.units) {
        prepare_fill(u.key, u.hash, u.planned->read, now);
        compare_fill(std::move(u.entry), u.definition->text, *u.planned);
    }
    next_fill_ = 0;
    return verdict::forward;
}

void session::serve_or_refuse(batch& b, actions& out) {
    const bool refused = std::ranges::any_of(
        b.units, [&](const unit& u) { return too_large_for_tenant(*u.entry, out); });
    refused ? refuse_here(out) : serve_batch(b, out);
}

void session::serve_batch(batch& b, actions& out) {
    std::size_t next = 0;
    for (auto& s : b.steps) {
        switch (s.what) {
            case batch::step::parse:
                out.client.literal(parse_complete);
                statements_.set_client(s.name, std::move(s.definition));
                break;
            case batch::step::unit:
                measure_here(b.units[next].definition->text, *b.units[next].planned,
                             b.units[next].entry.get(), out);
                note_columns(b.units[next]);
                out.client.answer(std::move(b.units[next++].entry));
                break;
            case batch::step::close:
                out.client.literal(close_complete);
                if (s.name.data() != portal_marker.data()) statements_.set_client(s.name, nullptr);
                break;
        }
    }
    out.client.literal(ready_idle);
    portals_.drop_unnamed();
    count_hit(b.units.size(), out);
    settle_lead(true, out);
    consumed(out);
}

}  // namespace pgsidecar::core

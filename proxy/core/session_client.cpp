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
        client_stream_ -= part.size();
        out.server.forward(part);
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
    const bool extended = head.type == 'P' || head.type == 'B' || head.type == 'D' ||
                          head.type == 'E' || head.type == 'C';
    if (extended && !unholdable_) return on_batch(in, now, out);
    if (head.type != 'Q' || head.length > services_.decide.max_sql_length() + 6)
        return forward_one(in, out);

    protocol::frame frame;
    if (protocol::next(in, frame, error) != peek_result::ok) return 0;
    protocol::query query;
    if (protocol::parse(frame.body, query)) {
        fail("08P01", "invalid Query message", "malformed Query", out);
        return in.size();
    }
    const auto text = text_of(query.sql);
    switch (look_up_query(text, now, out)) {
        case verdict::served:
            return frame.whole.size();
        case verdict::hold:
            return 0;
        case verdict::forward:
            break;
    }
    if (must_release_database(*text, out)) return 0;
    forward_query(text, frame.whole, out);
    return frame.whole.size();
}

std::size_t session::forward_one(protocol::bytes in, actions& out) {
    protocol::head head;
    protocol::frame frame;
    std::error_code error;
    if (protocol::peek_head(in, head, error) != peek_result::ok) return 0;
    if (head.length > protocol::frontend_length_limit(head.type)) return on_request(in, {}, out);
    const auto parse_limit = services_.decide.max_sql_length() + whole_limit;
    const std::size_t limit = head.type == 'P' || head.type == 'Q' ? parse_limit : whole_limit;
    if (head.length <= limit && head.type != 'd') {
        if (protocol::next(in, frame, error) != peek_result::ok) return 0;
        return forward_frame(frame, out) ? frame.whole.size() : 0;
    }
    if (in.size() < std::min<std::size_t>(head.length, front_limit) && head.type != 'd') return 0;
    protocol::reader front{in.substr(protocol::head_size)};
    switch (head.type) {
        case 'B': {
            const auto portal = front.cstring();
            forward_bind(portal, front.cstring(), out);
            break;
        }
        case 'P':
            forward_parse(front.cstring(), {}, {}, {}, out);
            break;
        case 'Q':
            forward_query(services_.decide.unread(), {}, out);
            break;
        case 'F':
            note_effects(unknown_write(), policy::statement_kind::call, true);
            owe({.what = reply::function_call});
            break;
        default:
            break;
    }
    if (front.failed() || state_ == state::closed) {
        fail("08P01", "a name in a message is too long", "oversized name", out);
        return in.size();
    }
    const auto part = in.substr(0, head.length);
    client_stream_ = head.length - part.size();
    out.server.forward(part);
    return part.size();
}

// False: hold the frame back, nothing of it was sent.
bool session::forward_frame(const protocol::frame& f, actions& out) {
    const auto malformed = [&] {
        fail("08P01", "invalid " + std::string{protocol::frontend_name(f.type)} + " message",
             "malformed message from the client", out);
        return true;
    };
    switch (f.type) {
        case 'Q': {
            protocol::query m;
            if (protocol::parse(f.body, m)) return malformed();
            forward_query(text_of(m.sql), f.whole, out);
            return true;
        }
        case 'P': {
            protocol::parse_message m;
            if (protocol::parse(f.body, m)) return malformed();
            const auto types = f.body.substr(m.name.size() + m.sql.size() + 2);
            forward_parse(m.name, m.sql, std::string{types}, f.whole, out);
            return true;
        }
        case 'B': {
            protocol::bind m;
            if (protocol::parse(f.body, m)) return malformed();
            forward_bind(m.portal, m.statement, out);
            break;
        }
        case 'D': {
            protocol::describe m;
            if (protocol::parse(f.body, m)) return malformed();
            if (m.kind == 'S') send_repair(m.name, false, out);
            owe({.what = m.kind == 'S' ? reply::describe_statement : reply::describe_portal,
                 .fill = m.kind == 'P' ? current_fill() : std::int16_t{-1}});
            break;
        }
        case 'E': {
            protocol::execute m;
            const auto error = protocol::parse(f.body, m);
            // The server takes a negative limit for none.
            if (error == protocol::errc::bad_value)
                m.portal = protocol::reader{f.body}.cstring();
            else if (error)
                return malformed();
            const auto it = portals_.find(m.portal);
            const auto& bound = m.portal.empty()       ? unnamed_portal_
                                : it == portals_.end() ? nullptr
                                                       : it->second;
            if (bound && must_release_database(*bound->text, out)) return false;
            forward_execute(m.portal, out);
            break;
        }
        case 'C': {
            protocol::close m;
            if (protocol::parse(f.body, m)) return malformed();
            owed_reply item{.what = reply::close, .close_statement = m.kind == 'S'};
            if (m.kind == 'S') {
                item.name = m.name;
                item.before = statements_.get(m.name);
                if (!skipping_) statements_.set(m.name, {});
            } else if (m.name.empty()) {
                unnamed_portal_.reset();
            } else if (const auto it = portals_.find(m.name); it != portals_.end()) {
                portals_.erase(it);
            }
            owe(std::move(item));
            break;
        }
        case 'S':
            unholdable_ = false;
            next_fill_ = -1;
            batch_reason_ = policy::reason::miss;
            if (!copy_in_) {
                skipping_ = false;
                owe({.what = reply::sync});
            }
            break;
        case 'H':
            break;
        case 'F': {
            protocol::function_call m;
            if (protocol::parse(f.body, m)) return malformed();
            note_effects(unknown_write(), policy::statement_kind::call, true);
            owe({.what = reply::function_call});
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
    if (state_ != state::closed) out.server.forward(f.whole);
    return true;
}

owed_reply& session::owe(owed_reply item) {
    static thread_local owed_reply skipped;
    item.taints = taints_;
    // What the server skips it does not answer; only a Sync counts.
    if (skipping_ && item.what != reply::sync) {
        skipped = std::move(item);
        return skipped;
    }
    return owed_.push(std::move(item));
}

void session::inject_parse(std::string_view name, const prepared_ptr& definition, actions& out) {
    std::string message;
    protocol::writer w{message};
    w.begin('P');
    w.cstring(name);
    w.cstring(definition->text->sql);
    w.raw(definition->types);
    w.end();
    owe({.what = reply::parse,
         .injected = true,
         .name = std::string{name},
         .before = statements_.get(name)});
    auto views = statements_.get(name);
    views.server = definition;
    statements_.set(name, std::move(views));
    out.server.own(std::move(message));
}

void session::inject_close(std::string_view name, actions& out) {
    std::string message;
    protocol::write(message, protocol::close{'S', name});
    owe({.what = reply::close,
         .injected = true,
         .close_statement = true,
         .name = std::string{name},
         .before = statements_.get(name)});
    auto views = statements_.get(name);
    views.server.reset();
    statements_.set(name, std::move(views));
    out.server.own(std::move(message));
}

// Brings the server's statement of that name to what the client believes, ahead of a message that
// uses it. Before a simple query the repair needs a Sync of its own.
void session::send_repair(std::string_view name, bool with_sync, actions& out) {
    if (skipping_) return;
    using step = prepared_statements::repair_step;
    const auto needed = statements_.repair(name);
    if (needed == step::none) return;
    const auto definition = statements_.client(name);
    if (needed == step::close || needed == step::close_and_parse) inject_close(name, out);
    if (needed == step::parse || needed == step::close_and_parse)
        inject_parse(name, definition, out);
    if (!with_sync) return;
    std::string message;
    protocol::write(message, protocol::sync{});
    owe({.what = reply::sync, .injected = true});
    out.server.own(std::move(message));
}

// A statement that the server has not heard of yet would be read by it as it reads then.
void session::repair_before_dialect_change(const plan& effects, bool with_sync, actions& out) {
    if (std::none_of(effects.writes.begin(), effects.writes.end(),
                     [this](const planned_write& w) { return dialect_.may_change(w); }))
        return;
    for (const auto& name : statements_.unheard()) send_repair(name, with_sync, out);
}

void session::forward_query(const std::shared_ptr<const statement_text>& text,
                            std::string_view whole, actions& out) {
    if (skipping_) return out.server.forward(whole);  // thrown away there, and owes nothing
    unholdable_ = false;                              // it ends a batch without a Sync
    auto effects = services_.decide.plan_for(*text, *database_, scope());
    for (const auto& statement : text->facts.statements) {
        using enum policy::statement_kind;
        const auto& named =
            statement.inner && statement.inner->kind == execute ? *statement.inner : statement;
        if (named.kind == execute || named.kind == deallocate)
            if (!named.name.empty()) send_repair(named.name, true, out);
    }
    repair_before_dialect_change(*effects, true, out);
    count_forwarded(*text, *effects, out);
    statements_.set("", {});  // a simple query drops the unnamed statement
    unnamed_portal_.reset();
    owed_reply item{.what = reply::query, .fill = next_fill_, .text = text, .effects = effects};
    next_fill_ = -1;
    batch_reason_ = policy::reason::miss;
    owe(std::move(item));
    note_text_effects(text, *effects);
    out.server.forward(whole);
}

void session::forward_parse(std::string_view name, std::string_view sql, std::string types,
                            std::string_view whole, actions& out) {
    const auto text = whole.empty() ? services_.decide.unread() : text_of(sql);
    auto definition = std::make_shared<const prepared>(prepared{text, std::move(types), -1});
    if (!name.empty()) send_repair(name, false, out);  // so that a duplicate is refused
    owed_reply item{
        .what = reply::parse, .name = std::string{name}, .before = statements_.get(name)};
    if (!skipping_) statements_.set(name, {definition, definition});
    owe(std::move(item));
    out.server.forward(whole);
}

void session::forward_bind(std::string_view portal, std::string_view statement, actions& out) {
    send_repair(statement, false, out);
    auto definition = statements_.client(statement);
    if (next_fill_ >= 0) ++next_fill_;
    owe({.what = reply::bind, .fill = current_fill()});
    if (skipping_) return;
    if (portal.empty())
        unnamed_portal_ = std::move(definition);
    else
        portals_.insert_or_assign(std::string{portal}, std::move(definition));
}

void session::forward_execute(std::string_view portal, actions& out) {
    const auto it = portals_.find(portal);
    const auto bound = portal.empty()         ? unnamed_portal_
                       : it == portals_.end() ? nullptr
                                              : it->second;
    owed_reply item{.what = reply::execute, .fill = current_fill()};
    if (!bound) {
        // A portal of SQL's DECLARE, or of a statement that was never seen.
        out.outcomes.push_back(policy::reason::unknown_statement);
        owe(std::move(item));
        note_effects(unknown_write(), policy::statement_kind::call, false);
        return;
    }
    item.text = bound->text;
    item.effects = services_.decide.plan_for(*bound->text, *database_, scope());
    const auto& facts = bound->text->facts;
    for (const auto& statement : facts.statements) {
        using enum policy::statement_kind;
        const auto& named =
            statement.inner && statement.inner->kind == execute ? *statement.inner : statement;
        if ((named.kind == execute || named.kind == deallocate) && !named.name.empty())
            send_repair(named.name, false, out);
    }
    repair_before_dialect_change(*item.effects, false, out);
    count_forwarded(*bound->text, *item.effects, out);
    const auto effects = item.effects;
    owe(std::move(item));
    note_text_effects(bound->text, *effects);
}

void session::count_forwarded(const statement_text& text, const plan& effects, actions& out) {
    auto why = effects.read.why;
    if (why == policy::reason::miss && batch_reason_ != policy::reason::miss) why = batch_reason_;
    if (why == policy::reason::miss && next_fill_ < 0) why = session_verdict();
    if (text.facts.statements.size() > 1)
        out.outcomes.insert(out.outcomes.end(), text.facts.statements.size(), why);
    else
        out.outcomes.push_back(why);
}

}  // namespace pgsidecar::core

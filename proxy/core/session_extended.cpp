// Messages of the extended protocol on their way to the server: what they leave behind in
// statements and portals, and what the server must be told first. Protocol 3.0, "Extended Query".
#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "protocol/frontend.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {

session::sending session::forward_extended(const protocol::frame& f, time_point now, actions& out) {
    std::error_code error;
    switch (f.type) {
        case 'P': {
            protocol::parse_message m;
            if (protocol::parse(f.body, m)) return sending::malformed;
            if (awaits_name(m.name)) return (void)hold_until_drained(), sending::held;
            const auto types = f.body.substr(m.name.size() + m.sql.size() + 2);
            // A duplicate is refused by the server, which is told of the first one then.
            if (pool_ && !m.name.empty() && !skipping_ && !statements_.client(m.name))
                if (const auto text = text_of(m.sql); !text->facts().too_long) {
                    forward_virtual_parse(m, text, types, f.whole, out);
                    break;
                }
            forward_parse(m.name, m.sql, types, f.whole, out);
            break;
        }
        case 'B': {
            protocol::bind m;
            if (protocol::parse(f.body, m)) return sending::malformed;
            if (must_hold(m.statement, out)) return sending::held;
            const auto renamed = forward_bind(m, f.whole.size(), out);
            if (renamed) out.server.forward(f.whole.substr(*renamed));
            return sending::replaced;
        }
        case 'D': {
            protocol::describe m;
            if (protocol::parse(f.body, m)) return sending::malformed;
            if (m.kind == 'S') {
                if (must_hold(m.name, out)) return sending::held;
                if (forward_virtual_describe(m.name, out)) return sending::replaced;
                send_repair(m.name, false, out);
                owe({.what = reply::describe_statement,
                     .name = std::string{m.name},
                     .definition = statements_.client(m.name)});
                break;
            }
            owe(m.name.empty()
                    ? portal_description()
                    : owed_reply{.what = reply::describe_portal, .fill = current_fill()});
            break;
        }
        case 'E': {
            protocol::execute m;
            error = protocol::parse(f.body, m);
            // The server takes a negative limit for none.
            if (error == protocol::errc::bad_value)
                m.portal = protocol::reader{f.body}.cstring();
            else if (error)
                return sending::malformed;
            const auto* bound = portals_.find(m.portal);
            if (bound && must_release_database(*bound->definition->text, out)) return sending::held;
            return send_execute(bound, m, now, out);
        }
        default: {
            protocol::close m;
            if (protocol::parse(f.body, m)) return sending::malformed;
            if (m.kind == 'S' && awaits_name(m.name))
                return (void)hold_until_drained(), sending::held;
            if (m.kind == 'S' && forward_virtual_close(m.name, out)) return sending::replaced;
            forward_close(m);
            break;
        }
    }
    return sending::done;
}

// A message that uses that statement.
bool session::must_hold(std::string_view statement, actions& out) {
    if (!awaits_name(statement)) return awaits_columns(statement, out);
    (void)hold_until_drained();
    return true;
}

void session::forward_close(const protocol::close& m) {
    owed_reply item{.what = reply::close, .close_statement = m.kind == 'S'};
    if (m.kind == 'S') {
        item.name = m.name;
        item.before = statements_.get(m.name);
        if (!skipping_) statements_.set(m.name, {});
        note_owed_name();
    } else {
        portals_.close(m.name);
    }
    owe(std::move(item));
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
    ++owed_repairs_;
    auto views = statements_.get(name);
    views.server = definition;
    const bool told = views.told && views.client == definition && may_differ(*definition);
    statements_.set(name, std::move(views));
    out.server.own(std::move(message));
    if (told) inject_describe(name, name, 0, out);
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

// Is one under way that may fail together with an earlier batch?
bool session::repair_may_fail(std::string_view name) {
    if (owed_repairs_ == 0) return false;
    bool repaired = false;
    for (std::size_t i = 0; i < owed_.size(); ++i) {
        const auto& item = owed_.at(i);
        if (item.defines(name)) repaired = item.injected && item.what == reply::parse;
        if (repaired && item.what == reply::sync) return true;
    }
    return false;
}

// Brings the server's statement of that name to what the client believes, ahead of a message that
// uses it. Before a simple query the repair needs a Sync of its own.
void session::send_repair(std::string_view name, bool with_sync, actions& out) {
    if (skipping_) return;
    using step = prepared_statements::repair_step;
    auto needed = statements_.repair(name);
    if (needed == step::none && (owed_repairs_ == 0 || !statements_.client(name))) return;
    const auto definition = statements_.client(name);
    if (needed == step::none && repair_may_fail(name)) needed = step::close_and_parse;
    if (needed == step::none) return;
    if (needed == step::close || needed == step::close_and_parse) inject_close(name, out);
    if (needed == step::parse || needed == step::close_and_parse)
        inject_parse(name, definition, out);
    if (!with_sync) return;
    std::string message;
    protocol::write(message, protocol::sync{});
    if (pool_) ++pool_->batch;
    owe({.what = reply::sync, .injected = true});
    out.server.own(std::move(message));
}

// A statement that the server has not heard of yet would be read by it as it reads then.
void session::repair_before_reading_changes(const plan& effects, bool with_sync, actions& out) {
    const auto changes = [](const policy::setting_change& change) {
        return change.all || literals_are_read_by(change.name);
    };
    if (std::ranges::none_of(effects.writes, [&](const planned_write& w) {
            return dialect_.may_change(w) || std::ranges::any_of(w.settings, changes);
        }))
        return;
    bool prepared_any = false;
    for (const auto& name : statements_.unheard()) {
        const auto definition = statements_.client(name);
        if (!is_virtual(name, definition)) {
            send_repair(name, with_sync, out);
        } else if (!skipping_) {
            const auto before = owed_.size();
            (void)at_server(definition, out);
            prepared_any = prepared_any || owed_.size() > before;
        }
    }
    if (!prepared_any || !with_sync) return;
    std::string message;
    protocol::write(message, protocol::sync{});
    if (pool_) ++pool_->batch;
    owe({.what = reply::sync, .injected = true});
    out.server.own(std::move(message));
}

void session::forward_parse(std::string_view name, std::string_view sql, std::string_view types,
                            std::string_view whole, actions& out) {
    const auto text = whole.empty() ? services_.decide.unread() : text_of(sql);
    auto definition = definition_of(name, text, types);
    if (!name.empty()) send_repair(name, false, out);  // so that a duplicate is refused
    owed_reply item{.what = reply::parse,
                    .name = std::string{name},
                    .before = statements_.get(name),
                    .definition = definition};
    if (!skipping_) statements_.set(name, {definition, std::move(definition)});
    note_owed_name();
    owe(std::move(item));
    out.server.forward(whole);
}

// How much of its front was sent in other words; nothing: it was refused, and something that fails
// stands in its place.
std::optional<std::size_t> session::forward_bind(const protocol::bind& m, std::size_t length,
                                                 actions& out) {
    auto definition = statements_.client(m.statement);
    std::uint32_t page = 0;
    // A long Bind is forwarded by its front alone: its values are not known.
    const auto* values = m.parameters_raw.empty() ? nullptr : &m;
    if (limits_ && definition && judge_page(*definition->text, values, page, out)) {
        fail_in_place(out);
        return std::nullopt;
    }
    const bool shared = is_virtual(m.statement, definition);
    if (!shared) send_repair(m.statement, false, out);
    std::uint32_t number = 0;
    const auto renamed = rename_bind(m, length, number, out);
    if (!renamed) return std::nullopt;
    if (next_fill_ >= 0) ++next_fill_;
    const auto present = definition ? definitions() : 0;
    const bool tells = definition && definition->bound_by != present;
    owe({.what = reply::bind,
         .fill = current_fill(),
         .number = number,
         .definitions = tells ? present : 0,
         .name = std::string{m.statement},
         .definition = shared || tells ? definition : nullptr});
    if (skipping_) return renamed;
    portal bound{.definition = std::move(definition), .page = page};
    if (bound.definition) bound.settings = bound_settings(*bound.definition, m);
    if (!path_in_doubt_) bound.read_by = settings_.revision();
    portals_.bind(m.portal, std::move(bound));
    return renamed;
}

// The values of set_config(name, $1, ...), as literals would have given them. Null: there are none,
// or they cannot be told from the bytes.
std::shared_ptr<const std::vector<policy::setting_change>> session::bound_settings(
    const prepared& definition, const protocol::bind& m) const {
    const auto& facts = definition.text->facts();
    if (facts.statements.size() != 1 || facts.statements.front().bound_settings.empty())
        return nullptr;
    const auto& statement = facts.statements.front();
    std::vector<std::optional<std::string_view>> values(m.values.begin(), m.values.end());
    std::vector<policy::setting_change> out;
    for (const auto& bound : statement.bound_settings) {
        const auto at = static_cast<std::size_t>(bound.parameter) - 1;
        if (at >= values.size() || !definition.takes_text(at)) return nullptr;
        policy::setting_change change{bound.name, std::nullopt, bound.local, false};
        if (values[at]) {
            if (dialect_.read(*values[at], !owed_.empty()) != reading::plain) return nullptr;
            change.value = *values[at];
        }
        out.push_back(std::move(change));
    }
    // Of several changes of one setting the last counts, and which that is nobody noted.
    const auto same = [](const auto& a, const auto& b) { return a.name == b.name; };
    for (auto one = out.begin(); one != out.end(); ++one) {
        const auto is_same = [&](const auto& other) { return same(*one, other); };
        if (std::any_of(std::next(one), out.end(), is_same) ||
            std::any_of(statement.settings.begin(), statement.settings.end(), is_same))
            return nullptr;
    }
    return std::make_shared<const std::vector<policy::setting_change>>(std::move(out));
}

// What an Execute of the portal does.
std::shared_ptr<const plan> session::effects_of(const portal& bound) {
    auto found = plan_of(*bound.definition->text);
    if (!bound.settings || found->writes.size() != 1 || !found->writes.front().awaits_values)
        return found;
    auto own = std::make_shared<plan>(*found);
    auto& w = own->writes.front();
    w.taints_session = w.awaits_values = false;
    w.settings.insert(w.settings.end(), bound.settings->begin(), bound.settings->end());
    return own;
}

session::sending session::send_execute(const portal* bound, const protocol::execute& m,
                                       time_point now, actions& out) {
    const auto controls = [](const auto& s) { return policy::controls_transaction(s.kind); };
    if (bound && std::ranges::any_of(bound->definition->text->facts().statements, controls) &&
        must_await_rows(true, out))
        return sending::held;
    if (limits_ && !skipping_ && (!bound || demand_of(*bound->definition->text).queries > 0) &&
        refuse_message(limits_->charge_one(now), out))
        return sending::replaced;
    const std::uint32_t page = bound && m.row_limit <= 0 ? bound->page : 0;
    forward_execute(bound, page, out);
    if (page == 0) return sending::done;
    std::string message;
    protocol::write(message, protocol::execute{m.portal, static_cast<std::int32_t>(page) + 1});
    out.server.own(std::move(message));
    return sending::replaced;
}

void session::forward_execute(const portal* bound, std::uint32_t page, actions& out) {
    owed_reply item{.what = reply::execute, .fill = current_fill(), .page = page};
    if (!bound) {
        // A portal of SQL's DECLARE, or of a statement that was never seen.
        out.outcomes.push_back(policy::reason::unknown_statement);
        owe(std::move(item));
        // Of a cursor it runs what its DECLARE has told; of nothing, nothing.
        const bool known = pool_ && follows_all();
        if (!known) note_effects(unknown_write(), policy::statement_kind::call, false);
        return;
    }
    if (bound->definition->sql_statement >= 0) {  // made by SQL's PREPARE
        out.outcomes.push_back(policy::reason::unknown_statement);
        owe(std::move(item));
        note_effects(executed(bound->definition), policy::statement_kind::execute, true);
        return;
    }
    const auto& text = bound->definition->text;
    // It runs as it was planned when it was bound.
    if (bound->read_by != settings_.revision()) path_in_doubt_ = true;
    auto planned = effects_of(*bound);
    const auto& effects = *planned;  // what is owed keeps it
    note_rows(*text, effects);
    if (!effects.inert) {
        for (const auto name : named_statements(*text)) send_repair(name, false, out);
        repair_before_reading_changes(effects, false, out);
    }
    item.why = count_forwarded(*text, effects, out);
    item.text = text;
    item.effects = std::move(planned);
    if (pool_) item.definition = bound->definition;
    owe(std::move(item));
    note_text_effects(text, effects);
}

}  // namespace pgsidecar::core

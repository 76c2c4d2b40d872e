// Prepared statements of a session that shares server connections. The client's names are its own
// affair; at a server connection each definition has a name of ours (server_statements) and is
// prepared there when it is first needed. Where the server's answer is known already, something
// that is answered alike stands in for the client's message, so that all answers keep their order.
// Protocol 3.0, "Extended Query".
#include <memory>
#include <utility>

#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {
namespace {

void append_length(std::string& out, std::size_t length) {
    for (int shift = 24; shift >= 0; shift -= 8)
        out.push_back(static_cast<char>(length >> static_cast<unsigned>(shift)));
}

// Of a statement that SQL's PREPARE makes, and what it is read by.
std::string sql_key(const prepared& made, const std::string& read_by) {
    return made.text->sql + '\0' + std::to_string(made.definitions) + '\0' + read_by;
}

std::string does_not_exist(std::string_view name) {
    return "prepared statement \"" + std::string{name} + "\" does not exist";
}

}  // namespace

bool session::is_virtual(std::string_view name, const prepared_ptr& definition) const {
    return pool_ && !name.empty() && definition && definition->sql_statement < 0 &&
           !definition->is_private();
}

// The server may read it for this session as for no other: who else prepares the same text does not
// have the same statement.
bool session::reads_alone(const statement_text& text) const {
    return temporary_ || untracked_ || unproven_ || taints_ != clean_taints_ || reading_in_doubt_ ||
           is_of_its_time(text);
}

// What a Parse of that name makes.
prepared_ptr session::definition_of(std::string_view name,
                                    const std::shared_ptr<const statement_text>& text,
                                    std::string_view types) {
    // While that is open, by none that is known.
    const auto literals =
        reading_in_doubt_ ? std::make_shared<const std::string>() : literals_read_by();
    auto shared = services_.decide.definition(text, types, *database_, scope(), literals);
    if (!pool_ || name.empty() || !reads_alone(*text)) return shared;
    auto own = std::make_shared<prepared>(*shared);
    own->own = std::make_shared<const std::string>();
    return own;
}

// By what the server reads it at present.
shared_text session::read_by(const prepared& definition) {
    if (definition.own) return definition.own;
    refresh_wanted();
    // While that is open, nobody else may have it.
    return reading_in_doubt_ ? std::make_shared<const std::string>() : pool_->read_by;
}

// What SQL's PREPARE makes has its name at the server, and is there wherever this session is.
void session::note_prepare(const std::string& name, const prepared& made) {
    if (!pool_ || !pool_->link || !made.is_repeatable()) return;
    refresh_wanted();
    // While it is open by what it is read, it is like no other.
    pool_->link->by_sql.insert_or_assign(
        name, reading_in_doubt_ ? std::string{} : sql_key(made, *pool_->read_by));
}

// What this session's PREPAREs have made is to be at the connection in use, and no other's: of each
// that is too much, its name; of each that is missing, the text that makes it.
void session::restore_sql_statements(std::vector<std::string>& excess,
                                     std::vector<std::string_view>& missing) {
    auto& there = pool_->link->by_sql;
    pool_->link->repeats.clear();
    if (there.empty() && statements_.repeatable() == 0) return;
    std::erase_if(there, [&](const auto& item) {
        const auto mine = statements_.client(item.first);
        const bool same =
            mine && mine->is_repeatable() && item.second == sql_key(*mine, *pool_->read_by);
        if (!same) excess.push_back(item.first);
        return !same;
    });
    statements_.each_repeatable([&](const std::string& name, const prepared& mine) {
        if (!there.try_emplace(name, sql_key(mine, *pool_->read_by)).second) return;
        missing.push_back(mine.text->sql);
        pool_->link->repeats.push_back(name);
    });
}

// The connection goes to another session: of what SQL has made, what is known to be there.
void session::leave_sql_statements() {
    auto& link = *pool_->link;
    if (link.by_sql.empty() && statements_.repeatable() == 0) return;
    statements_.each_repeatable([&](const std::string& name, const prepared& mine) {
        const auto it = link.by_sql.find(name);
        if (it != link.by_sql.end() && it->second.starts_with(mine.text->sql + '\0')) return;
        link.leftovers.push_back(name);
        if (it != link.by_sql.end()) link.by_sql.erase(it);
    });
    std::erase_if(link.by_sql, [&](const auto& item) {
        const auto mine = statements_.client(item.first);
        return !mine || !mine->is_repeatable();
    });
}

// The request fails here as it would at the server.
void session::fail_statement(std::string_view sqlstate, std::string_view message, actions& out) {
    std::string error;
    protocol::write_error(error, "ERROR", sqlstate, message);
    send_failure(false, std::move(error), out);
}

// The definition's number at the server, where it is prepared now if it was not.
std::uint32_t session::at_server(const prepared_ptr& definition, actions& out) {
    const auto by = read_by(*definition);
    auto& known = pool_->link->statements;
    if (const auto number = known.find(definition, by, pool_->batch)) return *number;
    const auto number = known.add(definition, by, pool_->batch);
    std::string message;
    protocol::writer w{message};
    w.begin('P');
    w.cstring(server_statements::name_of(number));
    w.cstring(definition->text->sql);
    w.raw(definition->types);
    w.end();
    owe({.what = reply::parse, .injected = true, .added = number});
    out.server.own(std::move(message));
    return number;
}

void session::forward_virtual_parse(const protocol::parse_message& m,
                                    const std::shared_ptr<const statement_text>& text,
                                    std::string_view types, protocol::bytes whole, actions& out) {
    auto definition = definition_of(m.name, text, types);
    const auto by = read_by(*definition);
    auto& known = pool_->link->statements;
    owed_reply item{.what = reply::parse,
                    .name = std::string{m.name},
                    .before = statements_.get(m.name),
                    .definition = definition};
    note_owed_name();
    statements_.set_client(m.name, definition);
    if (known.find(definition, by, pool_->batch)) {
        item.stands_for_parse = true;
        owe(std::move(item));
        std::string message;
        protocol::write(
            message, protocol::close{'S', server_statements::name_of(server_statements::nobody)});
        return out.server.own(std::move(message));
    }
    item.added = known.add(std::move(definition), by, pool_->batch);
    const auto name = server_statements::name_of(item.added);
    owe(std::move(item));
    std::string front{"P"};
    append_length(front, whole.size() - 1 - m.name.size() + name.size());
    front.append(name).push_back('\0');
    out.server.own(std::move(front));
    out.server.forward(whole.substr(protocol::head_size + m.name.size() + 1));
}

// What the client has sent earlier and is not answered yet may fail, its Parse, Close or
// DEALLOCATE: then it has no such statement, or still has it, whatever there is under our name.
bool session::awaits_name(std::string_view name) {
    if (owed_names_ == 0 || name.empty() || skipping_) return false;
    bool synced = false;
    for (auto i = owed_.size(); i-- > 0;) {
        const auto& item = owed_.at(i);
        synced = synced || item.what == reply::sync;
        if (!item.injected && (item.defines(name) || item.deallocates(name)))
            return synced || item.what == reply::query;
    }
    return false;
}

// Bytes at the front of the message that were sent renamed; nothing: the Bind was refused, and
// something that fails stands in its place. `length`: the whole message's; `number`: the server's
// statement, if it is one of ours.
std::optional<std::size_t> session::rename_bind(const protocol::bind& m, std::size_t length,
                                                std::uint32_t& number, actions& out) {
    if (skipping_) return 0;
    if (misreads(m.statement)) {
        fail_statement("0A000", result_type_changed, out);
        return std::nullopt;
    }
    if (!pool_ || m.statement.empty()) return 0;
    const auto definition = statements_.client(m.statement);
    if (!definition && server_statements::is_ours(m.statement)) {
        fail_statement("26000", does_not_exist(m.statement), out);
        return std::nullopt;
    }
    if (!is_virtual(m.statement, definition)) return 0;
    if (!is_refused_there(m.statement, definition)) number = at_server(definition, out);
    if (number == 0 || differs_there(m.statement, number)) {
        fail_statement("0A000", result_type_changed, out);
        return std::nullopt;
    }
    const auto name = server_statements::name_of(number);
    std::string front{"B"};
    append_length(front, length - 1 - m.statement.size() + name.size());
    front.append(m.portal).push_back('\0');
    front.append(name).push_back('\0');
    out.server.own(std::move(front));
    return protocol::head_size + m.portal.size() + m.statement.size() + 2;
}

// True: done.
bool session::forward_virtual_describe(std::string_view name, actions& out) {
    if (skipping_) return false;
    if (misreads(name)) {
        fail_statement("0A000", result_type_changed, out);
        return true;
    }
    if (!pool_ || name.empty()) return false;
    const auto definition = statements_.client(name);
    if (!definition && server_statements::is_ours(name)) {
        fail_statement("26000", does_not_exist(name), out);
        return true;
    }
    if (!is_virtual(name, definition)) return false;
    std::uint32_t number = 0;
    if (!is_refused_there(name, definition)) number = at_server(definition, out);
    if (number == 0 || differs_there(name, number)) {
        fail_statement("0A000", result_type_changed, out);
        return true;
    }
    owe({.what = reply::describe_statement,
         .number = number,
         .name = std::string{name},
         .definition = definition});
    std::string message;
    protocol::write(message, protocol::describe{'S', server_statements::name_of(number)});
    out.server.own(std::move(message));
    return true;
}

// The server's statement stays for others. True: done.
bool session::forward_virtual_close(std::string_view name, actions& out) {
    if (!pool_ || name.empty() || skipping_ || statements_.get(name).server ||
        taints_ != clean_taints_)
        return false;
    note_owed_name();
    owe({.what = reply::close,
         .close_statement = true,
         .name = std::string{name},
         .before = statements_.get(name)});
    statements_.set(name, {});
    std::string message;
    protocol::write(message,
                    protocol::close{'S', server_statements::name_of(server_statements::nobody)});
    out.server.own(std::move(message));
    return true;
}

// An error that names a statement of ours is told with the client's name for it. True: it was.
bool session::tell_renamed(const protocol::frame& f, const std::string& name, actions& out) {
    constexpr std::string_view mark = "\"pgsidecar:";
    if (!pool_ || name.empty() || f.body.find(mark) == std::string_view::npos) return false;
    std::string body{f.body};
    for (auto at = body.find(mark); at != std::string::npos; at = body.find(mark, at + 1)) {
        const auto end = body.find('"', at + 1);
        if (end == std::string::npos) break;
        body.replace(at + 1, end - at - 1, name);
    }
    std::string message{"E"};
    append_length(message, body.size() + 4);
    out.client.own(message.append(body));
    return true;
}

// The server refuses a statement for good whose tables have changed. Who prepares the same text
// again gets another one; those who have it prepared are told, as they would be without us.
void session::note_outdated(const protocol::frame& f) {
    if (!pool_ || !pool_->link || owed_.empty()) return;
    protocol::error_response m;
    if (protocol::parse(f.body, m) || m.sqlstate() != "0A000" ||
        m.message().find(result_type_changed) == std::string_view::npos)
        return;
    const auto& definition = owed_.front().definition;
    if (definition) definition->outdated = true;
}

// Prepared anew it would give other columns than before. Who was told of them is compared with
// that.
bool session::is_refused_there(std::string_view name, const prepared_ptr& definition) {
    if (!definition->outdated || statements_.get(name).told) return false;
    return !pool_->link->statements.find(definition, read_by(*definition), pool_->batch);
}

}  // namespace pgsidecar::core

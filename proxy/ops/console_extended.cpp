// The extended protocol's half of console_protocol.
#include <utility>

#include "protocol/backend.h"
#include "proxy/ops/console_columns.h"
#include "proxy/ops/console_protocol.h"
#include "proxy/ops/console_text.h"

namespace pgsidecar::ops {
namespace {

console_error missing(std::string_view what, const char* sqlstate) {
    return {sqlstate, std::string{what} + " does not exist", {}, {}};
}

}  // namespace

void console_protocol::handle_extended(const protocol::frame& f, std::string& out) {
    if (skipping_) return;
    protocol::parse_message parse;
    protocol::bind bind;
    protocol::describe describe;
    protocol::execute execute;
    protocol::close close;
    bool good = false;
    switch (f.type) {
        case 'P':
            good = !protocol::parse(f.body, parse);
            if (good) on_parse(parse, out);
            break;
        case 'B':
            good = !protocol::parse(f.body, bind);
            if (good) on_bind(bind, out);
            break;
        case 'D':
            good = !protocol::parse(f.body, describe);
            if (good) on_describe(describe, out);
            break;
        case 'E':
            good = !protocol::parse(f.body, execute);
            if (good) on_execute(execute, out);
            break;
        case 'C':
            good = !protocol::parse(f.body, close);
            if (good) on_close(close, out);
            break;
        default:
            break;
    }
    if (!good) die("invalid " + std::string{protocol::frontend_name(f.type)} + " message", out);
}

void console_protocol::fail(console_error e, std::string& out) {
    write_error(e, out);
    skipping_ = true;
}

void console_protocol::on_sync(std::string& out) {
    skipping_ = false;
    if (status_ == 'I') portals_.clear();
    ready(out);
}

void console_protocol::on_parse(const protocol::parse_message& m, std::string& out) {
    if (!m.name.empty() && statements_.contains(m.name))
        return fail({"42P05", "a prepared statement of that name already exists", {}, {}}, out);
    if (statements_.size() >= most_statements)
        return fail({"54000", "too many prepared statements", {}, "Close some of them."}, out);
    const auto parts = split_commands(m.sql);
    if (parts.size() > 1)
        return fail({"42601", "cannot insert multiple commands into a prepared statement", {}, {}},
                    out);
    statement made;
    if (!parts.empty()) {
        auto admitted = admit(parts.front());
        if (const auto* error = std::get_if<console_error>(&admitted)) return fail(*error, out);
        made.command =
            std::make_shared<const console_command>(std::get<console_command>(std::move(admitted)));
    }
    statements_[std::string{m.name}] = std::move(made);
    protocol::write(out, protocol::parse_complete{});
}

void console_protocol::on_bind(const protocol::bind& m, std::string& out) {
    const auto it = statements_.find(m.statement);
    if (it == statements_.end()) return fail(missing("the prepared statement", "26000"), out);
    if (m.values.count() > 0)
        return fail({"08P01", "commands of the admin console have no parameters", {}, {}}, out);
    if (!m.portal.empty() && portals_.contains(m.portal))
        return fail({"42P03", "a portal of that name already exists", {}, {}}, out);
    if (portals_.size() >= most_statements)
        return fail({"54000", "too many portals", {}, "Close some of them."}, out);
    portal made;
    made.command = it->second.command;
    const auto columns = made.command ? columns_of(*made.command).size() : std::size_t{0};
    const auto count = m.result_formats.count();
    if (count > 1 && count != columns)
        return fail({"08P01", "the bind message has a wrong number of result formats", {}, {}},
                    out);
    for (std::size_t i = 0; i < count; ++i) {
        const auto format = m.result_formats[i];
        if (format != 0 && format != 1)
            return fail({"22023", "unsupported format code", {}, {}}, out);
        made.formats.push_back(format);
    }
    portals_[std::string{m.portal}] = std::move(made);
    protocol::write(out, protocol::bind_complete{});
}

void console_protocol::on_describe(const protocol::describe& m, std::string& out) {
    const console_command* command = nullptr;
    std::vector<std::int16_t> formats;
    if (m.kind == 'S') {
        const auto it = statements_.find(m.name);
        if (it == statements_.end()) return fail(missing("the prepared statement", "26000"), out);
        command = it->second.command.get();
        protocol::write_parameter_description(out, {});
    } else {
        const auto it = portals_.find(m.name);
        if (it == portals_.end()) return fail(missing("the portal", "34000"), out);
        command = it->second.command.get();
        formats = it->second.formats;
    }
    const auto columns = command ? columns_of(*command) : std::vector<console_column>{};
    if (columns.empty()) return protocol::write(out, protocol::no_data{});
    write_columns(out, columns, formats);
}

void console_protocol::on_execute(const protocol::execute& m, std::string& out) {
    const auto it = portals_.find(m.portal);
    if (it == portals_.end()) return fail(missing("the portal", "34000"), out);
    auto& p = it->second;
    if (!p.command) return protocol::write(out, protocol::empty_query_response{});
    row_limit_ = m.row_limit;
    if (!p.result) {
        // It may have been prepared in another transaction, or bound twice.
        if (status_ == 'E' && p.command->what != console_command::kind::commit &&
            p.command->what != console_command::kind::rollback)
            return fail({"25P02",
                         "current transaction is aborted, commands ignored until end of "
                         "transaction block",
                         {},
                         {}},
                        out);
        executing_ = m.portal;
        p.result = run(p.command);
        if (!p.result) return;  // answer()
        if (p.result->tag.empty()) p.result->tag = p.command->tag;
        for (const auto& notice : std::exchange(p.result->notices, {}))
            protocol::write_notice(out, "NOTICE", "00000", notice);
    }
    give_rows(p, out);
}

void console_protocol::give_rows(portal& p, std::string& out) {
    const auto& rows = p.result->table.rows;
    auto end = rows.size();
    if (row_limit_ > 0 && rows.size() - p.given > static_cast<std::size_t>(row_limit_))
        end = p.given + static_cast<std::size_t>(row_limit_);
    for (; p.given < end; ++p.given)
        write_row(out, p.result->table.columns, rows[p.given], p.formats);
    if (p.given < rows.size()) return protocol::write(out, protocol::portal_suspended{});
    protocol::write(out, protocol::command_complete{p.result->tag});
}

void console_protocol::on_close(const protocol::close& m, std::string& out) {
    if (m.kind == 'S') {
        if (const auto it = statements_.find(m.name); it != statements_.end())
            statements_.erase(it);
    } else if (const auto it = portals_.find(m.name); it != portals_.end()) {
        portals_.erase(it);
    }
    protocol::write(out, protocol::close_complete{});
}

}  // namespace pgsidecar::ops

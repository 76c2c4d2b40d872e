#include "proxy/ops/console_protocol.h"

#include <array>
#include <utility>

#include "protocol/backend.h"
#include "proxy/ops/console_chatter.h"
#include "proxy/ops/console_columns.h"
#include "proxy/ops/console_text.h"

namespace pgsidecar::ops {
namespace {

using kind = console_command::kind;
using protocol::peek_result;

console_error aborted() {
    return {"25P02",
            "current transaction is aborted, commands ignored until end of transaction block",
            {},
            {}};
}

bool ends_block(const console_command& c) {
    return c.what == kind::commit || c.what == kind::rollback;
}

}  // namespace

void console_protocol::greet(std::string& out) {
    protocol::write(out, protocol::authentication{protocol::auth_kind::ok, {}});
    const std::string version = std::string{spoken_version} + " (" + client_.program + ")";
    const std::array<std::pair<std::string_view, std::string_view>, 11> reported{{
        {"application_name", client_.application_name},
        {"client_encoding", "UTF8"},
        {"DateStyle", "ISO, MDY"},
        {"integer_datetimes", "on"},
        {"IntervalStyle", "postgres"},
        {"is_superuser", "off"},
        {"server_encoding", "UTF8"},
        {"server_version", version},
        {"session_authorization", client_.user},
        {"standard_conforming_strings", "on"},
        {"TimeZone", "UTC"},
    }};
    for (const auto& [name, value] : reported)
        protocol::write(out, protocol::parameter_status{name, value});
    protocol::write(out, protocol::backend_key_data{client_.pid, client_.cancel_key});
    ready(out);
}

void console_protocol::ready(std::string& out) { protocol::write_ready(out, status_); }

std::size_t console_protocol::on_client(protocol::bytes in, std::string& out) {
    std::size_t used = 0;
    while (used < in.size() && !closed_ && !waiting()) {
        protocol::head head;
        protocol::frame frame;
        std::error_code error;
        auto found = protocol::peek_head(in.substr(used), head, error);
        if (found == peek_result::need_more) break;
        const bool known = found == peek_result::ok && head.type != 'p' &&
                           head.length <= protocol::frontend_length_limit(head.type);
        if (!known || head.length > longest_message) {
            die(known ? "a message is too long for the admin console" : "invalid frontend message",
                out);
            return in.size();
        }
        found = protocol::next(in.substr(used), frame, error);
        if (found == peek_result::need_more) break;
        used += frame.whole.size();
        handle(frame, out);
    }
    return closed_ ? in.size() : used;
}

void console_protocol::die(std::string_view message, std::string& out) {
    protocol::write_error(out, "FATAL", "08P01", message);
    closed_ = true;
}

void console_protocol::handle(const protocol::frame& f, std::string& out) {
    switch (f.type) {
        case 'X':
            closed_ = true;
            return;
        case 'S':
            return on_sync(out);
        case 'H':  // everything is written at once
        case 'd':  // no COPY is under way
        case 'c':
        case 'f':
            return;
        case 'Q': {
            protocol::query m;
            if (protocol::parse(f.body, m)) return die("invalid Query message", out);
            if (!skipping_) on_query(m.sql, out);
            return;
        }
        case 'F':
            if (skipping_) return;
            write_error({"0A000", "the admin console has no functions to call", {}, {}}, out);
            return ready(out);
        default:
            return handle_extended(f, out);
    }
}

void console_protocol::write_error(const console_error& e, std::string& out) {
    if (status_ == 'T') status_ = 'E';
    protocol::write_error(out, "ERROR", e.sqlstate, e.message, e.detail, e.hint);
}

std::variant<console_command, console_error> console_protocol::admit(std::string_view sql) const {
    auto read = read_command(sql);
    const auto* c = std::get_if<console_command>(&read);
    if (!c) return read;
    if (status_ == 'E' && !ends_block(*c)) return aborted();
    if (!may(client_.role, *c))
        return console_error{
            "42501", "admin access needed: " + c->tag + " is for admin_users", {}, {}};
    return read;
}

std::optional<console_answer> console_protocol::run(
    const std::shared_ptr<const console_command>& command) {
    if (command->local() ||
        (command->what == kind::show &&
         (command->view == console_view::help || command->view == console_view::version)))
        return answer_here(*command);
    waits_ = command;
    request_ = *command;
    return std::nullopt;
}

console_answer console_protocol::answer_here(const console_command& c) {
    static const std::string usage = console_usage();
    console_answer out;
    out.table.columns = columns_of(c);
    switch (c.what) {
        case kind::begin:
            status_ = 'T';
            break;
        case kind::commit:
        case kind::rollback:
            if (status_ == 'E') out.tag = "ROLLBACK";
            status_ = 'I';
            break;
        case kind::select:
            out.table.rows.push_back({c.value});
            break;
        case kind::show:
            if (c.view == console_view::version) {
                out.table.rows.push_back({client_.program});
                break;
            }
            out.notices.push_back("Console usage\n" + usage);
            for (std::string_view rest = usage; !rest.empty();) {
                const auto end = rest.find('\n');
                out.table.rows.push_back({std::string{rest.substr(0, end)}});
                rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
            }
            break;
        default:
            break;
    }
    return out;
}

void console_protocol::on_query(std::string_view sql, std::string& out) {
    // As with a server: the unnamed ones go.
    if (const auto it = statements_.find(""); it != statements_.end()) statements_.erase(it);
    if (const auto it = portals_.find(""); it != portals_.end()) portals_.erase(it);
    rest_.clear();
    for (const auto part : split_commands(sql)) rest_.emplace_back(part);
    if (rest_.empty()) {
        protocol::write(out, protocol::empty_query_response{});
        return ready(out);
    }
    run_simple(out);
}

void console_protocol::run_simple(std::string& out) {
    while (!rest_.empty()) {
        const auto text = std::move(rest_.front());
        rest_.pop_front();
        auto admitted = admit(text);
        if (const auto* error = std::get_if<console_error>(&admitted)) {
            write_error(*error, out);
            rest_.clear();
            break;
        }
        const auto command =
            std::make_shared<const console_command>(std::get<console_command>(std::move(admitted)));
        auto answered = run(command);
        if (!answered) {
            simple_ = true;
            return;
        }
        if (answered->tag.empty()) answered->tag = command->tag;
        give_simple(std::move(*answered), out);
    }
    end_simple(out);
}

void console_protocol::end_simple(std::string& out) {
    if (status_ == 'I') portals_.clear();
    ready(out);
}

void console_protocol::give_simple(console_answer&& a, std::string& out) {
    for (const auto& notice : a.notices) protocol::write_notice(out, "NOTICE", "00000", notice);
    if (!a.error.sqlstate.empty()) {
        write_error(a.error, out);
        rest_.clear();
        return;
    }
    if (!a.table.columns.empty()) {
        write_columns(out, a.table.columns, {});
        for (const auto& row : a.table.rows) write_row(out, a.table.columns, row, {});
    }
    protocol::write(out, protocol::command_complete{a.tag});
}

void console_protocol::answer(console_answer&& a, std::string& out) {
    if (!waits_) return;
    const auto command = std::exchange(waits_, nullptr);
    request_.reset();
    if (a.tag.empty()) a.tag = command->tag;
    if (a.table.columns.empty()) a.table.columns = columns_of(*command);
    if (std::exchange(simple_, false)) {
        give_simple(std::move(a), out);
        return run_simple(out);
    }
    const auto it = portals_.find(executing_);
    if (it == portals_.end()) return;  // nothing has been taken meanwhile
    for (const auto& notice : a.notices) protocol::write_notice(out, "NOTICE", "00000", notice);
    a.notices.clear();
    if (!a.error.sqlstate.empty()) return fail(a.error, out);
    it->second.result = std::move(a);
    give_rows(it->second, out);
}

}  // namespace pgsidecar::ops

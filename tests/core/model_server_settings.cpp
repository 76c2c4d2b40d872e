// What a model server begins with, what the proxy restores there, and what it tells of both.
#include <utility>

#include "protocol/startup.h"
#include "tests/core/model_server.h"
#include "tests/core/world.h"

namespace core_test {
namespace {

constexpr std::string_view call = "pg_catalog.set_config(";

// Each reported setting, as it is spelled in the report.
constexpr std::pair<std::string_view, std::string_view> spelled[] = {
    {"application_name", "application_name"}, {"timezone", "TimeZone"}};

// The next argument of a call, a literal E'...' or NULL; moves behind it and its comma.
std::optional<std::string> argument(std::string_view& rest) {
    if (rest.starts_with("NULL,")) {
        rest.remove_prefix(5);
        return std::nullopt;
    }
    std::string out;
    for (rest.remove_prefix(2); rest[0] != '\''; rest.remove_prefix(1)) {
        if (rest[0] == '\\') rest.remove_prefix(1);
        out.push_back(rest[0]);
    }
    rest.remove_prefix(2);
    return out;
}

}  // namespace

std::string backend::log_in(std::string_view body) {
    protocol::startup_packet packet;
    transaction_model::values start;
    if (!protocol::parse(body, packet))
        if (const auto* m = std::get_if<protocol::startup_message>(&packet))
            for (const auto& [name, value] : m->parameters)
                if (name != "user" && name != "database")
                    start.emplace(name == "TimeZone" ? "timezone" : name, value);
    transaction_.start(std::move(start));
    auto out = message(protocol::authentication{protocol::auth_kind::ok, {}}) +
               parameter("client_encoding", "UTF8") + parameter("server_encoding", "UTF8") +
               parameter("standard_conforming_strings", "on") + reports();
    return out + message(protocol::backend_key_data{pid_, "\1\2\3\4"sv}) + ready();
}

std::string backend::ready_for(char status) { return ready(status); }

std::string backend::reports() {
    std::string out;
    if (transaction_.status() == 'E') return out;
    for (const auto& [name, word] : spelled) {
        auto value = transaction_.value(name);
        const auto it = reported_.find(name);
        if (it != reported_.end() && it->second == value) continue;
        out += parameter(word, value);
        reported_.insert_or_assign(std::string{name}, std::move(value));
    }
    return out;
}

std::vector<std::string> backend::prepared_names() const {
    std::vector<std::string> out;
    for (const auto& item : prepared_) out.push_back(item.first);
    return out;
}

std::string backend::describe_statement(std::string_view name) {
    const auto it = prepared_.find(name);
    if (it == prepared_.end()) return {};
    std::string out;
    protocol::writer w{out};
    w.begin('t');
    w.u16(1);
    w.u32(it->second.type);
    w.end();
    return out + described();
}

bool backend::restores(const std::string& sql) const {
    return sql.starts_with("RESET SESSION AUTHORIZATION;") || sql.starts_with("RESET ROLE;") ||
           sql.starts_with("SELECT pg_catalog.set_config(") || sql == "DISCARD SEQUENCES";
}

// All of it or nothing.
std::string backend::restore(std::string_view sql) {
    if (std::exchange(cancelled_, false)) return error("57014") + ready_now();
    if (std::exchange(refuses_restore_, false)) return error("42501") + ready_now();
    std::string out;
    transaction_.begin(true);
    while (!sql.empty()) {
        statement s;
        if (sql.starts_with("SELECT ")) {
            sql.remove_prefix(7);
            while (sql.starts_with(call)) {
                sql.remove_prefix(call.size());
                const auto name = argument(sql);
                const auto value = argument(sql);
                sql.remove_prefix(sql.find(')') + 1);
                if (sql.starts_with(",")) sql.remove_prefix(1);
                s.what = value ? statement::kind::set_value : statement::kind::reset_value;
                s.name = *name;
                s.text = value.value_or("");
                transaction_.apply(s);
            }
            out += described() + row_of("") + completed("SELECT 1");
            if (sql.starts_with(";")) sql.remove_prefix(1);
            continue;
        }
        if (sql.starts_with("RESET ROLE;")) {
            s.what = statement::kind::reset_role;
            transaction_.apply(s);
        }
        out += completed(sql.starts_with("RESET") ? "RESET" : "DISCARD SEQUENCES");
        const auto end = sql.find(';');
        sql.remove_prefix(end == std::string_view::npos ? sql.size() : end + 1);
    }
    return out + end_query();
}

}  // namespace core_test

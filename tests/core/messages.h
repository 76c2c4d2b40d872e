// Messages of both sides as strings, and a readable form of a stream for failure messages.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "protocol/startup.h"

namespace core_test {

namespace protocol = pgsidecar::protocol;
using namespace std::string_literals;
using namespace std::string_view_literals;

template <class Message>
std::string message(const Message& m) {
    std::string out;
    protocol::write(out, m);
    return out;
}

// From the client.
inline std::string query(std::string_view sql) { return message(protocol::query{sql}); }
inline std::string parse(std::string_view name, std::string_view sql) {
    std::string out;
    protocol::write_parse(out, name, sql);
    return out;
}
inline std::string bind(std::string_view statement, std::vector<std::string_view> values = {},
                        std::string_view portal = {}) {
    std::string out;
    const std::vector<std::optional<protocol::bytes>> given{values.begin(), values.end()};
    protocol::write_bind(out, portal, statement, {}, given);
    return out;
}
inline std::string describe_portal(std::string_view name = {}) {
    return message(protocol::describe{'P', name});
}
inline std::string describe_statement(std::string_view name = {}) {
    return message(protocol::describe{'S', name});
}
inline std::string execute(std::string_view portal = {}, std::int32_t rows = 0) {
    return message(protocol::execute{portal, rows});
}
inline std::string close_statement(std::string_view name) {
    return message(protocol::close{'S', name});
}
inline std::string sync_now() { return message(protocol::sync{}); }
inline std::string flush() { return message(protocol::flush{}); }
inline std::string terminate() { return message(protocol::terminate{}); }
inline std::string copy_data(std::string_view data) { return message(protocol::copy_data{data}); }
inline std::string copy_done() { return message(protocol::copy_done{}); }
inline std::string copy_fail() { return message(protocol::copy_fail{"no more"}); }

// From the server.
inline std::string ready(char status = 'I') { return message(protocol::ready_for_query{status}); }
inline std::string completed(std::string_view tag) {
    return message(protocol::command_complete{tag});
}
inline std::string failed(std::string_view sqlstate, std::string_view severity = "ERROR") {
    std::string out;
    protocol::write_error(out, severity, sqlstate, "refused");
    return out;
}
inline std::string notice() {
    std::string out;
    protocol::write_notice(out, "NOTICE", "00000", "by the way");
    return out;
}
inline std::string parameter(std::string_view name, std::string_view value) {
    return message(protocol::parameter_status{name, value});
}
inline std::string parse_complete() { return message(protocol::parse_complete{}); }
inline std::string bind_complete() { return message(protocol::bind_complete{}); }
inline std::string close_complete() { return message(protocol::close_complete{}); }
inline std::string no_data() { return message(protocol::no_data{}); }
inline std::string row_of(std::string_view value) {
    std::string out;
    const std::optional<protocol::bytes> values[]{value};
    protocol::write_data_row(out, values);
    return out;
}
inline std::string described(std::string_view column = "v") {
    std::string out;
    const protocol::column columns[]{{column, 0, 0, 25, -1, -1, 0}};
    protocol::write_row_description(out, columns);
    return out;
}
inline std::string copy_in() {
    std::string out;
    protocol::writer w{out};
    w.begin('G');
    w.u8(0);
    w.u16(0);
    w.end();
    return out;
}
// The whole answer of a simple query that yields one row.
inline std::string answer(std::string_view value) {
    return described() + row_of(value) + completed("SELECT 1") + ready();
}

// "Q'select 1' S'' ...": one word for each frame; what is no frame follows as it is.
[[nodiscard]] std::string show(std::string_view stream);

}  // namespace core_test

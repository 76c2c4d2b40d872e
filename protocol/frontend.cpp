#include "protocol/frontend.h"

namespace pgsidecar::protocol {
namespace {

std::error_code nothing(bytes body) noexcept { return reader{body}.finish(); }

template <class Message>
std::error_code parse_text(bytes body, std::string_view Message::*member, Message& out) noexcept {
    reader in{body};
    out.*member = in.cstring();
    return in.finish();
}

// Describe and Close: a kind and a name.
template <class Message>
std::error_code parse_target(bytes body, Message& out) noexcept {
    reader in{body};
    out.kind = static_cast<char>(in.u8());
    if (!in.failed() && out.kind != 'S' && out.kind != 'P') in.fail(errc::bad_value);
    out.name = in.cstring();
    return in.finish();
}

template <class Message>
void write_target(std::string& out, const Message& m) {
    writer w{out};
    w.begin(Message::type);
    w.u8(static_cast<std::uint8_t>(m.kind));
    w.cstring(m.name);
    w.end();
}

void write_text(std::string& out, char type, std::string_view text) {
    writer w{out};
    w.begin(type);
    w.cstring(text);
    w.end();
}

void write_raw(std::string& out, char type, bytes data) {
    writer w{out};
    w.begin(type);
    w.raw(data);
    w.end();
}

void write_count(writer& w, std::size_t count) {
    assert(count <= 0xffff);
    w.u16(static_cast<std::uint16_t>(count));
}

}  // namespace

std::error_code parse(bytes body, query& out) noexcept {
    return parse_text(body, &query::sql, out);
}

std::error_code parse(bytes body, parse_message& out) noexcept {
    reader in{body};
    out = {in.cstring(), in.cstring(), oid_list::read(in)};
    return in.finish();
}

std::error_code parse(bytes body, bind& out) noexcept {
    reader in{body};
    out.portal = in.cstring();
    out.statement = in.cstring();
    out.parameters_raw = in.peek();
    out.formats = format_list::read(in);
    out.values = value_list::read(in);
    out.result_formats = format_list::read(in);
    return in.finish();
}

std::error_code parse(bytes body, describe& out) noexcept { return parse_target(body, out); }

std::error_code parse(bytes body, execute& out) noexcept {
    reader in{body};
    out = {in.cstring(), in.i32()};
    if (out.row_limit < 0) in.fail(errc::bad_value);
    return in.finish();
}

std::error_code parse(bytes body, close& out) noexcept { return parse_target(body, out); }
std::error_code parse(bytes body, sync& /*out*/) noexcept { return nothing(body); }
std::error_code parse(bytes body, flush& /*out*/) noexcept { return nothing(body); }
std::error_code parse(bytes body, terminate& /*out*/) noexcept { return nothing(body); }

std::error_code parse(bytes body, function_call& out) noexcept {
    reader in{body};
    out = {in.u32(), format_list::read(in), value_list::read(in), in.i16()};
    return in.finish();
}

std::error_code parse(bytes body, password& out) noexcept {
    return parse_text(body, &password::text, out);
}

std::error_code parse(bytes body, sasl_initial_response& out) noexcept {
    reader in{body};
    out = {in.cstring(), read_value(in)};
    if (!in.failed() && out.mechanism.empty()) in.fail(errc::bad_value);
    return in.finish();
}

std::error_code parse(bytes body, sasl_response& out) noexcept {
    out.data = body;
    return {};
}

std::error_code parse(bytes body, gss_response& out) noexcept {
    out.data = body;
    return {};
}

std::error_code parse(bytes body, copy_data& out) noexcept {
    out.data = body;
    return {};
}

std::error_code parse(bytes body, copy_done& /*out*/) noexcept { return nothing(body); }

std::error_code parse(bytes body, copy_fail& out) noexcept {
    return parse_text(body, &copy_fail::message, out);
}

void write(std::string& out, const query& m) { write_text(out, m.type, m.sql); }

void write(std::string& out, const parse_message& m) {
    writer w{out};
    w.begin(m.type);
    w.cstring(m.name);
    w.cstring(m.sql);
    write_list(w, m.types);
    w.end();
}

void write(std::string& out, const bind& m) {
    writer w{out};
    w.begin(m.type);
    w.cstring(m.portal);
    w.cstring(m.statement);
    write_list(w, m.formats);
    write_list(w, m.values);
    write_list(w, m.result_formats);
    w.end();
}

void write(std::string& out, const describe& m) { write_target(out, m); }

void write(std::string& out, const execute& m) {
    writer w{out};
    w.begin(m.type);
    w.cstring(m.portal);
    w.i32(m.row_limit);
    w.end();
}

void write(std::string& out, const close& m) { write_target(out, m); }
void write(std::string& out, const sync& m) { write_raw(out, m.type, {}); }
void write(std::string& out, const flush& m) { write_raw(out, m.type, {}); }
void write(std::string& out, const terminate& m) { write_raw(out, m.type, {}); }

void write(std::string& out, const function_call& m) {
    writer w{out};
    w.begin(m.type);
    w.u32(m.function_oid);
    write_list(w, m.formats);
    write_list(w, m.arguments);
    w.i16(m.result_format);
    w.end();
}

void write(std::string& out, const password& m) { write_text(out, m.type, m.text); }

void write(std::string& out, const sasl_initial_response& m) {
    writer w{out};
    w.begin(m.type);
    w.cstring(m.mechanism);
    write_value(w, m.data);
    w.end();
}

void write(std::string& out, const sasl_response& m) { write_raw(out, m.type, m.data); }
void write(std::string& out, const gss_response& m) { write_raw(out, m.type, m.data); }
void write(std::string& out, const copy_data& m) { write_raw(out, m.type, m.data); }
void write(std::string& out, const copy_done& m) { write_raw(out, m.type, {}); }
void write(std::string& out, const copy_fail& m) { write_text(out, m.type, m.message); }

void write_parse(std::string& out, std::string_view name, std::string_view sql,
                 std::span<const std::uint32_t> types) {
    writer w{out};
    w.begin(parse_message::type);
    w.cstring(name);
    w.cstring(sql);
    write_count(w, types.size());
    for (const auto oid : types) w.u32(oid);
    w.end();
}

void write_bind(std::string& out, std::string_view portal, std::string_view statement,
                std::span<const std::int16_t> formats, std::span<const std::optional<bytes>> values,
                std::span<const std::int16_t> result_formats) {
    writer w{out};
    w.begin(bind::type);
    w.cstring(portal);
    w.cstring(statement);
    write_count(w, formats.size());
    for (const auto format : formats) w.i16(format);
    write_count(w, values.size());
    for (const auto& value : values) write_value(w, value);
    write_count(w, result_formats.size());
    for (const auto format : result_formats) w.i16(format);
    w.end();
}

}  // namespace pgsidecar::protocol

#include "protocol/backend.h"

#include <charconv>

#include "protocol/sasl.h"

namespace pgsidecar::protocol {
namespace {

std::error_code nothing(bytes body) noexcept { return reader{body}.finish(); }

void write_nothing(std::string& out, char type) {
    writer w{out};
    w.begin(type);
    w.end();
}

std::error_code parse_copy(bytes body, copy_response& out) noexcept {
    reader in{body};
    out.format = in.u8();
    if (out.format > 1) in.fail(errc::bad_value);
    out.columns = format_list::read(in);
    return in.finish();
}

void write_copy(std::string& out, char type, const copy_response& m) {
    writer w{out};
    w.begin(type);
    w.u8(m.format);
    write_list(w, m.columns);
    w.end();
}

void write_list_message(std::string& out, char type, const counted_list& list) {
    writer w{out};
    w.begin(type);
    write_list(w, list);
    w.end();
}

template <class Items, class WriteItem>
void write_items(std::string& out, char type, const Items& items, WriteItem write_item) {
    assert(items.size() <= 0xffff);
    writer w{out};
    w.begin(type);
    w.u16(static_cast<std::uint16_t>(items.size()));
    for (const auto& item : items) write_item(w, item);
    w.end();
}

}  // namespace

std::error_code parse(bytes body, authentication& out) noexcept {
    reader in{body};
    out.kind = static_cast<auth_kind>(in.i32());
    if (in.failed()) return in.error();
    out.data = {};
    switch (out.kind) {
        case auth_kind::ok:
        case auth_kind::kerberos_v5:
        case auth_kind::cleartext_password:
        case auth_kind::scm_credential:
        case auth_kind::gss:
        case auth_kind::sspi:
            return in.finish();
        case auth_kind::md5_password:
            out.data = in.take(4);
            return in.finish();
        case auth_kind::gss_continue:
        case auth_kind::sasl_continue:
        case auth_kind::sasl_final:
            out.data = in.rest();
            return in.finish();
        case auth_kind::sasl: {
            out.data = in.rest();
            mechanism_list list;
            return parse(out.data, list);
        }
    }
    return errc::bad_value;
}

std::error_code parse(bytes body, backend_key_data& out) noexcept {
    reader in{body};
    out = {in.i32(), in.rest()};
    if (out.key.size() < min_cancel_key) in.fail(errc::truncated);
    if (out.key.size() > max_cancel_key) in.fail(errc::too_long);
    return in.finish();
}

std::error_code parse(bytes body, bind_complete& /*out*/) noexcept { return nothing(body); }
std::error_code parse(bytes body, close_complete& /*out*/) noexcept { return nothing(body); }

std::error_code parse(bytes body, command_complete& out) noexcept {
    reader in{body};
    out.tag = in.cstring();
    return in.finish();
}

std::optional<std::uint64_t> command_complete::row_count() const noexcept {
    const auto space = tag.rfind(' ');
    if (space == std::string_view::npos) return std::nullopt;
    const auto digits = tag.substr(space + 1);
    std::uint64_t count = 0;
    const auto* end = digits.data() + digits.size();
    const auto [stopped, error] = std::from_chars(digits.data(), end, count);
    if (error != std::errc{} || stopped != end) return std::nullopt;
    return count;
}

std::error_code parse(bytes body, copy_in_response& out) noexcept { return parse_copy(body, out); }
std::error_code parse(bytes body, copy_out_response& out) noexcept { return parse_copy(body, out); }

std::error_code parse(bytes body, copy_both_response& out) noexcept {
    return parse_copy(body, out);
}

std::error_code parse(bytes body, data_row& out) noexcept {
    reader in{body};
    out.columns = value_list::read(in);
    return in.finish();
}

std::error_code parse(bytes body, empty_query_response& /*out*/) noexcept { return nothing(body); }

std::error_code parse(bytes body, function_call_response& out) noexcept {
    reader in{body};
    out.value = read_value(in);
    return in.finish();
}

std::error_code parse(bytes body, no_data& /*out*/) noexcept { return nothing(body); }

std::error_code parse(bytes body, notification_response& out) noexcept {
    reader in{body};
    out = {in.i32(), in.cstring(), in.cstring()};
    return in.finish();
}

std::error_code parse(bytes body, parameter_description& out) noexcept {
    reader in{body};
    out.types = oid_list::read(in);
    return in.finish();
}

std::error_code parse(bytes body, parameter_status& out) noexcept {
    reader in{body};
    out = {in.cstring(), in.cstring()};
    return in.finish();
}

std::error_code parse(bytes body, parse_complete& /*out*/) noexcept { return nothing(body); }
std::error_code parse(bytes body, portal_suspended& /*out*/) noexcept { return nothing(body); }

std::error_code parse(bytes body, ready_for_query& out) noexcept {
    reader in{body};
    out.status = static_cast<char>(in.u8());
    if (!in.failed() && out.status != 'I' && out.status != 'T' && out.status != 'E') {
        in.fail(errc::bad_value);
    }
    return in.finish();
}

std::error_code parse(bytes body, row_description& out) noexcept {
    reader in{body};
    out.columns = column_list::read(in);
    return in.finish();
}

void write(std::string& out, const authentication& m) {
    writer w{out};
    w.begin(m.type);
    w.i32(static_cast<std::int32_t>(m.kind));
    w.raw(m.data);
    w.end();
}

void write(std::string& out, const backend_key_data& m) {
    assert(m.key.size() >= min_cancel_key && m.key.size() <= max_cancel_key);
    writer w{out};
    w.begin(m.type);
    w.i32(m.pid);
    w.raw(m.key);
    w.end();
}

void write(std::string& out, const bind_complete& m) { write_nothing(out, m.type); }
void write(std::string& out, const close_complete& m) { write_nothing(out, m.type); }

void write(std::string& out, const command_complete& m) {
    writer w{out};
    w.begin(m.type);
    w.cstring(m.tag);
    w.end();
}

void write(std::string& out, const copy_in_response& m) { write_copy(out, m.type, m); }
void write(std::string& out, const copy_out_response& m) { write_copy(out, m.type, m); }
void write(std::string& out, const copy_both_response& m) { write_copy(out, m.type, m); }
void write(std::string& out, const data_row& m) { write_list_message(out, m.type, m.columns); }
void write(std::string& out, const empty_query_response& m) { write_nothing(out, m.type); }

void write(std::string& out, const function_call_response& m) {
    writer w{out};
    w.begin(m.type);
    write_value(w, m.value);
    w.end();
}

void write(std::string& out, const no_data& m) { write_nothing(out, m.type); }

void write(std::string& out, const notification_response& m) {
    writer w{out};
    w.begin(m.type);
    w.i32(m.pid);
    w.cstring(m.channel);
    w.cstring(m.payload);
    w.end();
}

void write(std::string& out, const parameter_description& m) {
    write_list_message(out, m.type, m.types);
}

void write(std::string& out, const parameter_status& m) {
    writer w{out};
    w.begin(m.type);
    w.cstring(m.name);
    w.cstring(m.value);
    w.end();
}

void write(std::string& out, const parse_complete& m) { write_nothing(out, m.type); }
void write(std::string& out, const portal_suspended& m) { write_nothing(out, m.type); }
void write(std::string& out, const ready_for_query& m) { write_ready(out, m.status); }

void write(std::string& out, const row_description& m) {
    write_list_message(out, m.type, m.columns);
}

void write_ready(std::string& out, char status) {
    assert(status == 'I' || status == 'T' || status == 'E');
    writer w{out};
    w.begin(ready_for_query::type);
    w.u8(static_cast<std::uint8_t>(status));
    w.end();
}

void write_row_description(std::string& out, std::span<const column> columns) {
    write_items(out, row_description::type, columns, write_column);
}

void write_data_row(std::string& out, std::span<const std::optional<bytes>> values) {
    write_items(out, data_row::type, values, write_value);
}

void write_parameter_description(std::string& out, std::span<const std::uint32_t> types) {
    write_items(out, parameter_description::type, types,
                [](writer& w, std::uint32_t oid) { w.u32(oid); });
}

}  // namespace pgsidecar::protocol

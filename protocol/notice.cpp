#include "protocol/notice.h"

namespace pgsidecar::protocol {
namespace {

std::error_code parse_fields(bytes body, server_message& out) noexcept {
    reader in{body};
    out.fields = notice_fields::read(in);
    return in.finish();
}

void write_fields(std::string& out, char type, const server_message& m) {
    writer w{out};
    w.begin(type);
    w.raw(m.fields.raw());
    w.u8(0);
    w.end();
}

void write_own(std::string& out, char type, std::string_view severity, std::string_view sqlstate,
               std::string_view message, std::string_view detail, std::string_view hint) {
    writer w{out};
    const auto field = [&w](char code, std::string_view text) {
        w.u8(static_cast<std::uint8_t>(code));
        w.cstring(text);
    };
    w.begin(type);
    field('S', severity);
    field('V', severity);
    field('C', sqlstate);
    field('M', message);
    if (!detail.empty()) field('D', detail);
    if (!hint.empty()) field('H', hint);
    w.u8(0);
    w.end();
}

}  // namespace

notice_field read_notice_field(reader& in) noexcept {
    return {static_cast<char>(in.u8()), in.cstring()};
}

notice_fields notice_fields::read(reader& in) noexcept {
    const auto before = in.peek();
    while (in.remaining() > 0 && in.peek().front() != '\0') (void)read_notice_field(in);
    notice_fields out;
    out.raw_ = before.substr(0, before.size() - in.remaining());
    if (!in.failed() && in.remaining() == 0) in.fail(errc::not_terminated);
    (void)in.u8();
    return out;
}

std::string_view notice_fields::find(char code) const noexcept {
    for (const auto field : *this) {
        if (field.code == code) return field.text;
    }
    return {};
}

std::string_view server_message::severity() const noexcept {
    const auto plain = fields.find('V');
    return plain.empty() ? fields.find('S') : plain;
}

std::error_code parse(bytes body, error_response& out) noexcept { return parse_fields(body, out); }
std::error_code parse(bytes body, notice_response& out) noexcept { return parse_fields(body, out); }

void write(std::string& out, const error_response& m) { write_fields(out, m.type, m); }
void write(std::string& out, const notice_response& m) { write_fields(out, m.type, m); }

void write_error(std::string& out, std::string_view severity, std::string_view sqlstate,
                 std::string_view message, std::string_view detail, std::string_view hint) {
    write_own(out, error_response::type, severity, sqlstate, message, detail, hint);
}

void write_notice(std::string& out, std::string_view severity, std::string_view sqlstate,
                  std::string_view message, std::string_view detail, std::string_view hint) {
    write_own(out, notice_response::type, severity, sqlstate, message, detail, hint);
}

}  // namespace pgsidecar::protocol

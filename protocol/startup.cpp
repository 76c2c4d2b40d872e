#include "protocol/startup.h"

namespace pgsidecar::protocol {
namespace {

void read_parameters(reader& in, std::vector<startup_parameter>& out) noexcept {
    while (in.remaining() > 0) {
        const auto name = in.cstring();
        if (in.failed() || name.empty()) return;  // the empty name is the terminator
        const auto value = in.cstring();
        if (in.failed()) return;
        out.emplace_back(name, value);
    }
    in.fail(errc::not_terminated);
}

void write_code(std::string& out, std::uint32_t code) {
    writer w{out};
    w.begin_untyped();
    w.u32(code);
    w.end();
}

}  // namespace

std::optional<std::string_view> startup_message::find(std::string_view name) const noexcept {
    for (auto it = parameters.rbegin(); it != parameters.rend(); ++it) {
        if (it->first == name) return it->second;
    }
    return std::nullopt;
}

std::error_code parse(bytes body, startup_packet& out) noexcept {
    reader in{body};
    const auto code = in.u32();
    if (in.failed()) return in.error();
    switch (code) {
        case ssl_request_code:
            out = ssl_request{};
            return in.finish();
        case gssenc_request_code:
            out = gssenc_request{};
            return in.finish();
        case cancel_request_code: {
            cancel_request cancel{in.i32(), in.rest()};
            if (cancel.key.size() < min_cancel_key) in.fail(errc::truncated);
            if (cancel.key.size() > max_cancel_key) in.fail(errc::too_long);
            out = cancel;
            return in.finish();
        }
        default:
            break;
    }
    if (code >> 16 != 3) return errc::unsupported_version;
    startup_message message;
    message.minor = static_cast<std::uint16_t>(code & 0xffff);
    read_parameters(in, message.parameters);
    out = std::move(message);
    return in.finish();
}

void write_ssl_request(std::string& out) { write_code(out, ssl_request_code); }

void write_gssenc_request(std::string& out) { write_code(out, gssenc_request_code); }

void write_cancel_request(std::string& out, std::int32_t pid, bytes key) {
    assert(key.size() >= min_cancel_key && key.size() <= max_cancel_key);
    writer w{out};
    w.begin_untyped();
    w.u32(cancel_request_code);
    w.i32(pid);
    w.raw(key);
    w.end();
}

void write_startup(std::string& out, std::uint32_t version,
                   std::span<const startup_parameter> parameters) {
    writer w{out};
    w.begin_untyped();
    w.u32(version);
    for (const auto& [name, value] : parameters) {
        assert(!name.empty() && name.front() != '\0');  // it would end the list
        w.cstring(name);
        w.cstring(value);
    }
    w.u8(0);
    w.end();
}

void write(std::string& out, const startup_packet& packet) {
    if (std::holds_alternative<ssl_request>(packet)) {
        write_ssl_request(out);
    } else if (std::holds_alternative<gssenc_request>(packet)) {
        write_gssenc_request(out);
    } else if (const auto* cancel = std::get_if<cancel_request>(&packet)) {
        write_cancel_request(out, cancel->pid, cancel->key);
    } else if (const auto* message = std::get_if<startup_message>(&packet)) {
        write_startup(out, message->version(), message->parameters);
    }
}

std::error_code parse(bytes body, negotiate_protocol_version& out) noexcept {
    reader in{body};
    out.newest = in.u32();
    out.unrecognised.clear();
    const auto count = in.i32();
    if (count < 0) in.fail(errc::bad_value);
    // No reserve(): the count is the peer's word, and each name must first be there.
    for (std::int32_t i = 0; i < count && !in.failed(); ++i) {
        const auto name = in.cstring();
        if (!in.failed()) out.unrecognised.push_back(name);
    }
    return in.finish();
}

void write(std::string& out, const negotiate_protocol_version& m) {
    writer w{out};
    w.begin(negotiate_protocol_version::type);
    w.u32(m.newest);
    w.i32(static_cast<std::int32_t>(m.unrecognised.size()));
    for (const auto name : m.unrecognised) w.cstring(name);
    w.end();
}

}  // namespace pgsidecar::protocol

// The packets before the first typed message: SSLRequest, GSSENCRequest, CancelRequest and
// StartupMessage, and the server's NegotiateProtocolVersion. parse() takes the body that
// next_startup() found, without its length. Views live until the read buffer is next prepared.
// Protocol 3.2, "Start-up" and "Message Formats".
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/bytes.h"

namespace pgsidecar::protocol {

inline constexpr std::uint32_t protocol_3_0 = 3U << 16;
inline constexpr std::uint32_t protocol_3_2 = 3U << 16 | 2U;  // 3.1 was never used
inline constexpr std::uint32_t cancel_request_code = 1234U << 16 | 5678U;
inline constexpr std::uint32_t ssl_request_code = 1234U << 16 | 5679U;
inline constexpr std::uint32_t gssenc_request_code = 1234U << 16 | 5680U;

// First byte of a TLS handshake that was not asked for (sslnegotiation=direct). Such a stream never
// is a start-up packet: its length would be far above the bound.
inline constexpr char tls_handshake_byte = 0x16;

// Of a cancel key, in bytes. Protocol 3.0 has four, no more and no less.
inline constexpr std::size_t min_cancel_key = 4;
inline constexpr std::size_t max_cancel_key = 256;

struct ssl_request {
    bool operator==(const ssl_request&) const = default;
};
struct gssenc_request {
    bool operator==(const gssenc_request&) const = default;
};

struct cancel_request {
    std::int32_t pid = 0;
    bytes key;
    bool operator==(const cancel_request&) const = default;
};

using startup_parameter = std::pair<std::string_view, std::string_view>;

struct startup_message {
    std::uint16_t major = 3;
    std::uint16_t minor = 0;  // any: a server that knows less says so by NegotiateProtocolVersion
    std::vector<startup_parameter> parameters;  // in the client's order, duplicates kept

    // The last one of that name, which is the one the server heeds.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;
    [[nodiscard]] std::uint32_t version() const noexcept {
        return static_cast<std::uint32_t>(major) << 16 | minor;
    }
    bool operator==(const startup_message&) const = default;
};

using startup_packet = std::variant<ssl_request, gssenc_request, cancel_request, startup_message>;

[[nodiscard]] std::error_code parse(bytes body, startup_packet& out) noexcept;

void write_ssl_request(std::string& out);
void write_gssenc_request(std::string& out);
void write_cancel_request(std::string& out, std::int32_t pid, bytes key);
void write_startup(std::string& out, std::uint32_t version,
                   std::span<const startup_parameter> parameters);
void write(std::string& out, const startup_packet& packet);

// 'v', from the server, before it authenticates. `newest` is what servers send: the whole version
// (0x00030002), major number included.
struct negotiate_protocol_version {
    static constexpr char type = 'v';
    std::uint32_t newest = protocol_3_0;
    std::vector<std::string_view> unrecognised;  // names of _pq_. options
    bool operator==(const negotiate_protocol_version&) const = default;
};

[[nodiscard]] std::error_code parse(bytes body, negotiate_protocol_version& out) noexcept;
void write(std::string& out, const negotiate_protocol_version& m);

}  // namespace pgsidecar::protocol

// What can be wrong with bytes that a peer sent. Every parser of this room answers with one of
// these as a std::error_code of the category "pgsidecar.protocol"; no text holds anything the peer
// sent.
#pragma once
#include <system_error>

namespace pgsidecar::protocol {

enum class errc {
    truncated = 1,        // the body ends before the field does
    trailing_bytes,       // the body goes on behind its last field
    bad_value,            // a field holds what the protocol does not allow there
    bad_length,           // a length field is negative, too small or at odds with its contents
    too_long,             // beyond the bound that we or the server set
    unknown_type,         // no message has this type byte
    not_terminated,       // a list lacks its closing zero byte
    unsupported_version,  // a start-up packet of a protocol that is not 3.x
};

[[nodiscard]] const std::error_category& category() noexcept;

[[nodiscard]] inline std::error_code make_error_code(errc e) noexcept {
    return {static_cast<int>(e), category()};
}

}  // namespace pgsidecar::protocol

template <>
struct std::is_error_code_enum<pgsidecar::protocol::errc> : std::true_type {};

// Finds message boundaries in a byte stream. Owns no buffer: the caller shows what it has so far
// and keeps it; views in a frame live until that buffer is next prepared. A caller that streams big
// messages asks peek_head() and forwards `length` bytes; one that needs the whole message asks
// next(). Order: start-up packets until a start-up message was accepted, typed messages afterwards.
// Protocol 3.0, "Message Formats": type byte, then a length that counts itself but not the type.
#pragma once
#include <cstdint>
#include <system_error>

#include "protocol/bytes.h"

namespace pgsidecar::protocol {

// A server builds a message of at most 0x3ffffffe bytes and then adds the four of the length field.
// (What it accepts ends a little earlier, and it says so itself.)
inline constexpr std::uint32_t max_frame_length = 0x3ffffffe + 4;

// A start-up packet's length field: itself and the code at least, 10000 bytes behind it at most.
inline constexpr std::uint32_t min_startup_length = 8;
inline constexpr std::uint32_t max_startup_length = 10000 + 4;

inline constexpr std::size_t head_size = 5;          // of a typed message
inline constexpr std::size_t startup_head_size = 4;  // of a start-up packet

struct head {
    char type = 0;             // 0 in a start-up packet
    std::uint32_t length = 0;  // bytes of the whole frame, the type byte included
};

struct frame {
    char type = 0;  // 0 in a start-up packet
    bytes whole;    // what is forwarded
    bytes body;     // behind the length field: what parse() takes
};

enum class peek_result : std::uint8_t {
    need_more,  // nothing wrong so far
    ok,
    bad,  // the error code says why; the stream cannot be read any further
};

// The head of the typed message at the front of `in`. Does not judge the type byte: see
// frontend_name() and is_backend_type().
[[nodiscard]] inline peek_result peek_head(bytes in, head& out, std::error_code& error) noexcept {
    if (in.size() < head_size) return peek_result::need_more;
    const auto length = reader{in.substr(1)}.u32();
    if (length < 4 || length > max_frame_length) {
        error = length < 4 ? errc::bad_length : errc::too_long;
        return peek_result::bad;
    }
    out = {in.front(), length + 1};
    return peek_result::ok;
}
[[nodiscard]] peek_result peek_startup_head(bytes in, head& out, std::error_code& error) noexcept;

// The message of that head, all of which is there.
[[nodiscard]] inline frame whole_frame(bytes in, const head& h) noexcept {
    const auto whole = in.substr(0, h.length);
    return {h.type, whole, whole.substr(head_size)};
}

// The same for a message that is there to its last byte; need_more until then.
[[nodiscard]] inline peek_result next(bytes in, frame& out, std::error_code& error) noexcept {
    head h;
    const auto result = peek_head(in, h, error);
    if (result != peek_result::ok) return result;
    if (in.size() < h.length) return peek_result::need_more;
    out = whole_frame(in, h);
    return peek_result::ok;
}
[[nodiscard]] peek_result next_startup(bytes in, frame& out, std::error_code& error) noexcept;

}  // namespace pgsidecar::protocol

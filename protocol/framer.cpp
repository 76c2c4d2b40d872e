#include "protocol/framer.h"

namespace pgsidecar::protocol {
namespace {

using peek_function = peek_result(bytes, head&, std::error_code&) noexcept;

peek_result complete(peek_function* peek, std::size_t head_bytes, bytes in, frame& out,
                     std::error_code& error) noexcept {
    head h;
    const auto result = peek(in, h, error);
    if (result != peek_result::ok) return result;
    if (in.size() < h.length) return peek_result::need_more;
    out.type = h.type;
    out.whole = in.substr(0, h.length);
    out.body = out.whole.substr(head_bytes);
    return peek_result::ok;
}

}  // namespace

peek_result peek_head(bytes in, head& out, std::error_code& error) noexcept {
    if (in.size() < head_size) return peek_result::need_more;
    reader r{in};
    const auto type = static_cast<char>(r.u8());
    const auto length = r.u32();
    if (length < 4 || length > max_frame_length) {
        error = length < 4 ? errc::bad_length : errc::too_long;
        return peek_result::bad;
    }
    out = {type, length + 1};
    return peek_result::ok;
}

peek_result peek_startup_head(bytes in, head& out, std::error_code& error) noexcept {
    if (in.size() < startup_head_size) return peek_result::need_more;
    const auto length = reader{in}.u32();
    if (length < min_startup_length || length > max_startup_length) {
        error = length < min_startup_length ? errc::bad_length : errc::too_long;
        return peek_result::bad;
    }
    out = {0, length};
    return peek_result::ok;
}

peek_result next(bytes in, frame& out, std::error_code& error) noexcept {
    return complete(peek_head, head_size, in, out, error);
}

peek_result next_startup(bytes in, frame& out, std::error_code& error) noexcept {
    return complete(peek_startup_head, startup_head_size, in, out, error);
}

}  // namespace pgsidecar::protocol

#include "protocol/framer.h"

namespace pgsidecar::protocol {

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

peek_result next_startup(bytes in, frame& out, std::error_code& error) noexcept {
    head h;
    const auto result = peek_startup_head(in, h, error);
    if (result != peek_result::ok) return result;
    if (in.size() < h.length) return peek_result::need_more;
    out.type = 0;
    out.whole = in.substr(0, h.length);
    out.body = out.whole.substr(startup_head_size);
    return peek_result::ok;
}

}  // namespace pgsidecar::protocol

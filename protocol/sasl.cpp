#include "protocol/sasl.h"

#include <algorithm>

#include "protocol/backend.h"

namespace pgsidecar::protocol {

std::string_view read_mechanism(reader& in) noexcept { return in.cstring(); }

bool mechanism_list::contains(std::string_view name) const noexcept {
    return std::find(begin(), end(), name) != end();
}

std::error_code parse(bytes data, mechanism_list& out) noexcept {
    reader in{data};
    while (in.remaining() > 0 && in.peek().front() != '\0') (void)in.cstring();
    if (in.failed()) return in.error();
    if (in.remaining() == 0) return errc::not_terminated;
    out.names_ = data.substr(0, data.size() - in.remaining());
    if (out.names_.empty()) return errc::bad_value;
    (void)in.u8();
    return in.finish();
}

void write_sasl_mechanisms(std::string& out, std::span<const std::string_view> names) {
    writer w{out};
    w.begin(authentication::type);
    w.i32(static_cast<std::int32_t>(auth_kind::sasl));
    for (const auto name : names) {
        assert(!name.empty());  // it would end the list
        w.cstring(name);
    }
    w.u8(0);
    w.end();
}

}  // namespace pgsidecar::protocol

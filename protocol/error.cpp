#include "protocol/error.h"

#include <string>

namespace pgsidecar::protocol {
namespace {

class protocol_category final : public std::error_category {
  public:
    [[nodiscard]] const char* name() const noexcept override { return "pgsidecar.protocol"; }

    [[nodiscard]] std::string message(int code) const override {
        switch (static_cast<errc>(code)) {
            case errc::truncated:
                return "message ends too early";
            case errc::trailing_bytes:
                return "message has bytes behind its last field";
            case errc::bad_value:
                return "field holds a value that is not allowed";
            case errc::bad_length:
                return "length field is not plausible";
            case errc::too_long:
                return "message or field is too long";
            case errc::unknown_type:
                return "message type is not known";
            case errc::not_terminated:
                return "list has no terminator";
            case errc::unsupported_version:
                return "protocol version is not supported";
        }
        return "unknown protocol error";
    }
};

}  // namespace

const std::error_category& category() noexcept {
    static const protocol_category instance;
    return instance;
}

}  // namespace pgsidecar::protocol

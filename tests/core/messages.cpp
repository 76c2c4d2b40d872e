#include "tests/core/messages.h"

#include "protocol/framer.h"

namespace core_test {

std::string show(std::string_view stream) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string out;
    const auto print = [&](std::string_view text) {
        for (const char c : text.substr(0, 120)) {
            const auto byte = static_cast<unsigned char>(c);
            if (byte >= ' ' && byte < 0x7f)
                out.push_back(c);
            else
                out.append({'\\', hex[byte >> 4U], hex[byte & 15U]});
        }
        if (text.size() > 120) out.append("...").append(std::to_string(text.size()));
    };
    protocol::frame f;
    std::error_code error;
    while (protocol::next(stream, f, error) == protocol::peek_result::ok) {
        out.push_back(f.type);
        out.push_back('\'');
        print(f.body);
        out.append("' ");
        stream.remove_prefix(f.whole.size());
    }
    if (!stream.empty()) {
        out.append("rest:");
        print(stream);
    }
    return out;
}

}  // namespace core_test

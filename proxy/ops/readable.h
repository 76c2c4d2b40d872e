// Text from outside (names, statements) for pages that must be UTF-8 and of bounded length.
#pragma once
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "protocol/utf8.h"

namespace pgsidecar::ops {

// Bytes that are no UTF-8 and control characters as "?"; what is longer is cut and ends in "...".
[[nodiscard]] inline std::string readable(std::string_view text, std::size_t most = 2000) {
    std::string out;
    out.reserve(std::min(text.size(), most));
    for (std::size_t at = 0; at < text.size();) {
        const auto length = std::max<std::size_t>(protocol::utf8_length(text, at), 1);
        if (out.size() + length > most) return out + "...";
        const auto first = static_cast<unsigned char>(text[at]);
        const bool control = first < 0x20 || first == 0x7f;
        const bool broken = length == 1 && first >= 0x80;
        if (control || broken)
            out += control && (first == '\n' || first == '\t') ? ' ' : '?';
        else
            out.append(text.substr(at, length));
        at += length;
    }
    return out;
}

}  // namespace pgsidecar::ops

// The case of ASCII letters, and text fit for a log or a terminal. No locale has a say: names of
// settings, keys and words of SQL are compared so, whatever their other characters are.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>

namespace pgsidecar::protocol {

[[nodiscard]] constexpr char ascii_lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

[[nodiscard]] inline std::string lower_case(std::string_view text) {
    std::string out{text};
    std::ranges::transform(out, out.begin(), ascii_lower);
    return out;
}

[[nodiscard]] constexpr bool same_in_any_case(std::string_view a, std::string_view b) noexcept {
    return std::ranges::equal(a, b, {}, ascii_lower, ascii_lower);
}

// Control characters as \xNN: text from outside begins no line of its own and moves no cursor.
[[nodiscard]] inline std::string printable(std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7f)
            out += c;
        else
            out.append("\\x").append(1, hex[byte >> 4U]).append(1, hex[byte & 15U]);
    }
    return out;
}

}  // namespace pgsidecar::protocol

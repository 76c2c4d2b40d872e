#include "config/address.h"

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace pgsidecar::config {
namespace {

constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// A whole text as a number of at most `width` digits; from_chars takes neither sign nor prefix.
std::optional<unsigned> read_number(std::string_view text, std::size_t width, int base) noexcept {
    unsigned out = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, out, base);
    if (text.size() > width || error != std::errc{} || stopped != end) return std::nullopt;
    return out;
}

bool read_ipv4(std::string_view text, std::uint8_t* out) noexcept {
    for (int part = 0; part < 4; ++part) {
        const std::string_view digits = text.substr(0, text.find('.'));
        const auto number = read_number(digits, 3, 10);
        if (!number || *number > 255 || (digits.size() > 1 && digits[0] == '0')) return false;
        out[part] = static_cast<std::uint8_t>(*number);
        text.remove_prefix(digits.size());
        if (part < 3 && text.empty()) return false;
        if (part < 3) text.remove_prefix(1);
    }
    return text.empty();
}

std::optional<ip_address> read_ipv6(std::string_view text) noexcept {
    ip_address out{};
    std::size_t size = 0;            // bytes read
    std::optional<std::size_t> gap;  // where among them "::" stands
    if (text.starts_with("::")) {
        gap = 0;
        text.remove_prefix(2);
    }
    while (!text.empty()) {
        const std::string_view group = text.substr(0, text.find(':'));
        text.remove_prefix(group.size());
        if (group.find('.') != std::string_view::npos) {  // only as the end of all
            if (!text.empty() || size > 12 || !read_ipv4(group, &out[size])) return std::nullopt;
            size += 4;
            break;
        }
        const auto number = read_number(group, 4, 16);
        if (!number || size > 14) return std::nullopt;
        out[size++] = static_cast<std::uint8_t>(*number >> 8);
        out[size++] = static_cast<std::uint8_t>(*number & 0xff);
        if (text.empty()) break;
        text.remove_prefix(1);
        if (text.empty() || (text[0] == ':' && gap)) return std::nullopt;
        if (text[0] == ':') {
            gap = size;
            text.remove_prefix(1);
        }
    }
    if (gap.has_value() == (size == out.size())) return std::nullopt;  // "::" is one group or more
    if (gap) {
        const auto at = [&](std::size_t i) { return out.begin() + static_cast<std::ptrdiff_t>(i); };
        std::rotate(at(*gap), at(size), out.end());
    }
    return out;
}

}  // namespace

std::optional<ip_address> read_ip_address(std::string_view text) noexcept {
    if (text.find(':') != std::string_view::npos) return read_ipv6(text);
    ip_address out{};
    std::ranges::copy(mapped, out.begin());
    if (!read_ipv4(text, &out[mapped.size()])) return std::nullopt;
    return out;
}

bool holds_ipv4(const ip_address& address) noexcept {
    return std::equal(mapped.begin(), mapped.end(), address.begin());
}

}  // namespace pgsidecar::config

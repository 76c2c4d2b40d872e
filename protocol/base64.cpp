#include "protocol/base64.h"

#include <array>

namespace pgsidecar::protocol {
namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::uint8_t no_digit = 0xff;

constexpr auto digits = [] {
    std::array<std::uint8_t, 256> table{};
    table.fill(no_digit);
    for (std::size_t i = 0; i < alphabet.size(); ++i) {
        table[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::uint8_t>(i);
    }
    return table;
}();

std::uint8_t digit(char c) noexcept { return digits[static_cast<std::uint8_t>(c)]; }

std::size_t padding(std::string_view text) noexcept {
    if (text.size() < 4 || text.back() != '=') return 0;
    return text[text.size() - 2] == '=' ? 2 : 1;
}

}  // namespace

void base64_encode(std::string& out, bytes in) {
    out.reserve(out.size() + (in.size() + 2) / 3 * 4);
    while (!in.empty()) {
        std::uint32_t group = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            group = group << 8 | (i < in.size() ? static_cast<std::uint8_t>(in[i]) : 0U);
        }
        const std::size_t used = in.size() < 3 ? in.size() : 3;
        for (std::size_t i = 0; i < 4; ++i) {
            out.push_back(i <= used ? alphabet[group >> (18 - 6 * i) & 63] : '=');
        }
        in.remove_prefix(used);
    }
}

std::string base64_encode(bytes in) {
    std::string out;
    base64_encode(out, in);
    return out;
}

std::optional<std::size_t> base64_decoded_size(std::string_view text) noexcept {
    if (text.size() % 4 != 0) return std::nullopt;
    const auto pad = padding(text);
    const auto body = text.substr(0, text.size() - pad);
    for (const char c : body) {
        if (digit(c) == no_digit) return std::nullopt;
    }
    // One '=' leaves two unused bits in the last digit, two leave four.
    if (pad > 0 && (digit(body.back()) & ((1U << (2 * pad)) - 1)) != 0) return std::nullopt;
    return text.size() / 4 * 3 - pad;
}

std::error_code base64_decode(std::string_view text, std::string& out) noexcept {
    out.clear();
    if (text.size() % 4 != 0) return errc::bad_length;
    const auto size = base64_decoded_size(text);
    if (!size) return errc::bad_value;
    out.reserve(*size + 2);
    for (; !text.empty(); text.remove_prefix(4)) {
        std::uint32_t group = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            group = group << 6 | (text[i] == '=' ? 0U : digit(text[i]));
        }
        for (std::size_t i = 0; i < 3; ++i) {
            out.push_back(static_cast<char>(group >> (16 - 8 * i) & 0xff));
        }
    }
    out.resize(*size);
    return {};
}

}  // namespace pgsidecar::protocol

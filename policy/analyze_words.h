// Small questions about ASCII words, without regard to case. Unlike <cctype>, no locale.
#pragma once
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace pgsidecar::policy {

[[nodiscard]] constexpr bool is_ascii_letter(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

[[nodiscard]] constexpr char to_lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

[[nodiscard]] inline std::string lower(std::string_view text) {
    std::string out{text};
    std::transform(out.begin(), out.end(), out.begin(), to_lower);
    return out;
}

// lower_word must be lower case.
[[nodiscard]] constexpr bool same_word(std::string_view text,
                                       std::string_view lower_word) noexcept {
    if (text.size() != lower_word.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (to_lower(text[i]) != lower_word[i]) return false;
    }
    return true;
}

template <class Words>
[[nodiscard]] constexpr bool is_one_of(std::string_view text, const Words& lower_words) noexcept {
    for (const std::string_view word : lower_words) {
        if (same_word(text, word)) return true;
    }
    return false;
}

}  // namespace pgsidecar::policy

// Small questions about ASCII words, without regard to case. Unlike <cctype>, no locale.
#pragma once
#include <cstddef>
#include <string_view>

#include "protocol/ascii.h"

namespace pgsidecar::policy {

using protocol::ascii_lower;
using protocol::lower_case;

[[nodiscard]] constexpr bool is_ascii_letter(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// lower_word must be lower case.
[[nodiscard]] constexpr bool same_word(std::string_view text,
                                       std::string_view lower_word) noexcept {
    if (text.size() != lower_word.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (ascii_lower(text[i]) != lower_word[i]) return false;
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

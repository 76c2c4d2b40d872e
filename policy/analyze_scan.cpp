#include "policy/analyze_scan.h"

#include <algorithm>

#include "policy/analyze_words.h"

namespace pgsidecar::policy {
namespace {

bool is_blank(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_word_start(char c) noexcept {
    return is_ascii_letter(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
// Of a number, a parameter or a tag: letters after digits are junk, which the parser names.
bool is_tail(char c) noexcept { return is_word_start(c) || is_digit(c); }
bool is_word_part(char c) noexcept { return is_tail(c) || c == '$'; }
bool is_operator(char c) noexcept {
    return c != '\0' && std::string_view{"~!@#^&|`?+-*/%<>="}.find(c) != std::string_view::npos;
}

}  // namespace

token sql_scanner::take(token_kind kind, std::size_t end) noexcept {
    end = std::min(end, sql_.size());
    const token out{kind, sql_.substr(pos_, end - pos_)};
    pos_ = end;
    return out;
}

bool sql_scanner::skip_blank() noexcept {
    while (pos_ < sql_.size()) {
        if (is_blank(sql_[pos_])) {
            ++pos_;
        } else if (at(pos_) == '-' && at(pos_ + 1) == '-') {
            pos_ = std::min(sql_.find_first_of("\r\n", pos_), sql_.size());
        } else if (at(pos_) == '/' && at(pos_ + 1) == '*') {
            std::size_t depth = 1;
            std::size_t i = pos_ + 2;
            for (; depth > 0 && i < sql_.size(); ++i) {
                if (sql_[i] == '*' && at(i + 1) == '/')
                    --depth, ++i;
                else if (sql_[i] == '/' && at(i + 1) == '*')
                    ++depth, ++i;
            }
            if (depth > 0) return false;
            pos_ = std::min(i, sql_.size());
        } else {
            break;
        }
    }
    return true;
}

token sql_scanner::next() noexcept {
    if (!skip_blank()) return take(token_kind::bad, sql_.size());
    if (pos_ >= sql_.size()) return take(token_kind::end, sql_.size());
    const char c = sql_[pos_];
    const char d = at(pos_ + 1);
    switch (c) {
        case '\'':
            return quoted(token_kind::string, pos_, escape::doubled);
        case '"':
            return quoted(token_kind::quoted, pos_, escape::doubled);
        case '$':
            return dollar();
        case 'e':
        case 'E':
            if (d == '\'') return quoted(token_kind::string, pos_ + 1, escape::backslash);
            break;
        case 'n':
        case 'N':
            if (d == '\'') return quoted(token_kind::string, pos_ + 1, escape::doubled);
            break;
        case 'b':
        case 'B':
        case 'x':
        case 'X':
            if (d == '\'') return quoted(token_kind::string, pos_ + 1, escape::none);
            break;
        case 'u':
        case 'U':
            if (d == '&' && at(pos_ + 2) == '\'') {
                return quoted(token_kind::string, pos_ + 2, escape::doubled);
            }
            if (d == '&' && at(pos_ + 2) == '"') {
                return quoted(token_kind::quoted, pos_ + 2, escape::doubled);
            }
            break;
        default:
            break;
    }
    if (is_word_start(c)) return word();
    if (is_digit(c) || (c == '.' && is_digit(d))) return number();
    return symbol();
}

token sql_scanner::quoted(token_kind kind, std::size_t open, escape how) noexcept {
    const char quote = sql_[open];
    for (std::size_t i = open + 1; i < sql_.size(); ++i) {
        if (sql_[i] == '\\' && how == escape::backslash) {
            ++i;
        } else if (sql_[i] == quote) {
            if (at(i + 1) == quote && how != escape::none) {
                ++i;
                continue;
            }
            const auto more = quote == '\'' ? continuation(i + 1) : std::string_view::npos;
            if (more == std::string_view::npos) return take(kind, i + 1);
            i = more;
        }
    }
    return take(token_kind::bad, sql_.size());
}

// 'a'
// 'b' is one string, with the first piece's rules for escapes: after its closing quote, blanks with
// at least one line break, then another quote. Where that is, or npos. (To the server a line
// comment may stand between them, too; libpg_query takes what follows it for a string of its own.)
std::size_t sql_scanner::continuation(std::size_t i) const noexcept {
    bool broken = false;
    for (; i < sql_.size() && is_blank(sql_[i]); ++i) {
        broken = broken || sql_[i] == '\n' || sql_[i] == '\r';
    }
    return broken && at(i) == '\'' ? i : std::string_view::npos;
}

token sql_scanner::dollar() noexcept {
    std::size_t i = pos_ + 1;
    if (is_digit(at(i))) {
        while (is_tail(at(i))) ++i;
        return take(token_kind::parameter, i);
    }
    if (is_word_start(at(i))) {
        while (is_tail(at(i))) ++i;
    }
    if (at(i) != '$') return take(token_kind::bad, sql_.size());
    const auto tag = sql_.substr(pos_, i + 1 - pos_);
    const auto close = sql_.find(tag, i + 1);
    if (close == std::string_view::npos) return take(token_kind::bad, sql_.size());
    return take(token_kind::string, close + tag.size());
}

token sql_scanner::word() noexcept {
    std::size_t i = pos_;
    while (i < sql_.size() && is_word_part(sql_[i])) ++i;
    return take(token_kind::word, i);
}

token sql_scanner::number() noexcept {
    std::size_t i = pos_;
    const auto digits = [&] {
        while (is_tail(at(i)) && at(i) != 'e' && at(i) != 'E') ++i;
    };
    digits();
    if (at(i) == '.' && at(i + 1) != '.') ++i, digits();
    if (at(i) == 'e' || at(i) == 'E') {
        ++i;
        if ((at(i) == '+' || at(i) == '-') && is_digit(at(i + 1))) ++i;
        while (is_tail(at(i))) ++i;
    }
    return take(token_kind::number, i);
}

token sql_scanner::symbol() noexcept {
    const char c = sql_[pos_];
    const char d = at(pos_ + 1);
    if (c == ':' && d == ':') return take(token_kind::cast, pos_ + 2);
    if ((c == ':' && d == '=') || (c == '.' && d == '.')) {
        return take(token_kind::punctuation, pos_ + 2);
    }
    if (!is_operator(c)) return take(token_kind::punctuation, pos_ + 1);
    std::size_t i = pos_;
    while (is_operator(at(i))) {
        if (i > pos_ &&
            ((at(i) == '-' && at(i + 1) == '-') || (at(i) == '/' && at(i + 1) == '*'))) {
            break;
        }
        ++i;
    }
    return take(token_kind::operator_, i);
}

std::optional<std::uint32_t> literal_places::ordinal_at(std::size_t byte) noexcept {
    if (byte < begin_of(here_)) *this = literal_places{sql_};
    while (here_.kind != token_kind::end && begin_of(here_) < byte) {
        if (is_literal(here_.kind)) ++before_;
        here_ = scan_.next();
    }
    if (begin_of(here_) != byte || !is_literal(here_.kind)) return std::nullopt;
    return before_;
}

}  // namespace pgsidecar::policy

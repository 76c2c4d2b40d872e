// What is said about a text without parsing it: clock words, its forms without literals, and the
// number that a literal is.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>

#include "policy/analyze.h"
#include "policy/analyze_scan.h"
#include "policy/analyze_words.h"

namespace pgsidecar::policy {
namespace {

enum : std::uint8_t { not_letter, letter, may_begin };

constexpr std::array<std::uint8_t, 256> letter_table() {
    std::array<std::uint8_t, 256> out{};
    for (int c = 0; c < 128; ++c) {
        const char l = ascii_lower(static_cast<char>(c));
        if (!is_ascii_letter(l)) continue;
        out[static_cast<std::size_t>(c)] = l == 'n' || l == 't' || l == 'y' ? may_begin : letter;
    }
    return out;
}
constexpr auto letters = letter_table();

constexpr std::array<std::string_view, 4> clock_words{"now", "today", "tomorrow", "yesterday"};

// Literals of different types make different facts: N'a' is one with a cast, B'1' and X'f' are
// bits.
char type_of(const token& literal) noexcept {
    if (literal.kind == token_kind::number) return 'd';
    const char first = ascii_lower(literal.text.front());
    return first == 'n' || first == 'b' || first == 'x' ? first : 's';
}

// Puts tokens side by side again: a blank wherever there was one, or a comment.
class rewriter {
  public:
    rewriter(std::string_view sql, bool numbered) : sql_{sql}, numbered_{numbered} {
        out_.reserve(sql.size());
        if (numbered) next_ = highest_parameter(sql);
    }

    std::string run() {
        sql_scanner scan{sql_};
        for (token t = scan.next(); t.kind != token_kind::end; t = scan.next()) {
            // A parameter's number must not run into a word: the two would read as one.
            const bool runs_on = numbered_ && ((is_literal(t.kind) && last_ == token_kind::word) ||
                                               (is_literal(last_) && t.kind == token_kind::word));
            if ((runs_on || t.text.data() != end_) && !out_.empty()) out_ += ' ';
            end_ = t.text.data() + t.text.size();
            // The server may see one string where libpg_query sees two, and other literals after
            // it.
            const bool doubtful = last_ == token_kind::string && t.text.front() == '\'';
            if (numbered_ && doubtful) return std::move(out_.append("..."));
            // What a quoted name is depends on the literal behind UESCAPE.
            const bool names = !numbered_ && after_uescape_;
            after_uescape_ = t.kind == token_kind::word && same_word(t.text, "uescape");
            last_ = t.kind;
            names ? void(out_ += t.text) : put(t);
        }
        return std::move(out_);
    }

  private:
    static int highest_parameter(std::string_view sql) {
        int most = 0;
        sql_scanner scan{sql};
        for (token t = scan.next(); t.kind != token_kind::end; t = scan.next()) {
            int number = 0;
            if (t.kind != token_kind::parameter) continue;
            std::from_chars(t.text.data() + 1, t.text.data() + t.text.size(), number);
            most = std::max(most, number);
        }
        return most;
    }
    void put(const token& t) {
        if (is_literal(t.kind)) {
            if (numbered_) {
                out_ += '$' + std::to_string(++next_);
            } else {
                out_ += '\x01';
                out_ += type_of(t);
            }
        } else if (t.kind == token_kind::bad) {
            out_ += numbered_ ? std::string_view{"..."} : t.text;
        } else {
            out_ += t.text;
        }
    }

    std::string_view sql_;
    bool numbered_;
    int next_ = 0;
    const char* end_ = nullptr;  // of the last token
    token_kind last_ = token_kind::end;
    bool after_uescape_ = false;
    std::string out_;
};

// Between the quotes, as far as that is what the server reads: nothing where escapes may matter.
std::optional<std::string_view> plain_content(std::string_view string) noexcept {
    if (string.front() == '$') {
        const auto tag = string.find('$', 1) + 1;
        return string.substr(tag, string.size() - 2 * tag);
    }
    if (ascii_lower(string.front()) == 'e') string.remove_prefix(1);
    if (string.front() != '\'') return std::nullopt;
    return string.substr(1, string.size() - 2);
}

constexpr auto largest = std::numeric_limits<std::uint64_t>::max();
constexpr auto largest_bigint = std::uint64_t{std::numeric_limits<std::int64_t>::max()};

// value * base + digit
constexpr std::uint64_t appended(std::uint64_t value, unsigned digit, unsigned base = 10) noexcept {
    return value > (largest_bigint - digit) / base ? largest : value * base + digit;
}

constexpr unsigned digit_of(char c) noexcept {  // 99: it is none
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    return is_ascii_letter(c) ? static_cast<unsigned>(ascii_lower(c) - 'a') + 10 : 99;
}

// 0x1F, 0o17, 0b11: in strings, too, from PostgreSQL 16 on.
std::optional<std::uint64_t> in_base(std::string_view digits, unsigned base) noexcept {
    if (digits.empty()) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : digits) {
        const auto digit = digit_of(c);
        if (c != '_' && digit >= base) return std::nullopt;
        if (c != '_') value = appended(value, digit, base);
    }
    return value;
}

// Of a decimal number, what is behind its "e".
std::optional<std::int64_t> exponent_in(std::string_view text) noexcept {
    constexpr std::int64_t far = 1 << 30;  // more than there are digits in any text
    const bool small = text.starts_with('-');
    if (small || text.starts_with('+')) text.remove_prefix(1);
    std::int64_t value = 0;
    for (const char c : text) {
        if (digit_of(c) > 9) return std::nullopt;
        value = std::min(far, value * 10 + digit_of(c));
    }
    if (text.empty()) return std::nullopt;
    return small ? -value : value;
}

// Digits with a point and an exponent, underscores between them.
std::optional<std::uint64_t> decimal(std::string_view text) noexcept {
    const auto mark = std::min(text.find_first_of("eE"), text.size());
    const auto exponent = mark < text.size() ? exponent_in(text.substr(mark + 1)) : 0;
    if (!exponent) return std::nullopt;
    const auto mantissa = text.substr(0, mark);
    const auto point = std::min(mantissa.find('.'), mantissa.size());
    std::int64_t whole = *exponent;  // so many digits stand before the point, once it has moved
    bool any = false;
    for (std::size_t i = 0; i < mantissa.size(); ++i) {
        if (i == point || mantissa[i] == '_') continue;
        if (digit_of(mantissa[i]) > 9) return std::nullopt;
        any = true;
        if (i < point) ++whole;
    }
    if (!any) return std::nullopt;
    std::uint64_t value = 0;
    bool fraction = false;
    std::int64_t at = 0;
    for (const char c : mantissa) {
        if (c == '.' || c == '_') continue;
        if (at++ < whole) {
            value = appended(value, digit_of(c));
        } else {
            fraction = fraction || c != '0';
        }
    }
    for (; at < whole && value != 0 && value != largest; ++at) value = appended(value, 0);
    return fraction ? appended(value, 1, 1) : value;
}

std::optional<std::uint64_t> number_in(std::string_view text) noexcept {
    constexpr std::string_view blanks = " \t\n\r\f\v";
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    text = text.substr(0, text.find_last_not_of(blanks) + 1);
    if (text.starts_with('+')) text.remove_prefix(1);
    if (text.size() > 2 && text.front() == '0') {
        const char base = ascii_lower(text[1]);
        if (base == 'x') return in_base(text.substr(2), 16);
        if (base == 'o') return in_base(text.substr(2), 8);
        if (base == 'b') return in_base(text.substr(2), 2);
    }
    return decimal(text);
}

}  // namespace

std::optional<std::uint64_t> literal_number(std::string_view sql, std::uint32_t ordinal) {
    sql_scanner scan{sql};
    for (token t = scan.next(); t.kind != token_kind::end; t = scan.next()) {
        if (!is_literal(t.kind) || ordinal-- > 0) continue;
        if (t.kind == token_kind::number) return number_in(t.text);
        const auto content = plain_content(t.text);
        return content ? number_in(*content) : std::nullopt;
    }
    return std::nullopt;
}

bool mentions_clock_word(std::string_view text) noexcept {
    for (std::size_t i = 0; i < text.size();) {
        const auto kind = letters[static_cast<unsigned char>(text[i])];
        if (kind == not_letter) {
            ++i;
            continue;
        }
        std::size_t end = i + 1;
        while (end < text.size() && letters[static_cast<unsigned char>(text[end])] != not_letter) {
            ++end;
        }
        if (kind == may_begin && is_one_of(text.substr(i, end - i), clock_words)) return true;
        i = end;
    }
    return false;
}

std::string normalize(std::string_view sql) { return rewriter{sql, true}.run(); }

std::string shape_of(std::string_view sql) { return rewriter{sql, false}.run(); }

}  // namespace pgsidecar::policy

// What is said about a text without parsing it: clock words, and its forms without literals.
#include <array>
#include <charconv>
#include <cstdint>

#include "policy/analyze.h"
#include "policy/analyze_scan.h"
#include "policy/analyze_words.h"

namespace pgsidecar::policy {
namespace {

enum : std::uint8_t { not_letter, letter, may_begin };

constexpr std::array<std::uint8_t, 256> letter_table() {
    std::array<std::uint8_t, 256> out{};
    for (int c = 0; c < 128; ++c) {
        const char l = to_lower(static_cast<char>(c));
        if (!is_ascii_letter(l)) continue;
        out[static_cast<std::size_t>(c)] = l == 'n' || l == 't' || l == 'y' ? may_begin : letter;
    }
    return out;
}
constexpr auto letters = letter_table();

constexpr std::array<std::string_view, 4> clock_words{"now", "today", "tomorrow", "yesterday"};

bool is_literal(token_kind k) noexcept {
    return k == token_kind::string || k == token_kind::number;
}

// Literals of different types make different facts: N'a' is one with a cast, B'1' and X'f' are
// bits.
char type_of(const token& literal) noexcept {
    if (literal.kind == token_kind::number) return 'd';
    const char first = to_lower(literal.text.front());
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

}  // namespace

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

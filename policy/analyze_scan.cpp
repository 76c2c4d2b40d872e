#include "policy/analyze_scan.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

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
bool is_word_part(char c) noexcept { return is_word_start(c) || is_digit(c) || c == '$'; }
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
            return quoted(pos_, '\'', false, token_kind::string);
        case '"':
            return quoted(pos_, '"', false, token_kind::quoted);
        case '$':
            return dollar();
        case 'e':
        case 'E':
            if (d == '\'') return quoted(pos_ + 1, '\'', true, token_kind::string);
            break;
        case 'n':
        case 'N':
        case 'b':
        case 'B':
        case 'x':
        case 'X':
            if (d == '\'') return quoted(pos_ + 1, '\'', false, token_kind::string);
            break;
        case 'u':
        case 'U':
            if (d == '&' && at(pos_ + 2) == '\'') {
                return quoted(pos_ + 2, '\'', false, token_kind::string);
            }
            if (d == '&' && at(pos_ + 2) == '"') {
                return quoted(pos_ + 2, '"', false, token_kind::quoted);
            }
            break;
        default:
            break;
    }
    if (is_word_start(c)) return word();
    if (is_digit(c) || (c == '.' && is_digit(d))) return number();
    return symbol();
}

token sql_scanner::quoted(std::size_t open, char quote, bool escapes, token_kind kind) noexcept {
    for (std::size_t i = open + 1; i < sql_.size(); ++i) {
        if (sql_[i] == '\\' && escapes) {
            ++i;
        } else if (sql_[i] == quote) {
            if (at(i + 1) != quote) return take(kind, i + 1);
            ++i;
        }
    }
    return take(token_kind::bad, sql_.size());
}

token sql_scanner::dollar() noexcept {
    std::size_t i = pos_ + 1;
    if (is_digit(at(i))) {
        while (is_word_part(at(i))) ++i;  // letters after the digits: junk, which the parser names
        return take(token_kind::parameter, i);
    }
    if (is_word_start(at(i))) {
        while (is_word_start(at(i)) || is_digit(at(i))) ++i;
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
        while (is_word_part(at(i)) && at(i) != 'e' && at(i) != 'E') ++i;
    };
    digits();
    if (at(i) == '.' && at(i + 1) != '.') ++i, digits();
    if (at(i) == 'e' || at(i) == 'E') {
        ++i;
        if ((at(i) == '+' || at(i) == '-') && is_digit(at(i + 1))) ++i;
        while (is_word_part(at(i))) ++i;
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

namespace {

// Words that deepen an expression as an operator does, and words after which a new one begins.
constexpr std::array deepening{"at",     "between", "collate", "ilike",   "in",       "is",
                               "isnull", "like",    "not",     "notnull", "operator", "similar"};
constexpr std::array restarting{"and",    "else", "from", "having", "on",     "or",   "returning",
                                "select", "set",  "then", "using",  "values", "when", "where"};
constexpr std::array joining{"except", "intersect", "join", "union"};

// AND, OR, lists and THEN..ELSE hang side by side in the tree: what came before one of them does
// not deepen what comes after. Operators, joins and set operations lean on all that came before.
class nesting_counter {
  public:
    nesting_counter() { levels_.push_back({}); }

    void take(const token& t, bool after_dot) {
        switch (t.kind) {
            case token_kind::operator_:
                deepen(weight(t.text));
                break;
            case token_kind::cast:
                deepen(1);
                break;
            case token_kind::punctuation:
                punctuation(t.text.front());
                break;
            case token_kind::word:
                if (!after_dot) word(t.text);
                break;
            default:
                break;
        }
    }
    [[nodiscard]] std::size_t most() const noexcept { return most_; }

  private:
    struct level {
        std::size_t chain = 0;
        std::size_t joins = 0;
        bool is_case = false;
    };

    // "<-" or "=+-" may be several operators in one run: trailing signs are cut off by the lexer.
    static std::size_t weight(std::string_view run) noexcept {
        const auto last = run.find_last_not_of("+-");
        return last == std::string_view::npos ? run.size() : run.size() - last;
    }
    void deepen(std::size_t by) noexcept {
        levels_.back().chain += by;
        total_ += by;
        most_ = std::max(most_, total_);
    }
    void restart() noexcept {
        total_ -= levels_.back().chain;
        levels_.back().chain = 0;
    }
    void open(bool is_case) {
        levels_.push_back({1, 0, is_case});
        ++total_;
        most_ = std::max(most_, total_);
    }
    void pop() noexcept {
        total_ -= levels_.back().chain + levels_.back().joins;
        levels_.pop_back();
    }
    void punctuation(char c) {
        switch (c) {
            case '(':
            case '[':
                open(false);
                break;
            case ')':
            case ']':
                while (levels_.size() > 1 && levels_.back().is_case) pop();
                if (levels_.size() > 1) pop();
                break;
            case ',':
                restart();
                break;
            case ';':
                levels_.assign(1, {});
                total_ = 0;
                break;
            default:
                break;
        }
    }
    void word(std::string_view text) {
        if (is_one_of(text, restarting)) {
            restart();
        } else if (is_one_of(text, deepening)) {
            deepen(1);
        } else if (is_one_of(text, joining)) {
            restart();
            ++levels_.back().joins;
            ++total_;
            most_ = std::max(most_, total_);
        } else if (same_word(text, "case")) {
            open(true);
        } else if (same_word(text, "end") && levels_.back().is_case) {
            pop();
        }
    }

    std::vector<level> levels_;
    std::size_t total_ = 0;
    std::size_t most_ = 0;
};

constexpr std::size_t many = std::numeric_limits<std::size_t>::max() / 2;

std::size_t times(std::size_t a, std::size_t b) noexcept { return b > many / a ? many : a * b; }

}  // namespace

std::size_t nesting_of(std::string_view sql) {
    nesting_counter counter;
    sql_scanner scan{sql};
    bool after_dot = false;
    for (token t = scan.next(); t.kind != token_kind::end; t = scan.next()) {
        counter.take(t, after_dot);
        after_dot = t.text == ".";
    }
    return counter.most();
}

std::size_t copies_of(std::string_view sql) {
    // A "(" after SET or a comma, then its columns, then ") =".
    std::vector<std::size_t> columns;  // of each open parenthesis; 0 = not after SET or a comma
    std::size_t closed = 0;            // columns of the parenthesis that has just closed
    std::size_t copies = 1;
    bool may_assign = false;
    sql_scanner scan{sql};
    for (token t = scan.next(); t.kind != token_kind::end; t = scan.next()) {
        const char c = t.kind == token_kind::punctuation ? t.text.front() : '\0';
        if (closed > 1 && t.kind == token_kind::operator_ && t.text.front() == '=') {
            copies = times(copies, closed);
        }
        closed = 0;
        if (c == '(') {
            columns.push_back(may_assign ? 1 : 0);
        } else if (c == ',' && !columns.empty() && columns.back() > 0) {
            ++columns.back();
        } else if (c == ')' && !columns.empty()) {
            closed = columns.back();
            columns.pop_back();
        }
        may_assign = c == ',' || (t.kind == token_kind::word && same_word(t.text, "set"));
    }
    return copies;
}

}  // namespace pgsidecar::policy

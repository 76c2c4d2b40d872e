// Tokens of a SQL text, as PostgreSQL's lexer cuts them (standard_conforming_strings on), without
// building anything: a cheap first look that serves two ends. bounds_of() keeps texts away from
// libpg_query that would overflow its stack or its memory (its output functions recurse without a
// limit, and a row assignment is written out once per column); normalize() and shape_of() rewrite
// literals, and literal_number() finds one again. Unlike the parser it never fails: what it cannot
// lex is a `bad` token to the end of the text. Views live as long as the text.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pgsidecar::policy {

enum class token_kind : std::uint8_t {
    end,
    word,    // identifier or keyword, unquoted
    quoted,  // "identifier", U&"identifier"
    string,  // 'x', E'x', N'x', U&'x', $tag$x$tag$, B'x', X'x'
    number,
    parameter,    // $1
    operator_,    // a run of operator characters
    cast,         // ::
    punctuation,  // one of ( ) [ ] , ; . : and the pairs .. := =>
    bad,          // unterminated string, comment or identifier
};

struct token {
    token_kind kind = token_kind::end;
    std::string_view text;
};

class sql_scanner {
  public:
    explicit sql_scanner(std::string_view sql) noexcept : sql_{sql} {}
    [[nodiscard]] token next() noexcept;  // whitespace and comments are skipped

  private:
    enum class escape : std::uint8_t { none, doubled, backslash };  // backslash: doubled, too

    [[nodiscard]] bool skip_blank() noexcept;  // false: a comment does not end
    [[nodiscard]] char at(std::size_t i) const noexcept { return i < sql_.size() ? sql_[i] : '\0'; }
    [[nodiscard]] token take(token_kind kind, std::size_t end) noexcept;
    [[nodiscard]] token quoted(token_kind kind, std::size_t open, escape how) noexcept;
    [[nodiscard]] std::size_t continuation(std::size_t after_quote) const noexcept;
    [[nodiscard]] token dollar() noexcept;
    [[nodiscard]] token word() noexcept;
    [[nodiscard]] token number() noexcept;
    [[nodiscard]] token symbol() noexcept;

    std::string_view sql_;
    std::size_t pos_ = 0;
};

[[nodiscard]] constexpr bool is_literal(token_kind k) noexcept {
    return k == token_kind::string || k == token_kind::number;
}

// The places of a text's literals. Asked in the order of the text, it reads it once.
class literal_places {
  public:
    explicit literal_places(std::string_view sql) noexcept : sql_{sql}, scan_{sql} {
        here_ = scan_.next();
    }
    [[nodiscard]] std::string_view sql() const noexcept { return sql_; }
    // Of the literal that begins at that byte: how many literals are before it.
    [[nodiscard]] std::optional<std::uint32_t> ordinal_at(std::size_t byte) noexcept;

  private:
    [[nodiscard]] std::size_t begin_of(const token& t) const noexcept {
        return static_cast<std::size_t>(t.text.data() - sql_.data());
    }

    std::string_view sql_;
    sql_scanner scan_;
    token here_;
    std::uint32_t before_ = 0;  // literals before here_
};

// What the parse tree of a text may grow to.
struct tree_bounds {
    // How deep it gets at most, in nested expressions, joins, set operations and parentheses.
    std::size_t nesting = 0;
    // How many times over a part of the text may be written out in it: the product of the numbers
    // of columns of the row assignments, SET (a, b) = (...), around it. 1 for nearly every text.
    std::size_t copies = 1;
};
[[nodiscard]] tree_bounds bounds_of(std::string_view sql);

}  // namespace pgsidecar::policy

// Tokens of a SQL text, as PostgreSQL's lexer cuts them (standard_conforming_strings on), without
// building anything: a cheap first look that serves three ends. nesting_of() and copies_of() keep
// texts away from libpg_query that would overflow its stack or its memory (its output functions
// recurse without a limit, and a row assignment is written out once per column); normalize() and
// shape_of() rewrite literals. Unlike the parser it never fails: what it cannot lex is a `bad`
// token to the end of the text. Views live as long as the text.
#pragma once
#include <cstddef>
#include <cstdint>
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
    [[nodiscard]] bool skip_blank() noexcept;  // false: a comment does not end
    [[nodiscard]] char at(std::size_t i) const noexcept { return i < sql_.size() ? sql_[i] : '\0'; }
    [[nodiscard]] token take(token_kind kind, std::size_t end) noexcept;
    [[nodiscard]] token quoted(std::size_t open, char quote, bool escapes,
                               token_kind kind) noexcept;
    [[nodiscard]] token dollar() noexcept;
    [[nodiscard]] token word() noexcept;
    [[nodiscard]] token number() noexcept;
    [[nodiscard]] token symbol() noexcept;

    std::string_view sql_;
    std::size_t pos_ = 0;
};

// An upper bound of how deep the parse tree of the text can get, in nested expressions, joins, set
// operations and parentheses.
[[nodiscard]] std::size_t nesting_of(std::string_view sql);

// How many times over the text may be written out in its parse tree: the product of the numbers of
// columns of its row assignments, SET (a, b) = (...). 1 for nearly every text; saturates.
[[nodiscard]] std::size_t copies_of(std::string_view sql);

}  // namespace pgsidecar::policy

// SQL text -> sql_facts, by PostgreSQL's own parser. Pure and thread-safe, never throws because of
// its input; whoever calls keeps the result (a parse takes tens of microseconds). What is assumed
// of the session that sends the text: standard_conforming_strings = on, and an encoding in which no
// byte of a multibyte character is an ASCII one. Where that does not hold, treat the text as
// unparsed.
//
//     auto facts = analyze(sql);      // parsed == false, too_long: able to do anything
//     describe(sql, facts);           // only when a log or a metric asks: parses once more
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policy/facts.h"

namespace pgsidecar::policy {

inline constexpr std::size_t default_max_sql = std::size_t{1} << 20;  // bytes

// Everything but fingerprint and normalized. An empty text (nothing but blanks, comments and
// semicolons) has one statement of kind empty. The nesting of a text is bounded too: some 500
// operators in a row, or as many joins, set operations or parentheses, count as not parsed.
[[nodiscard]] sql_facts analyze(std::string_view sql, std::size_t max_length = default_max_sql);

// Fills fingerprint (0 for a text that does not parse) and normalized.
void describe(std::string_view sql, sql_facts& facts);

// The text with literals replaced by $n (numbered after its highest parameter), comments dropped
// and blanks made one. Works on any text, parsed or not: what cannot be lexed is left out.
[[nodiscard]] std::string normalize(std::string_view sql);

// Like normalize(), but no two texts that differ in more than literals, blanks and comments have
// the same shape: the key under which texts may share facts that are not literals_matter.
[[nodiscard]] std::string shape_of(std::string_view sql);

// The value of a literal of this very text, by its place among the text's number and string
// literals, 0 for the first (limit_clause::number); a fraction counts as one more. What exceeds a
// bigint is the largest number there is. Nothing: there is no such literal, or it is not written as
// a plain number without a minus sign: escapes or pieces may still make it one to the server.
[[nodiscard]] std::optional<std::uint64_t> literal_number(std::string_view sql,
                                                          std::uint32_t ordinal);

// Whether a date/time input function would find now, today, tomorrow or yesterday in it, in any
// case, with no letter beside it. It errs towards yes ("the end is now"). Called on every bound
// text.
[[nodiscard]] bool mentions_clock_word(std::string_view text) noexcept;

}  // namespace pgsidecar::policy

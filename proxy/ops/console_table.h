// Rows as the console gives them, and their form on the wire. A cell is text in the server's own
// form, or nothing (NULL); in binary it is made from that text. Protocol 3.0, "Message Formats".
#pragma once
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/lists.h"

namespace pgsidecar::ops {

enum class cell_type : std::uint8_t { text, int4, int8, float8, boolean };

struct console_column {
    std::string_view name;  // a constant, or of the command that the table is made for
    cell_type type = cell_type::text;
};

using console_cell = std::optional<std::string>;
using console_row = std::vector<console_cell>;

struct console_table {
    std::vector<console_column> columns;
    std::vector<console_row> rows;
};

[[nodiscard]] inline console_cell cell(std::string text) { return text; }
[[nodiscard]] inline console_cell cell(std::string_view text) { return std::string{text}; }
[[nodiscard]] inline console_cell cell(const char* text) { return std::string{text}; }
template <std::integral T>
[[nodiscard]] console_cell cell(T number) {
    return std::to_string(number);
}
[[nodiscard]] console_cell cell(bool value) = delete;  // say which: flag(), or a number
[[nodiscard]] inline console_cell flag(bool value) { return std::string{value ? "t" : "f"}; }
[[nodiscard]] console_cell cell(double number);  // with three digits behind the point

// `format` of column i: what Bind's list of result formats says; text without one.
void write_columns(std::string& out, const std::vector<console_column>& columns,
                   const std::vector<std::int16_t>& formats);
void write_row(std::string& out, const std::vector<console_column>& columns, const console_row& row,
               const std::vector<std::int16_t>& formats);

}  // namespace pgsidecar::ops

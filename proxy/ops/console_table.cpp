#include "proxy/ops/console_table.h"

#include <array>
#include <bit>
#include <charconv>
#include <system_error>

#include "protocol/backend.h"

namespace pgsidecar::ops {
namespace {

struct type_facts {
    std::uint32_t oid;
    std::int16_t size;
};
// By cell_type; pg_type's numbers.
constexpr std::array<type_facts, 5> types{{{25, -1}, {23, 4}, {20, 8}, {701, 8}, {16, 1}}};

std::int16_t format_of(const std::vector<std::int16_t>& formats, std::size_t i) noexcept {
    if (formats.empty()) return 0;
    return formats.size() == 1  ? formats.front()
           : i < formats.size() ? formats[i]
                                : std::int16_t{0};
}

void append_big_endian(std::string& out, std::uint64_t value, unsigned bytes) {
    while (bytes-- > 0) out += static_cast<char>(value >> (8 * bytes) & 0xff);
}

// Our own texts, so that what does not fit is our bug; it is sent as zero.
template <class Number>
Number number_of(std::string_view text) noexcept {
    Number out{};
    (void)std::from_chars(text.data(), text.data() + text.size(), out);
    return out;
}

std::string binary(cell_type type, std::string_view text) {
    std::string out;
    switch (type) {
        case cell_type::text:
            return std::string{text};
        case cell_type::int4:
            append_big_endian(out, static_cast<std::uint32_t>(number_of<std::int32_t>(text)), 4);
            return out;
        case cell_type::int8:
            append_big_endian(out, static_cast<std::uint64_t>(number_of<std::int64_t>(text)), 8);
            return out;
        case cell_type::float8:
            append_big_endian(out, std::bit_cast<std::uint64_t>(number_of<double>(text)), 8);
            return out;
        case cell_type::boolean:
            return std::string(1, text == "t" ? '\1' : '\0');
    }
    return out;
}

}  // namespace

console_cell cell(double number) {
    std::array<char, 400> buffer{};  // the longest double, and three digits
    const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number,
                                            std::chars_format::fixed, 3);
    if (error != std::errc{}) return std::nullopt;
    return std::string{buffer.data(), end};
}

void write_columns(std::string& out, const std::vector<console_column>& columns,
                   const std::vector<std::int16_t>& formats) {
    std::vector<protocol::column> all;
    all.reserve(columns.size());
    for (std::size_t i = 0; i < columns.size(); ++i) {
        const auto& facts = types[static_cast<std::size_t>(columns[i].type)];
        all.push_back({.name = columns[i].name,
                       .type_oid = facts.oid,
                       .type_size = facts.size,
                       .format = format_of(formats, i)});
    }
    protocol::write_row_description(out, all);
}

void write_row(std::string& out, const std::vector<console_column>& columns, const console_row& row,
               const std::vector<std::int16_t>& formats) {
    std::vector<std::string> made(columns.size());
    std::vector<std::optional<protocol::bytes>> values(columns.size());
    for (std::size_t i = 0; i < columns.size() && i < row.size(); ++i) {
        if (!row[i]) continue;
        if (format_of(formats, i) == 1) {
            made[i] = binary(columns[i].type, *row[i]);
            values[i] = made[i];
        } else {
            values[i] = *row[i];
        }
    }
    protocol::write_data_row(out, values);
}

}  // namespace pgsidecar::ops

#include "proxy/core/page.h"

#include <charconv>
#include <limits>
#include <optional>

#include "policy/analyze.h"

namespace pgsidecar::core {
namespace {

using kind = page_wish::kind;

// The value of parameter `at` (from 0) as an integer, in either format.
page_wish bound_value(const protocol::bind& m, std::size_t at) {
    std::size_t i = 0;
    for (const auto value : m.values) {
        if (i++ < at) continue;
        if (!value) return {kind::all};
        const auto formats = m.formats.count();
        const bool binary = formats > 0 && m.formats[formats == 1 ? 0 : at] == 1;
        if (binary) {
            if (value->size() != 2 && value->size() != 4 && value->size() != 8) return {};
            std::uint64_t number = 0;
            for (const char c : *value) number = number << 8 | static_cast<unsigned char>(c);
            const bool negative = (static_cast<unsigned char>(value->front()) & 0x80) != 0;
            return negative ? page_wish{} : page_wish{kind::rows, number};
        }
        std::uint64_t number = 0;
        const auto* end = value->data() + value->size();
        const auto [stop, error] = std::from_chars(value->data(), end, number);
        if (error == std::errc::result_out_of_range)
            return {kind::rows, std::numeric_limits<std::uint64_t>::max()};
        return error == std::errc{} && stop == end ? page_wish{kind::rows, number} : page_wish{};
    }
    return {};
}

}  // namespace

page_wish page_of(const statement_text& text, std::size_t statement, const protocol::bind* values) {
    const auto& s = text.facts().statements[statement];
    if (s.kind != policy::statement_kind::select || s.writes_into) return {};
    switch (s.page_limit.is) {
        case policy::limit_clause::kind::none:
            return {kind::all};
        case policy::limit_clause::kind::literal: {
            const auto number = policy::literal_number(text.sql, s.page_limit.number);
            return number ? page_wish{kind::rows, *number} : page_wish{};
        }
        case policy::limit_clause::kind::parameter:
            if (values == nullptr || s.page_limit.number == 0) return {};
            return bound_value(*values, s.page_limit.number - 1);
        case policy::limit_clause::kind::other:
            break;
    }
    return {};
}

}  // namespace pgsidecar::core

// How many rows a SELECT asks for, as its LIMIT says it: a literal of the text, or a value bound to
// a parameter.
#pragma once
#include <cstdint>

#include "protocol/frontend.h"
#include "proxy/core/decider.h"

namespace pgsidecar::core {

struct page_wish {
    enum class kind : std::uint8_t {
        all,      // no LIMIT, or LIMIT NULL
        rows,     // so many
        unknown,  // computed, or not one plain SELECT
    };
    kind is = kind::unknown;
    std::uint64_t rows = 0;
};

// Of the statement at that place in the text. `values`: of the Bind; null where there is none.
[[nodiscard]] page_wish page_of(const statement_text& text, std::size_t statement,
                                const protocol::bind* values);

}  // namespace pgsidecar::core

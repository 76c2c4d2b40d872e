// What the tests of this folder share: the problems of a text as lines, shown as such on failure.
#pragma once
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "config/tree.h"

namespace doctest {
template <>
struct StringMaker<std::vector<std::string>> {
    static String convert(const std::vector<std::string>& texts) {
        std::string out = "{";
        for (const std::string& text : texts) out.append("\n    ").append(text);
        return (out + "}").c_str();
    }
};
}  // namespace doctest

namespace pgsidecar::config {

using lines = std::vector<std::string>;

// As often as it fits into so many bytes.
inline std::string repeat(std::string_view piece, std::size_t bytes) {
    std::string out;
    while (out.size() + piece.size() <= bytes) out += piece;
    return out;
}

inline lines problems_of(const load_result& r) {
    lines out;
    for (const problem& p : r.problems) out.push_back(to_string(p));
    return out;
}

inline lines problems(std::string_view yaml, const std::vector<std::string>& overrides = {}) {
    return problems_of(load_text(yaml, "f", overrides));
}

// Of a file that is not the configuration itself.
inline lines problems_of(const std::vector<text_problem>& problems) {
    lines out;
    for (const text_problem& p : problems) {
        out.push_back(to_string(problem{"f", p.line, p.column, p.key, p.reason}));
    }
    return out;
}

}  // namespace pgsidecar::config

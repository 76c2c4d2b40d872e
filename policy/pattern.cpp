#include "policy/pattern.h"

#include <cstddef>

namespace pgsidecar::policy {

// Remember only the last '*': a later one makes the earlier irrelevant, so at most
// |pattern| * |text| steps and no recursion.
bool matches_glob(std::string_view pattern, std::string_view text) noexcept {
    std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
    while (t < text.size()) {
        // '*' first: it is always a wildcard, also when the text holds a literal star there.
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

bool matches_table(std::string_view pattern, std::string_view schema,
                   std::string_view table) noexcept {
    if (pattern == "*") return true;
    const auto dot = pattern.find('.');
    if (dot == std::string_view::npos) return schema == "public" && matches_glob(pattern, table);
    return matches_glob(pattern.substr(0, dot), schema) &&
           matches_glob(pattern.substr(dot + 1), table);
}

bool matches_function(std::string_view pattern, std::string_view schema,
                      std::string_view name) noexcept {
    const auto dot = pattern.find('.');
    if (dot == std::string_view::npos) return matches_glob(pattern, name);
    return matches_glob(pattern.substr(0, dot), schema) &&
           matches_glob(pattern.substr(dot + 1), name);
}

}  // namespace pgsidecar::policy

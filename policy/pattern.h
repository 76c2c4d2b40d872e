// Glob patterns over identifiers: '*' is any run of characters, '?' is one. Matching is exact about
// case, linear in memory and never exponential in time.
#pragma once
#include <string_view>

namespace pgsidecar::policy {

[[nodiscard]] bool matches_glob(std::string_view pattern, std::string_view text) noexcept;

// A rule's table pattern, "schema.table". Without a dot it means schema public; "*" alone means
// every table of every schema.
[[nodiscard]] bool matches_table(std::string_view pattern, std::string_view schema,
                                 std::string_view table) noexcept;

// A rule's function name, "schema.name" or "name" in any schema; globs allowed.
[[nodiscard]] bool matches_function(std::string_view pattern, std::string_view schema,
                                    std::string_view name) noexcept;

}  // namespace pgsidecar::policy

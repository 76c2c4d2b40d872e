#include "policy/pattern.h"

#include <doctest/doctest.h>

#include <string>

namespace pgsidecar::policy {

TEST_CASE("glob: each pattern says exactly what it matches") {
    static constexpr struct {
        const char* pattern;
        const char* text;
        bool want;
    } rows[] = {
        {"", "", true},         {"", "a", false},         {"*", "", true},
        {"*", "abc", true},     {"a*", "abc", true},      {"a*", "bac", false},
        {"*c", "abc", true},    {"*c", "abcd", false},    {"a*c", "ac", true},
        {"a*c", "abbbc", true}, {"a*b*c", "aXbYc", true}, {"a*b*c", "aXcYb", false},
        {"?", "", false},       {"?", "a", true},         {"??", "a", false},
        {"a?c", "abc", true},   {"a?c", "ac", false},     {"*?", "", false},
        {"*?", "x", true},      {"**", "x", true},        {"abc", "ABC", false},
        {"a*a", "a", false},    {"*aab", "aaab", true},   {"[a]", "a", false},
        {"[a]", "[a]", true},   {"*b", "*b", true},       {"a**b", "ab", true},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.pattern});
        CAPTURE(std::string{row.text});
        CHECK(matches_glob(row.pattern, row.text) == row.want);
    }
}

TEST_CASE("glob: many stars against a long text do not explode") {
    std::string pattern, text(20000, 'a');
    for (int i = 0; i < 50; ++i) pattern += "*a";
    CHECK_FALSE(matches_glob(pattern + "b", text));
    CHECK(matches_glob(pattern, text));
}

TEST_CASE("table pattern: without a dot it is schema public, never any schema") {
    CHECK(matches_table("drugs", "public", "drugs"));
    CHECK_FALSE(matches_table("drugs", "tenant_a", "drugs"));
    CHECK(matches_table("d*", "public", "drugs"));
    CHECK(matches_table("tenant_*.drugs", "tenant_a", "drugs"));
    CHECK_FALSE(matches_table("tenant_*.drugs", "tenant_a", "orders"));
    CHECK(matches_table("*.drugs", "x", "drugs"));
    CHECK(matches_table("*", "tenant_a", "drugs"));
    CHECK(matches_table("*.*", "tenant_a", "drugs"));
    // The star of a schema does not run over the dot into the table.
    CHECK_FALSE(matches_table("tenant*.x", "tenant", "a.x.y"));
    CHECK(matches_table("a.b.c", "a", "b.c"));
}

TEST_CASE("function pattern: without a dot any schema") {
    CHECK(matches_function("similarity", "public", "similarity"));
    CHECK(matches_function("similarity", "extensions", "similarity"));
    CHECK_FALSE(matches_function("public.similarity", "extensions", "similarity"));
    CHECK(matches_function("reporting.*", "reporting", "total"));
    CHECK_FALSE(matches_function("total", "reporting", "total_all"));
}

}  // namespace pgsidecar::policy

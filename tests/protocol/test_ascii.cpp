#include <doctest/doctest.h>

#include "protocol/ascii.h"

using namespace pgsidecar::protocol;

TEST_CASE("ascii: letters alone change their case, and bytes of other characters never") {
    for (int i = 0; i < 256; ++i) {
        CAPTURE(i);
        const char c = static_cast<char>(i);
        CHECK(ascii_lower(c) == (i >= 'A' && i <= 'Z' ? static_cast<char>(i + 32) : c));
    }
    CHECK(lower_case("ABYZ[@`az\xc3\x9c 19") == "abyz[@`az\xc3\x9c 19");
    CHECK(same_in_any_case("TimeZone", "tIMEzONE"));
    CHECK_FALSE(same_in_any_case("timezone", "timezones"));
    CHECK_FALSE(same_in_any_case("[", "{"));
    CHECK_FALSE(same_in_any_case("\xc3\x9c", "\xc3\xbc"));
}

TEST_CASE("ascii: what is printed holds no control character") {
    CHECK(printable("a\nb\x1b[2J\x7f\xc3\xa9") == "a\\x0ab\\x1b[2J\\x7f\xc3\xa9");
    for (int i = 0; i < 0x20; ++i) {
        const auto out = printable(std::string(1, static_cast<char>(i)));
        CAPTURE(i);
        CHECK(out.size() == 4);
        CHECK(out.starts_with("\\x"));
    }
}

#include "config/address.h"

#include <doctest/doctest.h>

#include <string>

using namespace pgsidecar::config;

namespace {

// Sixteen bytes as hex digits, nothing for a text that is no address.
std::string bytes_of(std::string_view text) {
    static constexpr std::string_view hex = "0123456789abcdef";
    const std::string exact{text};  // a copy of just that size
    const auto address = read_ip_address(exact);
    std::string out;
    if (!address) return out;
    for (const auto byte : *address) out += {hex[byte >> 4], hex[byte & 15]};
    return out;
}

}  // namespace

TEST_CASE("addresses: each text has one value") {
    static constexpr struct {
        const char* text;
        const char* want;
    } rows[] = {
        {"0.0.0.0", "00000000000000000000ffff00000000"},
        {"1.2.3.4", "00000000000000000000ffff01020304"},
        {"255.255.255.255", "00000000000000000000ffffffffffff"},
        {"::ffff:1.2.3.4", "00000000000000000000ffff01020304"},
        {"::FFFF:102:304", "00000000000000000000ffff01020304"},
        {"::1.2.3.4", "00000000000000000000000001020304"},
        {"::", "00000000000000000000000000000000"},
        {"::1", "00000000000000000000000000000001"},
        {"1::", "00010000000000000000000000000000"},
        {"1::2", "00010000000000000000000000000002"},
        {"fe80::abcd:0:1", "fe800000000000000000abcd00000001"},
        {"1:2:3:4:5:6:7:8", "00010002000300040005000600070008"},
        {"1:2:3:4:5:6:7::", "00010002000300040005000600070000"},
        {"::2:3:4:5:6:7:8", "00000002000300040005000600070008"},
        {"1:2:3::5:6:7:8", "00010002000300000005000600070008"},
        {"1:2:3:4:5:6:7.8.9.10", "0001000200030004000500060708090a"},
        {"1::7.8.9.10", "0001000000000000000000000708090a"},
        {"2001:0DB8::00ff", "20010db80000000000000000000000ff"},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.text});
        CHECK(bytes_of(row.text) == row.want);
    }
}

TEST_CASE("addresses: what other readers take, or might, is refused") {
    static constexpr const char* texts[] = {
        "",
        ".",
        "1",
        "127.1",
        "1.2.3",
        "1.2.3.",
        ".1.2.3",
        "1.2.3.4.",
        "1.2.3.4.5",
        "1..2.3",
        "256.0.0.1",
        "1.2.3.999",
        "1.2.3.0004",
        "01.2.3.4",
        "010.0.0.1",
        "00.0.0.0",
        "0x7f.0.0.1",
        "1.2.3.4a",
        "+1.2.3.4",
        "-1.2.3.4",
        " 1.2.3.4",
        "1.2.3.4 ",
        "1.2.3.4/8",
        "1.2.3.4:5",
        "2130706433",
        "localhost",
        ":",
        ":::",
        "::::",
        ":1",
        "1:",
        "1:2",
        ":1::",
        "1:::2",
        "1::2::3",
        "::1::",
        "1::2:",
        ":1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7:8:",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1::2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "1:2:3:4::5:6:7:8",
        "00001::",
        "1::g",
        "0x1::",
        "+1::",
        "1::-1",
        "::1.2.3",
        "::1.2.3.4.5",
        "::01.2.3.4",
        "::1.2.3.4:5",
        "1.2.3.4::",
        "::1.2.3.4::",
        "1:2:3:4:5:6:7:1.2.3.4",
        "1:2:3:4:5:6:7:8:1.2.3.4",
        "1:2:3:4:5:1.2.3.4",
        "1::2:3:4:5:6:1.2.3.4",
        "fe80::1%eth0",
        "fe80::1%1",
        "[::1]",
        "::1/128",
        " ::1",
        "::1 ",
        "::ffff:256.0.0.1",
    };
    for (const char* text : texts) {
        CAPTURE(std::string{text});
        CHECK(bytes_of(text).empty());
    }
    CHECK(bytes_of(std::string_view{"1.2.3.4\0", 8}).empty());
    CHECK(bytes_of(std::string_view{"::1\0", 4}).empty());
}

TEST_CASE("addresses: IPv4 is told by its place") {
    CHECK(holds_ipv4(*read_ip_address("0.0.0.0")));
    CHECK(holds_ipv4(*read_ip_address("::ffff:10.0.0.1")));
    for (const char* text :
         {"::", "::1", "::10.0.0.1", "::fffe:10.0.0.1", "1::ffff:10.0.0.1", "::1:ffff:10.0.0.1"}) {
        CAPTURE(std::string{text});
        CHECK_FALSE(holds_ipv4(*read_ip_address(text)));
    }
}

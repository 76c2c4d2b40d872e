#include "protocol/base64.h"

#include "tests/protocol/support.h"

namespace pgsidecar::protocol::test {
namespace {

int decode_error(std::string_view text) {
    std::string out = "left from before";
    const auto error = base64_decode(exact{text}, out);
    if (error) CHECK(out.empty());
    return error.value();
}

}  // namespace

TEST_CASE("base64: the vectors of RFC 4648") {
    const struct {
        std::string_view plain;
        std::string_view text;
    } rows[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"}};
    for (const auto& r : rows) {
        CHECK(base64_encode(r.plain) == r.text);
        CHECK(base64_decoded_size(r.text) == r.plain.size());
        std::string back = "left from before";
        CHECK_FALSE(base64_decode(r.text, back));
        CHECK(back == r.plain);
    }
}

TEST_CASE("base64: every byte at every place comes back") {
    for (std::size_t at = 0; at < 3; ++at) {
        for (int c = 0; c < 256; ++c) {
            std::string plain(3, '\xa5');
            plain[at] = static_cast<char>(c);
            for (std::size_t size = at + 1; size <= 3; ++size) {
                std::string back;
                REQUIRE_FALSE(base64_decode(base64_encode(plain.substr(0, size)), back));
                REQUIRE(back == plain.substr(0, size));
            }
        }
    }
}

TEST_CASE("base64: lengths and forms that are none") {
    CHECK(decode_error("Zg") == int(errc::bad_length));
    CHECK(decode_error("Zg=") == int(errc::bad_length));
    CHECK(decode_error("Zm9vY") == int(errc::bad_length));
    CHECK(decode_error("Z===") == int(errc::bad_value));
    CHECK(decode_error("====") == int(errc::bad_value));
    CHECK(decode_error("Zg==Zg==") == int(errc::bad_value));
    CHECK(decode_error("Z=g=") == int(errc::bad_value));
    CHECK(decode_error("=Zg=") == int(errc::bad_value));
    CHECK(decode_error("Zm 9") == int(errc::bad_value));
    CHECK(decode_error("Zm-_") == int(errc::bad_value));
    CHECK(decode_error("Zm9\0"sv) == int(errc::bad_value));
    CHECK(decode_error("Zm9\xff"sv) == int(errc::bad_value));
}

TEST_CASE("base64: stray bits behind the value are refused, so one value has one text") {
    CHECK(decode_error("Zg==") == 0);
    CHECK(decode_error("Zh==") == int(errc::bad_value));
    CHECK(decode_error("Zm8=") == 0);
    CHECK(decode_error("Zm9=") == int(errc::bad_value));
}

TEST_CASE("base64_encode: appends") {
    std::string out = "s=";
    base64_encode(out, "foo");
    CHECK(out == "s=Zm9v");
}

}  // namespace pgsidecar::protocol::test

#include "protocol/bytes.h"

#include "protocol/lists.h"
#include "tests/protocol/support.h"

namespace pgsidecar::protocol::test {

TEST_CASE("reader: integers are big-endian and signed where they say so") {
    const exact in{"\x01\x80\x02\x80\x00\x00\x03\xff\xff\xff\xfe\xff\xfd"sv};
    reader r{in};
    CHECK(r.u8() == 1);
    CHECK(r.u16() == 0x8002);
    CHECK(r.u32() == 0x80000003U);
    CHECK(r.i32() == -2);
    CHECK(r.i16() == -3);
    CHECK_FALSE(r.finish());
}

TEST_CASE("reader: the first failure sticks and nothing is read behind it") {
    const exact in{"\0\1rest\0more"sv};
    reader r{in};
    CHECK(r.u32() == 0x00017265U);
    CHECK(r.take(100).empty());
    CHECK(r.remaining() == 0);
    CHECK(r.cstring().empty());
    CHECK(r.u8() == 0);
    r.fail(errc::bad_value);
    CHECK(r.error() == errc::truncated);
    CHECK(r.finish() == errc::truncated);
}

TEST_CASE("reader: cstring needs its zero byte, finish reports what is left") {
    const exact unterminated{"abc"sv};
    reader a{unterminated};
    CHECK(a.cstring().empty());
    CHECK(a.finish() == errc::truncated);

    const exact longer{"abc\0d"sv};
    reader b{longer};
    CHECK(b.cstring() == "abc");
    CHECK(b.finish() == errc::trailing_bytes);
}

TEST_CASE("reader: empty input gives nothing, also from a null view") {
    reader r{bytes{}};
    CHECK(r.rest().empty());
    CHECK_FALSE(r.finish());
    CHECK(r.u16() == 0);
    CHECK(r.finish() == errc::truncated);
}

TEST_CASE("writer: what the reader reads") {
    std::string out = "x";
    writer w{out};
    w.begin('T');
    w.u8(200);
    w.i16(-2);
    w.u16(65535);
    w.i32(-70000);
    w.u32(4000000000U);
    w.cstring("name");
    w.raw("tail");
    w.end();
    reader r{out};
    CHECK(r.take(2) == "xT");
    CHECK(r.u32() == out.size() - 2);
    CHECK(r.u8() == 200);
    CHECK(r.i16() == -2);
    CHECK(r.u16() == 65535);
    CHECK(r.i32() == -70000);
    CHECK(r.u32() == 4000000000U);
    CHECK(r.cstring() == "name");
    CHECK(r.rest() == "tail");
}

TEST_CASE("writer: a zero byte in a text cannot start another field") {
    std::string out;
    writer{out}.cstring("user\0database\0other"sv);
    CHECK(out == "user\0"sv);
}

TEST_CASE("writer: each begin has its own length") {
    std::string out;
    writer w{out};
    w.begin('1');
    w.end();
    w.begin_untyped();
    w.u16(7);
    w.end();
    CHECK(out == "1\0\0\0\4\0\0\0\6\0\7"sv);
}

TEST_CASE("lists: one that was never read is empty and is written as a count of zero") {
    const value_list values;
    CHECK(values.count() == 0);
    CHECK(values.empty());
    CHECK(values.begin() == values.end());
    std::string out;
    writer w{out};
    write_list(w, values);
    CHECK(out == "\0\0"sv);
}

TEST_CASE("lists: NULL, empty and long values stay apart") {
    const exact in{"\0\3\xff\xff\xff\xff\0\0\0\0\0\0\0\2ab"sv};
    reader r{in};
    const auto values = value_list::read(r);
    REQUIRE_FALSE(r.finish());
    REQUIRE(values.count() == 3);
    auto at = values.begin();
    CHECK_FALSE((*at).has_value());
    CHECK(*++at == std::optional<bytes>{""sv});
    CHECK(*++at == std::optional<bytes>{"ab"sv});
    CHECK(++at == values.end());
    CHECK(values.raw() == bytes{in});
}

TEST_CASE("lists: 65535 items are allowed, for the count is unsigned") {
    const std::string body = "\xff\xff" + repeat(65535, "\xff\xff\xff\xff");
    const exact in{body};
    reader r{in};
    const auto values = value_list::read(r);
    CHECK_FALSE(r.finish());
    CHECK(values.count() == 65535);
    CHECK(std::count(values.begin(), values.end(), std::nullopt) == 65535);
}

TEST_CASE("lists: a failed read leaves an empty list, not half of one") {
    const exact in{"\0\2\0\0\0\1a\0\0\0\5b"sv};
    reader r{in};
    const auto values = value_list::read(r);
    CHECK(r.error() == errc::truncated);
    CHECK(values.empty());
    CHECK(values.raw().empty());
}

TEST_CASE("error: every code has a text of its own") {
    std::string seen;
    for (int code = int(errc::truncated); code <= int(errc::unsupported_version); ++code) {
        const auto text = make_error_code(static_cast<errc>(code)).message();
        CHECK(seen.find(text) == std::string::npos);
        seen += text + "\n";
    }
    CHECK(make_error_code(static_cast<errc>(99)).message() == "unknown protocol error");
    CHECK(category().name() == "pgsidecar.protocol"sv);
}

}  // namespace pgsidecar::protocol::test

#include "protocol/framer.h"

#include <vector>

#include "tests/protocol/support.h"

namespace pgsidecar::protocol::test {
namespace {

struct seen {
    char type;
    std::string whole;
    bool operator==(const seen&) const = default;
};

// Takes every complete frame off the front of `buffer`, as a session's read loop does.
peek_result drain(std::string& buffer, std::vector<seen>& out) {
    for (;;) {
        const exact view{buffer};
        frame f;
        std::error_code error;
        const auto result = next(view, f, error);
        if (result != peek_result::ok) return result;
        CHECK(f.whole.substr(5) == f.body);
        CHECK(f.whole.front() == f.type);
        out.push_back({f.type, std::string{f.whole}});
        buffer.erase(0, f.whole.size());
    }
}

std::string stream() {
    return framed('S', "") + framed('Q', "select 1\0"sv) + framed('D', std::string(300, 'x')) +
           framed('Z', "I") + framed('d', "");
}

int head_error(bytes in) {
    head h;
    std::error_code error;
    return peek_head(exact{in}, h, error) == peek_result::bad ? error.value() : 0;
}

int startup_error(bytes in) {
    head h;
    std::error_code error;
    return peek_startup_head(exact{in}, h, error) == peek_result::bad ? error.value() : 0;
}

}  // namespace

TEST_CASE("framer: a stream split at any point gives the same frames") {
    std::vector<seen> want;
    auto whole = stream();
    REQUIRE(drain(whole, want) == peek_result::need_more);
    REQUIRE(whole.empty());
    REQUIRE(want.size() == 5);
    CHECK(want[2].whole.size() == 305);

    const auto all = stream();
    for (std::size_t first = 0; first <= all.size(); ++first) {
        CAPTURE(first);
        std::vector<seen> got;
        std::string buffer = all.substr(0, first);
        CHECK(drain(buffer, got) == peek_result::need_more);
        buffer += all.substr(first);
        CHECK(drain(buffer, got) == peek_result::need_more);
        CHECK(got == want);
        CHECK(buffer.empty());
    }
}

TEST_CASE("framer: a stream that comes byte by byte gives the same frames") {
    std::vector<seen> want;
    std::vector<seen> got;
    auto whole = stream();
    REQUIRE(drain(whole, want) == peek_result::need_more);
    std::string buffer;
    for (const char c : stream()) {
        buffer.push_back(c);
        REQUIRE(drain(buffer, got) == peek_result::need_more);
    }
    CHECK(got == want);
}

TEST_CASE("framer: the head is known from five bytes, before the body is there") {
    head h;
    std::error_code error;
    const auto in = "D\x0b\xeb\xc2\x04"sv;  // 200 million bytes and the length itself
    for (std::size_t size = 0; size < in.size(); ++size) {
        CHECK(peek_head(exact{in.substr(0, size)}, h, error) == peek_result::need_more);
    }
    REQUIRE(peek_head(exact{in}, h, error) == peek_result::ok);
    CHECK(h.type == 'D');
    CHECK(h.length == 200'000'005);
    frame f;
    CHECK(next(exact{in}, f, error) == peek_result::need_more);
}

TEST_CASE("framer: lengths at and beyond the bounds") {
    CHECK(head_error("Q\0\0\0\0"sv) == int(errc::bad_length));
    CHECK(head_error("Q\0\0\0\3"sv) == int(errc::bad_length));
    CHECK(head_error("Q\0\0\0\4"sv) == 0);
    CHECK(head_error("Q\x40\x00\x00\x02"sv) == 0);  // the longest that a server can send
    CHECK(head_error("Q\x40\x00\x00\x03"sv) == int(errc::too_long));
    CHECK(head_error("Q\x7f\xff\xff\xff"sv) == int(errc::too_long));
    CHECK(head_error("Q\xff\xff\xff\xff"sv) == int(errc::too_long));
}

TEST_CASE("framer: start-up lengths at and beyond the server's bounds") {
    CHECK(startup_error("\0\0\0\0"sv) == int(errc::bad_length));
    CHECK(startup_error("\0\0\0\7"sv) == int(errc::bad_length));
    CHECK(startup_error("\0\0\0\x8"sv) == 0);
    CHECK(startup_error("\0\0\x27\x14"sv) == 0);  // 4 + 10000
    CHECK(startup_error("\0\0\x27\x15"sv) == int(errc::too_long));
    CHECK(startup_error("\xff\xff\xff\xff"sv) == int(errc::too_long));
    CHECK(startup_error("\0\0\0"sv) == 0);
}

TEST_CASE("framer: a TLS handshake or an HTTP request is no start-up packet") {
    CHECK(startup_error("\x16\x03\x01\x02\x00\x01"sv) == int(errc::too_long));
    CHECK(startup_error("GET / HTTP/1.1\r\n"sv) == int(errc::too_long));
}

TEST_CASE("framer: bytes behind an SSLRequest in one segment are not part of it") {
    const exact in{"\0\0\0\x8\x04\xd2\x16\x2f\0\0\0\x9injected"sv};
    frame f;
    std::error_code error;
    REQUIRE(next_startup(in, f, error) == peek_result::ok);
    CHECK(f.type == 0);
    CHECK(f.whole.size() == 8);
    CHECK(f.body == "\x04\xd2\x16\x2f"sv);
}

TEST_CASE("framer: a start-up packet is complete at its last byte and not before") {
    const auto in = "\0\0\0\x9\0\3\0\0\0"sv;
    frame f;
    std::error_code error;
    for (std::size_t size = 0; size < in.size(); ++size) {
        CAPTURE(size);
        CHECK(next_startup(exact{in.substr(0, size)}, f, error) == peek_result::need_more);
    }
    CHECK(next_startup(exact{in}, f, error) == peek_result::ok);
    CHECK(next_startup(exact{"\0\0\0\1"sv}, f, error) == peek_result::bad);
    CHECK(error == errc::bad_length);
}

}  // namespace pgsidecar::protocol::test

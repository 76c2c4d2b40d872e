#include "protocol/startup.h"

#include "tests/protocol/support.h"

namespace pgsidecar::protocol::test {
namespace {

std::string packet(bytes body) { return framed('x', body).substr(1); }

int startup_outcome(bytes body) { return outcome<startup_packet>(body); }

constexpr auto three_zero = "\0\3\0\0"sv;
constexpr auto cancel_code = "\x04\xd2\x16\x2e"sv;

std::string cancel_body(std::size_t key_size) {
    return std::string{cancel_code} + "\0\0\1\2"s + std::string(key_size, 'k');
}

}  // namespace

TEST_CASE("startup: each body yields one named outcome") {
    const std::initializer_list<row> rows = {
        {"SSLRequest", "\x04\xd2\x16\x2f"sv, 0},
        {"GSSENCRequest", "\x04\xd2\x16\x30"sv, 0},
        {"no parameters", "\0\3\0\0\0"sv, 0},
        {"user and database", "\0\3\0\0user\0ann\0database\0shop\0\0"sv, 0},
        {"empty value", "\0\3\0\2user\0\0\0"sv, 0},
        {"minor version of the future", "\0\3\0\x63user\0ann\0\0"sv, 0},
        {"duplicate names", "\0\3\0\0user\0a\0user\0b\0\0"sv, 0},
        {"protocol 2", "\0\2\0\0user\0ann\0\0"sv, int(errc::unsupported_version)},
        {"protocol 4", "\0\4\0\0user\0ann\0\0"sv, int(errc::unsupported_version)},
        {"unknown request code", "\x04\xd2\x16\x31"sv, int(errc::unsupported_version)},
        {"SSLRequest and more", "\x04\xd2\x16\x2fx"sv, int(errc::trailing_bytes)},
        {"no terminator", "\0\3\0\0"sv, int(errc::not_terminated)},
        {"no terminator behind a pair", "\0\3\0\0user\0ann\0"sv, int(errc::not_terminated)},
        {"name without a value", "\0\3\0\0user\0"sv, int(errc::truncated)},
        {"odd parameters", "\0\3\0\0user\0ann\0database\0\0"sv, int(errc::not_terminated)},
        {"value without its end", "\0\3\0\0user\0ann"sv, int(errc::truncated)},
        {"empty name amid pairs", "\0\3\0\0user\0ann\0\0x\0y\0\0"sv, int(errc::trailing_bytes)},
        {"no code", ""sv, int(errc::truncated)},
        {"half a code", "\0\3\0"sv, int(errc::truncated)},
    };
    for (const auto& r : rows) {
        CAPTURE(r.name);
        CHECK(startup_outcome(r.body) == r.want);
        if (r.want != 0) continue;
        const exact copy{r.body};
        startup_packet got;
        REQUIRE_FALSE(parse(copy, got));
        std::string written;
        write(written, got);
        CHECK(written == packet(r.body));
        for (std::size_t size = 0; size < r.body.size(); ++size) {
            CHECK(startup_outcome(r.body.substr(0, size)) != 0);
        }
        CHECK(startup_outcome(std::string{r.body} + '\0') == int(errc::trailing_bytes));
    }
}

TEST_CASE("startup: parameters keep their order, and the last of a name counts as on the server") {
    const exact in{"\0\3\0\2user\0ann\0options\0-c a=b\0user\0bob\0_pq_.x\0\0\0"sv};
    startup_packet got;
    REQUIRE_FALSE(parse(in, got));
    const auto& m = std::get<startup_message>(got);
    CHECK(m.version() == protocol_3_2);
    REQUIRE(m.parameters.size() == 4);
    CHECK(m.parameters[1] == startup_parameter{"options", "-c a=b"});
    CHECK(m.find("user") == "bob");
    CHECK(m.find("_pq_.x") == "");
    CHECK_FALSE(m.find("database").has_value());
    CHECK_FALSE(m.find("").has_value());
}

TEST_CASE("startup: cancel keys of 4 to 256 bytes") {
    CHECK(startup_outcome(cancel_body(0)) == int(errc::truncated));
    CHECK(startup_outcome(cancel_body(3)) == int(errc::truncated));
    CHECK(startup_outcome(cancel_body(4)) == 0);
    CHECK(startup_outcome(cancel_body(256)) == 0);
    CHECK(startup_outcome(cancel_body(257)) == int(errc::too_long));
    CHECK(startup_outcome(std::string{cancel_code} + "\0\0"s) == int(errc::truncated));

    const auto body = cancel_body(32);
    const exact in{body};
    startup_packet got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(std::get<cancel_request>(got).pid == 0x102);
    CHECK(std::get<cancel_request>(got).key == std::string(32, 'k'));
    std::string written;
    write(written, got);
    CHECK(written == packet(body));
}

TEST_CASE("startup: a packet of nothing but names stays within its own size") {
    const auto body = std::string{three_zero} + repeat(2499, "a\0b\0"s) + '\0';
    const exact in{body};
    startup_packet got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(std::get<startup_message>(got).parameters.size() == 2499);
}

TEST_CASE("startup: writers make the packets that the documentation shows") {
    std::string out;
    write_ssl_request(out);
    CHECK(out == "\0\0\0\x8\x04\xd2\x16\x2f"sv);
    out.clear();
    write_gssenc_request(out);
    CHECK(out == "\0\0\0\x8\x04\xd2\x16\x30"sv);
    out.clear();
    write_cancel_request(out, 7, "\1\2\3\4"sv);
    CHECK(out == "\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\7\1\2\3\4"sv);
    out.clear();
    const startup_parameter parameters[] = {{"user", "ann"}};
    write_startup(out, protocol_3_0, parameters);
    CHECK(out == "\0\0\0\x12\0\3\0\0user\0ann\0\0"sv);
}

TEST_CASE("negotiate_protocol_version: each body yields one named outcome") {
    check_closed<negotiate_protocol_version>({
        {"no options", "\0\3\0\0\0\0\0\0"sv, 0},
        {"two options", "\0\3\0\2\0\0\0\2_pq_.a\0_pq_.b\0"sv, 0},
        {"negative count", "\0\3\0\0\xff\xff\xff\xff"sv, int(errc::bad_value)},
        {"count beyond the names", "\0\3\0\0\0\0\0\2_pq_.a\0"sv, int(errc::truncated)},
        {"huge count", "\0\3\0\0\x7f\xff\xff\xff"sv, int(errc::truncated)},
        {"count below the names", "\0\3\0\0\0\0\0\0_pq_.a\0"sv, int(errc::trailing_bytes)},
    });
    const exact in{"\0\3\0\2\0\0\0\2_pq_.a\0_pq_.b\0"sv};
    negotiate_protocol_version got;
    got.unrecognised.emplace_back("left from before");
    REQUIRE_FALSE(parse(in, got));
    CHECK(got.newest == protocol_3_2);
    CHECK(got.unrecognised == std::vector<std::string_view>{"_pq_.a", "_pq_.b"});
}

}  // namespace pgsidecar::protocol::test

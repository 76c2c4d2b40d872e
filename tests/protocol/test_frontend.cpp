#include "protocol/frontend.h"

#include <vector>

#include "tests/protocol/support.h"

namespace pgsidecar::protocol::test {

TEST_CASE("query, password, copy_fail: one text and its zero byte") {
    check_closed<query>({{"ok", "select 1\0"sv, 0},
                         {"empty", "\0"sv, 0},
                         {"nothing", ""sv, int(errc::truncated)},
                         {"zero byte inside", "select\0 1\0"sv, int(errc::trailing_bytes)}});
    check_closed<password>({{"ok", "secret\0"sv, 0}, {"no end", "secret"sv, int(errc::truncated)}});
    check_closed<copy_fail>({{"ok", "gave up\0"sv, 0}});
}

TEST_CASE("parse: each body yields one named outcome") {
    check_closed<parse_message>({
        {"no types", "s1\0select $1\0\0\0"sv, 0},
        {"unnamed", "\0select 1\0\0\0"sv, 0},
        {"two types", "s\0q\0\0\2\0\0\0\x17\0\0\0\0"sv, 0},
        {"count beyond the types", "s\0q\0\0\3\0\0\0\x17\0\0\0\0"sv, int(errc::truncated)},
        {"count of 65535", "s\0q\0\xff\xff\0\0\0\x17"sv, int(errc::truncated)},
        {"count below the types", "s\0q\0\0\1\0\0\0\x17\0\0\0\0"sv, int(errc::trailing_bytes)},
    });
    const exact in{"s\0q\0\0\2\0\0\0\x17\xff\xff\xff\xff"sv};
    parse_message got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got.name == "s");
    CHECK(got.sql == "q");
    REQUIRE(got.types.count() == 2);
    CHECK(got.types[0] == 23);
    CHECK(got.types[1] == 0xffffffffU);
}

TEST_CASE("bind: each body yields one named outcome") {
    check_closed<bind>({
        {"nothing bound", "\0\0\0\0\0\0\0\0"sv, 0},
        {"names", "p\0s\0\0\0\0\0\0\0"sv, 0},
        {"NULL, empty, text", "\0s\0\0\1\0\1\0\3\xff\xff\xff\xff\0\0\0\0\0\0\0\2ab\0\1\0\0"sv, 0},
        {"formats for the server to refuse", "\0\0\0\2\0\7\0\x8\0\0\0\0"sv, 0},
        {"length below -1", "\0\0\0\0\0\1\xff\xff\xff\xfe\0\0"sv, int(errc::bad_length)},
        {"lowest length", "\0\0\0\0\0\1\x80\0\0\0\0\0"sv, int(errc::bad_length)},
        {"length beyond the body", "\0\0\0\0\0\1\0\0\0\3ab"sv, int(errc::truncated)},
        {"highest length", "\0\0\0\0\0\1\x7f\xff\xff\xff\0\0"sv, int(errc::truncated)},
        {"formats beyond the body", "\0\0\xff\xff\0\0\0\0"sv, int(errc::truncated)},
        {"values beyond the body", "\0\0\0\0\xff\xff\0\0"sv, int(errc::truncated)},
    });
}

TEST_CASE("bind: lists, and all of them in one view for the key") {
    const exact in{"p\0s\0\0\1\0\1\0\2\xff\xff\xff\xff\0\0\0\2ab\0\2\0\1\0\0"sv};
    bind got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got.portal == "p");
    CHECK(got.statement == "s");
    REQUIRE(got.formats.count() == 1);
    CHECK(got.formats[0] == 1);
    const std::vector<std::optional<bytes>> values{got.values.begin(), got.values.end()};
    CHECK(values == std::vector<std::optional<bytes>>{std::nullopt, "ab"});
    REQUIRE(got.result_formats.count() == 2);
    CHECK(got.result_formats[0] == 1);
    CHECK(got.result_formats[1] == 0);
    CHECK(got.parameters_raw == bytes{in}.substr(4));
}

TEST_CASE("bind: other values, formats or result formats give other raw parameters") {
    // The same bytes in other lists: one value of four bytes against a NULL and result formats.
    const exact one{"\0\0\0\0\0\1\0\0\0\4\0\0\0\0\0\0"sv};
    const exact two{"\0\0\0\0\0\1\0\0\0\0\0\2\0\0\0\0"sv};
    bind a;
    bind b;
    REQUIRE_FALSE(parse(one, a));
    REQUIRE_FALSE(parse(two, b));
    CHECK(a.values != b.values);
    CHECK(a.parameters_raw != b.parameters_raw);
}

TEST_CASE("describe and close: a kind of S or P and a name") {
    const std::initializer_list<row> rows = {
        {"statement", "Ss1\0"sv, 0},
        {"portal", "P\0"sv, 0},
        {"other kind", "Xs1\0"sv, int(errc::bad_value)},
        {"lower case", "ss1\0"sv, int(errc::bad_value)},
        {"no kind", ""sv, int(errc::truncated)},
        {"no end", "Ss1"sv, int(errc::truncated)},
        {"zero kind", "\0\0"sv, int(errc::bad_value)},
    };
    check_closed<describe>(rows);
    check_closed<close>(rows);
    const exact in{"Pportal\0"sv};
    close got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got == close{'P', "portal"});
}

TEST_CASE("execute: each body yields one named outcome") {
    check_closed<execute>({
        {"ok", "p\0\0\0\0\5"sv, 0},
        {"no limit", "\0\0\0\0\0"sv, 0},
        {"no terminator", "p"sv, int(errc::truncated)},
        {"negative limit", "\0\xff\xff\xff\xff"sv, int(errc::bad_value)},
        {"one byte over", "\0\0\0\0\0!"sv, int(errc::trailing_bytes)},
    });
    const exact in{"p\0\0\1\0\5"sv};
    execute got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got == execute{"p", 65541});
}

TEST_CASE("sync, flush, terminate, copy_done: no body at all") {
    check_closed<sync>({{"ok", ""sv, 0}});
    check_closed<flush>({{"ok", ""sv, 0}});
    check_closed<terminate>({{"ok", ""sv, 0}});
    check_closed<copy_done>({{"ok", ""sv, 0}});
}

TEST_CASE("function_call: each body yields one named outcome") {
    check_closed<function_call>({
        {"no arguments", "\0\0\4\xd2\0\0\0\0\0\1"sv, 0},
        {"arguments", "\0\0\4\xd2\0\1\0\1\0\2\0\0\0\1x\xff\xff\xff\xff\0\0"sv, 0},
        {"bad length", "\0\0\4\xd2\0\0\0\1\xff\xff\xff\xf0\0\0"sv, int(errc::bad_length)},
    });
    const exact in{"\0\0\4\xd2\0\0\0\1\0\0\0\1x\0\1"sv};
    function_call got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got.function_oid == 1234);
    CHECK(*got.arguments.begin() == std::optional<bytes>{"x"});
    CHECK(got.result_format == 1);
}

TEST_CASE("sasl_initial_response: each body yields one named outcome") {
    check_closed<sasl_initial_response>({
        {"with data", "SCRAM-SHA-256\0\0\0\0\3n,,"sv, 0},
        {"empty data", "SCRAM-SHA-256\0\0\0\0\0"sv, 0},
        {"no data", "SCRAM-SHA-256\0\xff\xff\xff\xff"sv, 0},
        {"length below -1", "M\0\xff\xff\xff\xfe"sv, int(errc::bad_length)},
        {"length beyond the body", "M\0\0\0\0\4n,,"sv, int(errc::truncated)},
        {"length short of the body", "M\0\0\0\0\2n,,"sv, int(errc::trailing_bytes)},
        {"no mechanism", "\0\0\0\0\0"sv, int(errc::bad_value)},
        {"a plain password", "secret\0"sv, int(errc::truncated)},
    });
    const exact none{"M\0\xff\xff\xff\xff"sv};
    const exact empty{"M\0\0\0\0\0"sv};
    sasl_initial_response got;
    REQUIRE_FALSE(parse(none, got));
    CHECK_FALSE(got.data.has_value());
    REQUIRE_FALSE(parse(empty, got));
    CHECK(got.data == std::optional<bytes>{""});
}

TEST_CASE("messages whose body is data: all of it, whatever it holds") {
    const std::initializer_list<row> rows = {{"empty", ""sv, 0}, {"data", "a\0b\xff"sv, 0}};
    check_rows<sasl_response>(rows);
    check_rows<gss_response>(rows);
    check_rows<copy_data>(rows);
    const exact in{"a\0b"sv};
    copy_data got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got.data == "a\0b"sv);
}

TEST_CASE("write_parse and write_bind: read back as they were given") {
    std::string out;
    const std::uint32_t types[] = {23, 0};
    write_parse(out, "s", "select $1, $2", types);
    CHECK(out == framed('P', "s\0select $1, $2\0\0\2\0\0\0\x17\0\0\0\0"sv));

    out.clear();
    const std::int16_t formats[] = {1, 0};
    const std::optional<bytes> values[] = {std::nullopt, "ab"};
    const std::int16_t results[] = {1};
    write_bind(out, "p", "s", formats, values, results);
    CHECK(out == framed('B', "p\0s\0\0\2\0\1\0\0\0\2\xff\xff\xff\xff\0\0\0\2ab\0\1\0\1"sv));

    out.clear();
    write_bind(out, "", "");
    CHECK(out == framed('B', "\0\0\0\0\0\0\0\0"sv));
}

TEST_CASE("frontend_name: these bytes and no others may come from a client") {
    std::string known;
    for (int c = 0; c < 256; ++c) {
        const auto type = static_cast<char>(c);
        if (!frontend_name(type).empty()) known.push_back(type);
        CHECK((frontend_length_limit(type) == 0) == frontend_name(type).empty());
    }
    CHECK(known == "BCDEFHPQSXcdfp");
    CHECK(frontend_name('p') == "Password");
}

TEST_CASE("frontend_length_limit: as the server, so that no short message can fill the memory") {
    CHECK(frontend_length_limit('Q') == 0x3fffffff);
    CHECK(frontend_length_limit('S') == 10001);
    CHECK(frontend_length_limit('E') == 10001);
    CHECK(frontend_length_limit('p') == 65536);
    CHECK(frontend_length_limit('R') == 0);
}

}  // namespace pgsidecar::protocol::test

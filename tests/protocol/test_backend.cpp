#include "protocol/backend.h"

#include <vector>

#include "tests/protocol/support.h"

namespace pgsidecar::protocol::test {

TEST_CASE("authentication: every kind, and no other") {
    check_closed<authentication>({
        {"ok", "\0\0\0\0"sv, 0},
        {"kerberos", "\0\0\0\2"sv, 0},
        {"cleartext", "\0\0\0\3"sv, 0},
        {"md5", "\0\0\0\5salt"sv, 0},
        {"scm", "\0\0\0\6"sv, 0},
        {"gss", "\0\0\0\7"sv, 0},
        {"sspi", "\0\0\0\x9"sv, 0},
        {"sasl", "\0\0\0\xaSCRAM-SHA-256\0SCRAM-SHA-256-PLUS\0\0"sv, 0},
        {"kind 1", "\0\0\0\1"sv, int(errc::bad_value)},
        {"crypt", "\0\0\0\4ab"sv, int(errc::bad_value)},
        {"kind 13", "\0\0\0\xd"sv, int(errc::bad_value)},
        {"negative kind", "\xff\xff\xff\xff"sv, int(errc::bad_value)},
        {"short salt", "\0\0\0\5sal"sv, int(errc::truncated)},
        {"sasl without a list", "\0\0\0\xa"sv, int(errc::not_terminated)},
        {"sasl with an empty list", "\0\0\0\xa\0"sv, int(errc::bad_value)},
        {"sasl without the last zero", "\0\0\0\xaM\0"sv, int(errc::not_terminated)},
        {"sasl with half a name", "\0\0\0\xaM"sv, int(errc::truncated)},
    });
    check_rows<authentication>({
        {"gss continue", "\0\0\0\x8token"sv, 0},
        {"sasl continue", "\0\0\0\xbr=x"sv, 0},
        {"sasl final", "\0\0\0\xcv=x"sv, 0},
        {"empty token", "\0\0\0\x8"sv, 0},
    });
    const exact in{"\0\0\0\5salt"sv};
    authentication got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got == authentication{auth_kind::md5_password, "salt"});
}

TEST_CASE("authentication: a kind without data clears what the one before had") {
    const exact md5{"\0\0\0\5salt"sv};
    const exact ok{"\0\0\0\0"sv};
    authentication got;
    REQUIRE_FALSE(parse(md5, got));
    REQUIRE_FALSE(parse(ok, got));
    CHECK(got.data.empty());
}

TEST_CASE("backend_key_data: keys of 4 to 256 bytes") {
    const auto body = [](std::size_t size) { return "\0\0\1\2"s + std::string(size, 'k'); };
    CHECK(outcome<backend_key_data>("\0\0\0"sv) == int(errc::truncated));
    CHECK(outcome<backend_key_data>(body(0)) == int(errc::truncated));
    CHECK(outcome<backend_key_data>(body(3)) == int(errc::truncated));
    CHECK(outcome<backend_key_data>(body(257)) == int(errc::too_long));
    check_round_trip<backend_key_data>(body(4));
    check_round_trip<backend_key_data>(body(32));
    check_round_trip<backend_key_data>(body(256));
    const exact in{"\0\0\1\2key!"sv};
    backend_key_data got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got == backend_key_data{258, "key!"});
}

TEST_CASE("messages without a body") {
    check_closed<bind_complete>({{"ok", ""sv, 0}});
    check_closed<close_complete>({{"ok", ""sv, 0}});
    check_closed<empty_query_response>({{"ok", ""sv, 0}});
    check_closed<no_data>({{"ok", ""sv, 0}});
    check_closed<parse_complete>({{"ok", ""sv, 0}});
    check_closed<portal_suspended>({{"ok", ""sv, 0}});
}

TEST_CASE("command_complete: a tag and its number of rows") {
    check_closed<command_complete>({{"ok", "SELECT 5\0"sv, 0}, {"empty", "\0"sv, 0}});
    CHECK(command_complete{"SELECT 5"}.row_count() == 5);
    CHECK(command_complete{"INSERT 0 12"}.row_count() == 12);
    CHECK(command_complete{"COPY 18446744073709551615"}.row_count() == 18446744073709551615U);
    CHECK_FALSE(command_complete{"COPY 18446744073709551616"}.row_count().has_value());
    CHECK_FALSE(command_complete{"BEGIN"}.row_count().has_value());
    CHECK_FALSE(command_complete{"CREATE TABLE"}.row_count().has_value());
    CHECK_FALSE(command_complete{"SELECT -1"}.row_count().has_value());
    CHECK_FALSE(command_complete{"SELECT 5x"}.row_count().has_value());
    CHECK_FALSE(command_complete{"SELECT "}.row_count().has_value());
    CHECK_FALSE(command_complete{""}.row_count().has_value());
}

TEST_CASE("copy responses: a format of 0 or 1, then one for each column") {
    const std::initializer_list<row> rows = {
        {"text", "\0\0\2\0\0\0\0"sv, 0},
        {"binary", "\1\0\1\0\1"sv, 0},
        {"no columns", "\0\0\0"sv, 0},
        {"format 2", "\2\0\0"sv, int(errc::bad_value)},
        {"count beyond the body", "\0\0\2\0\0"sv, int(errc::truncated)},
    };
    check_closed<copy_in_response>(rows);
    check_closed<copy_out_response>(rows);
    check_closed<copy_both_response>(rows);
}

TEST_CASE("data_row: each body yields one named outcome") {
    check_closed<data_row>({
        {"no columns", "\0\0"sv, 0},
        {"NULL, empty, text", "\0\3\xff\xff\xff\xff\0\0\0\0\0\0\0\2ab"sv, 0},
        {"length below -1", "\0\1\xff\xff\xff\xfe"sv, int(errc::bad_length)},
        {"length beyond the body", "\0\1\0\0\0\3ab"sv, int(errc::truncated)},
        {"count beyond the body", "\xff\xff\0\0\0\0"sv, int(errc::truncated)},
    });
    const exact in{"\0\2\xff\xff\xff\xff\0\0\0\2ab"sv};
    data_row got;
    REQUIRE_FALSE(parse(in, got));
    const std::vector<std::optional<bytes>> values{got.columns.begin(), got.columns.end()};
    CHECK(values == std::vector<std::optional<bytes>>{std::nullopt, "ab"});
    std::string written;
    write_data_row(written, values);
    CHECK(written == framed('D', in));
}

TEST_CASE("function_call_response: NULL is not the empty value") {
    check_closed<function_call_response>({
        {"NULL", "\xff\xff\xff\xff"sv, 0},
        {"empty", "\0\0\0\0"sv, 0},
        {"value", "\0\0\0\2ab"sv, 0},
        {"length below -1", "\xff\xff\xff\xfe"sv, int(errc::bad_length)},
    });
}

TEST_CASE("notification_response, parameter_status: all their texts") {
    check_closed<notification_response>({{"ok", "\0\0\0\7chan\0hello\0"sv, 0},
                                         {"empty payload", "\0\0\0\7chan\0\0"sv, 0},
                                         {"no payload", "\0\0\0\7chan\0"sv, int(errc::truncated)}});
    check_closed<parameter_status>({{"ok", "TimeZone\0UTC\0"sv, 0}, {"empty", "a\0\0"sv, 0}});
    const exact in{"\0\0\0\7chan\0hello\0"sv};
    notification_response got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got == notification_response{7, "chan", "hello"});
    const exact status_in{"TimeZone\0UTC\0"sv};
    parameter_status status;
    REQUIRE_FALSE(parse(status_in, status));
    CHECK(status == parameter_status{"TimeZone", "UTC"});
}

TEST_CASE("parameter_description: each body yields one named outcome") {
    check_closed<parameter_description>({
        {"none", "\0\0"sv, 0},
        {"two", "\0\2\0\0\0\x17\0\0\0\x19"sv, 0},
        {"count beyond the body", "\0\3\0\0\0\x17\0\0\0\x19"sv, int(errc::truncated)},
    });
    std::string written;
    const std::uint32_t types[] = {23, 25};
    write_parameter_description(written, types);
    CHECK(written == framed('t', "\0\2\0\0\0\x17\0\0\0\x19"sv));
}

TEST_CASE("ready_for_query: I, T or E") {
    check_closed<ready_for_query>({
        {"idle", "I"sv, 0},
        {"in a block", "T"sv, 0},
        {"failed block", "E"sv, 0},
        {"nothing", ""sv, int(errc::truncated)},
        {"zero", "\0"sv, int(errc::bad_value)},
        {"other", "i"sv, int(errc::bad_value)},
    });
    std::string out;
    write_ready(out, 'T');
    CHECK(out == "Z\0\0\0\5T"sv);
}

TEST_CASE("row_description: each body yields one named outcome") {
    constexpr auto id = "id\0\0\0\x40\x01\0\1\0\0\0\x17\0\4\xff\xff\xff\xff\0\1"sv;
    const auto one = "\0\1"s + std::string{id};
    const auto two = "\0\2"s + std::string{id} + std::string{id};
    check_closed<row_description>({
        {"no columns", "\0\0"sv, 0},
        {"one", one, 0},
        {"two", two, 0},
        {"count beyond the body", std::string_view{two}.substr(0, one.size()),
         int(errc::truncated)},
    });
    const exact in{one};
    row_description got;
    REQUIRE_FALSE(parse(in, got));
    REQUIRE(got.columns.count() == 1);
    const column want{"id", 0x4001, 1, 23, 4, -1, 1};
    CHECK(*got.columns.begin() == want);
    std::string written;
    write_row_description(written, std::span{&want, 1});
    CHECK(written == framed('T', in));
}

TEST_CASE("backend_name: these bytes and no others may come from a server") {
    std::string known;
    for (int c = 0; c < 256; ++c) {
        const auto type = static_cast<char>(c);
        if (is_backend_type(type)) known.push_back(type);
    }
    CHECK(known == "123ACDEGHIKNRSTVWZcdnstv");
    CHECK(backend_name('Z') == "ReadyForQuery");
    CHECK(backend_name('Q').empty());
}

}  // namespace pgsidecar::protocol::test

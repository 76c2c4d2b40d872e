#include "protocol/notice.h"

#include "tests/protocol/support.h"

namespace pgsidecar::protocol::test {

TEST_CASE("error_response: each body yields one named outcome") {
    const std::initializer_list<row> rows = {
        {"usual", "SERROR\0VERROR\0C42P01\0Mno such table\0\0"sv, 0},
        {"no fields", "\0"sv, 0},
        {"a code that nobody knows", "?what\0\0"sv, 0},
        {"no SQLSTATE", "SFATAL\0Mgo away\0\0"sv, 0},
        {"empty text", "M\0\0"sv, 0},
        {"no terminator", "SERROR\0"sv, int(errc::not_terminated)},
        {"no end of a text", "SERROR"sv, int(errc::truncated)},
        {"nothing", ""sv, int(errc::not_terminated)},
    };
    check_closed<error_response>(rows);
    check_closed<notice_response>(rows);
}

TEST_CASE("error_response: a message without SQLSTATE is still a message") {
    const exact in{"SFATAL\0Mtoo many clients\0\0"sv};
    error_response got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got.sqlstate().empty());
    CHECK(got.severity() == "FATAL");
    CHECK(got.message() == "too many clients");
    CHECK(got.detail().empty());
}

TEST_CASE("error_response: the severity that decides is the untranslated one") {
    const exact in{"SFEHLER\0VERROR\0C42601\0Mx\0Dy\0Hz\0\0"sv};
    error_response got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got.severity() == "ERROR");
    CHECK(got.fields.find('S') == "FEHLER");
    CHECK(got.sqlstate() == "42601");
    CHECK(got.detail() == "y");
    CHECK(got.hint() == "z");
    CHECK(std::distance(got.fields.begin(), got.fields.end()) == 6);
}

TEST_CASE("error_response: of two fields with one code the first counts") {
    const exact in{"C42601\0C00000\0\0"sv};
    error_response got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got.sqlstate() == "42601");
}

TEST_CASE("write_error: fields in the server's order, empty ones left out") {
    std::string out;
    write_error(out, "ERROR", "54000", "too many rows");
    CHECK(out == framed('E', "SERROR\0VERROR\0C54000\0Mtoo many rows\0\0"sv));
    out.clear();
    write_notice(out, "WARNING", "01000", "m", "d", "h");
    CHECK(out == framed('N', "SWARNING\0VWARNING\0C01000\0Mm\0Dd\0Hh\0\0"sv));
    out.clear();
    write_error(out, "ERROR", "55P03", "m", "", "retry later");
    CHECK(out == framed('E', "SERROR\0VERROR\0C55P03\0Mm\0Hretry later\0\0"sv));
}

TEST_CASE("write_error: a tenant's name with a zero byte cannot add a field") {
    std::string out;
    write_error(out, "ERROR", "55P03", "tenant x\0C00000\0"sv);
    CHECK(out == framed('E', "SERROR\0VERROR\0C55P03\0Mtenant x\0\0"sv));
}

}  // namespace pgsidecar::protocol::test

#include "protocol/sasl.h"

#include <vector>

#include "protocol/backend.h"
#include "tests/protocol/support.h"

namespace pgsidecar::protocol::test {

TEST_CASE("mechanism_list: each body yields one named outcome") {
    const std::initializer_list<row> rows = {
        {"one", "SCRAM-SHA-256\0\0"sv, 0},
        {"two", "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv, 0},
        {"none", "\0"sv, int(errc::bad_value)},
        {"nothing", ""sv, int(errc::not_terminated)},
        {"no last zero", "M\0"sv, int(errc::not_terminated)},
        {"half a name", "M"sv, int(errc::truncated)},
        {"bytes behind", "M\0\0M\0\0"sv, int(errc::trailing_bytes)},
    };
    for (const auto& r : rows) {
        CAPTURE(r.name);
        CHECK(outcome<mechanism_list>(r.body) == r.want);
    }
}

TEST_CASE("mechanism_list: names are compared whole") {
    const exact in{"SCRAM-SHA-256-PLUS\0OAUTHBEARER\0\0"sv};
    mechanism_list got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got.contains(scram_sha_256_plus));
    CHECK_FALSE(got.contains(scram_sha_256));
    CHECK_FALSE(got.contains(""));
    CHECK(std::vector<std::string_view>{got.begin(), got.end()} ==
          std::vector<std::string_view>{"SCRAM-SHA-256-PLUS", "OAUTHBEARER"});
}

TEST_CASE("write_sasl_mechanisms: a whole AuthenticationSASL") {
    std::string out;
    const std::string_view names[] = {scram_sha_256_plus, scram_sha_256};
    write_sasl_mechanisms(out, names);
    CHECK(out == framed('R', "\0\0\0\xaSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv));
    authentication got;
    CHECK_FALSE(parse(bytes{out}.substr(5), got));
    CHECK(got.kind == auth_kind::sasl);
}

}  // namespace pgsidecar::protocol::test

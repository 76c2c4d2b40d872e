#include "proxy/ops/settings_text.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "proxy/ops/settings_backup.h"

using namespace pgsidecar;
using namespace std::string_view_literals;
using ops::settings_kind;

namespace {

// "line name=value|...", or "! line key: reason|...".
std::string found(std::string_view text, settings_kind kind) {
    const auto read = ops::read_settings(text, kind);
    std::string out;
    for (const auto& p : read.problems)
        out += "! " + std::to_string(p.line) + " " + p.key + ": " + p.reason + "|";
    for (const auto& s : read.found) {
        out += std::to_string(s.line) + " " + s.name + "=" + s.value;
        out += s.other_driver.empty() ? "|" : " (" + s.other_driver + ")|";
        REQUIRE(s.at.size() == s.value.size() + 1);
    }
    return out;
}

// The file after its one string (of PostgreSQL) is redirected.
std::string redirected(std::string_view text, settings_kind kind) {
    const auto read = ops::read_settings(text, kind);
    const auto chosen = ops::choose_string(read.found, "");
    if (chosen.which == nullptr) return "! " + chosen.problem;
    const auto done = ops::redirect(chosen.which->value, {"127.0.0.1", 6432, false});
    if (!done.problem.empty()) return "! " + done.problem;
    return ops::with_edits(text, *chosen.which, done.edits);
}

}  // namespace

TEST_CASE("appsettings: connection strings, wherever .NET finds them") {
    const auto json = [](std::string_view text) { return found(text, settings_kind::json); };
    CHECK(json("{}") == "");
    CHECK(json(R"({"connectionstrings":{"A":"Host=a"}})") == "1 A=Host=a|");
    CHECK(json("{\"ConnectionStrings:A\":\n\"Host=a\"}") == "2 A=Host=a|");
    CHECK(json(R"({"X":{"ConnectionStrings":{"A":"no"}},"Y":["ConnectionStrings",{"A":"no"}]})") ==
          "");
    CHECK(json(R"({"ConnectionStrings":{"A":null,"B":1,"C":["x"],"D":{"E":"x"},"F":"Host=f"}})") ==
          "1 F=Host=f|");
    CHECK(json("\xef\xbb\xbf// \"ConnectionStrings\": {\"A\": \"no\"}\r\n{ /* \"} */ "
               "\"ConnectionStrings\" : "
               "{\r\n // \"A\": \"no\"\r\n \"B\" : \"Host=b\" , }, }") == "4 B=Host=b|");
    CHECK(json(R"({"ConnectionStrings":{"A":"a\u0026\"\\\u00e4\ud83d\ude00\n"}})") ==
          "1 A=a&\"\\\xc3\xa4\xf0\x9f\x98\x80\n|");
}

TEST_CASE("appsettings: every byte but host and port stays") {
    const std::string before =
        "\xef\xbb\xbf{\r\n\t// the server: Host=db1;Port=5432\r\n\t\"Logging\": { \"x\": [1, 2,], "
        "},\r\n"
        "\t\"ConnectionStrings\": {\r\n\t\t\"Prescriptions\":   \"Host=\\u0064b1;Port=54\\u00332;"
        "Password=\\\"a\\u0026;\\\\\\\"\" , // Host=db1\r\n\t},\r\n}\r\n\r\n";
    const std::string after =
        "\xef\xbb\xbf{\r\n\t// the server: Host=db1;Port=5432\r\n\t\"Logging\": { \"x\": [1, 2,], "
        "},\r\n"
        "\t\"ConnectionStrings\": {\r\n\t\t\"Prescriptions\":   \"Host=127.0.0.1;Port=6432;"
        "Password=\\\"a\\u0026;\\\\\\\"\" , // Host=db1\r\n\t},\r\n}\r\n\r\n";
    CHECK(redirected(before, settings_kind::json) == after);
    CHECK(redirected(after, settings_kind::json) == after);
}

TEST_CASE("appsettings: what is not JSON is named by its line") {
    const auto line = [](std::string_view text) {
        const auto read = ops::read_appsettings_strings(text);
        CHECK(read.found.empty());
        return read.problems.empty() ? 0 : read.problems[0].line;
    };
    CHECK(line("{\n\"ConnectionStrings\": {\n\"A\" \"Host=a\"}}") == 3);
    CHECK(line("{\"ConnectionStrings\": {\"A\": \"Host=a\",\n\"a\": \"Host=b\"}}") == 2);
    const std::string whole = R"({"ConnectionStrings":{"A":"Host=\u0061"}})";
    for (std::size_t size = 0; size < whole.size(); ++size)
        CHECK_FALSE(ops::read_appsettings_strings(whole.substr(0, size)).problems.empty());
}

TEST_CASE("web.config: connection strings") {
    const auto xml = [](std::string_view text) { return found(text, settings_kind::xml); };
    CHECK(xml("<?xml version=\"1.0\"?>\n<!-- <connectionStrings><add name='no' "
              "connectionString='x'/> -->\n"
              "<configuration>\n <connectionStrings>\n  <clear />\n  <add name=\"A\" "
              "providerName='Npgsql'\n"
              "   connectionString=\"Host=a;Password=&quot;x&amp;y&#65;&#x42;&quot;\"/>\n"
              "  <add name='B' connectionString='Server=b' "
              "providerName='System.Data.SqlClient'></add>\n"
              " </connectionStrings>\n <appSettings><add name='no' "
              "connectionString='x'/></appSettings>\n"
              "</configuration>") ==
          "7 A=Host=a;Password=\"x&yAB\"|8 B=Server=b (providerName is System.Data.SqlClient)|");
    CHECK(xml("<connectionStrings><add name='A' "
              "connectionString='Host=a;\r\nPort=1'/></connectionStrings>") ==
          "1 A=Host=a; Port=1|");
    CHECK(xml("<a><![CDATA[<connectionStrings>]]><b/></a>") == "");
}

TEST_CASE("web.config: every byte but host and port stays, entities too") {
    const std::string before =
        "<configuration>\r\n\t<connectionStrings>\r\n\t\t<add name='A'   "
        "connectionString='Host=d&#98;1;"
        "Database=x;Password=&quot;a&amp;b&#x41;&quot;' "
        "/>\r\n\t</connectionStrings>\r\n</configuration>";
    const std::string after =
        "<configuration>\r\n\t<connectionStrings>\r\n\t\t<add name='A'   "
        "connectionString='Host=127.0.0.1;"
        "Port=6432;Database=x;Password=&quot;a&amp;b&#x41;&quot;' />\r\n\t</connectionStrings>\r\n"
        "</configuration>";
    CHECK(redirected(before, settings_kind::xml) == after);
    CHECK(redirected(after, settings_kind::xml) == after);
    const std::string quoted =
        "<connectionStrings><add name='A' connectionString='Host=&quot;a&quot;;Port=1'/>"
        "</connectionStrings>";
    CHECK(redirected(quoted, settings_kind::xml) ==
          "<connectionStrings><add name='A' "
          "connectionString='Host=127.0.0.1;Port=6432'/></connectionStrings>");
}

TEST_CASE("web.config: what cannot be edited is refused with its line") {
    const auto why = [](std::string_view text) {
        const auto read = ops::read_web_config_strings(text);
        CHECK(read.found.empty());
        return read.problems.empty()
                   ? std::string{}
                   : std::to_string(read.problems[0].line) + " " + read.problems[0].reason;
    };
    CHECK(why("<c>\n<connectionStrings configSource=\"cs.config\"/></c>")
              .find("2 keeps its connection strings in "
                    "another file, cs.config") == 0);
    CHECK(why("<c>\n<connectionStrings configProtectionProvider='x'>")
              .find("2 keeps its connection strings "
                    "encrypted") == 0);
    CHECK(why("<!DOCTYPE c [<!ENTITY x 'y'>]><c/>").find("document type") != std::string::npos);
    CHECK(why("<c a='&x;'/>").find("no known entity") != std::string::npos);
    CHECK(why("<c>\n</d>") == "2 closes </d>, which is not open");
    CHECK(why("Host=a").find("no XML") != std::string::npos);
    CHECK(why("\xff\xfe<\0c\0/\0>\0"sv) != "");
    const std::string whole =
        "<c><connectionStrings><add name='A' connectionString='Host=&amp;a'/>"
        "</connectionStrings></c>";
    for (std::size_t size = 0; size < whole.size(); ++size)
        CHECK(why(std::string_view{whole}.substr(0, size)) != "");
}

TEST_CASE("variables: lines of a .env or an EnvironmentFile") {
    const auto env = [](std::string_view text) { return found(text, settings_kind::environment); };
    CHECK(env("# ConnectionStrings__A=no\n; ConnectionStrings__A=no\nFOO=ConnectionStrings__A=no\n"
              "ConnectionStrings__A=Host=a;Port=1  \r\nexport "
              "connectionstrings__B=\"Host=b;Password=\\\"x\\\\\\$\"\n"
              " CUSTOMCONNSTR_C='Host=c'  # why\nConnectionStrings:D=\n") ==
          "4 A=Host=a;Port=1|5 B=Host=b;Password=\"x\\$|6 C=Host=c|7 D=|");
    CHECK(env("ConnectionStrings__A=Host=a \\\n") ==
          "! 1 ConnectionStrings__A: goes on in the next line: write it in one|");
    CHECK(
        env("\nConnectionStrings__A=\"Host=a\n\"").find("! 2 ConnectionStrings__A: has a quote") ==
        0);
    CHECK(env("ConnectionStrings__A='Host=a'b").find("goes on behind its quote") !=
          std::string::npos);
    CHECK(env("ConnectionStrings__A=Host=a # b").find("comment") != std::string::npos);
    CHECK(redirected("A=1\r\nConnectionStrings__A=\"Host=a;Password=\\\"x\\\"\"\r\nB=2",
                     settings_kind::environment) ==
          "A=1\r\nConnectionStrings__A=\"Host=127.0.0.1;Port=6432;Password=\\\"x\\\"\"\r\nB=2");
    CHECK(redirected("ConnectionStrings__A=Host=a", settings_kind::environment) ==
          "ConnectionStrings__A=Host=127.0.0.1;Port=6432");
}

TEST_CASE("settings: which string is meant") {
    const auto choose = [](std::string_view text, std::string_view name) {
        const auto read = ops::read_appsettings_strings(text);
        const auto chosen = ops::choose_string(read.found, name);
        return chosen.which != nullptr ? chosen.which->name : "! " + chosen.problem;
    };
    const auto two = R"({"ConnectionStrings":{"A":"Host=a","Redis":"localhost:1"}})";
    CHECK(choose(two, "") == "A");
    CHECK(choose(two, "redis") == "Redis");
    CHECK(choose(two, "B") == "! has no connection string \"B\"; it has A, Redis");
    CHECK(choose(R"({"ConnectionStrings":{"A":"Host=a","B":"Host=b"}})", "")
              .find("! has more than one") == 0);
    CHECK(choose(R"({"ConnectionStrings":{"A":"Initial Catalog=a","B":"x"}})", "")
              .find("! has no connection "
                    "string of") == 0);
    CHECK(choose("{}", "") == "! holds no connection string");
    CHECK(choose(R"({"ConnectionStrings":{"A":"Host=a"},"ConnectionStrings:A":"Host=b"})", "A")
              .find("lines 1 and 1") != std::string::npos);
}

TEST_CASE("settings: the kind of a file") {
    CHECK(ops::kind_of_settings("appsettings.Production.JSON", "") == settings_kind::json);
    CHECK(ops::kind_of_settings("Web.config", "{") == settings_kind::xml);
    CHECK(ops::kind_of_settings(".env", "{") == settings_kind::environment);
    CHECK(ops::kind_of_settings("settings", "\xef\xbb\xbf {") == settings_kind::json);
    CHECK(ops::kind_of_settings("settings", "\n<c>") == settings_kind::xml);
    CHECK(ops::kind_of_settings("app", "A=1") == settings_kind::environment);
}

TEST_CASE("settings backup: whose the file's bytes are") {
    using ops::backup_state;
    const std::string a(64, 'a'), b(64, 'b'), c(64, 'c');
    const auto record = ops::read_record(ops::write_record({a, {b}}));
    REQUIRE(record);
    CHECK(ops::state_of(a, nullptr, record) == backup_state::none);
    CHECK(ops::state_of(a, &a, std::nullopt) == backup_state::original);
    CHECK(ops::state_of(b, &a, record) == backup_state::ours);
    CHECK(ops::state_of(c, &a, record) == backup_state::changed);
    CHECK(ops::state_of(b, &a, std::nullopt) == backup_state::changed);
    CHECK(ops::state_of(b, &c, record) == backup_state::changed);  // the backup is another one
    CHECK_FALSE(ops::read_record(""));
    CHECK_FALSE(ops::read_record("original " + a));  // cut off
    CHECK_FALSE(ops::read_record("original abc\n"));
    CHECK_FALSE(ops::read_record("original " + a + "\nelse\n"));
}

#include "config/auth_file.h"

#include <algorithm>
#include <string>
#include <vector>

#include "tests/config/support.h"

using namespace pgsidecar::config;
using namespace std::string_literals;

namespace {

// Whether any message holds `part`.
bool shows(const auth_file_result& r, std::string_view part) {
    return std::ranges::any_of(r.problems, [&](const text_problem& p) {
        return p.reason.find(part) != std::string::npos || p.key.find(part) != std::string::npos;
    });
}

auth_file_result read(std::string_view text) {
    const std::string exact{text};  // a copy of just that size
    return read_auth_file(exact);
}

const std::string salt = "c2FsdHNhbHRzYWx0c2FsdA==";
const std::string key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";  // 32 bytes
const std::string other_key = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

}  // namespace

TEST_CASE("auth file: each well-formed line is one user") {
    const std::string verifier = "SCRAM-SHA-256$4096:" + salt + "$" + key + ":" + other_key;
    const struct {
        const char* name;
        std::string text;
        std::string user;
        std::string secret;
    } rows[] = {
        {"plain", "\"anna\" \"secret\"\n", "anna", "secret"},
        {"no end of line", "\"anna\" \"secret\"", "anna", "secret"},
        {"CRLF", "\"anna\" \"secret\"\r\n", "anna", "secret"},
        {"byte order mark", "\xef\xbb\xbf\"anna\" \"secret\"\n", "anna", "secret"},
        {"blanks", "  \t\"anna\" \t \"secret\"  \n", "anna", "secret"},
        {"empty secret", "\"anna\" \"\"\n", "anna", ""},
        {"quotes", "\"an\"\"na\" \"\"\"se\"\"\"\"cret\"\"\"\n", "an\"na", "\"se\"\"cret\""},
        {"only a quote", "\"\"\"\" \"\"\"\"\n", "\"", "\""},
        {"third word", "\"anna\" \"secret\" \"valid until\" or \"so\n", "anna", "secret"},
        {"right behind", "\"anna\" \"secret\"; remark\n", "anna", "secret"},
        {"no blank between", "\"anna\"\t\"secret\"#\n", "anna", "secret"},
        {"backslash is itself", "\"an\\na\" \"se\\\"\n", "an\\na", "se\\"},
        {"Latin-1", "\"ann\xe9\" \"s\xe9\"\n", "ann\xe9", "s\xe9"},
        {"blanks inside", "\" anna \" \" a b\t\"\n", " anna ", " a b\t"},
        {"comment characters inside", "\";#\" \"#;\"\n", ";#", "#;"},
        {"md5", "\"anna\" \"md545f2603610af569b6155c45067268c6b\"\n", "anna",
         "md545f2603610af569b6155c45067268c6b"},
        {"begins as md5", "\"anna\" \"md5abcdef012342345\"\n", "anna", "md5abcdef012342345"},
        {"verifier", "\"anna\" \"" + verifier + "\"\n", "anna", verifier},
        {"verifier, fewest iterations",
         "\"a\" \"SCRAM-SHA-256$1:" + salt + "$" + key + ":" + key + "\"", "a",
         "SCRAM-SHA-256$1:" + salt + "$" + key + ":" + key},
        {"verifier, most iterations",
         "\"a\" \"SCRAM-SHA-256$10000000:" + salt + "$" + key + ":" + key + "\"", "a",
         "SCRAM-SHA-256$10000000:" + salt + "$" + key + ":" + key},
        {"begins almost as a verifier", "\"a\" \"SCRAM-SHA-256\"", "a", "SCRAM-SHA-256"},
        {"in another case", "\"a\" \"scram-sha-256$x\"", "a", "scram-sha-256$x"},
        {"longest name", '"' + std::string(63, 'n') + "\" \"x\"", std::string(63, 'n'), "x"},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        const auth_file_result r = read(row.text);
        CHECK(problems_of(r.problems) == lines{});
        REQUIRE(r.users.size() == 1);
        CHECK(r.users[0].name == row.user);
        CHECK(r.users[0].secret == row.secret);
    }
}

TEST_CASE("auth file: users are found by their exact names") {
    const auth_file_result r = read(
        "; a remark\n# another \"with\" \"words\"\n\n   \n\t; a third\n"
        "\"zoe\" \"1\"\n\"Anna\" \"2\"\n\"anna\" \"3\"\r\n\"\xc3\xa9\" \"4\"\n\"ann\" \"5\"\n");
    REQUIRE(problems_of(r.problems) == lines{});
    std::vector<std::string> names;
    for (const auth_user& user : r.users) names.push_back(user.name);
    CHECK(names == lines{"Anna", "ann", "anna", "zoe", "\xc3\xa9"});
    for (const auth_user& user : r.users) CHECK(r.find(user.name) == &user);
    REQUIRE(r.find("anna") != nullptr);
    CHECK(r.find("anna")->secret == "3");
    for (const char* name : {"", "an", "annaa", "ANNA", "zoe ", "zzz", "\xff"}) {
        CHECK(r.find(name) == nullptr);
    }
    CHECK(read("").find("anna") == nullptr);
    CHECK(read("").problems.empty());
    CHECK(read("\xef\xbb\xbf").problems.empty());
}

TEST_CASE("auth file: a malformed line is named, and nobody is let in") {
    static const struct {
        const char* name;
        std::string text;
        lines want;
    } rows[] = {
        {"not quoted",
         "\n hunter2 hunter2\n",
         {"f:2: does not begin with a user name in double quotes"}},
        {"single quotes",
         "'anna' 'hunter2'",
         {"f:1: does not begin with a user name in double quotes"}},
        {"no second word",
         "\"hunter2\"\n",
         {"f:1: no second word in double quotes behind the user name"}},
        {"only blanks behind",
         "\"hunter2\" \t\r\n",
         {"f:1: no second word in double quotes behind the user name"}},
        {"second word not quoted",
         "\"anna\" hunter2\n",
         {"f:1: no second word in double quotes behind the user name"}},
        {"something between",
         "\"anna\", \"hunter2\"\n",
         {"f:1: no second word in double quotes behind the user name"}},
        {"the words are one",
         "\"anna\"\"hunter2\"\n",
         {"f:1: no second word in double quotes behind the user name"}},
        {"first quote open", "\"anna hunter2\n", {"f:1: a quote that is not closed in its line"}},
        {"second quote open",
         "\"anna\" \"hunter2\n\"bert\" \"x\"\n",
         {"f:1: a quote that is not closed in its line"}},
        {"only a quote", "\"", {"f:1: a quote that is not closed in its line"}},
        {"open after an escaped quote",
         "\"anna\" \"hunter2\"\"\n",
         {"f:1: a quote that is not closed in its line"}},
        {"open before CR",
         "\"anna\" \"hunter2\r\n",
         {"f:1: a quote that is not closed in its line"}},
        {"empty name", "\"\" \"hunter2\"\n", {"f:1: an empty user name"}},
        {"long name",
         '"' + std::string(64, 'n') + "\" \"hunter2\"\n",
         {"f:1: a user name longer than 63 bytes"}},
        {"long in bytes",
         "\"n" + std::string(31, '\xc3') + std::string(32, '\xa9') + "\" \"hunter2\"\n",
         {"f:1: a user name longer than 63 bytes"}},
        {"zero byte in the name", "\"an\0na\" \"hunter2\"\n"s, {"f:1: a zero byte"}},
        {"zero byte in the secret", "\"anna\" \"hunt\0er2\"\n"s, {"f:1: a zero byte"}},
        {"zero byte behind", "\"anna\" \"hunter2\" \0\n"s, {"f:1: a zero byte"}},
        {"zero byte in a remark", ";\0\n"s, {"f:1: a zero byte"}},
        {"twice",
         "\"anna\" \"hunter2\"\n;\n\"bert\" \"x\"\n\"anna\" \"hunter3\"\n\"anna\" \"hunter2\"\n",
         {"f:4: gives a user again; the first is in line 1",
          "f:5: gives a user again; the first is in line 1"}},
        {"twice, written otherwise",
         "\"zoe\" \"hunter2\"\n\"a\" \"\"\n\"a\"  \"x\"\n\"zoe\" \"hunter2\"\n",
         {"f:3: gives a user again; the first is in line 2",
          "f:4: gives a user again; the first is in line 1"}},
        {"in the order of lines",
         "\"anna\" \"x\"\n\"anna\" \"y\"\nhunter2\n\"anna\" \"z\"\n\"bert\"\n",
         {"f:2: gives a user again; the first is in line 1",
          "f:3: does not begin with a user name in double quotes",
          "f:4: gives a user again; the first is in line 1",
          "f:5: no second word in double quotes behind the user name"}},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        const auth_file_result r = read("\xef\xbb\xbf" + row.text);
        CHECK(problems_of(r.problems) == row.want);
        CHECK(r.users.empty());
        CHECK_FALSE(shows(r, "hunter"));
    }
}

TEST_CASE("auth file: a malformed verifier is refused without being shown") {
    const std::string form =
        "f:2: a SCRAM verifier that is not of the form SCRAM-SHA-256$iterations:salt$StoredKey:"
        "ServerKey";
    const std::string count =
        "f:2: a SCRAM verifier whose iterations are not a whole number from 1 to 10000000";
    const std::string bad_salt = "f:2: a SCRAM verifier whose salt is empty or not base64";
    const std::string stored = "f:2: a SCRAM verifier whose StoredKey is not base64 of 32 bytes";
    const std::string server = "f:2: a SCRAM verifier whose ServerKey is not base64 of 32 bytes";
    const std::string keys = key + ":" + other_key;
    const std::string longer = "AAAA" + key;
    const struct {
        const char* name;
        std::string verifier;  // behind its name
        std::string want;
    } rows[] = {
        {"nothing", "", form},
        {"no salt", "4096", form},
        {"no keys", "4096:" + salt, form},
        {"one key", "4096:" + salt + "$" + key, form},
        {"parts exchanged", "4096$" + salt + ":" + key + ":" + key, form},
        {"no iterations", ":" + salt + "$" + keys, count},
        {"0 iterations", "0:" + salt + "$" + keys, count},
        {"too many iterations", "10000001:" + salt + "$" + keys, count},
        {"more than any number", "99999999999999999999999:" + salt + "$" + keys, count},
        {"negative", "-1:" + salt + "$" + keys, count},
        {"blank", " 4096:" + salt + "$" + keys, count},
        {"hexadecimal", "0x1000:" + salt + "$" + keys, count},
        {"empty salt", "4096:$" + keys, bad_salt},
        {"salt not base64", "4096:sal!$" + keys, bad_salt},
        {"salt not padded", "4096:c2FsdA$" + keys, bad_salt},
        {"salt with stray bits", "4096:c2FsdB==$" + keys, bad_salt},
        {"StoredKey empty", "4096:" + salt + "$:" + key, stored},
        {"StoredKey short", "4096:" + salt + "$" + salt + ":" + key, stored},
        {"StoredKey long", "4096:" + salt + "$" + longer + ":" + key, stored},
        {"StoredKey not base64", "4096:" + salt + "$" + key.substr(1) + "!:" + key, stored},
        {"ServerKey empty", "4096:" + salt + "$" + key + ":", server},
        {"ServerKey short", "4096:" + salt + "$" + key + ":" + salt, server},
        {"ServerKey cut", "4096:" + salt + "$" + keys.substr(0, keys.size() - 1), server},
        {"ServerKey and more", "4096:" + salt + "$" + keys + ":", server},
        {"blank at the end", "4096:" + salt + "$" + keys + " ", server},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        const auth_file_result r =
            read("\"bert\" \"\"\n\"anna\" \"SCRAM-SHA-256$" + row.verifier + "\"\n");
        CHECK(problems_of(r.problems) == lines{row.want});
        CHECK(r.users.empty());
        for (const auto& part : {salt, key, other_key}) CHECK_FALSE(shows(r, part));
    }
}

TEST_CASE("auth file: size, lines and reports are bounded") {
    std::string text;
    for (int i = 0; i < 1'000'000; ++i) text += "\n";
    text.insert(text.size() - 1, "\"last\" \"x\"");
    CHECK(read_auth_file(text).users.size() == 1);
    const auto lines_over = read_auth_file(text + ";");
    CHECK(problems_of(lines_over.problems) == lines{"f:1000001: more than 1000000 lines"});
    CHECK(lines_over.users.empty());

    text.assign(64u << 20, ' ');
    CHECK(read_auth_file(text).problems.empty());
    text += "\n";
    CHECK(problems_of(read_auth_file(text).problems) == lines{"f: is larger than 64MB"});

    text.clear();
    for (int i = 0; i < 100; ++i) text += "\"a\" \"x\"\n";
    const auto again = read_auth_file(text);
    REQUIRE(again.problems.size() == 20);
    CHECK(again.problems.front().line == 2);
    CHECK(again.problems.back().line == 21);
    const auto junk = read_auth_file(text + std::string(100, '\n') + "x\n" + text);
    CHECK(junk.problems.size() == 20);
    text.clear();
    for (int i = 0; i < 100; ++i) text += "x\n";
    CHECK(read_auth_file(text).problems.size() == 20);
}

TEST_CASE("auth file: many users stay quick to read and to find") {
    constexpr int count = 200'000;
    std::string text;
    for (int i = 0; i < count; ++i) {
        const std::string number = std::to_string(i * 7919 % count);
        text += "\"user" + number + "\" \"secret" + number + "\"\n";
    }
    const auth_file_result r = read_auth_file(text);
    REQUIRE(r.users.size() == count);
    for (int i = 0; i < count; ++i) {
        const auth_user* const user = r.find("user" + std::to_string(i));
        REQUIRE(user != nullptr);
        REQUIRE(user->secret == "secret" + std::to_string(i));
    }
}

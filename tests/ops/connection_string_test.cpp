#include "proxy/ops/connection_string.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace pgsidecar;
using namespace std::string_view_literals;

namespace {

// "keyword=value|..." as .NET reads it, or "! problem".
std::string pairs_of(std::string_view text) {
    const auto read = ops::read_connection_string(text);
    if (!read.problem.empty()) return "! " + read.problem;
    std::string out;
    for (const auto& p : read.pairs) out += p.keyword + "=" + p.value + "|";
    return out;
}

std::string redirected(std::string_view text, bool all_hosts = false) {
    const auto done = ops::redirect(text, {"127.0.0.1", 6432, all_hosts});
    if (!done.problem.empty()) return "! " + done.problem;
    std::string out{text};
    for (auto at = done.edits.rbegin(); at != done.edits.rend(); ++at)
        out.replace(at->begin, at->end - at->begin, at->text);
    return out;
}

bool refused_for(std::string_view text, std::string_view why) {
    return redirected(text).starts_with("! ") && redirected(text).find(why) != std::string::npos;
}

}  // namespace

TEST_CASE("connection string: read as DbConnectionStringBuilder does") {
    static constexpr struct {
        std::string_view text, want;
    } rows[] = {
        {"", ""},
        {" ; ;", ""},
        {"Host=a;PORT=1", "host=a|port=1|"},
        {" Host = a b ; Port = 1 ;", "host=a b|port=1|"},
        {"Password=\"a;b=\"\"c\";Host=x", "password=a;b=\"c|host=x|"},
        {"Password='a\"b''c' ; Host=x", "password=a\"b'c|host=x|"},
        {"Password=a\"b'c;Host=x", "password=a\"b'c|host=x|"},
        {"a==b=c", "a=b=c|"},
        {"Password=a=b", "password=a=b|"},
        {"Host=", "host=|"},
        {"Host=;Port=", "host=|port=|"},
        {"Host=\r\n  a;\r\n  Port=1", "host=a|port=1|"},
        {"Search Path=\"a,b\"", "search path=a,b|"},
        {"Host", "! there is no = behind a keyword at its character 1"},
        {"Host=a;secret;Port=1", "! there is no = behind a keyword at its character 8"},
        {"=a", "! there is no keyword before the = at its character 1"},
        {"Password='a", "! a quote is not closed that begins at its character 10"},
        {"Password='a'b", "! something stands behind a quoted value at its character 13"},
        {"Password=a\x01", "! a control character stands at its character 11"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(pairs_of(row.text) == row.want);
    }
}

TEST_CASE("connection string: host and port change, and nothing else") {
    static constexpr struct {
        std::string_view text, want;
    } rows[] = {
        {"Host=db1;Port=5433;Database=clinic;Username=app;Password=x",
         "Host=127.0.0.1;Port=6432;Database=clinic;Username=app;Password=x"},
        {"database=clinic; SERVER = db1 ; port = 5433 ; Password=' Host=a;'",
         "database=clinic; SERVER = 127.0.0.1 ; port = 6432 ; Password=' Host=a;'"},
        {"Host=db1;Database=clinic", "Host=127.0.0.1;Port=6432;Database=clinic"},
        {"Database=clinic;Host=db1", "Database=clinic;Host=127.0.0.1;Port=6432"},
        {"Host=\"db1\" ;Port='5433'", "Host=127.0.0.1 ;Port=6432"},
        {"Host=db1:5433;Database=x", "Host=127.0.0.1;Port=6432;Database=x"},
        {"Host=/var/run/postgresql;Port=;", "Host=127.0.0.1;Port=6432;"},
        {"Host=a;Server=b", "Host=127.0.0.1;Server=127.0.0.1;Port=6432"},
        {"Host=127.0.0.1;Database=x", "Host=127.0.0.1;Port=6432;Database=x"},
        {"Host=127.0.0.1;Port=6432", "Host=127.0.0.1;Port=6432"},
        {"Host=a;Port=1;Future Keyword=y;Port=2",
         "Host=127.0.0.1;Port=6432;Future Keyword=y;Port=6432"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(redirected(row.text) == row.want);
        CHECK(redirected(row.want) == row.want);  // again: no change
        CHECK(ops::redirect(row.want, {"127.0.0.1", 6432, false}).edits.empty());
    }
}

TEST_CASE("connection string: what is refused, and why") {
    CHECK(refused_for("Host=a,b;Port=5432", "several hosts (Host=a,b)"));
    CHECK(redirected("Host=a,b:1;Port=5432", true) == "Host=127.0.0.1;Port=6432");
    CHECK(refused_for("postgresql://app:secret@db/clinic", "a URI"));
    CHECK(refused_for(" POSTGRES://db", "a URI"));
    CHECK(refused_for("Server=.;Initial Catalog=x;Trusted_Connection=True", "\"initial catalog\""));
    CHECK(refused_for("Data Source=db;User Id=x", "\"data source\""));
    CHECK(refused_for("Database=clinic", "names no Host"));
    CHECK(refused_for("Host=a;secret", "no connection string"));
    for (const auto* text :
         {"Host=a;sesame", "postgresql://u:sesame@h", "Data Source=sesame", "Password='sesame"})
        CHECK(redirected(text).find("sesame") == std::string::npos);
}

TEST_CASE("connection string: notes on what stays and may matter") {
    const auto notes = [](std::string_view text) {
        return ops::redirect(text, {"h", 1, false}).notes.size();
    };
    CHECK(notes("Host=a;Port=1") == 0);
    CHECK(notes("Host=a;SSL Mode=VerifyFull") == 1);
    CHECK(notes("Host=a;SslMode=Require;Multiplexing=true") == 2);
}

TEST_CASE("connection string: shown without secrets") {
    CHECK(ops::show_connection_string("Host=db;Port=1;Password=sesame;PWD=sesame;Username=app") ==
          "Host=db;Port=1;Password=***;PWD=***;Username=app");
    CHECK(ops::show_connection_string("Unheard Of=sesame; Host = db ;SSL Password=sesame") ==
          "Unheard Of=***;Host=db;SSL Password=***");
    CHECK(ops::show_connection_string("Password='ses;Host=ame").find("ame") == std::string::npos);
    CHECK(ops::show_connection_string("postgres://a:sesame@b") == "(a URI, not shown)");
    CHECK(ops::show_connection_string("Host=a\x1b[2J").find('\x1b') == std::string::npos);
}

TEST_CASE("connection string: hosts that can be written as they are") {
    for (const auto* good : {"127.0.0.1", "db-1.clinic_x.local", "::1", "fe80::1"})
        CHECK(ops::bad_host(good) == "");
    for (const auto* bad :
         {"", "a b", "a;b", "a=b", "\"a\"", "a&b", "db:5432", "a,b", "/run", "::g"})
        CHECK(ops::bad_host(bad) != "");
}

TEST_CASE("connection string: whose it is") {
    CHECK(ops::for_postgresql("Server=a;Database=b"));
    CHECK_FALSE(ops::for_postgresql("Server=a;Initial Catalog=b"));
    CHECK_FALSE(ops::for_postgresql("Filename=x.db"));
    CHECK_FALSE(ops::for_postgresql("localhost:6379"));
}

// Who gets which answer, without sockets.
#include "proxy/io/http_site.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/io/http_world.h"

using namespace pgsidecar;

namespace {

constexpr const char* token = "sesame-sesame-16";

struct asked {
    std::string target = "/metrics";
    std::string authorization = {};
    std::string host = "localhost:9";
    std::string method = "GET";
};

unsigned status_of(io::http_site& site, const asked& a) {
    unsigned status = 0;
    site.answer({a.method, a.target, a.host, a.authorization},
                [&](const io::http_answer& answer) { status = answer.status; });
    return status;
}

}  // namespace

TEST_CASE("each path has its answer") {
    http_world::sources from;
    io::http_site site{from.make(), "", 10};
    static const struct {
        const char* target;
        unsigned status;
    } rows[] = {{"/", 200},
                {"/metrics", 200},
                {"/api/dashboard", 200},
                {"/healthz", 200},
                {"/readyz", 200},
                {"/dashboard.css", 200},
                {"/charts.js", 200},
                {"/dashboard.js", 200},
                {"/favicon.svg", 200},
                {"/?x=1", 200},
                {"/nothing", 404},
                {"/metrics/", 404},
                {"/../etc", 404},
                {"metrics", 400},
                {"http://localhost/", 400},
                {"*", 400},
                {"", 400}};
    for (const auto& row : rows) {
        CAPTURE(row.target);
        CHECK(status_of(site, {row.target}) == row.status);
    }
    for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "NONSENSE"})
        CHECK(status_of(site, {.target = "/", .method = method}) == 405);
    CHECK(status_of(site, {.target = "/", .method = "HEAD"}) == 200);
}

TEST_CASE("readiness is a status, too") {
    http_world::sources from;
    io::http_site site{from.make(), "", 10};
    from.state.checks = {{"upstream", ops::readiness_check::state::failed, "refused"}};
    CHECK(status_of(site, {"/readyz"}) == 503);
    CHECK(status_of(site, {"/healthz"}) == 200);
}

TEST_CASE("a token opens by either scheme, and nothing else does") {
    http_world::sources from;
    io::http_site site{from.make(), token, 10};
    static const struct {
        const char* authorization;
        unsigned status;
    } rows[] = {
        {"Bearer sesame-sesame-16", 200},
        {"bearer   sesame-sesame-16", 200},
        {"Basic YW55OnNlc2FtZS1zZXNhbWUtMTY=", 200},      // any:...
        {"Basic OnNlc2FtZS1zZXNhbWUtMTY=", 200},          // no user's name
        {"Basic bG9uZ2VyOnNlc2FtZS1zZXNhbWUtMTY=", 200},  // longer:...
        {"", 401},
        {"Bearer", 401},
        {"Bearer ", 401},
        {"Bearer sesame-sesame-1", 401},
        {"Bearer sesame-sesame-166", 401},
        {"Bearer Sesame-sesame-16", 401},
        {"sesame-sesame-16", 401},
        {"Digest sesame-sesame-16", 401},
        {"Basic sesame-sesame-16", 401},
        {"Basic c2VzYW1lLXNlc2FtZS0xNg==", 401},  // no colon
        {"Basic YW55Og==", 401},                  // an empty password
        {"Basic ====", 401},
        {"Basic YW55", 401},
        {"Basic !!!!", 401},
    };
    for (const auto& row : rows) {
        CAPTURE(row.authorization);
        CHECK(status_of(site, {"/metrics", row.authorization}) == row.status);
        CHECK(status_of(site, {"/nothing", row.authorization}) == (row.status == 200 ? 404 : 401));
        CHECK(status_of(site, {"/readyz", row.authorization}) == 200);
    }
    CHECK(status_of(site, {"/metrics", "Basic " + std::string(10'000, 'A')}) == 401);
    // Who has it may come under any name.
    CHECK(status_of(site, {"/metrics", "Bearer sesame-sesame-16", "db.example"}) == 200);
}

TEST_CASE("without a token only loopback names are answered") {
    http_world::sources from;
    io::http_site site{from.make(), "", 10};
    for (const char* host : {"localhost", "LOCALHOST:8", "127.0.0.1:8", "127.9.9.9", "[::1]:8", ""})
        CHECK_MESSAGE(status_of(site, {.target = "/", .host = host}) == 200, host);
    for (const char* host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil", "[::2]",
                             "[::1", "10.0.0.1", ":8"})
        CHECK_MESSAGE(status_of(site, {.target = "/", .host = host}) == 421, host);
    CHECK(status_of(site, {.target = "/healthz", .host = "evil.example"}) == 200);
}

TEST_CASE("the page names no other place than its own server") {
    http_world::sources from;
    io::http_site site{from.make(), "", 10};
    for (const char* target : {"/", "/dashboard.css", "/dashboard.js", "/charts.js"}) {
        std::string body;
        site.answer({"GET", target, "localhost", ""},
                    [&](const io::http_answer& a) { body = a.body; });
        CHECK(body.size() > 1000);
        for (std::size_t at = body.find("//"); at != std::string::npos;
             at = body.find("//", at + 2))
            CHECK_MESSAGE((body.substr(at, 17) == "//www.w3.org/2000" || body[at + 2] == ' '),
                          body.substr(at, 40));
    }
}

TEST_CASE("the token's file: its first line, and why it is none") {
    const auto path = std::filesystem::temp_directory_path() / "pgsidecar-http-token-test";
    config::settings s;
    s.http.token_file = path.string();
    static const struct {
        std::string text;
        const char* want;  // null: refused
    } rows[] = {{"sesame-sesame-16", token},         {"sesame-sesame-16\n", token},
                {"sesame-sesame-16\r\nmore", token}, {"sesame-sesame-1", nullptr},
                {"sesame sesame 16", nullptr},       {"", nullptr},
                {"\nsesame-sesame-16", nullptr},     {std::string(257, 'x'), nullptr}};
    for (const auto& row : rows) {
        CAPTURE(row.text);
        std::ofstream{path, std::ios::binary} << row.text;
        std::string wrong;
        const auto got = io::read_http_token(s, wrong);
        CHECK(wrong.empty() == (row.want != nullptr));
        CHECK(got == (row.want == nullptr ? "" : row.want));
        CHECK(wrong.find("sesame") == std::string::npos);
    }
    std::filesystem::remove(path);
    std::string wrong;
    CHECK(io::read_http_token(s, wrong).empty());
    CHECK(wrong.find("cannot read") != std::string::npos);
    s.http.token_file.clear();
    CHECK(io::read_http_token(s, wrong).empty());
    CHECK(wrong.empty());
}

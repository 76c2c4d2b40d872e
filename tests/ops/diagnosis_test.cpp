#include "proxy/ops/diagnosis.h"

#include <doctest/doctest.h>

#include <string>

using namespace pgsidecar;

TEST_CASE("diagnosis: what passwords stand behind is hidden, whatever they are") {
    const ops::scrubber scrub;
    static constexpr struct {
        const char *text, *want;
    } rows[] = {
        {"password=sesame user=app", "password=*** user=app"},
        {"PASSWORD = sesame", "PASSWORD = ***"},
        {"Password=\"se;s ame\";Host=a", "Password=***;Host=a"},
        {"password: sesame  # pgsidecar.yaml:3", "password: ***  # pgsidecar.yaml:3"},
        {"{\"token\": \"sesame\"}", "{\"token\": ***}"},
        {"Authorization: Basic c2VzYW1l more", "Authorization: ***"},
        {"Bearer sesame", "Bearer ***"},
        {"postgresql://app:sesame@db/clinic", "postgresql://***@db/clinic"},
        {"host=db user=app", "host=db user=app"},
        {"redis_password_file: /etc/x", "redis_password_file: /etc/x"},
        {"password authentication failed", "password authentication failed"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(scrub.settings(row.text) == std::string{row.want} + "\n");
    }
}

TEST_CASE("diagnosis: a known secret is hidden wherever it stands") {
    ops::scrubber scrub;
    scrub.add_secret("sesame");
    scrub.add_secret("sesame-and-more");
    scrub.add_secret("abc");  // would be found everywhere
    CHECK(scrub.settings("xsesamex sesame-and-more abc") == "x***x *** abc\n");
    CHECK(scrub.statement("SELECT sesame") == "SELECT ***");
    CHECK(scrub.metrics("a{b=\"sesame\"} 1") == "a{b=\"***\"} 1");
    CHECK(scrub.table({{"note"}, {{"sesame"}}}) == "note\n***\n");
}

TEST_CASE("diagnosis: literals and quoted texts of the log are hidden") {
    ops::scrubber scrub;
    scrub.add_name("clinic");
    const auto log = [&](const char* text) {
        auto out = scrub.log(text);
        out.pop_back();
        return out;
    };
    CHECK(log("ERROR: invalid input \"zz91q\"") == "ERROR: invalid input \"***\"");
    CHECK(log("database \"clinic\" is read") == "database \"clinic\" is read");
    CHECK(log("WHERE name = 'zz91q ''x' AND E'\\'zz91q' AND $1") ==
          "WHERE name = '***' AND E'***' AND $1");
    CHECK(log("$zz$ zz91q $zz$ and $$zz91q") == "'***' and '***'");
    CHECK(log("the server's word: isn't") == "the server's word: isn't");
    CHECK(log("a quote 'zz91q that does not end").find("zz91q") == std::string::npos);
    CHECK(log("a quote \"zz91q that does not end").find("zz91q") == std::string::npos);
    CHECK(log("session of application_name=zz91q and more") == "session of application_name=***");
    CHECK(log("alert begins: tenant=zz91q x tier=gold p95=3") ==
          "alert begins: tenant=*** tier=gold p95=3");
    CHECK(scrub.log("a\r\nb") == "a\nb\n");
}

TEST_CASE("diagnosis: tenants and applications have the same numbers everywhere") {
    ops::scrubber scrub;
    CHECK(scrub.table({{"tenant", "application_name", "query", "calls"},
                       {{"clinic-7", "till, 3", "SELECT 'zz91q' /* zz91q */ -- zz91q", "4"},
                        {"(others)", "", "SELECT \"Id\" FROM t WHERE a = $1", "5"}}}) ==
          "tenant,application_name,query,calls\n"
          "tenant-1,application-1,SELECT '***'    ,4\n"
          "(others),,\"SELECT \"\"Id\"\" FROM t WHERE a = $1\",5\n");
    CHECK(
        scrub.metrics("x{tenant=\"clinic-7\",le=\"1\"} 2\nx{tenant=\"a\\\"b\"} "
                      "3\nx{tenant=\"(others)\"} 1\n") ==
        "x{tenant=\"tenant-1\",le=\"1\"} 2\nx{tenant=\"tenant-2\"} 3\nx{tenant=\"(others)\"} 1\n");
    CHECK(scrub.log("refused: clinic-7. And \"till, 3\", clinic-70") ==
          "refused: tenant-1. And \"application-1\", clinic-70\n");
}

TEST_CASE("diagnosis: the end of a text, in whole lines") {
    CHECK(ops::last_lines("a\nb\nc\n", 100) == "a\nb\nc\n");
    CHECK(ops::last_lines("aaa\nb\nc\n", 5) == "b\nc\n");
    CHECK(ops::last_lines("aaaaaa", 3) == "aaa");
}

TEST_CASE("diagnosis: what is set on a command line is hidden") {
    const ops::scrubber scrub;
    CHECK(ops::command_line({"pgsidecar", "run", "-c", "x.yaml", "--set", "a.b=zz91q",
                             "--set=c=zz91q", "password=zz91q"},
                            scrub) ==
          "pgsidecar run -c x.yaml --set a.b=*** --set=c=*** password=***");
}

#include "config/conninfo.h"

#include <doctest/doctest.h>

#include <string>

using namespace pgsidecar::config;

TEST_CASE("redaction: no form of a password is shown, everything else is") {
    static constexpr struct {
        const char* text;
        const char* shown;
    } rows[] = {
        {"", ""},
        {"user=postgres dbname=postgres", "user=postgres dbname=postgres"},
        {"user=x password=hunter2 host=h", "user=x password=******** host=h"},
        {"password=hunter2", "password=********"},
        {"password = hunter2 host=h", "password = ******** host=h"},
        {"password='hunter2 with \\' and blank' host=h", "password=******** host=h"},
        {"password=hun\\ ter2 host=h", "password=******** host=h"},
        {"PassWord=hunter2", "PassWord=********"},
        {"sslpassword=hunter2", "sslpassword=********"},
        {"password=hunter2 password=hunter2", "password=******** password=********"},
        {"password=", "password=********"},
        {"user='a=b password=c' host=h", "user='a=b password=c' host=h"},
        {"dbname='host=h password=hunter2'", "dbname=********"},
        {"dbname=postgresql://u:hunter2@h", "dbname=********"},
        {"password='hunter2", "********"},
        {"hunter2", "********"},
        {"user=x hunter2", "********"},
        {"postgresql://u@h/db", "postgresql://u@h/db"},
        {"postgresql://u:hunter2@h:5432/db", "postgresql://u:********@h:5432/db"},
        {"postgres://u:hunter2@h", "postgres://u:********@h"},
        {"postgresql://u:hun/ter2@h/db", "postgresql://u:********@h/db"},
        {"postgresql://u:hun@ter2@h/db", "postgresql://u:********@h/db"},
        {"postgresql://u:hun?ter2@h/db", "postgresql://u:********@h/db"},
        {"postgresql://h/db?password=hunter2&sslmode=require",
         "postgresql://h/db?password=********&sslmode=require"},
        {"postgresql://h/db?sslmode=require&password=hunter2",
         "postgresql://h/db?sslmode=require&password=********"},
        {"postgresql://h/db?pass%77ord=hunter2", "postgresql://h/db?pass%77ord=********"},
        {"postgresql://u:hunter2@h/db?password=hunter2",
         "postgresql://u:********@h/db?password=********"},
        {"postgresql://u:x@h?password=hunter2@hunter2",
         "postgresql://u:********@h?password=********"},
        {"postgresql://u:x@h?password=hunter2&a://u:p@h?password=hunter2",
         "postgresql://u:********@h?password=********"},
        {"postgresql://h:5432/db", "postgresql://h:5432/db"},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.text});
        CHECK(redact_conninfo(row.text) == row.shown);
    }
}

TEST_CASE("redaction: what is shown can be split again, and redacting twice changes nothing") {
    for (const char* text : {"user=x password='a b' host=h", "postgresql://u:p@h/db?password=q"}) {
        const std::string once = redact_conninfo(text);
        CHECK(check_conninfo(once).empty());
        CHECK(redact_conninfo(once) == once);
    }
}

TEST_CASE("a connection string that libpq could not split is refused without showing it") {
    static constexpr const char* good[] = {
        "",
        "user=x",
        " user = x  dbname='a b' ",
        "user=x password=",
        "application_name='it\\'s'",
        "postgresql://",
        "postgres://u@h:5432,h2/db?sslmode=require",
    };
    for (const char* text : good) {
        CAPTURE(std::string{text});
        CHECK(check_conninfo(text).empty());
    }
    static constexpr const char* bad[] = {
        "hunter2", "user", "user=x hunter2", "=x", "user 'x'", "password='hunter2", "user=x\n",
    };
    for (const char* text : bad) {
        CAPTURE(std::string{text});
        const std::string reason = check_conninfo(text);
        CHECK_FALSE(reason.empty());
        CHECK(reason.find("hunter2") == std::string::npos);
    }
}

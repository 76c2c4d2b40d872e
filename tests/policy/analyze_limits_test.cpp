// Texts made to break the analyser: too long, too deep, too often copied, not text at all.
#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "policy/analyze.h"
#include "policy/analyze_scan.h"
#include "tests/policy/analyze_say.h"

namespace pgsidecar::policy {
namespace {

std::string repeat(std::string_view text, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out += text;
    return out;
}

std::size_t nesting(std::string_view sql) { return bounds_of(sql).nesting; }
std::size_t copies(std::string_view sql) { return bounds_of(sql).copies; }

}  // namespace

TEST_CASE("analyze: a text beyond the limit is not looked at") {
    CHECK(analyze("SELECT 1", 8).parsed);
    const auto over = analyze("SELECT 1", 7);
    CHECK(over.too_long);
    CHECK_FALSE(over.parsed);
    CHECK(over.statements.empty());
    CHECK(analyze(std::string(default_max_sql + 1, ' ')).too_long);
    CHECK(analyze(std::string(default_max_sql, ' ')).parsed);
}

TEST_CASE("analyze: what is no SQL is unparsed") {
    using namespace std::string_view_literals;
    for (const auto sql : {"SELEC 1"sv, "SELECT 'x"sv, "SELECT 1\0"sv, "\0"sv, "SELECT 1 FROM"sv,
                           "SELECT /* "sv, ")"sv, "\xff\xfe"sv}) {
        CAPTURE(sql);
        CHECK(say(sql) == "unparsed");
    }
}

TEST_CASE("analyze: names and literals that are not UTF-8 are taken as they are") {
    CHECK(say("SELECT '\xe9' FROM caf\xe9") == "select r=caf\xe9");
    CHECK(say("SELECT '\xed\xa0\x80' FROM \"\xc0\x80\"") == "select r=\xc0\x80");
}

TEST_CASE("analyze: names are cut at 63 bytes as the server does") {
    CHECK(say("SELECT * FROM " + std::string(80, 'a')) == "select r=" + std::string(63, 'a'));
}

TEST_CASE("analyze: nesting that would overflow the parser's stack is refused (trap: a crash)") {
    struct shape {
        const char* name;
        std::string before, open, middle, close, after;
    };
    const shape shapes[] = {
        {"operators", "SELECT ", "1+", "1", "", ""},
        {"concatenation", "SELECT ", "a||", "1", "", ""},
        {"casts", "SELECT 1", "::int", "", "", ""},
        {"prefix operators", "SELECT ", "- ", "1", "", ""},
        {"not", "SELECT ", "NOT ", "true", "", ""},
        {"parentheses", "SELECT ", "(", "1", ")", ""},
        {"calls", "SELECT ", "f(", "1", ")", ""},
        {"subqueries", "SELECT ", "(SELECT ", "1", ")", ""},
        {"case", "SELECT ", "CASE WHEN true THEN ", "1", " END", ""},
        {"unions", "", "SELECT 1 UNION ", "SELECT 1", "", ""},
        {"joins", "SELECT 1 FROM a", " CROSS JOIN a", "", "", ""},
        {"joins on", "SELECT 1 FROM a", " JOIN a ON a.x=a.y", "", "", ""},
        {"arrays", "SELECT ", "ARRAY[", "1", "]", ""},
        {"collations", "SELECT a", " COLLATE x", "", "", ""},
        {"time zones", "SELECT a", " AT TIME ZONE b", "", "", ""},
        {"named operators", "SELECT 1", " OPERATOR(+) 1", "", "", ""},
        {"keywords as fields", "SELECT ", "a.or+a.and+a.select+", "1", "", ""},
        {"behind a continued string", "SELECT E'a'\n'\\' , ', ", "1+", "1", "", ""},
        {"keywords as labels", "SELECT ", "(SELECT 1+1+", "1", " AS end)", ""},
    };
    for (const auto& s : shapes) {
        CAPTURE(s.name);
        const auto text = [&](std::size_t n) {
            return s.before + repeat(s.open, n) + s.middle + repeat(s.close, n) + s.after;
        };
        CHECK(analyze(text(40)).parsed);
        CHECK_FALSE(analyze(text(600)).parsed);
        CHECK_FALSE(
            analyze(text((default_max_sql - 100) / (s.open.size() + s.close.size()))).parsed);
        auto facts = analyze(text(600));
        describe(text(600), facts);  // has to guard the fingerprint too
        CHECK(facts.fingerprint == 0);
    }
}

TEST_CASE("analyze: long texts that are not deep are read") {
    const std::pair<const char*, std::string> texts[] = {
        {"and", "SELECT 1 FROM a WHERE x = 1" + repeat(" AND y = 2", 5000)},
        {"or", "SELECT 1 FROM a WHERE x = 1" + repeat(" OR y = 2 AND NOT z <> 3", 5000)},
        {"in", "SELECT 1 FROM a WHERE x IN (-1" + repeat(", -1", 20000) + ")"},
        {"rows", "INSERT INTO a VALUES (1, -2, 'x'::text)" + repeat(", (1, -2, 'x'::text)", 10000)},
        {"statements", repeat("UPDATE t SET a = a + 1 WHERE b = 'x' || $1;", 3000)},
        {"limits", repeat("SELECT 'x' LIMIT 10;", 20000)},
        {"columns", "SELECT 1" + repeat(", a.b + 1 AS c", 10000) + " FROM a"},
        {"whens", "SELECT CASE" + repeat(" WHEN a = 1 + 1 THEN b - 1", 5000) + " END FROM a"},
    };
    for (const auto& text : texts) {
        CAPTURE(text.first);
        CHECK(analyze(text.second).parsed);
    }
}

TEST_CASE("bounds_of: a bound of the depth, whatever stands side by side") {
    CHECK(nesting("SELECT 1") == 0);
    CHECK(nesting("SELECT a + b * c") == 2);
    CHECK(nesting("SELECT a + b, c + d") == 1);
    CHECK(nesting("SELECT ((a))") == 2);
    CHECK(nesting("SELECT (a + b) + (c + d)") == 3);
    CHECK(nesting("SELECT '((((' /* (((( */ -- ((((\n \"((((\"") == 0);
    CHECK(nesting("SELECT 1 FROM a JOIN b ON x = y JOIN c ON x = y") == 3);
    CHECK(nesting("SELECT )))") == 0);
    CHECK(nesting("(((;(((") == 3);
}

TEST_CASE("analyze: a row assignment is written out once per column (trap: memory)") {
    CHECK(copies("SELECT 1") == 1);
    CHECK(copies("UPDATE t SET (a, b) = (1, 2), (c, d, e) = (SELECT 1, 2, 3), (f, g) = (1, 2)") ==
          3);
    CHECK(
        copies("UPDATE t SET (a, b) = (WITH x AS (UPDATE u SET (a, b, c) = (1, 2, 3)) SELECT 1)") ==
        6);
    CHECK(copies(
              "UPDATE t SET (a, b) = (1, 2) WHERE x IN (SELECT 1); UPDATE t SET (a, b) = (1, 2)") ==
          2);
    CHECK(
        copies("UPDATE t SET (a, b) = 1 IS DISTINCT FROM (WITH x AS (UPDATE u SET (a, b) = (1, 2)) "
               "SELECT 1)") == 4);
    CHECK(copies("MERGE INTO t USING u ON true WHEN MATCHED THEN UPDATE SET (a, b) = (1, 2) "
                 "WHEN MATCHED THEN UPDATE SET (a, b, c) = (1, 2, 3)") == 3);
    CHECK(copies("UPDATE t SET (a) = (SELECT f(1, 2))") == 1);
    CHECK(copies("SELECT 1 WHERE (a, b) = (1, 2)") == 1);
    CHECK(say("UPDATE t SET (a, b, c) = (SELECT x, y, z FROM u)") == "update r=u w=t");

    // Each level is copied ten times: 10^12 copies of the innermost.
    std::string deep = "SELECT 1";
    for (int i = 0; i < 12; ++i) {
        deep =
            "WITH w AS (UPDATE t SET (a,b,c,d,e,f,g,h,i,j) = (" + deep + ") RETURNING 1) SELECT 1";
    }
    CHECK(say(deep) == "unparsed");
    // A thousand columns, each with the same long subquery.
    CHECK(say("UPDATE t SET (a" + repeat(",a", 999) + ") = (SELECT 1" + repeat(",1", 99999) +
              ")") == "unparsed");
}

TEST_CASE("analyze: many names take no quadratic time") {
    std::string sql = "WITH a0 AS (SELECT 1)";
    for (int i = 1; i < 20000; ++i) {
        sql += ", a" + std::to_string(i) + " AS (SELECT f" + std::to_string(i) + "(1) FROM a" +
               std::to_string(i - 1) + ")";
    }
    sql += " SELECT 1 FROM b";
    const auto facts = analyze(sql);
    REQUIRE(facts.parsed);
    CHECK(facts.statements[0].reads.size() == 1);
    CHECK(facts.statements[0].functions.size() == 19999);
}

TEST_CASE("analyze: from several threads at once") {
    std::vector<std::thread> threads;
    std::vector<int> wrong(4, 0);
    for (std::size_t t = 0; t < wrong.size(); ++t) {
        threads.emplace_back([t, &wrong] {
            for (int i = 0; i < 200; ++i) {
                const auto table = "t" + std::to_string(t) + "_" + std::to_string(i);
                const auto sql = "SELECT f(x) FROM " + table;
                auto facts = analyze(sql);
                describe(sql, facts);
                if (!facts.parsed || facts.statements[0].reads[0].name != table) ++wrong[t];
                if (analyze("SELECT FROM FROM " + table).parsed) ++wrong[t];
            }
        });
    }
    for (auto& thread : threads) thread.join();
    for (const int count : wrong) CHECK(count == 0);
}

}  // namespace pgsidecar::policy

#include "proxy/ops/workload.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "proxy/ops/workload_console.h"

using namespace pgsidecar;
using namespace std::string_view_literals;
using ops::workload;
using lines = std::vector<std::string>;

namespace {

lines texts_of(std::string_view file) {
    const auto read = ops::read_workload(file, false);
    lines out;
    for (const auto& p : read.problems)
        out.push_back("! " + std::to_string(p.line) + ": " + p.reason);
    if (read.problems.empty())
        for (const auto& s : read.statements) out.push_back(std::to_string(s.line) + " " + s.sql);
    return out;
}

// The one problem of a file: "line: reason".
std::string refused(std::string_view file, bool allow_writes = false) {
    const auto read = ops::read_workload(file, allow_writes);
    if (read.problems.size() != 1) return std::to_string(read.problems.size()) + " problems";
    return std::to_string(read.problems[0].line) + ": " + read.problems[0].reason;
}

}  // namespace

TEST_CASE("workload: statements end where PostgreSQL ends them") {
    CHECK(texts_of("SELECT 1;\nSELECT 2") == lines{"1 SELECT 1", "2 SELECT 2"});
    CHECK(texts_of("SELECT 1; SELECT 2;") == lines{"1 SELECT 1", "1 SELECT 2"});
    CHECK(texts_of("\n\n  SELECT\n 1\n;\n\n;;\nSELECT 2;\n") ==
          lines{"3 SELECT\n 1", "8 SELECT 2"});
    CHECK(texts_of("SELECT ';', 'it''s; ';") == lines{"1 SELECT ';', 'it''s; '"});
    CHECK(texts_of(R"(SELECT E'\';';SELECT 1;)") == lines{R"(1 SELECT E'\';')", "1 SELECT 1"});
    CHECK(texts_of(R"(SELECT '\';SELECT 1;)") == lines{R"(1 SELECT '\')", "1 SELECT 1"});
    CHECK(texts_of("SELECT 1 AS \"a;\"\"b\";SELECT 2;") ==
          lines{"1 SELECT 1 AS \"a;\"\"b\"", "1 SELECT 2"});
    CHECK(texts_of("SELECT $$;$$, $a$;$$;$a$;SELECT 2;") ==
          lines{"1 SELECT $$;$$, $a$;$$;$a$", "1 SELECT 2"});
    CHECK(texts_of("SELECT 1 -- ; no\n + 1; SELECT 2;") ==
          lines{"1 SELECT 1 -- ; no\n + 1", "2 SELECT 2"});
    CHECK(texts_of("SELECT 1 /* ; /* ; */ ; */ + 1; SELECT 2;") ==
          lines{"1 SELECT 1 /* ; /* ; */ ; */ + 1", "1 SELECT 2"});
    CHECK(texts_of("\xef\xbb\xbfSELECT 1;\r\nSELECT 2;\r\n") == lines{"1 SELECT 1", "2 SELECT 2"});
}

TEST_CASE("workload: what never closes is told where it begins") {
    for (const auto* open : {"'abc;", "\"abc;", "$$ abc;", "$x$ abc $y$;", "/* abc ;", "/* /* */;"})
        CHECK(refused(std::string{"SELECT 1;\nSELECT\n "} + open) ==
              "3: a quote or a comment that begins here is never closed");
}

TEST_CASE("workload: directives") {
    const auto read = ops::read_workload(
        "-- Some remark: no directive.\n"
        "-- name: newest page\n--weight:5\n"
        "-- params: [\"pharmacy-07\", 100]\n"
        "-- params: [null, 1.50]\n"
        "-- format: binary\n"
        "SELECT id FROM p WHERE t = $1 ORDER BY id LIMIT $2;\n"
        "/* -- weight: 7 */\n"
        "-- order: any\n"
        "SELECT id -- name: of the column\n FROM p ORDER BY id;\n"
        "-- params: []\nSELECT true, 1;\n",
        false);
    CHECK(read.problems.empty());
    REQUIRE(read.statements.size() == 3);
    const auto& first = read.statements[0];
    CHECK(first.name == "newest page");
    CHECK(first.line == 7);
    CHECK(first.weight == 5);
    CHECK(first.prepared);
    CHECK(first.binary);
    CHECK(first.ordered);
    CHECK(first.parameters ==
          std::vector<ops::workload_values>{{"pharmacy-07", "100"}, {std::nullopt, "1.50"}});
    CHECK(first.normalized == "SELECT id FROM p WHERE t = $1 ORDER BY id LIMIT $2");
    CHECK(read.statements[1].weight == 1);
    CHECK(read.statements[1].name.empty());
    CHECK_FALSE(read.statements[1].ordered);
    CHECK_FALSE(read.statements[1].prepared);
    CHECK(read.statements[2].prepared);
    CHECK(read.statements[2].parameters == std::vector<ops::workload_values>{{}});
    CHECK(read.statements[2].normalized == "SELECT true, $1");
}

TEST_CASE("workload: a file that is not right, with its line") {
    static const struct {
        std::string_view file, want;
    } rows[] = {
        {"", "1: there is no statement"},
        {"-- nothing\n;\n", "1: there is no statement"},
        {"SELECT 1;\n-- weight: 2\n", "2: no statement follows this line"},
        {"SELECT 1; -- weight: 2\nSELECT 2;",
         "1: this needs a line of its own, before its statement"},
        {"SELECT $1\n-- params: [1]\n;", "2: params stands inside a statement; it goes before it"},
        {"\n\nSELECT $1;",
         "3: the statement has parameters: write a line -- params: [...] before it"},
        {"-- params: [1]\n-- params: [1, 2]\nSELECT $1;",
         "2: params holds 2 values, the statement has 1 parameters"},
        {"-- params: [1]\nSELECT 1;", "1: params holds 1 values, the statement has 0 parameters"},
        {"-- params: {}\nSELECT 1;", "1: params: is not a JSON array"},
        {"-- params: [[1]]\nSELECT $1;",
         "1: params: a value is a string, a number, true, false or null"},
        {"-- params: [\"\\u0000\"]\nSELECT $1;",
         "1: params: a value holds a NUL character, which PostgreSQL does not take"},
        {"-- weight: 0\nSELECT 1;", "1: weight is a whole number from 1 to 100"},
        {"-- weight: 101\nSELECT 1;", "1: weight is a whole number from 1 to 100"},
        {"-- weight: 5x\nSELECT 1;", "1: weight is a whole number from 1 to 100"},
        {"-- order: none\nSELECT 1;", "1: order knows one word: any"},
        {"-- format: json\nSELECT 1;", "1: format is text or binary"},
        {"-- format: binary\nSELECT 1;",
         "2: format: binary needs a line -- params: [...], be it empty"},
        {"SELECT 1;\n\\d prescriptions\n", "2: psql's own commands are not known here"},
        {"SELECT 1;\nSELEC 2;", "2: PostgreSQL's parser does not accept this statement"},
        {"SELECT 1;\n\nSELECT 2\0;"sv, "3: holds a NUL character"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.file);
        CHECK(refused(row.file) == row.want);
    }
    CHECK(refused(std::string(ops::max_workload_size + 1, ' ')) ==
          "1: the file is larger than 16 MB");
}

TEST_CASE("workload: only what reads is run") {
    static const struct {
        std::string_view sql, reads, writes;  // empty: it is run
    } rows[] = {
        {"SELECT 1", "", ""},
        {"VALUES (1)", "", ""},
        {"WITH a AS (SELECT 1) SELECT * FROM a", "", ""},
        {"SELECT now()", "", ""},
        {"SELECT mine(1)", "", ""},
        {"INSERT INTO t VALUES (1)",
         "only statements that read are run, and this one is of kind insert", ""},
        {"WITH a AS (DELETE FROM t RETURNING 1) SELECT * FROM a",
         "the SELECT writes inside its WITH", ""},
        {"SELECT 1 INTO t", "SELECT INTO makes a table", ""},
        {"SELECT 1 FROM t FOR UPDATE", "the SELECT locks rows", ""},
        {"SELECT nextval('s')", "the SELECT calls nextval(), which changes something", ""},
        {"SELECT set_config('a.b', 'c', false)",
         "the SELECT calls set_config(), which changes something", ""},
        {"SELECT pg_catalog.pg_terminate_backend(1)",
         "the SELECT calls pg_terminate_backend(), which changes something", ""},
        {"SET a.b = 1", "only statements that read are run, and this one is of kind set",
         "a statement of kind set is never run here"},
        {"BEGIN", "only statements that read are run, and this one is of kind begin",
         "a statement of kind begin is never run here"},
        {"COPY t TO STDOUT", "only statements that read are run, and this one is of kind copy_to",
         "a statement of kind copy_to is never run here"},
        {"DROP TABLE t", "only statements that read are run, and this one is of kind ddl",
         "a statement of kind ddl is never run here"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.sql);
        const auto want = [](std::string_view reason) {
            return reason.empty() ? std::string{"0 problems"} : "1: " + std::string{reason};
        };
        CHECK(refused(row.sql) == want(row.reads));
        CHECK(refused(row.sql, true) == want(row.writes));
    }
}

TEST_CASE("workload: whose rows have an order") {
    CHECK(ops::orders_rows("SELECT a FROM t ORDER BY a"));
    CHECK(ops::orders_rows("(SELECT a FROM t) UNION SELECT 1 order /* x */\n by 1 LIMIT 3"));
    CHECK(ops::orders_rows("WITH x AS (SELECT 1) SELECT * FROM x ORDER BY 1"));
    CHECK_FALSE(ops::orders_rows("SELECT a FROM t"));
    CHECK_FALSE(ops::orders_rows("SELECT a FROM (SELECT a FROM t ORDER BY a) s"));
    CHECK_FALSE(ops::orders_rows("SELECT row_number() OVER (ORDER BY a) FROM t"));
    CHECK_FALSE(ops::orders_rows("SELECT 'order by', \"order\" by FROM t"));
    CHECK_FALSE(ops::orders_rows("SELECT array_agg(a ORDER BY a) FROM t"));
}

TEST_CASE("workload: from the console") {
    const ops::console_rows answer{
        {"database", "query", "calls", "hits", "fingerprint"},
        {{"clinic", "SELECT a FROM t WHERE id = $1", "5", "3", "aa"},
         {"clinic", "SELECT count(*) FROM t", "70", "60", "bb"},
         {"other", "SELECT b FROM u", "900", "1", "cc"},
         {"clinic", "INSERT INTO t VALUES ($1)", "7", "0", "dd"},
         {"clinic", "SELECT a FROM t WHERE x = $1 AND y = $2", "6", "0", "ee"},
         {"clinic", "(others)", "9", "0", ""}}};
    ops::workload_problem wrong;
    const auto values = ops::read_value_sets(
        "{\"SELECT a FROM t WHERE id = $1\": [[1], [2]],\n \"ee\": [[\"p\", null]]}", wrong);
    REQUIRE(values);
    const auto got = ops::console_workload(answer, "clinic", 10, *values, false);
    lines said;
    for (const auto& s : got.statements)
        said.push_back(s.sql + " x" + std::to_string(s.parameters.size()));
    CHECK(said == lines{"SELECT count(*) FROM t x0", "SELECT a FROM t WHERE x = $1 AND y = $2 x1",
                        "SELECT a FROM t WHERE id = $1 x2"});
    REQUIRE(got.skipped.size() == 2);
    CHECK(got.skipped[0].normalized == "(others)");
    CHECK(got.skipped[1].why ==
          "only statements that read are run, and this one is of kind insert");

    const auto without = ops::console_workload(answer, "", 3, {}, true);
    CHECK(without.statements.size() == 2);
    REQUIRE(without.skipped.size() == 1);
    std::uint64_t hits = 0, calls = 0;
    CHECK(ops::count_hits(answer, hits, calls));
    CHECK(hits == 64);
    CHECK(calls == 997);
    CHECK_FALSE(ops::count_hits({{"query", "calls"}, {}}, hits, calls));
    CHECK(ops::console_workload({{"query"}, {}}, "", 3, {}, false).problems.size() == 1);
    const auto needs = ops::console_workload(answer, "clinic", 10, {}, false);
    REQUIRE(needs.skipped.size() == 4);
    CHECK(needs.skipped[2].why == "it needs values for 2 placeholders (--values)");
}

TEST_CASE("workload: values that do not fit") {
    ops::workload_problem wrong;
    CHECK_FALSE(ops::read_value_sets("[1]", wrong));
    CHECK(wrong.line == 1);
    CHECK_FALSE(ops::read_value_sets("{\"a\": [[1]],\n\"b\": [2]}", wrong));
    CHECK(wrong.line == 2);
    CHECK(wrong.reason == "is not a JSON array");
    CHECK_FALSE(ops::read_value_sets("{\"a\":\n 3}", wrong));
    CHECK(wrong.line == 2);
    CHECK_FALSE(ops::read_value_sets("{\"a\": [[1],", wrong));
    const ops::console_rows one{{"database", "query", "calls"}, {{"d", "SELECT $1", "1"}}};
    for (const auto& [json, why] :
         {std::pair{"{\"SELECT $1\": [[1, 2]]}", "--values gives 2 values, it has 1 placeholders"},
          std::pair{"{\"SELECT $1\": []}", "--values gives no set of values"}}) {
        const auto values = ops::read_value_sets(json, wrong);
        REQUIRE(values);
        const auto got = ops::console_workload(one, "d", 10, *values, false);
        REQUIRE(got.skipped.size() == 1);
        CHECK(got.skipped[0].why == why);
    }
}

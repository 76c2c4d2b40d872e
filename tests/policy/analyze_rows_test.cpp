// How many rows a text itself allows: LIMIT, the rows of VALUES, RETURNING.
#include <doctest/doctest.h>

#include <string>

#include "policy/analyze.h"
#include "tests/policy/analyze_say.h"

namespace pgsidecar::policy {
namespace {

constexpr std::uint64_t largest = 18'446'744'073'709'551'615U;

// The limit of a text's last statement.
limit_clause limit_of(std::string_view sql) {
    const auto facts = analyze(sql);
    return facts.parsed ? facts.statements.back().page_limit : limit_clause{};
}

}  // namespace

TEST_CASE("analyze: LIMIT and FETCH FIRST, as a literal, a parameter or neither") {
    static constexpr said rows[] = {
        {"SELECT 1 FROM a", "select r=a"},
        {"SELECT 1 FROM a OFFSET 5", "select r=a"},
        {"SELECT 'x' FROM a LIMIT 10", "select r=a limit=#1"},
        {"SELECT 1 FROM a OFFSET 5 LIMIT 10", "select r=a limit=#2"},
        {"SELECT 1 FROM a LIMIT 10 OFFSET 5", "select r=a limit=#1"},
        {"SELECT a FROM a LIMIT '10'", "select r=a limit=#0"},
        {"SELECT a FROM a LIMIT E'10'", "select r=a limit=#0"},
        {"SELECT a FROM a LIMIT U&'10'", "select r=a limit=#0"},
        {"SELECT a FROM a LIMIT $$10$$", "select r=a limit=#0"},
        {"SELECT a FROM a LIMIT '1'\n'0'", "select r=a limit=#0"},
        {"SELECT a FROM a LIMIT (10)", "select r=a limit=#0"},
        {"SELECT a FROM a LIMIT 1e3", "select r=a limit=#0"},
        {"SELECT a FROM a LIMIT 99999999999999999999", "select r=a limit=#0"},
        {"SELECT a FROM a LIMIT 10::bigint", "select r=a c=pg_catalog.int8 limit=#0"},
        {"SELECT a FROM a LIMIT ((10::numeric)::smallint)",
         "select r=a c=pg_catalog.int2,pg_catalog.numeric limit=#0"},
        {"SELECT a FROM a LIMIT CAST('10' AS pg_catalog.int8)",
         "select r=a c=pg_catalog.int8 limit=#0"},
        {"SELECT a FROM a LIMIT int '10'", "select r=a c=pg_catalog.int4 limit=#0"},
        {"SELECT a /* 1 '2' */ FROM a -- 3\n LIMIT 10", "select r=a limit=#0"},
        {"SELECT \"1\" FROM a WHERE b = $1 AND c = 'x' LIMIT 10", "select r=a $1 limit=#1"},
        {"SELECT a FROM a FETCH FIRST 10 ROWS ONLY", "select r=a limit=#0"},
        {"SELECT a FROM a ORDER BY a FETCH NEXT 10 ROWS WITH TIES", "select r=a limit=#0"},
        {"SELECT a FROM a FETCH FIRST $1 ROWS ONLY", "select r=a $1 limit=$1"},
        {"SELECT a FROM a LIMIT $2 OFFSET $1", "select r=a $2 limit=$2"},
        {"SELECT a FROM a LIMIT $1::int", "select r=a c=pg_catalog.int4 $1 limit=$1"},
        {"SELECT a FROM a LIMIT ($1)::bigint", "select r=a c=pg_catalog.int8 $1 limit=$1"},
        {"SELECT a FROM a LIMIT ALL", "select r=a"},
        {"SELECT a FROM a LIMIT NULL", "select r=a"},
        {"SELECT a FROM a LIMIT NULL::int OFFSET 3", "select r=a c=pg_catalog.int4"},
        {"SELECT a FROM a FETCH FIRST ROW ONLY", "select r=a limit=other"},
        {"SELECT a FROM a LIMIT -10", "select r=a limit=other"},
        {"SELECT a FROM a LIMIT - -10", "select r=a limit=other"},
        {"SELECT a FROM a LIMIT +10", "select r=a limit=other"},
        {"SELECT a FROM a LIMIT 5+5", "select r=a limit=other"},
        {"SELECT a FROM a LIMIT $1+5", "select r=a $1 limit=other"},
        {"SELECT a FROM a LIMIT $0", "select r=a limit=other"},
        {"SELECT a FROM a LIMIT $65535", "select r=a $65535 limit=$65535"},
        {"SELECT a FROM a LIMIT $65536", "select r=a $65535 limit=other"},
        {"SELECT a FROM a LIMIT (SELECT 10)", "select r=a limit=other"},
        {"SELECT a FROM a LIMIT true", "select r=a limit=other"},
        {"SELECT a FROM a LIMIT B'1'", "select r=a limit=other"},
        {"SELECT a FROM a LIMIT N'10'", "select r=a c=pg_catalog.bpchar limit=other"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: a cast that changes the number hides it (trap: 1::bit is 524288)") {
    for (const std::string_view type :
         {"'1'::bit(20)::int", "10::text", "10::int[]", "10::s.int", "10::numeric(1)",
          "$1::text::int", "10::\"char\"::int", "'2024-01-01'::date"}) {
        CAPTURE(type);
        CHECK(limit_of("SELECT 1 FROM a LIMIT " + std::string{type}).is ==
              limit_clause::kind::other);
    }
}

TEST_CASE("analyze: only the outermost LIMIT counts (trap: a page in a subquery)") {
    static constexpr said rows[] = {
        {"SELECT * FROM (SELECT * FROM a LIMIT 5) x", "select r=a"},
        {"WITH x AS (SELECT * FROM a LIMIT 5) SELECT * FROM x", "select r=a"},
        {"WITH x AS (SELECT * FROM a LIMIT 5) SELECT * FROM x LIMIT 6", "select r=a limit=#1"},
        {"SELECT (SELECT b FROM a LIMIT 1) FROM c LIMIT $1", "select r=a,c $1 limit=$1"},
        {"SELECT b FROM a UNION SELECT b FROM c LIMIT 5", "select r=a,c limit=#0"},
        {"SELECT b FROM a UNION (SELECT b FROM c LIMIT 5)", "select r=a,c"},
        {"(SELECT b FROM a LIMIT 5) UNION SELECT b FROM c LIMIT 6", "select r=a,c limit=#1"},
        {"(SELECT b FROM a LIMIT 5)", "select r=a limit=#0"},
        {"((SELECT b FROM a LIMIT 5)) ORDER BY b", "select r=a limit=#0"},
        {"(SELECT b FROM a) LIMIT 5", "select r=a limit=#0"},
        {"VALUES (1), (2) LIMIT 1", "select limit=#2"},
        {"TABLE a LIMIT 3", "select r=a limit=#0"},
        {"SELECT 1 LIMIT 2; SELECT 3; SELECT 4 LIMIT 5",
         "select limit=#1; select; select limit=#4"},
        {"SET a = '1'; SELECT b LIMIT 2", "set name=a a:=1; select limit=#1"},
        {"INSERT INTO t SELECT * FROM a LIMIT 5", "insert r=a w=t"},
        {"CREATE TABLE t AS SELECT * FROM a LIMIT 5", "ddl r=a w=t writes_into"},
        {"SELECT * INTO t FROM a LIMIT 5", "select r=a w=t limit=#0 writes_into"},
        {"COPY (SELECT * FROM a LIMIT 5) TO STDOUT", "copy_to r=a"},
        {"EXPLAIN ANALYZE SELECT 'x' LIMIT 5", "explain_analyze {select limit=#1}"},
        {"PREPARE p AS SELECT 'x' LIMIT $1", "prepare name=p {select $1 limit=$1}"},
        {"DECLARE c CURSOR FOR SELECT 'x' LIMIT 5", "declare_cursor name=c {select limit=#1}"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: RETURNING of the statement itself, and the rows that VALUES lists") {
    static constexpr said rows[] = {
        {"INSERT INTO t VALUES (1)", "insert w=t values=1"},
        {"INSERT INTO t VALUES (1, 2), (3, 4), (5, 6)", "insert w=t values=3"},
        {"INSERT INTO t (VALUES (1), (2))", "insert w=t values=2"},
        {"INSERT INTO t VALUES (1), (2) LIMIT 1", "insert w=t values=2"},
        {"INSERT INTO t VALUES ($1), ($2) ON CONFLICT DO NOTHING RETURNING *",
         "insert w=t $2 values=2 returning"},
        {"INSERT INTO t DEFAULT VALUES", "insert w=t values=1"},
        {"WITH x AS (VALUES (1), (2), (3)) INSERT INTO t VALUES (1), (2)", "insert w=t values=2"},
        {"INSERT INTO t WITH x AS (SELECT 1) VALUES (1), (2)", "insert w=t values=2"},
        {"INSERT INTO t SELECT 1 RETURNING *", "insert w=t returning"},
        {"INSERT INTO t SELECT * FROM (VALUES (1), (2)) v", "insert w=t"},
        {"INSERT INTO t VALUES (1) UNION ALL VALUES (2)", "insert w=t"},
        {"INSERT INTO t TABLE u", "insert r=u w=t"},
        {"UPDATE t SET a = 1 RETURNING a", "update w=t returning"},
        {"DELETE FROM t RETURNING a", "delete w=t returning"},
        {"DELETE FROM t", "delete w=t"},
        {"MERGE INTO t USING u ON true WHEN NOT MATCHED THEN INSERT VALUES (1)", "merge r=u w=t"},
        {"WITH d AS (DELETE FROM t RETURNING *) INSERT INTO l SELECT * FROM d",
         "insert w=l,t modifying_cte"},
        {"WITH d AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM d",
         "select w=t modifying_cte"},
        {"VALUES (1), (2)", "select"},
        {"PREPARE p AS DELETE FROM t RETURNING a", "prepare name=p {delete w=t returning}"},
        {"COPY (INSERT INTO t VALUES (1) RETURNING *) TO STDOUT", "copy_to w=t"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: a LIMIT's value is no fact (trap: another text's page under the same shape)") {
    const std::string_view small = "SELECT * FROM a WHERE b = 'x' LIMIT 10";
    const std::string_view large = "SELECT * FROM a WHERE b = '' LIMIT 100000";
    CHECK_FALSE(analyze(small).literals_matter);
    REQUIRE(shape_of(small) == shape_of(large));
    const auto shared = limit_of(small);
    CHECK(shared == limit_of(large));
    CHECK(literal_number(small, shared.number) == 10);
    CHECK(literal_number(large, shared.number) == 100'000);
    CHECK(limit_of("SELECT * FROM a LIMIT -1") == limit_of("SELECT * FROM a LIMIT -0"));
}

TEST_CASE("literal_number: a literal's value, by its place in the text") {
    static constexpr struct {
        std::string_view literal;
        std::optional<std::uint64_t> want;
    } rows[] = {
        {"0", 0},
        {"10", 10},
        {"007", 7},
        {"9223372036854775807", 9'223'372'036'854'775'807U},
        {"9223372036854775808", largest},
        {"18446744073709551616", largest},
        {"99999999999999999999999999", largest},
        {"10.0", 10},
        {"10.", 10},
        {"10.1", 11},
        {".5", 1},
        {"0.0", 0},
        {"1e3", 1000},
        {"1.5E+3", 1500},
        {"1.2345e3", 1235},
        {"12345e-2", 124},
        {"12300e-2", 123},
        {"1e-30", 1},
        {"0e30", 0},
        {"1e18", 1'000'000'000'000'000'000U},
        {"1e19", largest},
        {"9223372036854775806.5", 9'223'372'036'854'775'807U},
        {"9223372036854775807.5", largest},
        {"1e999999999999999999999", largest},
        {"0e999999999999999999999", 0},
        {"1e-999999999999999999999", 1},
        {"'10'", 10},
        {"' \t\n10 '", 10},
        {"'+10'", 10},
        {"'1_000'", 1000},
        {"'0x1F'", 31},
        {"'0o17'", 15},
        {"'0b11'", 3},
        {"'0xFFFFFFFFFFFFFFFF'", largest},
        {"'0x7fffffffffffffff'", 9'223'372'036'854'775'807U},
        {"E'10'", 10},
        {"$$10$$", 10},
        {"$a$10$a$", 10},
        {"'-10'", std::nullopt},
        {"'+-10'", std::nullopt},
        {"''", std::nullopt},
        {"' '", std::nullopt},
        {"'.'", std::nullopt},
        {"'e5'", std::nullopt},
        {"'1e'", std::nullopt},
        {"'1e+-5'", std::nullopt},
        {"'1.2.3'", std::nullopt},
        {"'10 rows'", std::nullopt},
        {"'1''0'", std::nullopt},
        {"'1'\n'0'", std::nullopt},
        {"'0x'", std::nullopt},
        {"'0o8'", std::nullopt},
        {"'NaN'", std::nullopt},
        {"'infinity'", std::nullopt},
        {"E'1\\060'", std::nullopt},
        {"U&'10'", std::nullopt},
        {"B'10'", std::nullopt},
        {"X'10'", std::nullopt},
        {"N'10'", std::nullopt},
        {"$$$$", std::nullopt},
    };
    for (const auto& row : rows) {
        CAPTURE(row.literal);
        const auto sql = "SELECT 77 /* 5 */, $3, \"6\", " + std::string{row.literal} + ", 'last'";
        CHECK(literal_number(sql, 0) == 77);
        CHECK(literal_number(sql, 1) == row.want);
        CHECK(literal_number(sql, 2) == std::nullopt);
        CHECK(literal_number(sql, 3) == std::nullopt);
    }
    CHECK(literal_number("", 0) == std::nullopt);
    CHECK(literal_number("SELECT 1, 'unterminated", 1) == std::nullopt);
}

}  // namespace pgsidecar::policy

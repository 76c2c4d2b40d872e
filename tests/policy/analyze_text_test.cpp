// Normalised texts, shapes and fingerprints: what may be logged, and which texts share facts.
#include <doctest/doctest.h>

#include <string>

#include "policy/analyze.h"
#include "policy/analyze_scan.h"
#include "tests/policy/analyze_say.h"

namespace pgsidecar::policy {

TEST_CASE("normalize: no literal and no comment is left (trap: health data in a log)") {
    static constexpr struct {
        std::string_view sql;
        std::string_view want;
    } rows[] = {
        {"SELECT 1", "SELECT $1"},
        {"SELECT  a ,\n\t'x'  FROM t", "SELECT a , $1 FROM t"},
        {"SELECT $2, 'x', 5", "SELECT $2, $3, $4"},
        {"SELECT 'it''s', E'a\\'b', N'x', U&'\\0061', B'01', X'ff'",
         "SELECT $1, $2, $3, $4, $5, $6"},
        {"SELECT e'\\\\', 'x\\', 'y'", "SELECT $1, $2, $3"},
        {"SELECT $$a 'b' $x$ c$$, $q$ $$ $q$", "SELECT $1, $2"},
        {"SELECT 1.5, .5, 1e10, 1.5E-3, 1.", "SELECT $1, $2, $3, $4, $5"},
        {"SELECT -1", "SELECT -$1"},
        {"SELECT a -- 'Jane Doe'\n FROM t /* Jane /* Doe */ 7 */ WHERE b",
         "SELECT a FROM t WHERE b"},
        {"SELECT \"Odd ' name\", U&\"d\\0061t\", t1, \"a\"\"b\" FROM x9",
         "SELECT \"Odd ' name\", U&\"d\\0061t\", t1, \"a\"\"b\" FROM x9"},
        {"SELECT a::int, b||'x', c->>'k', d@>'{}', a=5",
         "SELECT a::int, b||$1, c->>$2, d@>$3, a=$4"},
        {"SELECT a$1b, x.e'y'", "SELECT a$1b, x.$1"},
        {"ALTER USER u PASSWORD 'secret'", "ALTER USER u PASSWORD $1"},
        {"DO $body$ BEGIN x := 'Jane'; END $body$", "DO $1"},
        {"SELECT 'Jane", "SELECT ..."},
        {"SELECT \"Jane", "SELECT ..."},
        {"SELECT a /* Jane", "SELECT a ..."},
        {"SELECT $x$ Jane", "SELECT ..."},
        {"SELECT $x Jane", "SELECT ..."},
        {"", ""},
        {"  ", ""},
        {" -- x", ""},
        {"SELECT 1--x", "SELECT $1"},
        {"SELECT 1/*x*/+2", "SELECT $1 +$2"},
        {"SELECT 1<--x\n2", "SELECT $1< $2"},
        {"SELECT 1..2", "SELECT $1..$2"},
        // The second piece of a string has the escapes of the first.
        {"SELECT E'a'\n'\\' , ', b", "SELECT $1, b"},
        {"SELECT E'a' -- x\n'\\' Jane ', b", "SELECT $1 ..."},
        {"SELECT 'a'\n'\\', 'b'", "SELECT $1, $2"},
        {"SELECT E'a' '\\', b", "SELECT $1 ..."},
        {"SELECT E'a' /*\n*/ '\\', b", "SELECT $1 ..."},
        {"SELECT \"a\"\n\"b\"", "SELECT \"a\" \"b\""},
        {"SELECT X'f''x', b", "SELECT $1..."},
        {"SELECT date'2024-01-01', $$a$$b$$c$$", "SELECT date $1, $2 b$$c$$"},
        {"SELECT 1$1, $1$2, $1$$x$$", "SELECT $3$1, $1$2, $1$4"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.sql);
        CHECK(normalize(row.sql) == row.want);
    }
}

TEST_CASE("normalize: a text and its normal form have the same fingerprint") {
    static constexpr std::string_view texts[] = {
        "SELECT * FROM \"Orders\" AS o WHERE o.\"Id\" = 5 AND o.\"Name\" = 'x' LIMIT 3",
        "INSERT INTO t (a, b) VALUES (1, 'x''y') ON CONFLICT DO NOTHING RETURNING id",
        "UPDATE t SET a = E'x\\'y', b = 1.5e3 WHERE c IN ($1, 7) -- c",
        "WITH a AS (SELECT $q$x$q$ AS b) SELECT b::text || 'x' FROM a",
    };
    for (const auto text : texts) {
        CAPTURE(text);
        auto facts = analyze(text);
        describe(text, facts);
        CHECK(facts.fingerprint != 0);
        CHECK(facts.normalized == normalize(text));
        auto other = analyze(facts.normalized);
        describe(facts.normalized, other);
        CHECK(other.parsed);
        CHECK(other.fingerprint == facts.fingerprint);
    }
}

TEST_CASE("describe: a text that does not parse has no fingerprint, but a form to log") {
    const std::string sql = "SELEC 'Jane'";
    auto facts = analyze(sql);
    describe(sql, facts);
    CHECK(facts.fingerprint == 0);
    CHECK(facts.normalized == "SELEC $1");
}

TEST_CASE("shape_of: texts that share a shape differ in literals alone") {
    static constexpr struct {
        std::string_view a;
        std::string_view b;
        bool same;
    } rows[] = {
        {"SELECT 1", "SELECT 2", true},
        {"SELECT  'a' /* c */ FROM t", "SELECT 'bcd' FROM t", true},
        {"SELECT $1, 5", "SELECT $1, $2", false},  // alike when normalised
        {"SELECT 'a'", "SELECT 1", false},
        {"SELECT a", "SELECT b", false},
        {"SELECT a b", "SELECT ab", false},
        {"SELECT \"a\"", "SELECT a", false},
        {"SELECT 1", "SELECT 1, 2", false},
        {"SELECT 'a", "SELECT 'b", false},
        {"SELECT 'a'", "SELECT N'a'", false},
        {"SELECT B'1'", "SELECT X'1'", false},
        {"SELECT 'a'", "SELECT E'b'", true},
        {R"(SELECT U&"a!0031" UESCAPE '!')", R"(SELECT U&"a!0031" UESCAPE '#')", false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.a);
        CHECK((shape_of(row.a) == shape_of(row.b)) == row.same);
    }
}

TEST_CASE("analyze: whose facts depend on their literals") {
    static constexpr struct {
        std::string_view sql;
        bool want;
    } rows[] = {
        {"SELECT * FROM a WHERE x = 'y' LIMIT 5", false},
        {"INSERT INTO a VALUES (1)", false},
        {"SELECT 'today'", true},
        {"SELECT current_setting('a.b')", true},
        {"SELECT set_config('a.b', 'c', false)", true},
        {"SELECT set_config('a.b', $1, false)", true},
        {"SET a.b = 'c'", true},
        {"EXPLAIN (ANALYZE 0) SELECT 1", true},
        {"SELECT 1; COMMIT PREPARED 'x'", true},
        {"NOT SQL", true},
    };
    for (const auto& row : rows) {
        CAPTURE(row.sql);
        CHECK(analyze(row.sql).literals_matter == row.want);
    }
}

TEST_CASE("analyze: texts of one shape have the same facts") {
    static constexpr std::pair<std::string_view, std::string_view> rows[] = {
        {"SELECT * FROM a WHERE x = 'y' LIMIT 5", "SELECT * FROM a WHERE x = E'z\\'' LIMIT 50"},
        {"SELECT a.b::date, 'x'::regclass FROM a", "SELECT a.b::date, 'y'::regclass FROM a"},
        {"INSERT INTO a SELECT f(1), 'ff' FROM b", "INSERT INTO a SELECT f(2.5), $$z$$ FROM b"},
        {"UPDATE a SET b = 'c' WHERE d IN (1, 2)", "UPDATE a SET b = '' WHERE d IN (3, 4)"},
        {"WITH q AS (DELETE FROM a WHERE b = 1 RETURNING *) SELECT 'x' FROM q",
         "WITH q AS (DELETE FROM a WHERE b = 9 RETURNING *) SELECT 'y' FROM q"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.first);
        REQUIRE(shape_of(row.first) == shape_of(row.second));
        REQUIRE(!analyze(row.first).literals_matter);
        CHECK(say(row.first) == say(row.second));
    }
}

TEST_CASE("sql_scanner: cuts a text as the server's lexer does") {
    sql_scanner scan{"a.\"b\"::int[1:2] <= $12+.5e-3 :=.. 'x'"};
    static constexpr std::pair<token_kind, std::string_view> want[] = {
        {token_kind::word, "a"},         {token_kind::punctuation, "."},
        {token_kind::quoted, "\"b\""},   {token_kind::cast, "::"},
        {token_kind::word, "int"},       {token_kind::punctuation, "["},
        {token_kind::number, "1"},       {token_kind::punctuation, ":"},
        {token_kind::number, "2"},       {token_kind::punctuation, "]"},
        {token_kind::operator_, "<="},   {token_kind::parameter, "$12"},
        {token_kind::operator_, "+"},    {token_kind::number, ".5e-3"},
        {token_kind::punctuation, ":="}, {token_kind::punctuation, ".."},
        {token_kind::string, "'x'"},     {token_kind::end, ""},
    };
    for (const auto& expected : want) {
        const auto got = scan.next();
        CAPTURE(expected.second);
        CHECK(got.kind == expected.first);
        CHECK(got.text == expected.second);
    }
    CHECK(scan.next().kind == token_kind::end);
}

}  // namespace pgsidecar::policy

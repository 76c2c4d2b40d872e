// Functions, also those that are spelt as something else, and operators.
#include <doctest/doctest.h>

#include "tests/policy/analyze_say.h"

namespace pgsidecar::policy {
namespace {

std::string joined(const std::vector<std::string>& names) {
    std::string out;
    for (const auto& name : names) out += (out.empty() ? "" : " ") + name;
    return out;
}

std::string operators_of(std::string_view sql) {
    const auto facts = analyze(sql);
    std::vector<std::string> names;
    for (const auto& op : facts.statements.at(0).operators) {
        names.push_back(op.schema.empty() ? op.name : op.schema + "." + op.name);
    }
    return joined(names);
}

}  // namespace

TEST_CASE("analyze: every function is seen, in any clause") {
    static constexpr said rows[] = {
        {"SELECT now()", "select f=now/0"},
        {"SELECT random(), s.f(1, 2), f(a => 1)", "select f=f/1,random/0,s.f/2"},
        {"SELECT f(1), f(2), f(1, 2)", "select f=f/1,f/2"},
        {"SELECT count(*), count(x), sum(DISTINCT y) FROM a", "select r=a f=count/0,count/1,sum/1"},
        {"SELECT 1 FROM a WHERE f(x) ORDER BY g(x) LIMIT h(1)",
         "select r=a f=f/1,g/1,h/1 limit=other"},
        {"SELECT 1 FROM a GROUP BY f(x) HAVING g(1)", "select r=a f=f/1,g/1"},
        {"SELECT 1 FROM a JOIN b ON f(a.x, b.x)", "select r=a,b f=f/2"},
        {"SELECT * FROM generate_series(1, 3), unnest(x) WITH ORDINALITY",
         "select f=generate_series/2,unnest/1"},
        {"SELECT * FROM ROWS FROM (f(1), g(2))", "select f=f/1,g/1"},
        {"SELECT * FROM a, LATERAL f(a.x) AS t(y int)", "select r=a f=f/1 c=pg_catalog.int4"},
        {"SELECT sum(f(x)) OVER (PARTITION BY g(x) ORDER BY h(x)) FROM a",
         "select r=a f=f/1,g/1,h/1,sum/1"},
        {"SELECT rank() OVER w FROM a WINDOW w AS (ORDER BY f(x))", "select r=a f=f/1,rank/0"},
        {"SELECT string_agg(x, ',' ORDER BY f(x)) FILTER (WHERE g(x)) FROM a",
         "select r=a f=f/1,g/1,string_agg/2"},
        {"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f(x)) FROM a",
         "select r=a f=f/1,percentile_cont/1"},
        {"SELECT CASE f(1) WHEN g(1) THEN h(1) ELSE i(1) END", "select f=f/1,g/1,h/1,i/1"},
        {"SELECT ARRAY[f(1)], ROW(g(1)), (h(1)).x, (i(1))[j(1)]", "select f=f/1,g/1,h/1,i/1,j/1"},
        {"SELECT COALESCE(f(1)), NULLIF(g(1), 2), GREATEST(h(1), 2)", "select f=f/1,g/1,h/1"},
        {"SELECT x IS NULL, f(x) IS TRUE, NOT g(x), x IS DISTINCT FROM h(1)",
         "select f=f/1,g/1,h/1"},
        {"SELECT x BETWEEN f(1) AND g(1), x IN (h(1)), x LIKE i(1)", "select f=f/1,g/1,h/1,i/1"},
        {"SELECT DISTINCT ON (f(x)) x FROM a", "select r=a f=f/1"},
        {"SELECT x COLLATE \"C\", f(x) COLLATE \"C\"", "select f=f/1"},
        {"VALUES (f(1)), (g(1))", "select f=f/1,g/1"},
        {"INSERT INTO t VALUES (nextval('s'))", "insert w=t f=nextval/1 values=1"},
        {"INSERT INTO t VALUES (1) ON CONFLICT (f(x)) DO UPDATE SET a = g(1) RETURNING h(1)",
         "insert w=t f=f/1,g/1,h/1 values=1 returning"},
        {"UPDATE t SET a = f(1) WHERE g(1)", "update w=t f=f/1,g/1"},
        {"SELECT xmlelement(name x, f(1)), xmlserialize(CONTENT y AS text)", "select f=f/1 c=text"},
        {"SELECT VARIADIC_f(VARIADIC ARRAY[1])", "select f=variadic_f/1"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: functions spelt as something else") {
    static constexpr said rows[] = {
        {"SELECT CURRENT_DATE", "select clock_function"},
        {"SELECT current_timestamp, CURRENT_TIME(3)", "select clock_function"},
        {"SELECT LOCALTIME", "select clock_function"},
        {"SELECT 1 FROM a WHERE d < localtimestamp(0)", "select r=a clock_function"},
        {"SELECT current_user", "select f=pg_catalog.current_user/0"},
        {"SELECT user, current_role", "select f=pg_catalog.current_user/0"},
        {"SELECT session_user", "select f=pg_catalog.session_user/0"},
        {"SELECT current_catalog", "select f=pg_catalog.current_database/0"},
        {"SELECT current_schema", "select f=pg_catalog.current_schema/0"},
        {"SELECT x AT TIME ZONE 'UTC'", "select f=pg_catalog.timezone/2"},
        {"SELECT EXTRACT(year FROM x)", "select f=pg_catalog.extract/2"},
        {"SELECT (a, b) OVERLAPS (c, d)", "select f=pg_catalog.overlaps/4"},
        {"SELECT SUBSTRING(x FROM 1 FOR 2), TRIM(x), POSITION('a' IN x), OVERLAY(x PLACING y FROM "
         "1)",
         "select f=pg_catalog.btrim/1,pg_catalog.overlay/3,pg_catalog.position/2,"
         "pg_catalog.substring/3"},
        {"SELECT x SIMILAR TO 'a'", "select f=pg_catalog.similar_to_escape/1"},
        {"SELECT x LIKE 'a' ESCAPE 'b'", "select f=pg_catalog.like_escape/2"},
        {"SELECT x IS NORMALIZED", "select f=pg_catalog.is_normalized/1"},
        {"SELECT COLLATION FOR (x)", "select f=pg_catalog.pg_collation_for/1"},
        {"SELECT 't'::regclass, x::regproc", "select c=regclass,regproc"},
        {"SELECT CAST(x AS s.t), int '3'", "select c=pg_catalog.int4,s.t"},
        {"SELECT x::numeric(10, 2)[]", "select c=pg_catalog.numeric"},
        {"SELECT xmlparse(DOCUMENT x)", "select"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: operators, also those that no one wrote") {
    static constexpr said rows[] = {
        {"SELECT a + b = c", "+ ="},
        {"SELECT a OPERATOR(s.+) b", "s.+"},
        {"SELECT -a, @ b", "- @"},
        {"SELECT a <> b, a != b", "<>"},
        {"SELECT a IN (1, 2)", "="},
        {"SELECT a NOT IN (1, 2)", "<>"},
        {"SELECT a IN (SELECT 1)", "="},
        {"SELECT a > ALL (SELECT 1)", ">"},
        {"SELECT a = ANY ($1)", "="},
        {"SELECT EXISTS (SELECT 1)", ""},
        {"SELECT a BETWEEN 1 AND 2", "< <= > >="},
        {"SELECT a LIKE 'x', a NOT ILIKE 'y', a SIMILAR TO 'z'", "!~~* ~ ~~"},
        {"SELECT a IS DISTINCT FROM b", "="},
        {"SELECT NULLIF(a, b)", "="},
        {"SELECT CASE a WHEN 1 THEN 2 END", "="},
        {"SELECT CASE WHEN a THEN 2 END", ""},
        {"SELECT 1 FROM a JOIN b USING (x)", "="},
        {"SELECT 1 FROM a NATURAL JOIN b", "="},
        {"SELECT 1 FROM a ORDER BY x USING OPERATOR(s.<)", "s.<"},
        {"SELECT (a, b) < (c, d)", "<"},
        {"SELECT a ->> 'x', a @> b, a || b", "->> @> ||"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.sql);
        CHECK(operators_of(row.sql) == row.want);
    }
}

TEST_CASE("analyze: x.name may be a function of the row x") {
    static constexpr said rows[] = {
        {"SELECT p.full_name, q.\"Id\", plain, s.t.col FROM p", "Id col full_name"},
        {"SELECT (p).full_name, (f(1)).a.b", "a b full_name"},
        {"SELECT p.*, x[1], count(*) FROM p", ""},
    };
    for (const auto& row : rows) {
        CAPTURE(row.sql);
        const auto facts = analyze(row.sql);
        CHECK(joined(facts.statements.at(0).field_names) == row.want);
    }
}

}  // namespace pgsidecar::policy

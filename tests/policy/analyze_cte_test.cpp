// CTE names are not tables, but only where they are in scope: elsewhere the same name is the table.
#include <doctest/doctest.h>

#include "tests/policy/analyze_say.h"

namespace pgsidecar::policy {

TEST_CASE("analyze: a CTE hides the table of its name in its own scope only") {
    static constexpr said rows[] = {
        {"WITH a AS (SELECT * FROM b) SELECT * FROM a", "select r=b"},
        {"WITH a AS (SELECT * FROM a) SELECT * FROM a", "select r=a"},
        {"WITH RECURSIVE a AS (SELECT * FROM b UNION ALL SELECT * FROM a) SELECT * FROM a",
         "select r=b"},
        {"WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM b", "select r=b"},
        {"WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT * FROM c) SELECT * FROM a",
         "select r=c"},
        {"WITH a AS (SELECT 1) SELECT * FROM s.a", "select r=s.a"},
        {"WITH a AS (SELECT 1) SELECT * FROM public.a, a", "select r=public.a"},
        {"SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a) x, a", "select r=a"},
        {"(WITH a AS (SELECT 1) SELECT * FROM a) UNION SELECT * FROM a", "select r=a"},
        {"WITH a AS (SELECT 1) (SELECT * FROM a) UNION SELECT * FROM a", "select"},
        {"WITH a AS (WITH b AS (SELECT * FROM c) SELECT * FROM b) SELECT * FROM a, b",
         "select r=b,c"},
        {"WITH a AS (SELECT 1) SELECT (SELECT count(*) FROM a), (WITH a AS (TABLE t) TABLE a)",
         "select r=t f=count/0"},
        {"WITH a AS (SELECT 1) SELECT 1 WHERE EXISTS (WITH a AS (SELECT * FROM a) SELECT * FROM a)",
         "select"},
        {"WITH a AS (SELECT 1), c AS (WITH a AS (SELECT * FROM x) SELECT * FROM a) "
         "SELECT * FROM a, c",
         "select r=x"},
        {"WITH \"A\" AS (SELECT 1) SELECT * FROM a", "select r=a"},
        {"WITH A AS (SELECT 1) SELECT * FROM a", "select"},
        {"WITH a AS (SELECT 1) SELECT * FROM b ORDER BY (SELECT 1 FROM a)", "select r=b"},
        {"SELECT * FROM t WHERE x IN (WITH t AS (SELECT 1 AS x) SELECT x FROM t)", "select r=t"},
        {"WITH a AS (SELECT 1) SELECT * FROM a AS b, b", "select r=b"},
        {"WITH a AS MATERIALIZED (SELECT * FROM b) TABLE a", "select r=b"},
        {"WITH RECURSIVE a(x) AS (SELECT 1 UNION SELECT x FROM a) SEARCH DEPTH FIRST BY x SET o "
         "CYCLE x SET c USING p SELECT * FROM a",
         "select"},
        {"CREATE VIEW v AS WITH a AS (SELECT * FROM b) SELECT * FROM a", "ddl r=b w=v"},
        {"COPY (WITH a AS (SELECT * FROM b) SELECT * FROM a) TO STDOUT", "copy_to r=b"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: writes hidden in WITH (trap: data-modifying CTE)") {
    static constexpr said rows[] = {
        {"WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", "select w=t modifying_cte"},
        {"WITH i AS (INSERT INTO t SELECT * FROM a RETURNING id) SELECT * FROM i, t",
         "select r=a,t w=t modifying_cte"},
        {"WITH u AS (UPDATE t SET a = 1 FROM b RETURNING t.*) SELECT 1",
         "select r=b w=t modifying_cte"},
        {"WITH d AS (DELETE FROM t RETURNING *) INSERT INTO log SELECT * FROM d",
         "insert w=log,t modifying_cte"},
        {"WITH s AS (SELECT * FROM a) INSERT INTO t SELECT * FROM s", "insert r=a w=t"},
        {"WITH s AS (SELECT * FROM a) UPDATE t SET x = s.x FROM s", "update r=a w=t"},
        {"WITH s AS (SELECT * FROM a) DELETE FROM t USING s", "delete r=a w=t"},
        {"WITH s AS (SELECT * FROM a) MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
         "merge r=a w=t"},
        {"WITH t AS (SELECT 1) DELETE FROM t", "delete w=t"},
        {"WITH t AS (SELECT 1) UPDATE t SET a = 1 FROM t AS x", "update w=t"},
        {"INSERT INTO t WITH t AS (SELECT 1) SELECT * FROM t", "insert w=t"},
        {"WITH a AS (WITH b AS (DELETE FROM t RETURNING *) SELECT * FROM b) SELECT * FROM a",
         "select w=t modifying_cte"},
        {"SELECT (WITH d AS (DELETE FROM t RETURNING 1) SELECT 1)", "select w=t modifying_cte"},
    };
    check_rows(rows);
}

}  // namespace pgsidecar::policy

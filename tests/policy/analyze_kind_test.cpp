// What kind of statement a text is, what it reads and what it writes.
#include <doctest/doctest.h>

#include "tests/policy/analyze_say.h"

namespace pgsidecar::policy {

TEST_CASE("analyze: a select reads what it names, wherever it names it") {
    static constexpr said rows[] = {
        {"SELECT 1", "select"},
        {"VALUES (1), (2)", "select"},
        {"TABLE foo", "select r=foo"},
        {"SELECT * FROM a, s.b AS x, db.s.c", "select r=a,s.b,s.c"},
        {"SELECT * FROM ONLY a", "select r=a"},
        {"SELECT * FROM a JOIN b ON a.id = b.id LEFT JOIN c USING (id)", "select r=a,b,c"},
        {"SELECT * FROM (SELECT * FROM a) x", "select r=a"},
        {"SELECT (SELECT max(x) FROM a), b.y FROM b", "select r=a,b f=max/1"},
        {"SELECT 1 FROM a WHERE EXISTS (SELECT 1 FROM b WHERE x IN (SELECT y FROM c))",
         "select r=a,b,c"},
        {"SELECT 1 FROM a GROUP BY 1 HAVING count(*) > (SELECT n FROM b)",
         "select r=a,b f=count/0"},
        {"SELECT 1 FROM a ORDER BY (SELECT n FROM b) LIMIT (SELECT n FROM c) OFFSET (SELECT 1 FROM "
         "d)",
         "select r=a,b,c,d limit=other"},
        {"SELECT a FROM x UNION SELECT b FROM y EXCEPT (SELECT c FROM z INTERSECT TABLE w)",
         "select r=w,x,y,z"},
        {"SELECT ARRAY(SELECT 1 FROM a), CASE WHEN true THEN (SELECT 1 FROM b) END",
         "select r=a,b"},
        {"SELECT sum(x) OVER (PARTITION BY (SELECT 1 FROM b)) FROM a", "select r=a,b f=sum/1"},
        {"SELECT * FROM a, LATERAL (SELECT * FROM b WHERE b.x = a.x) l", "select r=a,b"},
        {"SELECT * FROM \"Mixed Case\", MixedCase, \"s.t\".\"u\"",
         "select r=Mixed Case,mixedcase,s.t.u"},
        {"SELECT * FROM a, a AS b, a", "select r=a"},
        {"SELECT count(*) FILTER (WHERE x IN (SELECT 1 FROM b)) FROM a", "select r=a,b f=count/0"},
        {"SELECT 1 FROM a WINDOW w AS (ORDER BY (SELECT 1 FROM b))", "select r=a,b"},
        {"SELECT 1 FROM f((SELECT 1 FROM b))", "select r=b f=f/1"},
        {"SELECT 1 WHERE $7 = $3", "select $7"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: rows locked in a sub-select (trap: FOR UPDATE served from memory)") {
    static constexpr said rows[] = {
        {"SELECT * FROM a FOR UPDATE", "select r=a locks_rows"},
        {"SELECT * FROM a x, b FOR NO KEY UPDATE OF x SKIP LOCKED", "select r=a,b locks_rows"},
        {"SELECT * FROM (SELECT * FROM a FOR SHARE) s", "select r=a locks_rows"},
        {"SELECT 1 FROM b WHERE x IN (SELECT 1 FROM a FOR KEY SHARE)", "select r=a,b locks_rows"},
        {"WITH c AS (SELECT * FROM a FOR UPDATE) SELECT * FROM c", "select r=a locks_rows"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: TABLESAMPLE, ctid after VACUUM FULL, SELECT INTO (traps)") {
    static constexpr said rows[] = {
        {"SELECT * FROM a TABLESAMPLE system (10)", "select r=a tablesample"},
        {"SELECT * FROM (SELECT * FROM a TABLESAMPLE bernoulli (1) REPEATABLE (2)) s",
         "select r=a tablesample"},
        {"SELECT ctid FROM a", "select r=a system_column"},
        {"SELECT 1 FROM a WHERE a.ctid = '(0,1)'", "select r=a system_column"},
        {"SELECT 1 FROM a ORDER BY xmax", "select r=a system_column"},
        {"SELECT a.cmin, cmax FROM a", "select r=a system_column"},
        {"SELECT xmin, tableoid FROM a", "select r=a"},
        {"SELECT 1 AS ctid FROM a", "select r=a"},
        {"SELECT * INTO x FROM a", "select r=a w=x writes_into"},
        {"SELECT * INTO TEMP x FROM a", "select r=a w=x writes_into temporary"},
        {"SELECT 1 INTO pg_temp.x", "select w=pg_temp.x writes_into temporary"},
        {"SELECT 1 FROM pg_temp.x", "select r=pg_temp.x temporary"},
        {"SELECT 1 FROM pg_temp_3.x", "select r=pg_temp_3.x temporary"},
        {"SELECT pg_temp.f(1)", "select f=pg_temp.f/1 temporary"},
        {"SELECT x::pg_temp.t FROM a", "select r=a c=pg_temp.t temporary"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: writes and what they read") {
    static constexpr said rows[] = {
        {"INSERT INTO t VALUES (1)", "insert w=t values=1"},
        {"INSERT INTO s.t (a) SELECT x FROM u", "insert r=u w=s.t"},
        {"INSERT INTO t SELECT * FROM t", "insert r=t w=t"},
        {"INSERT INTO t DEFAULT VALUES RETURNING id", "insert w=t values=1 returning"},
        {"INSERT INTO t VALUES ((SELECT max(x) FROM u))", "insert r=u w=t f=max/1 values=1"},
        {"INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO NOTHING", "insert w=t values=1"},
        {"INSERT INTO t AS z (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET x = excluded.x "
         "WHERE z.y > (SELECT n FROM u) RETURNING (SELECT 1 FROM v)",
         "insert r=u,v w=t values=1 returning"},
        {"UPDATE t SET a = 1", "update w=t"},
        {"UPDATE ONLY s.t AS x SET a = u.a FROM u WHERE u.id = x.id", "update r=u w=s.t"},
        {"UPDATE t SET (a, b) = (SELECT 1, 2 FROM u)", "update r=u w=t"},
        {"UPDATE t SET a = DEFAULT WHERE CURRENT OF c", "update w=t"},
        {"UPDATE t SET a = (SELECT 1 FROM t)", "update r=t w=t"},
        {"DELETE FROM t", "delete w=t"},
        {"DELETE FROM t USING u, v WHERE t.id = u.id RETURNING t.*", "delete r=u,v w=t returning"},
        {"MERGE INTO t USING s.u AS u ON t.id = u.id WHEN MATCHED THEN DELETE "
         "WHEN NOT MATCHED THEN INSERT VALUES (u.id, (SELECT 1 FROM v))",
         "merge r=v,s.u w=t"},
        {"MERGE INTO t USING (SELECT * FROM u) x ON true WHEN MATCHED AND x.y THEN UPDATE SET a = "
         "1",
         "merge r=u w=t"},
        {"COPY t FROM STDIN", "copy_from w=t"},
        {"COPY t (a, b) FROM '/x' WHERE a > f(1)", "copy_from w=t f=f/1"},
        {"COPY t TO STDOUT", "copy_to r=t"},
        {"COPY (SELECT * FROM a FOR UPDATE) TO STDOUT", "copy_to r=a locks_rows"},
        {"COPY (DELETE FROM t RETURNING *) TO STDOUT", "copy_to w=t"},
        {"TRUNCATE a", "truncate w=a"},
        {"TRUNCATE TABLE ONLY a, s.b RESTART IDENTITY CASCADE", "truncate w=a,s.b"},
        {"LOCK TABLE a, s.b IN SHARE MODE", "lock r=a,s.b"},
        {"REFRESH MATERIALIZED VIEW s.m", "refresh w=s.m"},
        {"REFRESH MATERIALIZED VIEW CONCURRENTLY m", "refresh w=m"},
        {"CREATE TABLE x AS SELECT * FROM a", "ddl r=a w=x writes_into"},
        {"CREATE TEMP TABLE x AS SELECT * FROM a", "ddl r=a w=x writes_into temporary"},
        {"CREATE MATERIALIZED VIEW m AS SELECT * FROM a", "ddl r=a w=m writes_into"},
        {"CREATE TABLE x AS EXECUTE p(f(1))", "ddl w=x f=f/1 writes_into {execute name=p f=f/1}"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: EXPLAIN ANALYZE of a write is a write (trap)") {
    static constexpr said rows[] = {
        {"EXPLAIN DELETE FROM t", "explain {delete w=t}"},
        {"EXPLAIN ANALYZE DELETE FROM t", "explain_analyze {delete w=t}"},
        {"EXPLAIN ANALYZE VERBOSE UPDATE t SET a = $2", "explain_analyze $2 {update w=t $2}"},
        {"EXPLAIN (ANALYZE) DELETE FROM t", "explain_analyze {delete w=t}"},
        {"EXPLAIN (ANALYZE true, BUFFERS) DELETE FROM t", "explain_analyze {delete w=t}"},
        {"EXPLAIN (ANALYZE on) DELETE FROM t", "explain_analyze {delete w=t}"},
        {"EXPLAIN (ANALYZE 1) DELETE FROM t", "explain_analyze {delete w=t}"},
        {"EXPLAIN (ANALYZE 'TRUE') DELETE FROM t", "explain_analyze {delete w=t}"},
        {"EXPLAIN (ANALYZE false) DELETE FROM t", "explain {delete w=t}"},
        {"EXPLAIN (ANALYZE Off) DELETE FROM t", "explain {delete w=t}"},
        {"EXPLAIN (ANALYZE 0) DELETE FROM t", "explain {delete w=t}"},
        {"EXPLAIN (ANALYZE off, ANALYZE) DELETE FROM t", "explain_analyze {delete w=t}"},
        {"EXPLAIN (ANALYZE, ANALYZE off) DELETE FROM t", "explain {delete w=t}"},
        {"EXPLAIN (FORMAT json) SELECT * FROM a", "explain {select r=a}"},
        {"EXPLAIN ANALYZE EXECUTE p(1)", "explain_analyze {execute name=p}"},
        {"EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1", "explain_analyze {ddl w=x writes_into}"},
        {"EXPLAIN ANALYZE WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d",
         "explain_analyze {select w=t modifying_cte}"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: transactions, prepared statements, cursors and the session") {
    static constexpr said rows[] = {
        {"BEGIN", "begin"},
        {"START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY", "begin"},
        {"COMMIT", "commit"},
        {"END", "commit"},
        {"COMMIT AND CHAIN", "commit"},
        {"ROLLBACK", "rollback"},
        {"ABORT", "rollback"},
        {"SAVEPOINT \"A\"", "savepoint name=A"},
        {"RELEASE a", "release name=a"},
        {"ROLLBACK TO SAVEPOINT a", "rollback_to name=a"},
        {"PREPARE TRANSACTION 'g1'", "prepare_transaction name=g1"},
        {"COMMIT PREPARED 'g1'", "commit_prepared name=g1"},
        {"ROLLBACK PREPARED 'g1'", "rollback_prepared name=g1"},
        {"PREPARE p (int, date) AS SELECT * FROM a WHERE x = $1", "prepare name=p {select r=a $1}"},
        {"PREPARE p AS DELETE FROM t", "prepare name=p {delete w=t}"},
        {"EXECUTE p", "execute name=p"},
        {"EXECUTE p (1, f(2), 'now')", "execute name=p f=f/1 clock_literal"},
        {"DEALLOCATE p", "deallocate name=p"},
        {"DEALLOCATE PREPARE ALL", "deallocate"},
        {"DECLARE c CURSOR FOR SELECT * FROM a", "declare_cursor name=c {select r=a}"},
        {"DECLARE c BINARY SCROLL CURSOR WITHOUT HOLD FOR SELECT 1",
         "declare_cursor name=c {select}"},
        {"DECLARE c CURSOR WITH HOLD FOR SELECT $1 FROM a FOR UPDATE",
         "declare_cursor name=c $1 with_hold {select r=a $1 locks_rows}"},
        {"FETCH 3 FROM c", "fetch name=c"},
        {"MOVE ALL IN c", "fetch name=c"},
        {"CLOSE c", "close_cursor name=c"},
        {"CLOSE ALL", "close_cursor"},
        {"LISTEN \"Ch\"", "listen name=Ch"},
        {"UNLISTEN ch", "unlisten name=ch"},
        {"UNLISTEN *", "unlisten"},
        {"NOTIFY ch, 'payload'", "notify name=ch"},
        {"DISCARD ALL", "discard_all"},
        {"DISCARD TEMP", "discard_temp"},
        {"DISCARD PLANS", "discard_other"},
        {"DISCARD SEQUENCES", "discard_other"},
        {"SHOW TimeZone", "show name=timezone"},
        {"SHOW ALL", "show name=all"},
        {"CALL s.p(1, now())", "call f=now/0,s.p/2"},
        {"DO $$ BEGIN DELETE FROM t; END $$", "do_block"},
        {"LOAD 'x'", "other"},
        {"SET CONSTRAINTS ALL IMMEDIATE", "set"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: databases, roles, maintenance and definitions") {
    static constexpr said rows[] = {
        {"CREATE DATABASE x", "create_database name=x concurrently"},
        {"CREATE DATABASE x TEMPLATE y OWNER z", "create_database name=x template=y concurrently"},
        {"CREATE DATABASE x WITH TEMPLATE = 'y z'",
         "create_database name=x template=y z concurrently"},
        {"CREATE DATABASE x TEMPLATE DEFAULT", "create_database name=x concurrently"},
        {"DROP DATABASE IF EXISTS \"X\" WITH (FORCE)", "drop_database name=X concurrently"},
        {"ALTER DATABASE x RENAME TO y", "alter_database name=x"},
        {"ALTER DATABASE x SET TABLESPACE y", "alter_database name=x"},
        {"ALTER DATABASE x OWNER TO y", "alter_database name=x"},
        {"ALTER DATABASE x SET search_path = 'a'", "alter_database name=x"},
        {"ALTER DATABASE x CONNECTION LIMIT 3", "alter_database name=x"},
        {"GRANT SELECT ON t TO r", "privilege r=t"},
        {"REVOKE ALL ON s.t FROM r", "privilege r=s.t"},
        {"GRANT a TO b", "privilege"},
        {"ALTER ROLE r SET search_path = x", "role"},
        {"ALTER USER r PASSWORD 'x'", "role"},
        {"ALTER ROLE a RENAME TO b", "role"},
        {"REASSIGN OWNED BY a TO b", "privilege"},
        {"DROP OWNED BY a", "privilege"},
        {"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO r", "privilege"},
        {"ALTER SYSTEM SET work_mem = '1MB'", "alter_system concurrently"},
        {"VACUUM FULL t", "maintenance r=t concurrently"},
        {"ANALYZE t", "maintenance r=t"},
        {"CLUSTER t USING i", "maintenance r=t"},
        {"REINDEX TABLE CONCURRENTLY t", "maintenance r=t concurrently"},
        {"REINDEX (CONCURRENTLY false) TABLE t", "maintenance r=t"},
        {"CHECKPOINT", "maintenance"},
        {"CREATE TABLE t (a int REFERENCES u)", "ddl r=u w=t c=pg_catalog.int4"},
        {"CREATE TEMPORARY TABLE t (a text)", "ddl w=t c=text temporary"},
        {"CREATE TABLE pg_temp.t (a text)", "ddl w=pg_temp.t c=text temporary"},
        {"CREATE TEMP VIEW v AS SELECT * FROM a", "ddl r=a w=v temporary"},
        {"CREATE TEMP SEQUENCE s", "ddl w=s temporary"},
        {"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "ddl temporary"},
        {"CREATE TYPE pg_temp.x AS (a text)", "ddl w=pg_temp.x c=text temporary"},
        {"CREATE INDEX ON s.t (a)", "ddl w=s.t"},
        {"CREATE INDEX CONCURRENTLY i ON t (a)", "ddl w=t concurrently"},
        {"DROP INDEX CONCURRENTLY s.i", "ddl w=s.i concurrently"},
        {"DROP TABLE a, s.b CASCADE", "ddl w=a,s.b"},
        {"DROP TABLE pg_temp.a", "ddl w=pg_temp.a temporary"},
        {"DROP SCHEMA s", "ddl"},
        {"DROP FUNCTION f(int)", "ddl c=pg_catalog.int4"},
        {"ALTER TABLE t ADD COLUMN a text", "ddl w=t c=text"},
        {"ALTER TABLE t DETACH PARTITION p CONCURRENTLY", "ddl r=p w=t concurrently"},
        {"ALTER TABLE t RENAME TO u", "ddl w=t"},
        {"ALTER TABLE t SET SCHEMA s", "ddl w=t"},
        {"CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()", "ddl w=t"},
        {"CREATE RULE r AS ON INSERT TO t DO ALSO DELETE FROM u", "ddl w=t,u"},
        {"CREATE POLICY p ON t USING (a = current_setting('App.X'))",
         "ddl w=t f=current_setting/1 cur=app.x"},
        {"COMMENT ON TABLE t IS 'x'", "ddl"},
        {"CREATE EXTENSION x", "ddl"},
        {"CREATE TABLESPACE x LOCATION '/x'", "ddl concurrently"},
        {"CREATE FOREIGN TABLE t (a text) SERVER s", "ddl w=t c=text"},
        {"IMPORT FOREIGN SCHEMA x FROM SERVER y INTO z", "ddl"},
        {"SECURITY LABEL ON TABLE t IS 'x'", "ddl"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: several statements in one string (trap: multi-statement strings)") {
    static constexpr said rows[] = {
        {"", "empty"},
        {"  -- only a comment\n ; /* a /* nested */ one */ ;", "empty"},
        {"SELECT 1;", "select"},
        {"SELECT 1; DELETE FROM t; SELECT * FROM a", "select; delete w=t; select r=a"},
        {"BEGIN; UPDATE t SET a = 1; COMMIT", "begin; update w=t; commit"},
        {"SET a.b = 'x'; SELECT * FROM a", "set name=a.b a.b:=x; select r=a"},
        {"SELECT ';' ; SELECT $$;$$", "select; select"},
        {"WITH x AS (SELECT 1) SELECT * FROM x; SELECT * FROM x", "select; select r=x"},
        {"SELECT 1; SELEC 2", "unparsed"},
    };
    check_rows(rows);
}

// The grammar is that of libpg_query 15 (Debian 12) or of 17 (Windows): what only the newer one
// reads must not be read by halves.
TEST_CASE("analyze: texts of a newer grammar are read in full, or not at all") {
    static constexpr said rows[] = {
        {"MERGE INTO t USING u ON t.a = u.a WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING t.a",
         "merge r=u w=t returning"},
        {"SELECT * FROM t, JSON_TABLE(t.j, '$[*]' COLUMNS (a text PATH '$.a')) AS x",
         "select r=t c=text"},
        {"SELECT JSON_VALUE(j, '$.a' RETURNING timestamptz) FROM t",
         "select r=t c=timestamptz unproven"},
        {"COPY t FROM STDIN (ON_ERROR ignore)", "copy_from w=t"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.sql);
        const auto got = say(row.sql);
        if (got != "unparsed") CHECK(got == row.want);
    }
}

}  // namespace pgsidecar::policy

"""The vocabulary of the differential run: a schema, and statements of every kind over it.

Texts hold placeholders: {id} {n} {tenant} {word} {day} are values (bound as parameters by extended
questions, written as literals elsewhere), {x} {s} {role} are names. Every result has a total order,
and nothing asks for a clock, a pid, a transaction id or an OID, so two servers with the same history
answer with the same bytes. All data is generated.
"""
import os
import re
import struct

SCHEMA = r"""
CREATE ROLE app_a LOGIN; CREATE ROLE app_b LOGIN; CREATE ROLE app_group; GRANT app_group TO app_a;
GRANT CREATE ON DATABASE postgres TO app_a; GRANT ALL ON SCHEMA public TO app_a, app_b, app_group;
CREATE TYPE mood AS ENUM ('low', 'mid', 'high');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE t1 (id int PRIMARY KEY, tenant text, v text, n numeric(10,2), ts timestamptz, d date,
  f float8, raw bytea, iv interval, m mood, tags text[], j jsonb);
INSERT INTO t1 SELECT i, 'tenant' || i % 3, 'v' || i, i * 1.25, timestamptz '2024-03-01 10:00+00' +
  i * interval '7 hours', date '2024-01-30' + i, i / 7.0, decode(lpad(to_hex(i * 37), 4, '0'), 'hex'),
  i * interval '31 hours 7 minutes', (ARRAY['low', 'mid', 'high'])[1 + i % 3]::mood,
  ARRAY['a' || i, NULL, 'c'], jsonb_build_object('k', i) FROM generate_series(1, 30) i;
CREATE TABLE t2 (id serial PRIMARY KEY, t1_id int REFERENCES t1 ON DELETE CASCADE ON UPDATE CASCADE,
  note text);
INSERT INTO t2 (t1_id, note) SELECT 1 + i % 30, 'note ' || i FROM generate_series(1, 60) i;
CREATE TABLE t3 (id int PRIMARY KEY, v text); INSERT INTO t3 SELECT i, 'three' FROM generate_series(1, 9) i;
CREATE TABLE pt (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE pt1 PARTITION OF pt FOR VALUES FROM (MINVALUE) TO (15);
CREATE TABLE pt2 PARTITION OF pt FOR VALUES FROM (15) TO (MAXVALUE);
INSERT INTO pt SELECT i, 'p' || i FROM generate_series(1, 30) i;
CREATE TABLE par (id int, v text); CREATE TABLE kid (extra int) INHERITS (par);
INSERT INTO par SELECT i, 'par' FROM generate_series(1, 5) i;
INSERT INTO kid SELECT i, 'kid', i FROM generate_series(6, 9) i;
CREATE TABLE secret (id int PRIMARY KEY, tenant text, v text);
INSERT INTO secret SELECT i, 'tenant' || i % 3, 's' || i FROM generate_series(1, 30) i;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_tenant ON secret USING (tenant = current_setting('app.tenant_id', true));
CREATE TABLE log (id serial PRIMARY KEY, what text);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO log (what) VALUES (TG_TABLE_NAME || TG_OP); RETURN NULL; END $$;
CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON t3 FOR EACH STATEMENT EXECUTE FUNCTION note_change();
CREATE SCHEMA s1; CREATE SCHEMA s2; GRANT ALL ON SCHEMA s1, s2 TO PUBLIC;
CREATE TABLE s1.thing AS SELECT 's1' AS v; CREATE TABLE s2.thing AS SELECT 's2' AS v;
CREATE TABLE public.thing AS SELECT 'public' AS v;
CREATE VIEW v1 AS SELECT t1.id, t1.v, t2.note FROM t1 JOIN t2 ON t2.t1_id = t1.id;
CREATE VIEW v2 AS SELECT id, v FROM t3 WHERE id < 100;
CREATE MATERIALIZED VIEW mv AS SELECT tenant, count(*) AS c, sum(n) AS s FROM t1 GROUP BY tenant;
CREATE TABLE canary AS SELECT 1 AS i;
CREATE TABLE ruled (id int); CREATE RULE r AS ON INSERT TO ruled DO ALSO UPDATE t3 SET v = 'ruled';
CREATE FUNCTION f_imm(int) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'f' || $1 $$;
CREATE FUNCTION f_read(int) RETURNS text STABLE LANGUAGE sql AS $$ SELECT v FROM t3 WHERE id = $1 $$;
CREATE FUNCTION f_write(int) RETURNS int LANGUAGE plpgsql AS
  $$ BEGIN UPDATE t3 SET v = 'w' || $1 WHERE id = $1; RETURN $1; END $$;
CREATE FUNCTION f_dynamic(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE $1; RETURN 1; END $$;
CREATE PROCEDURE p_write(int) LANGUAGE plpgsql AS
  $$ BEGIN UPDATE t1 SET v = 'proc' WHERE id = $1; END $$;
GRANT ALL ON ALL TABLES IN SCHEMA public, s1, s2 TO app_a, app_group;
GRANT SELECT ON ALL TABLES IN SCHEMA public, s1, s2 TO app_b;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app_a, app_b, app_group;
"""

QUESTIONS = """
SELECT * FROM t1 WHERE id = {id}
SELECT * FROM t1 ORDER BY id
SELECT id, v FROM t1 WHERE tenant = {tenant} ORDER BY id
SELECT count(*), sum(n), max(v) FROM t1
SELECT id, ts, d, iv FROM t1 WHERE id < {id} ORDER BY id
SELECT id, f, raw, n FROM t1 WHERE id = {id}
SELECT id, m, tags, j FROM t1 WHERE id = {id}
SELECT id, to_char(ts, 'YYYY-MM-DD HH24:MI TZ'), date_trunc('day', ts) FROM t1 WHERE id = {id}
SELECT id FROM t1 WHERE ts < {day}::timestamptz ORDER BY id
SELECT id FROM t1 WHERE d = {day}::date ORDER BY id
SELECT id FROM t1 WHERE d < 'tomorrow' AND id < {id} ORDER BY id
SELECT t1.id, t2.note FROM t1 JOIN t2 ON t2.t1_id = t1.id WHERE t1.id = {id} ORDER BY 1, 2
SELECT t1.v, count(t2.id) FROM t1 LEFT JOIN t2 ON t1_id = t1.id GROUP BY t1.id ORDER BY t1.id
SELECT * FROM t2 WHERE t1_id = {id} ORDER BY id
SELECT count(*) FROM t2
SELECT * FROM t3 ORDER BY id
SELECT v FROM t3 WHERE id = {id}
SELECT * FROM pt WHERE id = {id} ORDER BY v
SELECT count(*), min(v), max(v) FROM pt
SELECT count(*), min(v), max(v) FROM pt1
SELECT * FROM par ORDER BY id, v
SELECT * FROM ONLY par ORDER BY id, v
SELECT * FROM kid ORDER BY id, v
SELECT * FROM secret ORDER BY id
SELECT v FROM secret WHERE id = {id}
SELECT count(*) FROM secret WHERE tenant = {tenant}
SELECT v FROM thing ORDER BY v
SELECT v FROM s1.thing ORDER BY v
SELECT v FROM s2.thing ORDER BY v
SELECT a.v, b.v FROM thing a, t3 b ORDER BY 1, 2
SELECT * FROM v1 WHERE id = {id} ORDER BY note, v
SELECT * FROM v2 ORDER BY id
SELECT * FROM mv ORDER BY tenant
SELECT count(*) FROM log
SELECT what, count(*) FROM log GROUP BY what ORDER BY what
SELECT f_imm(id) FROM t3 ORDER BY id
SELECT id, f_read(id) FROM t3 ORDER BY id
SELECT f_read({id})
SELECT current_user, count(*) FROM t3
SELECT current_setting('app.tenant_id', true), count(*) FROM t3
SELECT current_setting('app.other', true), id FROM t3 WHERE id = 1
WITH x AS (SELECT * FROM t1 WHERE id < {id}) SELECT count(*), max(id) FROM x
WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 5) SELECT i, v FROM r JOIN t3 ON id = i ORDER BY i
SELECT id, row_number() OVER (ORDER BY id DESC) FROM t3 ORDER BY id
SELECT v FROM t3 UNION SELECT v FROM thing ORDER BY 1
SELECT id FROM t3 EXCEPT SELECT id FROM pt ORDER BY 1
SELECT EXISTS (SELECT FROM t1 WHERE tenant = {tenant})
SELECT (SELECT v FROM t3 WHERE id = {id}), (SELECT max(note) FROM t2)
SELECT id, v FROM t1 WHERE v LIKE {word} || '%' ORDER BY id
SELECT id FROM t1 WHERE id IN (1, 2, {id}) ORDER BY id
SELECT ROW(id, v)::pair, (ROW(id, v)::pair).b FROM t3 ORDER BY id
SELECT id FROM t1 WHERE n > {n} ORDER BY n, id LIMIT 4 OFFSET 1
SELECT 1 / (id - 3) FROM t3 ORDER BY id
SELECT id, v::int FROM t3 WHERE id = {id}
SELECT id, x1 FROM t1 WHERE id = {id}
SELECT nope FROM t1
SELECT * FROM no_such_table
SELECT {id}::int + 1
SELECT {word}::text
TABLE thing ORDER BY v
VALUES (1, 'a'), (2, 'b')
SELECT id FROM t1 WHERE id = {id} FOR SHARE
SELECT * FROM t1 NATURAL JOIN t3 ORDER BY id
SELECT string_agg(v, ',' ORDER BY id), array_agg(id ORDER BY id) FROM t3
SELECT json_agg(t ORDER BY id) FROM t3 t
""".strip().splitlines()

WRITES = """
UPDATE t1 SET v = {word} WHERE id = {id}
UPDATE t1 SET n = n + {n}, tenant = {tenant} WHERE id = {id} RETURNING *
UPDATE t1 SET id = id WHERE id = {id}
INSERT INTO t1 (id, tenant, v, n) VALUES ({id}, {tenant}, {word}, {n})
INSERT INTO t1 (id, tenant, v, n) VALUES ({id}, {tenant}, {word}, {n}) ON CONFLICT (id) DO UPDATE SET v = excluded.v
INSERT INTO t1 (id, v) VALUES ({id}, {word}) ON CONFLICT DO NOTHING
DELETE FROM t1 WHERE id = {id}
UPDATE t1 SET id = 31 WHERE id = {id}
UPDATE t1 SET id = {id} WHERE id = 31
UPDATE t2 SET note = {word} WHERE id = {id}
INSERT INTO t2 (t1_id, note) VALUES ({id}, {word}) RETURNING id
DELETE FROM t2 WHERE id > 40 AND t1_id = {id}
UPDATE t3 SET v = {word} WHERE id = {id}
INSERT INTO t3 VALUES ({id}, {word}) ON CONFLICT (id) DO UPDATE SET v = 'again'
DELETE FROM t3 WHERE id = {id}
UPDATE pt SET v = {word} WHERE id = {id}
UPDATE pt SET id = 31 - id WHERE id = {id}
INSERT INTO pt1 VALUES ({id}, {word})
INSERT INTO pt VALUES ({id}, {word})
DELETE FROM pt2 WHERE id = {id}
UPDATE par SET v = {word} WHERE id = {id}
INSERT INTO kid VALUES ({id}, {word}, 1)
DELETE FROM ONLY par WHERE id = {id}
DELETE FROM par WHERE id = {id}
UPDATE secret SET v = {word} WHERE id = {id}
INSERT INTO secret VALUES ({id}, {tenant}, {word}) ON CONFLICT DO NOTHING
DELETE FROM secret WHERE id = {id}
UPDATE v2 SET v = {word} WHERE id = {id}
DELETE FROM v2 WHERE id = {id}
INSERT INTO thing VALUES ({word})
UPDATE thing SET v = {word}
DELETE FROM s1.thing WHERE v = {word}
UPDATE s2.thing SET v = 's2'
INSERT INTO ruled VALUES ({id})
WITH w AS (UPDATE t3 SET v = {word} WHERE id = {id} RETURNING id) SELECT count(*) FROM w
WITH w AS (DELETE FROM t2 WHERE id = {id}) SELECT 1
MERGE INTO t3 USING (VALUES ({id})) AS s(i) ON id = s.i WHEN MATCHED THEN UPDATE SET v = {word} WHEN NOT MATCHED THEN INSERT VALUES (s.i, 'merged')
SELECT f_write({id})
SELECT f_dynamic('UPDATE t1 SET v = ''dyn'' WHERE id = ' || {id})
SELECT count(f_write(id)) FROM t3 WHERE id < {id}
CALL p_write({id})
SELECT nextval('log_id_seq')
SELECT setval('log_id_seq', 1000 + {id})
SELECT id FROM t1 WHERE id = {id} FOR UPDATE
""".strip().splitlines()

# Only as simple queries: several commands, DO, or no parameters possible.
UTILITY_WRITES = """
DO $$ BEGIN UPDATE t3 SET v = 'do' WHERE id = {id}; END $$
SELECT '\\'' ; UPDATE t3 SET v = upper(v) WHERE id = {id}; -- '
DO $$ BEGIN EXECUTE 'UPDATE t1 SET v = ''do'' WHERE id = {id}'; END $$
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) UPDATE t3 SET v = {word} WHERE id = {id}
EXPLAIN (COSTS OFF) UPDATE t3 SET v = {word} WHERE id = {id}
UPDATE t1 SET v = {word} WHERE id = {id}; SELECT v FROM t1 WHERE id = {id}
UPDATE t3 SET v = {word} WHERE id = {id}; SELECT 1/0
SELECT 1; DELETE FROM t2 WHERE id = {id}; SELECT count(*) FROM t2
BEGIN; UPDATE t1 SET v = {word} WHERE id = {id}; COMMIT
BEGIN; UPDATE t3 SET v = {word} WHERE id = {id}; ROLLBACK
BEGIN; DELETE FROM t3; ROLLBACK; SELECT count(*) FROM t3
INSERT INTO t3 SELECT i, 'bulk' FROM generate_series(1, 9) i ON CONFLICT DO NOTHING
INSERT INTO pt SELECT i, 'bulk' FROM generate_series(1, 9) i
INSERT INTO t1 (id, tenant, v) SELECT i, 'tenant' || i % 3, 'bulk' FROM generate_series(1, 30) i ON CONFLICT DO NOTHING
INSERT INTO s1.thing VALUES ('s1')
NOTIFY nobody, 'x'
COPY (DELETE FROM t2 WHERE id = {id} RETURNING note) TO STDOUT
""".strip().splitlines()

# Exclusive locks: inside a block the session keeps the scheduler until the block ends.
DDL = """
ALTER TABLE t1 ADD COLUMN x1 int DEFAULT {id}
ALTER TABLE t1 DROP COLUMN x1
ALTER TABLE t1 DROP COLUMN IF EXISTS x1
ALTER TABLE t1 ADD COLUMN IF NOT EXISTS x1 text
ALTER TABLE t3 ALTER v TYPE varchar(40)
ALTER TABLE t3 ALTER v TYPE text
ALTER TABLE t3 RENAME TO t3_away
ALTER TABLE IF EXISTS t3_away RENAME TO t3
ALTER TABLE IF EXISTS t3_away RENAME TO t3
ALTER TABLE IF EXISTS t3_away RENAME TO t3
ALTER TABLE IF EXISTS t3_away RENAME TO t3
BEGIN; ALTER TABLE s1.thing SET SCHEMA s2; ROLLBACK
BEGIN; ALTER TABLE s1.thing RENAME TO x; ALTER TABLE s2.thing SET SCHEMA s1; ALTER TABLE s1.x SET SCHEMA s2; ALTER TABLE s2.x RENAME TO thing; COMMIT
TRUNCATE t2
TRUNCATE log
TRUNCATE t1, t2
TRUNCATE par
TRUNCATE ONLY par
TRUNCATE pt1
DROP TABLE IF EXISTS s1.thing
CREATE TABLE IF NOT EXISTS s1.thing AS SELECT 's1 again' AS v
CREATE TABLE IF NOT EXISTS s1.thing AS SELECT 's1 anew' AS v
DROP TABLE public.thing; CREATE TABLE public.thing AS SELECT 'public anew'::text AS v
CREATE TEMP TABLE thing AS SELECT 'temp' AS v
CREATE TEMP TABLE IF NOT EXISTS t3 (id int, v text)
DROP TABLE IF EXISTS pg_temp.thing
DROP TABLE IF EXISTS pg_temp.t3
SELECT 'temp' AS v INTO TEMP thing
DO $$ BEGIN CREATE TEMP TABLE thing AS SELECT 'do temp' AS v; END $$
CREATE TEMP VIEW thing AS SELECT 'temp view' AS v
DROP VIEW IF EXISTS pg_temp.thing
CREATE OR REPLACE VIEW v2 AS SELECT id, v FROM t3 WHERE id < 5
CREATE OR REPLACE VIEW v2 AS SELECT id, v FROM t3 WHERE id < 100
CREATE OR REPLACE FUNCTION f_imm(int) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'g' || $1 $$
CREATE OR REPLACE FUNCTION f_imm(int) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'f' || $1 $$
CREATE OR REPLACE FUNCTION f_read(int) RETURNS text STABLE LANGUAGE sql AS $$ SELECT v FROM t1 WHERE id = $1 $$
CREATE OR REPLACE FUNCTION f_read(int) RETURNS text STABLE LANGUAGE sql AS $$ SELECT v FROM t3 WHERE id = $1 $$
GRANT SELECT ON t1, t3, thing TO app_b
REVOKE SELECT ON t1 FROM app_b
GRANT SELECT ON t1 TO app_b
REVOKE SELECT ON t3 FROM app_a
GRANT ALL ON t3 TO app_a
REVOKE app_group FROM app_a
GRANT app_group TO app_a
REVOKE USAGE ON SCHEMA s1 FROM PUBLIC
GRANT USAGE ON SCHEMA s1 TO PUBLIC
ALTER TABLE secret DISABLE ROW LEVEL SECURITY
ALTER TABLE secret ENABLE ROW LEVEL SECURITY
ALTER POLICY by_tenant ON secret USING (id < 10)
ALTER POLICY by_tenant ON secret USING (tenant = current_setting('app.tenant_id', true))
ALTER TABLE t3 DISABLE TRIGGER noted
ALTER TABLE t3 ENABLE TRIGGER noted
ALTER TABLE pt DETACH PARTITION pt2
ALTER TABLE pt ATTACH PARTITION pt2 FOR VALUES FROM (15) TO (MAXVALUE)
ALTER TABLE pt ATTACH PARTITION pt2 FOR VALUES FROM (15) TO (MAXVALUE)
REFRESH MATERIALIZED VIEW mv
CREATE INDEX IF NOT EXISTS t1_v ON t1 (v)
DROP INDEX IF EXISTS t1_v
ANALYZE t1
VACUUM t3
VACUUM FULL t3
CLUSTER t1 USING t1_pkey
REINDEX TABLE t3
COMMENT ON TABLE t1 IS {word}
ALTER TYPE mood RENAME VALUE 'low' TO 'least'
ALTER TYPE mood RENAME VALUE 'least' TO 'low'
ALTER ROLE app_a SET TimeZone = 'Asia/Tokyo'
ALTER ROLE app_a RESET TimeZone
ALTER ROLE app_b IN DATABASE postgres SET DateStyle = 'German'
ALTER ROLE app_b IN DATABASE postgres RESET ALL
ALTER DATABASE postgres SET IntervalStyle = 'iso_8601'
ALTER DATABASE postgres RESET ALL
""".strip().splitlines()
if os.environ.get("PGSIDECAR_TEST_POOL"):
    # A log-in's defaults are those of the server connection that is shared, not of the client.
    # And whether the schema for temporary objects is there yet.
    DDL = [line for line in DDL if not line.startswith(("ALTER ROLE app_", "ALTER DATABASE"))
           and "EXISTS pg_temp" not in line]
    # One that was never set is unknown or empty there by what others have set at the connection.
    QUESTIONS = [line for line in QUESTIONS if "app.other" not in line]

SETTINGS = """
SET TimeZone = 'Asia/Tokyo'
SET TimeZone = 'America/New_York'
SET TIME ZONE 'UTC'
SET TIME ZONE LOCAL
RESET TimeZone
SET DateStyle = 'German'
SET DateStyle = 'SQL, DMY'
RESET DateStyle
SET IntervalStyle = 'iso_8601'
SET bytea_output = 'escape'
SET extra_float_digits = -3
SET LOCAL TimeZone = 'CET'
SET LOCAL DateStyle = 'German'
SET client_encoding = 'LATIN1'
SET NAMES 'UTF8'
SET search_path = s1, public
SET search_path = s2, s1, public
SET search_path = public
SET search_path = "$user", public
SET search_path TO DEFAULT
SET LOCAL search_path = s1
SET app.tenant_id = 'tenant0'
SET app.tenant_id = 'tenant1'
SET LOCAL app.tenant_id = 'tenant2'
SELECT set_config('app.tenant_id', 'tenant2', false)
SELECT set_config('app.tenant_id', 'tenant0', true)
SELECT set_config('TimeZone', 'CET', false)
SELECT set_config('app.tenant_id', {tenant}, false)
SELECT set_config('app.tenant_id', {tenant}, true)
SELECT set_config('app.tenant_id', {tenant}, false), set_config('app.other', {word}, false)
SELECT set_config('TimeZone', {word}, false)
SET standard_conforming_strings = off
RESET standard_conforming_strings
SET app.other = 'x'
RESET app.tenant_id
SET ROLE app_a
SET ROLE app_b
SET ROLE app_group
SET LOCAL ROLE app_b
RESET ROLE
SET ROLE NONE
SET SESSION AUTHORIZATION app_a
SET SESSION AUTHORIZATION DEFAULT
RESET SESSION AUTHORIZATION
RESET ALL
DISCARD ALL
DISCARD PLANS
DISCARD TEMP
SET TimeZone = 'No/Where'
SET TimeZone = 'CET'; SELECT 1/0
SET row_security = off
RESET row_security
SET default_transaction_isolation = 'repeatable read'
SET default_transaction_isolation = 'serializable'
RESET default_transaction_isolation
SET default_transaction_read_only = on
RESET default_transaction_read_only
SHOW TimeZone
SHOW search_path
""".strip().splitlines()

WORDS = ("alpha", "beta", "gamma", "v1", "v2", "čaj", "today", "it''s")
KINDS = {"id": "int4", "n": "numeric", "tenant": "text", "word": "text", "day": "text"}
PLACEHOLDER = re.compile(r"\{(id|n|tenant|word|day)\}")


def value(rng, kind):
    if kind == "id":
        return rng.randrange(1, 12) if rng.random() < 0.8 else rng.randrange(1, 32)
    if kind == "n":
        return rng.randrange(0, 40)
    if kind == "tenant":
        return "tenant%d" % rng.randrange(3)
    if kind == "day":
        return rng.choice(("2024-02-03", "2024-03-05", "2024-02-10", "yesterday", "bad day"))
    return rng.choice(WORDS)


def literal(rng, text):
    def put(match):
        got = value(rng, match.group(1))
        return str(got) if isinstance(got, int) else "'%s'" % got
    return PLACEHOLDER.sub(put, text)


def numbered(text):
    """The text with $1, $2 ... and the kinds of its parameters."""
    kinds = []

    def put(match):
        kinds.append(match.group(1))
        return "$%d" % len(kinds)
    return PLACEHOLDER.sub(put, text), kinds


def arguments(rng, kinds):
    """Values for Bind and their formats: int4 now and then in binary, the rest as text."""
    values, formats = [], []
    for kind in kinds:
        got = value(rng, kind)
        binary = kind == "id" and rng.random() < 0.5
        values.append(struct.pack("!i", got) if binary else str(got).replace("''", "'"))
        formats.append(int(binary))
    return values, formats

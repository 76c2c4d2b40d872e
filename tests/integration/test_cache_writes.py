"""Traps of missed writes: every way to change what a cached statement reads, written through the
program. The answer is hit first; after the write is acknowledged, the writer, the reader and a third
session all see what the server has."""
import wire
from cache_case import CacheTest, extended

SCHEMA = """
CREATE TABLE t (id int PRIMARY KEY, v text, n int DEFAULT 0);
INSERT INTO t SELECT i, 'v' || i, i FROM generate_series(1, 5) i;
CREATE TABLE other (id int PRIMARY KEY, t_id int REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO other VALUES (1, 1), (2, 2);
"""
READ = "SELECT * FROM t ORDER BY id"

# name: (more schema, what is read, the writing statements)
WRITES = {
    "insert": ("", READ, ["INSERT INTO t VALUES (9, 'new')"]),
    "update": ("", READ, ["UPDATE t SET v = 'new' WHERE id = 1"]),
    "delete": ("", READ, ["DELETE FROM t WHERE id = 3"]),
    "upsert": ("", READ, ["INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET v = 'up'"]),
    "returning": ("", READ, ["UPDATE t SET v = 'new' RETURNING *"]),
    "merge": ("", READ, ["MERGE INTO t USING (VALUES (1), (77)) AS s(i) ON t.id = s.i "
                         "WHEN MATCHED THEN UPDATE SET v = 'merged' "
                         "WHEN NOT MATCHED THEN INSERT VALUES (s.i, 'merged')"]),
    "truncate": ("", READ, ["TRUNCATE t CASCADE"]),
    "cte": ("", READ, ["WITH w AS (UPDATE t SET v = 'cte' RETURNING 1) SELECT count(*) FROM w"]),
    "cte_that_is_not_read": ("", READ, ["WITH w AS (DELETE FROM t WHERE id = 4) SELECT 1"]),
    "explain_analyze": ("", READ, ["EXPLAIN (ANALYZE, COSTS OFF) UPDATE t SET v = 'explained'"]),
    "explain_analyze_old_words": ("", READ, ["EXPLAIN ANALYZE VERBOSE DELETE FROM t WHERE id = 5"]),
    "explain_analyze_execute": ("", READ, ["PREPARE p AS DELETE FROM t WHERE id = $1",
                                           "EXPLAIN ANALYZE EXECUTE p(5)"]),
    "multi_statement_string": ("", READ, ["SELECT 1; UPDATE t SET v = 'multi'; SELECT 2"]),
    "multi_statement_string_with_commit": ("", READ, [
        "BEGIN; UPDATE t SET v = 'multi'; COMMIT; SELECT 2"]),
    "block": ("", READ, ["BEGIN", "UPDATE t SET v = 'block'", "COMMIT"]),
    "block_ended_by_end": ("", READ, ["START TRANSACTION", "UPDATE t SET v = 'end'", "END WORK"]),
    "block_chained": ("", READ, ["BEGIN", "UPDATE t SET v = 'c'", "COMMIT AND CHAIN", "ROLLBACK"]),
    "savepoint_released": ("", READ, ["BEGIN", "SAVEPOINT s", "UPDATE t SET v = 's'", "RELEASE s",
                                      "COMMIT"]),
    "savepoint_rolled_back_after_other_write": ("", READ, [
        "BEGIN", "UPDATE t SET v = 'kept'", "SAVEPOINT s", "UPDATE t SET v = 'lost'",
        "ROLLBACK TO s", "COMMIT"]),
    "sql_prepare_execute": ("", READ, ["PREPARE p(text) AS UPDATE t SET v = $1", "EXECUTE p('x')",
                                       "EXECUTE p('y')"]),
    "do_block": ("", READ, ["DO $$ BEGIN UPDATE t SET v = 'do'; END $$"]),
    "do_block_dynamic": ("", READ, ["DO $$ BEGIN EXECUTE 'UPDATE ' || 't SET v = ''d'''; END $$"]),
    "declare_cursor_and_update_current": ("", READ, [
        "BEGIN", "DECLARE c CURSOR FOR SELECT * FROM t WHERE id = 2 FOR UPDATE", "FETCH c",
        "UPDATE t SET v = 'current' WHERE CURRENT OF c", "COMMIT"]),
    "two_phase_commit": ("", READ, ["BEGIN", "UPDATE t SET v = '2pc'", "PREPARE TRANSACTION 'gid1'",
                                    "COMMIT PREPARED 'gid1'"]),
    "foreign_key_cascade_delete": ("", "SELECT * FROM other ORDER BY id",
                                   ["DELETE FROM t WHERE id = 1"]),
    "foreign_key_cascade_update": ("", "SELECT * FROM other ORDER BY id",
                                   ["UPDATE t SET id = 100 WHERE id = 2"]),
    "cascade_of_cascade": (
        "CREATE TABLE deep (i int PRIMARY KEY REFERENCES other ON DELETE CASCADE);"
        "INSERT INTO deep VALUES (1), (2)", "SELECT * FROM deep ORDER BY i",
        ["DELETE FROM t WHERE id = 1"]),
    "truncate_cascade": ("", "SELECT * FROM other ORDER BY id", ["TRUNCATE t CASCADE"]),
    "set_null_reference": (
        "CREATE TABLE weak (i int, t_id int REFERENCES t ON DELETE SET NULL);"
        "INSERT INTO weak VALUES (1, 3)", "SELECT * FROM weak", ["DELETE FROM t WHERE id = 3"]),
    "trigger": (
        "CREATE TABLE log (v text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO log VALUES (NEW.v); RETURN NEW; END $$;"
        "CREATE TRIGGER n AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note()",
        "SELECT * FROM log", ["INSERT INTO t VALUES (10, 'logged')"]),
    "trigger_dynamic": (
        "CREATE TABLE log (v text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN EXECUTE format('INSERT INTO %I VALUES (1)', 'lo' || 'g'); RETURN NEW; END $$;"
        "CREATE TRIGGER n AFTER UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION note()",
        "SELECT * FROM log", ["UPDATE t SET v = v"]),
    "trigger_deferred_to_commit": (
        "CREATE TABLE log (v text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO log VALUES ('late'); RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER n AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
        "EXECUTE FUNCTION note()", "SELECT * FROM log",
        ["BEGIN", "UPDATE t SET v = v WHERE id = 1", "COMMIT"]),
    "trigger_instead_of_on_a_view": (
        "CREATE VIEW tv AS SELECT 1 AS a; CREATE FUNCTION put() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN UPDATE t SET v = 'instead'; RETURN NEW; END $$;"
        "CREATE TRIGGER i INSTEAD OF INSERT ON tv FOR EACH ROW EXECUTE FUNCTION put()",
        READ, ["INSERT INTO tv VALUES (1)"]),
    "updatable_view": ("CREATE VIEW tv AS SELECT * FROM t WHERE id < 4", READ,
                       ["UPDATE tv SET v = 'through the view'"]),
    "view_reads_table": ("CREATE VIEW tv AS SELECT id, v FROM t; CREATE VIEW tvv AS TABLE tv",
                         "SELECT * FROM tvv ORDER BY id", ["UPDATE t SET v = 'below'"]),
    "rule": ("CREATE TABLE ruled (i int); CREATE RULE r AS ON INSERT TO ruled DO ALSO "
             "UPDATE t SET v = 'by rule'", READ, ["INSERT INTO ruled VALUES (1)"]),
    "rule_instead_of_delete": (
        "CREATE TABLE ruled (i int); INSERT INTO ruled VALUES (1); CREATE RULE r AS ON DELETE TO "
        "ruled DO INSTEAD DELETE FROM t WHERE id = 5", READ, ["DELETE FROM ruled"]),
    "function_that_writes": (
        "CREATE FUNCTION w() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'fn'; SELECT 1 $$",
        READ, ["SELECT w()"]),
    "function_that_writes_through_another": (
        "CREATE FUNCTION w1() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'fn2'; "
        "RETURN 1; END $$; CREATE FUNCTION w2() RETURNS int LANGUAGE sql AS $$ SELECT w1() $$",
        READ, ["SELECT w2()"]),
    "function_in_a_where_clause": (
        "CREATE FUNCTION w() RETURNS bool LANGUAGE sql AS $$ UPDATE t SET v = 'where'; SELECT true $$",
        READ, ["SELECT count(*) FROM other WHERE id = 1 AND w()"]),
    "function_in_a_default": (
        "CREATE FUNCTION w() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'default'; SELECT 1 $$;"
        "CREATE TABLE d (a int, b int DEFAULT w())", READ, ["INSERT INTO d (a) VALUES (1)"]),
    "function_in_a_view": (
        "CREATE FUNCTION w() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'in view'; SELECT 1 $$;"
        "CREATE VIEW vw AS SELECT w()", READ, ["SELECT * FROM vw"]),
    "function_behind_an_operator": (
        "CREATE FUNCTION w(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'op';"
        " RETURN true; END $$; CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = w)",
        READ, ["SELECT 1 ### 2"]),
    "function_behind_a_cast": (
        "CREATE TYPE odd AS (i int); CREATE FUNCTION w(odd) RETURNS int LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE t SET v = 'cast'; RETURN 1; END $$; CREATE CAST (odd AS int) WITH FUNCTION w(odd)",
        READ, ["SELECT (ROW(1)::odd)::int"]),
    "function_behind_an_aggregate": (
        "CREATE FUNCTION w(int, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'agg';"
        " RETURN 1; END $$; CREATE AGGREGATE wag(int) (SFUNC = w, STYPE = int, INITCOND = '0')",
        READ, ["SELECT wag(1)"]),
    "function_in_a_check_constraint": (
        "CREATE FUNCTION w(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'check'; "
        "RETURN true; END $$; CREATE TABLE ck (i int CHECK (w(i)))", READ,
        ["INSERT INTO ck VALUES (1)"]),
    "function_in_a_domain": (
        "CREATE FUNCTION w(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'domain'; "
        "RETURN true; END $$; CREATE DOMAIN dm AS int CHECK (w(VALUE))", READ, ["SELECT 5::dm"]),
    "procedure": ("CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'p1'; COMMIT; "
                  "UPDATE t SET v = 'p2'; END $$", READ, ["CALL p()"]),
    "query_to_xml": ("CREATE FUNCTION w() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'xml'; "
                     "SELECT 1 $$", READ, ["SELECT query_to_xml('SELECT w()', true, false, '')"]),
    "copy_to_of_a_write": ("", READ, ["COPY (UPDATE t SET v = 'copied' RETURNING 1) TO STDOUT"]),
    "partition_written_directly": (
        "CREATE TABLE pt (i int, v text) PARTITION BY RANGE (i); CREATE TABLE pt1 PARTITION OF pt FOR "
        "VALUES FROM (0) TO (10); INSERT INTO pt VALUES (1, 'a')", "SELECT * FROM pt ORDER BY i",
        ["INSERT INTO pt1 VALUES (2, 'b')"]),
    "partition_read_directly": (
        "CREATE TABLE pt (i int, v text) PARTITION BY RANGE (i); CREATE TABLE pt1 PARTITION OF pt FOR "
        "VALUES FROM (0) TO (10); INSERT INTO pt VALUES (1, 'a')", "SELECT * FROM pt1 ORDER BY i",
        ["UPDATE pt SET v = 'via the parent'"]),
    "partition_attached": (
        "CREATE TABLE pt (i int, v text) PARTITION BY RANGE (i); CREATE TABLE x (i int, v text); "
        "INSERT INTO x VALUES (5, 'waiting')", "SELECT * FROM pt ORDER BY i",
        ["ALTER TABLE pt ATTACH PARTITION x FOR VALUES FROM (0) TO (10)"]),
    "partition_moved_row": (
        "CREATE TABLE pt (i int) PARTITION BY RANGE (i); CREATE TABLE pa PARTITION OF pt FOR VALUES "
        "FROM (0) TO (10); CREATE TABLE pb PARTITION OF pt FOR VALUES FROM (10) TO (20); "
        "INSERT INTO pt VALUES (1)", "SELECT * FROM pb", ["UPDATE pt SET i = 15"]),
    "inheritance_child": (
        "CREATE TABLE kid () INHERITS (t)", READ, ["INSERT INTO kid VALUES (50, 'child')"]),
    "inheritance_parent_written": (
        "CREATE TABLE kid () INHERITS (t); INSERT INTO kid VALUES (50, 'child')",
        "SELECT * FROM kid ORDER BY id", ["UPDATE t SET v = 'via the parent'"]),
    "materialised_view": ("CREATE MATERIALIZED VIEW mv AS SELECT count(*) AS n FROM t;"
                          "INSERT INTO t VALUES (60)", "SELECT * FROM mv",
                          ["REFRESH MATERIALIZED VIEW mv"]),
    "materialised_view_concurrently": (
        "CREATE MATERIALIZED VIEW mv AS SELECT id FROM t; CREATE UNIQUE INDEX ON mv (id); INSERT INTO "
        "t VALUES (60)", "SELECT * FROM mv ORDER BY id",
        ["REFRESH MATERIALIZED VIEW CONCURRENTLY mv"]),
    "ddl_add_column": ("", READ, ["ALTER TABLE t ADD COLUMN extra int DEFAULT 7"]),
    "ddl_drop_column": ("", READ, ["ALTER TABLE t DROP COLUMN n"]),
    "ddl_rename_column": ("", READ, ["ALTER TABLE t RENAME COLUMN v TO w"]),
    "ddl_type_of_column": ("", READ, ["ALTER TABLE t ALTER n TYPE text USING 'n' || n"]),
    "ddl_rename_away": ("", READ, ["ALTER TABLE t RENAME TO gone"]),
    "ddl_swap": ("CREATE TABLE nt (id int, v text); INSERT INTO nt VALUES (0, 'swapped in')", READ,
                 ["BEGIN; ALTER TABLE t RENAME TO ot; ALTER TABLE nt RENAME TO t; COMMIT"]),
    "ddl_drop_and_create": ("", READ, ["DROP TABLE t CASCADE", "CREATE TABLE t AS SELECT 1 AS id"]),
    "ddl_drop": ("", READ, ["DROP TABLE other, t"]),
    "ddl_drop_schema": ("CREATE SCHEMA s; CREATE TABLE s.u AS SELECT 1 AS i", "SELECT * FROM s.u",
                        ["DROP SCHEMA s CASCADE"]),
    "ddl_rename_schema": ("CREATE SCHEMA s; CREATE TABLE s.u AS SELECT 1 AS i", "SELECT * FROM s.u",
                          ["ALTER SCHEMA s RENAME TO r"]),
    "ddl_set_schema": ("CREATE SCHEMA s", READ, ["ALTER TABLE t SET SCHEMA s"]),
    "ddl_function_body": (
        "CREATE FUNCTION f(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'old ' || $1 $$",
        "SELECT f(v) FROM t ORDER BY id", ["CREATE OR REPLACE FUNCTION f(text) RETURNS text IMMUTABLE "
                                           "LANGUAGE sql AS $$ SELECT 'new ' || $1 $$"]),
    "ddl_view_body": ("CREATE VIEW tv AS SELECT id FROM t WHERE id < 3", "SELECT * FROM tv",
                      ["CREATE OR REPLACE VIEW tv AS SELECT id FROM t WHERE id > 3"]),
    "ddl_enum_value_renamed": (
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE m (e mood); INSERT INTO m VALUES ('ok')",
        "SELECT * FROM m", ["ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'"]),
    "ddl_attribute_renamed": (
        "CREATE TYPE pair AS (a int, b int); CREATE TABLE m (p pair); INSERT INTO m VALUES ((1, 2))",
        "SELECT (p).a, to_json(p) FROM m", ["ALTER TYPE pair RENAME ATTRIBUTE b TO c"]),
    "ddl_column_default_of_missing_rows": (
        "", READ, ["ALTER TABLE t ADD COLUMN x int DEFAULT 1, ALTER COLUMN x SET DEFAULT 2"]),
    "ddl_rolled_back_then_done": ("", READ, ["BEGIN; ALTER TABLE t ADD COLUMN x int; ROLLBACK",
                                             "ALTER TABLE t ADD COLUMN y int"]),
    "function_becomes_volatile": (
        "CREATE SEQUENCE sq; CREATE FUNCTION f() RETURNS bigint IMMUTABLE LANGUAGE sql AS $$ SELECT 1::"
        "bigint $$", "SELECT f() FROM t WHERE id = 1", ["CREATE OR REPLACE FUNCTION f() RETURNS bigint "
                                                         "VOLATILE LANGUAGE sql AS $$ SELECT 2::bigint $$"]),
}


class WriteCase(CacheTest):
    def _run(self, schema, read, write, hit=True):
        """hit=False: the schema is such that the program may well decline to answer anything."""
        self.setup_sql(SCHEMA, schema)
        if hit:
            # By a session of its own: a call before the catalog is known taints its session.
            self.cached(self.wire(), "SELECT count(*) FROM other")
        reader, writer, third = self.wire(), self.wire(), self.wire()
        for session in (reader, third):
            self.cached(session, read) if hit else [session.q(read) for _ in range(20)]
        write(writer)
        want = self.direct().q(read)
        for who, session in (("writer", writer), ("reader", reader), ("third", third)):
            for turn in range(3):
                self.assertEqual(session.q(read).raw, want.raw, "%s, turn %d" % (who, turn))

    def _statements(self, statements):
        def write(session):
            for sql in statements:
                reply = session.q(sql)
                self.assertEqual(reply.errors, [], sql)
        return write


class MissedWriteTest(WriteCase):
    pass  # filled from the table above


def _add(name, schema, read, statements):
    def test(self):
        self._run(schema, read, self._statements(statements))
    setattr(MissedWriteTest, "test_" + name, test)


for _name, _row in WRITES.items():
    _add(_name, *_row)


class MissedWriteByProtocolTest(WriteCase):
    """The same idea where the write is not a simple query."""

    def test_copy_from(self):
        self._run("", READ, lambda s: (
            s.send(wire.query("COPY t FROM STDIN") + wire.frame(b"d", b"70\tcopied\t1\n")
                   + wire.frame(b"c")), s.read_reply()))

    def test_copy_from_binary_extended(self):
        self._run("", READ, lambda s: (
            s.send(wire.parse("COPY t (id, v) FROM STDIN") + wire.bind() + wire.execute()
                   + wire.frame(b"d", b"70\tcopied\n") + wire.frame(b"c") + wire.SYNC),
            s.read_reply()))

    def test_extended_update(self):
        self._run("", READ, extended("UPDATE t SET v = $1", ["bound"]))

    def test_bind_without_a_new_parse(self):
        def write(session):
            session.batch(wire.parse("UPDATE t SET v = $1", "w"))
            self.direct().q("SELECT 1")
            for value in ("first", "second"):
                session.batch(wire.bind([value], name="w"), wire.execute())
        self._run("", READ, write)

    def test_execute_with_max_rows(self):
        def write(session):
            session.q("BEGIN")
            session.batch(wire.parse("UPDATE t SET v = 'slice' RETURNING id"), wire.bind(portal="p"),
                          wire.execute("p", 1))
            session.batch(wire.execute("p", 1))
            session.q("COMMIT")
        self._run("", READ, write)

    def test_write_among_reads_in_one_batch(self):
        self._run("", READ, lambda s: s.batch(
            wire.parse(READ), wire.bind(), wire.execute(),
            wire.parse("DELETE FROM t WHERE id = 4"), wire.bind(), wire.execute(),
            wire.parse(READ), wire.bind(), wire.execute()))

    def test_read_pipelined_behind_a_write(self):
        self.setup_sql(SCHEMA)
        session = self.wire()
        self.cached(session, "SELECT v FROM t WHERE id = 1")
        for turn in range(30):
            session.send(wire.query("UPDATE t SET v = 'turn %d' WHERE id = 1" % turn)
                         + wire.query("SELECT v FROM t WHERE id = 1"))
            session.read_reply()
            self.assertEqual(session.read_reply().value, "turn %d" % turn)

    def test_function_call_message(self):
        self.setup_sql("CREATE FUNCTION w() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$")
        oid = int(self.direct().q("SELECT 'w()'::regprocedure::oid").value)
        schema = ("CREATE OR REPLACE FUNCTION w() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = "
                  "'fastpath'; SELECT 1 $$")
        call = wire.frame(b"F", oid.to_bytes(4, "big") + b"\0\0\0\0\0\0")
        self._run(schema, READ, lambda s: (s.send(call), s.read_reply()))

    def test_write_in_a_string_too_long_to_look_at(self):
        self._run("", READ, lambda s: s.q("UPDATE t SET v = 'long' /*" + "x" * 3000000 + "*/"))

    def test_write_in_text_the_parser_does_not_know(self):
        """Newer syntax must count as able to do anything; here: an error of ours, then a write."""
        self._run("", READ, lambda s: (s.q("SELEC 1"), s.q("UPDATE t SET v = 'after'")))


class PathTest(CacheTest):
    """Whose tables a write meant, when its search_path is set in the same breath."""

    def test_search_path_set_ahead_in_the_pipeline(self):
        self.setup_sql("CREATE SCHEMA a", "CREATE SCHEMA b", "CREATE TABLE a.t AS SELECT 1 AS v",
                       "CREATE TABLE b.t AS SELECT 1 AS v", "CREATE SCHEMA alice",
                       "CREATE TABLE alice.t AS SELECT 1 AS v", "GRANT ALL ON SCHEMA alice TO alice",
                       "GRANT ALL ON alice.t TO alice")
        write = "UPDATE t SET v = v + 1"

        def batch(*statements):
            return b"".join(wire.parse(s) + wire.bind() + wire.execute() for s in statements) + wire.SYNC
        ways = {
            "two queries": (wire.query("SET search_path = b") + wire.query(write), 2),
            "two batches": (batch("SET search_path = b") + batch(write), 2),
            "one batch": (batch("SET search_path = b", write), 1),
            "one text": (wire.query("SET search_path = b; " + write), 1),
            "set_config": (batch("SELECT set_config('search_path', 'b', false)", write), 1),
            "reset": (wire.query("SET search_path = b") + wire.query("BEGIN; SET search_path = a")
                      + wire.query("ROLLBACK") + batch(write), 4),
            "rolled back to": (wire.query("SET search_path = b; BEGIN; SAVEPOINT s; SET search_path = a")
                               + wire.query("ROLLBACK TO s; " + write + "; COMMIT"), 2),
            "bound before": (wire.query("SET search_path = b") + wire.query("BEGIN") + wire.parse(write)
                             + wire.bind(portal="p") + wire.SYNC + wire.query("SET search_path = a")
                             + wire.execute("p") + wire.SYNC + wire.query("COMMIT"), 6)}
        reader, writer = self.wire(), self.wire()
        for name, (message, replies) in ways.items():
            with self.subTest(name):
                writer.q("SET search_path = a")
                self.cached(reader, "SELECT v FROM b.t")
                writer.send(message)
                self.assertIsNone(writer.read_reply(replies).error)
                self.assertEqual(reader.q("SELECT v FROM b.t").value,
                                 self.direct().q("SELECT v FROM b.t").value)
        self.setup_sql("CREATE TABLE told (v int)", "CREATE FUNCTION a.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                       "CREATE FUNCTION b.f() RETURNS int LANGUAGE sql AS "
                       "'UPDATE b.t SET v = v + 1 RETURNING v'",
                       "CREATE VIEW a.w AS SELECT 1 AS v", "CREATE VIEW b.w AS SELECT b.f() AS v")
        for sql in ("SELECT f()", "SELECT * FROM w", "INSERT INTO public.told SELECT f()"):
            for message, replies in ((wire.query("SET search_path = b; " + sql), 1),
                                     (batch("SET search_path = b", sql), 1),
                                     (batch("SET search_path = b") + batch(sql), 2)):
                writer.q("SET search_path = a")
                self.cached(reader, "SELECT v FROM b.t")
                writer.send(message)
                self.assertIsNone(writer.read_reply(replies).error)
                self.assertEqual(reader.q("SELECT v FROM b.t").value,
                                 self.direct().q("SELECT v FROM b.t").value, sql)
        for message, replies in ((wire.query("SET ROLE alice") + wire.query(write), 2),
                                 (wire.query("RESET ALL") + wire.query("SET ROLE alice; " + write), 2)):
            writer.q("RESET ROLE; RESET search_path")
            self.cached(reader, "SELECT v FROM alice.t")
            writer.send(message)
            self.assertIsNone(writer.read_reply(replies).error)
            self.assertEqual(reader.q("SELECT v FROM alice.t").value,
                             self.direct().q("SELECT v FROM alice.t").value)

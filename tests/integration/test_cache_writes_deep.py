"""Writes that only show when a statement runs: functions found through a path, bodies replaced after a
statement was prepared, event triggers, policies that write, other servers' connections, and changes
of rights and types. Same method as test_cache_writes.py."""
import wire
from cache_case import ALL, RX, CacheTest, env
from harness import backend, own_backend, wait_until
from test_cache_writes import READ, SCHEMA, WriteCase

PLPGSQL = "CREATE FUNCTION {}() RETURNS int LANGUAGE plpgsql AS $$ BEGIN {}; RETURN 1; END $$;"

# name: (more schema, what is read, the writing statements)
WRITES = {
    "sql_standard_body": (
        "CREATE FUNCTION w() RETURNS int LANGUAGE sql BEGIN ATOMIC UPDATE t SET v = 'atomic'; "
        "SELECT 1; END", READ, ["SELECT w()"]),
    "loop_over_returning": (
        "CREATE FUNCTION w() RETURNS int LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN FOR r IN UPDATE "
        "t SET v = 'loop' RETURNING id LOOP NULL; END LOOP; RETURN 1; END $$", READ, ["SELECT w()"]),
    "return_query_of_a_write": (
        "CREATE FUNCTION w() RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY UPDATE t SET v "
        "= 'rq' RETURNING id; END $$", READ, ["SELECT * FROM w()"]),
    "exception_block": (
        PLPGSQL.format("w", "BEGIN UPDATE t SET v = 'sub'; EXCEPTION WHEN OTHERS THEN NULL; END"), READ,
        ["SELECT w()"]),
    "cursor_in_a_function": (
        "CREATE FUNCTION w() RETURNS int LANGUAGE plpgsql AS $$ DECLARE c CURSOR FOR SELECT id FROM t "
        "WHERE id = 1 FOR UPDATE; i int; BEGIN OPEN c; FETCH c INTO i; UPDATE t SET v = 'cur' WHERE "
        "CURRENT OF c; RETURN 1; END $$", READ, ["SELECT w()"]),
    "function_with_its_own_search_path": (
        "CREATE SCHEMA s; CREATE TABLE s.z AS SELECT 'old'::text AS v; CREATE FUNCTION w() RETURNS int "
        "LANGUAGE sql SET search_path = s AS $$ UPDATE z SET v = 'new'; SELECT 1 $$",
        "SELECT * FROM s.z", ["SELECT w()"]),
    "body_found_through_the_callers_path": (
        "CREATE SCHEMA s; CREATE TABLE s.z AS SELECT 'old'::text AS v; CREATE TABLE z AS SELECT 'pub'::"
        "text AS v; " + PLPGSQL.format("w", "UPDATE z SET v = 'new'"), "SELECT * FROM s.z",
        ["SET search_path = s, public", "SELECT w()"]),
    "trigger_found_through_the_callers_path": (
        "CREATE SCHEMA s; CREATE TABLE s.log (v text); CREATE TABLE log (v text); CREATE FUNCTION note()"
        " RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES ('x'); RETURN NEW; END $$;"
        "CREATE TRIGGER n AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note()",
        "SELECT count(*) FROM s.log", ["SET search_path = s, public", "UPDATE public.t SET v = v"]),
    "with_hold_cursor_runs_at_commit": (
        PLPGSQL.format("w", "UPDATE t SET v = 'held'"), READ,
        ["BEGIN", "DECLARE h CURSOR WITH HOLD FOR SELECT w()", "COMMIT"]),
    "cursor_runs_at_fetch": (
        PLPGSQL.format("w", "UPDATE t SET v = 'fetched'"), READ,
        ["BEGIN", "DECLARE c CURSOR FOR SELECT w()", "FETCH c", "COMMIT"]),
    "set_constraints_immediate": (
        "CREATE TABLE log (v text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO log VALUES ('now'); RETURN NULL; END $$; CREATE CONSTRAINT TRIGGER n AFTER UPDATE "
        "ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()",
        "SELECT * FROM log", ["BEGIN", "UPDATE t SET v = v WHERE id = 1", "SET CONSTRAINTS ALL IMMEDIATE",
                              "COMMIT"]),
    "trigger_enabled_and_disabled_around_a_write": (
        PLPGSQL.replace("int", "trigger").replace("RETURN 1", "RETURN NEW").format(
            "note", "UPDATE t SET v = 'around'") + "CREATE TRIGGER n AFTER UPDATE ON other FOR EACH ROW "
        "EXECUTE FUNCTION note(); ALTER TABLE other DISABLE TRIGGER n", READ,
        ["ALTER TABLE other ENABLE TRIGGER n", "UPDATE other SET id = id",
         "ALTER TABLE other DISABLE TRIGGER n"]),
    "trigger_enabled_and_disabled_in_one_block": (
        PLPGSQL.replace("int", "trigger").replace("RETURN 1", "RETURN NEW").format(
            "note", "UPDATE t SET v = 'block'") + "CREATE TRIGGER n AFTER UPDATE ON other FOR EACH ROW "
        "EXECUTE FUNCTION note(); ALTER TABLE other DISABLE TRIGGER n", READ,
        ["BEGIN", "ALTER TABLE other ENABLE TRIGGER n", "UPDATE other SET id = id",
         "ALTER TABLE other DISABLE TRIGGER n", "COMMIT"]),
    "event_trigger": (
        "CREATE TABLE log (v text); CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS $$ "
        "BEGIN INSERT INTO log VALUES (tg_tag); END $$; CREATE EVENT TRIGGER e ON ddl_command_end "
        "EXECUTE FUNCTION ev()", "SELECT count(*) FROM log", ["CREATE TABLE fresh (i int)"]),
    "event_trigger_behind_a_comment": (
        "CREATE TABLE log (v text); CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS $$ "
        "BEGIN INSERT INTO log VALUES (tg_tag); END $$; CREATE EVENT TRIGGER e ON ddl_command_end "
        "EXECUTE FUNCTION ev()", "SELECT count(*) FROM log", ["COMMENT ON TABLE t IS 'x'"]),
    "create_table_as_a_function": (PLPGSQL.format("w", "UPDATE t SET v = 'ctas'"), READ,
                                   ["CREATE TABLE made AS SELECT w()"]),
    "select_into_of_a_function": (PLPGSQL.format("w", "UPDATE t SET v = 'into'"), READ,
                                  ["SELECT w() AS i INTO made"]),
    "insert_select_of_a_function": (PLPGSQL.format("w", "UPDATE t SET v = 'ins'"), READ,
                                    ["INSERT INTO other SELECT 5 + w(), 1"]),
    "copy_to_of_a_function": (PLPGSQL.format("w", "UPDATE t SET v = 'copy'"), READ,
                              ["COPY (SELECT w()) TO STDOUT"]),
    "values_of_a_function": (PLPGSQL.format("w", "UPDATE t SET v = 'values'"), READ, ["VALUES (w())"]),
    "execute_argument": (PLPGSQL.format("w", "UPDATE t SET v = 'argument'"), READ,
                         ["PREPARE p(int) AS SELECT $1", "EXECUTE p(w())"]),
    "call_argument": (PLPGSQL.format("w", "UPDATE t SET v = 'call'") + "CREATE PROCEDURE np(int) LANGUAGE "
                      "sql AS $$ SELECT 1 $$", READ, ["CALL np(w())"]),
    "limit_clause": (PLPGSQL.format("w", "UPDATE t SET v = 'limit'"), READ,
                     ["SELECT 1 FROM other LIMIT w()"]),
    "order_by_clause": (PLPGSQL.format("w", "UPDATE t SET v = 'order'"), READ,
                        ["SELECT id FROM other ORDER BY w()"]),
    "filter_and_window": (PLPGSQL.format("w", "UPDATE t SET v = 'window'"), READ,
                          ["SELECT count(*) FILTER (WHERE w() = 1) OVER (ORDER BY w()) FROM other"]),
    "default_argument": (
        PLPGSQL.format("w", "UPDATE t SET v = 'default argument'")
        + "CREATE FUNCTION quiet(int DEFAULT w()) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT $1 $$",
        READ, ["SELECT quiet()"]),
    "alter_type_using": (PLPGSQL.format("w", "UPDATE t SET v = 'using'"), READ,
                         ["ALTER TABLE other ADD COLUMN q int DEFAULT w()"]),
    "operator_any_and_in": (
        "CREATE FUNCTION w(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'any'; "
        "RETURN true; END $$; CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = w)", READ,
        ["SELECT 1 ### ANY (ARRAY[1, 2])"]),
    "implicit_cast": (
        "CREATE TYPE odd AS ENUM ('x'); CREATE FUNCTION w(odd) RETURNS int LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE t SET v = 'implicit'; RETURN 1; END $$; CREATE CAST (odd AS int) WITH FUNCTION w(odd) AS "
        "IMPLICIT; CREATE TABLE od AS SELECT 'x'::odd AS o", READ, ["SELECT o + 1 FROM od"]),
    "assignment_cast": (
        "CREATE TYPE odd AS ENUM ('x'); CREATE FUNCTION w(odd) RETURNS int LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE t SET v = 'assigned'; RETURN 1; END $$; CREATE CAST (odd AS int) WITH FUNCTION w(odd) AS "
        "ASSIGNMENT; CREATE TABLE od AS SELECT 'x'::odd AS o; CREATE TABLE tgt (i int)", READ,
        ["INSERT INTO tgt SELECT o FROM od"]),
    "domain_of_a_column": (
        "CREATE FUNCTION w(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'column'; "
        "RETURN true; END $$; CREATE DOMAIN dm AS int CHECK (w(VALUE)); CREATE TABLE dt (d dm)", READ,
        ["INSERT INTO dt VALUES (1)"]),
    "trigger_on_the_table_of_a_cascade": (
        "CREATE TABLE log (v text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO log VALUES ('gone'); RETURN OLD; END $$; CREATE TRIGGER n AFTER DELETE ON other "
        "FOR EACH ROW EXECUTE FUNCTION note()", "SELECT * FROM log", ["DELETE FROM t WHERE id = 1"]),
    "trigger_on_a_partition": (
        "CREATE TABLE log (v text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO log VALUES ('part'); RETURN NEW; END $$; CREATE TABLE pt (i int) PARTITION BY RANGE "
        "(i); CREATE TABLE p1 PARTITION OF pt FOR VALUES FROM (0) TO (9); CREATE TRIGGER n AFTER INSERT "
        "ON p1 FOR EACH ROW EXECUTE FUNCTION note()", "SELECT * FROM log", ["INSERT INTO pt VALUES (1)"]),
    "trigger_calling_a_function": (
        "CREATE FUNCTION deep() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'deep'; SELECT 1 $$; "
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM deep(); RETURN NEW; "
        "END $$; CREATE TRIGGER n AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION note()", READ,
        ["INSERT INTO other VALUES (77, 1)"]),
    "rule_that_calls_a_function": (
        PLPGSQL.format("w", "UPDATE t SET v = 'rule fn'")
        + "CREATE TABLE ru (i int); CREATE RULE r AS ON INSERT TO ru DO ALSO SELECT w()", READ,
        ["INSERT INTO ru VALUES (1)"]),
    "catalog_written_by_hand": (
        "CREATE FUNCTION f(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'old ' || $1 $$",
        "SELECT f(v) FROM t ORDER BY id",
        ["UPDATE pg_proc SET prosrc = 'SELECT ''new '' || $1' WHERE proname = 'f'"]),
    "enum_value_added_before": (
        "CREATE TYPE mood AS ENUM ('b', 'c'); CREATE TABLE m (e mood); INSERT INTO m VALUES ('c'), ('b')",
        "SELECT e FROM m ORDER BY e", ["ALTER TYPE mood ADD VALUE 'a' BEFORE 'b'",
                                      "INSERT INTO m VALUES ('a')"]),
    "drop_type_cascade_takes_a_column": (
        "CREATE TYPE mood AS ENUM ('b'); ALTER TABLE t ADD COLUMN m mood", READ,
        ["DROP TYPE mood CASCADE"]),
    "drop_owned": ("", READ, ["ALTER TABLE t OWNER TO alice", "DROP OWNED BY alice CASCADE"]),
    "inherit_and_no_inherit": ("CREATE TABLE kid (LIKE t); INSERT INTO kid VALUES (99, 'kid', 0)", READ,
                               ["ALTER TABLE kid INHERIT t"]),
    "partition_detached": (
        "CREATE TABLE pt (i int) PARTITION BY RANGE (i); CREATE TABLE p1 PARTITION OF pt FOR VALUES FROM "
        "(0) TO (9); INSERT INTO pt VALUES (1)", "SELECT * FROM pt", ["ALTER TABLE pt DETACH PARTITION p1"]),
    "default_partition": (
        "CREATE TABLE pt (i int) PARTITION BY RANGE (i); CREATE TABLE pd PARTITION OF pt DEFAULT", "SELECT "
        "* FROM pt", ["INSERT INTO pt VALUES (5)"]),
    "dblink_to_itself": (
        "CREATE EXTENSION dblink", READ,
        ["SELECT dblink_exec('host=127.0.0.1 port=%d user=postgres dbname=' || current_database(), "
         "'UPDATE t SET v = ''dblink''')"]),
    "foreign_table_of_itself": (
        "CREATE EXTENSION postgres_fdw; CREATE SERVER me FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host "
        "'127.0.0.1', port '%d', dbname '{database}'); CREATE USER MAPPING FOR postgres SERVER me OPTIONS "
        "(user 'postgres'); CREATE FOREIGN TABLE ft (id int, v text) SERVER me OPTIONS (table_name 't')",
        READ, ["UPDATE ft SET v = 'foreign'"]),
}


MAY_DECLINE = {"implicit_cast"}  # any expression at all might run it


class DeepWriteTest(WriteCase):
    """Filled from the table."""


def _add(name, schema, read, statements):
    def test(self):
        fill = [text.replace("%d", str(env.cluster.port)).replace("{database}", self.database)
                for text in (schema, *statements)]
        self._run(fill[0], read, self._statements(fill[1:]), hit=name not in MAY_DECLINE)
    setattr(DeepWriteTest, "test_" + name, test)


for _name, _row in WRITES.items():
    _add(_name, *_row)


class LaterMeaningTest(WriteCase):
    """A statement prepared when it meant something else."""

    def _later(self, schema, prepare, change, run):
        def write(session):
            self.assertEqual(prepare(session).errors, [])
            self.assertEqual(self.wire().q(change).errors, [])
            self.assertEqual(run(session).errors, [])
        self._run(schema, READ, write)

    def test_function_body_replaced_after_parse(self):
        self._later(PLPGSQL.format("w", "UPDATE other SET id = id"),
                    lambda s: s.batch(wire.parse("SELECT w()", "p")),
                    PLPGSQL.format("w", "UPDATE t SET v = 'later'").replace("CREATE", "CREATE OR REPLACE"),
                    lambda s: s.batch(wire.bind(name="p"), wire.execute()))

    def test_trigger_created_after_prepare(self):
        self._later("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = "
                    "'trigger later'; RETURN NEW; END $$", lambda s: s.q(
                        "PREPARE p AS UPDATE other SET id = id"),
                    "CREATE TRIGGER n AFTER UPDATE ON other FOR EACH ROW EXECUTE FUNCTION note()",
                    lambda s: s.q("EXECUTE p"))

    def test_rule_created_after_parse(self):
        self._later("CREATE TABLE ru (i int)", lambda s: s.batch(wire.parse(
            "INSERT INTO ru VALUES (1)", "p")), "CREATE RULE r AS ON INSERT TO ru DO ALSO UPDATE t SET v = "
            "'rule later'", lambda s: s.batch(wire.bind(name="p"), wire.execute()))

    def test_cascade_added_after_parse(self):
        self._later("CREATE TABLE parent (i int PRIMARY KEY); INSERT INTO parent VALUES (1); UPDATE t SET n "
                    "= 1", lambda s: s.batch(wire.parse("DELETE FROM parent", "p")),
                    "ALTER TABLE t ADD FOREIGN KEY (n) REFERENCES parent ON DELETE CASCADE",
                    lambda s: s.batch(wire.bind(name="p"), wire.execute()))

    def test_table_swapped_under_a_prepared_write(self):
        self._later("CREATE TABLE stand_in (LIKE t)", lambda s: s.batch(wire.parse(
            "UPDATE stand_in SET v = 'swapped'", "p")),
            "ALTER TABLE stand_in RENAME TO gone; ALTER TABLE t RENAME TO stand_in; CREATE VIEW t AS SELECT "
            "* FROM stand_in", lambda s: s.batch(wire.bind(name="p"), wire.execute()))

    def test_path_changed_under_a_prepared_write(self):
        self._later("CREATE SCHEMA s; CREATE TABLE s.t (LIKE t)", lambda s: (
            s.q("SET search_path = s"), s.batch(wire.parse("UPDATE t SET v = 'path'", "p")))[1],
            "SELECT 1", lambda s: (s.q("SET search_path = public"), s.batch(
                wire.bind(name="p"), wire.execute()))[1])


class DefinitionTest(WriteCase):
    """Definitions that change where no DDL statement is to be seen."""

    def _both_ways(self, change):
        self.setup_sql(SCHEMA, "CREATE VIEW seen AS SELECT v FROM t WHERE id = 1",
                       "CREATE TABLE other2 AS SELECT 'x'::text AS v")
        reader, writer = self.wire(), self.wire()
        self.cached(reader, "SELECT * FROM seen")
        self.assertEqual(writer.q(change).errors, [])
        for value in ("first", "second"):
            self.assertEqual(writer.q("UPDATE other2 SET v = '%s'" % value).errors, [])
            for _ in range(4):
                self.assertEqual(reader.q("SELECT * FROM seen").value, value)

    def test_view_replaced_by_a_do_block(self):
        self._both_ways("DO $$ BEGIN CREATE OR REPLACE VIEW seen AS SELECT v FROM other2; END $$")

    def test_view_replaced_by_a_function(self):
        self.setup_sql("CREATE FUNCTION migrate() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE "
                       "'CREATE OR REPLACE VIEW seen AS SELECT v FROM other2'; END $$")
        self._both_ways("SELECT migrate()")

    def test_write_that_waited_while_a_trigger_came(self):
        trigger = PLPGSQL.replace("int", "trigger").replace("RETURN 1", "RETURN NEW").format(
            "note", "UPDATE t SET v = 'waited'")
        self.setup_sql(SCHEMA, trigger)
        reader, writer, definer, holder = (self.wire() for _ in range(4))

        def waits(event):
            wait_until("the write to wait for a " + event, lambda: env.cluster.fetch(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %d AND wait_event_type = 'Lock' AND "
                "wait_event = '%s'" % (backend(writer), event)))
        self.cached(reader, READ)
        holder.q("BEGIN; SELECT 1 FROM other FOR UPDATE")
        definer.q("BEGIN; LOCK TABLE other IN SHARE ROW EXCLUSIVE MODE")
        writer.send(wire.query("UPDATE other SET id = id"))
        waits("relation")
        self.assertEqual(definer.q("CREATE TRIGGER n AFTER UPDATE ON other FOR EACH ROW EXECUTE FUNCTION "
                                   "note(); COMMIT").errors, [])
        waits("transactionid")
        self.cached(reader, READ)
        holder.q("COMMIT")
        writer.read_reply()
        for _ in range(4):
            self.assertEqual(reader.q(READ).raw, self.direct().q(READ).raw)


class PreparedBySqlTest(WriteCase):
    def test_bind_of_what_prepare_made(self):
        def write(session):
            self.assertEqual(session.q("PREPARE p AS UPDATE t SET v = $1").errors, [])
            self.assertEqual(session.batch(wire.bind(["bound"], "", "p"), wire.execute()).errors, [])
        self._run("", READ, write)


class RightsTest(CacheTest):
    """Rights that change without GRANT or REVOKE."""

    def setUp(self):
        super().setUp()
        self.setup_sql(RX, """ALTER TABLE rx ENABLE ROW LEVEL SECURITY;
            CREATE POLICY by_tenant ON rx USING (tenant = current_setting('app.tenant_id', true))""")
        self.owner, self.alice = self.wire(), self.wire("alice")
        self.alice.q("SET app.tenant_id = 'tenant1'")

    def _sees(self, count):
        for _ in range(3):
            self.assertEqual(len(self.alice.q(ALL).rows), count)

    def test_bypassrls_given_and_taken(self):
        self.addCleanup(env.cluster.run, "ALTER ROLE alice NOBYPASSRLS")
        self._sees(10)
        self.owner.q("ALTER ROLE alice BYPASSRLS")
        self._sees(30)
        self.owner.q("ALTER ROLE alice NOBYPASSRLS")
        self._sees(10)

    def test_table_given_to_the_reader(self):
        self._sees(10)
        self.owner.q("ALTER TABLE rx OWNER TO alice")
        self._sees(30)
        self.owner.q("ALTER TABLE rx FORCE ROW LEVEL SECURITY")
        self._sees(10)
        self.owner.q("ALTER TABLE rx OWNER TO postgres")

    def test_membership_in_the_owners_role(self):
        self._sees(10)
        self.addCleanup(env.cluster.run, "ALTER TABLE rx OWNER TO postgres", database=self.database)
        self.owner.q("ALTER TABLE rx OWNER TO ward")
        self._sees(30)  # alice is a member of ward

    def test_policy_for_a_role_the_reader_joins(self):
        name = "joined_" + self.database
        self.owner.q("CREATE ROLE %s; CREATE POLICY more ON rx TO %s USING (true)" % (name, name))
        self.addCleanup(env.cluster.run, "DROP OWNED BY " + name, "DROP ROLE " + name,
                        database=self.database)
        self._sees(10)
        self.owner.q("GRANT %s TO alice" % name)
        self._sees(30)

    def test_policy_function_that_writes_when_read(self):
        self.owner.q("CREATE TABLE log (v text); GRANT ALL ON log TO alice; CREATE FUNCTION audit() RETURNS "
                     "bool LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES ('read'); RETURN true; END $$;"
                     "ALTER POLICY by_tenant ON rx USING (id = 1 AND audit())")
        self.cached(self.wire(), "SELECT count(*) FROM log")
        for _ in range(4):
            self.assertEqual(len(self.alice.q(ALL).rows), 1)
            self.assertEqual(self.owner.q("SELECT count(*) FROM log").rows,
                             self.direct().q("SELECT count(*) FROM log").rows)
        self.assertEqual(self.owner.q("SELECT count(*) >= 4 FROM log").value, "t")

    @own_backend
    def test_placeholder_setting_that_was_reset_is_not_unset(self):
        sql = "SELECT current_setting('app.tenant_id', true) IS NULL, count(*) FROM canary"
        self.owner.q("CREATE TABLE canary AS SELECT 1 AS i; GRANT SELECT ON canary TO PUBLIC")
        for change in (["RESET app.tenant_id"], ["DISCARD ALL"], ["RESET ALL"],
                       ["BEGIN", "SET LOCAL app.tenant_id = 'x'", "COMMIT"],
                       ["BEGIN", "SET app.tenant_id = 'x'", "ROLLBACK"]):
            never, once, past = self.wire(), self.wire(), self.direct()
            for _ in range(3):
                self.assertEqual(never.q(sql).rows[0][0], "t")
            for session in (once, past):
                if "BEGIN" not in change:
                    session.q("SET app.tenant_id = 'x'")
                for part in change:
                    session.q(part)
            for _ in range(3):
                self.assertEqual(once.q(sql).raw, past.q(sql).raw, change)
                self.assertEqual(never.q(sql).rows[0][0], "t")


"""pgsidecar migrate up --notify: what the server tells of writes and definitions, and the SQL by hand."""
import json
import os
import shutil

import psycopg

from migrate_case import CACHE, METRICS, SQL, MigrateCase, env

CHANNEL = "pgsidecar_invalidation"
TABLES = """
CREATE TABLE watched (id int PRIMARY KEY, note text);
CREATE TABLE watched_child (id int PRIMARY KEY, parent int REFERENCES watched ON DELETE CASCADE);
CREATE TABLE other (id int);
CREATE TABLE parted (id int, note text) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100) PARTITION BY LIST (id);
CREATE TABLE parted_leaf PARTITION OF parted_low DEFAULT;
CREATE TABLE base (id int);
CREATE TABLE heir (extra int) INHERITS (base);
"""


def write(kind, table, schema="public"):
    return {"kind": kind, "schema": schema, "table": table}


class NotifyCase(MigrateCase):
    def listen(self):
        self.listener = self.connect()
        self.listener.execute("LISTEN " + CHANNEL)

    def heard(self):
        """Everything that was sent until now: what is sent by this very call comes last."""
        self.run_sql("NOTIFY %s, 'end'" % CHANNEL)
        out = []
        for notice in self.listener.notifies():
            if notice.payload == "end":
                return out
            self.assertLessEqual(len(notice.payload.encode()), 7999)
            out.append(json.loads(notice.payload))

    def watch(self, *tables, **rule):
        """up --notify, with one rule for these tables."""
        self.rules = self.config(rules=[{"name": "r", "tables": list(tables), **rule}])
        text = self.migrate("up", "--notify", config=self.rules)
        self.listen()
        return text

    def with_triggers(self):
        return {row[0] for row in self.fetch("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = "
                                             "'pgsidecar_notify'")}


class WriteTest(NotifyCase):
    def setUp(self):
        super().setUp()
        self.run_sql(TABLES)

    def check(self, sql, *want):
        with self.subTest(sql):
            self.run_sql(sql)
            got = sorted(self.heard(), key=str)
            self.assertEqual(got, sorted(want, key=str))

    def test_every_way_to_write(self):
        self.watch("watched*")
        self.check("INSERT INTO watched VALUES (1, 'a'), (2, 'b')", write("insert", "watched"))
        self.check("UPDATE watched SET note = 'c'", write("update", "watched"))
        self.check("INSERT INTO watched VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 'd'",
                   write("insert", "watched"), write("update", "watched"))
        self.check("WITH w AS (DELETE FROM watched WHERE id = 2 RETURNING 1) SELECT * FROM w",
                   write("delete", "watched"), write("delete", "watched_child"))
        self.check("MERGE INTO watched USING (VALUES (7)) v(i) ON id = i WHEN NOT MATCHED THEN INSERT "
                   "VALUES (i)", write("insert", "watched"))
        self.check("INSERT INTO watched_child VALUES (1, 1)", write("insert", "watched_child"))
        self.check("DELETE FROM watched WHERE id = 1", write("delete", "watched"),
                   write("delete", "watched_child"))
        self.check("TRUNCATE watched CASCADE", write("truncate", "watched"), write("truncate", "watched_child"))
        self.check("SET session_replication_role = replica; INSERT INTO watched VALUES (1)",
                   write("insert", "watched"))
        self.check("SELECT * FROM watched FOR UPDATE")
        self.check("INSERT INTO other VALUES (1)")

    def test_copy(self):
        self.watch("watched")
        with self.connect().cursor().copy("COPY watched FROM STDIN") as copy:
            copy.write(b"1\tx\n")
        self.assertEqual(self.heard(), [write("insert", "watched")])

    def test_partitions_and_heirs_both_ways(self):
        for named in ("parted", "parted_low", "parted_leaf"):
            self.assertRegex(self.watch(named, "base"), "made +trigger pgsidecar_notify on public.parted_leaf")
            self.assertEqual(self.with_triggers(), {"parted", "parted_low", "parted_leaf", "base", "heir"})
            self.check("INSERT INTO parted VALUES (1)", write("insert", "parted"))
            self.check("INSERT INTO parted_low VALUES (2)", write("insert", "parted_low"))
            self.check("INSERT INTO parted_leaf VALUES (3)", write("insert", "parted_leaf"))
            self.check("UPDATE parted_leaf SET note = 'x'", write("update", "parted_leaf"))
            self.check("TRUNCATE parted", write("truncate", "parted"), write("truncate", "parted_low"),
                       write("truncate", "parted_leaf"))
            self.check("INSERT INTO heir VALUES (1, 1)", write("insert", "heir"))
            self.migrate("down", "--notify")
        self.watch("heir")
        self.assertEqual(self.with_triggers(), {"base", "heir"})

    def test_told_at_commit_and_not_of_what_is_rolled_back(self):
        self.watch("watched")
        writer = self.connect()
        writer.execute("BEGIN; INSERT INTO watched VALUES (1); INSERT INTO watched VALUES (2)")
        self.assertEqual(self.heard(), [])
        writer.execute("COMMIT")
        self.assertEqual(self.heard(), [write("insert", "watched")])
        writer.execute("BEGIN; DELETE FROM watched")
        writer.execute("ROLLBACK")
        writer.execute("BEGIN; SAVEPOINT s; DELETE FROM watched; ROLLBACK TO s; COMMIT")
        self.assertEqual(self.heard(), [])

    def test_no_row_is_sent(self):
        self.watch("watched")
        self.run_sql("INSERT INTO watched VALUES (4711, 'zz91qpatient')", "UPDATE watched SET note = 'zz92'")
        self.assertEqual([sorted(told) for told in self.heard()], [["kind", "schema", "table"]] * 2)

    def test_odd_names(self):
        self.run_sql('CREATE SCHEMA "S 1"', 'CREATE TABLE "S 1"."Ta,b\'""le\\é" (i int)')
        self.watch("S 1.Ta*le???")  # the last letter has two bytes
        self.check('INSERT INTO "S 1"."Ta,b\'""le\\é" VALUES (1)', write("insert", 'Ta,b\'"le\\é', "S 1"))

    def test_patterns_are_taken_by_the_letter(self):
        self.run_sql("CREATE TABLE a_c (i int)", "CREATE TABLE abc (i int)", "CREATE TABLE \"a%c\" (i int)",
                     "CREATE SCHEMA s", "CREATE TABLE s.abc (i int)", "CREATE TEMPORARY TABLE abc (i int)")
        for pattern, want in (("a_c", {"a_c"}), ("a%c", {'"a%c"'}), ("a?c", {"a_c", "abc", '"a%c"'}),
                              ("*.abc", {"abc", "s.abc"}), ("A*", set()), ("s.a*", {"s.abc"})):
            with self.subTest(pattern):
                self.watch(pattern)
                self.assertEqual(self.with_triggers(), want)
                self.migrate("down", "--notify")
        self.watch("*")
        self.assertLessEqual({"abc", "s.abc", "watched", "parted_leaf", METRICS}, self.with_triggers())

    def test_rules_that_cache_nothing_watch_nothing(self):
        rules = [{"name": "a", "tables": ["watched"], "mode": "off"}, {"name": "b", "tables": ["other"]}]
        self.migrate("up", "--notify", config=self.config(rules=rules))
        self.assertEqual(self.with_triggers(), {"other"})
        self.refused(["no rule names a table"], "up", "--notify", config=self.config(rules=rules[:1]))

    def test_who_may_write_needs_nothing_more(self):
        plain = self.role("GRANT INSERT ON watched TO %s", "GRANT CREATE ON SCHEMA public TO %s")
        self.watch("watched")
        self.run_sql("REVOKE ALL ON SCHEMA pgsidecar FROM PUBLIC")
        self.heard()
        self.check("SET ROLE %s; INSERT INTO watched VALUES (1)" % plain, write("insert", "watched"))
        self.check("SET ROLE %s; CREATE TABLE mine (i int)" % plain,
                   {"kind": "ddl", "command": "CREATE TABLE", "tables": ["public.mine"]})

    def test_the_functions_mean_the_servers_own_names(self):
        self.watch("watched")
        for function in ("pg_notify(text, text)", "lower(text)"):
            self.run_sql("CREATE FUNCTION public.%s RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
                         "'trapped'; END $$" % function)
        self.heard()
        self.check("SET search_path = public, pg_catalog; INSERT INTO watched VALUES (1)",
                   write("insert", "watched"))
        self.assertEqual(self.fetch("SELECT DISTINCT proconfig::text FROM pg_proc WHERE pronamespace = "
                                    "'pgsidecar'::regnamespace"), [('{"search_path=pg_catalog, pg_temp"}',)])


class DefinitionTest(NotifyCase):
    def setUp(self):
        super().setUp()
        self.watch("watched")

    def check(self, sql, *want):
        with self.subTest(sql):
            self.run_sql(sql)
            self.assertEqual([(t["kind"], t["command"], t["tables"]) for t in self.heard()],
                             [("ddl", *w) for w in want])

    def test_definitions(self):
        self.check("CREATE TABLE t (i int)", ("CREATE TABLE", ["public.t"]))
        self.check("ALTER TABLE t ADD j int", ("ALTER TABLE", ["public.t"]))
        self.check("GRANT SELECT ON t TO PUBLIC", ("GRANT", None))
        self.check("CREATE VIEW v AS SELECT 1", ("CREATE VIEW", None))
        self.check("DROP VIEW v", ("DROP VIEW", None))
        self.check("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", ("CREATE FUNCTION", None))
        self.check("ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (true)",
                   ("ALTER TABLE", ["public.t"]), ("CREATE POLICY", None))
        self.check("CREATE TABLE \"o.d\"\"d\" AS SELECT 1", ("CREATE TABLE AS", ['public."o.d""d"']))
        self.check("DROP TABLE t, \"o.d\"\"d\"", ("DROP TABLE", ['public."o.d""d"', "public.t"]))
        self.check("SET session_replication_role = replica; CREATE TABLE u (i int)",
                   ("CREATE TABLE", ["public.u"]))

    def test_what_was_rolled_back_is_not_told(self):
        self.check("BEGIN; CREATE TABLE t (i int); ROLLBACK")

    def test_temporary_tables_concern_nobody(self):
        self.check("CREATE TEMPORARY TABLE t (i serial PRIMARY KEY, x text); ALTER TABLE t ADD j int; "
                   "CREATE INDEX ON t (j); DROP TABLE t")
        self.check("CREATE TEMPORARY TABLE t AS SELECT 1 AS i; SELECT * INTO TEMPORARY u FROM t")

    def test_too_long_to_be_sent(self):
        names = ["%s%d" % ("n" * 55, i) for i in range(150)]
        self.run_sql("".join("CREATE TABLE %s (i int);" % name for name in names))
        self.assertEqual(len(self.heard()), 150)
        self.check("DROP TABLE " + ", ".join(names), ("DROP TABLE", None))
        self.check("CREATE SCHEMA s CREATE TABLE a (i int)", ("CREATE SCHEMA", None),)
        self.check("DROP SCHEMA s CASCADE", ("DROP SCHEMA", None))


class StepTest(NotifyCase):
    def setUp(self):
        super().setUp()
        self.run_sql(TABLES)

    def test_again_takes_new_tables(self):
        self.watch("watched*", "parted")
        before = self.everything()
        text = self.migrate("up", "--notify", config=self.rules)
        self.assertNotIn("made ", text)
        self.assertEqual(self.everything(), before)
        self.migrate("status", "--notify", config=self.rules)
        self.run_sql("CREATE TABLE watched_later (i int)",
                     "CREATE TABLE parted_more PARTITION OF parted FOR VALUES FROM (100) TO (200)")
        text = self.migrate("status", code=1, config=self.rules)
        self.assertRegex(text, "trigger on public.watched_later +- +missing")
        self.assertRegex(text, "trigger on public.parted_more +- +missing")
        self.assertIn("up --notify", text)
        text = self.migrate("up", "--notify", config=self.rules)
        self.assertEqual(text.count("  made "), 2)
        self.migrate("status", "--notify", config=self.rules)

    def test_what_was_switched_off(self):
        self.watch("watched")
        for change, words in (("ALTER TABLE watched DISABLE TRIGGER pgsidecar_notify", "public.watched"),
                              ("ALTER EVENT TRIGGER pgsidecar_sql_drop DISABLE", "pgsidecar_sql_drop"),
                              ("DROP EVENT TRIGGER pgsidecar_ddl_command_end", "ddl_command_end +- +missing")):
            with self.subTest(change):
                self.run_sql(change)
                self.assertRegex(self.migrate("status", code=1, config=self.rules), words)
                self.migrate("up", "--notify", config=self.rules)
                self.migrate("status", "--notify", config=self.rules)

    def test_status_by_a_role_that_may_not_look(self):
        self.watch("watched")
        plain = self.role("GRANT SELECT ON pgsidecar_migrations TO %s")
        self.migrate("status", "--notify", *self.as_role(plain), config=self.rules)
        self.run_sql("REVOKE ALL ON SCHEMA pgsidecar FROM PUBLIC")
        text = self.migrate("status", *self.as_role(plain), code=1, config=self.rules)
        self.assertIn("is closed to this role (USAGE)", text)

    def test_functions_that_are_not_ours_are_not_called(self):
        plain = self.role("GRANT CREATE ON DATABASE %s TO %%s" % self.database)
        self.run_sql("SET ROLE %s; CREATE SCHEMA pgsidecar; CREATE FUNCTION pgsidecar.watched_tables(text[]) "
                     "RETURNS TABLE (relation oid, schema_name text, table_name text) LANGUAGE plpgsql AS $$ "
                     "BEGIN RAISE EXCEPTION 'trapped'; END $$" % plain)
        text = self.migrate("status", code=1)
        self.assertNotIn("trapped", text)
        self.assertIn("belongs to somebody else", text)

    def test_without_being_superuser(self):
        plain = self.role("GRANT CREATE ON SCHEMA public TO %s")
        self.refused(['role "%s" needs CREATE on database "%s", for schema pgsidecar' % (plain, self.database),
                      "SQLSTATE 42501"], "up", "--notify", *self.as_role(plain))
        self.run_sql("GRANT CREATE ON DATABASE %s TO %s" % (self.database, plain))
        self.refused(['role "%s" needs to own table public.watched ' % plain], "up", "--notify",
                     *self.as_role(plain))
        self.run_sql("ALTER TABLE watched OWNER TO %s" % plain, "ALTER TABLE watched_child OWNER TO %s" % plain)
        self.refused(['role "%s" needs to be a superuser, for event trigger pgsidecar_ddl_command_end of '
                      'database "%s"' % (plain, self.database), "SQLSTATE 42501"], "up", "--notify",
                     *self.as_role(plain))

    def test_functions_of_another(self):
        """Whoever made them first could change them later, and they run for everybody."""
        plain = self.role("GRANT CREATE ON DATABASE %s TO %%s" % self.database)
        self.run_sql("SET ROLE %s; CREATE SCHEMA pgsidecar; CREATE FUNCTION pgsidecar.notify_ddl() RETURNS "
                     "event_trigger LANGUAGE plpgsql AS 'BEGIN END'" % plain)
        self.refused(["function pgsidecar.notify_ddl() is there and belongs neither to a superuser"], "up",
                     "--notify")

    def test_triggers_of_another(self):
        self.run_sql("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
                     "CREATE TRIGGER pgsidecar_notify AFTER INSERT ON watched EXECUTE FUNCTION f()")
        self.refused(["table public.watched has a trigger pgsidecar_notify"], "up", "--notify")
        self.run_sql("DROP TRIGGER pgsidecar_notify ON watched", "CREATE FUNCTION e() RETURNS event_trigger "
                     "LANGUAGE plpgsql AS 'BEGIN END'",
                     "CREATE EVENT TRIGGER pgsidecar_sql_drop ON sql_drop EXECUTE FUNCTION e()")
        self.refused(["event trigger pgsidecar_sql_drop is there"], "up", "--notify")
        self.assertIn("is another trigger", self.migrate("status", code=1))

    def test_down_leaves_nothing(self):
        before = self.everything()
        self.watch("watched*", "parted")
        self.run_sql("ALTER TABLE watched RENAME TO no_longer_watched")
        text = self.migrate("down", config=self.rules)
        self.assertRegex(text, "removed +trigger pgsidecar_notify on public.no_longer_watched")
        self.assertRegex(text, "removed +schema pgsidecar")
        self.run_sql("ALTER TABLE no_longer_watched RENAME TO watched")
        self.assertEqual(self.everything(), before)

    def test_down_of_notify_alone(self):
        self.migrate("up")
        before = self.everything()
        self.watch("watched*")
        self.migrate("down", "--notify")
        self.assertEqual(self.everything(), before)
        self.migrate("status")

    def test_down_is_one_transaction(self):
        """Rows in a table stop it when the triggers are gone already."""
        self.watch("watched*")
        self.run_sql("INSERT INTO %s VALUES ('k', 't', '{}', now())" % CACHE)
        self.refused(["table public.%s holds 1 row" % CACHE], "down")
        self.migrate("status", "--notify", config=self.rules)

    def test_what_others_have_in_the_schema_stays(self):
        self.watch("watched")
        self.run_sql("CREATE TABLE pgsidecar.mine (i int)")
        self.assertRegex(self.migrate("down"), "kept +schema pgsidecar")
        self.assertEqual(self.fetch("SELECT to_regclass('pgsidecar.mine')::text"), [("pgsidecar.mine",)])

    def test_a_schema_that_was_there_stays(self):
        self.run_sql("CREATE SCHEMA pgsidecar")
        self.assertRegex(self.watch("watched"), "found +schema pgsidecar")
        self.migrate("down")
        self.assertEqual(self.fetch("SELECT count(*) FROM pg_namespace WHERE nspname = 'pgsidecar'"), [(1,)])

    def test_down_without_being_superuser(self):
        plain = self.role("GRANT CREATE ON SCHEMA public TO %s")
        self.migrate("up", *self.as_role(plain))
        self.watch("watched")
        self.refused(['role "%s" needs to be a superuser' % plain, "SQLSTATE 42501"], "down",
                     *self.as_role(plain))

    def test_a_transaction_of_two_phases_is_refused_by_the_server(self):
        self.watch("watched")
        with self.assertRaises(psycopg.errors.FeatureNotSupported):
            self.run_sql("BEGIN; INSERT INTO watched VALUES (1); PREPARE TRANSACTION 'p'")


class FileTest(NotifyCase):
    """The same texts by psql."""

    WATCH = ["-c", "SET pgsidecar.tables = '{public.watched*}'"]

    def file(self, name):
        return ["-f", os.path.join(SQL, name + ".sql")]

    def setUp(self):
        super().setUp()
        self.run_sql(TABLES)

    def test_psql_makes_what_the_program_makes(self):
        before = self.everything()
        text = self.psql("-1", *self.WATCH, *self.file("up"), *self.file("notify-up"))
        self.assertRegex(text, r"made +\| table " + CACHE)
        self.migrate("status", "--notify")
        self.assertNotIn("made ", self.migrate("up", "--notify"))
        self.migrate("down")
        self.assertEqual(self.everything(), before)

    def test_psql_removes_what_the_program_made(self):
        before = self.everything()
        self.migrate("up", "--notify")
        self.run_sql("INSERT INTO %s VALUES ('k', 't', '{}', now())" % CACHE)
        text = self.psql("-1", *self.file("notify-down"), *self.file("down"), code=3)
        self.assertIn("holds 1 row", text)
        self.migrate("status", "--notify")
        self.psql("-1", "-c", "SET pgsidecar.drop_data = on", *self.file("notify-down"), *self.file("down"))
        self.assertEqual(self.everything(), before)

    def test_twice_and_in_a_schema(self):
        self.run_sql("CREATE SCHEMA s")
        for _ in range(2):
            self.psql("-1", "-c", "SET pgsidecar.schema = 's'", *self.WATCH, *self.file("up"),
                      *self.file("notify-up"))
        self.migrate("status", "--notify", "--schema", "s")
        self.psql("-c", "SET pgsidecar.schema = 's'", *self.file("notify-down"), *self.file("down"))
        self.migrate("status", "--schema", "s", code=1)

    def test_each_is_all_or_nothing_without_a_transaction_around(self):
        self.run_sql("CREATE VIEW %s AS SELECT 1 AS i" % METRICS)
        before = self.everything()
        self.assertIn("is no table", self.psql(*self.file("up"), code=3))
        self.assertEqual(self.everything(), before)

    def test_the_session_is_as_it_was(self):
        text = self.psql("-At", "-c", "SET search_path = public, s", *self.WATCH, *self.file("up"),
                         *self.file("notify-up"), *self.file("notify-down"), *self.file("down"),
                         "-c", "SHOW search_path", "-c", "SHOW lock_timeout", "-c", "SHOW row_security")
        self.assertEqual(text.splitlines()[-3:], ["public, s", "0", "on"])

    def test_notify_needs_the_tables_first(self):
        self.assertIn("Run up.sql first", self.psql(*self.WATCH, *self.file("notify-up"), code=3))
        self.psql(*self.file("up"))
        self.assertIn("no rule names a table", self.psql(*self.file("notify-up"), code=3))

    def test_line_ends_of_windows(self):
        folder = os.path.join(env.folder, "crlf%d" % id(self))
        shutil.copytree(SQL, folder)
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "r+b") as f:
                text = f.read().replace(b"\n", b"\r\n")
                f.seek(0)
                f.write(text)
        for name in ("up", "notify-up", "notify-down", "down"):
            self.psql("-c", "SET pgsidecar.tables = '{watched}'", "-f", os.path.join(folder, name + ".sql"))

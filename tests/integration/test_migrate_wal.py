"""pgsidecar migrate up --wal: the publication, what the log tells, and that nobody's work breaks by it."""
import json
import os
import struct

import psycopg

from harness import Cluster
from migrate_case import SQL, MigrateCase, env

MARK = "Made by pgsidecar migrate."
TABLES = """
CREATE TABLE watched (id int PRIMARY KEY, other int, note text);
CREATE TABLE watched_pair (a int, b text, c text, d text, PRIMARY KEY (c, a));
CREATE TABLE watched_index (a int NOT NULL, b int);
CREATE UNIQUE INDEX watched_unique ON watched_index (a) INCLUDE (b);
ALTER TABLE watched_index REPLICA IDENTITY USING INDEX watched_unique;
CREATE TABLE watched_full (a int, b int);
ALTER TABLE watched_full REPLICA IDENTITY FULL;
CREATE TABLE watched_made (a int, b int GENERATED ALWAYS AS (a + 1) STORED PRIMARY KEY);
CREATE TABLE watched_base (id int PRIMARY KEY, note text);
CREATE TABLE watched_heir (extra int, PRIMARY KEY (id)) INHERITS (watched_base);
CREATE TABLE watched_parted (id int, note text) PARTITION BY RANGE (id);
CREATE TABLE leaf_low PARTITION OF watched_parted FOR VALUES FROM (0) TO (100) PARTITION BY LIST (id);
CREATE TABLE leaf_one PARTITION OF leaf_low DEFAULT;
ALTER TABLE leaf_one ADD PRIMARY KEY (id);
CREATE TABLE watched_none (a int, b int);
CREATE TABLE watched_nothing (a int PRIMARY KEY, b int);
ALTER TABLE watched_nothing REPLICA IDENTITY NOTHING;
CREATE TABLE watched_late (a int, b int, PRIMARY KEY (a) DEFERRABLE);
CREATE TABLE watched_lost (a int NOT NULL, b int);
CREATE UNIQUE INDEX watched_gone ON watched_lost (a);
ALTER TABLE watched_lost REPLICA IDENTITY USING INDEX watched_gone;
DROP INDEX watched_gone;
CREATE UNLOGGED TABLE watched_unlogged (a int PRIMARY KEY, b int);
CREATE TABLE other (id int PRIMARY KEY);
"""
PUBLISHED = {"watched": "id", "watched_pair": "a,c", "watched_index": "a", "watched_full": "a,b",
             "watched_made": "a,b", "watched_base": "id", "watched_heir": "id", "leaf_one": "id,note"}
LEFT_OUT = {"watched_none": "has no primary key", "watched_nothing": "has REPLICA IDENTITY NOTHING",
            "watched_late": "has a primary key that is deferrable",
            "watched_lost": "has lost the index of its REPLICA IDENTITY", "watched_unlogged": "is unlogged"}


def decoded(messages):
    """What pgoutput says: (kind, table, columns) of a write, (command, tables) of a definition."""
    relations, out = {}, []
    for message in messages:
        kind = chr(message[0])
        if kind == "R":
            oid = struct.unpack_from(">I", message, 1)[0]
            schema, table, rest = message[5:].split(b"\0", 2)
            count, at, columns = struct.unpack_from(">H", rest, 1)[0], 3, []
            for _ in range(count):
                end = rest.index(b"\0", at + 1)
                columns.append(rest[at + 1:end].decode())
                at = end + 9
            relations[oid] = ("%s.%s" % (schema.decode(), table.decode()), ",".join(columns))
        elif kind in "IUD":
            out.append(({"I": "insert", "U": "update", "D": "delete"}[kind],
                        *relations[struct.unpack_from(">I", message, 1)[0]]))
        elif kind == "T":
            count = struct.unpack_from(">I", message, 1)[0]
            out += [("truncate", *relations[oid]) for oid in struct.unpack_from(">%dI" % count, message, 6)]
        elif kind == "M":
            assert message[1] == 1, "not of a transaction"
            prefix, rest = message[10:].split(b"\0", 1)
            assert prefix == b"pgsidecar" and struct.unpack_from(">I", rest)[0] == len(rest) - 4
            told = json.loads(rest[4:])
            assert told.pop("kind") == "ddl" and sorted(told) == ["command", "tables"]
            out.append((told["command"], told["tables"]))
    return out


class WalCase(MigrateCase):
    def setUp(self):
        super().setUp()
        self.run_sql(TABLES)

    def publish(self, *tables, arguments=()):
        self.rules = self.config(rules=[{"name": "r", "tables": list(tables or ("watched*",))}])
        return self.migrate("up", "--wal", *arguments, config=self.rules)

    def published(self, publication="pgsidecar"):
        return {row[0]: row[1] for row in self.fetch(
            "SELECT format('%%I', tablename), array_to_string(attnames, ',') FROM pg_publication_tables "
            "WHERE pubname = '%s' AND schemaname = 'public'" % publication)}

    def follow(self):
        self.slot = self.database + "_slot"
        self.fetch("SELECT pg_create_logical_replication_slot('%s', 'pgoutput')" % self.slot)
        self.addCleanup(self.fetch, "SELECT pg_drop_replication_slot('%s')" % self.slot)

    def heard(self):
        return decoded(bytes(row[0]) for row in self.fetch(
            "SELECT data FROM pg_logical_slot_get_binary_changes('%s', NULL, NULL, 'proto_version', '1', "
            "'publication_names', 'pgsidecar', 'messages', 'true')" % self.slot))

    def check(self, sql, *want):
        with self.subTest(sql):
            self.run_sql(sql)
            self.assertEqual(self.heard(), list(want))

    def in_step(self):
        """`up` would change nothing, and says nothing but what cannot be."""
        states = {row[0] for row in self.fetch(
            "SELECT t.state FROM pgsidecar.wal_settings() s, pgsidecar.wal_tables(s.patterns, s.publication) t")}
        self.assertLessEqual(states, {"in step", "left out"})


class PublicationTest(WalCase):
    def test_what_is_in_it(self):
        text = self.publish()
        self.assertEqual(self.published(), PUBLISHED)
        self.assertEqual(self.fetch("SELECT pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot, "
                                    "obj_description(oid, 'pg_publication') FROM pg_publication"),
                         [(True, True, True, True, False, MARK)])
        self.assertRegex(text, r"made +table public.watched_pair \(a, c\) of publication pgsidecar\n")
        self.assertRegex(text, r"made +table public.watched_parted of publication pgsidecar\n")
        for table, reason in LEFT_OUT.items():
            self.assertRegex(text, "left out +table public.%s: it %s\n" % (table, reason))
        self.assertEqual(text.count("left out"), len(LEFT_OUT))
        self.assertNotIn("note ", text)

    def test_status(self):
        self.assertRegex(self.migrate("status", "--wal", code=1), r"4 wal +- +- +not applied \(optional\)")
        self.publish()
        text = self.migrate("status", "--wal", config=self.rules)
        self.assertRegex(text, r"4 wal .* postgres +applied\n")
        self.assertRegex(text, "publication pgsidecar +made +ok\n")
        self.assertRegex(text, "8 published tables +made +ok\n")
        self.assertRegex(text, "published table public.watched_none +- +left out: it has no primary key\n")
        self.migrate("status", "--notify", config=self.rules, code=1)
        for change, words in (
                ("ALTER PUBLICATION pgsidecar DROP TABLE watched_full", "table public.watched_full +- +missing"),
                ("ALTER PUBLICATION pgsidecar ADD TABLE other", "table public.other .*it is not watched"),
                ("ALTER PUBLICATION pgsidecar SET TABLE watched (id) WHERE (id > 0)",
                 "public.watched +made +is published with other columns, or not every row"),
                ("ALTER PUBLICATION pgsidecar SET (publish = 'insert')", "does not publish every write"),
                ("ALTER PUBLICATION pgsidecar SET (publish_via_partition_root)", "does not publish every"),
                ("COMMENT ON PUBLICATION pgsidecar IS NULL; DROP PUBLICATION pgsidecar", "pgsidecar +- +missing"),
                ("ALTER EVENT TRIGGER pgsidecar_wal_ddl_command_start DISABLE", "is not enabled for all")):
            with self.subTest(change):
                self.run_sql(change)
                text = self.migrate("status", code=1, config=self.rules)
                self.assertRegex(text, words)
                self.assertIn("run pgsidecar migrate up --wal\n", text)
                self.migrate("up", "--wal", config=self.rules)
                self.migrate("status", "--wal", config=self.rules)
                self.assertEqual(self.published(), PUBLISHED)

    def test_again_changes_nothing(self):
        self.publish()
        before, held = self.everything(), self.fetch("SELECT oid, * FROM pg_publication_rel ORDER BY oid")
        text = self.publish()
        for word in ("made ", "changed ", "removed "):
            self.assertNotIn(word, text)
        self.assertEqual(self.everything(), before)
        self.assertEqual(self.fetch("SELECT oid, * FROM pg_publication_rel ORDER BY oid"), held)

    def test_other_rules(self):
        self.publish()
        text = self.publish("watched", "other")
        self.assertRegex(text, r"made +table public.other \(id\) of publication pgsidecar\n")
        self.assertRegex(text, r"removed +table public.watched_full of publication pgsidecar\n")
        self.assertEqual(self.published(), {"watched": "id", "other": "id"})

    def test_a_partition_names_all_of_its_family(self):
        for named in ("leaf_one", "leaf_low", "watched_parted"):
            self.publish(named)
            self.assertEqual(self.fetch("SELECT prrelid::regclass::text FROM pg_publication_rel"),
                             [("watched_parted",)])

    def test_one_partition_without_identity_keeps_all_of_them_out(self):
        self.run_sql("CREATE UNLOGGED TABLE leaf_two PARTITION OF watched_parted FOR VALUES FROM (100) TO (200)",
                     "ALTER TABLE leaf_two ADD PRIMARY KEY (id)")
        self.assertRegex(self.publish(), "left out +table public.watched_parted: it has partition "
                                         "public.leaf_two that is unlogged")
        self.run_sql("ALTER TABLE leaf_two SET LOGGED")
        self.assertEqual(self.published(), {**PUBLISHED, "leaf_two": "id,note"})

    def test_odd_names(self):
        self.run_sql('CREATE SCHEMA "S 1"', 'CREATE TABLE "S 1"."o, ""dd" ("k, 1" int PRIMARY KEY, n int)')
        self.publish("S 1.*")
        self.assertEqual(self.fetch("SELECT tablename::text, attnames::text FROM pg_publication_tables"),
                         [('o, "dd', '{"k, 1"}')])
        self.run_sql('ALTER TABLE "S 1"."o, ""dd" ALTER "k, 1" TYPE bigint')
        self.in_step()

    def test_of_the_same_name_by_somebody_else(self):
        self.run_sql("CREATE PUBLICATION pgsidecar FOR TABLE other")
        self.refused(['publication "pgsidecar" of database "%s" is there and is not pgsidecar\'s'
                      % self.database, "SQLSTATE 55000"], "up", "--wal")
        self.assertIn("is another publication", self.migrate("status", code=1))
        self.migrate("down")
        self.assertEqual(self.published(), {"other": "id"})

    def test_another_name(self):
        self.migrate("up")
        watch = ["-c", "SET pgsidecar.tables = '{watched}'", "-f", os.path.join(SQL, "wal-up.sql")]
        self.psql("-c", "SET pgsidecar.publication = 'Mine 1'", *watch)
        self.assertEqual(self.published("Mine 1"), {"watched": "id"})
        text = self.migrate("status", "--wal", config=self.config(tables=("watched",)))
        self.assertRegex(text, "publication Mine 1 +made +ok")
        self.assertIn("by another name already", self.psql(*watch, code=3))
        self.migrate("down", "--wal")
        self.assertEqual(self.fetch("SELECT * FROM pg_publication"), [])

    def test_without_being_superuser(self):
        plain = self.role("GRANT CREATE ON SCHEMA public TO %s")
        as_plain = [*self.as_role(plain)]
        self.refused(['role "%s" needs CREATE on database "%s", for schema pgsidecar and the publication'
                      % (plain, self.database), "SQLSTATE 42501"], "up", "--wal", *as_plain)
        self.run_sql("GRANT CREATE ON DATABASE %s TO %s" % (self.database, plain))
        rules = self.config(tables=("watched",))
        self.refused(['role "%s" needs to own table public.watched ' % plain, "to publish it"], "up", "--wal",
                     *as_plain, config=rules)
        self.run_sql("ALTER TABLE watched OWNER TO %s" % plain)
        self.refused(['role "%s" needs to be a superuser, for event trigger pgsidecar_wal_ddl_command_start of '
                      'database "%s"' % (plain, self.database), "SQLSTATE 42501"], "up", "--wal", *as_plain,
                     config=rules)

    def test_objects_of_another(self):
        plain = self.role("GRANT CREATE ON DATABASE %s TO %%s" % self.database)
        self.run_sql("SET ROLE %s; CREATE SCHEMA pgsidecar; CREATE FUNCTION pgsidecar.wal_settings(OUT "
                     "publication text, OUT patterns text[]) LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
                     "'trapped'; END $$" % plain)
        text = self.refused(["function pgsidecar.wal_settings() is there and belongs neither"], "up", "--wal")
        self.assertNotIn("trapped", text + self.migrate("status", code=1))
        self.run_sql("DROP SCHEMA pgsidecar CASCADE", "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE "
                     "plpgsql AS 'BEGIN END'",
                     "CREATE EVENT TRIGGER pgsidecar_wal_sql_drop ON sql_drop EXECUTE FUNCTION e()")
        self.refused(["event trigger pgsidecar_wal_sql_drop is there and is not pgsidecar's"], "up", "--wal")

    def test_what_the_server_lacks_is_noted(self):
        cluster = Cluster(os.path.join(env.folder, "wal-replica"), env.certificates, wal_level="replica",
                          max_wal_senders="0", max_replication_slots="0").start()
        self.addCleanup(cluster.stop)
        rules = self.config(cluster=cluster, control_connection="user=postgres dbname=postgres")
        text = self.migrate("up", "--wal", config=rules)
        self.assertRegex(text, "note +wal_level is replica: it needs logical, and a restart of the server\n")
        self.assertRegex(text, "note +max_replication_slots is 0: it needs at least 1")
        self.assertRegex(text, "note +max_wal_senders is 0: it needs at least 1")
        self.migrate("status", "--wal", config=rules)
        cluster.run("CREATE TABLE watched_more (i int PRIMARY KEY)", "DROP TABLE watched_more")


class DownTest(WalCase):
    def test_down_leaves_nothing(self):
        before = self.everything()
        self.run_sql("CREATE PUBLICATION theirs FOR TABLE watched")
        text = self.publish() and self.migrate("down")
        for removed in ("publication pgsidecar", "schema pgsidecar", "function pgsidecar.wal_repair",
                        "event trigger pgsidecar_wal_ddl_command_start"):
            self.assertRegex(text, "removed +%s\n" % removed)
        self.assertEqual(self.everything(), before)
        self.assertEqual(self.fetch("SELECT pubname FROM pg_publication"), [("theirs",)])

    def test_wal_alone(self):
        self.migrate("up")
        before = self.everything()
        self.publish()
        self.migrate("down", "--wal")
        self.assertEqual(self.everything(), before)
        self.assertIn("nothing to remove", self.migrate("down", "--wal"))

    def test_what_both_need_stays_for_the_other(self):
        for first, second in (("--wal", "--notify"), ("--notify", "--wal")):
            for gone, left in ((first, second), (second, first)):
                with self.subTest("%s, %s, down %s" % (first, second, gone)):
                    self.migrate("up", first)
                    alone = self.everything()
                    text = self.migrate("up", second)
                    self.assertRegex(text, "there +schema pgsidecar\n")
                    self.migrate("status", "--wal", "--notify")
                    text = self.migrate("down", gone)
                    self.assertNotIn("watched_tables", text)
                    self.migrate("status", left)
                    if left == first:
                        self.assertEqual(self.everything(), alone)
                    self.run_sql("CREATE TABLE watched_x (i int PRIMARY KEY)", "DROP TABLE watched_x")
                    self.migrate("down", left)
                    self.assertEqual(self.fetch("SELECT to_regnamespace('pgsidecar')"), [(None,)])
                    self.migrate("down")

    def test_another_publication_in_its_place_stays(self):
        self.publish()
        self.run_sql("DROP PUBLICATION pgsidecar", "CREATE PUBLICATION pgsidecar FOR TABLE other")
        self.run_sql("ALTER TABLE watched ADD more int")
        self.assertRegex(self.migrate("down"), "kept +publication pgsidecar")
        self.assertEqual(self.published(), {"other": "id"})

    def test_without_being_superuser(self):
        plain = self.role("GRANT CREATE ON SCHEMA public TO %s")
        self.migrate("up", *self.as_role(plain))
        self.publish()
        self.refused(['role "%s" needs to be a superuser' % plain, "SQLSTATE 42501"], "down", "--wal",
                     *self.as_role(plain))

    def test_by_psql(self):
        before = self.everything()
        files = {name: ["-f", os.path.join(SQL, name + ".sql")] for name in
                 ("up", "notify-up", "wal-up", "wal-down", "notify-down", "down")}
        tables = ["-c", "SET pgsidecar.tables = '{public.watched*}'"]
        self.psql("-1", *tables, *files["up"], *files["wal-up"])
        self.assertNotIn("made ", self.migrate("up", "--wal"))
        self.psql("-1", *tables, *files["notify-up"])
        self.migrate("status", "--wal", "--notify")
        text = self.psql("-At", "-c", "SET search_path = public, s", *files["wal-down"], *files["notify-down"],
                         *files["down"], "-c", "SHOW search_path", "-c", "SHOW lock_timeout")
        self.assertEqual(text.splitlines()[-2:], ["public, s", "0"])
        self.assertEqual(self.everything(), before)
        self.assertIn("Run up.sql first", self.psql(*tables, *files["wal-up"], code=3))


class StreamTest(WalCase):
    """What a reader of the log is told."""

    def setUp(self):
        super().setUp()
        self.publish()
        self.follow()

    def test_writes_with_no_more_than_the_key(self):
        self.check("INSERT INTO watched VALUES (1, 2, 'zz91')", ("insert", "public.watched", "id"))
        self.check("UPDATE watched SET note = 'zz92'", ("update", "public.watched", "id"))
        self.check("DELETE FROM watched", ("delete", "public.watched", "id"))
        self.check("TRUNCATE watched, watched_full", ("truncate", "public.watched", "id"),
                   ("truncate", "public.watched_full", "a,b"))
        self.check("INSERT INTO watched_parted VALUES (1, 'x')", ("insert", "public.leaf_one", "id,note"))
        self.check("TRUNCATE leaf_one", ("truncate", "public.leaf_one", "id,note"))
        self.check("INSERT INTO watched_heir VALUES (1, 'x', 2)", ("insert", "public.watched_heir", "id"))
        self.check("UPDATE watched_base SET note = 'y'", ("update", "public.watched_heir", "id"))
        self.check("INSERT INTO other VALUES (1); INSERT INTO watched_none VALUES (1)")
        self.check("CREATE TABLE leaf_two PARTITION OF watched_parted (PRIMARY KEY (id)) FOR VALUES FROM (100) "
                   "TO (200)", ("CREATE TABLE", None))  # with an index
        self.check("INSERT INTO watched_parted VALUES (101, 'x')", ("insert", "public.leaf_two", "id,note"))

    def test_definitions(self):
        self.run_sql("CREATE ROLE %s_r" % self.database, "CREATE MATERIALIZED VIEW m AS SELECT 1 AS i")
        self.addCleanup(env.cluster.run, "DROP ROLE %s_r" % self.database)
        self.heard()
        self.check("CREATE TABLE t (i int)", ("CREATE TABLE", ["public.t"]))
        self.check("ALTER TABLE t ADD j int", ("ALTER TABLE", ["public.t"]))
        self.check("CREATE INDEX ON t (i)", ("CREATE INDEX", None))
        self.check("CREATE INDEX CONCURRENTLY t_j ON t (j)", ("CREATE INDEX", None))
        self.check("GRANT SELECT ON t TO %s_r" % self.database, ("GRANT", None))
        self.check("REVOKE SELECT ON t FROM %s_r" % self.database, ("REVOKE", None))
        self.check("REFRESH MATERIALIZED VIEW m", ("REFRESH MATERIALIZED VIEW", None))
        self.check("DROP TABLE t", ("DROP TABLE", ["public.t"]))
        self.check("SET session_replication_role = replica; CREATE TABLE u (i int)",
                   ("CREATE TABLE", ["public.u"]))
        self.check("BEGIN; CREATE TABLE t (i int); ROLLBACK")
        self.check("BEGIN; CREATE TABLE v (i int); PREPARE TRANSACTION '%s'" % self.database)
        self.check("COMMIT PREPARED '%s'" % self.database, ("CREATE TABLE", ["public.v"]))

    def test_temporary_tables_concern_nobody(self):
        self.check("CREATE TEMPORARY TABLE t (i serial PRIMARY KEY, x text); ALTER TABLE t ADD j int; "
                   "CREATE INDEX ON t (j); DROP TABLE t")

    def test_a_temporary_table_of_the_same_name(self):
        self.run_sql("CREATE TEMPORARY TABLE watched (id int, note text); ALTER TABLE watched ALTER id TYPE "
                     "bigint; ALTER TABLE watched DROP note")
        self.assertEqual(self.published(), PUBLISHED)

    def test_a_change_of_the_publication_is_told_as_well(self):
        self.check("CREATE TABLE watched_new (i int NOT NULL)", ("CREATE TABLE", ["public.watched_new"]))
        self.check("ALTER TABLE watched_new ADD PRIMARY KEY (i)", ("ALTER TABLE", ["public.watched_new"]),
                   ("ALTER PUBLICATION", None))
        self.check("INSERT INTO watched_new VALUES (1)", ("insert", "public.watched_new", "i"))

    def test_no_write_is_missed_while_definitions_change(self):
        writer = self.connect()
        writer.execute("BEGIN; INSERT INTO watched VALUES (1)")
        self.run_sql("ALTER TABLE watched_pair ALTER a TYPE bigint")
        writer.execute("COMMIT")
        self.assertIn(("insert", "public.watched", "id"), self.heard())
        self.run_sql("BEGIN; INSERT INTO watched VALUES (2, 2); ALTER TABLE watched DROP CONSTRAINT watched_pkey; "
                     "UPDATE watched SET other = id; DELETE FROM watched; ALTER TABLE watched ADD PRIMARY KEY "
                     "(other); INSERT INTO watched VALUES (3, 3); COMMIT")
        told = self.heard()
        self.assertEqual(told[0], ("insert", "public.watched", "id"))
        self.assertEqual(told[-1], ("insert", "public.watched", "other"))


class RepairTest(WalCase):
    """Definitions of somebody who knows nothing of the publication."""

    def setUp(self):
        super().setUp()
        self.owner = self.role("GRANT CREATE ON SCHEMA public TO %s")
        for (table,) in self.fetch("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = "
                                   "'public'::regnamespace"):
            self.run_sql("ALTER TABLE %s OWNER TO %s" % (table, self.owner))
        self.publish()
        self.run_sql("REVOKE ALL ON SCHEMA pgsidecar FROM PUBLIC")
        self.session = self.connect()
        self.session.execute("SET ROLE " + self.owner)

    def after(self, sql, **want):
        """The publication after it, in which None is a table that is not there."""
        with self.subTest(sql):
            self.session.execute(sql)
            self.expected = {**getattr(self, "expected", PUBLISHED), **want}
            self.assertEqual(self.published(), {t: c for t, c in self.expected.items() if c})
            self.in_step()

    def test_the_key_moves(self):
        self.after("INSERT INTO watched VALUES (1, 2, 'x')")
        self.after("ALTER TABLE watched DROP CONSTRAINT watched_pkey", watched=None)
        self.after("UPDATE watched SET note = 'y'")
        self.after("ALTER TABLE watched ADD PRIMARY KEY (other)", watched="other")
        self.after("UPDATE watched SET note = 'z'; DELETE FROM watched")
        self.after("ALTER TABLE watched DROP CONSTRAINT watched_pkey, ADD PRIMARY KEY (id, other)",
                   watched="id,other")
        self.after("ALTER TABLE watched RENAME id TO nr; UPDATE watched SET nr = 2", watched="nr,other")

    def test_columns_of_the_key_are_dropped_and_changed(self):
        self.after("ALTER TABLE watched ALTER id TYPE bigint")
        self.after("ALTER TABLE public.watched ALTER COLUMN id SET DATA TYPE int, ALTER note TYPE varchar(9)")
        self.after("alter /* of all */ table watched alter id type bigint")
        self.after("ALTER -- all\nTABLE watched ALTER id TYPE int; ALTER TABLE other ADD more int")
        self.after("ALTER TABLE watched_base ALTER id TYPE bigint")  # and of its heirs
        self.after("ALTER TABLE watched DROP id", watched=None)
        self.after("ALTER TABLE watched ADD id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY", watched="id")
        self.after("ALTER TABLE watched_pair DROP a CASCADE", watched_pair=None)
        self.after("UPDATE watched_pair SET b = 'x'")
        self.after("BEGIN; ALTER TABLE watched DROP id; ROLLBACK")

    def test_by_functions_and_blocks(self):
        self.after("DO $$ BEGIN ALTER TABLE watched ALTER id TYPE bigint; END $$")
        self.after("DO $$ BEGIN EXECUTE 'alter ta' || 'ble wat' || 'ched alter id ty' || 'pe int'; END $$")
        self.after("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'ALTER TABLE watched ALTER id TYPE bigint'; "
                   "SELECT f()")
        self.after("CREATE FUNCTION g() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM f(); ALTER TABLE watched "
                   "DROP id; END $$; SELECT g()", watched=None)
        self.after('ALTER TABLE U&"watched!005fpair" UESCAPE \'!\' ALTER a TYPE bigint')
        self.session.execute("ALTER TABLE watched_heir ALTER extra TYPE bigint", prepare=True)

    def test_other_ways_to_lose_an_identity(self):
        self.after("ALTER TABLE watched REPLICA IDENTITY NOTHING; UPDATE watched SET other = 1", watched=None)
        self.after("ALTER TABLE watched REPLICA IDENTITY FULL", watched="id,other,note")
        self.after("ALTER TABLE watched REPLICA IDENTITY DEFAULT", watched="id")
        self.after("DROP INDEX watched_unique; UPDATE watched_index SET b = 1", watched_index=None)
        self.after("ALTER TABLE watched SET UNLOGGED", watched=None)
        self.after("ALTER TABLE watched SET LOGGED", watched="id")
        self.after("CREATE TYPE kind AS ENUM ('a'); CREATE TABLE watched_kind (k kind PRIMARY KEY)",
                   watched_kind="k")
        self.after("ALTER TYPE kind ADD VALUE 'b'")
        self.after("DROP TYPE kind CASCADE", watched_kind=None)
        self.after("CREATE TYPE row_of AS (a int, b int); CREATE TABLE watched_typed OF row_of (PRIMARY KEY (a))",
                   watched_typed="a")
        self.after("ALTER TYPE row_of ALTER ATTRIBUTE a TYPE bigint CASCADE")

    def test_tables_come_and_go(self):
        self.after("CREATE TABLE watched_new (a int, b int PRIMARY KEY)", watched_new="b")
        self.after("CREATE TABLE watched_copy AS SELECT 1 AS i")
        self.after("ALTER TABLE watched_copy ADD PRIMARY KEY (i)", watched_copy="i")
        self.after("ALTER TABLE other RENAME TO watched_other", watched_other="id")
        self.after("ALTER TABLE watched_other RENAME TO other", watched_other=None)
        self.after("DROP TABLE watched_new, watched_copy", watched_new=None, watched_copy=None)
        self.after("BEGIN; DROP TABLE watched; ROLLBACK")
        self.after("SELECT 1 AS i INTO watched_into; UPDATE watched_into SET i = 2")
        self.run_sql("CREATE SCHEMA watched_schema", "CREATE TABLE watched_schema.t (i int PRIMARY KEY)")
        self.in_step()

    def test_partitions(self):
        self.after("CREATE TABLE leaf_two PARTITION OF watched_parted FOR VALUES FROM (100) TO (200)",
                   leaf_one=None)  # it has no key: one of them keeps them all out
        self.after("INSERT INTO watched_parted VALUES (1), (101); UPDATE watched_parted SET note = 'x'")
        self.after("ALTER TABLE leaf_two ADD PRIMARY KEY (id)", leaf_one="id,note", leaf_two="id,note")
        self.after("UPDATE watched_parted SET id = id + 1; UPDATE watched_parted SET id = 150 WHERE id < 100")
        self.after("ALTER TABLE watched_parted DETACH PARTITION leaf_two", leaf_two=None)
        self.after("ALTER TABLE leaf_two RENAME TO watched_two", watched_two="id")
        self.after("ALTER TABLE watched_parted ATTACH PARTITION watched_two FOR VALUES FROM (100) TO (200)",
                   watched_two="id,note")
        self.after("ALTER TABLE watched_parted ALTER note TYPE varchar(20)")
        self.after("ALTER TABLE watched_parted DETACH PARTITION watched_two CONCURRENTLY", watched_two="id")
        self.after("DROP TABLE watched_parted", leaf_one=None)

    def test_every_published_table_can_be_written_to(self):
        for table, columns in {**PUBLISHED, "watched_parted": "id,note",
                               **{t: "a,b" for t in LEFT_OUT}}.items():
            column = columns.split(",")[0]
            with self.subTest(table):
                self.session.execute("INSERT INTO %s (%s) OVERRIDING USER VALUE VALUES (7)" % (table, column)
                                     if table != "watched_pair" else "INSERT INTO watched_pair VALUES (7, '', '')")
                self.assertEqual(self.session.execute("UPDATE %s SET %s = 8" % (table, column)).rowcount, 1)
                self.session.execute("DELETE FROM %s" % table)
                self.session.execute("TRUNCATE %s" % table)

    def test_owner_that_is_no_superuser_any_more(self):
        """Then the publication is as it was, and definitions go on."""
        self.migrate("down")
        once = self.role("ALTER ROLE %s SUPERUSER")
        self.publish(arguments=self.as_role(once))
        self.run_sql("ALTER ROLE %s NOSUPERUSER" % once)
        self.follow()
        warnings = []
        self.session.add_notice_handler(lambda notice: warnings.append(notice.message_primary))
        self.session.execute("CREATE TABLE watched_new (i int PRIMARY KEY)")
        self.assertEqual(warnings, ["pgsidecar: must be owner of table watched_new"])
        self.assertEqual(self.heard(), [("CREATE TABLE", None)])
        self.assertEqual(self.published(), PUBLISHED)
        self.assertRegex(self.migrate("status", code=1, config=self.rules),
                         "function pgsidecar.wal_ddl +made +is another function, or belongs to somebody else")

    def test_nobody_else_may_call_the_repair(self):
        self.run_sql("GRANT USAGE ON SCHEMA pgsidecar TO PUBLIC")
        with self.assertRaises(psycopg.errors.InsufficientPrivilege):
            self.session.execute("SELECT * FROM pgsidecar.wal_repair()")
        self.assertEqual(self.fetch("SELECT DISTINCT proconfig::text FROM pg_proc WHERE pronamespace = "
                                    "'pgsidecar'::regnamespace"), [('{"search_path=pg_catalog, pg_temp"}',)])

    def test_a_definition_waits_for_no_other_table(self):
        holder = self.connect()
        holder.execute("BEGIN; LOCK TABLE watched, leaf_one, watched_pair IN ACCESS EXCLUSIVE MODE")
        self.session.execute("SET lock_timeout = '20s'")
        self.after("CREATE TABLE watched_new (i int PRIMARY KEY)", watched_new="i")
        self.after("ALTER TABLE watched_new ALTER i TYPE bigint; DROP TABLE watched_new", watched_new=None)
        holder.execute("ROLLBACK")

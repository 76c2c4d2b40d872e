"""Writes that do not pass through the program, seen in the WAL: what they outdate, when, and what is
done while they are not seen."""
import json
import os
import signal
import subprocess
import time
import unittest
import urllib.error
import urllib.request

import psycopg

import wire
from cache_case import CacheTest, env
from harness import Cluster, ROLES, SHARED, free_port, wait_until

SCHEMA = """
CREATE TABLE t (id int PRIMARY KEY, v int);
INSERT INTO t SELECT i, 0 FROM generate_series(1, 10) i;
CREATE TABLE u (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO u VALUES (1, 5);
CREATE TABLE months (id int, m int, v int, PRIMARY KEY (id, m)) PARTITION BY LIST (m);
CREATE TABLE january PARTITION OF months FOR VALUES IN (1);
CREATE TABLE february PARTITION OF months FOR VALUES IN (2);
INSERT INTO months VALUES (1, 1, 0), (2, 2, 0);
CREATE TABLE parent (id int PRIMARY KEY, v int);
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
INSERT INTO child VALUES (1, 0);
"""
PUBLICATION = "CREATE PUBLICATION pgsidecar FOR TABLE t, u, months, ONLY parent"
# As `pgsidecar migrate up --wal` has it, in short.
WATCH_DEFINITIONS = """
CREATE FUNCTION tell() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_logical_emit_message(true, 'pgsidecar', '{}'); END $$;
CREATE EVENT TRIGGER told ON ddl_command_end EXECUTE FUNCTION tell();
"""
ONE = "SELECT v FROM t WHERE id = 1"
COUNT = "SELECT count(*) FROM t"


class WalCase(CacheTest):
    server = {}
    watches = True  # an event trigger tells of definitions

    @classmethod
    def setUpClass(cls):
        folder = os.path.join(env.folder, "wal-" + cls.__name__)
        cls.proxied = Cluster(folder, env.certificates, wal_level="logical",
                              max_prepared_transactions="10", **cls.server).start()
        cls.addClassCleanup(cls.proxied.stop, signal.SIGQUIT)
        cls.proxied.run(ROLES)
        cls.http = free_port()
        cls.sidecar = env.sidecar(cls.proxied, **{"http": {"listen_port": cls.http}, **cls.config})
        cls.addClassCleanup(cls.sidecar.finish)

    def setUp(self):
        super().setUp()
        self.require_program()
        self.setup_sql(SCHEMA)
        self.publish()
        self.reader, self.writer = self.wire(), self.direct()

    def publish(self):
        self.setup_sql(PUBLICATION, *([WATCH_DEFINITIONS] if self.watches else []))

    def migrate_up(self, how):
        path = os.path.join(env.folder, "migrate-%s-%s.yaml" % (type(self).__name__, self.database))
        with open(path, "w") as f:
            f.write("upstream: {host: 127.0.0.1, port: %d}\n"
                    "cache: {rules: [{name: all, tables: ['*'], ttl: 1h}]}\n" % self.proxied.port)
        subprocess.run([env.program, "migrate", "up", how, "-c", path, "--database",
                        self.proxied.conninfo(self.database)], check=True, capture_output=True)

    def write(self, *statements):
        """Past the program."""
        for sql in statements:
            reply = self.writer.q(sql)
            self.assertEqual(reply.error, None, sql)

    def not_watched(self, statement):
        """Never a hit, and for that reason, as soon as the catalogs have been read."""
        before = self.reasons().get("bypass:not_watched", 0)
        wait_until("the reason", lambda: self.not_cached(self.reader, statement) and
                   self.reasons().get("bypass:not_watched", 0) > before)

    def soon(self, statement, want):
        """Shown through the program before long, whoever asks."""
        want = [[str(want)]]
        wait_until("%s to show %s" % (statement, want),
                   lambda: [list(r) for r in self.reader.q(statement).rows] == want)
        self.assertEqual([list(r) for r in self.wire().q(statement).rows], want)

    def standbys(self, names):
        self.proxied.run("ALTER SYSTEM SET synchronous_standby_names = '%s'" % names,
                         "SELECT pg_reload_conf()")
        wait_until("the setting", lambda: self.proxied.fetch(
            "SELECT current_setting('synchronous_standby_names')") == [(names,)])

    def walsender(self):
        found = self.proxied.fetch(
            "SELECT s.active_pid FROM pg_replication_slots s WHERE s.database = '%s' AND s.active"
            % self.database)
        return found[0][0] if found else None

    def ready(self):
        """What /readyz says of it."""
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/readyz" % self.http) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refused:
            text = refused.read()
        return json.loads(text)["checks"]["invalidation"]


class SeenTest(WalCase):
    """What a write past the program outdates."""

    def test_an_update(self):
        self.cached(self.reader, ONE)
        for value in range(1, 20):
            self.write("UPDATE t SET v = %d WHERE id = 1" % value)
            self.soon(ONE, value)
        self.cached(self.reader, ONE)

    def test_every_kind_of_write(self):
        total = "SELECT coalesce(sum(v), 0) FROM t"
        parts = [
            ("INSERT INTO t VALUES (20, 1)", 1),
            ("UPDATE t SET v = v + 1 WHERE id = 20", 2),
            ("WITH w AS (UPDATE t SET v = v + 1 WHERE id = 20 RETURNING 1) SELECT * FROM w", 3),
            ("DO $$ BEGIN UPDATE t SET v = v + 1 WHERE id = 20; END $$", 4),
            ("MERGE INTO t USING (SELECT 20 AS id) s ON t.id = s.id "
             "WHEN MATCHED THEN UPDATE SET v = t.v + 1", 5),
            ("BEGIN; SAVEPOINT a; UPDATE t SET v = 100 WHERE id = 20; ROLLBACK TO a; "
             "UPDATE t SET v = 6 WHERE id = 20; COMMIT", 6),
            ("DELETE FROM t WHERE id = 20", 0),
            ("TRUNCATE t CASCADE", 0)]
        for sql, want in parts:
            self.cached(self.reader, total)
            self.write(sql)
            self.soon(total, want)
        self.cached(self.reader, total)
        with self.past() as conn, conn.cursor() as cursor:
            with cursor.copy("COPY t FROM STDIN") as copy:
                copy.write("30\t7\n")
        self.soon(total, 7)

    def past(self):
        return psycopg.connect(self.proxied.conninfo(self.database), autocommit=True)

    def test_a_rollback_outdates_nothing(self):
        self.cached(self.reader, ONE)
        self.write("BEGIN", "UPDATE t SET v = 9 WHERE id = 1", "ROLLBACK",
                   "UPDATE u SET id = 2")  # arrives behind it
        self.soon("SELECT id FROM u", 2)
        hits = self.hits()
        self.assertEqual(self.reader.q(ONE).rows[0][0], "0")
        self.assertEqual(self.hits(), hits + 1)

    def test_what_a_statement_does_not_name(self):
        self.setup_sql("CREATE FUNCTION on_u() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                       "UPDATE t SET v = v + 1 WHERE id = 2; RETURN NULL; END $$",
                       "CREATE TRIGGER x AFTER INSERT ON u EXECUTE FUNCTION on_u()")
        self.cached(self.reader, "SELECT t FROM u")
        self.write("UPDATE t SET id = 50 WHERE id = 5")
        self.soon("SELECT t FROM u", 50)
        self.cached(self.reader, "SELECT v FROM t WHERE id = 2")
        self.write("INSERT INTO u VALUES (7, 3)")
        self.soon("SELECT v FROM t WHERE id = 2", 1)
        self.write("DELETE FROM u WHERE id = 7")
        self.cached(self.reader, "SELECT count(*) FROM u")
        self.write("DELETE FROM t WHERE id = 50")
        self.soon("SELECT count(*) FROM u", 0)

    def test_partitions(self):
        total = "SELECT sum(v) FROM months"
        for sql, want in [("UPDATE january SET v = 1", 1), ("UPDATE months SET v = 2 WHERE m = 2", 3),
                          ("UPDATE months SET m = 2, id = 3 WHERE m = 1", 3),
                          ("TRUNCATE january", 3), ("TRUNCATE february", "")]:
            self.cached(self.reader, total)
            self.cached(self.reader, "SELECT count(*) FROM february")
            self.write(sql)
            self.soon("SELECT coalesce(sum(v)::text, '') FROM months", want)
            self.soon("SELECT coalesce(sum(v)::text, '') FROM (SELECT v FROM january UNION ALL "
                      "SELECT v FROM february) x", want)

    def test_a_new_partition(self):
        self.cached(self.reader, "SELECT count(*) FROM months")
        self.write("CREATE TABLE march PARTITION OF months FOR VALUES IN (3)",
                   "INSERT INTO march VALUES (5, 3, 5)")
        self.soon("SELECT count(*) FROM months", 3)
        self.cached(self.reader, "SELECT count(*) FROM months")
        self.write("INSERT INTO march VALUES (6, 3, 5)")
        self.soon("SELECT count(*) FROM months", 4)

    def test_two_phase_commit(self):
        self.cached(self.reader, ONE)
        self.write("BEGIN", "UPDATE t SET v = 3 WHERE id = 1", "PREPARE TRANSACTION 'x'")
        self.assertEqual(self.reader.q(ONE).rows[0][0], "0")
        self.write("COMMIT PREPARED 'x'")
        self.soon(ONE, 3)

    def test_definitions(self):
        self.cached(self.reader, "SELECT * FROM t WHERE id = 1")
        self.write("ALTER TABLE t ADD COLUMN w int DEFAULT 4")
        wait_until("the new column", lambda: len(self.reader.q("SELECT * FROM t WHERE id = 1").rows[0]) == 3)
        self.setup_sql("GRANT SELECT ON t TO alice", "GRANT USAGE ON SCHEMA public TO alice")
        alice = self.wire("alice")
        self.cached(alice, ONE)
        self.write("REVOKE SELECT ON t FROM alice")
        wait_until("no right", lambda: self.wire("alice").q(ONE).error is not None)
        self.assertEqual(alice.q(ONE).error, "42501")

    def test_only_what_is_published_is_cached(self):
        self.setup_sql("CREATE TABLE alone (id int PRIMARY KEY)")
        self.cached(self.reader, ONE)
        self.not_watched("SELECT * FROM alone")
        self.not_watched("SELECT * FROM parent")  # its child is not published
        self.write("ALTER PUBLICATION pgsidecar ADD TABLE alone")
        self.cached(self.reader, "SELECT * FROM alone")

    def test_a_write_through_the_program_is_seen_at_once(self):
        self.cached(self.reader, ONE)
        through = self.wire()
        for value in range(1, 30):
            self.assertEqual(through.q("UPDATE t SET v = %d WHERE id = 1" % value).error, None)
            self.assertEqual(self.reader.q(ONE).rows[0][0], str(value))

    def test_the_database_can_be_dropped(self):
        other = self.wire(database="postgres")
        self.cached(self.reader, ONE)
        self.assertIsNotNone(self.walsender())
        self.reader.close()
        self.writer.close()
        reply = other.q("DROP DATABASE %s" % self.database)
        self.assertEqual(reply.error, None)

    def test_what_is_told_of_it(self):
        self.cached(self.reader, ONE)
        self.write("UPDATE t SET v = 1 WHERE id = 1")
        self.soon(ONE, 1)
        check = self.ready()
        self.assertEqual(check["status"], "ok", check)
        self.assertIn(self.database + ": wal", check["detail"])
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % self.http) as answer:
            text = answer.read().decode()
        self.assertIn('pgsidecar_invalidation_up{database="%s",by="wal"} 1' % self.database, text)
        count = [l for l in text.splitlines()
                 if l.startswith('pgsidecar_staleness_seconds_count{database="%s"' % self.database)]
        self.assertGreater(int(float(count[0].split()[-1])), 0)


class SettleTest(WalCase):
    """A commit is in the WAL before anybody can see it."""

    def test_a_commit_that_waits_for_its_standby(self):
        self.cached(self.reader, ONE)
        self.addCleanup(self.standbys, "")
        self.standbys("nobody")
        self.writer.send(wire.query("UPDATE t SET v = 1 WHERE id = 1"))
        wait_until("the wait for a standby", lambda: self.proxied.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))
        # Seen in the WAL by now, or soon; to be seen in no snapshot.
        self.proxied.run("SELECT pg_switch_wal()")
        for _ in range(50):
            self.assertEqual(self.reader.q(ONE).rows[0][0], "0")
        wait_until("nothing to be cached", lambda: not self.is_hit(ONE))
        for _ in range(20):
            self.assertFalse(self.is_hit(ONE))
        self.standbys("")
        self.assertEqual(self.writer.read_reply().error, None)
        self.soon(ONE, 1)
        self.cached(self.reader, ONE)
        self.assertEqual(self.reader.q(ONE).rows[0][0], "1")

    def is_hit(self, statement):
        hits = self.hits()
        self.assertEqual(self.reader.q(statement).error, None)
        return self.hits() > hits


class LossTest(WalCase):
    """The stream is gone, or late."""

    def lost(self):
        """Asks until nothing comes from the cache any more."""
        before = self.reasons().get("bypass:invalidation_lost", 0)
        wait_until("a bypass", lambda: self.reader.q(ONE).error is None and
                   self.reasons().get("bypass:invalidation_lost", 0) > before)

    def test_a_killed_stream(self):
        for value in range(1, 4):
            self.cached(self.reader, ONE)
            self.proxied.run("SELECT pg_terminate_backend(%d)" % self.walsender())
            self.write("UPDATE t SET v = %d WHERE id = 1" % value)
            self.soon(ONE, value)
        self.cached(self.reader, ONE)

    def test_a_stuck_stream_is_given_up_within_its_lag(self):
        self.cached(self.reader, ONE)
        pid = self.walsender()
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            self.write("UPDATE t SET v = 1 WHERE id = 1")
            self.lost()
            self.assertLess(time.monotonic() - began, 10)  # a second, on a machine with time
            self.assertEqual(self.reader.q(ONE).rows[0][0], "1")
            self.assertEqual(self.ready()["status"], "failed")
        finally:
            os.kill(pid, signal.SIGCONT)
        self.cached(self.reader, ONE)
        self.assertEqual(self.reader.q(ONE).rows[0][0], "1")

    def test_a_new_segment_of_the_log_is_no_lag(self):
        """What the server says is to be written next stands behind a header that nobody sends."""
        self.cached(self.reader, ONE)
        lost = self.reasons().get("bypass:invalidation_lost", 0)
        for _ in range(2):
            self.proxied.run("SELECT pg_switch_wal()")
            end = time.monotonic() + 2  # twice what it may be late
            while time.monotonic() < end:
                self.cached(self.reader, ONE)
        self.assertEqual(self.reasons().get("bypass:invalidation_lost", 0), lost)

    def test_a_publication_that_is_gone(self):
        self.cached(self.reader, ONE)
        self.write("DROP PUBLICATION pgsidecar")
        self.write("UPDATE t SET v = 1 WHERE id = 1")
        self.soon(ONE, 1)
        self.sidecar.output.wait_for("there is no publication pgsidecar")
        # By age now, since there is nothing to follow.
        self.cached(self.reader, ONE)
        self.write("CREATE PUBLICATION pgsidecar FOR TABLE t", "UPDATE t SET v = 2 WHERE id = 1")
        self.soon(ONE, 2)

    def test_a_killed_control_connection(self):
        self.cached(self.reader, ONE)
        self.proxied.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s' "
                         "AND application_name IN ('pgsidecar control', 'pgsidecar witness')"
                         % self.database)
        self.write("UPDATE t SET v = 1 WHERE id = 1")
        self.soon(ONE, 1)
        self.cached(self.reader, ONE)

    @unittest.skipIf(SHARED, "the pool's connections die with the server")
    def test_a_server_that_starts_anew(self):
        self.cached(self.reader, ONE)
        self.proxied.stop()
        self.proxied.start()
        self.reader, self.writer = self.wire(), self.direct()
        self.cached(self.reader, ONE)
        self.write("UPDATE t SET v = 1 WHERE id = 1")
        self.soon(ONE, 1)


class ByAgeTest(WalCase):
    """While it is lost, answers are served on by their age."""
    config = {"cache": {"invalidation": "wal", "on_invalidation_loss": "ttl"}}

    def test_a_stuck_stream_keeps_nothing_from_being_served(self):
        self.cached(self.reader, ONE)
        pid = self.walsender()
        os.kill(pid, signal.SIGSTOP)
        try:
            self.write("UPDATE t SET v = 1 WHERE id = 1")
            end = time.monotonic() + 2  # twice what it may be late
            while time.monotonic() < end:
                self.assertEqual(self.cached(self.reader, ONE).rows[0][0], "0")
        finally:
            os.kill(pid, signal.SIGCONT)
        self.soon(ONE, 1)

    def test_a_write_between_two_streams(self):
        """Committed while there is no stream, and so told by none; what it has outdated is gone
        when the next one begins."""
        self.cached(self.reader, ONE)
        allow = "UPDATE pg_database SET datallowconn = %%s WHERE datname = '%s'" % self.database
        self.proxied.run(allow % "false")  # those that are there stay
        try:
            self.proxied.run("SELECT pg_terminate_backend(%d, 60000)" % self.walsender())
            self.write("UPDATE t SET v = 1 WHERE id = 1")
            self.assertIsNone(self.walsender())
            self.assertEqual(self.cached(self.reader, ONE).rows[0][0], "0")
        finally:
            self.proxied.run(allow % "true")
        self.soon(ONE, 1)

    def test_what_was_served_meanwhile_is_outdated_afterwards(self):
        self.cached(self.reader, ONE)
        self.proxied.run("SELECT pg_terminate_backend(%d)" % self.walsender())
        self.write("UPDATE t SET v = 1 WHERE id = 1")
        self.soon(ONE, 1)


class UnwatchedTest(WalCase):
    """Without an event trigger: what the stream itself tells of definitions."""
    watches = False

    def test_a_table_becomes_a_partition(self):
        self.setup_sql("CREATE TABLE march (id int, m int, v int, PRIMARY KEY (id, m))",
                       "ALTER PUBLICATION pgsidecar ADD TABLE march")
        total = "SELECT count(*) FROM months"
        self.cached(self.reader, total)
        self.write("INSERT INTO march VALUES (1, 3, 0)",
                   "ALTER TABLE months ATTACH PARTITION march FOR VALUES IN (3)",
                   "INSERT INTO march VALUES (2, 3, 0)")
        self.soon(total, 4)
        self.cached(self.reader, total)
        self.write("INSERT INTO march VALUES (3, 3, 0)")
        self.soon(total, 5)


class MigratedTest(WalCase):
    """With what `pgsidecar migrate up --wal` makes."""

    def publish(self):
        self.migrate_up("--wal")

    def test_all_of_it_is_cached_and_followed(self):
        for table, change in [("t", "UPDATE t SET v = 70"), ("months", "UPDATE january SET v = 70"),
                              ("parent", "UPDATE child SET v = 70")]:
            top = "SELECT max(v) FROM " + table
            self.cached(self.reader, top)
            self.write(change)
            self.soon(top, 70)

    def test_definitions_of_the_application(self):
        self.cached(self.reader, ONE)
        self.write("CREATE TABLE n (id int PRIMARY KEY, v int)", "INSERT INTO n VALUES (1, 1)")
        top = "SELECT max(v) FROM n"
        self.cached(self.reader, top)
        self.write("ALTER TABLE n DROP CONSTRAINT n_pkey, ADD COLUMN w int NOT NULL DEFAULT 1",
                   "ALTER TABLE n ADD PRIMARY KEY (w)", "UPDATE n SET v = 2")
        self.soon(top, 2)
        self.cached(self.reader, top)
        self.write("BEGIN", "UPDATE n SET v = 3", "ALTER TABLE n DROP CONSTRAINT n_pkey",
                   "UPDATE n SET v = 4", "COMMIT")
        self.soon(top, 4)
        self.not_cached(self.reader, top)  # nothing could tell of it now

    def test_an_analyze_costs_no_hits(self):
        """The server describes the table anew, and an event trigger would have told of a definition."""
        other = "SELECT t FROM u"
        self.cached(self.reader, ONE)
        self.write("UPDATE t SET v = 1 WHERE id = 1")
        self.soon(ONE, 1)
        self.cached(self.reader, other)
        self.write("ANALYZE t", "UPDATE t SET v = 2 WHERE id = 1")
        self.soon(ONE, 2)
        asked, hits, end = 0, self.hits(), time.monotonic() + 0.5  # the catalogs would be read within it
        while time.monotonic() < end:
            self.reader.q(other)
            asked += 1
        self.assertEqual(self.hits(), hits + asked)

    def test_what_no_row_tells_of(self):
        self.setup_sql("CREATE MATERIALIZED VIEW m AS SELECT sum(v) FROM t",
                       "CREATE UNLOGGED TABLE x (id int PRIMARY KEY)")
        self.cached(self.reader, ONE)
        self.not_cached(self.reader, "SELECT * FROM m")
        self.not_cached(self.reader, "SELECT * FROM x")

    def test_rights(self):
        self.setup_sql("GRANT SELECT ON t TO alice")
        alice = self.wire("alice")
        self.cached(alice, ONE)
        self.write("REVOKE SELECT ON t FROM alice")
        wait_until("no right", lambda: alice.q(ONE).error == "42501")


class ClusterWideTest(WalCase):
    """Rights that no database has for itself: neither its WAL nor an event trigger tells of them. They
    are seen when the catalogs are read again."""
    config = {"cache": {"invalidation": "wal", "catalog_refresh_interval": "300ms"}}
    publish = MigratedTest.publish

    def test_a_right_by_membership(self):
        group = "readers_" + self.database
        self.setup_sql("CREATE ROLE " + group, "GRANT SELECT ON t TO " + group, "GRANT %s TO alice" % group)
        self.addCleanup(self.setup_sql, "DROP OWNED BY " + group, "DROP ROLE " + group)
        alice = self.wire("alice")
        self.cached(alice, ONE)
        self.write("REVOKE %s FROM alice" % group)
        wait_until("no right", lambda: alice.q(ONE).error == "42501")

    def test_an_attribute_of_a_role(self):
        self.setup_sql("GRANT SELECT ON t TO bob", "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
                       "CREATE POLICY one ON t USING (id = 1)", "ALTER ROLE bob BYPASSRLS")
        self.addCleanup(self.proxied.run, "ALTER ROLE bob NOBYPASSRLS")
        bob = self.wire("bob")
        self.assertEqual(self.cached(bob, COUNT).value, "10")
        self.write("ALTER ROLE bob NOBYPASSRLS")
        wait_until("one row", lambda: bob.q(COUNT).value == "1")


class MeanwhileTest(WalCase):
    """What was given and taken back between two readings of the catalogs, so that both see the same."""
    config = {"cache": {"invalidation": "wal", "catalog_refresh_interval": "2s"}}
    watches = False

    def given_and_taken(self, who, statement, give, take, told):
        session = self.wire(who)
        self.wire().q("CREATE TABLE news ()")  # a definition that passes: they are read now
        self.cached(self.reader, COUNT)
        self.write(give)
        self.cached(session, statement)
        self.write(take)
        wait_until("what the server says", lambda: told(session.q(statement)))

    def test_a_membership(self):
        group = "readers_" + self.database
        self.setup_sql("CREATE ROLE " + group, "GRANT SELECT ON t TO " + group)
        self.addCleanup(self.setup_sql, "DROP OWNED BY " + group, "DROP ROLE " + group)
        self.given_and_taken("alice", ONE, "GRANT %s TO alice" % group, "REVOKE %s FROM alice" % group,
                             lambda reply: reply.error == "42501")

    def test_an_attribute_of_a_role(self):
        self.setup_sql("GRANT SELECT ON t TO bob", "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
                       "CREATE POLICY one ON t USING (id = 1)")
        self.addCleanup(self.proxied.run, "ALTER ROLE bob NOBYPASSRLS")
        self.given_and_taken("bob", COUNT, "ALTER ROLE bob BYPASSRLS", "ALTER ROLE bob NOBYPASSRLS",
                             lambda reply: reply.value == "1")

    def test_a_right(self):
        self.setup_sql("GRANT SELECT ON t TO bob")
        self.given_and_taken("alice", ONE, "GRANT SELECT ON t TO alice", "REVOKE SELECT ON t FROM alice",
                             lambda reply: reply.error == "42501")

    def test_a_right_to_columns(self):
        self.given_and_taken("alice", ONE, "GRANT SELECT (id, v) ON t TO alice",
                             "REVOKE SELECT (id, v) ON t FROM alice", lambda reply: reply.error == "42501")

    def test_a_policy(self):
        self.setup_sql("GRANT SELECT ON t TO bob", "ALTER TABLE t ENABLE ROW LEVEL SECURITY")
        self.given_and_taken("bob", COUNT, "CREATE POLICY every ON t USING (true)", "DROP POLICY every ON t",
                             lambda reply: reply.value == "0")


class ElsewhereTest(CacheTest):
    """A server that has no publication."""

    def test_auto_takes_the_age(self):
        self.require_program()
        self.setup_sql("CREATE TABLE t (id int PRIMARY KEY, v int)")
        self.cached(self.wire(), COUNT)
        self.sidecar.output.wait_for(
            "database %s: writes that do not pass through here are seen when an entry's ttl is over: "
            "there is no publication pgsidecar" % self.database)


class DemandedTest(CacheTest):
    config = {"cache": {"invalidation": "wal"}}

    def test_nothing_is_cached_where_it_cannot_be_had(self):
        self.require_program()
        self.setup_sql("CREATE TABLE t (id int PRIMARY KEY, v int)")
        session = self.wire()
        self.sidecar.output.wait_for("writes that do not pass through here are not seen")
        self.not_cached(session, COUNT)

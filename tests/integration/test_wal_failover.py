"""Writes past the program while the server changes: another one takes its place, or it is set up
differently, or a DBA takes the slot away."""
import os
import signal
import unittest

import psycopg

import wire
from cache_case import env
from harness import Cluster, Forwarder, ROLES, SHARED, free_port, wait_until
from test_wal import ONE, WalCase


class FailoverTest(WalCase):
    """The program's host and port lead to another server: a standby that was promoted."""

    @classmethod
    def setUpClass(cls):
        if env.control:
            raise cls.skipTest(cls, "control run: there is no program")
        folder = os.path.join(env.folder, "wal-failover")
        cls.proxied = cls.primary = Cluster(folder + "-primary", env.certificates).start()
        cls.proxied.run(ROLES)
        cls.proxied.stop()
        cls.standby = Cluster(folder + "-standby", env.certificates, source=cls.primary, hot_standby="on",
                              primary_conninfo="host=127.0.0.1 port=%d user=postgres" % cls.primary.port)
        with open(os.path.join(cls.standby.data, "standby.signal"), "w"):
            pass
        for cluster in (cls.primary, cls.standby):
            cluster.start()
            cls.addClassCleanup(cluster.stop, signal.SIGQUIT)
        cls.way = Forwarder(cls.primary.port)
        cls.addClassCleanup(cls.way.close)
        cls.http = free_port()
        cls.sidecar = env.sidecar(cls.way, **{"http": {"listen_port": cls.http}, **cls.config})
        cls.addClassCleanup(cls.sidecar.finish)

    def caught_up(self):
        end = self.primary.fetch("SELECT pg_current_wal_insert_lsn()")[0][0]
        return self.standby.fetch("SELECT pg_last_wal_replay_lsn() >= '%s'" % end) == [(True,)]

    @unittest.skipIf(SHARED, "the pool's connections die with the way")
    def test_a_promoted_standby(self):
        self.cached(self.reader, ONE)
        wait_until("the standby to have all", self.caught_up)
        self.primary.stop(signal.SIGQUIT)
        type(self).proxied = self.standby
        self.standby.run("SELECT pg_promote()")
        self.writer = self.direct()
        self.write("UPDATE t SET v = 1 WHERE id = 1")  # nobody follows this server yet
        self.way.lead_to(self.standby.port)
        self.reader = self.wire()
        self.assertEqual(self.reader.q(ONE).rows[0][0], "1")
        self.assertEqual(self.cached(self.reader, ONE).rows[0][0], "1")
        for value in range(2, 5):
            self.write("UPDATE t SET v = %d WHERE id = 1" % value)
            self.soon(ONE, value)
        self.assertEqual(self.standby.fetch("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"),
                         [("00000002",)])  # the timeline
        self.assertIn(self.database + ": wal", self.ready()["detail"])


class ChangedTest(WalCase):
    """Of one server."""

    @unittest.skipIf(SHARED, "the pool's connections die with the server")
    def test_a_wal_level_that_is_lowered(self):
        self.cached(self.reader, ONE)
        for level, detail in [("replica", ": ttl (wal_level is replica, not logical"),
                              ("logical", ": wal")]:
            self.proxied.run("ALTER SYSTEM SET wal_level = %s" % level)
            self.proxied.stop()
            self.proxied.start()
            self.reader, self.writer = self.wire(), self.direct()
            # Committed before the program can have looked at what the server has now.
            self.write("UPDATE t SET v = v + 1 WHERE id = 1")
            self.assertEqual(self.reader.q(ONE).raw, self.writer.q(ONE).raw)
            self.assertEqual(self.cached(self.reader, ONE).raw, self.writer.q(ONE).raw)
            wait_until("the other way", lambda: self.database + detail in self.ready()["detail"])
        self.write("UPDATE t SET v = 7 WHERE id = 1")
        self.soon(ONE, 7)

    def test_a_slot_that_is_dropped(self):
        """In use it cannot be; a DBA ends the connection first."""
        self.cached(self.reader, ONE)
        slot = self.proxied.fetch("SELECT slot_name FROM pg_replication_slots WHERE database = '%s'"
                                  % self.database)[0][0]
        with self.assertRaises(psycopg.errors.ObjectInUse):
            self.proxied.run("SELECT pg_drop_replication_slot('%s')" % slot)
        self.proxied.run("SELECT pg_terminate_backend(%d)" % self.walsender())
        self.write("UPDATE t SET v = 1 WHERE id = 1")
        self.soon(ONE, 1)
        self.cached(self.reader, ONE)
        self.assertNotEqual(slot, self.proxied.fetch(
            "SELECT slot_name FROM pg_replication_slots WHERE database = '%s'" % self.database)[0][0])


class PersistentTest(WalCase):
    """A slot that outlives its connection, and with it what is cached."""
    config = {"cache": {"invalidation": "wal", "persistent_slot": "kept"}}
    OTHER = "SELECT t FROM u"

    def slots(self):
        return self.proxied.fetch("SELECT slot_name FROM pg_replication_slots WHERE database = '%s' AND "
                                  "NOT temporary AND slot_name LIKE 'kept\\_%%'" % self.database)

    def misses(self):
        return self.reasons().get("miss", 0)

    def test_what_is_cached_outlives_the_stream(self):
        self.cached(self.reader, ONE)
        self.cached(self.reader, self.OTHER)
        self.assertEqual(len(self.slots()), 1)
        self.sidecar.output.wait_for("max_slot_wal_keep_size is -1")
        for value in range(1, 4):
            self.proxied.run("SELECT pg_terminate_backend(%d)" % self.walsender())
            self.write("UPDATE t SET v = %d WHERE id = 1" % value)
            self.soon(ONE, value)
            misses = self.misses()
            self.cached(self.reader, self.OTHER)
            self.assertEqual(self.misses(), misses)  # it was there still
            self.cached(self.reader, ONE)

    @unittest.skipIf(SHARED, "the pool's connections die with the server")
    def test_a_server_that_starts_anew(self):
        self.cached(self.reader, ONE)
        for value in range(1, 3):
            self.proxied.stop(signal.SIGQUIT)
            self.proxied.start()
            self.reader, self.writer = self.wire(), self.direct()
            self.write("UPDATE t SET v = %d WHERE id = 1" % value)
            self.soon(ONE, value)
            self.cached(self.reader, ONE)

    def test_a_slot_that_is_dropped_is_made_anew(self):
        self.cached(self.reader, ONE)
        slot, = self.slots()[0]
        allow = "UPDATE pg_database SET datallowconn = %%s WHERE datname = '%s'" % self.database
        self.proxied.run(allow % "false")
        self.proxied.run("SELECT pg_terminate_backend(%d, 60000)" % self.walsender(),
                         "SELECT pg_drop_replication_slot('%s')" % slot)
        self.write("UPDATE t SET v = 1 WHERE id = 1")  # no slot will tell of it
        self.proxied.run(allow % "true")
        self.soon(ONE, 1)
        self.cached(self.reader, ONE)

    def test_a_commit_that_waits_while_the_stream_is_lost(self):
        """Seen in the WAL by the old stream, told no more by the new one, and not over yet."""
        self.cached(self.reader, ONE)
        self.addCleanup(self.standbys, "")
        self.standbys("nobody")
        self.writer.send(wire.query("UPDATE t SET v = 1 WHERE id = 1"))
        wait_until("the wait for a standby", lambda: self.proxied.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = '%s'"
            % self.database))
        self.proxied.run("SELECT pg_switch_wal()")
        # Until the stream has passed it.
        wait_until("the slot to be past it", lambda: self.proxied.fetch(
            "SELECT 1 FROM pg_replication_slots WHERE confirmed_flush_lsn >= pg_current_wal_lsn() AND "
            "database = '%s'" % self.database))
        before = self.walsender()
        self.proxied.run("SELECT pg_terminate_backend(%d)" % before)
        wait_until("another stream", lambda: self.walsender() not in (None, before))
        self.cached(self.reader, self.OTHER)
        for _ in range(5):
            self.assertEqual(self.not_cached(self.reader, ONE).rows[0][0], "0")
        self.standbys("")
        self.assertEqual(self.writer.read_reply().error, None)
        self.soon(ONE, 1)
        self.cached(self.reader, ONE)

    def test_nothing_is_left_behind(self):
        """One of a process that was killed is taken over, and a process that ends takes its own away."""
        oid, = self.proxied.fetch("SELECT oid FROM pg_database WHERE datname = '%s'" % self.database)[0]
        self.proxied.run("SELECT pg_create_logical_replication_slot('left_%d', 'pgoutput')" % oid,
                         database=self.database)
        one = env.sidecar(self.proxied, cache={**self.config["cache"], "persistent_slot": "left"})
        with psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=%s"
                             % (one.port, self.database)) as client:
            wait_until("the slot to be in use", lambda: self.proxied.fetch(
                "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'left_%d' AND active" % oid))
            client.execute("SELECT 1")
        one.finish()
        self.assertEqual(self.proxied.fetch(
            "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'left_%d'" % oid), [])

"""Writes past the program while the server changes: another one takes its place, or it is set up
differently, or a DBA takes the slot away."""
import os
import signal
import unittest

import psycopg

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
        self.assertEqual(self.standby.fetch("SELECT timeline_id FROM pg_control_checkpoint()"), [(2,)])
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

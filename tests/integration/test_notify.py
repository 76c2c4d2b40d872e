"""Writes that do not pass through the program, told by the triggers of `pgsidecar migrate up --notify`."""
import os
import signal

from harness import wait_until
from test_wal import ONE, WalCase


class NotifyCase(WalCase):
    config = {"cache": {"invalidation": "notify"}}

    def publish(self):
        self.migrate_up("--notify")

    def listener(self):
        found = self.proxied.fetch("SELECT pid FROM pg_stat_activity WHERE datname = '%s' AND "
                                   "application_name = 'pgsidecar listener'" % self.database)
        return found[0][0] if found else None


class ToldTest(NotifyCase):
    def test_every_kind_of_write(self):
        total = "SELECT coalesce(sum(v), 0) FROM t"
        for sql, want in [
                ("INSERT INTO t VALUES (20, 1)", 1),
                ("UPDATE t SET v = v + 1 WHERE id = 20", 2),
                ("WITH w AS (UPDATE t SET v = v + 1 WHERE id = 20 RETURNING 1) SELECT * FROM w", 3),
                ("MERGE INTO t USING (SELECT 20 AS id) s ON t.id = s.id "
                 "WHEN MATCHED THEN UPDATE SET v = t.v + 1", 4),
                ("BEGIN; SAVEPOINT a; UPDATE t SET v = 9 WHERE id = 20; ROLLBACK TO a; "
                 "UPDATE t SET v = 5 WHERE id = 20; COMMIT", 5),
                ("SET session_replication_role = replica; UPDATE t SET v = 6 WHERE id = 20", 6),
                ("RESET session_replication_role; DELETE FROM t WHERE id = 20", 0),
                ("INSERT INTO t VALUES (21, 7); TRUNCATE t CASCADE", 0)]:
            self.cached(self.reader, total)
            self.write(sql)
            self.soon(total, want)
        self.cached(self.reader, total)

    def test_a_rollback_outdates_nothing(self):
        self.cached(self.reader, ONE)
        self.write("BEGIN", "UPDATE t SET v = 9 WHERE id = 1", "ROLLBACK", "UPDATE u SET id = 2")
        self.soon("SELECT id FROM u", 2)
        hits = self.hits()
        self.assertEqual(self.reader.q(ONE).rows[0][0], "0")
        self.assertEqual(self.hits(), hits + 1)

    def test_what_a_statement_does_not_name(self):
        self.cached(self.reader, "SELECT t FROM u")
        self.write("UPDATE t SET id = 50 WHERE id = 5")
        self.soon("SELECT t FROM u", 50)
        self.cached(self.reader, "SELECT count(*) FROM u")
        self.write("DELETE FROM t WHERE id = 50")
        self.soon("SELECT count(*) FROM u", 0)

    def test_partitions_and_children(self):
        for table, sql, want in [("months", "UPDATE january SET v = 1", 1),
                                 ("january", "UPDATE months SET v = 2", 2),
                                 ("february", "UPDATE months SET m = 2, id = 3 WHERE m = 1", 2),
                                 ("parent", "UPDATE child SET v = 4", 4),
                                 ("child", "UPDATE parent SET v = 5", 5)]:
            top = "SELECT max(v) FROM " + table
            self.cached(self.reader, top)
            self.write(sql)
            self.soon(top, want)

    def test_definitions_and_rights(self):
        self.cached(self.reader, "SELECT * FROM t WHERE id = 1")
        self.write("ALTER TABLE t ADD COLUMN w int DEFAULT 4")
        wait_until("the new column",
                   lambda: len(self.reader.q("SELECT * FROM t WHERE id = 1").rows[0]) == 3)
        self.setup_sql("GRANT SELECT ON t TO alice")
        alice = self.wire("alice")
        self.cached(alice, ONE)
        self.write("REVOKE SELECT ON t FROM alice")
        wait_until("no right", lambda: alice.q(ONE).error == "42501")

    def test_only_what_has_its_trigger_is_cached(self):
        self.setup_sql("CREATE TABLE alone (id int PRIMARY KEY)",
                       "CREATE TABLE march PARTITION OF months FOR VALUES IN (3)")
        self.cached(self.reader, ONE)
        self.not_watched("SELECT * FROM alone")
        self.write("ALTER TABLE t DISABLE TRIGGER pgsidecar_notify")
        wait_until("no trigger", lambda: self.reader.q(ONE).error is None and
                   not self.is_hit(ONE) and not self.is_hit(ONE))
        self.not_cached(self.reader, ONE)

    def is_hit(self, statement):
        hits = self.hits()
        self.reader.q(statement)
        return self.hits() > hits

    def test_what_is_told_of_it(self):
        self.cached(self.reader, ONE)
        check = self.ready()
        self.assertEqual(check["status"], "ok", check)
        self.assertIn(self.database + ": notify", check["detail"])


class UntoldTest(NotifyCase):
    """The listener is gone, or stuck."""

    def test_a_killed_listener(self):
        for value in range(1, 4):
            self.cached(self.reader, ONE)
            self.proxied.run("SELECT pg_terminate_backend(%d)" % self.listener())
            self.write("UPDATE t SET v = %d WHERE id = 1" % value)
            self.soon(ONE, value)

    def test_a_stuck_listener_is_given_up_within_its_lag(self):
        self.cached(self.reader, ONE)
        pid = self.listener()
        os.kill(pid, signal.SIGSTOP)
        try:
            self.write("UPDATE t SET v = 1 WHERE id = 1")
            before = self.reasons().get("bypass:invalidation_lost", 0)
            wait_until("a bypass", lambda: self.reader.q(ONE).error is None and
                       self.reasons().get("bypass:invalidation_lost", 0) > before)
            self.assertEqual(self.reader.q(ONE).rows[0][0], "1")
        finally:
            os.kill(pid, signal.SIGCONT)
        self.cached(self.reader, ONE)
        self.assertEqual(self.reader.q(ONE).rows[0][0], "1")


class ChosenTest(NotifyCase):
    """auto: without a publication the triggers are next."""
    config = {}

    def test_auto_takes_the_triggers(self):
        self.cached(self.reader, ONE)
        self.write("UPDATE t SET v = 1 WHERE id = 1")
        self.soon(ONE, 1)
        self.assertIn(self.database + ": notify (there is no publication pgsidecar)",
                      self.ready()["detail"])

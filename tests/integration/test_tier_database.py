"""A cache that several sidecars share in the table prescription_query_cache."""
import base64
import os
import signal

import psycopg

from cache_case import env
from harness import Cluster, wait_until
from tier_case import Sharing, TierTest, Trouble

TABLE = "prescription_query_cache"


class DatabaseTest(TierTest):
    provider = "database"
    cluster = None

    @classmethod
    def open_tier(cls):
        cls.cluster = cls.cluster or env.cluster
        cls.kept_in = cls.cluster.new_database()
        env.migrate_up(cls.cluster, cls.kept_in)

    @classmethod
    def connection(cls):
        return "port=%d user=postgres dbname=%s" % (cls.cluster.port, cls.kept_in)

    @classmethod
    def place(cls):
        return {"connection": cls.connection()}

    def fetch(self, sql, *values):
        with psycopg.connect(self.cluster.conninfo(self.kept_in), autocommit=True) as conn:
            done = conn.execute(sql, values or None)
            return done.fetchall() if done.description else []

    def lying(self):
        return {name: base64.b64decode(data) for name, data in self.fetch(
            "SELECT cache_key, cached_result->>'data' FROM " + TABLE)}

    def lay(self, name, entry):
        self.fetch("UPDATE " + TABLE + " SET cached_result = jsonb_build_object('v', 1, 'data', "
                   "%s::text) WHERE cache_key = %s", base64.b64encode(entry).decode(), name)

    def lives(self):
        return [float(s) for (s,) in self.fetch(
            "SELECT EXTRACT(epoch FROM expiration_time - timezone('UTC', now())) FROM " + TABLE)]

    def empty(self):
        self.fetch("TRUNCATE " + TABLE)

    def setUp(self):
        super().setUp()
        self.empty()


class SharingTest(Sharing, DatabaseTest):
    def test_each_row_says_whose_it_is(self):
        self.fill()
        session = self.wire(options="-c app.tenant_id=clinic-7")
        session.q(self.of(3))
        wait_until("its row", lambda: ("clinic-7", 1) in self.fetch(
            "SELECT tenant_id, (cached_result->>'v')::int FROM " + TABLE))
        self.assertTrue(all(name.startswith("pgsidecar:") and len(name) == 42
                            for name in self.lying()))

    def test_expired_rows_are_no_answers_and_are_deleted_in_steps(self):
        self.fill(1)
        self.fetch("INSERT INTO " + TABLE + " SELECT 'old:' || i, 'tenant ' || i % 7, '{}', "
                   "timezone('UTC', now()) - interval '1 minute' FROM generate_series(1, 1200) i")
        other = self.another()  # its first look is soon after its start
        wait_until("they are gone", lambda: self.fetch(
            "SELECT count(*) FROM " + TABLE + " WHERE cache_key LIKE 'old:%'") == [(0,)])
        self.assertGreaterEqual(len(self.lying()), 1)
        self.fetch("UPDATE " + TABLE + " SET expiration_time = timezone('UTC', now()) - interval "
                   "'1 second'")
        self.change_past_all()
        session = self.on(other)
        self.ready(other, session)
        self.assertEqual(session.q(self.of(1)).value, "new1")


class TroubleTest(Trouble, DatabaseTest):
    """The table is in a server of its own, which can be stopped."""

    @classmethod
    def open_tier(cls):
        cls.cluster = Cluster(os.path.join(env.folder, "tier-server"), env.certificates).start()
        cls.addClassCleanup(cls.cluster.stop, signal.SIGQUIT)
        super().open_tier()

    def setUp(self):
        if self.cluster.process.poll() is not None:
            self.cluster.start()
        super().setUp()

    def kill_tier(self):
        self.cluster.stop(signal.SIGQUIT)

    def revive_tier(self):
        self.cluster.start()

    def backends(self):
        return [pid for (pid,) in self.fetch(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgsidecar cache'")]

    def stop_tier(self):
        """All its processes: a connection that is made anew must not answer either."""
        self.stopped = [*self.backends(), self.cluster.process_id()]
        for pid in self.stopped:
            os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.continue_tier)

    def continue_tier(self):
        # runuser stops itself when its child is stopped.
        for pid in [*self.stopped, self.cluster.process.pid]:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        self.stopped = []

    def test_the_table_is_missing(self):
        self.fetch("ALTER TABLE " + TABLE + " RENAME TO elsewhere")
        self.addCleanup(self.fetch, "ALTER TABLE IF EXISTS elsewhere RENAME TO " + TABLE)
        sidecar = self.another()
        self.ready(sidecar, self.on(sidecar))
        self.check_wrong_nowhere(range(1, 5), sidecar)
        line = sidecar.output.wait_for("shared cache: it is not used")
        self.assertIn("run pgsidecar migrate up", line)
        self.fetch("ALTER TABLE elsewhere RENAME TO " + TABLE)
        wait_until("it is used", lambda: self.shared(sidecar)["up"])

    def test_locked(self):
        sidecar = self.troubled()
        with psycopg.connect(self.cluster.conninfo(self.kept_in)) as conn:
            conn.execute("LOCK TABLE " + TABLE + " IN ACCESS EXCLUSIVE MODE")
            self.check_wrong_nowhere(range(1, 50), sidecar)
            self.assertLess(self.shared(sidecar)["late"], 20)
        wait_until("it is used again", lambda: self.shared(sidecar)["up"])

    def test_without_the_right_to_write(self):
        self.fetch("DROP ROLE IF EXISTS reader")
        self.fetch("CREATE ROLE reader LOGIN")
        self.fetch("GRANT SELECT ON " + TABLE + " TO reader")
        sidecar = self.another(connection="port=%d user=reader dbname=%s" % (
            self.cluster.port, self.kept_in))
        self.ready(sidecar, self.on(sidecar))
        self.check_wrong_nowhere(range(1, 5), sidecar)
        sidecar.output.wait_for("shared cache: it does not take entries: 42501")
        self.assertTrue(self.shared(sidecar)["up"])

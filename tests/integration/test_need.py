"""stale_if_error: what is answered while the server cannot be had, by sessions that share its
connections; what is not; and that nothing of it is left when the server is back."""
import os
import signal

import psycopg

from cache_case import CacheTest, env, extended
from harness import Cluster, ROLES, wait_until

ONE = "SELECT v FROM t WHERE id = 1"
TWO = "SELECT v FROM t WHERE id = 2"


class NeedCase(CacheTest):
    rule = {"ttl": "1h", "stale_if_error": "10m"}
    more = {}

    @classmethod
    def setUpClass(cls):
        folder = os.path.join(env.folder, "need-" + cls.__name__)
        cls.proxied = Cluster(folder, env.certificates, wal_level="logical").start()
        cls.addClassCleanup(cls.proxied.stop, signal.SIGQUIT)
        cls.proxied.run(ROLES)
        cls.sidecar = env.sidecar(
            cls.proxied, pool_mode="transaction", auth_type="trust", server_login_retry="100ms",
            cache={"catalog_refresh_interval": "1h", "rules": [{"name": "t", "tables": ["public.t"], **cls.rule},
                             {"name": "all", "tables": ["*"], "ttl": cls.rule["ttl"]}]}, **cls.more)
        cls.addClassCleanup(cls.sidecar.finish)

    def setUp(self):
        super().setUp()
        self.require_program()
        self.setup_sql("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 10), (2, 20)",
                       "CREATE TABLE u (v int)", "INSERT INTO u VALUES (5)", "GRANT SELECT ON t TO alice")
        self.session = self.wire()

    def served(self):
        return self.reasons().get("stale_if_error", 0)

    def stop_server(self):
        self.proxied.stop(signal.SIGQUIT)
        self.addCleanup(self.again)
        wait_until("the end of its connections", lambda: self.sidecar.statistics()["pools"]["servers"] == 0)

    def again(self):
        if self.proxied.process.poll() is not None:
            self.proxied.start()

    def in_need(self, ask, want):
        """Each time, and counted as that."""
        before = self.served()
        for _ in range(3):
            self.assertEqual([list(r) for r in ask().rows], want)
        self.assertEqual(self.served(), before + 3)

    def refused(self, reply):
        self.assertIn(reply.error, ("08001", "08006", "57P03"), reply)


class GoneTest(NeedCase):
    def test_what_is_answered(self):
        one = extended("SELECT v FROM t WHERE id = $1", (b"1",))
        self.cached(self.session, ONE)
        self.cached(self.session, one)
        self.cached(self.session, "SELECT v FROM u")
        self.stop_server()
        self.in_need(lambda: self.session.q(ONE), [["10"]])
        self.in_need(lambda: one(self.session), [["10"]])
        for other in (TWO, "SELECT v FROM u", "UPDATE t SET v = 1"):
            self.refused(self.session.q(other))
        self.assertEqual(self.session.q("BEGIN").status, "T")
        self.refused(self.session.q(ONE))
        self.assertEqual(self.session.q("ROLLBACK").status, "I")
        self.refused(extended("SELECT v FROM t WHERE id = $1", (b"2",))(self.session))
        self.in_need(lambda: self.session.q(ONE), [["10"]])

    def test_nothing_of_it_is_left(self):
        self.cached(self.session, ONE)
        self.stop_server()
        self.in_need(lambda: self.session.q(ONE), [["10"]])
        self.proxied.start()
        self.proxied.run("UPDATE t SET v = 11 WHERE id = 1", database=self.database)
        wait_until("the server's answer", lambda: self.session.q(ONE).rows[0][0] == "11")
        served = self.served()
        self.cached(self.session, ONE)
        self.assertEqual(self.session.q(ONE).rows[0][0], "11")
        self.assertEqual(self.served(), served)

    def test_a_write_before_it(self):
        self.cached(self.session, ONE)
        self.assertIsNone(self.session.q("UPDATE t SET v = 12 WHERE id = 1").error)
        self.stop_server()
        self.refused(self.session.q(ONE))

    def test_a_driver(self):
        with psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=%s"
                             % (self.sidecar.port, self.database), autocommit=True) as conn:
            def ask():
                return conn.execute("SELECT v FROM t WHERE id = %s", (1,), prepare=False).fetchall()
            self.cached(self.session, lambda _: ask())
            self.stop_server()
            before = self.served()
            self.assertEqual(ask(), [(10,)])
            self.assertEqual(self.served(), before + 1)


class RefusedTest(NeedCase):
    """The server is there, but does not let the user in any more."""

    def test_a_role_that_may_not_log_in(self):
        alice = self.wire("alice")
        self.cached(alice, ONE)
        self.addCleanup(self.proxied.run, "ALTER ROLE alice LOGIN")
        self.proxied.run("ALTER ROLE alice NOLOGIN",
                         "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'alice'")
        wait_until("28000", lambda: alice.q(ONE).error == "28000")
        self.assertEqual(self.served(), 0)


class LateTest(NeedCase):
    rule = {"ttl": "1h", "stale_if_error": "10s"}

    def test_it_ends(self):
        self.cached(self.session, ONE)
        self.stop_server()
        self.in_need(lambda: self.session.q(ONE), [["10"]])
        wait_until("none", lambda: self.session.q(ONE).error is not None)
        self.refused(self.session.q(ONE))


class AgedTest(NeedCase):
    """Beyond its ttl, with the server in reach but no connection to be had in time."""
    rule = {"ttl": "1s", "stale_if_error": "10m"}
    more = {"default_pool_size": 1, "query_wait_timeout": "200ms"}

    def test_no_connection_in_time(self):
        holder = self.wire()
        self.cached(self.session, ONE)
        holder.q("BEGIN")
        wait_until("its ttl to be over", lambda: self.session.q(ONE).error is None and self.served())
        self.in_need(lambda: self.session.q(ONE), [["10"]])
        self.assertEqual(self.session.q(TWO).error, "55P03")
        holder.q("UPDATE t SET v = 13 WHERE id = 1")
        self.in_need(lambda: self.session.q(ONE), [["10"]])  # it is not committed
        holder.q("COMMIT")
        self.assertEqual(self.session.q(ONE).rows[0][0], "13")

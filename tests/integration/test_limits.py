"""Limits of tenants: rate, concurrency, time, rows, bytes. Each in every shape of the protocol; the
connection lives on, and its transaction status is the server's."""
import os
import re
import signal
import threading
import time

import psycopg

import wire
from cache_case import CacheTest, env
from harness import LIMITS_OUT_OF_THE_WAY, wait_until


def tenants(**keys):
    """A configuration in which every limit is out of the way but those that are given."""
    tier = {**LIMITS_OUT_OF_THE_WAY["tiers"][0], **keys.pop("default", {})}
    others = keys.pop("others", [])
    return {"tenants": {"limits": "enforce", "sources": ["setting:app.tenant_id"],
                        "tiers": [tier, *others], **keys}}


def part(sql, params=()):
    """One statement of a batch."""
    return wire.parse(sql) + wire.bind(params) + wire.execute()


class LimitTest(CacheTest):
    def setUp(self):
        super().setUp()
        self.require_program()

    def tenant(self, name, **params):
        """A session of a tenant of its own, whose rate nobody else uses."""
        session = self.wire(**params)
        self.assertEqual(session.q("SET app.tenant_id = '%s'" % name).error, None)
        return session

    def met(self, limit):
        return self.sidecar.statistics()["limits"][limit]

    def refused(self, reply, code, limit, tenant, status="I"):
        self.assertEqual(reply.error, code)
        text = reply.errors[-1]["M"]
        self.assertIn(limit, text)
        self.assertIn('"%s"' % tenant, text)
        self.assertEqual(reply.status, status)
        return reply.errors[-1]


class RateTest(LimitTest):
    config = tenants(default={"queries_per_minute": 2, "burst": 5}, others=[
        {"name": "premium", "members": ["free*"], "queries_per_minute": 1000000, "burst": 0}])

    def use_up(self, session, left=0):
        for i in range(5 - left):
            self.assertEqual(session.q("SELECT %d" % i).value, str(i))

    def test_the_query_above_the_burst_is_refused_and_told_when_to_come_back(self):
        session = self.tenant("a")
        began = time.monotonic()
        self.use_up(session)
        error = self.refused(session.q("SELECT 6"), "55P03", "queries_per_minute", "a")
        self.assertEqual(error["S"], "ERROR")
        self.assertIn("2 queries a minute, at most 5 at once", error["D"])
        wait = int(re.search(r"Retry after (\d+) ms", error["H"]).group(1))
        self.assertLessEqual(wait, 30000)
        self.assertGreaterEqual(wait, 30000 - 1000 * (time.monotonic() - began) - 1)
        self.assertGreater(self.met("queries_per_minute"), 0)

    def test_tenants_have_a_rate_each(self):
        one, other = self.tenant("b1"), self.tenant("b2")
        self.use_up(one)
        self.refused(one.q("SELECT 1"), "55P03", "queries_per_minute", "b1")
        self.use_up(other)

    def test_two_sessions_of_a_tenant_share_its_rate(self):
        one, other = self.tenant("c"), self.tenant("c")
        self.use_up(one, left=1)
        self.assertEqual(other.q("SELECT 1").value, "1")
        self.refused(one.q("SELECT 1"), "55P03", "queries_per_minute", "c")

    def test_keeping_the_connection_in_order_costs_nothing(self):
        session = self.tenant("d")
        for _ in range(3):
            for sql in ("SET TimeZone = 'UTC'", "BEGIN", "SAVEPOINT s", "ROLLBACK TO s", "COMMIT",
                        "RESET TimeZone", "DEALLOCATE ALL", "UNLISTEN *", ""):
                self.assertEqual(session.q(sql).error, None)
        self.use_up(session)

    def test_answers_from_the_cache_count(self):
        self.setup_sql("CREATE TABLE t AS SELECT 1 AS i")
        self.cached(self.tenant("free"), "SELECT i FROM t")
        session = self.tenant("e")
        before = self.hits()
        for _ in range(5):
            self.assertEqual(session.q("SELECT i FROM t").value, "1")
        self.assertGreater(self.hits(), before)
        self.refused(session.q("SELECT i FROM t"), "55P03", "queries_per_minute", "e")
        self.refused(session.x("SELECT i FROM t"), "55P03", "queries_per_minute", "e")

    def test_a_refusal_inside_a_block_aborts_it(self):
        self.setup_sql("CREATE TABLE t (i int)")
        session = self.tenant("f")
        self.use_up(session, left=1)
        session.q("BEGIN")
        self.assertEqual(session.q("INSERT INTO t VALUES (1)").status, "T")
        self.refused(session.q("INSERT INTO t VALUES (2)"), "55P03", "queries_per_minute", "f", "E")
        self.assertEqual(session.q("COMMIT").tags, ["ROLLBACK"])
        self.assertEqual(env.cluster.fetch("SELECT count(*) FROM t", self.database), [(0,)])

    def test_a_refusal_inside_a_block_by_the_extended_protocol(self):
        self.setup_sql("CREATE TABLE t (i int)")
        session = self.tenant("g")
        self.use_up(session, left=1)
        session.q("BEGIN")
        self.assertEqual(session.x("INSERT INTO t VALUES ($1)", [1]).status, "T")
        self.refused(session.x("INSERT INTO t VALUES ($1)", [2]), "55P03", "queries_per_minute",
                     "g", "E")
        self.assertEqual(session.x("SELECT 1").error, "25P02")
        self.assertEqual(session.q("ROLLBACK").status, "I")

    def test_a_batch_is_refused_as_a_whole(self):
        self.setup_sql("CREATE TABLE t (i int)")
        session = self.tenant("h")
        self.use_up(session, left=3)
        batch = b"".join(part("INSERT INTO t VALUES ($1)", [i]) for i in range(4))
        session.send(batch + wire.SYNC)
        self.refused(session.read_reply(), "55P03", "queries_per_minute", "h")
        self.assertEqual(env.cluster.fetch("SELECT count(*) FROM t", self.database), [(0,)])
        session.send(b"".join(part("INSERT INTO t VALUES ($1)", [i])
                              for i in range(2)) + wire.SYNC)
        self.assertEqual(session.read_reply().error, None)

    def test_a_batch_that_comes_piece_by_piece_is_undone(self):
        self.setup_sql("CREATE TABLE t (i int)")
        session = self.tenant("i")
        self.use_up(session, left=2)
        for i in range(2):
            session.send(part("INSERT INTO t VALUES ($1)", [i]) + wire.FLUSH)
            while session.read_frame()[0] != b"C":
                pass
        session.send(part("INSERT INTO t VALUES ($1)", [3]) + wire.SYNC)
        self.refused(session.read_reply(), "55P03", "queries_per_minute", "i")
        self.assertEqual(env.cluster.fetch("SELECT count(*) FROM t", self.database), [(0,)])

    def test_refusals_keep_their_place_in_a_pipeline(self):
        session = self.tenant("j")
        session.send(b"".join(wire.query("SELECT %d" % i) for i in range(7)))
        replies = [session.read_reply() for _ in range(7)]
        self.assertEqual([r.value for r in replies[:5]], ["0", "1", "2", "3", "4"])
        for reply in replies[5:]:
            self.refused(reply, "55P03", "queries_per_minute", "j")

    def test_each_statement_of_a_text_counts(self):
        session = self.tenant("k")
        self.assertEqual(len(session.q("SELECT 1; SELECT 2; SET TimeZone = 'UTC'; SELECT 3").tags), 4)
        self.refused(session.q("SELECT 1; SELECT 2; SELECT 3"), "55P03", "queries_per_minute", "k")
        self.assertEqual(len(session.q("SELECT 1; SELECT 2").tags), 2)

    def test_a_tenant_that_is_set_in_the_same_pipeline_counts(self):
        session = self.tenant("l")
        self.use_up(session)
        session.send(wire.query("SET app.tenant_id = 'l2'") + wire.query("SELECT 1"))
        self.assertEqual(session.read_reply().error, None)
        self.assertEqual(session.read_reply().value, "1")
        session.send(wire.query("RESET ALL") + wire.query("SET app.tenant_id = 'l'") +
                     wire.query("SELECT 1"))
        for _ in range(2):
            self.assertEqual(session.read_reply().error, None)
        self.refused(session.read_reply(), "55P03", "queries_per_minute", "l")

    def test_set_config_is_not_charged_to_the_tenant_before(self):
        session = self.tenant("nn")
        self.use_up(session)
        sets = "SELECT set_config('app.tenant_id', %s, false)"
        for tenant, asked in (("n2", session.q(sets % "'n2'")), ("n3", session.x(sets % "$1", ["n3"]))):
            self.assertEqual(asked.value, tenant)
            self.assertEqual(session.q("SELECT 1").value, "1")
        session.q("SET app.tenant_id = 'nn'")
        # With anything else beside it it is a query like any other.
        self.refused(session.q(sets % "'n4'" + ", pg_sleep(0)"), "55P03", "queries_per_minute", "nn")
        self.refused(session.q("SELECT 1"), "55P03", "queries_per_minute", "nn")

    def test_a_long_statement_is_refused_without_a_trace(self):
        session = self.tenant("m")
        self.use_up(session)
        text = "SELECT '" + "x" * (3 << 20) + "'"
        self.refused(session.q(text), "55P03", "queries_per_minute", "m")
        self.assertEqual(session.q("SET TimeZone = 'UTC'").error, None)

    def test_drivers_keep_their_connection(self):
        conn = self.connect()
        conn.execute("SET app.tenant_id = 'n'")
        for _ in range(5):
            conn.execute("SELECT 1")
        with self.assertRaises(psycopg.errors.LockNotAvailable) as caught:
            conn.execute("SELECT %s", [1])
        self.assertIn('tenant "n"', str(caught.exception))
        self.assertFalse(conn.closed)
        self.assertEqual(conn.info.transaction_status.name, "IDLE")


class ComeBackTest(LimitTest):
    config = tenants(default={"queries_per_minute": 120, "burst": 1})

    def test_who_comes_back_when_told_is_let_in(self):
        session = self.tenant("a")
        for _ in range(4):
            began = time.monotonic()
            self.assertEqual(session.q("SELECT 1").error, None)
            reply = session.q("SELECT 1")
            if reply.error is None:  # the machine was slow: a token came meanwhile
                self.assertGreater(time.monotonic() - began, 0.4)
                continue
            wait = int(re.search(r"Retry after (\d+) ms", reply.errors[0]["H"]).group(1)) / 1000
            self.assertLessEqual(wait, 0.5)
            time.sleep(wait)


class SourceTest(LimitTest):
    config = tenants(
        default={"queries_per_minute": 2, "burst": 3},
        sources=["startup:pgsidecar.tenant", "setting:app.tenant_id", "comment:tenant",
                 "application_name:rx-{tenant}", "user:{tenant}_user", "database:{tenant}"],
        others=[{"name": "premium", "members": ["gold*"], "burst": 7}])

    def owner(self, session, sql="SELECT 1"):
        """Who is held to the rate."""
        for _ in range(20):
            reply = session.q(sql)
            if reply.error:
                return re.search('tenant "([^"]*)"', reply.errors[-1]["M"]).group(1)
        raise AssertionError("never refused")

    def test_the_first_source_that_answers_wins(self):
        everything = {"application_name": "rx-app", "options": "-c pgsidecar.tenant=start"}
        self.assertEqual(self.owner(self.wire(**everything), "SELECT 1 /*tenant='tag'*/"), "start")
        self.assertEqual(self.owner(self.wire(application_name="rx-name")), "name")
        self.assertEqual(self.owner(self.wire(application_name="rx-x"),
                                    "SELECT 1 /*app='a',tenant='t%C3%A4g'*/"), "t\u00e4g")
        self.assertEqual(self.owner(self.wire(user="scram_user", password="sesame")), "scram")
        self.assertEqual(self.owner(self.wire(application_name="psql")), self.database)

    def test_what_was_set_at_start_up_is_not_changed_later(self):
        session = self.wire(options="-c pgsidecar.tenant=fixed")
        session.q("SET pgsidecar.tenant = 'other'")
        self.assertEqual(self.owner(session), "fixed")

    def test_every_change_of_the_setting_is_followed(self):
        session = self.wire()
        session.q("SET app.tenant_id = 'one'")
        self.assertEqual(self.owner(session), "one")
        session.q("SELECT set_config('app.tenant_id', 'two', false)")
        self.assertEqual(self.owner(session), "two")
        session.q("BEGIN")
        session.q("SET LOCAL app.tenant_id = 'three'")
        self.assertEqual(session.q("SELECT 1").error, None)
        session.q("ROLLBACK")
        self.assertEqual(session.q("SELECT 1").error, "55P03")
        session.q("RESET app.tenant_id")
        self.assertEqual(self.owner(session), self.database)

    def test_a_tier_has_its_members(self):
        session = self.tenant("golden")
        for _ in range(7):
            self.assertEqual(session.q("SELECT 1").error, None)
        self.assertEqual(session.q("SELECT 1").error, "55P03")

    def test_a_name_that_cannot_be_one_is_passed_over(self):
        for bad in ("a\nb", "x" * 101, ""):
            session = self.wire(application_name="rx-good")
            session.q("SET app.tenant_id = '%s'" % bad)
            session.q("SELECT 1")
            self.assertIn(self.owner(session), ("good",))


class TimeoutTest(LimitTest):
    config = tenants(default={"query_timeout": "300ms"})

    def slow(self, session, act):
        began = time.monotonic()
        reply = act()
        took = time.monotonic() - began
        self.assertGreaterEqual(took, 0.29)
        self.assertLess(took, 2)
        return reply

    def test_a_query_ends_in_time(self):
        session = self.tenant("a")
        reply = self.slow(session, lambda: session.q("SELECT pg_sleep(30)"))
        self.refused(reply, "57014", "query_timeout", "a")
        self.assertEqual(session.q("SELECT 1").value, "1")
        reply = self.slow(session, lambda: session.x("SELECT pg_sleep($1::float8)", ["30"]))
        self.refused(reply, "57014", "query_timeout", "a")
        self.assertEqual(session.q("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
                                   "AND query LIKE '%pg_sleep(%' AND pid <> pg_backend_pid()").value,
                         "0")

    def test_inside_a_block(self):
        session = self.tenant("b")
        session.q("BEGIN")
        reply = self.slow(session, lambda: session.q("SELECT pg_sleep(30)"))
        self.refused(reply, "57014", "query_timeout", "b", "E")
        self.assertEqual(session.q("SELECT 1").error, "25P02")
        self.assertEqual(session.q("ROLLBACK").status, "I")

    def test_nothing_behind_it_in_its_batch_runs(self):
        self.setup_sql("CREATE TABLE t (i int)")
        session = self.tenant("c")
        session.send(part("INSERT INTO t VALUES (1)")
                     + part("SELECT pg_sleep(30)")
                     + part("INSERT INTO t VALUES (2)") + wire.SYNC)
        self.refused(session.read_reply(), "57014", "query_timeout", "c")
        reply = session.q("INSERT INTO t VALUES (1); SELECT pg_sleep(30); INSERT INTO t VALUES (2)")
        self.refused(reply, "57014", "query_timeout", "c")
        self.assertEqual(env.cluster.fetch("SELECT count(*) FROM t", self.database), [(0,)])

    def test_what_follows_in_the_pipeline_is_answered(self):
        session = self.tenant("d")
        session.send(wire.query("SELECT pg_sleep(30)") + wire.query("SELECT 2"))
        self.refused(session.read_reply(), "57014", "query_timeout", "d")
        self.assertEqual(session.read_reply().value, "2")

    def test_a_copy_whose_data_does_not_come(self):
        self.setup_sql("CREATE TABLE t (i int)")
        session = self.tenant("e")
        session.send(wire.query("COPY t FROM STDIN"))
        while session.read_frame()[0] != b"G":
            pass
        session.send(wire.frame(b"d", b"1\n"))
        self.refused(session.read_reply(), "57014", "query_timeout", "e")
        session.send(wire.frame(b"d", b"2\n") + wire.frame(b"c"))
        self.assertEqual(session.q("SELECT count(*) FROM t").value, "0")

    def test_the_time_begins_with_the_request(self):
        session = self.tenant("f")
        for _ in range(4):
            self.assertEqual(session.q("SELECT pg_sleep(0.15)").error, None)
        session.send(b"".join(wire.query("SELECT pg_sleep(0.15)") for _ in range(4)))
        for _ in range(4):
            self.assertEqual(session.read_reply().error, None)
        session.q("BEGIN")
        self.assertEqual(session.q("SELECT 1").error, None)
        time.sleep(0.5)  # an idle transaction is nothing that runs
        self.assertEqual(session.q("COMMIT").tags, ["COMMIT"])

    def test_who_waits_for_the_same_answer_has_a_time_of_its_own(self):
        self.setup_sql("CREATE TABLE t AS SELECT 1 AS i")
        self.cached(self.tenant("g0"), "SELECT i FROM t")
        blocker = self.direct()
        blocker.q("BEGIN; LOCK TABLE t")
        self.addCleanup(blocker.close)
        self.setup_sql_beside("SELECT 1")
        sessions = [self.tenant("g%d" % i) for i in range(3)]
        for s in sessions:
            s.send(wire.query("SELECT i, 1 FROM t"))
        for i, s in enumerate(sessions):
            self.refused(s.read_reply(), "57014", "query_timeout", "g%d" % i)
        blocker.q("ROLLBACK")
        self.assertEqual(sessions[0].q("SELECT i, 1 FROM t").error, None)

    def setup_sql_beside(self, *statements):
        env.cluster.run(*statements, database=self.database)

    def test_a_server_that_does_not_react(self):
        session = self.tenant("h")
        pid = int(session.q("SELECT pg_backend_pid()").value)
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            error = self.refused(session.q("SELECT 1"), "57014", "query_timeout", "h")
            self.assertLess(time.monotonic() - began, 1)
            self.assertIn("has not confirmed", error["D"])
            session.send(wire.query("SELECT 2"))
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(session.read_reply().value, "2")
        self.assertEqual(session.q("SELECT 3").value, "3")

    def test_a_cancel_that_came_too_early_is_sent_again(self):
        """A stopped backend drops it when it goes on, and then runs the statement."""
        session = self.tenant("k")
        pid = int(session.q("SELECT pg_backend_pid()").value)
        os.kill(pid, signal.SIGSTOP)
        try:
            self.refused(session.q("SELECT pg_sleep(30)"), "57014", "query_timeout", "k")
            session.send(wire.query("SELECT 2"))
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(session.read_reply().value, "2")
        self.assertEqual(env.cluster.fetch("SELECT count(*) FROM pg_stat_activity WHERE state = "
                                           "'active' AND query LIKE '%pg_sleep(30%' AND pid <> "
                                           "pg_backend_pid()"), [(0,)])

    def test_a_server_that_does_not_react_inside_a_block(self):
        session = self.tenant("i")
        pid = int(session.q("SELECT pg_backend_pid()").value)
        session.q("BEGIN")
        os.kill(pid, signal.SIGSTOP)
        try:
            self.refused(session.q("SELECT 1"), "57014", "query_timeout", "i", "E")
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(session.q("SELECT 1").error, "25P02")
        self.assertEqual(session.q("ROLLBACK").status, "I")

    def test_a_server_that_never_reacts_is_given_up(self):
        session = self.tenant("j")
        pid = int(session.q("SELECT pg_backend_pid()").value)
        os.kill(pid, signal.SIGSTOP)
        try:
            self.refused(session.q("SELECT 1"), "57014", "query_timeout", "j")
            session.send(wire.query("SELECT 2"))
            with self.assertRaises(wire.Closed) as caught:
                session.read_reply()
            self.assertIn(b"08006", caught.exception.raw)
        finally:
            os.kill(pid, signal.SIGCONT)


class RowTest(LimitTest):
    config = tenants(default={"max_result_rows": 10, "max_result_bytes": "64kB"},
                     others=[{"name": "premium", "members": ["gold*"], "max_result_rows": 100,
                              "max_result_bytes": "1MB"}])

    def test_the_row_above_the_limit_ends_the_answer(self):
        session = self.tenant("a")
        self.assertEqual(len(session.q("SELECT generate_series(1, 10)").rows), 10)
        reply = session.q("SELECT generate_series(1, 11)")
        error = self.refused(reply, "54000", "max_result_rows", "a")
        self.assertIn("At most 10 rows", error["D"])
        self.assertLessEqual(len(reply.rows), 10)
        self.assertEqual(reply.tags, [])
        reply = session.x("SELECT generate_series(1, $1)", ["10000000"])
        self.refused(reply, "54000", "max_result_rows", "a")
        self.assertEqual(session.q("SELECT 1").value, "1")

    def test_rows_are_counted_for_each_statement(self):
        session = self.tenant("b")
        reply = session.q("SELECT generate_series(1, 10); SELECT generate_series(1, 10)")
        self.assertEqual((reply.error, len(reply.rows)), (None, 20))
        session.send(b"".join(part("SELECT generate_series(1, 10)")
                              for _ in range(3)) + wire.SYNC)
        self.assertEqual(len(session.read_reply().rows), 30)

    def test_inside_a_block(self):
        session = self.tenant("c")
        for sql in ("SELECT generate_series(1, 11)", "SELECT generate_series(1, 1000000)"):
            for ask in (session.q, session.x):
                session.q("BEGIN")
                self.refused(ask(sql), "54000", "max_result_rows", "c", "E")
                self.assertEqual(session.q("SELECT 1").error, "25P02")
                self.assertEqual(session.q("ROLLBACK").status, "I")

    def test_nothing_of_its_batch_is_kept(self):
        self.setup_sql("CREATE TABLE t (i int)")
        for rows in (11, 100000):
            session = self.tenant("d")
            session.send(part("INSERT INTO t VALUES (1)")
                         + part("SELECT generate_series(1, %d)" % rows)
                         + part("INSERT INTO t VALUES (2)") + wire.SYNC)
            self.refused(session.read_reply(), "54000", "max_result_rows", "d")
            self.assertEqual(session.q("SELECT count(*) FROM t").value, "0")

    def test_a_write_that_returns_too_much_is_not_kept(self):
        self.setup_sql("CREATE TABLE t AS SELECT i, 0 AS v FROM generate_series(1, 11) i")
        session = self.tenant("e")
        self.refused(session.x("UPDATE t SET v = 1 RETURNING i"), "54000", "max_result_rows", "e")
        self.assertEqual(session.q("SELECT sum(v) FROM t").value, "0")
        self.assertEqual(len(session.x("UPDATE t SET v = 1 WHERE i < 11 RETURNING i").rows), 10)
        self.assertEqual(session.q("SELECT sum(v) FROM t").value, "10")

    def test_a_write_by_a_simple_query_says_if_it_was_kept(self):
        self.setup_sql("CREATE TABLE t AS SELECT i, 0 AS v FROM generate_series(1, 11) i")
        session = self.tenant("f")
        error = self.refused(session.q("UPDATE t SET v = 1 RETURNING i"), "54000",
                             "max_result_rows", "f")
        kept = session.q("SELECT sum(v) FROM t").value != "0"
        self.assertEqual("What it wrote is kept" in error["D"], kept)

    def test_copy_to_the_client(self):
        session = self.tenant("g")
        reply = session.q("COPY (SELECT generate_series(1, 100000)) TO STDOUT")
        self.refused(reply, "54000", "max_result_rows", "g")
        self.assertEqual(session.q("COPY (SELECT generate_series(1, 10)) TO STDOUT").tags,
                         ["COPY 10"])

    def test_bytes_of_many_rows_and_of_one(self):
        session = self.tenant("h")
        self.assertEqual(len(session.q("SELECT repeat('x', 60000)").value), 60000)
        self.refused(session.q("SELECT repeat('x', 20000) FROM generate_series(1, 9)"), "54000",
                     "max_result_bytes", "h")
        for size in (70000, 5000000):
            reply = session.q("SELECT repeat('x', %d)" % size)
            self.refused(reply, "54000", "max_result_bytes", "h")
            self.assertEqual(reply.rows, [])
        self.assertEqual(session.q("SELECT 1").value, "1")

    def test_an_answer_of_the_cache_obeys_too(self):
        self.setup_sql("CREATE TABLE t AS SELECT generate_series(1, 11) AS i",
                       "CREATE TABLE wide AS SELECT repeat('x', 70000) AS v")
        for sql in ("SELECT i FROM t", "SELECT v FROM wide"):
            rich = self.wire()
            rich.q("SET app.tenant_id = 'gold1'")
            self.cached(rich, sql)
            poor = self.wire()
            for ask in (poor.q, poor.x):
                self.assertEqual(ask(sql).error, "54000")
            # What decides is the tenant, not the answer: the same key, another tier.
            self.assertEqual(rich.q(sql).error, None)
        self.assertGreater(self.met("max_result_rows"), 0)
        self.assertGreater(self.met("max_result_bytes"), 0)

    def test_a_cursor_takes_its_rows_in_portions(self):
        session = self.tenant("i")
        session.q("BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 25)")
        self.assertEqual(len(session.q("FETCH 10 FROM c").rows), 10)
        self.assertEqual(len(session.q("FETCH 10 FROM c").rows), 10)
        self.refused(session.q("SELECT generate_series(1, 11)"), "54000", "max_result_rows", "i", "E")
        session.q("ROLLBACK")

    def test_what_follows_in_the_pipeline_is_answered(self):
        session = self.tenant("j")
        session.send(wire.query("SELECT generate_series(1, 200000)") + wire.query("SELECT 2"))
        self.refused(session.read_reply(), "54000", "max_result_rows", "j")
        follower = session.read_reply()
        # The cancel is for the server connection; it may come late, as any cancel.
        self.assertIn(follower.error, (None, "57014"))
        self.assertEqual(session.q("SELECT 3").value, "3")


class ConcurrencyTest(LimitTest):
    config = tenants(default={"max_concurrent": 2, "query_wait_timeout": "20s"},
                     others=[{"name": "premium", "members": ["hasty*"], "max_concurrent": 1,
                              "query_wait_timeout": "200ms"}])

    def held(self, lock="1"):
        """A lock that requests can be made to wait for."""
        blocker = self.direct()
        blocker.q("SELECT pg_advisory_lock(%s)" % lock)
        return blocker

    def waiting_at_server(self):
        return env.cluster.fetch("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' "
                                 "AND datname = '%s'" % self.database)[0][0]

    def test_no_more_than_that_run_at_a_time(self):
        blocker = self.held()
        sessions = [self.tenant("a") for _ in range(5)]
        for s in sessions:
            s.send(wire.query("SELECT pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1)"))
        wait_until("two to wait at the server", lambda: self.waiting_at_server() == 2)
        other = self.tenant("a2")  # another tenant is not held up
        self.assertEqual(other.q("SELECT 1").value, "1")
        self.assertEqual(self.waiting_at_server(), 2)
        blocker.q("SELECT pg_advisory_unlock(1)")
        for s in sessions:
            self.assertEqual(s.read_reply().error, None)

    def test_who_waits_too_long_is_told_so(self):
        blocker = self.held()
        one, two = self.tenant("hasty1"), self.tenant("hasty1")
        one.send(wire.query("SELECT pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1)"))
        wait_until("the first to run", lambda: self.waiting_at_server() == 1)
        began = time.monotonic()
        error = self.refused(two.q("SELECT 1"), "55P03", "max_concurrent", "hasty1")
        self.assertGreaterEqual(time.monotonic() - began, 0.19)
        self.assertIn("query_wait_timeout is 200 ms", error["D"])
        self.assertRegex(error["H"], r"Retry after \d+ ms")
        self.refused(two.x("SELECT 1"), "55P03", "max_concurrent", "hasty1")
        blocker.q("SELECT pg_advisory_unlock(1)")
        self.assertEqual(one.read_reply().error, None)
        self.assertEqual(two.q("SELECT 1").value, "1")

    def test_one_that_waits_can_be_cancelled(self):
        blocker = self.held()
        sessions = [self.tenant("c") for _ in range(2)]
        for s in sessions:
            s.send(wire.query("SELECT pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1)"))
        wait_until("two to run", lambda: self.waiting_at_server() == 2)
        conn = self.connect()
        conn.execute("SET app.tenant_id = 'c'")
        failed = []

        def ask():
            try:
                conn.execute("SELECT 1")
            except psycopg.errors.QueryCanceled as e:
                failed.append(str(e))

        thread = threading.Thread(target=ask)
        thread.start()
        while thread.is_alive():
            conn.cancel()
            thread.join(0.05)
        self.assertEqual(failed, ["canceling statement due to user request"])
        self.assertEqual(self.waiting_at_server(), 2)
        blocker.q("SELECT pg_advisory_unlock(1)")
        for s in sessions:
            self.assertEqual(s.read_reply().error, None)
        self.assertEqual(conn.execute("SELECT 1").fetchone(), (1,))

    def test_an_open_transaction_keeps_its_place(self):
        """It may hold what the others wait for: in it nothing waits at the gate."""
        owner = self.tenant("d")
        owner.q("BEGIN; SELECT pg_advisory_xact_lock(2)")
        sessions = [self.tenant("d") for _ in range(3)]
        for s in sessions:
            s.send(wire.query("SELECT pg_advisory_lock_shared(2), pg_advisory_unlock_shared(2)"))
        wait_until("one to run beside it", lambda: self.waiting_at_server() == 1)
        self.assertEqual(owner.q("SELECT 1").value, "1")
        self.assertEqual(self.waiting_at_server(), 1)
        self.assertEqual(owner.q("COMMIT").tags, ["COMMIT"])
        for s in sessions:
            self.assertEqual(s.read_reply().error, None)

    def test_housekeeping_needs_no_place(self):
        blocker = self.held()
        sessions = [self.tenant("f") for _ in range(2)]
        for s in sessions:
            s.send(wire.query("SELECT pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1)"))
        wait_until("two to run", lambda: self.waiting_at_server() == 2)
        third = self.tenant("f")
        for sql in ("SET TimeZone = 'UTC'", "DISCARD ALL", "RESET ALL", ""):
            self.assertEqual(third.q(sql).error, None)
        blocker.q("SELECT pg_advisory_unlock(1)")
        for s in sessions:
            self.assertEqual(s.read_reply().error, None)

    def test_a_client_that_goes_away_gives_its_place_back(self):
        blocker = self.held()
        sessions = [self.tenant("e") for _ in range(4)]
        for s in sessions:
            s.send(wire.query("SELECT pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1)"))
        wait_until("two to run", lambda: self.waiting_at_server() == 2)
        for s in sessions:
            s.close(polite=False)
        blocker.q("SELECT pg_advisory_unlock(1)")
        later = self.tenant("e")
        self.assertEqual(later.q("SELECT 1").value, "1")


class RefusedBlockTest(LimitTest):
    """A BEGIN that finds no place: what stands behind it must not run and commit alone."""
    config = tenants(default={"max_concurrent": 1, "query_wait_timeout": "200ms"})

    def setUp(self):
        super().setUp()
        self.setup_sql("CREATE TABLE written (n int)")
        self.blocker, self.busy, self.session = self.direct(), self.tenant("a"), self.tenant("a")
        self.blocker.q("SELECT pg_advisory_lock(1)")
        self.busy.send(wire.query("SELECT pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1)"))
        wait_until("the first to run", lambda: env.cluster.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = '%s'"
            % self.database)[0][0] == 1)

    def free(self):
        self.blocker.q("SELECT pg_advisory_unlock(1)")
        self.assertEqual(self.busy.read_reply().error, None)

    def said(self, *parts):
        """What is answered to parts that are sent in one segment: (error, tags, status) of each."""
        self.session.send(b"".join(parts))
        count = sum(part[:1] == b"Q" or part[-5:] == wire.SYNC for part in parts)
        replies = [self.session.read_reply() for _ in range(count)]
        return [(r.error, list(r.tags), r.status) for r in replies]

    def nothing_was_written(self):
        self.free()
        self.assertEqual(self.session.q("SELECT count(*) FROM written").value, "0")
        self.assertEqual(self.session.q("INSERT INTO written VALUES (9)").error, None)
        self.assertEqual(self.session.q("SELECT n FROM written").rows, [("9",)])

    INSERT = "INSERT INTO written VALUES (1)"

    def test_what_is_sent_behind_it(self):
        insert = part(self.INSERT) + wire.SYNC
        self.assertEqual(self.said(wire.query("BEGIN"), insert, insert),
                         [(None, ["BEGIN"], "T"), ("55P03", [], "E"), ("25P02", [], "E")])
        self.assertEqual(self.said(wire.query("COMMIT")), [(None, ["ROLLBACK"], "I")])
        self.nothing_was_written()

    def test_by_simple_queries(self):
        self.assertEqual(
            self.said(wire.query("START TRANSACTION ISOLATION LEVEL SERIALIZABLE"), wire.query(self.INSERT),
                      wire.query(self.INSERT + ";" + self.INSERT), wire.query(""), wire.query("ROLLBACK")),
            [(None, ["START TRANSACTION"], "T"), ("55P03", [], "E"), ("25P02", [], "E"), (None, [], "E"),
             (None, ["ROLLBACK"], "I")])
        self.nothing_was_written()

    def test_a_block_without_a_statement(self):
        for end in ("COMMIT", "ROLLBACK"):
            self.assertEqual(self.said(wire.query("BEGIN"), wire.query(end)),
                             [(None, ["BEGIN"], "T"), (None, [end], "I")])
        self.nothing_was_written()

    def test_more_in_the_same_request(self):
        for request in (wire.query("BEGIN;" + self.INSERT), part("BEGIN") + part(self.INSERT) + wire.SYNC):
            self.assertEqual(self.said(request, part(self.INSERT) + wire.SYNC),
                             [("55P03", [], "E"), ("25P02", [], "E")])
            self.assertEqual(self.said(wire.query("ROLLBACK")), [(None, ["ROLLBACK"], "I")])
        # What has ended there has left nothing behind.
        self.assertEqual(self.said(wire.query("BEGIN;" + self.INSERT + ";COMMIT")), [("55P03", [], "I")])
        self.nothing_was_written()

    def test_ends_by_the_extended_protocol(self):
        described = wire.parse("COMMIT") + wire.describe(b"S") + wire.bind() + wire.describe() + wire.execute()
        self.assertEqual(self.said(part("BEGIN") + wire.SYNC, described + wire.close() + wire.SYNC),
                         [("55P03", [], "E"), (None, ["ROLLBACK"], "I")])
        self.free()
        self.assertEqual(self.session.batch(wire.parse("ROLLBACK", "end")).error, None)
        self.busy.send(wire.query("BEGIN"))
        self.assertEqual(self.busy.read_reply().status, "T")
        self.assertEqual(self.said(wire.query("BEGIN"), part(self.INSERT) + wire.SYNC,
                                   wire.bind(name="end") + wire.execute() + wire.SYNC),
                         [(None, ["BEGIN"], "T"), ("55P03", [], "E"), (None, ["ROLLBACK"], "I")])
        self.assertEqual(self.busy.q("COMMIT").status, "I")
        self.assertEqual(self.session.q("SELECT count(*) FROM written").value, "0")

    def test_it_waits_for_the_answers_before_it(self):
        # The first is let in at once and keeps the session busy; BEGIN behind it is refused.
        self.free()
        self.blocker.q("SELECT pg_advisory_lock(1)")
        self.busy.send(wire.query("SELECT pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1)"))
        wait_until("the first to run", lambda: env.cluster.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = '%s'"
            % self.database)[0][0] == 1)
        self.assertEqual(self.said(wire.query("SET work_mem = '1MB'"), wire.query("BEGIN;" + self.INSERT),
                                   wire.query(self.INSERT), wire.query("COMMIT")),
                         [(None, ["SET"], "I"), ("55P03", [], "E"), ("25P02", [], "E"), (None, ["ROLLBACK"], "I")])
        self.nothing_was_written()


class SharedRefusedBlockTest(RefusedBlockTest):
    config = {**RefusedBlockTest.config, "pool_mode": "transaction", "auth_type": "trust"}


class GlobalConcurrencyTest(LimitTest):
    config = tenants(max_concurrent_requests=2)

    def test_tenants_take_turns(self):
        """Ten of a noisy tenant wait before one of another comes: that one is next but one."""
        blocker = self.direct()
        blocker.q("SELECT pg_advisory_lock(1)")
        self.setup_sql("CREATE TABLE log (who text, at bigserial)")
        noisy = [self.tenant("noisy") for _ in range(10)]
        for s in noisy:
            s.send(wire.query("INSERT INTO log SELECT 'noisy' FROM pg_advisory_lock_shared(1)"))
        wait_until("two to run", lambda: env.cluster.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = '%s'"
            % self.database)[0][0] == 2)
        quiet = self.tenant("quiet")
        quiet.send(wire.query("INSERT INTO log VALUES ('quiet')"))
        if not self.sidecar.control:
            wait_until("all to wait", lambda: self.sidecar.statistics()["requests"]["waiting"] == 9)
        blocker.q("SELECT pg_advisory_unlock(1)")
        self.assertEqual(quiet.read_reply().error, None)
        for s in noisy:
            self.assertEqual(s.read_reply().error, None)
        before = env.cluster.fetch("SELECT count(*) FROM log WHERE who = 'noisy' AND at < (SELECT at "
                                   "FROM log WHERE who = 'quiet')", self.database)[0][0]
        self.assertLess(before, 6)


class PageTest(LimitTest):
    config = {**tenants(default={"max_page_size": 50, "default_page_size": 10}),
              "cache": {"rules": [
                  {"name": "long", "tables": ["public.long"], "unlimited": "cut"},
                  {"name": "must", "tables": ["public.must"], "unlimited": "refuse"},
                  {"name": "all", "tables": ["*"]}]}}

    def setUp(self):
        super().setUp()
        self.setup_sql("CREATE TABLE long AS SELECT i, 'v' || i AS v FROM generate_series(1, 100) i",
                       "CREATE TABLE must AS TABLE long", "CREATE TABLE other AS TABLE long",
                       "CREATE TABLE short AS SELECT 1 AS i")
        # Rules are known by the catalogs.
        self.cached(self.wire(), "SELECT * FROM short")

    def test_a_limit_above_the_page_size_is_refused(self):
        session = self.tenant("a")
        for sql in ("SELECT i FROM other LIMIT 51", "SELECT i FROM other OFFSET 1 LIMIT '51'",
                    "SELECT i FROM other FETCH FIRST 51 ROWS ONLY",
                    "SELECT 1; SELECT i FROM other LIMIT 99999999999999999999"):
            error = self.refused(session.q(sql), "54000", "max_page_size", "a")
            self.assertIn("At most 50 rows a page", error["D"])
        for sql in ("SELECT i FROM other LIMIT 50", "SELECT i FROM other LIMIT 7",
                    "SELECT i FROM other WHERE i IN (SELECT i FROM other LIMIT 90) LIMIT 3"):
            for ask in (session.q, session.x):
                self.assertEqual(ask(sql).error, None, sql)
        self.refused(session.x("SELECT i FROM other LIMIT 51"), "54000", "max_page_size", "a")

    def test_a_bound_limit_in_either_format(self):
        session = self.tenant("b")
        sql = "SELECT i FROM other ORDER BY i LIMIT $1"
        self.assertEqual(len(session.x(sql, ["50"]).rows), 50)
        self.refused(session.x(sql, ["51"]), "54000", "max_page_size", "b")
        for size in (4, 8):
            oid = {4: 23, 8: 20}[size]
            for rows in (50, 51):
                reply = session.x(sql, [rows.to_bytes(size, "big")], formats=[1], types=[oid])
                if rows == 50:
                    self.assertEqual((reply.error, len(reply.rows)), (None, 50))
                else:
                    self.refused(reply, "54000", "max_page_size", "b")
        self.assertEqual(len(session.x(sql, [None]).rows), 100)
        session.q("BEGIN")
        self.refused(session.x(sql, ["51"]), "54000", "max_page_size", "b", "E")
        session.q("ROLLBACK")

    def test_by_name_and_piece_by_piece(self):
        session = self.tenant("c")
        session.send(wire.parse("SELECT i FROM other LIMIT $1", "s") + wire.SYNC)
        self.assertEqual(session.read_reply().error, None)
        session.send(wire.bind(["51"], name="s") + wire.FLUSH)
        session.send(wire.execute() + wire.SYNC)
        self.refused(session.read_reply(), "54000", "max_page_size", "c")
        session.send(wire.bind(["5"], name="s") + wire.execute() + wire.SYNC)
        self.assertEqual(len(session.read_reply().rows), 5)

    def test_a_long_bind_is_no_way_around_it(self):
        """Its values are not looked at, but what the text says is known."""
        session = self.tenant("j")
        long = "x" * 100000
        reply = session.x("SELECT i FROM long WHERE $1 <> ''", [long], types=[25])
        self.assertEqual((reply.error, len(reply.rows)), (None, 10))
        self.refused(session.x("SELECT i FROM must WHERE $1 <> ''", [long], types=[25]), "54000",
                     "SELECT without LIMIT", "j")
        self.refused(session.x("SELECT i FROM other WHERE $1 <> '' LIMIT 51", [long], types=[25]),
                     "54000", "max_page_size", "j")
        self.assertEqual(session.q("SELECT 1").value, "1")

    def cut(self, reply, direct, rows=10):
        """The first rows as the server gives them, a notice, and a tag that says how many."""
        self.assertEqual(reply.error, None)
        self.assertEqual(reply.rows, direct.rows[:rows])
        self.assertEqual(reply.tags, ["SELECT %d" % rows])
        (notice,) = [wire.error_fields(b) for k, b in reply.frames if k == b"N"]
        self.assertIn("default_page_size", notice["M"])
        self.assertEqual(reply.frames[0], direct.frames[0])

    def test_a_rule_cuts_what_has_no_limit(self):
        session, past = self.tenant("d"), self.direct()
        sql = "SELECT i, v FROM long ORDER BY i"
        for _ in range(3):
            self.cut(session.q(sql), past.q(sql))
            self.cut(session.x(sql), past.x(sql))
        for few in ("SELECT i, v FROM long WHERE i <= 10 ORDER BY i",
                    "SELECT i, v FROM long ORDER BY i LIMIT 20", "SELECT count(*) FROM long"):
            self.assertEqual(session.q(few), past.q(few))
            self.assertEqual(session.x(few), past.x(few))
        self.assertEqual(len(session.q("SELECT i FROM other").rows), 100)

    def test_a_cut_answer_in_a_block_and_in_a_pipeline(self):
        session, past = self.tenant("e"), self.direct()
        sql = "SELECT i, v FROM long ORDER BY i"
        session.q("BEGIN")
        self.cut(session.q(sql), past.q(sql))
        reply = session.x(sql)
        self.cut(reply, past.x(sql))
        self.assertEqual(reply.status, "T")
        session.q("COMMIT")
        session.send(wire.query(sql) + wire.query("SELECT 2") + wire.query(sql))
        self.cut(session.read_reply(), past.q(sql))
        self.assertEqual(session.read_reply().value, "2")
        self.cut(session.read_reply(), past.q(sql))
        session.send(part("INSERT INTO other VALUES (0, '')") + part("TABLE long")
                     + part("SELECT 7") + wire.SYNC)
        reply = session.read_reply()
        self.assertEqual(reply.tags, ["INSERT 0 1", "SELECT 10", "SELECT 1"])

    def test_the_unnamed_statement_is_gone_after_it(self):
        session, past = self.tenant("f"), self.direct()
        for s in (session, past):
            s.send(wire.parse("SELECT 1") + wire.SYNC)
            s.read_reply()
            s.q("SELECT i FROM long")
            s.send(wire.bind() + wire.execute() + wire.SYNC)
            self.assertEqual(s.read_reply().error, "26000")

    def test_an_error_of_a_statement_that_would_be_cut(self):
        session, past = self.tenant("g"), self.direct()
        for sql in ("SELECT 1 / (i - i) FROM long", "SELECT nothing FROM long"):
            got, want = session.q(sql), past.q(sql)
            self.assertEqual((got.error, got.status), (want.error, want.status))

    def test_a_rule_refuses_what_has_no_limit(self):
        session = self.tenant("h")
        self.refused(session.q("SELECT * FROM must"), "54000", "SELECT without LIMIT", "h")
        self.refused(session.x("SELECT * FROM must"), "54000", "SELECT without LIMIT", "h")
        self.assertEqual(len(session.q("SELECT * FROM must LIMIT 5").rows), 5)
        self.assertEqual(len(session.q("SELECT o.i FROM must m JOIN other o USING (i)").rows), 100)

    def test_the_cache_is_no_way_around_it(self):
        session = self.tenant("i")
        for ask in (session.q, session.x):
            for _ in range(3):
                self.assertEqual(ask("SELECT * FROM must LIMIT 51").error, "54000")
        self.cached(session, "SELECT i FROM other LIMIT 50")


class WarnTest(LimitTest):
    config = tenants(default={"queries_per_minute": 60, "burst": 2, "max_result_rows": 3,
                              "query_timeout": "100ms"})
    config["tenants"]["limits"] = "warn"

    def test_warnings_only(self):
        session = self.tenant("a")
        notices = []
        for _ in range(4):
            reply = session.q("SELECT generate_series(1, 5)")
            self.assertEqual((reply.error, len(reply.rows)), (None, 5))
            notices += [f for k, f in reply.frames if k == b"N"]
        self.assertTrue(any(b"max_result_rows" in n for n in notices))
        self.assertTrue(any(b"queries_per_minute" in n for n in notices))
        reply = session.q("SELECT pg_sleep(0.3)")
        self.assertEqual(reply.error, None)
        self.assertTrue(any(b"query_timeout" in f for k, f in reply.frames if k == b"N"))
        for limit in ("max_result_rows", "queries_per_minute", "query_timeout"):
            self.assertGreater(self.met(limit), 0)


class OffTest(LimitTest):
    config = tenants(default={"queries_per_minute": 1, "burst": 1, "max_result_rows": 1})
    config["tenants"]["limits"] = "off"

    def test_nothing_is_limited(self):
        session = self.tenant("a")
        for _ in range(5):
            self.assertEqual(len(session.q("SELECT generate_series(1, 5)").rows), 5)


class WithoutCacheTest(RateTest):
    """The same limits where nothing is cached and nobody reads the catalogs."""
    config = {**RateTest.config, "cache": {"enable_query_result_caching": False, "rules": []}}

    def test_answers_from_the_cache_count(self):
        self.skipTest("there is no cache")

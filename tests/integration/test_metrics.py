"""prescription_query_metrics: a row for each statement, whatever becomes of the database that has the
table, and no statement that waits for it."""
import os
import select
import signal
import socket
import threading

import psycopg

import wire
from cache_case import CacheTest, env
from harness import LIMITS_OUT_OF_THE_WAY, Cluster, wait_until

TABLE = "prescription_query_metrics"
RULES = [{"name": "kept tables", "tables": ["public.kv"], "ttl": "10m"}]


def metrics(**keys):
    """A configuration that measures, with tenants by the setting that the application makes."""
    return {"metrics": {"enable_performance_metrics": True, **keys}, "cache": {"rules": RULES}}


def part(sql, params=()):
    return wire.parse(sql) + wire.bind(params) + wire.execute()


class MetricsTest(CacheTest):
    """Each class has a database for the table; each test a tenant of its own."""

    keys = {}
    cluster = None
    tenants = 0
    made_by = "migrate"

    @classmethod
    def setUpClass(cls):
        if env.control:
            raise cls.skipTest(cls, "control run: there is no program")
        cls.cluster = cls.cluster or env.cluster
        cls.kept_in = cls.cluster.new_database()
        if cls.made_by == "migrate":
            env.migrate_up(cls.cluster, cls.kept_in)
        cls.prepare()
        cls.config = metrics(connection=cls.connection(), **cls.keys)
        super().setUpClass()

    @classmethod
    def connection(cls):
        return "port=%d user=postgres dbname=%s" % (cls.cluster.port, cls.kept_in)

    @classmethod
    def prepare(cls):
        pass

    def setUp(self):
        super().setUp()
        self.setup_sql("CREATE TABLE kv (k int PRIMARY KEY, v text); "
                       "INSERT INTO kv SELECT i, 'v' || i FROM generate_series(1, 20) i")

    def tenant(self):
        MetricsTest.tenants += 1
        return "tenant %d" % MetricsTest.tenants

    def session(self, name):
        """Logged in as that tenant from its first statement on."""
        return self.wire(options="-c app.tenant_id=" + name.replace(" ", r"\ "))

    def fetch(self, sql):
        return self.cluster.fetch(sql, database=self.kept_in)

    def rows(self, tenant, count, columns="query_type, record_count"):
        """The tenant's rows in the order in which its statements ended, once there are so many."""
        sql = "SELECT %s FROM %s WHERE tenant_id = '%s' ORDER BY id" % (columns, TABLE, tenant)
        wait_until("%d rows of %s" % (count, tenant), lambda: len(self.fetch(sql)) >= count)
        return self.fetch(sql)

    def rows_after(self, tenant, act, count):
        session = self.session(tenant)
        act(session)
        # What a statement too many would have written stands before this one's row.
        session.q("SELECT 1 AS last")
        rows = self.rows(tenant, count + 1)
        self.assertEqual(rows.pop(), ("select", 1))
        return rows


class StatementTest(MetricsTest):
    def check(self, act, *expected):
        # From the first catalog on it is known which rule a statement matches.
        self.cached(self.wire(), "SELECT v FROM kv WHERE k = 1")
        self.assertEqual(self.rows_after(self.tenant(), act, len(expected)), list(expected))

    def test_a_simple_query_of_each_kind(self):
        def act(s):
            for sql in ("SELECT k FROM kv", "INSERT INTO kv VALUES (100), (101)",
                        "UPDATE kv SET v = 'x' WHERE k > 100", "DELETE FROM kv WHERE k >= 100",
                        "SET work_mem = '1MB'", "SHOW work_mem", "BEGIN",
                        "DECLARE c CURSOR FOR SELECT k FROM kv", "FETCH 3 FROM c", "COMMIT",
                        "CREATE TABLE more (i int)", "VALUES (1), (2)", "EXPLAIN SELECT 1"):
                self.assertIsNone(s.q(sql).error, sql)
        self.check(act, ("kept tables", 20), ("insert", 2), ("update", 1), ("delete", 2), ("set", 0),
                   ("show", 0), ("begin", 0), ("declare_cursor", 0), ("fetch", 3), ("commit", 0),
                   ("ddl", 0), ("select", 2), ("explain", 0))

    def test_a_hit_has_a_row_like_a_miss(self):
        tenant, hits = self.tenant(), 5
        self.cached(self.wire(), "SELECT v FROM kv WHERE k = 1")
        session = self.session(tenant)
        before = self.hits()
        self.cached(session, "SELECT v FROM kv WHERE k < 4")
        for _ in range(hits):
            session.q("SELECT v FROM kv WHERE k < 4")
        for _ in range(hits):
            session.x("SELECT v FROM kv WHERE k < $1", [6])
        self.assertGreater(self.hits(), before + hits)
        rows = self.rows(tenant, 2 * hits + 2)
        self.assertEqual(set(rows), {("kept tables", 3), ("kept tables", 5)})
        self.assertEqual(rows.count(("kept tables", 5)), hits)

    def test_an_error_has_a_row_without_a_count(self):
        def act(s):
            self.assertEqual(s.q("SELECT 1 / (k - 3) FROM kv").error, "22012")
            self.assertEqual(s.q("SELEC 1").error, "42601")
            self.assertEqual(s.q("INSERT INTO kv VALUES (1)").error, "23505")
        self.check(act, ("kept tables", 0), ("unknown", 0), ("insert", 0))

    def test_statements_of_one_text_each_have_a_row(self):
        def act(s):
            s.q("SELECT k FROM kv WHERE k < 3; INSERT INTO kv VALUES (200); SELECT 1 / 0; SELECT 4")
            self.assertEqual(s.q("").kinds[0], "I")
        self.check(act, ("select", 2), ("insert", 1), ("select", 0))

    def test_a_batch_of_several_executes(self):
        def act(s):
            s.batch(part("SELECT k FROM kv WHERE k < $1", [4]), part("INSERT INTO kv VALUES (300)"),
                    part("SELECT 5"), wire.SYNC)
        self.check(act, ("kept tables", 3), ("insert", 1), ("select", 1))

    def test_pages_of_a_portal_are_counted_as_they_come(self):
        def act(s):
            s.batch(wire.parse("SELECT k FROM kv ORDER BY k"), wire.bind(), wire.execute(limit=8),
                    wire.execute(limit=8), wire.execute(limit=8), wire.SYNC)
        self.check(act, ("kept tables", 8), ("kept tables", 8), ("kept tables", 4))

    def test_a_batch_that_fails_has_a_row_for_what_ran(self):
        def act(s):
            s.batch(part("SELECT 1"), part("SELECT 1 / (k - 3) FROM kv"), part("SELECT 2"), wire.SYNC)
        self.check(act, ("select", 1), ("kept tables", 0))

    def test_copy_counts_its_rows(self):
        def act(s):
            s.send(wire.query("COPY kv FROM STDIN"))
            s.send(wire.frame(b"d", b"400\tx\n401\ty\n") + wire.frame(b"c"))
            s.read_reply()
            s.q("COPY (SELECT k FROM kv WHERE k < 6) TO STDOUT")
        self.check(act, ("copy_from", 2), ("copy_to", 5))

    def test_time_does_not_begin_with_what_is_no_request(self):
        tenant = self.tenant()
        session = self.session(tenant)
        session.send(wire.query("COPY kv FROM STDIN"))
        session.send(wire.frame(b"d", b"500\tx\n") + wire.frame(b"c"))
        session.read_reply()
        session.send(wire.frame(b"H"))
        self.wire().q("SELECT pg_sleep(0.5)")
        session.q("SELECT 1")
        copied, asked = self.rows(tenant, 2, "query_type, execution_time_ms")
        self.assertEqual((copied[0], asked[0]), ("copy_from", "select"))
        self.assertLess(float(asked[1]), 500)

    def test_who_the_tenant_is_follows_the_session(self):
        first, second = self.tenant(), self.tenant()
        session = self.wire()
        for name in (first, second):
            session.q("SET app.tenant_id = '%s'" % name)
            session.q("SELECT 1")
        self.assertEqual(self.rows(first, 2), [("select", 1), ("set", 0)])
        self.assertEqual(self.rows(second, 1), [("select", 1)])

    def test_time_is_that_of_the_answer(self):
        tenant = self.tenant()
        session = self.session(tenant)
        session.q("SELECT pg_sleep(0.3)")
        session.q("SELECT 1; SELECT pg_sleep(0.2); SELECT 2")
        times = [float(ms) for (ms,) in self.rows(tenant, 4, "execution_time_ms")]
        self.assertGreaterEqual(times[0], 300)
        # The server answers the statements of one text together: nothing is counted twice.
        self.assertGreaterEqual(sum(times[1:]), 200)
        self.assertLess(sorted(times[1:])[1], 200)

    def test_a_tenant_with_every_kind_of_character(self):
        tenant = "a\\b'ü€ \U0001f489"
        session = self.wire()
        session.q("SET app.tenant_id = '%s'" % tenant.replace("'", "''"))
        session.q("SELECT 3")
        found = lambda: self.cluster.fetch(
            "SELECT query_type FROM %s WHERE tenant_id = '%s'" % (TABLE, tenant.replace("'", "''")),
            database=self.kept_in)
        wait_until("its row", found)
        self.assertEqual(found(), [("select",)])

    def test_a_statement_that_is_refused_by_a_limit_has_no_row(self):
        tenant = self.tenant()
        sidecar = env.sidecar(**self.config, tenants={
            "limits": "enforce", "sources": ["setting:app.tenant_id"], "tiers": [
                {**LIMITS_OUT_OF_THE_WAY["tiers"][0], "queries_per_minute": 1, "burst": 3}]})
        self.addCleanup(sidecar.finish)
        session = self._wire(sidecar.port, "postgres", None, {
            "options": "-c app.tenant_id=" + tenant.replace(" ", r"\ ")})
        errors = [session.q("SELECT 1").error for _ in range(5)]
        self.assertEqual(errors, [None] * 3 + ["55P03"] * 2)
        session.q("BEGIN")
        self.assertEqual(self.rows(tenant, 4), [("select", 1)] * 3 + [("begin", 0)])

    def test_the_table_itself_holds_no_text_of_a_query(self):
        tenant = self.tenant()
        self.session(tenant).q("SELECT 'secret of a patient'")
        self.rows(tenant, 1)
        self.assertEqual(self.fetch("SELECT * FROM %s m WHERE m::text LIKE '%%secret%%'" % TABLE), [])


class ZoneTest(MetricsTest):
    @classmethod
    def prepare(cls):
        cls.cluster.run("ALTER DATABASE %s SET TimeZone = 'Asia/Kathmandu'" % cls.kept_in)

    def test_timestamps_are_in_the_time_zone_of_the_connection(self):
        tenant = self.tenant()
        self.session(tenant).q("SELECT 1")
        (late,), = self.rows(tenant, 1, "abs(extract(epoch FROM timestamp - LOCALTIMESTAMP)) < 300")
        self.assertTrue(late)


class SampleTest(MetricsTest):
    keys = {"sample_percent": 25}

    def test_one_in_four(self):
        tenant, before = self.tenant(), self.sidecar.statistics()["metrics"]
        session = self.session(tenant)
        for _ in range(400):
            session.q("SELECT 1")
        self.assertLessEqual(abs(len(self.rows(tenant, 99)) - 100), 1)
        self.assertEqual(self.sidecar.statistics()["metrics"]["dropped"], before["dropped"])


class RetentionTest(MetricsTest):
    keys = {"performance_metrics_retention_days": 7}

    @classmethod
    def prepare(cls):
        cls.cluster.run(
            "INSERT INTO %s (tenant_id, query_type, execution_time_ms, record_count, timestamp) "
            "SELECT 'old', 'x', 1, 1, LOCALTIMESTAMP - make_interval(days => d) "
            "FROM generate_series(1, 12) d, generate_series(1, 2500)" % TABLE, database=cls.kept_in)

    def test_old_rows_go_a_step_at_a_time(self):
        left = "SELECT count(*) FROM %s WHERE tenant_id = 'old'" % TABLE
        # Those of the seventh day were made a moment too early to be kept.
        wait_until("the old ones to be gone", lambda: self.fetch(left)[0][0] == 6 * 2500)
        self.session(self.tenant()).q("SELECT 1")
        self.assertEqual(self.fetch(left)[0][0], 6 * 2500)


class OutageTest(MetricsTest):
    """The table is at a server of its own, which comes and goes."""

    keys = {"max_queued_rows": 1000}

    @classmethod
    def setUpClass(cls):
        if env.control:
            raise cls.skipTest(cls, "control run: there is no program")
        MetricsTest.tenants += 1
        folder = os.path.join(env.folder, "metrics%d" % MetricsTest.tenants)
        cls.cluster = Cluster(folder, env.certificates).start()
        cls.addClassCleanup(cls.cluster.stop, signal.SIGQUIT)
        super().setUpClass()

    def ask(self, tenant, count):
        session = self.session(tenant)
        for i in range(count):
            self.assertEqual(session.q("SELECT %d" % i).value, str(i))

    def counted(self):
        return self.sidecar.statistics()["metrics"]

    def test_rows_wait_while_the_database_is_away_and_come_once(self):
        tenant = self.tenant()
        self.ask(tenant, 20)
        self.cluster.stop(signal.SIGQUIT)
        self.ask(tenant, 300)
        wait_until("rows to wait", lambda: self.counted()["waiting"] >= 300)
        self.cluster.start()
        self.assertEqual(self.rows(tenant, 320), [("select", 1)] * 320)
        wait_until("nothing to wait", lambda: self.counted()["waiting"] == 0)
        self.assertEqual(len(self.rows(tenant, 320)), 320)
        self.assertIn("metrics are written again", self.sidecar.output.text())

    def test_what_is_over_the_bound_is_dropped_and_counted(self):
        tenant, before = self.tenant(), self.counted()
        self.ask(tenant, 1)
        self.rows(tenant, 1)
        self.cluster.stop(signal.SIGQUIT)
        self.ask(tenant, 1500)
        wait_until("rows to be dropped", lambda: self.counted()["dropped"] >= before["dropped"] + 500)
        self.sidecar.output.wait_for("rows were dropped")
        self.cluster.start()
        dropped = self.counted()["dropped"] - before["dropped"]
        self.assertEqual(len(self.rows(tenant, 1501 - dropped)), 1501 - dropped)

    def test_a_connection_that_is_cut_again_and_again_writes_each_row_once(self):
        tenant = self.tenant()
        session = self.session(tenant)
        for i in range(600):
            session.q("SELECT %d" % i)
            if i % 5 == 0:
                self.cluster.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                 "WHERE application_name = 'pgsidecar metrics'")
        self.assertEqual(len(self.rows(tenant, 600)), 600)
        wait_until("nothing to wait", lambda: self.counted()["waiting"] == 0)
        self.assertEqual(len(self.rows(tenant, 600)), 600)

    def test_a_locked_table_delays_no_statement(self):
        tenant = self.tenant()
        with psycopg.connect(self.cluster.conninfo(self.kept_in)) as holder:
            holder.execute("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE" % TABLE)
            self.ask(tenant, 200)
            holder.rollback()
        self.assertEqual(len(self.rows(tenant, 200)), 200)


class Relay:
    """Stands before the server of the metrics. lose_commits(n): the next n answers to a COMMIT are
    not passed on, and their connections end."""

    COMMIT = wire.query("COMMIT")

    def __init__(self, port):
        self.upstream, self.to_lose, self.lost = port, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def lose_commits(self, count):
        self.to_lose += count

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.upstream))
            threading.Thread(target=self.serve, args=(client, server), daemon=True).start()

    def serve(self, client, server):
        """A request and its answer at a time, as a libpq that waits for each has them."""
        with client, server:
            losing = False
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for source in ready:
                    try:
                        data = source.recv(65536)
                    except OSError:
                        return
                    if not data:
                        return
                    if source is server and losing:
                        self.lost += 1
                        return
                    if source is client and data.endswith(self.COMMIT) and self.to_lose > 0:
                        self.to_lose -= 1
                        losing = True
                    (server if source is client else client).sendall(data)

    def close(self):
        self.listener.close()


class DoubtTest(MetricsTest):
    """A COMMIT that was done, and whose answer never came."""

    @classmethod
    def setUpClass(cls):
        if env.control:
            raise cls.skipTest(cls, "control run: there is no program")
        cls.relay = Relay(env.cluster.port)
        cls.addClassCleanup(cls.relay.close)
        super().setUpClass()

    @classmethod
    def connection(cls):
        return "host=127.0.0.1 port=%d sslmode=disable user=postgres dbname=%s" % (
            cls.relay.port, cls.kept_in)

    def test_its_rows_are_not_written_again(self):
        tenant = self.tenant()
        session = self.session(tenant)
        for i in range(3):
            session.q("SELECT 1")
            self.rows(tenant, 2 * i + 1)
            self.relay.lose_commits(1)
            session.q("SELECT 1")
            wait_until("the answer to be lost", lambda: self.relay.lost == i + 1)
        session.q("SELECT 1")
        self.assertEqual(len(self.rows(tenant, 7)), 7)
        wait_until("nothing to wait", lambda: self.sidecar.statistics()["metrics"]["waiting"] == 0)
        self.assertEqual(len(self.rows(tenant, 7)), 7)


class MissingTableTest(MetricsTest):
    made_by = "the test"

    def test_rows_wait_for_the_table(self):
        tenant = self.tenant()
        self.session(tenant).q("SELECT 1")
        self.sidecar.output.wait_for('relation "%s" does not exist' % TABLE)
        env.migrate_up(self.cluster, self.kept_in)
        self.assertEqual(self.rows(tenant, 1), [("select", 1)])


class EncodingTest(MetricsTest):
    @classmethod
    def prepare(cls):
        cls.cluster.run("DROP DATABASE " + cls.kept_in,
                        "CREATE DATABASE %s TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'" % cls.kept_in)
        env.migrate_up(cls.cluster, cls.kept_in)

    def test_a_name_that_the_database_cannot_hold(self):
        session = self.wire()
        session.q("SET app.tenant_id = 'clinic α'")
        session.q("SELECT 1")
        self.assertEqual(self.rows("clinic ?", 1)[0], ("select", 1))
        tenant = self.tenant()
        self.session(tenant).q("SELECT 1")
        self.assertEqual(self.rows(tenant, 1), [("select", 1)])


class EndTest(MetricsTest):
    def test_the_end_of_the_program_loses_nothing(self):
        tenant = self.tenant()
        sidecar = env.sidecar(**self.config)
        try:
            session = self._wire(sidecar.port, "postgres", None, {
                "options": "-c app.tenant_id=" + tenant.replace(" ", r"\ ")})
            for _ in range(50):
                session.q("SELECT 1")
            session.close()
        finally:
            sidecar.finish()
        self.assertEqual(len(self.rows(tenant, 50)), 50)

    def test_without_the_setting_nothing_is_written(self):
        tenant = self.tenant()
        sidecar = env.sidecar(cache={"rules": RULES}, metrics={
            "connection": self.config["metrics"]["connection"]})
        try:
            session = self._wire(sidecar.port, "postgres", None, {
                "options": "-c app.tenant_id=" + tenant.replace(" ", r"\ ")})
            session.q("SELECT 1")
            self.assertNotIn("metrics", sidecar.statistics())
        finally:
            sidecar.finish()
        self.assertEqual(self.fetch("SELECT * FROM %s WHERE tenant_id = '%s'" % (TABLE, tenant)), [])

"""SQL's PREPARE with shared server connections: a statement is at whatever connection its session gets,
and nobody else's business."""
import wire
from harness import wait_until
from test_pool import PoolTest

MADE = "SELECT prepare_time FROM pg_prepared_statements WHERE name = 'p'"


class PrepareTest(PoolTest):
    def given_back(self):
        wait_until("it to be given back", lambda: self.pools()["idle"] == self.pools()["servers"])

    def ok(self, session, *texts):
        for sql in texts:
            self.assertIsNone(session.q(sql).error, sql)


class SqlPrepareTest(PrepareTest):
    def test_of_each_session_its_own(self):
        mine, other, third = self.wire(), self.wire(), self.wire()
        self.ok(mine, "PREPARE p(int) AS SELECT 'mine ' || $1")
        self.given_back()
        self.ok(other, "PREPARE p(int) AS SELECT 'other ' || $1", "PREPARE q AS SELECT 'q'")
        for _ in range(3):
            self.assertEqual(self.value(mine, "EXECUTE p(1)"), "mine 1")
            self.assertEqual(self.value(other, "EXECUTE p(2)"), "other 2")
            self.assertEqual(self.value(other, "EXECUTE q"), "q")
            for session in (third, mine):
                self.assertEqual(session.q("EXECUTE q").error, "26000")
            for read in ("EXECUTE p(3)", "EXPLAIN ANALYZE EXECUTE p(3)", "DEALLOCATE p"):
                self.assertEqual(third.q(read).error, "26000")
            self.assertEqual(third.q(MADE).rows, [])
        self.assertEqual(self.server_sessions(), 1)

    def test_the_same_text_is_prepared_once(self):
        sessions = [self.wire() for _ in range(3)]
        for session in sessions:
            self.ok(session, "PREPARE p AS SELECT 1")
        made = self.value(sessions[-1], MADE)
        for session in sessions * 2:
            self.assertEqual(self.value(session, MADE), made)

    def test_by_whatever_protocol(self):
        mine, other = self.wire(), self.wire()
        self.assertIsNone(mine.x("PREPARE p(text) AS SELECT 'mine ' || $1").error)
        self.ok(other, "PREPARE p(text) AS SELECT 'other ' || $1")
        for _ in range(2):
            self.assertEqual(mine.x("EXECUTE p('x')").value, "mine x")
            self.assertEqual(other.q("SELECT 1; EXECUTE p('x')").rows[-1], ("other x",))
            for session, who in ((mine, "mine"), (other, "other")):
                bound = session.batch(wire.bind(["y"], name="p"), wire.describe(), wire.execute())
                self.assertEqual(bound.value, who + " y")
                self.assertIsNone(session.batch(wire.describe(b"S", "p")).error)
        self.assertIsNone(mine.batch(wire.close(b"S", "p")).error)
        self.assertEqual(mine.q("EXECUTE p('x')").error, "26000")
        self.assertEqual(self.value(other, "EXECUTE p('x')"), "other x")

    def test_it_ends(self):
        mine, other = self.wire(), self.wire()
        for end in ("DEALLOCATE p", "DEALLOCATE ALL", "DISCARD ALL", "BEGIN; DEALLOCATE p; ROLLBACK",
                    "SET DateStyle = German; DISCARD ALL"):
            with self.subTest(end):
                self.ok(mine, "PREPARE p AS SELECT 'mine'", *end.split("; "))
                self.given_back()
                self.ok(other, "SELECT 1")
                self.assertEqual(mine.q("EXECUTE p").error, "26000")
        self.ok(mine, "PREPARE p AS SELECT 'mine'")
        self.ok(other, "SELECT 1")
        for refused in ("SELECT 1/0; DEALLOCATE p", "BEGIN; SELECT 1/0; DEALLOCATE p; ROLLBACK"):
            for sql in refused.split("; ") if refused.startswith("BEGIN") else [refused]:
                mine.q(sql)
            self.ok(other, "SELECT 1")
            self.assertEqual(self.value(mine, "EXECUTE p"), "mine")

    def test_one_that_was_refused_is_not_there(self):
        mine, other = self.wire(), self.wire()
        for refused in ("PREPARE p AS SELECT 'mine' FROM nowhere", "SELECT 1/0; PREPARE p AS SELECT 1"):
            self.assertIsNotNone(mine.q(refused).error)
            self.given_back()
            self.ok(other, "CREATE TABLE nowhere (i int)")
            self.assertEqual(mine.q("EXECUTE p").error, "26000")
            self.ok(other, "DROP TABLE nowhere")
        self.ok(mine, "BEGIN", "PREPARE p AS SELECT 'kept'", "ROLLBACK")
        self.ok(other, "SELECT 1")
        self.assertEqual(self.value(mine, "EXECUTE p"), "kept")

    def test_a_name_is_taken_once(self):
        mine, other = self.wire(), self.wire()
        self.ok(mine, "PREPARE p AS SELECT 'sql'")
        mine.batch(wire.parse("SELECT 'protocol'", "x"))
        self.ok(other, "PREPARE x AS SELECT 'other'", "PREPARE p AS SELECT 'other'")
        for again in (wire.query("PREPARE p AS SELECT 'sql'"), wire.query("PREPARE x AS SELECT 1"),
                      wire.parse("SELECT 1", "p") + wire.SYNC, wire.parse("SELECT 1", "x") + wire.SYNC):
            with self.subTest(again):
                mine.send(again)
                self.assertEqual(mine.read_reply().error, "42P05")
                self.ok(other, "EXECUTE p", "EXECUTE x")
        self.assertEqual(self.value(mine, "EXECUTE p"), "sql")
        self.assertEqual(self.value(mine, "EXECUTE x"), "protocol")

    def test_read_by_the_path_and_role_of_now(self):
        mine, other = self.wire(), self.wire()
        self.ok(mine, "CREATE SCHEMA a", "CREATE TABLE a.t AS SELECT 'a' AS v",
                "GRANT USAGE ON SCHEMA a TO alice", "CREATE SCHEMA b", "CREATE TABLE b.t AS SELECT 'b' AS v")
        self.ok(mine, "SET search_path = a", "PREPARE p AS SELECT v FROM t")
        self.ok(other, "SET search_path = b", "PREPARE p AS SELECT v FROM t")
        for _ in range(2):
            self.assertEqual(self.value(mine, "EXECUTE p"), "a")
            self.assertEqual(self.value(other, "EXECUTE p"), "b")
        self.ok(mine, "SET search_path = b")
        self.assertEqual(self.value(mine, "EXECUTE p"), "b")
        self.ok(other, "SELECT 1")
        self.assertEqual(self.value(mine, "EXECUTE p"), "b")
        self.ok(mine, "SET search_path = a", "SET ROLE alice")
        self.ok(other, "SELECT 1")
        self.assertEqual(mine.q("EXECUTE p").error, "42501")

    def test_one_whose_table_is_gone(self):
        mine, other = self.wire(), self.wire()
        self.ok(mine, "CREATE TABLE short_lived AS SELECT 'v' AS v", "PREPARE p AS SELECT v FROM short_lived",
                "PREPARE q AS SELECT 'q'")
        self.ok(other, "DROP TABLE short_lived")
        for _ in range(2):
            self.assertEqual(self.value(mine, "EXECUTE q"), "q")
            self.assertIn(mine.q("EXECUTE p").error, ("26000", "42P01"))
            self.ok(other, "SELECT 1")
        self.ok(other, "CREATE TABLE short_lived AS SELECT 'back' AS v")
        self.assertEqual(self.value(mine, "EXECUTE p"), "back")
        self.assertEqual(self.server_sessions(), 1)

    def test_what_cannot_be_made_anew_keeps_its_connection(self):
        mine = self.wire()
        many = ["PREPARE p%d AS SELECT %d" % (i, i) for i in range(21)]
        for make in (["PREPARE p AS SELECT 1; SELECT 2"], many):
            self.ok(mine, *make)
            wait_until("it to be kept", lambda: self.pools()["idle"] < self.pools()["servers"])
            self.ok(mine, "DEALLOCATE ALL")
            self.given_back()
        self.ok(mine, *many[1:])
        self.given_back()
        self.ok(self.wire(), "SELECT 1")
        self.assertEqual(self.value(mine, "EXECUTE p20"), "20")


class ReadingTest(PrepareTest):
    """One statement at the server may serve many sessions, but only those by whose settings its text is
    read alike: the server turns its literals into values once, when it is prepared or planned."""

    pool = {"default_pool_size": 1, "workers": 1}  # a worker knows its own sessions' statements
    READ = [  # what is set, to which two values, and what is read by it
        ("TimeZone", "UTC", "Asia/Tokyo", "SELECT extract(epoch FROM timestamptz '2020-01-01 00:00')"),
        ("DateStyle", "ISO, MDY", "ISO, DMY", "SELECT date '01/02/2020' - date '2020-01-01'"),
        ("IntervalStyle", "postgres", "iso_8601", "SELECT (interval '1 day')::text"),
        ("array_nulls", "on", "off", "SELECT ('{NULL}'::text[])[1] IS NULL"),
        ("extra_float_digits", "1", "-5", "SELECT (0.1::float8 / 3)::text"),
        ("bytea_output", "hex", "escape", "SELECT (bytea 'a')::text"),
        ("transform_null_equals", "on", "off", "SELECT 1 = NULL"),
        ("xmloption", "content", "document", "SELECT xml 'no <b>element</b>'"),
        ("client_encoding", "UTF8", "LATIN1", "SELECT length('\u00e9')"),
    ]

    @staticmethod
    def ways(sql):
        """Prepared and run, each way with names of its own."""
        def protocol(session):
            session.batch(wire.parse(sql, "s"))
            return session.batch(wire.bind(name="s"), wire.describe(), wire.execute())

        def in_one_batch(session):
            return session.x(sql, name="t")

        def by_sql(session):
            session.q("PREPARE p AS " + sql)
            return session.q("EXECUTE p")
        return protocol, in_one_batch, by_sql

    @staticmethod
    def told(open_one, name, value, start, way):
        session = open_one(**({name: value} if start else {}))
        if not start:
            session.q("SET %s = '%s'" % (name, value))
        reply = way(session)
        session.close()
        return reply.error, reply.rows

    def test_of_each_session_by_its_own_settings(self):
        for name, first, second, sql in self.READ:
            for way in self.ways(sql):
                for start in (False, True):
                    with self.subTest(name, way=way.__name__, at_start=start):
                        said = [[self.told(open_one, name, value, start, way)
                                 for value in (first, second)] for open_one in (self.direct, self.wire)]
                        self.assertNotEqual(*said[0])
                        self.assertEqual(*said)

    def test_the_time_of_each_one_that_is_prepared(self):
        sql = "SELECT extract(epoch FROM timestamptz 'now') - 1.6e9"
        for way in self.ways(sql):
            with self.subTest(way.__name__):
                times = []
                for _ in range(3):
                    session = self.wire()
                    times.append(float(way(session).value))
                    session.close()
                self.assertEqual(times, sorted(set(times)))

    def test_settings_of_a_transaction(self):
        sql = "SELECT extract(epoch FROM timestamptz '2020-01-01 00:00')"
        local = "SET LOCAL TimeZone = 'Asia/Tokyo'"
        for end in ("COMMIT", "ROLLBACK"):
            with self.subTest(end):
                one, two = self.wire(), self.wire()
                pipeline = [wire.query("BEGIN"), wire.query(local),
                            wire.parse(sql, end) + wire.bind(name=end) + wire.execute() + wire.SYNC]
                one.send(b"".join(pipeline) + wire.query(end))
                one.read_reply(4)
                self.assertEqual(two.x(sql, name="s").value, "1577836800.000000")

    def test_a_table_that_comes_to_stand_before_another(self):
        """What is prepared keeps its tables; what is prepared afterwards has the new ones."""
        sql = "SELECT v FROM t"
        self.direct().q("CREATE TABLE t AS SELECT 'public' AS v; CREATE SCHEMA a")
        for kind in ("TABLE a.t", "TEMP TABLE t"):
            for way in self.ways(sql):
                with self.subTest(kind, way=way.__name__):
                    first = self.wire(search_path="a, public")
                    # The schema of temporary tables is in the path from its first table on.
                    self.ok(first, "CREATE TEMP TABLE u ()", "DISCARD ALL")
                    self.assertEqual(way(first).value, "public")
                    first.close()
                    second = self.wire(search_path="a, public")
                    self.ok(second, "CREATE %s AS SELECT 'new' AS v" % kind)
                    self.assertEqual(way(second).value, "new")
                    self.ok(second, "DROP TABLE " + kind.split()[-1])
                    second.close()

    def test_own_settings_do_not_keep_tenants_from_sharing(self):
        sessions = [self.wire() for _ in range(3)]
        for i, session in enumerate(sessions):
            session.q("SET app.tenant_id = '%d'" % i)
            session.q("SET statement_timeout = '%ds'" % (i + 20))
            reply = session.x("SELECT current_setting('app.tenant_id')", name="s")
            self.assertEqual(reply.value, str(i))
        self.assertEqual(self.value(sessions[0], "SELECT count(*) FROM pg_prepared_statements"), "1")


del PoolTest, PrepareTest

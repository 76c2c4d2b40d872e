"""Server connections that clients share (pool_mode: transaction): what a session has set is its own,
whatever was done at the connection before; what cannot be shared is not; who waits is served in
order, can be cancelled, and is told when it has waited for too long."""
import threading

import psycopg

import wire
from harness import ProxyTest, env, wait_until
from wire import TIMEOUT


class PoolTest(ProxyTest):
    """One server connection, unless a test says otherwise: whoever comes next gets the very one."""

    pool = {"default_pool_size": 1}

    @classmethod
    def setUpClass(cls):
        cls.sidecar = env.sidecar(pool_mode="transaction", auth_type="trust", **cls.pool)
        cls.addClassCleanup(cls.sidecar.finish)

    def setUp(self):
        super().setUp()
        self.require_program()

    def own(self, **over):
        sidecar = env.sidecar(pool_mode="transaction", auth_type="trust", **{**self.pool, **over})
        self.addCleanup(sidecar.finish)
        return sidecar

    def at(self, sidecar, user="postgres", **params):
        return self._wire(sidecar.port, user, None, params)

    def server_sessions(self):
        return env.cluster.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND application_name NOT LIKE "
            "'pgsidecar%%'" % self.database)[0][0]

    def pools(self, sidecar=None):
        return (sidecar or self.sidecar).statistics()["pools"]

    def value(self, session, sql):
        reply = session.q(sql)
        self.assertIsNone(reply.error, reply)
        return reply.value


class StateTest(PoolTest):
    def test_settings_are_each_clients_own(self):
        settings = [("TimeZone", "Asia/Tokyo", "UTC"), ("DateStyle", "German, DMY", "ISO, MDY"),
                    ("IntervalStyle", "iso_8601", "postgres"), ("bytea_output", "escape", "hex"),
                    ("extra_float_digits", "-5", "1"), ("search_path", "a, b", '"$user", public'),
                    ("app.tenant_id", "it's \\ \"odd\"", ""), ("work_mem", "5MB", "4MB"),
                    ("default_transaction_isolation", "repeatable read", "read committed")]
        mine, other = self.wire(), self.wire()
        mine.q("SELECT set_config('app.tenant_id', '', false)")
        other.q("SELECT set_config('app.tenant_id', '', false)")
        for name, value, before in settings:
            with self.subTest(name):
                mine.q("SELECT set_config('%s', %s, false)" % (name, psycopg.sql.quote(value)))
                show = "SELECT current_setting('%s')" % name
                for _ in range(3):
                    self.assertEqual(self.value(other, show), before)
                    self.assertEqual(self.value(mine, show), value)
                mine.q("RESET %s" % name)
                self.assertEqual(self.value(mine, show), before)
        self.assertEqual(self.server_sessions(), 1)

    def test_the_ways_to_set(self):
        mine, other = self.wire(), self.wire()
        show = "SHOW search_path"
        for set_it, then in (("SET search_path = a", "a"), ("SET LOCAL search_path = b", "a"),
                             ("BEGIN; SET search_path = c; ROLLBACK", "a"),
                             ("BEGIN; SET search_path = c; COMMIT", "c"),
                             ("BEGIN; SAVEPOINT s; SET search_path = d; ROLLBACK TO s; COMMIT", "c"),
                             ("SET search_path TO DEFAULT", '"$user", public'),
                             ("SET search_path = e; RESET ALL", '"$user", public'),
                             ("SET search_path = f; DISCARD ALL", None)):
            with self.subTest(set_it):
                mine.q(set_it)
                self.assertEqual(self.value(other, show), '"$user", public')
                if then:
                    self.assertEqual(self.value(mine, show), then)
        mine.x("SELECT set_config('search_path', $1, false)", ["g"])
        self.assertEqual(self.value(other, show), '"$user", public')
        self.assertEqual(self.value(mine, show), "g")

    def test_roles(self):
        mine, other = self.wire(), self.wire()
        who = "SELECT current_user || ' ' || session_user"
        for set_it, then in (("SET ROLE alice", "alice postgres"), ("RESET ROLE", "postgres postgres"),
                             ("SET SESSION AUTHORIZATION bob", "bob bob"),
                             ("SET ROLE ward", "ward bob"), ("SET ROLE none", "bob bob"),
                             ("RESET SESSION AUTHORIZATION", "postgres postgres")):
            with self.subTest(set_it):
                mine.q(set_it)
                self.assertEqual(self.value(other, who), "postgres postgres")
                self.assertEqual(self.value(mine, who), then)

    def test_start_up_settings(self):
        plain = self.wire()
        japan = self.wire(TimeZone="Asia/Tokyo")
        path = self.wire(options="-c search_path=x -c pgsidecar.tenant=one")
        named = self.wire(application_name="the pharmacy's")
        self.assertEqual(japan.parameters["TimeZone"], "Asia/Tokyo")
        self.assertEqual(named.parameters["application_name"], "the pharmacy's")
        for _ in range(2):
            self.assertEqual(self.value(plain, "SHOW TimeZone"), "UTC")
            self.assertEqual(self.value(japan, "SHOW TimeZone"), "Asia/Tokyo")
            self.assertEqual(self.value(path, "SHOW search_path"), "x")
            self.assertEqual(self.value(path, "SELECT current_setting('pgsidecar.tenant')"), "one")
            self.assertEqual(self.value(named, "SHOW application_name"), "the pharmacy's")
            for session in (japan, path, named):
                session.q("DISCARD ALL")

    def test_what_the_server_reports_follows(self):
        mine, other = self.wire(), self.wire()
        mine.q("SET TimeZone = 'CET'")
        self.assertNotIn(b"CET", other.q("SELECT 1").raw)
        self.assertNotIn(b"TimeZone", mine.q("SELECT 1").raw)

    def test_a_sequence_tells_only_its_own_session(self):
        mine, other = self.wire(), self.wire()
        mine.q("CREATE SEQUENCE s")
        self.assertEqual(self.value(mine, "SELECT nextval('s')"), "1")
        for sql in ("SELECT lastval()", "SELECT currval('s')"):
            self.assertEqual(other.q(sql).error, "55000")
            self.assertEqual(other.x(sql).error, "55000")
        other.q("DISCARD ALL")
        self.assertEqual(
            mine.q("BEGIN; SELECT nextval('s'); SELECT currval('s'); COMMIT").error, None)

    def test_a_custom_setting_that_was_reset_is_not_unknown(self):
        sidecar = self.own(default_pool_size=2)
        mine, other = self.at(sidecar), self.at(sidecar)
        mine.q("SET app.tenant_id = '7'")
        mine.q("RESET app.tenant_id")
        other.q("BEGIN")  # takes the connection that has seen it
        self.assertEqual(self.value(mine, "SELECT current_setting('app.tenant_id')"), "")

    def test_defaults_of_a_role_that_were_altered(self):
        self.addCleanup(env.cluster.run, "ALTER ROLE alice RESET ALL")
        owner = self.wire()
        self.assertEqual(self.value(self.wire("alice"), "SHOW TimeZone"), "UTC")
        owner.q("ALTER ROLE alice SET TimeZone = 'CET'")
        self.assertEqual(self.value(self.wire("alice"), "SHOW TimeZone"), "CET")


class PinTest(PoolTest):
    """Each keeps its connection until it is reset, and gives a clean one back."""

    pool = {"default_pool_size": 2}

    def held(self, session, sql, release="DISCARD ALL", reason=None):
        before = self.pools()
        self.assertIsNone(session.q(sql).error)
        wait_until("the connection to be kept", lambda: self.pools()["idle"] < self.pools()["servers"])
        if reason:
            wait_until("that to be said", lambda: self.pools()["pinned"] == {reason: 1})
        if release:
            self.assertIsNone(session.q(release).error)
            wait_until("it to be given back", lambda: self.pools()["idle"] == self.pools()["servers"])
        return before

    def test_temporary_table(self):
        mine, other = self.wire(), self.wire()
        self.held(mine, "CREATE TEMP TABLE t AS SELECT 'mine' AS v", None, "temporary_objects")
        self.assertEqual(other.q("SELECT v FROM t").error, "42P01")
        self.assertEqual(self.value(mine, "SELECT v FROM t"), "mine")
        self.assertIsNone(mine.q("DISCARD ALL").error)
        for session in (mine, other):
            self.assertEqual(session.q("SELECT v FROM t").error, "42P01")

    def test_advisory_lock(self):
        mine, other = self.wire(), self.wire()
        self.held(mine, "SELECT pg_advisory_lock(7)", None, "advisory_lock")
        self.assertEqual(self.value(other, "SELECT pg_try_advisory_xact_lock(7)"), "f")
        self.assertEqual(self.value(mine, "SELECT pg_advisory_unlock(7)"), "t")
        self.assertIsNone(mine.q("SELECT pg_advisory_unlock_all()").error)
        wait_until("it to be given back", lambda: self.pools()["idle"] == self.pools()["servers"])
        # One that lasts for the transaction needs nothing.
        self.assertIsNone(mine.q("SELECT pg_advisory_xact_lock(8)").error)
        wait_until("it to be given back", lambda: self.pools()["idle"] == self.pools()["servers"])

    def test_advisory_lock_taken_by_an_execute(self):
        mine, other = self.wire(), self.wire()
        self.assertIsNone(mine.q("PREPARE p AS SELECT pg_advisory_lock(7)").error)
        self.held(mine, "EXECUTE p", None)
        self.held(mine, "DEALLOCATE p", None)
        self.assertEqual(self.value(other, "SELECT pg_try_advisory_xact_lock(7)"), "f")

    def test_seeded_random_numbers(self):
        mine = self.wire()
        self.held(mine, "SELECT setseed(0.5)", None, "setseed")
        self.wire().q("SELECT random()")
        past = self.direct()
        past.q("SELECT setseed(0.5)")
        self.assertEqual(self.value(mine, "SELECT random()"), past.q("SELECT random()").value)
        self.assertIsNone(mine.q("DISCARD ALL").error)
        wait_until("it to be given back", lambda: self.pools()["idle"] == self.pools()["servers"])

    def test_a_backup_is_of_its_session(self):
        mine = self.wire()
        self.held(mine, "SELECT pg_backup_start('nightly', true) IS NOT NULL", None, "not_followed")
        self.assertIsNone(mine.q("SELECT pg_backup_stop(false)").error)

    def test_listen(self):
        mine, other = self.wire(), self.wire()
        self.held(mine, "LISTEN ward", None, "listen")
        other.q("NOTIFY ward, 'bed 4'")
        self.assertEqual(mine.read_frame()[0], b"A")
        self.assertIsNone(mine.q("UNLISTEN *").error)
        wait_until("it to be given back", lambda: self.pools()["idle"] == self.pools()["servers"])
        self.assertEqual(self.pools()["pinned"], {})
        self.held(mine, "LISTEN ward", None, "listen")
        mine.close()
        wait_until("it to be forgotten", lambda: self.pools()["pinned"] == {})
        self.assertNotIn(b"A\0\0\0", other.q("NOTIFY ward").raw)

    def test_held_again_in_the_same_pipeline(self):
        for ends, holds, what in (("UNLISTEN *", "LISTEN ward", "notification"),
                                  ("SELECT pg_advisory_unlock_all()", "SELECT pg_advisory_lock(7)", "lock"),
                                  ("CLOSE ALL", "DECLARE c CURSOR WITH HOLD FOR SELECT 'c'", "cursor")):
            with self.subTest(what):
                mine, other = self.wire(), self.wire()
                mine.send(b"".join(wire.query(sql) for sql in ("BEGIN", ends, holds, "COMMIT")))
                self.assertEqual(mine.read_reply(4).errors, [])
                self.assertLess(self.pools()["idle"], self.pools()["servers"])
                if what == "notification":
                    other.q("NOTIFY ward, 'bed 4'")
                    self.assertEqual(mine.read_frame()[0], b"A")
                elif what == "lock":
                    self.assertEqual(self.value(other, "SELECT pg_try_advisory_xact_lock(7)"), "f")
                else:
                    self.assertEqual(self.value(mine, "FETCH c"), "c")
                self.assertIsNone(mine.q("DISCARD ALL").error)
                wait_until("it to be given back", lambda: self.pools()["idle"] == self.pools()["servers"])

    def test_what_is_followed_outlives_a_reset_at_a_kept_connection(self):
        session = self.wire(application_name="the ward's", options="-c pgsidecar.tenant=t1")
        self.held(session, "LISTEN ward", None)
        for reset in ("RESET ALL", "BEGIN; RESET ALL; COMMIT", "SET application_name TO DEFAULT"):
            self.assertIsNone(session.q(reset).error)
            self.assertEqual(self.value(session, "SELECT current_setting('pgsidecar.tenant')"), "t1")
            self.assertEqual(self.value(session, "SHOW application_name"), "the ward's")

    def test_cursor_with_hold(self):
        mine = self.wire()
        self.held(mine, "DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 3)", None,
                  "cursor_with_hold")
        self.wire().q("SELECT 1")
        self.assertEqual(self.value(mine, "FETCH c"), "1")
        self.assertIsNone(mine.q("CLOSE ALL").error)
        wait_until("it to be given back", lambda: self.pools()["idle"] == self.pools()["servers"])

    def test_what_cannot_be_followed(self):
        mine = self.wire()
        self.held(mine, "DO $$ BEGIN PERFORM set_config('app.x', 'secret', false); END $$",
                  reason="not_followed")
        for _ in range(3):
            self.assertNotEqual(
                self.wire().q("SELECT current_setting('app.x', true)").value, "secret")

    def test_a_client_that_goes_leaves_nothing(self):
        for sql in ("CREATE TEMP TABLE t (i int)", "BEGIN", "SELECT pg_advisory_lock(9)"):
            session = self.wire()
            session.q(sql)
            session.close(polite=sql != "BEGIN")
        wait_until("their connections to end", lambda: self.pools()["servers"] == 0
                   or self.pools()["idle"] == self.pools()["servers"])
        after = self.wire()
        self.assertEqual(after.q("SELECT * FROM t").error, "42P01")
        self.assertEqual(self.value(after, "SELECT pg_try_advisory_xact_lock(9)"), "t")


class StatementTest(PoolTest):
    pool = {"default_pool_size": 1, "workers": 1}  # a worker knows its own sessions' statements

    def test_clients_share_a_statement(self):
        sessions = [self.wire() for _ in range(4)]
        for i, session in enumerate(sessions):
            session.send(wire.parse("SELECT $1::int + 1", "s%d" % (i % 2)) + wire.SYNC)
            self.assertIsNone(session.read_reply().error)
        for i, session in enumerate(sessions):
            session.send(wire.bind([str(i)], name="s%d" % (i % 2)) + wire.execute() + wire.SYNC)
            self.assertEqual(session.read_reply().value, str(i + 1))
        # Counted twice over, were it not shared: the question itself is a simple query.
        self.assertEqual(self.value(sessions[0], "SELECT count(*) FROM pg_prepared_statements"), "1")

    def test_the_same_text_means_each_ones_own_table(self):
        one, two = self.wire(), self.wire()
        one.q("CREATE SCHEMA a; CREATE TABLE a.t AS SELECT 1::int AS v; "
              "CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 'two'::text AS v")
        for session, path in ((one, "a"), (two, "b")):
            session.q("SET search_path = " + path)
            session.send(wire.parse("SELECT v FROM t", "s") + wire.SYNC)
            self.assertIsNone(session.read_reply().error)
        for _ in range(2):
            for session, value in ((one, "1"), (two, "two")):
                session.send(wire.bind(name="s") + wire.execute() + wire.SYNC)
                self.assertEqual(session.read_reply().value, value)

    def test_more_than_the_server_keeps(self):
        sidecar = self.own(max_prepared_statements=3)
        session = self.at(sidecar)
        for turn in range(3):
            for i in range(12):
                ahead = wire.parse("SELECT %d" % i, "s%d" % i) if turn == 0 else b""
                session.send(ahead + wire.bind(name="s%d" % i) + wire.execute() + wire.SYNC)
                self.assertEqual(session.read_reply().value, str(i))
        self.assertLessEqual(
            int(self.value(session, "SELECT count(*) FROM pg_prepared_statements")), 3)

    def test_evicted_in_the_middle_of_a_batch(self):
        session = self.at(self.own(max_prepared_statements=1))
        batch = b"".join(wire.parse("SELECT %d" % i, "s%d" % i) for i in range(20))
        batch += b"".join(wire.bind(name="s%d" % i) + wire.execute() for i in range(20))
        session.send(batch + wire.SYNC)
        self.assertEqual([row[0] for row in session.read_reply().rows], [str(i) for i in range(20)])

    def test_the_unnamed_statement_of_another(self):
        mine, other = self.wire(), self.wire()
        mine.send(wire.parse("SELECT 'secret'") + wire.SYNC)
        mine.read_reply()
        other.send(wire.bind() + wire.execute() + wire.SYNC)
        self.assertEqual(other.read_reply().error, "26000")
        mine.send(wire.bind() + wire.execute() + wire.SYNC)
        self.assertEqual(mine.read_reply().value, "secret")

    def test_names_of_ours(self):
        mine, other = self.wire(), self.wire()
        mine.send(wire.parse("SELECT 'mine'", "s") + wire.SYNC)
        mine.read_reply()
        for name in ("pgsidecar:1", "pgsidecar:0"):
            other.send(wire.bind(name=name) + wire.execute() + wire.SYNC)
            self.assertEqual(other.read_reply().error, "26000")
            other.send(wire.describe(b"S", name) + wire.SYNC)
            self.assertEqual(other.read_reply().error, "26000")
        other.q('DEALLOCATE "pgsidecar:1"; PREPARE "pgsidecar:1" AS SELECT \'forged\'')
        other.q("DISCARD ALL")
        mine.send(wire.bind(name="s") + wire.execute() + wire.SYNC)
        self.assertEqual(mine.read_reply().value, "mine")

    def test_an_error_has_the_clients_name_for_it(self):
        session, past = self.wire(), self.direct()
        for side in (session, past):
            side.send(wire.parse("SELECT $1::int", "mine") + wire.SYNC)
            side.read_reply()
            side.send(wire.bind(name="mine") + wire.SYNC)
        self.assertEqual(session.read_reply().raw, past.read_reply().raw)

    def test_sql_about_statements_of_the_protocol(self):
        session = self.wire()
        session.send(wire.parse("SELECT $1::int * 2", "s") + wire.SYNC)
        session.read_reply()
        self.assertEqual(self.value(session, "EXECUTE s(21)"), "42")
        self.assertEqual(session.q("DEALLOCATE s").raw, wire_reply("DEALLOCATE"))
        self.assertEqual(session.q("DEALLOCATE s").error, "26000")
        session.send(wire.bind(["1"], name="s") + wire.execute() + wire.SYNC)
        self.assertEqual(session.read_reply().error, "26000")
        self.assertEqual(session.q("DEALLOCATE ALL").raw, wire_reply("DEALLOCATE ALL"))
        self.assertEqual(session.q("DISCARD ALL").raw, wire_reply("DISCARD ALL"))

    def test_prepared_by_a_batch_that_fails(self):
        """Two batches sent at once: the first fails before it has prepared what both run."""
        mine, other = self.wire(), self.wire()
        mine.send(wire.parse("SELECT 'here'", "s") + wire.SYNC)
        mine.read_reply()
        other.q("DISCARD ALL; SELECT 1")  # at the server it is no more
        other.q("DEALLOCATE ALL; SELECT 1")
        mine.send(wire.parse("SELECT nothing") + wire.bind(name="s") + wire.execute() + wire.SYNC
                  + wire.bind(name="s") + wire.execute() + wire.SYNC)
        self.assertEqual(mine.read_reply().error, "42703")
        self.assertEqual(mine.read_reply().value, "here")

    def test_a_changed_result_is_prepared_anew(self):
        mine, other = self.wire(), self.wire()
        other.q("CREATE TABLE t AS SELECT 1 AS v")
        mine.send(wire.parse("SELECT * FROM t", "s") + wire.bind(name="s") + wire.execute() + wire.SYNC)
        self.assertEqual(mine.read_reply().value, "1")
        other.q("ALTER TABLE t ADD w text DEFAULT 'new'")
        mine.send(wire.bind(name="s") + wire.execute() + wire.SYNC)
        self.assertEqual(mine.read_reply().error, "0A000")
        mine.send(wire.close(b"S", "s") + wire.parse("SELECT * FROM t", "s") + wire.bind(name="s")
                  + wire.execute() + wire.SYNC)
        self.assertEqual(mine.read_reply().rows, [("1", "new")])


def wire_reply(tag):
    return wire.frame(b"C", tag.encode() + b"\0") + b"Z\0\0\0\5I"


class WaitTest(PoolTest):
    def busy(self, sidecar=None):
        """One that has the only connection."""
        session = self.at(sidecar) if sidecar else self.wire()
        session.q("BEGIN")
        return session

    def waits(self, count, sidecar=None):
        wait_until("%d to wait" % count, lambda: self.pools(sidecar)["waiting"] == count)

    def test_in_the_order_they_came(self):
        sessions = [self.wire() for _ in range(5)]
        holder = self.busy()
        holder.q("CREATE TABLE came (i serial, who int)")
        holder.q("COMMIT; BEGIN")
        for i, session in enumerate(sessions):
            session.send(wire.query("INSERT INTO came (who) VALUES (%d)" % i))
            self.waits(i + 1)
        holder.q("COMMIT")
        for session in sessions:
            self.assertIsNone(session.read_reply().error)
        self.assertEqual([row[0] for row in holder.q("SELECT who FROM came ORDER BY i").rows],
                         ["0", "1", "2", "3", "4"])
        self.assertEqual(self.server_sessions(), 1)

    def test_half_a_message_takes_no_connection(self):
        batch = b"".join((wire.parse("SELECT 1"), wire.bind(), wire.execute(), wire.frame(b"S")))
        sidecar = self.own(workers=1)  # whose idle connection is found without waiting
        for name, message in (("short", wire.query("SELECT 1")), ("batch", batch),
                              ("long", wire.query("SELECT 1 --" + "x" * (2 << 20)))):
            with self.subTest(name):
                half, other = self.at(sidecar), self.at(sidecar)
                half.send(message[:7])
                for _ in range(20):
                    self.assertEqual(self.value(other, "SELECT 2"), "2")
                half.send(message[7:])
                self.assertEqual(half.read_reply().value, "1")

    def test_for_too_long(self):
        sidecar = self.own(query_wait_timeout="300ms")
        waiting = self.at(sidecar)
        holder = self.busy(sidecar)
        for ask in (waiting.q, waiting.x):
            reply = ask("SELECT 1")
            self.assertEqual(reply.error, "55P03")
            self.assertIn(b"query_wait_timeout is 300 ms", reply.raw)
            self.assertEqual(reply.status, "I")
        holder.q("COMMIT")
        self.assertEqual(self.value(waiting, "SELECT 2"), "2")

    def test_a_block_for_too_long(self):
        """What stands behind a BEGIN that finds no connection does not run without it."""
        sidecar = self.own(query_wait_timeout="300ms")
        env.cluster.run("CREATE TABLE written (n int)", database=self.database)
        waiting, holder = self.at(sidecar), self.busy(sidecar)
        insert = "INSERT INTO written VALUES (1)"
        batch = wire.parse(insert) + wire.bind() + wire.execute() + wire.SYNC
        begin = wire.parse("BEGIN") + wire.bind() + wire.execute()
        for block, first in ((wire.query("BEGIN") + batch, (None, "T")), (begin + batch, None),
                             (wire.query("BEGIN;" + insert) + batch, ("55P03", "E")),
                             (begin + wire.SYNC + batch, ("55P03", "E"))):
            waiting.send(block)
            if first:
                reply = waiting.read_reply()
                self.assertEqual((reply.error, reply.status), first)
            reply = waiting.read_reply()
            self.assertEqual((reply.error, reply.status),
                             ("25P02" if first and first[0] else "55P03", "E"))
            reply = waiting.q("COMMIT")
            self.assertEqual((list(reply.tags), reply.status), (["ROLLBACK"], "I"))
        holder.q("COMMIT")
        self.assertEqual(self.value(waiting, "SELECT count(*) FROM written"), "0")

    def test_cancelled(self):
        waiting = self.wire()
        holder = self.busy()
        waiting.send(wire.query("SELECT 1"))
        self.waits(1)
        wire.cancel(self.sidecar.port, waiting.pid, waiting.secret)
        self.assertEqual(waiting.read_reply().error, "57014")
        holder.q("COMMIT")
        self.assertEqual(self.value(waiting, "SELECT 2"), "2")

    def test_who_keeps_the_connection_does_not_wait_for_who_waits_for_it(self):
        env.cluster.run("CREATE TABLE t AS SELECT 1 AS id", database=self.database)
        keeper, waiting = self.wire(), self.wire()
        missed = lambda: self.sidecar.statistics()["reasons"].get("miss", 0)  # noqa: E731
        before = missed()
        wait_until("the catalogs", lambda: keeper.q("SELECT id FROM t") and missed() > before)
        keeper.sock.settimeout(10)
        sql = "SELECT id + 1 FROM t"
        for asks in (wire.query(sql),
                     wire.parse(sql) + wire.bind() + wire.describe() + wire.execute() + wire.SYNC):
            keeper.q("SELECT pg_advisory_lock(1)")
            waiting.send(asks)
            self.waits(1)
            keeper.send(asks)
            self.assertEqual(keeper.read_reply().value, "2")
            keeper.q("SELECT pg_advisory_unlock_all()")
            self.assertEqual(waiting.read_reply().value, "2")
            keeper.q("UPDATE t SET id = id")  # the next one is a miss again

    def test_gone_while_it_waits(self):
        leaving, staying = self.wire(), self.wire()
        holder = self.busy()
        for i, session in enumerate((leaving, staying)):
            session.send(wire.query("SELECT 'answered'"))
            self.waits(i + 1)
        leaving.close(polite=False)
        self.waits(1)
        holder.q("COMMIT")
        self.assertEqual(staying.read_reply().value, "answered")

    def test_a_log_in_that_never_gets_one(self):
        sidecar = self.own(client_login_timeout="1s")
        self.busy(sidecar)
        with self.assertRaises((wire.Closed, wire.LoginError)):
            self.at(sidecar)

    def test_a_cancel_meets_its_own_query_alone(self):
        mine, other = self.wire(application_name="cancelled one"), self.wire()
        for turn in range(30):
            mine.send(wire.query("SELECT pg_sleep(%s)" % ("0.002" if turn % 2 else "10")))
            canceller = threading.Thread(target=wire.cancel, args=(
                self.sidecar.port, mine.pid, mine.secret))
            if turn % 2 == 0:
                wait_until("it to run", lambda: env.cluster.fetch(
                    "SELECT 1 FROM pg_stat_activity WHERE application_name = '%s' AND state = 'active'"
                    % mine.parameters["application_name"]))
            canceller.start()
            reply = mine.read_reply()
            self.assertEqual(self.value(other, "SELECT 'other %d'" % turn), "other %d" % turn)
            canceller.join(TIMEOUT)
            if turn % 2 == 0:
                self.assertEqual(reply.error, "57014")


class SizeTest(PoolTest):
    pool = {"default_pool_size": 4, "workers": 3}

    def test_many_clients_and_few_connections(self):
        self.wire().q("CREATE TABLE t (i int)")
        seen, failed = [], []

        def work():
            try:
                session = self.wire()
                for i in range(20):
                    session.q("BEGIN; INSERT INTO t VALUES (%d); COMMIT" % i)
                    seen.append(self.value(session, "SELECT count(*) FROM pg_stat_activity WHERE "
                                           "datname = current_database() AND application_name NOT LIKE "
                                           "'pgsidecar%'"))
            except Exception as error:  # told below
                failed.append(error)
        threads = [threading.Thread(target=work) for _ in range(40)]
        self.database  # made once, before the threads ask for it
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
        self.assertEqual(failed, [])
        self.assertEqual(len(seen), 800)
        self.assertLessEqual(max(int(n) for n in seen), 4)
        self.assertEqual(self.value(self.wire(), "SELECT count(*) FROM t"), "800")

    def test_idle_time_out_and_the_least_that_stay(self):
        sidecar = self.own(server_idle_timeout="300ms", min_pool_size=1)
        sessions = [self.at(sidecar) for _ in range(3)]
        for session in sessions:
            session.q("BEGIN")
        for session in sessions:
            session.q("COMMIT")
        self.assertEqual(self.pools(sidecar)["servers"], 3)
        wait_until("the idle ones to go", lambda: self.pools(sidecar)["servers"] == 1)
        self.assertEqual(self.value(sessions[0], "SELECT 1"), "1")

    def test_lifetime(self):
        sidecar = self.own(server_lifetime="200ms")
        session = self.at(sidecar)
        first = self.value(session, "SELECT pg_backend_pid()")
        wait_until("another process", lambda: self.value(session, "SELECT pg_backend_pid()") != first)
        wait_until("the idle one to go", lambda: self.pools(sidecar)["servers"] == 0)
        self.assertEqual(self.value(session, "SELECT 1"), "1")

    def test_a_lifetime_of_one_use(self):
        sidecar = self.own(server_lifetime=0, min_pool_size=1)
        session = self.at(sidecar)
        pids = {self.value(session, "SELECT pg_backend_pid()") for _ in range(5)}
        self.assertEqual(len(pids), 5)
        wait_until("one to lie ready", lambda: self.pools(sidecar)["idle"] == 1)

    def test_one_database_bounded_over_its_users(self):
        sidecar = self.own(max_db_connections=1)
        for _ in range(3):
            for user in ("postgres", "alice", "bob"):
                self.assertEqual(self.value(self.at(sidecar, user), "SELECT current_user"), user)
        self.assertLessEqual(self.server_sessions(), 1)

    def test_a_killed_idle_connection_is_not_given_out(self):
        session = self.wire()
        session.q("SELECT 1")
        env.cluster.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = "
                        "'%s'" % self.database)
        wait_until("the pool to see it", lambda: self.pools()["servers"] == 0)
        self.assertEqual(self.value(session, "SELECT 2"), "2")

    def test_altered_defaults_outdate_whatever_lies_idle(self):
        """More than a session tries in vain before it gives up; and each has the new defaults."""
        self.addCleanup(env.cluster.run, "ALTER ROLE alice RESET ALL")
        for where, user in (("ROLE alice", "alice"), ("DATABASE %s" % self.database, "postgres")):
            for workers in (1, 3):
                with self.subTest(where, workers=workers):
                    sidecar = self.own(default_pool_size=8, workers=workers)
                    sessions = [self.at(sidecar, user) for _ in range(8)]
                    for session in sessions:
                        session.q("BEGIN")
                    for session in sessions:
                        session.q("COMMIT")
                    self.assertEqual(self.pools(sidecar)["servers"], 8)
                    memory = "%dMB" % (10 + workers)
                    owner = self.at(sidecar)
                    self.assertIsNone(
                        owner.q("ALTER %s SET work_mem = '%s'" % (where, memory)).error)
                    for session in sessions:
                        self.assertEqual(self.value(session, "SHOW work_mem"), memory)
                    self.assertEqual(self.value(self.at(sidecar, user), "SHOW work_mem"), memory)

    def test_defaults_altered_behind_the_proxy(self):
        """The catalogs tell of it, the next time that they are read."""
        self.addCleanup(env.cluster.run, "ALTER ROLE alice RESET ALL")
        sidecar = self.own(default_pool_size=8)
        sessions = [self.at(sidecar, "alice") for _ in range(8)]
        for session in sessions:
            session.q("BEGIN")
        for session in sessions:
            session.q("COMMIT")
        env.cluster.run("ALTER ROLE alice SET work_mem = '17MB'")
        self.assertIsNone(self.at(sidecar).q("CREATE TABLE t (i int)").error)
        wait_until("the new default",
                   lambda: self.value(sessions[0], "SHOW work_mem") == "17MB")
        for session in sessions:
            self.assertEqual(self.value(session, "SHOW work_mem"), "17MB")

    def test_the_database_can_be_dropped(self):
        name = env.cluster.new_database()
        for _ in range(3):
            session = self.wire(database=name)
            session.q("SELECT 1")
            session.close()
        self.assertIsNone(self.wire().q("DROP DATABASE %s" % name).error)


class RefusalTest(PoolTest):
    def test_a_database_that_is_not_there_yet(self):
        for _ in range(2):
            with self.assertRaises(wire.LoginError) as caught:
                self.wire(database="not_there_%s" % self.database)
            self.assertEqual(caught.exception.fields["C"], "3D000")
        env.cluster.run("CREATE DATABASE not_there_%s" % self.database)
        self.addCleanup(env.cluster.run, "DROP DATABASE not_there_%s WITH (FORCE)" % self.database)
        self.assertEqual(self.value(self.wire(database="not_there_%s" % self.database), "SELECT 1"), "1")

    def test_replication(self):
        with self.assertRaises(wire.LoginError) as caught:
            self.wire(replication="database")
        self.assertEqual(caught.exception.fields["C"], "0A000")

    def test_a_server_that_is_not_there(self):
        sidecar = env.sidecar(pool_mode="transaction", auth_type="trust", server_login_retry="1s",
                              upstream={"port": 1})
        self.addCleanup(sidecar.finish)
        for _ in range(2):
            with self.assertRaises(wire.LoginError) as caught:
                self.at(sidecar)
            self.assertEqual(caught.exception.fields["C"], "08001")

    def test_a_setting_that_cannot_be_restored(self):
        """A role that was dropped since: the session ends, and nobody runs under another one."""
        env.cluster.run("CREATE ROLE leaving")
        mine, other = self.wire(), self.wire()
        mine.q("SET ROLE leaving")
        other.q("SELECT 1")
        env.cluster.run("DROP ROLE leaving")
        with self.assertRaises(wire.Closed) as caught:
            mine.q("SELECT current_user")
        self.assertIn("08006", str(caught.exception))
        self.assertEqual(self.value(other, "SELECT current_user"), "postgres")


class CheckTest(PoolTest):
    def test_a_query_before_use(self):
        sidecar = self.own(server_check_query="SELECT 'checked'", server_check_delay="0s")
        session = self.at(sidecar)
        for _ in range(3):
            self.assertEqual(self.value(session, "SELECT 1"), "1")
        broken = self.own(server_check_query="SELECT 1/0", server_check_delay="0s")
        with self.assertRaises((wire.LoginError, wire.Closed)):
            self.at(broken)

"""Traps of time: a reply is stored or served while a write is on its way."""
import random
import threading
import time

import wire
from cache_case import CacheTest, env
from harness import TIMEOUT, backend, own_backend, wait_until

SCHEMA = """
CREATE TABLE t (id int PRIMARY KEY, v int);
INSERT INTO t SELECT i, 0 FROM generate_series(1, 10) i;
CREATE TABLE big AS SELECT i FROM generate_series(1, 1500) i;
ANALYZE;
"""
ONE = "SELECT v FROM t WHERE id = 1"
SLOW = "SELECT max(t.v), count(*) FROM t, big a, big b WHERE t.id = 1"


class RaceTest(CacheTest):
    started = 0

    def setUp(self):
        super().setUp()
        self.setup_sql(SCHEMA)

    def start(self, session):
        """Sends a slow statement and returns its text when the server is seen to work at it. One
        that has ended before anybody looked is followed by one with another text."""
        for _ in range(50):
            self.started += 1
            text = SLOW + " -- %d" % self.started
            session.send(wire.query(text))
            while not session.readable():
                if env.cluster.fetch("SELECT 1 FROM pg_stat_activity WHERE pid = %d AND state = "
                                     "'active' AND query = '%s'" % (backend(session), text)):
                    return text
            session.read_reply()
        raise AssertionError("no statement was seen at work")

    def test_read_old_write_invalidate_store_old(self):
        reader, writer = self.wire(), self.wire()
        self.cached(writer, ONE)
        for value in range(1, 4):
            slow = self.start(reader)
            self.assertEqual(writer.q("UPDATE t SET v = %d WHERE id = 1" % value).error, None)
            old = reader.read_reply().rows[0][0]
            self.assertIn(old, (str(value - 1), str(value)))
            for session in (reader, writer, self.wire()):
                self.assertEqual(session.q(slow).rows[0][0], str(value))

    def test_identical_misses_at_once_and_a_write_between(self):
        """A waiter that came after the write's acknowledgement must not get the older leader's rows."""
        leader, writer, late = self.wire(), self.wire(), self.wire()
        self.cached(writer, ONE)
        slow = self.start(leader)
        writer.q("UPDATE t SET v = 7 WHERE id = 1")
        self.assertEqual(late.q(slow).rows[0][0], "7")
        leader.read_reply()

    def test_leader_that_fails_hands_over(self):
        sessions = [self.wire() for _ in range(5)]
        self.cached(sessions[0], ONE)
        for session in sessions:
            session.send(wire.query(SLOW))
        wire.cancel(self.sidecar.port, sessions[0].pid, sessions[0].secret)
        first = sessions[0].read_reply()
        self.assertIn(first.error, ("57014", None))
        for session in sessions[1:]:
            self.assertEqual(session.read_reply().rows[0][0], "0")

    def test_leader_that_vanishes_hands_over(self):
        sessions = [self.wire() for _ in range(5)]
        self.cached(sessions[0], ONE)
        for session in sessions:
            session.send(wire.query(SLOW))
        sessions[0].close(polite=False)
        for session in sessions[1:]:
            self.assertEqual(session.read_reply().rows[0][0], "0")

    def test_leader_whose_client_does_not_read(self):
        self.setup_sql("CREATE TABLE wide AS SELECT i, repeat('w', 1000) AS w FROM "
                       "generate_series(1, 20000) i")
        stuck, other = self.wire(), self.wire()
        self.cached(other, ONE)
        stuck.send(wire.query("SELECT * FROM wide"))
        self.assertEqual(len(other.q("SELECT * FROM wide").rows), 20000)
        self.assertEqual(len(stuck.read_reply().rows), 20000)

    def test_own_uncommitted_rows_are_not_shared(self):
        writer, reader = self.wire(), self.wire()
        self.cached(reader, ONE)
        writer.q("BEGIN")
        writer.q("UPDATE t SET v = 5 WHERE id = 1")
        for _ in range(3):
            self.assertEqual(writer.q(ONE).value, "5")
            self.assertEqual(reader.q(ONE).value, "0")
        writer.q("ROLLBACK")
        for session in (writer, reader, self.wire()):
            for _ in range(3):
                self.assertEqual(session.q(ONE).value, "0")

    def test_rolled_back_rows_are_not_kept(self):
        """Read, and so perhaps kept, while they were there; the end comes in different ways."""
        reader = self.wire()
        self.cached(reader, ONE)
        for turn, ending in enumerate((["ROLLBACK"], ["ABORT"], ["SELECT 1/0", "COMMIT"], ["a lost client"])):
            writer = self.wire()
            writer.send(b"".join(wire.query(sql) for sql in (
                "BEGIN", "UPDATE t SET v = 5 WHERE id = 1", ONE, "INSERT INTO t VALUES (%d, 5)" % (100 + turn),
                ONE, "SELECT count(*) FROM t")))
            got = [writer.read_reply() for _ in range(6)]
            self.assertEqual([got[i].value for i in (2, 4, 5)], ["5", "5", "11"])
            if ending == ["a lost client"]:
                writer.close(polite=False)
                writer = self.wire()
            else:
                writer.send(b"".join(map(wire.query, ending + [ONE])))
                self.assertEqual(writer.read_reply(len(ending) + 1).rows, [("0",)])
            for session in (reader, writer, self.wire()):
                for _ in range(3):
                    self.assertEqual(session.q(ONE).value, "0", ending)
                    self.assertEqual(session.q("SELECT count(*) FROM t").value, "10", ending)
        self.cached(reader, ONE)

    def test_own_uncommitted_rows_in_an_implicit_transaction(self):
        writer, reader = self.wire(), self.wire()
        self.cached(reader, ONE)
        reply = writer.q("UPDATE t SET v = 5 WHERE id = 1; %s; SELECT 1/0" % ONE)
        self.assertEqual(reply.rows, [("5",)])
        reply = writer.batch(wire.parse("UPDATE t SET v = 5 WHERE id = 1"), wire.bind(),
                             wire.execute(), wire.parse(ONE), wire.bind(), wire.describe(),
                             wire.execute(), wire.parse("SELECT 1/0"), wire.bind(), wire.execute())
        self.assertEqual(reply.rows, [("5",)])
        for session in (writer, reader):
            for _ in range(3):
                self.assertEqual(session.q(ONE).value, "0")

    def test_rolled_back_savepoint(self):
        writer, reader = self.wire(), self.wire()
        self.cached(reader, ONE)
        writer.q("BEGIN")
        writer.q("SAVEPOINT s")
        writer.q("UPDATE t SET v = 5 WHERE id = 1")
        self.assertEqual(writer.q(ONE).value, "5")
        writer.q("ROLLBACK TO s")
        self.assertEqual(writer.q(ONE).value, "0")
        writer.q("UPDATE t SET v = 6 WHERE id = 1")
        writer.q("RELEASE s")
        self.assertEqual(writer.q(ONE).value, "6")
        self.assertEqual(reader.q(ONE).value, "0")
        writer.q("COMMIT")
        self.assertEqual(reader.q(ONE).value, "6")

    def test_repeatable_read_keeps_its_snapshot(self):
        old, writer = self.wire(), self.wire()
        self.cached(writer, ONE)
        old.q("BEGIN ISOLATION LEVEL REPEATABLE READ")
        self.assertEqual(old.q(ONE).value, "0")
        writer.q("UPDATE t SET v = 9 WHERE id = 1")
        self.assertEqual(self.cached(self.wire(), ONE).value, "9")
        self.assertEqual(old.q(ONE).value, "0")
        old.q("COMMIT")
        self.assertEqual(old.q(ONE).value, "9")

    def test_old_snapshot_does_not_fill(self):
        """A repeatable-read block sees old rows after the write; they must not become the entry."""
        old, writer, reader = self.wire(), self.wire(), self.wire()
        old.q("BEGIN ISOLATION LEVEL REPEATABLE READ")
        old.q("SELECT 1 FROM big LIMIT 1")
        writer.q("UPDATE t SET v = 9 WHERE id = 1")
        self.assertEqual(old.q(ONE).value, "0")
        self.assertEqual(old.q(ONE).value, "0")
        old.send(wire.query(ONE) + wire.query("COMMIT"))
        old.read_reply(2)
        for _ in range(3):
            self.assertEqual(reader.q(ONE).value, "9")
            self.assertEqual(old.q(ONE).value, "9")

    def test_two_phase_commit_by_another_session(self):
        writer, second, reader = self.wire(), self.wire(), self.wire()
        self.cached(reader, ONE)
        writer.q("BEGIN")
        writer.q("UPDATE t SET v = 3 WHERE id = 1")
        writer.q("PREPARE TRANSACTION 'x_%s'" % self.database)
        writer.close()
        for _ in range(3):
            self.assertEqual(reader.q(ONE).value, "0")
        self.cached(reader, "SELECT count(*) FROM t WHERE id = 2")
        second.q("COMMIT PREPARED 'x_%s'" % self.database)
        for session in (reader, second):
            self.assertEqual(session.q(ONE).value, "3")

    def test_rolled_back_two_phase_transaction(self):
        writer, reader = self.wire(), self.wire()
        writer.q("BEGIN")
        writer.q("UPDATE t SET v = 3 WHERE id = 1")
        self.assertEqual(writer.q(ONE).value, "3")
        writer.q("PREPARE TRANSACTION 'y_%s'" % self.database)
        self.assertEqual(writer.q(ONE).value, "0")
        writer.q("ROLLBACK PREPARED 'y_%s'" % self.database)
        self.assertEqual(self.cached(reader, ONE).value, "0")

    @own_backend
    def test_connection_that_dies_with_its_commit_in_flight(self):
        reader = self.wire()
        for turn in range(1, 16):
            self.cached(reader, ONE)
            writer = self.wire()
            pid = backend(writer)
            writer.send(wire.query("UPDATE t SET v = %d WHERE id = 1" % turn)[:-1 if turn % 5 == 0
                                                                              else None])
            writer.close(polite=False)
            wait_until("the backend to end", lambda: not env.cluster.fetch(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %d" % pid))
            want = self.direct().q(ONE).value
            for _ in range(3):
                self.assertEqual(reader.q(ONE).value, want, turn)

    @own_backend
    def test_backend_that_is_killed_with_its_write_in_flight(self):
        reader = self.wire()
        for turn in range(10):
            self.cached(reader, ONE)
            writer = self.wire()
            writer.send(wire.query("UPDATE t SET v = v + 1 WHERE id = 1"))
            env.cluster.fetch("SELECT pg_terminate_backend(%d, 5000)" % backend(writer))
            writer.read_to_end()
            self.assertEqual(reader.q(ONE).value, self.direct().q(ONE).value)

    def test_write_in_flight_while_a_reader_asks(self):
        """The row is locked by a block that later commits: before the acknowledgement either answer
        is right, after it only the new one; nobody steps back."""
        writer, reader = self.wire(), self.wire()
        for turn in range(1, 20):
            self.cached(reader, ONE)
            writer.send(wire.query("BEGIN; UPDATE t SET v = %d WHERE id = 1; COMMIT" % turn))
            seen = [int(reader.q(ONE).value) for _ in range(10)]
            self.assertEqual(seen, sorted(seen))
            self.assertTrue(set(seen) <= {turn - 1, turn}, seen)
            writer.read_reply()
            self.assertEqual(reader.q(ONE).value, str(turn))


class StressTest(CacheTest):
    """Many writers and readers: acknowledged means visible, and no session ever steps back."""

    SECONDS, ROWS = 6, 6

    def setUp(self):
        super().setUp()
        self.setup_sql(SCHEMA)
        self.acknowledged = [0] * (self.ROWS + 1)
        self.problems, self.reads = [], 0

    def _writer(self, row, session, stop, rng):
        value = 0
        while time.monotonic() < stop and not self.problems:
            value += 1
            kind = rng.randrange(5)
            sql = "UPDATE t SET v = %d WHERE id = %d" % (value, row)
            if kind == 0:
                session.q("BEGIN")
                session.q(sql)
                session.q("COMMIT")
            elif kind == 1:
                session.x("UPDATE t SET v = $1 WHERE id = $2", [value, row])
            elif kind == 2:
                session.q("BEGIN; UPDATE t SET v = -1 WHERE id = %d; ROLLBACK" % row)
                session.q(sql)
            else:
                session.q(sql)
            self.acknowledged[row] = value
            time.sleep(rng.random() * 0.004)

    def _reader(self, session, stop, rng):
        last = [0] * (self.ROWS + 1)
        while time.monotonic() < stop and not self.problems:
            row = rng.randrange(1, self.ROWS + 1)
            least = self.acknowledged[row]
            if rng.randrange(2):
                reply = session.q("SELECT v FROM t WHERE id = %d" % row)
            else:
                reply = session.x("SELECT v FROM t WHERE id = $1", [row])
            value = int(reply.value)
            if value < least or value < last[row]:
                self.problems.append("row %d: read %d after %d was acknowledged and %d seen"
                                     % (row, value, least, last[row]))
            last[row] = value
            self.reads += 1

    def test_no_stale_read_and_no_step_back_under_load(self):
        before, stop = self.hits(), time.monotonic() + self.SECONDS
        workers = [threading.Thread(target=self._writer, args=(row, self.wire(), stop,
                                                              random.Random(row)))
                   for row in range(1, self.ROWS + 1)]
        workers += [threading.Thread(target=self._reader, args=(self.wire(), stop,
                                                               random.Random(100 + i)))
                    for i in range(6)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(TIMEOUT + self.SECONDS)
        self.assertEqual(self.problems, [])
        self.assertGreater(self.reads, 100)
        if not self.sidecar.control:
            self.assertGreater(self.hits(), before)

"""One process takes the place of another under load: no client sees an error, nobody reads a row that
is older than a write that was acknowledged, and whoever dies on the way takes nothing with it.

PGSIDECAR_TEST_HANDOVERS says how often in a row (10).
"""
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import psycopg

import wire
from cache_case import CacheTest, env
from harness import SHARED_CONNECTIONS, Sidecar, wait_until

HANDOVERS = int(os.environ.get("PGSIDECAR_TEST_HANDOVERS", "10"))
SCHEMA = "CREATE TABLE v AS SELECT i AS id, 0 AS n FROM generate_series(1, 8) i"
READ = "SELECT n FROM v WHERE id = 1"


class HandoverTest(CacheTest):
    """Processes of its own, each in the place of the one before; `sidecar` is the present one."""

    over = {}
    made = 0

    @classmethod
    def setUpClass(cls):
        pass  # no process for the whole class

    def setUp(self):
        if env.control:
            self.skipTest("control run: there is no program")
        HandoverTest.made += 1
        self.path = os.path.join(env.folder, "take%d.sock" % HandoverTest.made)
        self.processes = []
        self.sidecar = None
        self.addCleanup(self.finish_all)
        self.sidecar = self.start()
        self._database = None
        self.addCleanup(lambda: self.sidecar.process.poll() is None and self.sidecar.check_alive())
        self.setup_sql(SCHEMA)

    def settings(self, **over):
        return env.settings(**{"takeover_socket": self.path, **self.over, **over})

    def start(self, *arguments, **over):
        made = Sidecar(env.program, env.folder, self.settings(**over), arguments=arguments)
        self.processes.append(made)
        return made

    def hand_over(self, **over):
        before = self.sidecar
        self.sidecar = self.start("--take-over", **over)
        return before

    def finish_all(self):
        for process in reversed(self.processes):
            if process.process.poll() != -signal.SIGKILL:
                process.finish()

    def refused(self, *arguments, **over):
        """The program ends without having served; what it said, and its exit code."""
        path = os.path.join(env.folder, "refused_%d.yaml" % time.monotonic_ns())
        import json
        with open(path, "w") as f:
            json.dump(self.settings(**over), f)
        done = subprocess.run([env.program, "run", "-c", path, *arguments], capture_output=True,
                              text=True, timeout=wire.TIMEOUT)
        return done.returncode, done.stderr

    def state(self, process=None):
        return (process or self.sidecar).statistics()["hand_over"]

    def wait_cache(self):
        wait_until("the cache to be on", lambda: not self.state()["suspended"])

    def wait_end(self, process):
        """It ends by itself, well."""
        self.assertEqual(process.process.wait(wire.TIMEOUT), 0, process.output.text()[-3000:])

    def ask_for_place(self):
        """As the program does, by hand."""
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(channel.close)
        channel.settimeout(wire.TIMEOUT)
        channel.connect(self.path)
        channel.send(b"take_over 1")
        text = b"database "
        while text.startswith(b"database "):
            text, passed, _, _ = socket.recv_fds(channel, 1024, 4)
        self.assertEqual(text, b"listener")
        self.assertEqual(len(passed), 1)
        os.close(passed[0])
        return channel


class Load:
    """Clients of all kinds; every error of theirs is kept, and every read that went back in time."""

    def __init__(self, test, port):
        self.port, self.database = port, test.database
        self.acknowledged = [0] * 9
        self.errors, self.done = [], {}
        self.ends = threading.Event()
        kinds = [(self.write, 1, 1), (self.write, 2, 25), (self.read, 1, 1), (self.read, 2, 1),
                 (self.read, 1, 40), (self.read, 2, 40)]
        self.threads = [threading.Thread(target=self.run, args=(i, *kind), daemon=True)
                        for i, kind in enumerate(kinds)]
        for thread in self.threads:
            thread.start()

    def run(self, number, work, row, uses):
        try:
            while not self.ends.is_set():
                with psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=%s sslmode=disable"
                                     % (self.port, self.database), autocommit=True) as conn:
                    for use in range(uses):
                        work(conn, row, use)
                        self.done[number] = self.done.get(number, 0) + 1
        except Exception as error:  # whatever it is, a client saw it
            self.errors.append("%s of row %d: %r" % (work.__name__, row, error))

    def write(self, conn, row, use):
        want = self.acknowledged[row] + 1  # each row has one writer
        if use % 2:
            conn.execute("UPDATE v SET n = n + 1 WHERE id = %s", [row])
        else:
            with conn.transaction():
                conn.execute("UPDATE v SET n = n + 1 WHERE id = %d" % row)
        self.acknowledged[row] = want

    def read(self, conn, row, use):
        for _ in range(4):
            least = self.acknowledged[row]
            if use % 2:
                got = conn.execute("SELECT n FROM v WHERE id = %s", [row]).fetchone()[0]
            else:
                got = conn.execute("SELECT n FROM v WHERE id = %d" % row).fetchone()[0]
            if got < least:
                self.errors.append("row %d: read %d after %d was acknowledged" % (row, got, least))

    def progress(self):
        """Every client has done something since."""
        before = dict(self.done)
        wait_until("the clients to go on", lambda: self.errors or all(
            self.done.get(i, 0) > before.get(i, 0) for i in range(len(self.threads))))

    def finish(self):
        self.ends.set()
        for thread in self.threads:
            thread.join(wire.TIMEOUT)


class LoadTest(HandoverTest):
    def test_many_in_a_row_without_one_error(self):
        idle = self.connect()
        idle.execute("SELECT 1")
        load = Load(self, self.sidecar.port)
        self.addCleanup(load.finish)
        hits = 0
        for i in range(HANDOVERS):
            load.progress()
            before = self.hand_over()
            load.progress()
            if i == HANDOVERS // 2:
                # It has been with the first process all the time.
                self.assertEqual(idle.execute("SELECT 1").fetchone(), (1,))
                idle.close()
            if i > HANDOVERS // 2:
                self.wait_end(before)
            if i % 3 == 2 and i > HANDOVERS // 2 or i == HANDOVERS - 1:
                self.wait_cache()
                seen = self.hits()
                wait_until("hits", lambda: load.errors or self.hits() > seen)
                hits += 1
            self.assertEqual(load.errors, [])
        load.progress()
        load.finish()
        self.assertEqual(load.errors, [])
        self.assertGreater(hits, 0)
        self.assertEqual(sum(load.acknowledged),
                         env.cluster.fetch("SELECT sum(n) FROM v", self.database)[0][0])
        for process in self.processes[:-1]:
            self.wait_end(process)


class PooledLoadTest(LoadTest):
    over = SHARED_CONNECTIONS


class OrderTest(HandoverTest):
    def test_the_old_process_keeps_its_clients_and_then_ends(self):
        session = self.wire()
        self.cached(session, READ)
        first = self.hand_over()
        self.assertTrue(self.state(first)["leaving"])
        self.assertTrue(self.state()["suspended"])
        other = self.wire()
        self.assertEqual(other.q("UPDATE v SET n = 7 WHERE id = 1").error, None)
        self.assertEqual(session.q(READ).value, "7")
        self.assertEqual(session.q("UPDATE v SET n = 8 WHERE id = 1").error, None)
        self.assertEqual(other.q(READ).value, "8")
        before = self.reasons()
        self.not_cached(other, READ)
        wait_until("what hinders to be counted", lambda: self.reasons().get("bypass:handover", 0)
                   > before.get("bypass:handover", 0))
        self.assertEqual(self.reasons().get("bypass:stale_catalog", 0),
                         before.get("bypass:stale_catalog", 0))
        session.close()
        self.wait_end(first)
        self.wait_cache()
        self.assertEqual(self.cached(other, READ).value, "8")

    def test_what_waits_in_the_queue_is_not_lost(self):
        """Nobody accepts between the two: whoever connects meanwhile is served by the next."""
        kept = self.wire()
        self.cached(kept, READ)
        channel = self.ask_for_place()
        channel.send(b"ready")
        self.assertEqual(channel.recv(1024), b"yours")
        waiting = [wire.Wire(self.sidecar.port) for _ in range(5)]
        for session in waiting:
            self.addCleanup(session.close)
            session.send(wire.startup(user="postgres", database=self.database))
        channel.close()  # the new one has died: the old one accepts again
        for session in waiting:
            session.read_reply()
            self.assertEqual(session.q("SELECT 1").value, "1")
        self.assertFalse(self.state()["leaving"])
        self.wait_cache()
        self.cached(kept, READ)
        self.cached(waiting[0], READ)
        self.hand_over()  # as if nothing had happened
        self.assertEqual(self.wire().q("SELECT 1").value, "1")

    def test_a_new_process_that_dies_before_it_is_ready_changes_nothing(self):
        session = self.wire()
        self.cached(session, READ)
        channel = self.ask_for_place()
        hits = self.hits()
        self.assertEqual(session.q(READ).value, "0")
        wait_until("it to be counted as a hit", lambda: self.hits() > hits)  # still on
        code, said = self.refused("--take-over")
        self.assertEqual(code, 1)
        self.assertIn("keeps its place: process %d asks, too" % os.getpid(), said)
        channel.close()
        self.sidecar.output.wait_for("is gone, this one stays")
        self.assertEqual(self.wire().q(READ).value, "0")
        self.assertFalse(self.state()["suspended"])

    def test_a_new_process_that_is_killed_gives_the_place_back(self):
        session = self.wire()
        self.cached(session, READ)
        first = self.hand_over()
        second = self.wire()
        self.assertEqual(second.q("UPDATE v SET n = 5 WHERE id = 1").error, None)
        self.sidecar.process.kill()
        self.sidecar.process.wait()
        self.sidecar = first
        third = self.wire()
        self.assertEqual(third.q(READ).value, "5")
        self.wait_cache()
        self.assertEqual(self.cached(session, READ).value, "5")

    def test_an_old_process_that_is_killed_leaves_a_commit_behind(self):
        """It is not acknowledged to anybody; still no older row may stay in the cache."""
        session = self.wire()
        self.cached(session, READ)
        first = self.hand_over()
        session.send(wire.query("UPDATE v SET n = 9 WHERE id = 1 AND pg_sleep(4) IS NOT NULL"))
        wait_until("the update to run", lambda: env.cluster.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'UPDATE v%' AND "
            "wait_event = 'PgSleep'")[0][0] == 1)
        first.process.kill()
        first.process.wait()
        reader = self.wire()
        self.assertEqual(reader.q(READ).value, "0")
        self.wait_cache()
        self.assertEqual(self.cached(reader, READ).value, "9")

    def test_definitions_changed_through_the_old_process(self):
        session = self.wire()
        self.cached(session, READ)
        first = self.hand_over()
        other = self.wire()
        session.q("CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS "
                  "'BEGIN UPDATE v SET n = 50 WHERE id = 1; RETURN NULL; END'")
        session.q("CREATE TABLE w (i int); CREATE TRIGGER t AFTER INSERT ON w "
                  "EXECUTE FUNCTION touch()")
        session.close()
        self.wait_end(first)
        self.wait_cache()
        self.cached(other, READ)
        self.assertEqual(other.q("INSERT INTO w VALUES (1)").error, None)
        self.assertEqual(other.q(READ).value, "50")

    def test_the_end_of_the_new_one_is_the_end_of_all(self):
        self.wire()
        first = self.hand_over()
        self.wire()
        second = self.hand_over()
        self.sidecar.finish()
        self.wait_end(second)
        self.wait_end(first)


class TimeoutTest(HandoverTest):
    over = {"handover_timeout": "300ms"}

    def test_clients_that_stay_are_ended(self):
        session = self.wire()
        first = self.hand_over()
        self.assertIn(b"C57P01", session.read_to_end())
        self.wait_end(first)
        self.wait_cache()


class CancelTest(HandoverTest):
    def cancelled(self, conn):
        """A query of this connection ends by a cancel, which goes to whoever accepts now."""
        said = []

        def ask():
            try:
                conn.execute("SELECT pg_sleep(600)")
            except psycopg.Error as error:
                said.append(error.sqlstate)

        thread = threading.Thread(target=ask, daemon=True)
        count = ("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' "
                 "AND wait_event = 'PgSleep'")
        thread.start()
        wait_until("the query to run", lambda: env.cluster.fetch(count)[0][0] == 1)
        began = time.monotonic()
        conn.cancel()
        thread.join(wire.TIMEOUT)
        self.assertEqual(said, ["57014"])
        self.assertLess(time.monotonic() - began, 30)
        wait_until("the query to end", lambda: env.cluster.fetch(count)[0][0] == 0)

    def test_a_cancel_reaches_the_process_that_has_the_client(self):
        oldest = self.connect()
        self.hand_over()
        self.cancelled(oldest)
        middle = self.connect()
        second = self.hand_over()
        self.cancelled(middle)
        self.cancelled(oldest)  # over the process between
        middle.close()
        self.wait_end(second)
        # The first one has told the third that it is there.
        wait_until("it to be known", lambda: self.state()["predecessors"] == 1)
        self.cancelled(oldest)
        self.cancelled(self.connect())

    def test_a_key_of_nobody(self):
        self.wire()
        self.hand_over()
        for _ in range(3):
            stranger = wire.Wire(self.sidecar.port)
            stranger.send(b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\x12\x34\0\0\0\x07")
            self.assertEqual(stranger.read_to_end(), b"")


class PooledCancelTest(CancelTest):
    over = SHARED_CONNECTIONS


class RefusalTest(HandoverTest):
    def test_a_second_process_is_refused_in_clear_words(self):
        session = self.wire()
        code, said = self.refused()
        self.assertEqual(code, 1)
        self.assertIn("process %d is serving; start with --take-over" % self.sidecar.pid, said)
        self.assertEqual(session.q("SELECT 1").value, "1")

    def test_a_configuration_that_is_broken_takes_nothing_over(self):
        session = self.wire()
        self.cached(session, READ)
        for over, code, word in (
                ({"no_such_key": 1}, 2, "no_such_key"),
                ({"listen_port": 1}, 1, "nothing was taken over"),
                ({"upstream": {"port": 1, "control_connection": ""}, "enable_optimizations": False,
                  "cache": {"enable_query_result_caching": False}}, 1, "cannot be reached"),
                ({"upstream": {"control_connection": "user=rejected_user dbname=postgres"},
                  "server_connect_timeout": "1s"}, 1, "catalogs cannot be read")):
            got = self.refused("--take-over", **over)
            self.assertEqual(got[0], code, got[1])
            self.assertIn(word, got[1])
            hits = self.hits()
            self.assertEqual(session.q(READ).value, "0")
            wait_until("it to be counted as a hit", lambda: self.hits() > hits)
            self.assertEqual(self.wire().q("SELECT 1").value, "1")

    def test_what_a_dead_process_has_left_is_no_obstacle(self):
        self.sidecar.process.kill()
        self.sidecar.process.wait()
        self.assertTrue(os.path.exists(self.path))
        self.sidecar = self.start()
        self.assertEqual(self.wire().q("SELECT 1").value, "1")
        self.assertFalse(self.state()["suspended"])

    def test_with_nobody_there_take_over_just_starts(self):
        self.sidecar.finish()
        self.sidecar = self.start("--take-over")
        self.assertFalse(self.state()["suspended"])
        self.assertEqual(self.wire().q("SELECT 1").value, "1")

    def test_without_a_socket_there_is_nothing_to_take_over(self):
        code, said = self.refused("--take-over", takeover_socket="")
        self.assertEqual((code, "--take-over needs takeover_socket" in said), (1, True), said)

    def test_only_the_owner_may_ask(self):
        for path in (self.path, self.path + ".lock"):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        if os.geteuid() != 0:
            self.skipTest("needs another user to try it as")
        asks = ("import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                "s.settimeout(20)\ntry:\n s.connect(sys.argv[1])\n s.send(b'take_over 1')\n"
                " print(socket.recv_fds(s, 1024, 4)[:2])\nexcept OSError as e: print(type(e).__name__)")

        def try_it():
            return subprocess.run(["runuser", "-u", "postgres", "--", sys.executable, "-c", asks,
                                   self.path], capture_output=True, text=True, cwd="/").stdout.strip()
        self.assertEqual(try_it(), "PermissionError")
        os.chmod(self.path, 0o777)  # also then it is asked who is there
        self.assertIn(try_it(), ("(b'', [])", "ConnectionResetError", "BrokenPipeError"))
        self.assertEqual(self.wire().q("SELECT 1").value, "1")


class SharedPortTest(HandoverTest):
    over = {"so_reuseport": True}

    def test_another_program_may_have_the_port_too(self):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(("127.0.0.1", self.sidecar.port))
        self.assertEqual(self.wire().q("SELECT 1").value, "1")

"""Volume, pace and interruption: big values with bounded memory, slow readers, COPY, cancel,
notifications, replication, large objects."""
import os
import socket
import struct
import subprocess
import threading
import time

import psycopg

import wire
from harness import PGBIN, TIMEOUT, ProxyTest, backend, env, own_backend, wait_until

MEGABYTE = 1 << 20


def backend_is(session, state):
    return lambda: env.cluster.fetch(
        "SELECT 1 FROM pg_stat_activity WHERE pid = %d AND state = '%s'" % (backend(session), state))


class VolumeTest(ProxyTest):
    config = {"cache": {"enable_query_result_caching": True, "max_memory": "16MB"}}

    def setUp(self):
        super().setUp()
        self.peak = None if self.sidecar.control else self.sidecar.resident_peak()

    def bounded(self, limit=64 * MEGABYTE):
        """Memory grew by less than limit since the test began (a sanitizer's shadow apart)."""
        if self.peak is not None and not self._sanitized():
            self.assertLess(self.sidecar.resident_peak() - self.peak, limit)

    def _sanitized(self):
        with open("/proc/%d/maps" % self.sidecar.pid) as f:
            maps = f.read()
        return "libasan" in maps or "libtsan" in maps

    def test_data_row_of_two_hundred_megabytes(self):
        session = self.wire()
        size = 200 * MEGABYTE
        session.send(wire.query("SELECT repeat('x', %d)" % size))
        seen, tail = 0, b""
        want = 200 * MEGABYTE
        while not tail.endswith(b"Z\0\0\0\5I"):
            chunk = session.sock.recv(MEGABYTE)
            self.assertTrue(chunk)
            seen += chunk.count(b"x")
            tail = (tail + chunk)[-16:]
        self.assertGreaterEqual(seen, want)
        self.assertEqual(session.q("SELECT 1").value, "1")
        self.bounded()

    def test_statement_text_of_fifty_megabytes(self):
        session = self.wire()
        self.assertEqual(session.q("SELECT length('%s')" % ("y" * (50 * MEGABYTE))).value,
                         str(50 * MEGABYTE))
        self.bounded()

    def test_parameter_of_a_hundred_megabytes(self):
        session = self.wire()
        reply = session.x("SELECT length($1::bytea)", [b"\1" * (100 * MEGABYTE)], formats=[1])
        self.assertEqual(reply.value, str(100 * MEGABYTE))
        self.bounded()

    def test_a_million_rows_reach_a_slow_reader_with_bounded_memory(self):
        session = self.wire()
        session.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        session.send(wire.query("SELECT i, repeat('r', 100) FROM generate_series(1, 1000000) i"))
        # Not read until the server itself has to wait for its client: then every buffer is full.
        wait_until("back-pressure to reach the server", lambda: env.cluster.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE pid = %d AND wait_event = 'ClientWrite'"
            % backend(session)))
        self.bounded()
        other = self.wire()
        self.assertEqual(other.q("SELECT 'not held up'").value, "not held up")
        reply = session.read_reply()
        self.assertEqual(reply.raw.count(b"D\0\0\0"), 1000000)
        self.bounded()

    def test_slow_server_side_reader_pauses_the_client(self):
        """A COPY into a table that is locked: the client's bytes must pile up in the client."""
        owner, session = self.wire(), self.wire()
        owner.q("CREATE TABLE t (v text)")
        owner.q("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END'")
        owner.q("CREATE TRIGGER s BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow()")
        owner.q("SELECT pg_advisory_lock(7)")
        session.send(wire.query("COPY t FROM STDIN"))
        self.assertEqual(session.read_frame()[0], b"G")
        session.sock.settimeout(2)
        block = wire.frame(b"d", (b"v" * 99 + b"\n") * 1000)
        sent = 0
        try:
            while sent < 300 * MEGABYTE:
                sent += session.sock.send(block)
        except TimeoutError:
            pass
        self.assertLess(sent, 300 * MEGABYTE)
        self.bounded()
        session.close(polite=False)
        owner.q("SELECT pg_advisory_unlock(7)")


class CopyTest(ProxyTest):
    def test_copy_in_and_out_of_a_hundred_thousand_rows(self):
        conn = self.connect()
        conn.execute("CREATE TABLE t (a int, b text)")
        with conn.cursor().copy("COPY t FROM STDIN") as copy:
            for i in range(100000):
                copy.write_row((i, "row %d" % i))
        self.assertEqual(conn.execute("SELECT count(*), sum(a) FROM t").fetchone(),
                         (100000, 4999950000))
        with conn.cursor().copy("COPY (SELECT * FROM t ORDER BY a) TO STDOUT") as copy:
            self.assertEqual(sum(1 for _ in copy.rows()), 100000)

    def test_binary_copy_both_ways_is_byte_equal(self):
        conn = self.connect()
        conn.execute("CREATE TABLE t AS SELECT i, now() AS at FROM generate_series(1, 1000) i")
        conn.execute("CREATE TABLE u (LIKE t)")
        with conn.cursor().copy("COPY t TO STDOUT (FORMAT binary)") as copy:
            data = b"".join(bytes(block) for block in copy)
        with conn.cursor().copy("COPY u FROM STDIN (FORMAT binary)") as copy:
            copy.write(data)
        with psycopg.connect(env.cluster.conninfo(self.database)) as direct:
            with direct.cursor().copy("COPY u TO STDOUT (FORMAT binary)") as copy:
                self.assertEqual(b"".join(bytes(block) for block in copy), data)

    def test_pipelined_messages_behind_a_failed_copy(self):
        session = self.wire()
        session.q("CREATE TABLE t (a int)")
        session.send(wire.query("COPY t FROM STDIN") + wire.frame(b"d", b"no number\n")
                     + wire.frame(b"d", b"1\n") * 1000 + wire.frame(b"c")
                     + wire.query("SELECT count(*) FROM t"))
        self.assertEqual(session.read_reply().error, "22P02")
        self.assertEqual(session.read_reply().value, "0")


class CancelTest(ProxyTest):
    def test_cancel_reaches_the_running_statement(self):
        session = self.wire()
        session.send(wire.query("SELECT pg_sleep(60)"))
        wait_until("the statement to run", backend_is(session, "active"))
        wire.cancel(self.sidecar.port, session.pid, session.secret)
        reply = session.read_reply()
        self.assertEqual((reply.error, reply.status), ("57014", "I"))
        self.assertEqual(session.q("SELECT 'still here'").value, "still here")

    def test_cancel_does_not_touch_other_sessions(self):
        first, second = self.wire(), self.wire()
        second.send(wire.query("SELECT 'undisturbed' FROM pg_sleep(1)"))
        first.send(wire.query("SELECT pg_sleep(60)"))
        wait_until("both to run", lambda: backend_is(first, "active")()
                   and backend_is(second, "active")())
        wire.cancel(self.sidecar.port, first.pid, first.secret)
        self.assertEqual(first.read_reply().error, "57014")
        self.assertEqual(second.read_reply().value, "undisturbed")

    def test_cancel_with_a_wrong_key_does_nothing(self):
        session = self.wire()
        session.send(wire.query("SELECT 'finished' FROM pg_sleep(1)"))
        wait_until("the statement to run", backend_is(session, "active"))
        wrong = bytes([session.secret[0] ^ 1]) + session.secret[1:]
        wire.cancel(self.sidecar.port, session.pid, wrong)
        wire.cancel(self.sidecar.port, session.pid + 1, session.secret)
        self.assertEqual(session.read_reply().value, "finished")

    def test_late_cancel_hits_another_query(self):
        """The answer of the first statement is complete when the cancel is sent: what was asked
        next in another session must not be what it ends."""
        session, other = self.wire(), self.wire()
        session.q("SELECT 1")
        other.send(wire.query("SELECT 'spared' FROM pg_sleep(0.5)"))
        wire.cancel(self.sidecar.port, session.pid, session.secret)
        self.assertEqual(session.q("SELECT 2").value, "2")
        self.assertEqual(other.read_reply().value, "spared")

    def test_cancel_of_a_closed_session_is_harmless(self):
        session = self.wire()
        session.close()
        wire.cancel(self.sidecar.port, session.pid, session.secret)
        self.assertEqual(self.wire().q("SELECT 1").value, "1")

    def test_stray_ready_for_query_after_a_cancel(self):
        """However cancel and completion race, each statement brings exactly one ReadyForQuery."""
        session = self.wire()
        for turn in range(60):
            session.send(wire.query("SELECT %d FROM pg_sleep(0.002)" % turn))
            canceller = threading.Thread(target=wire.cancel, args=(self.sidecar.port, session.pid,
                                                                  session.secret))
            canceller.start()
            reply = session.read_reply()
            self.assertTrue(reply.error == "57014" or reply.rows == [(str(turn),)])
            canceller.join(TIMEOUT)
            # The cancel may also end this one; it still has one answer, its own.
            reply = session.q("SELECT 'marker %d'" % turn)
            self.assertTrue(reply.error == "57014" or reply.value == "marker %d" % turn)

    @own_backend
    def test_psycopg_cancel(self):
        conn = self.connect()
        timer = threading.Thread(target=lambda: (wait_until("it to run", lambda: env.cluster.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE pid = %d AND state = 'active'"
            % conn.info.backend_pid)), conn.cancel()))
        timer.start()
        with self.assertRaises(psycopg.errors.QueryCanceled):
            conn.execute("SELECT pg_sleep(60)")
        timer.join(TIMEOUT)


class Detour:
    """On the way to the server: a CancelRequest is held back until let_go is set, all else passes."""

    def __init__(self, port):
        self.upstream, self.held, self.let_go = port, threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self.upstream)) as server:
            try:
                first = client.recv(65536)
                if first[4:8] == struct.pack("!i", 80877102):
                    self.held.set()
                    self.let_go.wait(TIMEOUT)
                server.sendall(first)
                back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
                back.start()
                self._copy(client, server)
                back.join()
            except OSError:
                pass  # one side is gone, and so both

    @staticmethod
    def _copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.let_go.set()
        self.listener.close()


class LateCancelTest(ProxyTest):
    """A cancel that reaches the server when the query that it was meant for has ended."""

    def _cancelled(self, next_is_another, **mode):
        """A query that has ended while the request to cancel it is on its way; who asks next."""
        self.require_program()
        env.cluster.run("CREATE TABLE t AS SELECT 1 AS v", database=self.database)
        detour = Detour(env.cluster.port)
        self.addCleanup(detour.close)
        sidecar = env.sidecar(upstream={"port": detour.port}, **mode)
        self.addCleanup(sidecar.finish)
        first, holder = self._wire(sidecar.port, "postgres", None, {}), self.direct()
        after = self._wire(sidecar.port, "postgres", None, {}) if next_is_another else first
        holder.q("BEGIN; LOCK TABLE t")
        first.send(wire.query("UPDATE t SET v = 2"))
        wait_until("the update to wait", lambda: env.cluster.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE datname = '%s' AND wait_event_type = 'Lock'" % self.database))
        canceller = threading.Thread(target=wire.cancel, args=(sidecar.port, first.pid, first.secret))
        canceller.start()
        self.addCleanup(canceller.join, TIMEOUT)
        self.assertTrue(detour.held.wait(TIMEOUT))
        holder.q("COMMIT")
        self.assertEqual(first.read_reply().tags, ["UPDATE 1"])
        return detour, first, after

    def _late(self, next_is_another, **mode):
        detour, first, after = self._cancelled(next_is_another, **mode)
        after.send(wire.query("SELECT 'spared' FROM pg_sleep(2)"))
        # It may only begin when the cancel has arrived; were it let through, it would begin now.
        deadline = time.monotonic() + 0.7
        while time.monotonic() < deadline and not env.cluster.fetch(
                "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT ''spared''%'"):
            time.sleep(0.01)
        detour.let_go.set()
        self.assertEqual(after.read_reply().rows, [("spared",)])

    def test_a_cancel_that_is_on_its_way_for_too_long(self):
        """Who comes next at that connection is not waited for any longer: it is given up."""
        detour, first, after = self._cancelled(True, pool_mode="transaction", auth_type="trust",
                                               default_pool_size=1)
        after.send(wire.query("SELECT 'spared'"))
        self.assertEqual(after.read_reply().rows, [("spared",)])  # at another connection
        detour.let_go.set()
        self.assertIn(b"C08006\0", first.read_to_end())
        self.assertEqual(after.q("SELECT 'spared' FROM pg_sleep(1)").rows, [("spared",)])

    def test_the_next_query_of_the_same_session(self):
        self._late(False, pool_mode="session", auth_type="relay")

    def test_the_next_query_of_another_session_at_the_same_connection(self):
        self._late(True, pool_mode="transaction", auth_type="trust", default_pool_size=1)


class AsynchronousTest(ProxyTest):
    def test_notifications_reach_an_idle_listener(self):
        listener, sender = self.wire(), self.wire()
        listener.q("LISTEN ward")
        for i in range(20):
            sender.q("NOTIFY ward, 'bed %d'" % i)
            kind, body = listener.read_frame()
            self.assertEqual(kind, b"A")
            self.assertEqual(body[4:], b"ward\0bed %d\0" % i)
            self.assertEqual(struct.unpack_from("!i", body)[0], backend(sender))

    def test_notification_between_cacheable_statements(self):
        listener, sender = self.wire(), self.wire()
        sender.q("CREATE TABLE t AS SELECT 1 AS i")
        listener.q("LISTEN ward")
        for i in range(50):
            self.assertEqual(listener.q("SELECT i FROM t").rows, [("1",)])
            sender.q("NOTIFY ward, '%d'" % i)
            kind, body = listener.read_frame()
            self.assertEqual((kind, body[4:]), (b"A", b"ward\0%d\0" % i))

    def test_psycopg_notifies(self):
        conn = self.connect()
        conn.execute("LISTEN channel")
        self.wire().q("NOTIFY channel, 'hello'")
        self.assertEqual(next(conn.notifies()).payload, "hello")

    def test_parameter_change_of_a_reload_reaches_the_client(self):
        session = self.wire()
        self.addCleanup(self._reload, "ALTER SYSTEM RESET IntervalStyle")
        self._reload("ALTER SYSTEM SET IntervalStyle = 'iso_8601'")
        replies = []

        def reloaded():
            replies.append(session.q("SELECT interval '1 day'"))
            return replies[-1].value == "P1D"
        wait_until("the reload", reloaded)
        self.assertIn((b"S", b"IntervalStyle\0iso_8601\0"), replies[-1].frames)

    @staticmethod
    def _reload(sql):
        env.cluster.run(sql, "SELECT pg_reload_conf()")

    def test_large_objects(self):
        session = self.wire()
        session.q("BEGIN")
        oid = session.q("SELECT lo_create(0)").value
        fd = session.q("SELECT lo_open(%s, 393216)" % oid).value
        data = os.urandom(100000)
        reply = session.x("SELECT lowrite($1::int, $2::bytea)", [fd, data], formats=[0, 1])
        self.assertEqual(reply.value, "100000")
        session.q("SELECT lo_lseek(%s, 0, 0)" % fd)
        reply = session.x("SELECT loread($1::int, 200000)", [fd], results=[1])
        self.assertEqual(wire.columns(dict(reply.frames)[b"D"])[0], data)
        session.q("COMMIT")


class ReplicationTest(ProxyTest):
    @own_backend
    def test_pg_recvlogical_streams_changes(self):
        writer = self.wire()
        writer.q("CREATE TABLE t (i int PRIMARY KEY)")
        slot = "slot_" + self.database
        tool = [PGBIN + "/pg_recvlogical", "-h", "127.0.0.1", "-p", str(self.sidecar.port),
                "-U", "postgres", "-d", self.database, "--slot", slot]
        subprocess.run([*tool, "--create-slot", "--plugin", "pgoutput"], check=True,
                       timeout=TIMEOUT, capture_output=True)
        self.addCleanup(subprocess.run, [*tool, "--drop-slot"], check=True, timeout=TIMEOUT,
                        capture_output=True)
        writer.q("CREATE PUBLICATION p FOR TABLE t")
        writer.q("INSERT INTO t VALUES (424242)")
        stream = subprocess.Popen([*tool, "--start", "-o", "proto_version=1", "-o",
                                   "publication_names=p", "-f", "-"], stdout=subprocess.PIPE)
        try:
            seen, deadline = b"", time.monotonic() + TIMEOUT
            while b"424242" not in seen and time.monotonic() < deadline:
                seen += os.read(stream.stdout.fileno(), 65536)
            self.assertIn(b"424242", seen)
        finally:
            stream.terminate()
            stream.wait(TIMEOUT)
            stream.stdout.close()

    @own_backend
    def test_pg_basebackup_through_the_program(self):
        target = os.path.join(env.folder, "backup_" + self.database)
        done = subprocess.run([PGBIN + "/pg_basebackup", "-h", "127.0.0.1", "-p",
                               str(self.sidecar.port), "-U", "postgres", "-D", target, "-X",
                               "stream", "-c", "fast", "--no-sync"], capture_output=True,
                              text=True, timeout=TIMEOUT * 3)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(os.path.exists(target + "/PG_VERSION"))
        subprocess.run(["rm", "-rf", target], check=True)

"""Frame by frame: what the program relays is, byte for byte, what the server says, however the bytes
are cut, and a client that breaks the protocol ends its own session only."""
import socket
import struct
import unittest

import wire
from harness import SHARED, ProxyTest, backend, env, own_backend, wait_until

SCHEMA = """
CREATE TABLE drug (id int PRIMARY KEY, name text, price numeric(8,2), since date, data bytea);
INSERT INTO drug SELECT i, 'drug ' || i, i * 1.25, date '2020-01-01' + i, decode('00ff', 'hex')
  FROM generate_series(1, 50) i;
"""

# name, bytes to send, how many ReadyForQuery they bring
CONVERSATIONS = [
    ("simple query", wire.query("SELECT * FROM drug ORDER BY id"), 1),
    ("several statements", wire.query("SELECT 1; SELECT 'two'; SELECT * FROM drug WHERE id = 3"), 1),
    ("empty query", wire.query(""), 1),
    ("only a comment", wire.query("-- nothing"), 1),
    ("error in the middle", wire.query("SELECT 1; SELECT 1/0; SELECT 2"), 1),
    ("notice", wire.query("DO $$ BEGIN RAISE NOTICE 'heard'; END $$"), 1),
    ("parameter change", wire.query("SET application_name = 'x'; RESET application_name"), 1),
    ("unnamed extended", wire.parse("SELECT $1::int + 1") + wire.bind(["41"]) + wire.describe()
     + wire.execute() + wire.SYNC, 1),
    ("binary results", wire.parse("SELECT * FROM drug WHERE id < $1 ORDER BY id", "", [23])
     + wire.bind([struct.pack("!i", 4)], formats=[1], results=[1]) + wire.describe()
     + wire.execute() + wire.SYNC, 1),
    ("mixed result formats", wire.parse("SELECT id, name FROM drug WHERE id = 7")
     + wire.bind(results=[1, 0]) + wire.execute() + wire.SYNC, 1),
    ("named statement twice", wire.parse("SELECT $1::text", "s1") + wire.describe(b"S", "s1")
     + wire.bind(["a"], name="s1") + wire.execute() + wire.bind([None], name="s1")
     + wire.execute() + wire.close(b"S", "s1") + wire.SYNC, 1),
    ("portal in slices", wire.parse("SELECT id FROM drug ORDER BY id") + wire.bind(portal="p")
     + wire.execute("p", 10) + wire.execute("p", 10) + wire.execute("p") + wire.execute("p")
     + wire.SYNC, 1),
    ("portal resumed in the next batch of a block", wire.query("BEGIN")
     + wire.parse("SELECT id FROM drug ORDER BY id") + wire.bind(portal="p")
     + wire.execute("p", 3) + wire.SYNC + wire.execute("p", 3) + wire.SYNC
     + wire.query("COMMIT") + wire.execute("p", 3) + wire.SYNC, 5),
    ("error skips to Sync", wire.parse("SELECT 1/0") + wire.bind() + wire.execute()
     + wire.parse("SELECT 1") + wire.bind() + wire.execute() + wire.SYNC
     + wire.query("SELECT 'after'"), 2),
    ("duplicate name", wire.parse("SELECT 1", "dup") + wire.SYNC + wire.parse("SELECT 2", "dup")
     + wire.SYNC + wire.close(b"S", "dup") + wire.SYNC, 3),
    ("unknown statement", wire.bind(name="never") + wire.SYNC + wire.describe(b"S", "never")
     + wire.SYNC + wire.execute("never") + wire.SYNC, 3),
    ("close of nothing", wire.close(b"S", "never") + wire.close(b"P", "never") + wire.SYNC, 1),
    ("flush without sync", wire.parse("SELECT 1") + wire.FLUSH + wire.bind() + wire.FLUSH
     + wire.execute() + wire.FLUSH + wire.SYNC, 1),
    ("syncs alone", wire.SYNC * 5, 5),
    ("pipeline of three", wire.parse("SELECT 1") + wire.bind() + wire.execute() + wire.SYNC
     + wire.query("SELECT 2") + wire.parse("SELECT 3") + wire.bind() + wire.describe()
     + wire.execute() + wire.SYNC, 3),
    ("failed block", wire.query("BEGIN") + wire.query("SELECT nope") + wire.query("SELECT 1")
     + wire.query("ROLLBACK"), 4),
    ("implicit block of one string", wire.query(
        "CREATE TEMP TABLE once (i int); INSERT INTO once VALUES (1); SELECT 1/0"), 1),
    ("copy out", wire.query("COPY drug TO STDOUT"), 1),
    ("copy in", wire.query("CREATE TEMP TABLE t (a int, b text); COPY t FROM STDIN")
     + wire.frame(b"d", b"1\tone\n2\ttw") + wire.frame(b"d", b"o\n") + wire.frame(b"c")
     + wire.query("SELECT sum(a), max(b) FROM t"), 2),
    ("copy in given up", wire.query("CREATE TEMP TABLE t (a int)") + wire.query("COPY t FROM STDIN")
     + wire.frame(b"d", b"1\n") + wire.frame(b"f", b"changed my mind\0")
     + wire.query("SELECT count(*) FROM t"), 3),
    ("copy in with a bad row", wire.query("CREATE TEMP TABLE t (a int)")
     + wire.query("COPY t FROM STDIN") + wire.frame(b"d", b"x\n") + wire.frame(b"c")
     + wire.query("SELECT count(*) FROM t"), 3),
    ("extended copy in", wire.query("CREATE TEMP TABLE t (a int)")
     + wire.parse("COPY t FROM STDIN") + wire.bind() + wire.execute()
     + wire.frame(b"d", b"7\n") + wire.frame(b"c") + wire.SYNC + wire.query("SELECT sum(a) FROM t"), 3),
    ("SQL PREPARE", wire.query("PREPARE p AS SELECT $1::int * 2") + wire.query("EXECUTE p(4)")
     + wire.query("DEALLOCATE p") + wire.query("EXECUTE p(4)"), 4),
    ("function call message", wire.frame(b"F", struct.pack("!ihhi2sh", 1397, 0, 1, 2, b"-5", 0))
     + wire.query("SELECT 1"), 2),
    ("cursor", wire.query("BEGIN; DECLARE c CURSOR FOR SELECT id FROM drug ORDER BY id; FETCH 2 FROM c")
     + wire.query("MOVE 3 FROM c; FETCH c; COMMIT"), 2),
    ("savepoints", wire.query("BEGIN; SAVEPOINT a") + wire.query("SELECT 1/0")
     + wire.query("ROLLBACK TO a") + wire.query("SELECT 'alive'; COMMIT"), 4),
    ("wide row", wire.query("SELECT " + ",".join("%d AS c%d" % (i, i) for i in range(1600))), 1),
    ("large value", wire.query("SELECT repeat('x', 3000000)"), 1),
    ("non-ASCII", wire.query("SELECT 'žluťoučký kůň', '薬', E'\\u00e9'"), 1),
    ("long statement text", wire.query("SELECT 1 /*" + "x" * 400000 + "*/"), 1),
]


class RelayTest(ProxyTest):
    def setUp(self):
        super().setUp()
        env.cluster.run(SCHEMA, database=self.database)

    def test_every_conversation_is_byte_equal_to_the_direct_one(self):
        for name, data, count in CONVERSATIONS:
            with self.subTest(name):
                through, past = self.wire(), self.direct()
                for turn in range(3):  # the second and third turn may come from the cache
                    through.send(data)
                    past.send(data)
                    self.assertEqual(through.read_reply(count).raw, past.read_reply(count).raw, turn)
                through.close()
                past.close()

    def test_log_in_frames_are_the_servers_but_for_the_key(self):
        through, past = self.wire(application_name="log-in"), self.direct(application_name="log-in")
        strip = [[f for f in w.login_frames if f[0] != b"K"] for w in (through, past)]
        self.assertEqual(*strip)
        if not SHARED:
            self.assertEqual(through.pid, int(through.q("SELECT pg_backend_pid()").value))

    def test_bytes_split_at_every_point(self):
        data = (wire.query("SELECT * FROM drug WHERE id = 1")
                + wire.parse("SELECT name FROM drug WHERE id = $1", "", [23])
                + wire.bind([struct.pack("!i", 2)], formats=[1], results=[1])
                + wire.describe() + wire.execute() + wire.SYNC)
        past = self.direct()
        past.send(data)
        want = past.read_reply(2).raw
        through = self.wire()
        for at in range(len(data) + 1):
            through.send_split(data, at)
            self.assertEqual(through.read_reply(2).raw, want, at)

    def test_one_byte_at_a_time(self):
        data = wire.query("SELECT id FROM drug ORDER BY id") + wire.parse("SELECT 5") + wire.bind() \
            + wire.describe() + wire.execute() + wire.SYNC
        past, through = self.direct(), self.wire()
        past.send(data)
        for i in range(len(data)):
            through.send(data[i:i + 1])
        self.assertEqual(through.read_reply(2).raw, past.read_reply(2).raw)

    def test_start_up_packet_split_at_every_point(self):
        packet = wire.startup(user="postgres", database=self.database)
        for at in range(len(packet) + 1):
            session = wire.Wire(self.sidecar.port)
            session.send_split(packet, at)
            reply = session.read_reply()
            self.assertEqual(reply.frames[-1], (b"Z", b"I"), at)
            session.close()

    def test_pipelines_ten_thousand_deep(self):
        one = wire.parse("SELECT $1::int", "", [23]) + wire.bind(["9"]) + wire.execute() + wire.SYNC
        self._deep(one, 10000)

    def test_ten_thousand_simple_queries_in_one_write(self):
        self._deep(wire.query("SELECT name FROM drug WHERE id = 5"), 10000)

    def test_a_batch_of_five_hundred_statements_before_one_sync(self):
        one = wire.parse("SELECT name FROM drug WHERE id = $1", "", [23]) \
            + wire.bind([struct.pack("!i", 5)], formats=[1]) + wire.describe() + wire.execute()
        data = one * 500 + wire.SYNC
        through, past = self.wire(), self.direct()
        for _ in range(3):
            through.send(data)
            past.send(data)
            self.assertEqual(through.read_reply().raw, past.read_reply().raw)

    def _deep(self, one, count):
        past, through = self.direct(), self.wire()
        past.send(one)
        want = past.read_reply().raw
        sender = _Sender(through, one * count)
        for i in range(count):
            self.assertEqual(through.read_reply().raw, want, i)
        sender.join()

    def test_half_closed_client_still_gets_its_answer(self):
        through = self.wire()
        through.send(wire.query("SELECT name FROM drug WHERE id = 9") + wire.TERMINATE)
        through.sock.shutdown(socket.SHUT_WR)
        raw = through.read_to_end()
        self.assertEqual(wire.Reply(raw).rows, [("drug 9",)])

    @own_backend
    def test_client_that_vanishes_takes_its_backend_with_it(self):
        through = self.wire()
        pid = through.pid
        through.send(wire.query("SELECT pg_sleep(0)"))
        through.close(polite=False)
        wait_until("the backend to end", lambda: not env.cluster.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE pid = %d" % pid))

    @own_backend
    def test_killed_backend_is_told_in_the_servers_words(self):
        through = self.wire()
        env.cluster.run("SELECT pg_terminate_backend(%d)" % through.pid)
        fields = wire.error_fields(wire.frames(through.read_to_end())[0][1])
        self.assertEqual(fields["C"], "57P01")


class _Sender:
    """Writes on a thread of its own: both directions must move at once."""

    def __init__(self, session, data):
        import threading
        self.thread = threading.Thread(target=session.sock.sendall, args=(data,))
        self.thread.start()

    def join(self):
        self.thread.join(60)


# The server answers these by closing; the program may say 08P01 first.
OUT_OF_STEP = [
    ("length below four", b"Q\0\0\0\3"),
    ("length zero", b"P\0\0\0\0"),
    ("negative length", b"Q\xff\xff\xff\xff"),
    ("enormous length", b"Q\x7f\xff\xff\xff"),
    ("sync of a gigabyte", b"S\x3f\xff\xff\xff"),
]
MALFORMED = [
    ("unknown message type", wire.frame(b"z", b"what")),
    ("query without a terminator", wire.frame(b"Q", b"SELECT 1")),
    ("bind with too few bytes", wire.parse("SELECT $1::text")
     + wire.frame(b"B", b"\0\0\0\0\0\1\0\0\0\x09a")),
    ("parse with a negative count", wire.frame(b"P", b"\0SELECT 1\0\xff\xff")),
    ("execute cut short", wire.frame(b"E", b"\0\0\0")),
    ("describe of an unknown kind", wire.frame(b"D", b"Q\0")),
    ("close of an unknown kind", wire.frame(b"C", b"Q\0")),
    ("sync with a body", wire.frame(b"S", b"extra")),
    ("empty bind", wire.frame(b"B")),
]


class MalformedTest(ProxyTest):
    def test_malformed_messages_end_or_fail_just_that_session(self):
        bystander = self.wire()
        for name, data in MALFORMED:
            with self.subTest(name):
                session = self.wire()
                session.send(data + wire.SYNC)
                raw = self._until_error(session)
                self.assertIn(b"C08P01", raw)
                session.close()
                self.assertEqual(bystander.q("SELECT 1").value, "1")

    def test_impossible_lengths_end_just_that_session(self):
        bystander = self.wire()
        for name, data in OUT_OF_STEP:
            with self.subTest(name):
                session = self.wire()
                session.send(data + wire.SYNC)
                raw = session.read_to_end()
                self.assertTrue(raw == b"" or b"C08P01" in raw, raw)
                session.close()
                self.assertEqual(bystander.q("SELECT 1").value, "1")

    @staticmethod
    def _until_error(session):
        """What came until an error's ReadyForQuery or the end of the stream."""
        while b"C08P01" not in session.buffer:
            try:
                session.fill()
            except (wire.Closed, ConnectionResetError):
                break
        return bytes(session.buffer)

    def test_malformed_start_up_packets(self):
        bystander = self.wire()
        bad = [
            ("length zero", struct.pack("!i", 0)),
            ("length seven", struct.pack("!i", 7) + b"abc"),
            ("length of a gigabyte", struct.pack("!ii", 1 << 30, 196608)),
            ("no terminator", struct.pack("!ii", 16, 196608) + b"user\0pos"),
            ("protocol 2.0", struct.pack("!ii", 9, 131072) + b"\0"),
            ("no user", wire.startup(database="postgres")),
            ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            ("cancel cut short", struct.pack("!ii", 8, 80877102)),
        ]
        for name, data in bad:
            with self.subTest(name):
                session = wire.Wire(self.sidecar.port)
                session.send(data)
                if name == "HTTP":
                    session.sock.shutdown(socket.SHUT_WR)
                raw = session.read_to_end()
                self.assertNotIn(b"R\0\0\0\x08\0\0\0\0", raw)  # AuthenticationOk
                self.assertEqual(bystander.q("SELECT 1").value, "1")

    def test_password_message_before_start_up(self):
        session = wire.Wire(self.sidecar.port)
        session.send(wire.frame(b"p", b"sesame\0"))
        session.sock.shutdown(socket.SHUT_WR)
        self.assertNotIn(b"R\0\0\0\x08\0\0\0\0", session.read_to_end())

    def test_start_up_parameter_of_ten_thousand_bytes(self):
        for port in (self.sidecar.port, env.cluster.port):
            session = wire.Wire(port)
            session.send(wire.startup(user="postgres", database="postgres",
                                      application_name="x" * 10100))
            self.assertIn(session.read_to_end()[:1], (b"E", b""))

    def test_unknown_protocol_options_are_negotiated(self):
        sent = {"user": "postgres", "database": "postgres", "_pq_.unheard": "1"}
        answers = []
        for port in (self.sidecar.port, env.cluster.port):
            session = wire.Wire(port)
            session.send(wire.startup(**sent))
            answers.append([f for f in session.read_reply().frames if f[0] == b"v"])
            session.close()
        self.assertEqual(*answers)
        self.assertEqual(len(answers[0]), 1)


if __name__ == "__main__":
    unittest.main()

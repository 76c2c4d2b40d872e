"""Traps that other proxies fell into before anybody had logged in, each by its name. The others are
beside what they concern: test_relay_logins, test_relay_wire, test_logins and test_operation."""
import socket
import socketserver
import struct
import threading

import wire
from harness import ProxyTest, env, wait_until
from test_logins import LoginTest


class Impostor(socketserver.ThreadingTCPServer):
    """In the place of the server: answers the first packet of each connection, an SSLRequest or a
    start-up, with these bytes in one segment, and then each message with others. Without others it
    waits for one byte more; with None it does not wait and closes."""

    daemon_threads, allow_reuse_address = True, True

    def __init__(self, answer, later=b""):
        class Handler(socketserver.BaseRequestHandler):
            def packet(self, kind_size):
                head = self.request.recv(kind_size + 4, socket.MSG_WAITALL)
                if len(head) < kind_size + 4 or head[:1] == b"X":
                    return False
                left = struct.unpack_from("!i", head, kind_size)[0] - 4
                return len(self.request.recv(left, socket.MSG_WAITALL)) == left

            def handle(self):
                try:
                    if self.packet(0):
                        self.request.sendall(answer)
                        while later and self.packet(1):
                            self.request.sendall(later)
                        if later == b"":
                            self.request.recv(1)
                except OSError:
                    pass  # the other side is gone
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()


class UpstreamTest(ProxyTest):
    """Between the proxy and its server somebody else may sit, until TLS says who it is."""

    def setUp(self):
        super().setUp()
        self.require_program()

    def told(self, answer, mode):
        impostor = Impostor(answer)
        self.addCleanup(impostor.server_close)
        self.addCleanup(impostor.shutdown)
        sidecar = env.sidecar(upstream={"port": impostor.port, "server_tls_sslmode": mode})
        self.addCleanup(sidecar.finish)
        with self.assertRaises(wire.LoginError) as caught:
            wire.Wire(sidecar.port).login(database="postgres")
        sidecar.check_alive()
        return caught.exception.fields

    def test_an_error_before_tls_is_not_trusted(self):
        words = b"SFATAL\0VFATAL\0C28000\0Mdo as the impostor says\0\0"
        for mode in ("require", "prefer"):
            with self.subTest(mode):
                fields = self.told(wire.frame(b"E", words), mode)
                self.assertNotIn("impostor", str(fields))
                self.assertEqual(fields["C"], "08001")

    def test_what_stands_behind_the_answer_to_ssl_request_is_not_read(self):
        ready = wire.frame(b"R", struct.pack("!i", 0)) + wire.frame(b"Z", b"I")
        for mode in ("require", "prefer"):
            for answer in (b"S", b"N"):
                with self.subTest(mode=mode, answer=answer):
                    self.assertIn("unencrypted data", self.told(answer + ready, mode)["M"])


class CodelessErrorTest(ProxyTest):
    """A server, or what stands before it, whose errors have no SQLSTATE."""

    WORDS = b"SFATAL\0Mgo away\0\0"
    MODES = ({"pool_mode": "session", "auth_type": "relay"},
             {"pool_mode": "transaction", "auth_type": "trust"})

    def setUp(self):
        super().setUp()
        self.require_program()

    def before(self, answer, later, mode):
        impostor = Impostor(answer, later)
        self.addCleanup(impostor.server_close)
        self.addCleanup(impostor.shutdown)
        control = "host=127.0.0.1 port=%d user=postgres dbname=postgres" % env.cluster.port
        sidecar = env.sidecar(upstream={"port": impostor.port, "control_connection": control}, **mode)
        self.addCleanup(sidecar.finish)
        session = wire.Wire(sidecar.port)
        self.addCleanup(session.close)
        self.addCleanup(sidecar.check_alive)
        return session

    def test_a_log_in_refused_without_sqlstate(self):
        for mode in self.MODES:
            with self.subTest(str(mode)):
                session = self.before(wire.frame(b"E", self.WORDS), None, mode)
                session.send(wire.startup(user="postgres", database="postgres"))
                kind, body = session.read_frame()
                fields = wire.error_fields(body)
                self.assertEqual((kind, fields["M"]), (b"E", "go away"))
                # Where the log-in is the program's own the words are, and a driver needs a code.
                self.assertEqual(fields.get("C"), None if mode["pool_mode"] == "session" else "08006")
                self.assertEqual(session.read_to_end(), b"")

    def test_a_query_refused_without_sqlstate(self):
        hello = (wire.frame(b"R", struct.pack("!i", 0)) + wire.frame(b"S", b"server_version\x0015.0\0")
                 + wire.frame(b"K", struct.pack("!ii", 7, 7)) + wire.frame(b"Z", b"I"))
        for severity in (b"SERROR\0VERROR\0", b"SFATAL\0", b""):
            refusal = wire.frame(b"E", severity + b"Mgo away\0\0")
            for mode in self.MODES:
                with self.subTest(severity=severity, mode=str(mode)):
                    session = self.before(hello, refusal + wire.frame(b"Z", b"I"), mode)
                    session.login()
                    for sql in ("SELECT 1", "BEGIN", "SELECT 2"):
                        self.assertEqual(session.q(sql).raw, refusal + wire.frame(b"Z", b"I"))


class AuthenticationTest(LoginTest):
    def test_start_up_search_path_does_not_reach_auth_query(self):
        """Nor does what the database, or the role that asks, has for a default."""
        admin = self.connect(database="postgres")
        mine = env.cluster.fetch("SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_late'")[0][0]
        for sql in ("CREATE SCHEMA evil",
                    "CREATE VIEW evil.pg_shadow AS SELECT 'alice'::name AS usename, '%s'::text AS passwd" % mine,
                    "ALTER DATABASE postgres SET search_path = evil, pg_catalog",
                    "ALTER ROLE postgres SET search_path = evil, pg_catalog"):
            admin.execute(sql)
        self.addCleanup(admin.execute, "DROP SCHEMA evil CASCADE")
        self.addCleanup(admin.execute, "ALTER DATABASE postgres RESET search_path")
        self.addCleanup(admin.execute, "ALTER ROLE postgres RESET search_path")
        self.proxy("scram-sha-256", auth_query="SELECT usename, passwd FROM pg_shadow WHERE usename = $1",
                   auth_query_ttl="0")
        for more in ({}, {"search_path": "evil,pg_catalog"}, {"options": "-c search_path=evil,pg_catalog"}):
            with self.subTest(str(more)):
                self.refused("alice", "sesame", **more)
                self.assertEqual(self.who("scram_user", "sesame", **more), "scram_user")

    def test_an_unknown_user_does_not_become_the_one_who_asks(self):
        """The role that auth_query is asked as may log in at this server without a password."""
        def others():
            return env.cluster.fetch("SELECT count(*) FROM pg_stat_activity WHERE backend_type = "
                                     "'client backend' AND application_name NOT LIKE 'pgsidecar%' "
                                     "AND pid <> pg_backend_pid()")[0][0]
        self.proxy("scram-sha-256")
        wait_until("nobody to be there", lambda: others() == 0)
        for user in ("nobody_at_all", "postgres ", "POSTGRES", "x" * 63):
            for password in ("", "sesame", "postgres"):
                with self.subTest(user=user, password=password):
                    self.refused(user, password)
                    # One of pgsidecar's own has no name yet while it logs in.
                    wait_until("nobody to be there", lambda: others() == 0)

    def test_malformed_scram_lengths(self):
        self.proxy("scram-sha-256")
        first = b"n,,n=,r=abcdefghijklmnopqrstuvwx"
        name = b"SCRAM-SHA-256\0"
        for case, body in (("nothing", b""), ("no end of the name", b"SCRAM-SHA-256"),
                           ("no length", name), ("half a length", name + b"\0\0"),
                           ("negative", name + struct.pack("!i", -2) + first),
                           ("the least", name + struct.pack("!i", -1 << 31) + first),
                           ("the most", name + struct.pack("!i", (1 << 31) - 1) + first),
                           ("one too many", name + struct.pack("!i", len(first) + 1) + first),
                           ("one too few", name + struct.pack("!i", len(first) - 1) + first)):
            with self.subTest(case):
                session = wire.Wire(self.sidecar.port)
                session.send(wire.startup(user="scram_user", database="postgres"))
                self.assertEqual(session.read_frame()[0], b"R")
                session.send(wire.frame(b"p", body))
                kind, answer = session.read_frame()
                self.assertEqual(kind, b"E")
                self.assertIn(wire.error_fields(answer)["C"], ("08P01", "28P01"))
                self.assertEqual(session.read_to_end(), b"")
        self.assertEqual(self.who("scram_user", "sesame"), "scram_user")

    def test_oversized_names_and_lengths(self):
        self.proxy("scram-sha-256")
        for case, packet in (
                ("a user", wire.startup(user="u" * 9000, database="postgres")),
                ("a database", wire.startup(user="scram_user", database="d" * 9000)),
                ("a packet", wire.startup(user="scram_user", database="d" * 20000)),
                ("a length", struct.pack("!ii", (1 << 31) - 1, 196608)),
                ("a negative length", struct.pack("!ii", -1, 196608)),
                ("a length of nothing", struct.pack("!i", 0))):
            with self.subTest(case):
                session = wire.Wire(self.sidecar.port)
                session.send(packet)
                try:
                    self.assertIn(session.read_frame()[0], (b"E", b"R"))
                except wire.Closed:
                    pass  # a packet that is none is not answered
                session.close(polite=False)
        session = wire.Wire(self.sidecar.port)
        session.send(wire.startup(user="scram_user", database="postgres"))
        session.read_frame()
        session.send(b"p" + struct.pack("!i", 1 << 30))  # a password of a gigabyte
        kind, answer = session.read_frame()
        self.assertEqual((kind, wire.error_fields(answer)["C"]), (b"E", "08P01"))
        self.assertEqual(self.who("scram_user", "sesame"), "scram_user")
        if peak := self.sidecar.resident_peak():
            self.assertLess(peak, 512 << 20)

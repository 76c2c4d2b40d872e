"""Log-in, TLS on both legs, refusals in the server's own words, and what the program says when there
is no server, no port, or no sense in its configuration file."""
import concurrent.futures
import json
import os
import signal
import socket
import ssl
import subprocess
import unittest

import psycopg

import wire
from harness import TIMEOUT, Certificates, ProxyTest, backend, env, free_port, \
    wait_until


class AuthenticationTest(ProxyTest):
    def test_each_method_is_relayed(self):
        for user in ("scram_user", "md5_user", "password_user"):
            with self.subTest(user):
                self.assertEqual(self._login(user, "sesame"), user)

    def _login(self, user, password):
        session = wire.Wire(self.sidecar.port)
        self.addCleanup(session.close)
        session.login(user=user, database="postgres", password=password)
        return session.q("SELECT current_user").value

    def test_wrong_password_is_refused_in_the_servers_words(self):
        for user in ("scram_user", "md5_user", "password_user", "nobody_at_all"):
            with self.subTest(user):
                answers = []
                for port in (self.sidecar.port, env.cluster.port):
                    with self.assertRaises(wire.LoginError) as caught:
                        wire.Wire(port).login(user=user, database="postgres", password="wrong")
                    answers.append(caught.exception.fields)
                self.assertEqual(*answers)

    def test_refusals_by_pg_hba_and_of_unknown_databases_pass_unchanged(self):
        for user, database, code in (("rejected_user", "postgres", "28000"),
                                     ("postgres", "no_such_database", "3D000"),
                                     ("postgres", "x" * 200, "3D000")):
            with self.subTest(code + user):
                answers = []
                for port in (self.sidecar.port, env.cluster.port):
                    with self.assertRaises(wire.LoginError) as caught:
                        wire.Wire(port).login(user=user, database=database)
                    answers.append(caught.exception.fields)
                self.assertEqual(*answers)
                self.assertEqual(answers[0]["C"], code)

    def test_a_refused_database_can_be_created_and_used_at_once(self):
        name = "born_later_%d" % os.getpid()
        with self.assertRaises(wire.LoginError):
            wire.Wire(self.sidecar.port).login(database=name)
        maker = self.wire(database="postgres")
        self.assertEqual(maker.q("CREATE DATABASE " + name).error, None)
        session = self.wire(database=name)
        self.assertEqual(session.q("SELECT current_database()").value, name)
        session.close()
        self._drop(maker, name)

    def _drop(self, session, name):
        """DROP DATABASE as EF Core's EnsureDeleted does it: nothing of the program's is in the way."""
        reply = session.q("DROP DATABASE " + name)
        for _ in range(200):  # the closing session's own backend may take a moment to go
            if reply.error != "55006":
                break
            reply = session.q("DROP DATABASE " + name)
        self.assertEqual(reply.errors, [])

    def test_database_with_cached_answers_can_be_dropped_renamed_and_copied(self):
        maker = self.wire(database="postgres")
        name = "moving_%d" % os.getpid()
        maker.q("CREATE DATABASE " + name)
        session = self.wire(database=name)
        session.q("CREATE TABLE t AS SELECT 1 AS i")
        for _ in range(20):
            session.q("SELECT * FROM t")
        session.close()
        for sql in ("CREATE DATABASE %s_copy TEMPLATE %s" % (name, name),
                    "ALTER DATABASE %s RENAME TO %s_b" % (name, name)):
            reply = maker.q(sql)
            for _ in range(200):
                if reply.error != "55006":
                    break
                reply = maker.q(sql)
            self.assertEqual(reply.errors, [], sql)
        self.assertEqual(self.wire(database=name + "_b").q("SELECT * FROM t").rows, [("1",)])
        with self.assertRaises(wire.LoginError):
            self.wire(database=name)
        env.cluster.run("DROP DATABASE %s_b WITH (FORCE)" % name, "DROP DATABASE %s_copy" % name)

    def test_options_and_start_up_settings_arrive(self):
        session = self.wire(database="postgres", options="-c statement_timeout=7s -c search_path=x",
                            DateStyle="German", TimeZone="Asia/Tokyo")
        self.assertEqual([session.q("SHOW " + name).value for name in
                          ("statement_timeout", "search_path", "DateStyle", "TimeZone")],
                         ["7s", "x", "German, DMY", "Asia/Tokyo"])

    def test_replication_connection_is_relayed(self):
        session = wire.Wire(self.sidecar.port)
        self.addCleanup(session.close)
        session.login(database="postgres", replication="database")
        row = session.q("IDENTIFY_SYSTEM").rows[0]
        self.assertEqual(row[3], "postgres")


class ClientTlsTest(ProxyTest):
    @classmethod
    def setUpClass(cls):
        cls.config = {"client_tls_sslmode": "allow", "client_tls_cert_file": env.certificates.cert,
                      "client_tls_key_file": env.certificates.key,
                      "upstream": {"server_tls_sslmode": "require"}}
        super().setUpClass()

    def test_every_sslmode_of_the_client(self):
        for mode in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"):
            with self.subTest(mode):
                conn = self.connect(database="postgres", sslmode=mode,
                                    sslrootcert=env.certificates.ca)
                self.assertEqual(conn.execute("SELECT 1").fetchone(), (1,))
                self.assertEqual(conn.pgconn.ssl_in_use, mode not in ("disable", "allow"))

    def test_the_server_leg_is_encrypted_whatever_the_client_does(self):
        self.require_program()
        for mode in ("disable", "require"):
            conn = self.connect(database="postgres", sslmode=mode)
            self.assertEqual(conn.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = "
                                          "pg_backend_pid()").fetchone(), (True,))
        self.assertEqual(self.wire("tls_user", "postgres").q("SELECT 1").value, "1")

    def test_bytes_behind_ssl_request_in_one_segment(self):
        """Nobody is logged in by them: not in plain text, and not as if they had come inside TLS."""
        session = wire.Wire(self.sidecar.port)
        self.addCleanup(session.close)
        session.send(wire.SSL_REQUEST + wire.startup(user="postgres", database="postgres"))
        raw = session.read_exactly(1)
        try:
            if raw == b"S":
                context = ssl.create_default_context(cafile=env.certificates.ca)
                session.sock = context.wrap_socket(session.sock, server_hostname="localhost")
            raw += session.read_to_end()
        except OSError:
            pass  # no handshake came of it
        self.assertNotIn(b"R\0\0\0\x08\0\0\0\0", raw)

    def test_bytes_behind_gssenc_request_in_one_segment(self):
        session = wire.Wire(self.sidecar.port)
        session.send(wire.GSSENC_REQUEST + wire.startup(user="postgres", database="postgres"))
        raw = b""
        try:
            session.sock.shutdown(socket.SHUT_WR)
            raw = session.read_to_end()
        except OSError:
            pass
        self.assertFalse(raw.startswith(b"S"))
        self.assertNotIn(b"R\0\0\0\x08\0\0\0\0", raw)

    def test_gssenc_then_tls_then_query(self):
        self.require_program()  # a server built with GSSAPI answers G
        session = wire.Wire(self.sidecar.port)
        self.addCleanup(session.close)
        session.send(wire.GSSENC_REQUEST)
        self.assertEqual(session.read_exactly(1), b"N")
        session.start_tls().login(database="postgres")
        self.assertEqual(session.q("SELECT 1").value, "1")

    def test_ssl_request_split_and_repeated(self):
        session = wire.Wire(self.sidecar.port)
        self.addCleanup(session.close)
        session.send_split(wire.SSL_REQUEST, 3)
        self.assertEqual(session.sock.recv(1), b"S")
        context = ssl.create_default_context(cafile=env.certificates.ca)
        session.sock = context.wrap_socket(session.sock, server_hostname="localhost")
        session.send(wire.SSL_REQUEST)  # inside TLS: a second request is refused, not answered
        self.assertNotIn(b"S", session.read_to_end()[:1])

    def test_plain_bytes_where_a_handshake_belongs(self):
        session = wire.Wire(self.sidecar.port)
        session.send(wire.SSL_REQUEST)
        session.sock.recv(1)
        session.send(b"\0" * 500)
        session.read_to_end()
        self.assertEqual(self.wire(database="postgres").q("SELECT 1").value, "1")

    def test_large_results_and_pipelines_over_tls(self):
        session = wire.Wire(self.sidecar.port).start_tls().login(database="postgres")
        self.addCleanup(session.close)
        self.assertEqual(len(session.q("SELECT repeat('x', 20000000)").value), 20000000)
        session.send(wire.query("SELECT 7") * 500)
        for _ in range(500):
            self.assertEqual(session.read_reply().value, "7")


def own_certificate():
    """For the program, another than the server's: channel binding tells them apart."""
    folder = os.path.join(env.folder, "own")
    if not os.path.isdir(folder):
        os.makedirs(folder)
        Certificates(folder)
    return {"client_tls_sslmode": "allow", "client_tls_cert_file": folder + "/server.crt",
            "client_tls_key_file": folder + "/server.key"}


class ScramOverTlsTest(ProxyTest):
    """SCRAM where the server's leg is under TLS: what a client proves is bound to what it saw."""
    @classmethod
    def setUpClass(cls):
        cls.config = {**own_certificate(), "upstream": {"server_tls_sslmode": "require"}}
        super().setUpClass()

    def log_in(self, user="scram_user", password="sesame", port=None, **more):
        conn = psycopg.connect(host="127.0.0.1", port=port or self.sidecar.port, user=user,
                               password=password, dbname="postgres", autocommit=True, **more)
        self.addCleanup(conn.close)
        return conn

    def test_a_client_without_tls(self):
        conn = self.log_in(sslmode="disable")
        self.assertEqual(conn.execute("SELECT current_user").fetchone(), ("scram_user",))

    def test_scram_with_tls_on_both_legs(self):
        for binding in ("disable", "prefer", "require"):
            with self.subTest(binding):
                conn = self.log_in(sslmode="require", channel_binding=binding)
                self.assertEqual(conn.execute(
                    "SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
                    .fetchone(), ("scram_user", True))

    def test_each_refusal_is_the_servers_own(self):
        for user, password in (("scram_user", "wrong"), ("scram_late", "sesame"),
                               ("scram_none", "sesame"), ("scram_md5", "sesame"),
                               ("scram_unknown", "sesame")):
            for binding in ("disable", "prefer"):
                with self.subTest(user + " " + binding):
                    said = []
                    for port in (self.sidecar.port, env.cluster.port):
                        with self.assertRaises(psycopg.OperationalError) as caught:
                            self.log_in(user, password, port, sslmode="require",
                                        channel_binding=binding)
                        said.append(str(caught.exception).replace(str(port), "PORT"))
                    self.assertEqual(*said)
                    self.assertIn("password authentication failed", said[0])

    def test_a_password_just_changed_counts(self):
        admin = self.connect(database="postgres")
        admin.execute("CREATE ROLE scram_changing LOGIN PASSWORD 'one'")
        self.addCleanup(admin.execute, "DROP ROLE scram_changing")
        for password, wrong in (("one", "two"), ("two", "one"), ("three", "two")):
            admin.execute("ALTER ROLE scram_changing PASSWORD '%s'" % password)
            self.log_in("scram_changing", password, sslmode="require", channel_binding="require")
            with self.assertRaises(psycopg.OperationalError):
                self.log_in("scram_changing", wrong, sslmode="require")

    def test_other_methods_are_relayed(self):
        for user in ("md5_user", "password_user", "tls_user"):
            with self.subTest(user):
                conn = self.log_in(user, sslmode="require")
                self.assertEqual(conn.execute("SELECT current_user").fetchone(), (user,))

    def test_many_at_once(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            each = pool.map(lambda _: self.log_in(sslmode="require").execute("SELECT 1")
                            .fetchone(), range(48))
            self.assertEqual(list(each), [(1,)] * 48)

    def test_without_the_right_to_read_secrets_log_ins_are_relayed(self):
        self.require_program()
        sidecar = env.sidecar(**own_certificate(), upstream={
            "server_tls_sslmode": "require", "control_connection": "user=alice dbname=postgres"})
        self.addCleanup(sidecar.finish)
        conn = self.log_in(port=sidecar.port, sslmode="require", channel_binding="disable")
        self.assertEqual(conn.execute("SELECT current_user").fetchone(), ("scram_user",))
        with self.assertRaises(psycopg.OperationalError):
            self.log_in(port=sidecar.port, sslmode="require", channel_binding="prefer")
        sidecar.output.wait_for("auth_query over control_connection: ERROR:  permission denied")

    def test_auth_query_may_be_a_function_of_the_operators(self):
        self.require_program()
        admin = self.connect(database="postgres")
        for statement in (
                "CREATE SCHEMA lookup",
                "CREATE FUNCTION lookup.secret_of(name) RETURNS TABLE (u name, p text) LANGUAGE sql "
                "SECURITY DEFINER SET search_path = pg_catalog AS "
                "'SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1'",
                "GRANT USAGE ON SCHEMA lookup TO alice"):
            admin.execute(statement)
        self.addCleanup(admin.execute, "DROP SCHEMA lookup CASCADE")
        sidecar = env.sidecar(**own_certificate(), upstream={
            "server_tls_sslmode": "require", "control_connection": "user=alice dbname=postgres"},
            auth_query="SELECT * FROM lookup.secret_of($1)")
        self.addCleanup(sidecar.finish)
        conn = self.log_in(port=sidecar.port, sslmode="require", channel_binding="require")
        self.assertEqual(conn.execute("SELECT current_user").fetchone(), ("scram_user",))


class OptionalTlsTest(ProxyTest):
    """server_tls_sslmode allow and prefer: the second try."""

    def encrypted(self, mode, user, **upstream):
        self.require_program()
        sidecar = env.sidecar(upstream={"server_tls_sslmode": mode, **upstream})
        self.addCleanup(sidecar.finish)
        with wire.Wire(sidecar.port) as session:
            session.login(user=user, database="postgres")
            return session.q("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").value

    def test_each_mode_tries_what_it_may(self):
        for mode, user, want in (("allow", "alice", "f"), ("allow", "tls_user", "t"),
                                 ("allow", "plain_user", "f"), ("prefer", "alice", "t"),
                                 ("prefer", "tls_user", "t"), ("prefer", "plain_user", "f")):
            with self.subTest(mode + " " + user):
                self.assertEqual(self.encrypted(mode, user), want)

    def test_modes_that_do_not_try_again(self):
        for mode, user in (("require", "plain_user"), ("disable", "tls_user")):
            with self.subTest(mode):
                with self.assertRaises(wire.LoginError) as caught:
                    self.encrypted(mode, user)
                self.assertEqual(caught.exception.fields["C"], "28000")

    def test_refused_both_ways_in_the_servers_words(self):
        for mode in ("allow", "prefer"):
            with self.subTest(mode):
                with self.assertRaises(wire.LoginError) as caught:
                    self.encrypted(mode, "rejected_user")
                self.assertEqual(caught.exception.fields["C"], "28000")
                self.assertIn("pg_hba.conf rejects connection", caught.exception.fields["M"])

    def test_prefer_does_without_tls_where_the_handshake_fails(self):
        other = os.path.join(env.folder, "others")
        os.makedirs(other, exist_ok=True)
        self.assertEqual(self.encrypted("prefer", "alice",
                                        server_tls_ca_file=Certificates(other).ca), "f")


class TlsModesTest(ProxyTest):
    """Programs started for one test each: modes that refuse."""

    def _start(self, **over):
        self.require_program()
        sidecar = env.sidecar(**over)
        self.addCleanup(sidecar.finish)
        return sidecar

    def test_client_tls_required_refuses_plain_text(self):
        sidecar = self._start(client_tls_sslmode="require",
                              client_tls_cert_file=env.certificates.cert,
                              client_tls_key_file=env.certificates.key)
        with self.assertRaises((wire.LoginError, wire.Closed)):
            wire.Wire(sidecar.port).login(database="postgres")
        with wire.Wire(sidecar.port).start_tls() as session:
            self.assertEqual(session.login(database="postgres").q("SELECT 1").value, "1")

    def test_no_certificate_means_ssl_request_is_answered_n(self):
        sidecar = self._start(client_tls_sslmode="disable")
        with wire.Wire(sidecar.port) as session:
            session.send(wire.SSL_REQUEST)
            self.assertEqual(session.read_exactly(1), b"N")
            self.assertEqual(session.login(database="postgres").q("SELECT 1").value, "1")

    def test_server_certificate_is_verified(self):
        good = self._start(upstream={"host": "localhost", "server_tls_sslmode": "verify-full",
                                     "server_tls_ca_file": env.certificates.ca})
        with wire.Wire(good.port) as session:
            session.login(user="tls_user", database="postgres")
        other = os.path.join(env.folder, "other")
        os.makedirs(other, exist_ok=True)
        bad = self._start(upstream={"server_tls_sslmode": "verify-ca",
                                    "server_tls_ca_file": Certificates(other).ca})
        with self.assertRaises((wire.LoginError, wire.Closed)):
            wire.Wire(bad.port).login(database="postgres")


class NoServerTest(ProxyTest):
    def setUp(self):
        super().setUp()
        self.require_program()

    def test_upstream_down_is_said_and_outlived(self):
        port = free_port()
        sidecar = env.sidecar(upstream={"port": port})
        self.addCleanup(sidecar.finish)
        with self.assertRaises(wire.LoginError) as caught:
            wire.Wire(sidecar.port).login(database="postgres")
        self.assertEqual(caught.exception.fields["S"], "FATAL")
        self.assertIn(caught.exception.sqlstate, ("08006", "08001", "57P03"))
        sidecar.check_alive()

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            code, text = self._run({"listen_port": taken.getsockname()[1]})
        self.assertNotEqual(code, 0)
        self.assertRegex(text, r"(?i)in use")

    BAD = [
        ("unknown key", {"no_such_key": 1}, "no_such_key"),
        ("bad port", {"listen_port": 70000}, "listen_port"),
        ("bad duration", {"cache": {"rules": [{"name": "a", "tables": ["*"], "ttl": "five"}]}}, "ttl"),
        ("bad size", {"cache": {"max_memory": "lots"}}, "max_memory"),
        ("bad mode", {"upstream": {"server_tls_sslmode": "maybe"}}, "server_tls_sslmode"),
        ("wrong shape", {"cache": [1]}, "cache"),
        ("missing certificate", {"client_tls_sslmode": "require",
                                 "client_tls_cert_file": "/nonexistent/cert"}, "client_tls"),
    ]

    def test_bad_configurations_exit_two_and_name_the_key(self):
        for name, over, word in self.BAD:
            for command in ("run", "check"):
                with self.subTest(name + " " + command):
                    code, text = self._run(over, command)
                    self.assertEqual(code, 2, text)
                    self.assertIn(word, text)

    def test_bad_yaml_names_the_file_and_line(self):
        path = os.path.join(env.folder, "broken.yaml")
        with open(path, "w") as f:
            f.write("listen_addr: 127.0.0.1\nlisten_port: [6432\n")
        for command in ("run", "check"):
            done = subprocess.run([env.program, command, "-c", path], capture_output=True,
                                  text=True, timeout=TIMEOUT)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr + done.stdout, r"broken\.yaml:\d+")

    def test_missing_file_exits_two(self):
        done = subprocess.run([env.program, "run", "-c", "/nonexistent/x.yaml"], text=True,
                              capture_output=True, timeout=TIMEOUT)
        self.assertEqual(done.returncode, 2)
        self.assertIn("/nonexistent/x.yaml", done.stderr + done.stdout)

    def test_good_configuration_checks_out(self):
        code, text = self._run({}, "check")
        self.assertEqual(code, 0, text)

    def test_set_on_the_command_line_wins_over_the_file(self):
        code, text = self._run({}, "check", "--set", "listen_port=70000")
        self.assertEqual(code, 2, text)
        self.assertIn("listen_port", text)

    def _run(self, over, command="run", *more):
        path = os.path.join(env.folder, "try.yaml")
        merged = env.settings()
        for key, value in over.items():
            if isinstance(value, dict):
                merged[key] = {**merged.get(key, {}), **value}
            else:
                merged[key] = value
        with open(path, "w") as f:
            json.dump(merged, f, indent=1)
        done = subprocess.run([env.program, command, "-c", path, *more], text=True,
                              capture_output=True, timeout=TIMEOUT)
        return done.returncode, done.stdout + done.stderr


class ShutdownTest(ProxyTest):
    def setUp(self):
        super().setUp()
        self.require_program()
        self.own = env.sidecar()
        self.addCleanup(self.own.finish)

    def test_sigterm_tells_idle_clients_57p01_and_exits_zero(self):
        session = wire.Wire(self.own.port).login(database="postgres")
        self.own.process.terminate()
        fields = wire.error_fields(wire.frames(session.read_to_end())[0][1])
        self.assertEqual(fields["C"], "57P01")
        self.assertEqual(self.own.process.wait(TIMEOUT), 0)

    def test_sigterm_lets_the_running_statement_end(self):
        session = wire.Wire(self.own.port).login(database="postgres")
        session.send(wire.query("SELECT 'answered' FROM pg_sleep(1)"))
        self._until_running(session)
        self.own.process.terminate()
        reply = session.read_reply()
        self.assertEqual(reply.rows, [("answered",)])
        rest = wire.frames(session.read_to_end())
        self.assertEqual(wire.error_fields(rest[0][1])["C"], "57P01")
        self.assertEqual(self.own.process.wait(TIMEOUT), 0)

    def _until_running(self, session):
        wait_until("the statement to run", lambda: env.cluster.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE pid = %d AND state = 'active'" % backend(session)))

    def test_new_log_ins_are_refused_while_draining(self):
        session = wire.Wire(self.own.port).login(database="postgres")
        session.send(wire.query("SELECT pg_sleep(1)"))
        self._until_running(session)
        self.own.process.terminate()
        session.read_reply()
        session.read_to_end()
        self.own.process.wait(TIMEOUT)
        with self.assertRaises(OSError):
            wire.Wire(self.own.port)

    def test_sigint_ends_it_as_well(self):
        self.own.process.send_signal(signal.SIGINT)
        self.assertEqual(self.own.process.wait(TIMEOUT), 0)

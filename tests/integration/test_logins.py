"""Log-ins where the proxy itself asks for the password: how it asks, whom it knows, what a client
learns from a refusal, and what it can do at the server afterwards."""
import os
import subprocess
import time

import psycopg

import wire
from harness import ProxyTest, env, wait_until


def secret(user):
    return env.cluster.fetch("SELECT rolpassword FROM pg_authid WHERE rolname = '%s'" % user)[0][0]


class LoginTest(ProxyTest):
    """self.sidecar is made anew by each test, for its own configuration."""

    @classmethod
    def setUpClass(cls):
        cls.sidecar = env.sidecar()
        cls.addClassCleanup(cls.sidecar.finish)

    def setUp(self):
        super().setUp()
        self.require_program()

    def write(self, name, text):
        path = os.path.join(env.folder, "%s-%s" % (self.id().rsplit(".", 1)[1], name))
        with open(path, "w") as f:
            f.write(text)
        return path

    def users(self, *lines):
        return self.write("users.txt", "".join('"%s" "%s"\n' % line for line in lines))

    def proxy(self, auth_type, **over):
        self.sidecar = env.sidecar(auth_type=auth_type, **over)
        self.addCleanup(self.sidecar.finish)
        return self.sidecar

    def who(self, user, password, **extra):
        session = self.wire(user=user, password=password, **extra)
        return session.q("SELECT current_user").value

    def refused(self, user, password, code="28P01", **extra):
        with self.assertRaises(wire.LoginError) as caught:
            self.wire(user=user, password=password, **extra)
        self.assertEqual(caught.exception.fields["C"], code)
        return caught.exception.fields["M"]


class QueryTest(LoginTest):
    """auth_query is asked through a function that counts, and what it said is used for a while."""

    def setUp(self):
        super().setUp()
        self.admin = self.connect(database="postgres")
        for sql in (
                "CREATE SCHEMA lookup", "CREATE SEQUENCE lookup.asked",
                "CREATE FUNCTION lookup.secret_of(name) RETURNS TABLE (u name, p text, s float8) LANGUAGE "
                "sql AS $$ SELECT rolname, rolpassword, extract(epoch FROM rolvaliduntil - now())::float8 "
                "FROM (SELECT nextval('lookup.asked') OFFSET 0) c LEFT JOIN pg_authid ON rolname = $1 $$",
                "CREATE ROLE scram_changing LOGIN PASSWORD 'first'"):
            self.admin.execute(sql)
        self.addCleanup(self.admin.execute, "DROP ROLE scram_changing")
        self.addCleanup(self.admin.execute, "DROP SCHEMA lookup CASCADE")

    def ask(self, ttl):
        self.proxy("scram-sha-256", auth_query="SELECT * FROM lookup.secret_of($1)", auth_query_ttl=ttl)

    def asked(self):
        last, called = self.admin.execute("SELECT last_value, is_called FROM lookup.asked").fetchone()
        return last if called else 0

    def logs_in(self, password, user="scram_changing"):
        try:
            self.wire(user=user, password=password).close()
            return True
        except wire.LoginError as error:
            self.assertEqual(error.fields["C"], "28P01")
            return False

    def test_once_for_many_log_ins(self):
        self.ask("1h")
        for _ in range(3):
            self.assertTrue(self.logs_in("first"))
        self.assertEqual(self.asked(), 1)
        for _ in range(3):
            self.assertFalse(self.logs_in("sesame", "scram_unknown_" + "x" * 30))
        self.assertEqual(self.asked(), 2)  # an unknown user is as known as any other

    def test_each_time(self):
        self.ask("0")
        for _ in range(3):
            self.assertTrue(self.logs_in("first"))
        self.assertEqual(self.asked(), 3)

    def test_until_its_time_is_over(self):
        self.ask("200ms")
        self.assertTrue(self.logs_in("first"))
        wait_until("it to be asked again", lambda: self.logs_in("first") and self.asked() > 1)

    def test_a_password_that_was_changed(self):
        self.ask("1h")
        self.assertTrue(self.logs_in("first"))
        session = self.wire(user="scram_changing", password="first")
        session.q("ALTER ROLE scram_changing PASSWORD 'second'")  # the proxy sees it
        self.assertTrue(self.logs_in("second"))
        self.assertFalse(self.logs_in("first"))
        self.admin.execute("ALTER ROLE scram_changing PASSWORD 'third'")  # it does not
        wait_until("the new one to be known", lambda: self.logs_in("third"))
        self.assertFalse(self.logs_in("second"))

    def test_guessing_is_no_work_for_the_server(self):
        self.ask("1h")
        begun = time.monotonic()
        self.assertTrue(self.logs_in("first"))
        for _ in range(20):
            self.assertFalse(self.logs_in("guess"))
        self.assertLessEqual(self.asked(), 2 + (time.monotonic() - begun))

    def test_not_valid_any_more(self):
        for seconds in ("0", "-1", "NaN", "-Infinity"):
            with self.subTest(seconds):
                self.admin.execute(
                    "CREATE OR REPLACE FUNCTION lookup.never(name) RETURNS TABLE (u name, p text, s float8) "
                    "LANGUAGE sql AS $$ SELECT rolname, rolpassword, '%s'::float8 FROM pg_authid "
                    "WHERE rolname = $1 $$" % seconds)
                self.proxy("scram-sha-256", auth_query="SELECT * FROM lookup.never($1)")
                self.assertFalse(self.logs_in("first"))

    def test_valid_until(self):
        self.ask("1h")
        until = "SELECT format('ALTER ROLE scram_changing VALID UNTIL %L', clock_timestamp() + '8s')"
        self.admin.execute(self.admin.execute(until).fetchone()[0])
        self.assertTrue(self.logs_in("first"))
        wait_until("it to be no longer valid", lambda: not self.logs_in("first"))

    def test_valid_until_where_a_server_connection_lies_ready(self):
        """Nobody logs in at the server then, so it is not the server that refuses."""
        self.proxy("scram-sha-256", pool_mode="transaction", auth_query_ttl="0")
        self.assertEqual(self.who("scram_changing", "first"), "scram_changing")
        self.assertTrue(self.logs_in("first"))
        wait_until("a server connection to lie ready",
                   lambda: self.sidecar.statistics()["pools"]["idle"] == 1)
        self.admin.execute("ALTER ROLE scram_changing VALID UNTIL '2001-01-01'")
        self.assertFalse(self.logs_in("first"))


class MethodTest(LoginTest):
    def test_scram_by_a_file_and_the_same_key_at_the_server(self):
        self.proxy("scram-sha-256", auth_file=self.users(("scram_user", secret("scram_user"))))
        self.assertEqual(self.who("scram_user", "sesame"), "scram_user")
        self.assertIn('"scram_user"', self.refused("scram_user", "Sesame"))

    def test_scram_by_auth_query(self):
        self.proxy("scram-sha-256")
        self.assertEqual(self.who("scram_user", "sesame"), "scram_user")
        self.refused("scram_user", "wrong")
        self.refused("scram_unknown", "sesame")
        self.refused("scram_none", "sesame")
        self.refused("scram_late", "sesame")  # VALID UNTIL has passed

    def test_a_plain_password_in_the_file_opens_every_door(self):
        names = ("scram_user", "md5_user", "password_user")
        self.proxy("scram-sha-256", auth_file=self.users(*((n, "sesame") for n in names)))
        for name in names:
            self.assertEqual(self.who(name, "sesame"), name)
            self.refused(name, "wrong")

    def test_md5(self):
        self.proxy("md5", auth_file=self.users(
            ("md5_user", secret("md5_user")), ("scram_user", secret("scram_user"))))
        self.assertEqual(self.who("md5_user", "sesame"), "md5_user")
        self.assertEqual(self.who("scram_user", "sesame"), "scram_user")  # asked by SCRAM
        self.refused("md5_user", "wrong")
        self.refused("nobody", "sesame")

    def test_plain(self):
        self.proxy("plain")
        for name in ("scram_user", "md5_user", "password_user"):
            self.assertEqual(self.who(name, "sesame"), name)
            self.refused(name, "wrong")
        self.refused("nobody", "sesame")

    def test_trust_does_not_open_the_servers_door(self):
        self.proxy("trust")
        self.assertEqual(self.who("alice", None), "alice")
        self.refused("scram_user", "sesame")  # the server asks, and nothing is known

    def test_a_secret_that_is_not_the_servers(self):
        """The client is let in by the file, and refused by the server, in the server's words."""
        self.proxy("scram-sha-256", auth_file=self.users(("scram_user", secret("scram_late"))))
        self.assertIn("password authentication failed for user",
                      self.refused("scram_user", "sesame"))

    def test_drivers(self):
        self.proxy("scram-sha-256")
        conn = self.connect(user="scram_user", password="sesame")
        self.assertEqual(conn.execute("SELECT current_user").fetchone(), ("scram_user",))
        with self.assertRaises(psycopg.OperationalError):
            self.connect(user="scram_user", password="wrong")

    def test_the_log_in_is_as_the_servers_own_in_all_else(self):
        self.proxy("scram-sha-256")
        with self.assertRaises(wire.LoginError) as caught:
            self.wire(user="scram_user", password="sesame", database="no_such_database")
        self.assertEqual(caught.exception.fields["C"], "3D000")
        session = self.wire(user="scram_user", password="sesame", application_name="me",
                            options="-c work_mem=5MB")
        self.assertEqual(session.q("SHOW application_name").value, "me")
        self.assertEqual(session.q("SHOW work_mem").value, "5MB")


class HbaTest(LoginTest):
    def test_the_first_record_that_fits_decides(self):
        hba = self.write("hba.conf", "\n".join((
            "host all rejected_user 127.0.0.1/32 reject",
            "host postgres alice 127.0.0.0/8 trust",
            "host all alice 10.0.0.0/8 trust",
            "hostssl all bob 127.0.0.1/32 trust",
            "host all scram_user 127.0.0.1/32 scram-sha-256",
            "host all md5_user 127.0.0.1/32 md5", "")))
        self.proxy("hba", auth_hba_file=hba)
        self.assertEqual(self.who("alice", None, database="postgres"), "alice")
        self.refused("alice", None, "28000")  # another database
        self.refused("bob", None, "28000")  # without TLS
        self.refused("rejected_user", "sesame", "28000")
        self.refused("postgres", None, "28000")  # no record
        self.assertEqual(self.who("scram_user", "sesame"), "scram_user")
        self.assertEqual(self.who("md5_user", "sesame"), "md5_user")


class BadFileTest(LoginTest):
    def check(self, **over):
        path = self.write("bad.yaml", "")
        import json
        with open(path, "w") as f:
            json.dump(env.settings(**over), f)
        done = subprocess.run([env.program, "check", "-c", path], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        return done.stderr

    def test_a_file_that_is_wrong_is_named_with_its_line(self):
        users = self.write("users.txt", '"ann" "sesame"\n"bob\n')
        text = self.check(auth_type="md5", auth_file=users)
        self.assertIn(users + ":2: ", text)
        self.assertNotIn("sesame", text)
        hba = self.write("hba.conf", "host all all 127.0.0.1/32 trust\nhost all +ward samenet md5\n")
        self.assertIn(hba + ":2: ", self.check(auth_type="hba", auth_hba_file=hba))
        self.assertIn("cannot be read", self.check(auth_type="md5", auth_file=users + ".none"))

    def test_settings_that_do_not_go_together(self):
        self.assertIn("auth_type", self.check(auth_type="hba"))
        self.assertIn("trust", self.check(auth_type="trust", listen_addr="0.0.0.0"))
        self.assertIn("auth_file", self.check(auth_file="users.txt"))


class HostileLoginTest(LoginTest):
    def start(self, user="scram_user"):
        session = wire.Wire(self.sidecar.port)
        self.addCleanup(session.close)
        session.send(wire.startup(user=user, database="postgres"))
        return session

    def ended(self, session, code):
        raw = session.read_to_end()
        self.assertIn(b"C" + code, raw)
        self.assertNotIn(b"Z\0\0\0\5", raw)

    def test_messages_out_of_order(self):
        self.proxy("scram-sha-256")
        for message in (wire.query("SELECT 1"), wire.frame(b"p", b""), wire.frame(b"p", b"x" * 3000),
                        wire.frame(b"p", b"SCRAM-SHA-256\0\xff\xff\xff\xf0"),
                        wire.frame(b"p", b"SCRAM-SHA-256-PLUS\0\0\0\0\5n,,n=")):
            session = self.start()
            session.send(message)
            self.ended(session, b"08P01")
        # A password before the start-up is no start-up.
        session = wire.Wire(self.sidecar.port)
        self.addCleanup(session.close)
        session.send(wire.frame(b"p", b"sesame\0"))
        session.close()

    def test_a_password_that_comes_before_it_is_asked_for(self):
        self.proxy("plain")
        session = wire.Wire(self.sidecar.port)
        self.addCleanup(session.close)
        session.send(wire.startup(user="password_user", database="postgres")
                     + wire.frame(b"p", b"wrong\0") + wire.frame(b"p", b"sesame\0"))
        self.ended(session, b"28P01")

    def test_a_log_in_that_is_never_finished(self):
        self.proxy("scram-sha-256", client_login_timeout="300ms")
        session = self.start()
        began = time.monotonic()
        session.read_to_end()
        self.assertLess(time.monotonic() - began, 10)

    def test_unknown_users_are_asked_the_same(self):
        self.proxy("scram-sha-256", auth_file=self.users(("scram_user", secret("scram_user"))))

        def shown(user):
            session = self.start(user)
            offer = session.read_frame()
            session.send(wire.frame(b"p", b"SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abcd"))
            kind, body = session.read_frame()
            return offer, kind, [part[:2] for part in body[4:].split(b",")], body

        known, unknown, again = shown("scram_user"), shown("nobody"), shown("nobody")
        self.assertEqual(known[:3], unknown[:3])
        salt = [part for part in unknown[3].split(b",") if part.startswith(b"s=")]
        self.assertEqual(salt, [part for part in again[3].split(b",") if part.startswith(b"s=")])


class TlsLoginTest(LoginTest):
    def test_scram_with_channel_binding_on_both_legs(self):
        self.proxy("scram-sha-256", client_tls_sslmode="require",
                   client_tls_cert_file=env.certificates.cert,
                   client_tls_key_file=env.certificates.key,
                   upstream={"server_tls_sslmode": "require"})
        conn = self.connect(user="scram_user", password="sesame", sslmode="require",
                            channel_binding="require")
        self.assertEqual(conn.execute("SELECT current_user").fetchone(), ("scram_user",))
        with self.assertRaises(psycopg.OperationalError):
            self.connect(user="scram_user", password="wrong", sslmode="require")

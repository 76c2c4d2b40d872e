"""pgsidecar.exe by mingw-w64, under wine: in console mode and as a service, in front of a real
PostgreSQL. Run with --program build/windows/pgsidecar.exe; anything else skips these tests.
"""
import os
import socket

import psycopg

from harness import env, wait_until
from windows_case import PATIENCE, WindowsTest, text_of, windows_path


class ConsoleModeTest(WindowsTest):
    def test_version(self):
        code, output = self.wine.pgsidecar("version")
        self.assertEqual(code, 0, output)
        self.assertRegex(output, r"^pgsidecar \d+\.\d+\.\d+")

    def test_check_accepts_and_refuses(self):
        path, _, _ = self.configure("check")
        code, output = self.wine.pgsidecar("check", "-c", windows_path(path))
        self.assertEqual(code, 0, output)
        self.assertIn("is valid", output)
        self.write(path, "listen_port: 1\nno_such_key: 1\n")
        code, output = self.wine.pgsidecar("check", "-c", windows_path(path))
        self.assertEqual(code, 2, output)
        self.assertRegex(output, r"check\.yaml:2:.*no_such_key")

    def test_what_windows_has_not_is_refused_by_check(self):
        path, _, _ = self.configure("handover", takeover_socket="C:/x.sock")
        code, output = self.wine.pgsidecar("check", "-c", windows_path(path))
        self.assertEqual(code, 2, output)
        self.assertRegex(output, r"handover\.yaml:\d+.*takeover_socket.*Windows")

    def test_a_path_beyond_the_code_page(self):
        folder = os.path.join(self.folder, "Größe 大小")
        path, _, _ = self.configure("кэш", folder)
        code, output = self.wine.pgsidecar("check", "-c", windows_path(path))
        self.assertEqual(code, 0, output)
        code, output = self.wine.pgsidecar("check", "-c", windows_path(path + ".gone"))
        self.assertEqual(code, 2, output)
        self.assertIn("кэш.yaml.gone", output)

    def test_a_query_a_hit_a_write_and_the_end_by_ctrl_c(self):
        path, port, log = self.configure("console")
        process = self.run_in_console(path)
        self.await_port(port)
        self.check_hit(port)
        self.check_write_is_seen(port)
        conn = self.connect(port)  # idle when the end comes
        self.assertEqual(self.interrupt(process), 0, text_of(process.out) + text_of(log))
        with self.assertRaises(psycopg.OperationalError):
            conn.execute("SELECT 1")
        self.assertIn("stopped", text_of(log))

    def test_clients_share_server_connections(self):
        path, port, log = self.configure("shared", pool_mode="transaction", default_pool_size=2)
        process = self.run_in_console(path)
        self.await_port(port)
        # More clients than server connections, on both workers: connections go from one to the other.
        conns = [self.connect(port) for _ in range(8)]
        for i in range(40):
            for conn in conns:
                self.assertEqual(conn.execute("SELECT %s + random() * 0", (i,)).fetchone()[0], i)
        seen = env.cluster.fetch("SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND "
                                 "application_name <> 'pgsidecar'" % self.database)[0][0]
        self.assertLessEqual(seen, 4)
        self.assertEqual(self.interrupt(process), 0, text_of(process.out) + text_of(log))

    def test_tls_on_both_sides(self):
        c = env.certificates
        path, port, log = self.configure(
            "tls", client_tls_sslmode="require", client_tls_cert_file=windows_path(c.cert),
            client_tls_key_file=windows_path(c.key), auth_type="any",
            upstream={"server_tls_sslmode": "verify-ca", "server_tls_ca_file": windows_path(c.ca)})
        process = self.run_in_console(path)
        where = "host=127.0.0.1 port=%d dbname=%s sslmode=verify-ca sslrootcert=%s connect_timeout=30" % (
            port, self.database, c.ca)
        def answers():
            try:
                return psycopg.connect(where + " user=postgres")
            except psycopg.OperationalError as error:
                self.assertIsNone(process.poll(), text_of(process.out) + text_of(log))
                self.last = error
                return None
        with wait_until("a client over TLS", answers, PATIENCE) as conn:
            self.assertEqual(conn.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
                             .fetchone(), (True,))
        self.assertEqual(self.interrupt(process), 0, text_of(log))

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            path, _, _ = self.configure("taken", listen_port=taken.getsockname()[1])
            code, output = self.wine.pgsidecar("run", "-c", windows_path(path))
        self.assertEqual(code, 1, output)
        self.assertIn("cannot listen on 127.0.0.1", output)

    def test_a_log_that_is_moved_away(self):
        path, port, log = self.configure("moved")
        process = self.run_in_console(path)
        self.await_port(port)
        os.rename(log, log + ".1")
        console = self.connect(port, "pgsidecar", "boss")

        def fresh():
            console.execute("RELOAD")  # says so in the log
            return "configuration" in text_of(log)
        wait_until("a fresh log", fresh, PATIENCE)
        self.assertEqual(self.interrupt(process), 0)
        self.assertIn("stopped", text_of(log))
        self.assertNotIn("stopped", text_of(log + ".1"))


class ServiceTest(WindowsTest):
    def test_install_run_reload_stop_uninstall(self):
        path, port, log = self.configure("pgsidecar", os.path.join(self.folder, "with blanks"))
        self.assertIn("is installed", self.install("pgsidecar", path))
        said = self.service("status", code=3)
        self.assertIn("state:   stopped", said)
        self.assertIn('command: "', said)
        self.assertIn('--config "%s"' % windows_path(path), said)
        self.assertIn("NT SERVICE\\pgsidecar", said)
        self.assertIn("already", self.service("install", "pgsidecar", "-c", windows_path(path), code=1))

        self.assertIn("runs", self.service("start"))
        self.assertIn("state:   running", self.service("status"))
        self.check_hit(port)
        self.check_write_is_seen(port)
        self.assertIn("runs already", self.service("start", code=1))

        # A reload that changes something, one that is refused, and what was in force still is.
        self.rewrite(path, max_client_conn=77)
        self.service("reload")
        console = self.connect(port, "pgsidecar", "boss")
        wait_until("the reload", lambda: self.value(console, "max_client_conn") == "77", PATIENCE)
        good = text_of(path)
        self.write(path, good.replace('"max_client_conn": 77', '"max_client_conn": "many"'))
        self.service("reload")
        wait_until("the refusal", lambda: "max_client_conn" in text_of(log).split("configuration loaded")[-1],
                   PATIENCE)
        self.assertEqual(self.value(console, "max_client_conn"), "77")
        self.write(path, good)
        self.service("reload")

        # Stopped while a client is in a transaction: it may finish.
        busy = self.connect(port)
        busy.autocommit = False
        busy.execute("SELECT count(*) FROM rx")
        idle = self.connect(port)
        stopping = self.wine.start("wine64", env.program, "service", "stop")
        with self.assertRaises(psycopg.OperationalError):  # idle ones are told to go at once
            wait_until("the end of an idle session", lambda: idle.execute("SELECT 1") and False, PATIENCE)
        self.assertIsNone(stopping.poll())
        self.assertIn(self.wine.pgsidecar("service", "status")[0], (3,))
        self.assertEqual(busy.execute("SELECT count(*) FROM rx").fetchone(), (20,))
        busy.commit()
        self.assertEqual(stopping.wait(PATIENCE), 0, text_of(stopping.out))
        self.assertIn("has stopped", text_of(stopping.out))
        self.assertIn("does not run", self.service("stop", code=1))
        self.assertNotIn("shutdown_timeout reached", text_of(log))

        self.assertIn("is removed", self.service("uninstall"))
        self.assertTrue(os.path.exists(path))
        self.assertIn("there is no service", self.service("uninstall", code=4))
        self.assertIn("there is no service", self.service("status", code=4))

    @staticmethod
    def value(console, key):
        with console.cursor() as cursor:
            cursor.execute("SHOW CONFIG")
            return {row[0]: row[1] for row in cursor}[key]

    def test_two_side_by_side(self):
        ports = []
        for name in ("first", "second"):
            path, port, _ = self.configure(name)
            self.install(name, path, "--start", "manual")
            self.service("start", name)
            ports.append(port)
        for port in ports:
            self.check_hit(port)
        self.service("stop", "first")
        self.check_hit(ports[1])
        self.assertIn("state:   stopped", self.service("status", "first", code=3))
        self.service("restart", "second")
        self.check_hit(ports[1])
        self.service("stop", "second")

    def test_what_is_not_installed(self):
        path, _, _ = self.configure("bad", listen_port="none")
        said = self.service("install", "bad", "-c", windows_path(path), code=2)
        self.assertRegex(said, r"bad\.yaml:\d+.*listen_port")
        self.service("status", "bad", code=4)
        self.service("install", "a/b", "-c", windows_path(path), code=2)
        said = self.service("install", "gone", "-c", windows_path(path + ".gone"), code=2)
        self.assertIn("bad.yaml.gone", said)
        for verb in ("start", "stop", "restart", "reload", "uninstall"):
            self.assertIn("there is no service", self.service(verb, "nobody", code=4))

    def test_run_is_not_for_a_prompt(self):
        path, _, _ = self.configure("prompt")
        code, output = self.wine.pgsidecar("service", "run", "-c", windows_path(path))
        self.assertEqual(code, 2, output)
        self.assertIn("service manager", output)


class EventLogTest(WindowsTest):
    """wine prints what is reported to the Event Log when it is told to; a service inherits the word from
    the service manager, so wine's server and services are started with it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.wine.close()
        cls.wine.command("wineserver64", "-p", check=True)
        # The first program starts the service manager, whose output the services have.
        cls.manager = cls.wine.start("wine64", "cmd", "/c", "exit", debug="+eventlog")
        cls.manager.wait(PATIENCE)

    def events(self):
        return text_of(self.manager.out)

    def test_a_bad_configuration_ends_the_start_with_an_event(self):
        path, _, _ = self.configure("broken")
        self.install("broken", path)
        self.write(path, "listen_port: 1\nno_such_key: 1\n")
        said = self.service("start", "broken", code=2)
        self.assertIn("Event Log", said)
        self.assertRegex(self.events(), r"(?s)broken was not started: its configuration is invalid.*no_such_key")
        self.assertIn("exit:    2", self.service("status", "broken", code=3))

    def test_a_port_in_use_ends_the_start_with_an_event(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            path, _, _ = self.configure("taken", listen_port=taken.getsockname()[1])
            self.install("taken", path)
            self.service("start", "taken", code=1)
        self.assertRegex(self.events(), r"taken has ended: cannot listen on 127\.0\.0\.1")

    def test_started_reloaded_refused_stopped(self):
        path, port, _ = self.configure("told")
        self.install("told", path)
        self.service("start", "told")
        self.await_port(port)
        self.assertIn("runs as the service told", self.events())
        self.rewrite(path, max_client_conn=78)
        self.service("reload", "told")
        wait_until("the event", lambda: "The configuration was loaded anew." in self.events(), PATIENCE)
        self.write(path, "no_such_key: 1\n")
        self.service("reload", "told")
        wait_until("the event", lambda: "The configuration was not loaded" in self.events(), PATIENCE)
        self.service("stop", "told")
        self.assertIn("The service told has stopped.", self.events())

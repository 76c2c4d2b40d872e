"""The admin console, as its users have it: psql, psycopg, asyncpg, an exporter; who is let in, what
each command does to clients and servers."""
import asyncio
import os
import socket
import subprocess
import threading
import unittest
import urllib.error
import urllib.request

import asyncpg
import psycopg

import wire
from harness import PGBIN, SHARED, TIMEOUT, ProxyTest, env, free_port, wait_until

ADMIN, STATS = "scram_user", "watcher"
USERS = {"admin_users": [ADMIN], "stats_users": [STATS]}
EXPORTER = "/usr/bin/prometheus-pgbouncer-exporter"


class ConsoleCase(ProxyTest):
    config = USERS

    @classmethod
    def setUpClass(cls):
        if env.program:
            env.cluster.run("CREATE ROLE %s LOGIN PASSWORD 'sesame'" % STATS)
            cls.addClassCleanup(env.cluster.run, "DROP ROLE %s" % STATS)
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.require_program()

    def console(self, user=ADMIN, database="pgsidecar", password="sesame", **extra):
        return self.connect(user, database, password=password, **extra)

    def console_wire(self, user=ADMIN, password="sesame", database="pgsidecar"):
        return self.wire(user=user, password=password, database=database)

    def refused(self, code, **login):
        with self.assertRaises(wire.LoginError) as caught:
            self.wire(**login)
        self.assertEqual(caught.exception.fields["C"], code)
        return caught.exception.fields["M"]

    def rows(self, conn, sql):
        """Dictionaries, by column."""
        cursor = conn.execute(sql)
        names = [c.name for c in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]

    def row(self, conn, sql, **fits):
        found = [r for r in self.rows(conn, sql) if all(r[k] == v for k, v in fits.items())]
        self.assertEqual(len(found), 1, found)
        return found[0]

    def fails(self, code, conn, sql):
        with self.assertRaises(psycopg.Error) as caught:
            conn.execute(sql)
        self.assertEqual(caught.exception.sqlstate, code)
        return caught.exception.diag

    def in_background(self, work):
        """Runs work() in a thread; returns a function that waits for it and gives its result."""
        result = []

        def run():
            try:
                result.append(work())
            except Exception as error:  # for who asks
                result.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def finished():
            thread.join(TIMEOUT)
            self.assertFalse(thread.is_alive(), "still under way")
            if isinstance(result[0], Exception):
                raise result[0]
            return result[0]
        finished.pending = thread.is_alive
        return finished


class DriversTest(ConsoleCase):
    def psql(self, *commands, user=ADMIN, ok=True):
        arguments = [x for c in commands for x in ("-c", c)]
        done = subprocess.run([PGBIN + "/psql", "-X", "-A", "-t", self.url(user, "pgsidecar", sslmode="disable"),
                               *arguments], text=True, capture_output=True, timeout=TIMEOUT,
                              env={**os.environ, "PGPASSWORD": "sesame"})
        self.assertEqual(done.returncode == 0, ok, done.stderr)
        return done

    def test_psql(self):
        done = self.psql("SHOW VERSION", "SHOW POOLS; SHOW STATE")
        self.assertIn("pgsidecar 0.", done.stdout)
        self.assertIn("pgsidecar|pgsidecar|", done.stdout)
        self.assertIn("active|yes", done.stdout)
        self.assertIn("NOTICE:  Console usage", self.psql("SHOW HELP").stderr)
        self.assertIn("SHOW EXPLAIN", self.psql("SELECT now()", ok=False).stderr)

    def test_psycopg_simple_and_prepared(self):
        conn = self.console(application_name="tool")
        for prepare in (False, True):
            for _ in range(2):
                row = conn.execute("SHOW LISTS", prepare=prepare).fetchall()
                self.assertIn("used_clients", dict(row))
        with conn.cursor(binary=True) as cursor:
            lists = dict(cursor.execute("SHOW LISTS").fetchall())
            self.assertEqual(lists["dns_names"], 0)
            cursor.execute("SHOW CACHE")
            names = [c.name for c in cursor.description]
            cache = dict(zip(names, cursor.fetchone()))
            self.assertEqual(cache["max_memory"], 64 << 20)
            self.assertIs(cache["enabled"], True)
            self.assertIsInstance(cache["hit_ratio"], float)
        self.assertEqual(self.row(conn, "SHOW CLIENTS", application_name="tool")["user"], ADMIN)
        conn.autocommit = False
        self.assertEqual(conn.execute("SELECT 1").fetchone(), (1,))
        conn.execute("SHOW POOLS")
        conn.rollback()
        conn.commit()

    def test_asyncpg(self):
        async def work():
            options = dict(host="127.0.0.1", port=self.sidecar.port, user=ADMIN, password="sesame",
                           database="pgbouncer", ssl=False)
            pool = await asyncpg.create_pool(min_size=1, max_size=1, **options)
            for _ in range(3):  # each time it is reset
                async with pool.acquire() as conn:
                    rows = await conn.fetch("SHOW DATABASES")
                    self.assertIn("pgsidecar", [r["name"] for r in rows])
                    async with conn.transaction():
                        self.assertEqual(await conn.fetchval("SELECT 1"), 1)
                    self.assertEqual(await conn.fetchval("SHOW VERSION"), conn_version)
                    with self.assertRaises(asyncpg.PostgresSyntaxError):
                        await conn.fetch("SHOW nonsense")
            await pool.close()
        conn_version = self.console().execute("SHOW VERSION").fetchone()[0]
        asyncio.run(asyncio.wait_for(work(), TIMEOUT))

    def test_messages_split_anywhere(self):
        session = self.console_wire()
        batch = wire.parse("SHOW STATE") + wire.bind() + wire.describe() + wire.execute() + wire.SYNC
        for cut in range(len(batch) + 1):
            session.send(batch[:cut])
            session.send(batch[cut:])
            self.assertEqual(len(session.read_reply().rows), 4)


class LoginTest(ConsoleCase):
    config = {**USERS, "auth_type": "relay", "pool_mode": "session"}

    def test_who_is_let_in(self):
        self.assertEqual(self.console(database="pgbouncer").execute("SELECT 1").fetchone(), (1,))
        self.refused("28P01", user=ADMIN, password="wrong", database="pgsidecar")
        self.refused("28P01", user="nobody_knows", password="sesame", database="pgsidecar")

    def test_a_user_of_the_server_who_is_not_named(self):
        env.cluster.run("CREATE ROLE outsider LOGIN PASSWORD 'sesame'")
        self.addCleanup(env.cluster.run, "DROP ROLE outsider")
        self.refused("28P01", user="outsider", password="wrong", database="pgsidecar")
        message = self.refused("28000", user="outsider", password="sesame", database="pgsidecar")
        self.assertIn("not allowed", message)

    def test_a_stats_user_running_kill(self):
        conn = self.console(STATS)
        self.assertTrue(self.rows(conn, "SHOW CLIENTS"))
        for sql in ("KILL postgres", "PAUSE", "RELOAD", "SHUTDOWN", "INVALIDATE ALL", "SET log.level = debug",
                    "KILL_CLIENT 1", "DISABLE postgres"):
            self.fails("42501", conn, sql)
        self.fails("0A000", conn, "SHOW FDS")
        self.fails("42601", conn, "SHOW NOTHING")

    def test_auth_file_and_nobody_to_ask(self):
        path = os.path.join(env.folder, "console-users.txt")
        with open(path, "w") as f:
            f.write('"filed" "sesame"\n')
        nobody = {"upstream": {"control_connection": ""}, "cache": {"enable_query_result_caching": False},
                  "auth_type": "relay", "pool_mode": "session"}
        for over, ok in (({"auth_file": path}, True), ({}, False)):
            self.sidecar = env.sidecar(admin_users=["filed"], **nobody, **over)
            self.addCleanup(self.sidecar.finish)
            if ok:
                self.console("filed").execute("SHOW POOLS")
                self.refused("28P01", user="filed", password="wrong", database="pgsidecar")
            else:
                self.refused("28000", user="filed", password="sesame", database="pgsidecar")
                self.sidecar.output.wait_for("set auth_file, or upstream.control_connection")

    def test_tls_and_trust(self):
        c = env.certificates
        self.sidecar = env.sidecar(client_tls_sslmode="require", client_tls_cert_file=c.cert,
                                   client_tls_key_file=c.key, **self.config)
        self.addCleanup(self.sidecar.finish)
        conn = self.console(sslmode="verify-ca", sslrootcert=c.ca, channel_binding="require")
        self.assertIn("TLSv1.3/", self.row(conn, "SHOW CLIENTS", database="pgsidecar")["tls"])
        self.sidecar = env.sidecar(auth_type="trust", admin_users=["anybody"])
        self.addCleanup(self.sidecar.finish)
        self.console("anybody", password="").execute("SHOW POOLS")
        self.refused("28000", user="postgres", database="pgsidecar")

    def test_without_users_the_name_is_the_servers(self):
        self.sidecar = env.sidecar()
        self.addCleanup(self.sidecar.finish)
        self.refused("3D000", user="postgres", database="pgsidecar")


class ShowTest(ConsoleCase):
    def test_clients_servers_pools(self):
        conn, client = self.console(), self.connect(application_name="shop")
        client.execute("SELECT 1")
        mine = self.row(conn, "SHOW CLIENTS", database=self.database)
        self.assertEqual((mine["type"], mine["user"], mine["state"], mine["application_name"], mine["tls"]),
                         ("C", "postgres", "active", "shop", ""))
        self.assertEqual(mine["port"], own_port(client))
        server = self.row(conn, "SHOW SERVERS", database=self.database)
        self.assertEqual((server["addr"], server["port"]), ("127.0.0.1", env.cluster.port))
        if not SHARED:
            self.assertEqual(server["remote_pid"], client.info.backend_pid)
            self.assertEqual((server["link"], mine["link"]), (mine["ptr"], server["ptr"]))
        pool = self.row(conn, "SHOW POOLS", database=self.database)
        self.assertEqual((pool["user"], pool["cl_active"], pool["sv_active"] + pool["sv_idle"]), ("postgres", 1, 1))
        self.assertEqual(self.row(conn, "SHOW DATABASES", name=self.database)["current_connections"], 1)
        self.assertIn("postgres", [r["name"] for r in self.rows(conn, "SHOW USERS")])
        for view in ("SOCKETS", "ACTIVE_SOCKETS", "MEM", "DNS_HOSTS", "DNS_ZONES", "STATS", "TOTALS",
                     "STATS_TOTALS", "STATS_AVERAGES", "TENANTS", "QUERIES", "FLAGS", "RULES"):
            self.rows(conn, "SHOW " + view)

    def test_secrets_are_not_shown(self):
        self.sidecar = env.sidecar(upstream={
            "control_connection": "user=postgres dbname=postgres password=hunter2"}, **USERS)
        self.addCleanup(self.sidecar.finish)
        conn = self.console()
        shown = str(self.rows(conn, "SHOW CONFIG"))
        self.assertIn("user=postgres", shown)
        self.assertNotIn("hunter2", shown)

    def test_explain(self):
        conn, client = self.console(), self.connect()
        client.execute("CREATE TABLE dose (id int PRIMARY KEY, name text)")
        explain = "SHOW EXPLAIN DATABASE %s USER postgres " % self.database

        def row(sql):
            return self.row(conn, explain + sql)
        good = wait_until("the catalogs", lambda: (r := row("SELECT name FROM dose WHERE id = 4711"))["cached"] and r)
        self.assertEqual((good["reason"], good["rule"], good["tables"]), ("cacheable", "all", "public.dose"))
        self.assertIn("writes to public.dose (through pgsidecar at once, past it not before its ttl",
                      good["outdated_by"])
        self.assertIn("SQL text, parameter types", good["key_parts"])
        self.assertIn("dose WHERE id = $1", good["query"])
        self.assertNotIn("4711", str(good))
        for sql, reason, culprit in (("SELECT random() FROM dose", "bypass:volatile_function", "random"),
                                     ("SELECT * FROM nowhere", "bypass:unknown_table", "nowhere"),
                                     ("UPDATE dose SET name = 'x;y'", "bypass:not_a_select", "")):
            with self.subTest(sql):
                got = row(sql)
                self.assertEqual((got["cached"], got["reason"]), (False, reason))
                self.assertIn(culprit, got["culprit"])
        self.fails("3D000", conn, "SHOW EXPLAIN DATABASE nowhere SELECT 1")


def own_port(client):
    with socket.socket(fileno=os.dup(client.pgconn.socket)) as sock:
        return sock.getsockname()[1]


class ControlTest(ConsoleCase):
    def servers(self, conn, **fits):
        return [r for r in self.rows(conn, "SHOW SERVERS") if all(r[k] == v for k, v in fits.items())]

    def test_disable_and_enable(self):
        conn, client = self.console(), self.connect()
        conn.execute("DISABLE %s" % self.database)
        self.refused("55000", user="postgres", database=self.database)
        client.execute("SELECT 1")  # who is there may stay
        self.assertEqual(self.row(conn, "SHOW DATABASES", name=self.database)["disabled"], 1)
        conn.execute("ENABLE %s" % self.database)
        self.connect().execute("SELECT 1")
        self.fails("3D000", conn, "ENABLE nowhere")

    def test_kill_and_resume(self):
        conn, client, other = self.console(), self.connect(), self.connect(database="postgres")
        client.execute("SELECT 1")
        conn.execute("KILL %s" % self.database)
        with self.assertRaisesRegex(psycopg.OperationalError, "administrator command"):
            client.execute("SELECT 1")
        self.assertEqual(self.servers(conn, database=self.database), [])
        other.execute("SELECT 1")
        late = self.in_background(lambda: self.connect().execute("SELECT 2").fetchone())
        wait_until("who waits", lambda: [r for r in self.rows(conn, "SHOW CLIENTS") if r["state"] == "waiting"
                                         and r["database"] == self.database])
        self.assertTrue(late.pending())
        conn.execute("RESUME %s" % self.database)
        self.assertEqual(late(), (2,))
        self.fails("55000", conn, "RESUME %s" % self.database)

    def test_kill_client(self):
        conn, client, other = self.console(), self.connect(application_name="one"), self.connect()
        client.execute("SELECT 1")
        ptr = self.row(conn, "SHOW CLIENTS", application_name="one")["ptr"]
        conn.execute("KILL_CLIENT %s" % ptr)
        with self.assertRaisesRegex(psycopg.OperationalError, "administrator command"):
            client.execute("SELECT 1")
        other.execute("SELECT 1")
        self.fails("42704", conn, "KILL_CLIENT %s" % ptr)

    @unittest.skipIf(SHARED, "clients have server connections of their own")
    def test_pause_waits_until_clients_leave(self):
        conn, client, look = self.console(), self.connect(), self.console()
        client.execute("SELECT 1")
        paused = self.in_background(lambda: conn.execute("PAUSE %s" % self.database))
        wait_until("the pause", lambda: self.row(look, "SHOW DATABASES", name=self.database)["paused"])
        client.execute("SELECT 1")
        self.assertTrue(paused.pending())
        late = self.in_background(lambda: self.connect().execute("SELECT 2").fetchone())
        wait_until("who waits", lambda: [r for r in self.rows(look, "SHOW CLIENTS") if r["state"] == "waiting"])
        client.close()
        paused()
        self.assertTrue(late.pending())
        self.fails("55000", look, "PAUSE %s" % self.database)
        look.execute("RESUME %s" % self.database)
        self.assertEqual(late(), (2,))

    def test_a_pause_that_is_cancelled_is_taken_back(self):
        conn, client, look = self.console(), self.connect(), self.console()
        client.execute("BEGIN")
        client.execute("SELECT 1")
        paused = self.in_background(lambda: conn.execute("PAUSE"))
        wait_until("the pause", lambda: dict(look.execute("SHOW STATE").fetchall())["paused"] == "yes")
        conn.cancel()
        with self.assertRaises(psycopg.errors.QueryCanceled):
            paused()
        self.assertEqual(dict(look.execute("SHOW STATE").fetchall())["paused"], "no")
        self.connect().execute("SELECT 1")

    def test_invalidate(self):
        conn, client = self.console(), self.connect()
        client.execute("CREATE TABLE dose (id int PRIMARY KEY, name text)")
        client.execute("INSERT INTO dose VALUES (1, 'old')")

        def name():
            return client.execute("SELECT name FROM dose").fetchone()[0]

        def hits():
            return self.row(conn, "SHOW CACHE")["hits"]
        for i, command in enumerate(("TABLE dose IN " + self.database, "TABLE public.dose", "ALL", "RULE all",
                                     "TENANT default")):
            with self.subTest(command):
                before = hits()
                wait_until("a hit", lambda: name() and hits() > before)
                env.cluster.run("UPDATE dose SET name = 'new %d'" % i, database=self.database)
                self.assertNotEqual(name(), "new %d" % i)  # nobody has told
                conn.execute("INVALIDATE " + command)
                self.assertEqual(name(), "new %d" % i)
        self.fails("42P01", conn, "INVALIDATE TABLE nowhere IN " + self.database)
        self.fails("42704", conn, "INVALIDATE RULE nowhere")

    def test_shutdown_waits_for_clients(self):
        self.sidecar = sidecar = env.sidecar(**USERS)
        self.addCleanup(sidecar.finish)
        conn, client = self.console(), self.connect()
        client.execute("SELECT 1")
        conn.execute("SHUTDOWN WAIT_FOR_CLIENTS")
        wait_until("the listener's end", lambda: not accepts(sidecar.port))
        client.execute("SELECT 1")
        conn.execute("SHOW POOLS")
        client.close()
        self.assertEqual(sidecar.process.wait(TIMEOUT), 0)

    def test_shutdown_at_once(self):
        self.sidecar = sidecar = env.sidecar(**USERS)
        self.addCleanup(sidecar.finish)
        conn, client = self.console(), self.connect()
        client.execute("BEGIN")
        client.execute("SELECT 1")
        conn.execute("SHUTDOWN")
        self.assertEqual(sidecar.process.wait(TIMEOUT), 0)
        with self.assertRaises(psycopg.OperationalError):
            client.execute("SELECT 1")


def accepts(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


class PoolTest(ConsoleCase):
    config = {**USERS, "pool_mode": "transaction", "auth_type": "trust"}

    def console(self, user=ADMIN, **more):
        return super().console(user, **more)

    def pool(self, conn):
        return self.row(conn, "SHOW POOLS", database=self.database)

    def test_pause_waits_for_transactions_and_holds_requests(self):
        conn, look, client, other = self.console(), self.console(), self.connect(), self.connect()
        client.execute("CREATE TABLE t (a int)")
        client.execute("BEGIN")
        client.execute("INSERT INTO t VALUES (1)")
        paused = self.in_background(lambda: conn.execute("PAUSE %s" % self.database))
        wait_until("the pause", lambda: self.row(look, "SHOW DATABASES", name=self.database)["paused"])
        late = self.in_background(lambda: other.execute("INSERT INTO t VALUES (2)"))
        wait_until("who waits", lambda: self.pool(look)["cl_waiting"] == 1)
        client.execute("INSERT INTO t VALUES (3)")
        self.assertTrue(paused.pending())
        client.execute("COMMIT")
        paused()
        pool = self.pool(look)
        self.assertEqual((pool["sv_active"], pool["sv_idle"], pool["cl_waiting"]), (0, 0, 1))
        self.assertTrue(late.pending())
        self.assertEqual(env.cluster.fetch("SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND "
                                           "application_name NOT LIKE 'pgsidecar%%'" % self.database), [(0,)])
        look.execute("RESUME %s" % self.database)
        late()
        self.assertEqual(client.execute("SELECT sum(a) FROM t").fetchone(), (6,))

    def test_reconnect_and_wait_close(self):
        conn, client, other = self.console(), self.connect(), self.connect()
        client.execute("BEGIN")
        old = client.execute("SELECT pg_backend_pid()").fetchone()[0]
        other.execute("SELECT 1")
        conn.execute("RECONNECT %s" % self.database)
        wait_until("the idle one's end", lambda: [
            (r["remote_pid"], r["close_needed"]) for r in self.rows(conn, "SHOW SERVERS")
            if r["database"] == self.database] == [(old, 1)])
        closed = self.in_background(lambda: conn.execute("WAIT_CLOSE %s" % self.database))
        self.assertNotEqual(other.execute("SELECT pg_backend_pid()").fetchone()[0], old)
        self.assertTrue(closed.pending())
        client.execute("COMMIT")
        closed()
        self.assertNotEqual(client.execute("SELECT pg_backend_pid()").fetchone()[0], old)

    def test_why_a_client_keeps_its_server_connection(self):
        conn, client = self.console(), self.connect(application_name="listener")
        client.execute("LISTEN something")
        self.assertEqual(self.row(conn, "SHOW CLIENTS", application_name="listener")["kept_for"], "listen")


class ExporterTest(ConsoleCase):
    config = {"auth_type": "trust", "stats_users": ["pgbouncer"]}

    @unittest.skipUnless(os.path.exists(EXPORTER), "not run: no prometheus-pgbouncer-exporter")
    def test_prometheus_pgbouncer_exporter_as_it_is(self):
        client = self.connect()
        client.execute("SELECT 1")
        port = free_port()
        process = subprocess.Popen([EXPORTER, "--host", "127.0.0.1", "--port", str(port), "--pgbouncer-host",
                                    "127.0.0.1", "--pgbouncer-port", str(self.sidecar.port)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)

        def page():
            self.assertIsNone(process.poll())
            try:
                with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=TIMEOUT) as got:
                    return got.read().decode()
            except urllib.error.URLError:
                return None
        text = wait_until("the exporter's page", page)
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        self.assertEqual(float(lines['pgbouncer_active_clients{database="%s",user="postgres"}' % self.database]), 1)
        self.assertGreaterEqual(float(lines["pgbouncer_used_clients"]), 2)
        self.assertEqual(float(lines['pgbouncer_pool_size{database="%s"}' % self.database]), 20)
        self.assertIn("pgbouncer_databases", lines)

"""What the console's tables and the pages beside them say of limits, settings and the shared cache; and that
the tables which PgBouncer has, too, begin with its columns."""
import json
import os
import signal
import subprocess
import unittest
import urllib.error
import urllib.request

import psycopg

from cache_case import CacheTest
from harness import LIMITS_OUT_OF_THE_WAY, TIMEOUT, Sidecar, env, free_port, wait_until
from redis_server import PROGRAM, Redis, shared_cache

ADMIN = {"admin_users": ["scram_user"]}
PGBOUNCER = "/usr/sbin/pgbouncer"


def rows(conn, sql):
    """Dictionaries, by column."""
    cursor = conn.execute(sql)
    names = [c.name for c in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


class TableCase(CacheTest):
    def setUp(self):
        super().setUp()
        self.require_program()

    def console(self):
        return self.connect("scram_user", "pgsidecar", password="sesame")

    def row(self, sql, **fits):
        found = [r for r in rows(self.console(), sql) if all(r[k] == v for k, v in fits.items())]
        self.assertEqual(len(found), 1, found)
        return found[0]


def page(port, path):
    """Also of an answer that is an error."""
    try:
        with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=TIMEOUT) as got:
            return got.status, got.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class TenantsTest(TableCase):
    config = {**ADMIN, "tenants": {"limits": "enforce", "sources": ["setting:app.tenant_id"], "tiers": [
        {**LIMITS_OUT_OF_THE_WAY["tiers"][0], "queries_per_minute": 1, "burst": 5, "max_concurrent": 7}]}}

    def test_what_is_left_of_a_rate_and_what_was_refused(self):
        session = self.wire()
        session.q("SET app.tenant_id = 'acme'")
        session.q("SELECT 1")
        seen = self.row("SHOW TENANTS", tenant="acme")
        self.assertEqual((seen["rate_left"], seen["queries_per_minute"], seen["max_concurrent"]), (4, 1, 7))
        self.assertEqual((seen["running"], seen["met_queries_per_minute"]), (0, 0))
        for _ in range(6):
            last = session.q("SELECT 1")
        self.assertEqual(last.error, "55P03")
        seen = self.row("SHOW TENANTS", tenant="acme")
        self.assertEqual((seen["rate_left"], seen["met_max_concurrent"]), (0, 0))
        self.assertEqual(seen["met_queries_per_minute"], 2)

    def test_what_runs(self):
        session = self.wire()
        session.q("SET app.tenant_id = 'busy'")
        session.q("BEGIN; SELECT 1")
        self.assertEqual(self.row("SHOW TENANTS", tenant="busy")["running"], 1)
        session.q("COMMIT")
        wait_until("its end", lambda: self.row("SHOW TENANTS", tenant="busy")["running"] == 0)


class ConfigTest(TableCase):
    """Each test rewrites the file of a program of its own."""

    def setUp(self):
        self._database = None
        self.port = free_port()
        self.sidecar = Sidecar(env.program, env.folder, env.settings(
            config_watch_interval=0, http={"listen_port": self.port}, **ADMIN)) if env.program else None
        if self.sidecar:
            self.addCleanup(self.sidecar.finish)
        self.require_program()

    @classmethod
    def setUpClass(cls):
        pass

    def console(self):
        conn = psycopg.connect("host=127.0.0.1 port=%d user=scram_user password=sesame dbname=pgsidecar"
                               % self.sidecar.port, autocommit=True)
        self.addCleanup(conn.close)
        return conn

    def rewrite(self, change):
        path = self.sidecar.config_path
        with open(path) as f:
            settings = json.load(f)
        change(settings)
        with open(path + ".new", "w") as f:
            json.dump(settings, f)
        os.replace(path + ".new", path)

    def of(self, key):
        return self.row("SHOW CONFIG", key=key)

    def test_where_values_come_from_and_what_waits(self):
        self.assertEqual(self.of("max_client_conn")["origin"], "default")
        listening = self.of("listen_addr")
        self.assertIn(os.path.basename(self.sidecar.config_path) + ":", listening["origin"])
        self.assertEqual(listening["waits"], False)
        self.console().execute("SET max_client_conn = 77")
        seen = self.of("max_client_conn")
        self.assertEqual((seen["value"], seen["origin"], seen["changeable"]), ("77", "SET", "yes"))

        def change(settings):
            settings["listen_addr"] = "127.0.0.2"
        self.rewrite(change)
        self.console().execute("RELOAD")
        seen = self.of("listen_addr")
        self.assertEqual((seen["value"], seen["waits"], seen["changeable"]), ("127.0.0.1", True, "no"))
        self.assertIn("until a restart", seen["origin"])
        self.assertIn("1 key needs a restart", page(self.port, "/readyz")[1])

    def ready(self):
        status, body = page(self.port, "/readyz")
        return status, json.loads(body)["checks"]["configuration"]["detail"]

    def test_ready_says_that_the_files_are_not_in_force(self):
        self.assertEqual(self.ready(), (200, "loaded"))
        self.rewrite(lambda s: s.update(no_such_key=1))
        with self.assertRaises(psycopg.Error):
            self.console().execute("RELOAD")
        status, said = self.ready()
        self.assertEqual(status, 200)
        self.assertIn("the last good one is in force", said)
        self.assertIn("RELOAD", said)
        # A change of one key does not make the files good, nor does a wrong one make good files bad.
        self.console().execute("SET max_client_conn = 77")
        self.assertIn("the last good one is in force", self.ready()[1])
        self.rewrite(lambda s: s.pop("no_such_key"))
        start = len(self.sidecar.output.lines)
        self.sidecar.process.send_signal(signal.SIGHUP)
        self.sidecar.output.wait_for("configuration loaded", start)
        self.assertEqual(self.ready(), (200, "loaded"))
        with self.assertRaises(psycopg.Error):
            self.console().execute("SET max_client_conn = many")
        self.assertEqual(self.ready(), (200, "loaded"))


@unittest.skipUnless(PROGRAM, "redis-server is not there: tests/install.sh")
class SharedCacheTest(TableCase):
    @classmethod
    def setUpClass(cls):
        redis = Redis().start()
        cls.addClassCleanup(redis.close)
        cls.port = free_port()
        cls.config = {**ADMIN, "http": {"listen_port": cls.port}, **shared_cache(redis)}
        super().setUpClass()

    def test_its_numbers_are_the_same_everywhere(self):
        self.setup_sql("CREATE TABLE kv (k int)")
        self.cached(self.wire(), "SELECT k FROM kv")
        wait_until("puts", lambda: self.sidecar.statistics()["shared_cache"]["puts"] > 0)
        counted = self.sidecar.statistics()["shared_cache"]
        seen = self.row("SHOW CACHE")
        self.assertEqual((seen["provider"], seen["shared_up"]), ("redis", True))
        series = page(self.port, "/metrics")[1]
        self.assertIn('pgsidecar_shared_cache_up{provider="redis"} 1', series)
        for name in ("asked", "found", "used", "refused", "late", "puts", "put_bytes", "dropped"):
            self.assertEqual(seen["shared_" + name], counted[name], name)
            self.assertIn("\npgsidecar_shared_cache_%s_total %d\n" % (name, counted[name]), series)
        self.assertGreater(counted["asked"], 0)


@unittest.skipUnless(os.path.exists(PGBOUNCER), "not run: no pgbouncer")
class PgBouncerTest(TableCase):
    config = ADMIN
    tables = ("STATS", "STATS_TOTALS", "STATS_AVERAGES", "TOTALS", "POOLS", "DATABASES", "CLIENTS", "SERVERS",
              "SOCKETS", "ACTIVE_SOCKETS", "USERS", "LISTS", "CONFIG", "VERSION", "MEM", "DNS_HOSTS", "DNS_ZONES")

    def start(self):
        """The real one, which will not run as root."""
        port = free_port()
        path = os.path.join(env.folder, "pgbouncer-%d.ini" % port)
        with open(path, "w") as f:
            f.write("[databases]\n* = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
                    "listen_port = %d\nunix_socket_dir =\nauth_type = any\nadmin_users = postgres\n"
                    % (env.cluster.port, port))
        os.chmod(path, 0o644)
        command = [PGBOUNCER, path]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def there():
            self.assertIsNone(process.poll(), "pgbouncer has ended")
            try:
                return psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=pgbouncer sslmode=disable"
                                       % port, autocommit=True)
            except psycopg.OperationalError:
                return None
        conn = wait_until("pgbouncer", there)
        self.addCleanup(conn.close)
        return conn

    def test_its_columns_in_its_order(self):
        theirs, ours = psycopg.ClientCursor(self.start()), self.console()
        numbers = (20, 23, 1700)  # how wide they are is each program's own

        def columns(cursor):
            return [(c.name, "number" if c.type_code in numbers else c.type_code) for c in cursor.description]
        for table in self.tables:
            with self.subTest(table):
                want = columns(theirs.execute("SHOW " + table))
                self.assertEqual(columns(ours.execute("SHOW " + table))[:len(want)], want)
        for table in ("TOTALS", "LISTS"):  # whose rows have names, too
            names = [row[0] for row in theirs.execute("SHOW " + table).fetchall()]
            self.assertEqual([row[0] for row in ours.execute("SHOW " + table).fetchall()], names)

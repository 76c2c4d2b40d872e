"""The role of deploy/sql/control-user.sql, which has no more rights than deploy/README.md says, does all that
the program wants of its own connections."""
import os
import re
import subprocess
import time

import psycopg

from cache_case import CacheTest, env
from harness import TIMEOUT, wait_until

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(REPOSITORY, "deploy", "sql", "control-user.sql")
ROLE = "pgsidecar"


def grants():
    """Those that the manual gives for the program's tables."""
    with open(os.path.join(REPOSITORY, "deploy", "README.md")) as f:
        text = re.search(r"(?s)\n## Rights\n(.*?)\n## ", f.read()).group(1)
    found = re.search(r"(?s)```sql\n(.*?)```", text).group(1)
    assert found.count("GRANT") == 3, found
    return found


class RightsTest(CacheTest):
    """A role for each test: it belongs to all databases of the server."""

    @classmethod
    def setUpClass(cls):
        pass

    def setUp(self):
        if env.control:
            self.skipTest("control run: there is no program")
        self._database = None
        self.sidecar = None
        # CONNECT is what everybody has; here it has to be given, as on a server that is shut.
        env.cluster.run("REVOKE CONNECT ON DATABASE %s FROM PUBLIC" % self.database)
        subprocess.run(["psql", "-X", "-v", "ON_ERROR_STOP=1", "-d",
                        env.cluster.conninfo(self.database), "-f", SCRIPT], check=True,
                       capture_output=True, timeout=TIMEOUT)
        self.addCleanup(env.cluster.run, "DROP ROLE " + ROLE)
        self.addCleanup(self.drop_what_it_has)
        env.cluster.run("GRANT CONNECT ON DATABASE %s TO %s" % (self.database, ROLE))
        self.setup_sql("CREATE TABLE v AS SELECT i AS id, 0 AS n FROM generate_series(1, 8) i",
                       "ALTER TABLE v ADD PRIMARY KEY (id)")

    def drop_what_it_has(self):
        if self.sidecar:
            self.sidecar.finish()
        env.cluster.run("DROP OWNED BY " + ROLE, "DROP SCHEMA pgsidecar_auth CASCADE",
                        database=self.database)

    def start(self, **over):
        upstream = {"control_connection": "user=%s dbname=%s" % (ROLE, self.database),
                    **over.pop("upstream", {})}
        self.sidecar = env.sidecar(upstream=upstream, **over)

    def number(self, conn):
        return conn.execute("SELECT n FROM v WHERE id = 1").fetchone()[0]

    def hits(self):
        return self.sidecar.statistics()["reasons"].get("hit", 0)

    def expect_hits(self):
        conn = self.connect()
        before = self.hits()
        wait_until("a hit", lambda: self.number(conn) is not None and self.hits() > before)
        return conn

    def test_it_has_no_right_to_a_row(self):
        with psycopg.connect(env.cluster.conninfo(self.database, ROLE)) as conn:
            with self.assertRaises(psycopg.errors.InsufficientPrivilege):
                conn.execute("SELECT * FROM v")
            conn.rollback()
            with self.assertRaises(psycopg.errors.InsufficientPrivilege):
                conn.execute("SELECT * FROM pg_authid")
            conn.rollback()
            flags = conn.execute("SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles "
                                 "WHERE rolname = current_user").fetchone()
            self.assertEqual(flags, (False, False, False, False))

    def test_catalogs_and_writes_through_the_program(self):
        env.cluster.run("ALTER ROLE %s NOREPLICATION" % ROLE)
        self.start(cache={"invalidation": "ttl"})
        conn = self.expect_hits()
        conn.execute("UPDATE v SET n = 7 WHERE id = 1")
        self.assertEqual(self.number(conn), 7)
        conn.execute("CREATE VIEW w AS SELECT n FROM v WHERE id = 1")
        before = self.hits()
        wait_until("a hit by way of the view", lambda: conn.execute(
            "SELECT n FROM w").fetchone() == (7,) and self.hits() > before)

    def test_writes_past_the_program(self):
        for how in ("wal", "notify"):
            with self.subTest(how=how):
                self.migrate("--" + how)
                self.start(cache={"invalidation": how,
                                  "rules": [{"name": "all", "tables": ["public.v"], "ttl": "10m"}]})
                conn = self.expect_hits()
                value = time.monotonic_ns() % 1000000
                env.cluster.run("UPDATE v SET n = %d WHERE id = 1" % value, database=self.database)
                wait_until("the write to be seen", lambda: self.number(conn) == value)
                conn.close()
                self.sidecar.finish()
                self.sidecar = None

    def migrate(self, *options):
        path = os.path.join(env.folder, "rights-%s.yaml" % self.database)
        with open(path, "w") as f:
            f.write("upstream: {host: 127.0.0.1, port: %d}\n"
                    "cache: {rules: [{name: all, tables: [public.v], ttl: 10m}]}\n" % env.cluster.port)
        subprocess.run([env.program, "migrate", "up", "-c", path, *options, "--database",
                        env.cluster.conninfo(self.database)], check=True, capture_output=True,
                       timeout=TIMEOUT)

    def test_secrets_of_users_but_not_of_superusers(self):
        self.start(pool_mode="transaction", auth_type="scram-sha-256",
                   auth_query="SELECT * FROM pgsidecar_auth.secret_of($1)")
        env.cluster.run("GRANT CONNECT ON DATABASE %s TO scram_user" % self.database)
        with psycopg.connect(self.url("scram_user", password="sesame", sslmode="disable")) as conn:
            self.assertEqual(conn.execute("SELECT current_user").fetchone(), ("scram_user",))
        env.cluster.run("CREATE ROLE rights_super SUPERUSER LOGIN PASSWORD 'sesame'")
        self.addCleanup(env.cluster.run, "DROP ROLE rights_super")
        with self.assertRaisesRegex(psycopg.OperationalError, "password authentication failed"):
            psycopg.connect(self.url("rights_super", password="sesame", sslmode="disable"))

    def test_nobody_else_may_ask_for_secrets(self):
        env.cluster.run("GRANT CONNECT ON DATABASE %s TO alice" % self.database)
        with psycopg.connect(env.cluster.conninfo(self.database, "alice")) as conn:
            with self.assertRaises(psycopg.errors.InsufficientPrivilege):
                conn.execute("SELECT * FROM pgsidecar_auth.secret_of('scram_user')")

    def test_rows_of_statistics_and_a_tier_in_a_table(self):
        self.migrate()
        env.cluster.run(grants(), database=self.database)
        self.start(metrics={"enable_performance_metrics": True},
                   cache={"cache_provider": "database"}, shared_cache={"validity": "ttl"})
        conn = self.expect_hits()

        def count(table):
            return env.cluster.fetch("SELECT count(*) FROM " + table, database=self.database)[0][0]

        wait_until("a row of statistics", lambda: count("prescription_query_metrics"))
        wait_until("an entry in the tier", lambda: count("prescription_query_cache"))
        conn.close()
        self.assertNotIn("permission denied", self.sidecar.output.text())

    def test_retention_may_delete(self):
        self.migrate()
        env.cluster.run(grants(), "INSERT INTO prescription_query_metrics (tenant_id, query_type, "
                        "execution_time_ms, record_count, timestamp) SELECT 't', 'q', 1, 1, "
                        "LOCALTIMESTAMP - interval '9 days' FROM generate_series(1, 3)",
                        database=self.database)
        self.start(metrics={"enable_performance_metrics": True,
                            "performance_metrics_retention_days": 1})
        self.expect_hits()
        wait_until("old rows to be gone", lambda: env.cluster.fetch(
            "SELECT count(*) FROM prescription_query_metrics WHERE tenant_id = 't'",
            database=self.database)[0][0] == 0)

"""Programs and drivers as people use them, through the program: psql, pgbench, psycopg, asyncpg."""
import asyncio
import datetime
import decimal
import os
import subprocess

import asyncpg
import psycopg

from harness import PGBIN, TIMEOUT, ProxyTest, env

SCHEMA = """
CREATE TABLE patient (id int PRIMARY KEY, name text, born date, weight numeric(5,1), tags text[]);
INSERT INTO patient SELECT i, 'patient ' || i, date '1950-01-01' + i * 30, 50 + i * 0.5,
  ARRAY['a' || i, 'b'] FROM generate_series(1, 100) i;
"""


class ToolTest(ProxyTest):
    def setUp(self):
        super().setUp()
        env.cluster.run(SCHEMA, database=self.database)

    def psql(self, text, port=None, *more):
        done = subprocess.run(
            ["psql", "-X", "-h", "127.0.0.1", "-p", str(port or self.sidecar.port), "-U", "postgres",
             "-d", self.database, "-v", "VERBOSITY=verbose", *more],
            input=text, capture_output=True, text=True, timeout=TIMEOUT, cwd=env.folder)
        return done.stdout + done.stderr

    def test_psql_session_prints_what_it_prints_directly(self):
        script = r"""
\d patient
\dt
\l postgres
\set VERBOSITY verbose
SELECT * FROM patient ORDER BY id LIMIT 5;
SELECT * FROM patient ORDER BY id LIMIT 5;
SELECT 1 AS a \; SELECT 2 AS b \; SELECT 1/0;
BEGIN; SAVEPOINT s; SELECT nope; ROLLBACK TO s; COMMIT;
SELECT id FROM patient ORDER BY id LIMIT 3 \gdesc
SELECT 'SELECT ' || i FROM generate_series(1, 3) i \gexec
\x
TABLE patient LIMIT 1;
PREPARE p AS SELECT name FROM patient WHERE id = $1;
EXECUTE p(3);
EXECUTE p(3);
DO $$ BEGIN RAISE WARNING 'careful'; END $$;
\set FETCH_COUNT 7
SELECT id FROM patient ORDER BY id;
"""
        through, past = self.psql(script), self.psql(script, env.cluster.port)
        self.assertEqual(through, past)
        self.assertIn("patient 5", through)

    def test_psql_copy_both_ways(self):
        out = os.path.join(env.folder, self.database + ".csv")
        text = self.psql("CREATE TABLE again (LIKE patient);\n\\copy patient TO '%s' CSV\n"
                         "\\copy again FROM '%s' CSV\n"
                         "SELECT count(*) = 100 AS same FROM (TABLE again INTERSECT TABLE patient) x;"
                         % (out, out), None, "-At")
        self.assertEqual(text.split(), ["CREATE", "TABLE", "COPY", "100", "COPY", "100", "t"])

    def test_psql_single_transaction_file_and_several_commands(self):
        text = self.psql("CREATE TABLE x (i int); INSERT INTO x VALUES (1); SELECT nope;", None,
                         "-1", "-v", "ON_ERROR_STOP=1")
        self.assertIn("42703", text)
        self.assertIn("42P01", self.psql("SELECT * FROM x;"))

    def test_pg_dump_is_byte_equal(self):
        dumps = [subprocess.run([PGBIN + "/pg_dump", "-h", "127.0.0.1", "-p", str(port), "-U",
                                 "postgres", self.database], capture_output=True, check=True,
                                timeout=TIMEOUT).stdout
                 for port in (self.sidecar.port, env.cluster.port)]
        # Newer point releases fence a dump with a random word.
        strip = [[line for line in dump.splitlines()
                  if not line.startswith((b"\\restrict", b"\\unrestrict"))] for dump in dumps]
        self.assertEqual(*strip)

    def bench(self, *options, port=None):
        done = subprocess.run([PGBIN + "/pgbench", "-h", "127.0.0.1", "-p",
                               str(port or self.sidecar.port), "-U", "postgres", *options,
                               self.database], capture_output=True, text=True, timeout=TIMEOUT * 5)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("number of failed transactions: 0", done.stdout)

    def test_pgbench_in_every_protocol(self):
        init = [PGBIN + "/pgbench", "-i", "-q", "-h", "127.0.0.1", "-p", str(self.sidecar.port),
                "-U", "postgres", self.database]
        subprocess.run(init, check=True, capture_output=True, timeout=TIMEOUT * 3)
        for protocol in ("simple", "extended", "prepared"):
            for mode in ("tpcb-like", "select-only"):
                with self.subTest(protocol + " " + mode):
                    self.bench("-n", "-c", "8", "-j", "2", "-t", "50", "-M", protocol, "-b", mode)
        with self.subTest("a connection for each transaction"):
            self.bench("-n", "-c", "4", "-t", "20", "-C", "-b", "select-only")
        # What the writes of all these clients added up to is the same seen through and past.
        sql = "SELECT sum(abalance), count(*) FROM pgbench_accounts"
        self.assertEqual(self.wire().q(sql).rows, self.direct().q(sql).rows)
        sums = self.wire().q("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT "
                             "sum(tbalance) FROM pgbench_tellers), (SELECT sum(delta) FROM "
                             "pgbench_history)").rows[0]
        self.assertEqual(len(set(sums)), 1, sums)

    def test_pgbench_pipelines(self):
        script = os.path.join(env.folder, self.database + ".sql")
        with open(script, "w") as f:
            f.write("\\set id random(1, 100)\n\\startpipeline\n"
                    + "SELECT name FROM patient WHERE id = :id;\n" * 5
                    + "UPDATE patient SET weight = weight WHERE id = :id;\n"
                    + "SELECT weight FROM patient WHERE id = :id;\n\\endpipeline\n")
        for protocol in ("extended", "prepared"):
            self.bench("-n", "-c", "1", "-t", "100", "-M", protocol, "-f", script)


class PsycopgTest(ProxyTest):
    def setUp(self):
        super().setUp()
        env.cluster.run(SCHEMA, database=self.database)

    def test_text_and_binary_results_of_one_statement(self):
        conn = self.connect()
        row = (7, "patient 7", datetime.date(1950, 7, 30), decimal.Decimal("53.5"), ["a7", "b"])
        for _ in range(4):
            for binary in (False, True):
                got = conn.execute("SELECT * FROM patient WHERE id = %s", (7,),
                                   binary=binary).fetchone()
                self.assertEqual(got, row)

    def test_prepared_statements_come_and_go(self):
        conn = self.connect()
        conn.prepare_threshold, conn.prepared_max = 1, 3  # evicts all the time
        for turn in range(5):
            for width in range(1, 8):
                got = conn.execute("SELECT id, %d FROM patient WHERE id < %%s" % width,
                                   (width,)).fetchall()
                self.assertEqual(got, [(i, width) for i in range(1, width)])

    def test_pipeline_mode(self):
        conn = self.connect()
        for _ in range(3):
            with conn.pipeline() as pipeline:
                cursors = [conn.execute("SELECT name FROM patient WHERE id = %s", (i,))
                           for i in range(1, 50)]
                pipeline.sync()
                self.assertEqual([c.fetchone()[0] for c in cursors],
                                 ["patient %d" % i for i in range(1, 50)])

    def test_pipeline_with_an_error_in_the_middle(self):
        conn = self.connect()
        with self.assertRaises(psycopg.errors.DivisionByZero):
            with conn.pipeline():
                conn.execute("SELECT name FROM patient WHERE id = 1")
                conn.execute("SELECT 1/0")
                conn.execute("SELECT name FROM patient WHERE id = 2")
        self.assertEqual(conn.execute("SELECT name FROM patient WHERE id = 2").fetchone()[0],
                         "patient 2")

    def test_server_side_cursor_and_transactions(self):
        conn = self.connect()
        with conn.transaction():
            with conn.cursor(name="c") as cursor:
                cursor.itersize = 7
                cursor.execute("SELECT id FROM patient ORDER BY id")
                self.assertEqual([r[0] for r in cursor], list(range(1, 101)))
            with self.assertRaises(psycopg.errors.UniqueViolation), conn.transaction():
                conn.execute("INSERT INTO patient (id) VALUES (1)")
            conn.execute("UPDATE patient SET name = 'renamed' WHERE id = 1")
        self.assertEqual(conn.execute("SELECT name FROM patient WHERE id = 1").fetchone()[0],
                         "renamed")

    def test_stream_in_single_row_mode(self):
        conn = self.connect()
        self.assertEqual([r[0] for r in conn.cursor().stream(
            "SELECT id FROM patient ORDER BY id")], list(range(1, 101)))


class AsyncpgTest(ProxyTest):
    def setUp(self):
        super().setUp()
        env.cluster.run(SCHEMA, database=self.database)

    async def _open(self, **more):
        return await asyncpg.connect(host="127.0.0.1", port=self.sidecar.port, user="postgres",
                                     database=self.database, ssl=False, **more)

    def test_values_types_and_statement_cache(self):
        async def body():
            conn = await self._open()
            for _ in range(5):
                row = await conn.fetchrow("SELECT * FROM patient WHERE id = $1", 9)
                self.assertEqual(tuple(row), (9, "patient 9", datetime.date(1950, 9, 28),
                                              decimal.Decimal("54.5"), ["a9", "b"]))
                self.assertEqual(await conn.fetchval("SELECT count(*) FROM patient"), 100)
            await conn.execute("DELETE FROM patient WHERE id = 9")
            self.assertIsNone(await conn.fetchrow("SELECT * FROM patient WHERE id = $1", 9))
            await conn.close()
        asyncio.run(body())

    def test_schema_change_under_a_prepared_statement(self):
        async def body():
            conn, other = await self._open(), await self._open()
            sql = "SELECT * FROM patient WHERE id = 3"
            for _ in range(4):
                await conn.fetchrow(sql)
            await other.execute("ALTER TABLE patient ADD COLUMN more int DEFAULT 4")
            self.assertEqual((await conn.fetchrow(sql))["more"], 4)
            await conn.close()
            await other.close()
        asyncio.run(body())

    def test_pool_reset_copy_cursor_and_executemany(self):
        async def body():
            pool = await asyncpg.create_pool(
                host="127.0.0.1", port=self.sidecar.port, user="postgres",
                database=self.database, ssl=False, min_size=2, max_size=4)

            async def work(i):
                async with pool.acquire() as conn:
                    async with conn.transaction():
                        await conn.execute("SET LOCAL application_name = 'w'")
                        await conn.execute("UPDATE patient SET name = $1 WHERE id = $2",
                                           "new %d" % i, i)
                    return await conn.fetchval("SELECT name FROM patient WHERE id = $1", i)
            got = await asyncio.gather(*(work(i) for i in range(1, 41)))
            self.assertEqual(got, ["new %d" % i for i in range(1, 41)])
            async with pool.acquire() as conn:
                await conn.executemany("INSERT INTO patient (id, name) VALUES ($1, $2)",
                                       [(1000 + i, "m%d" % i) for i in range(200)])
                await conn.copy_records_to_table("patient", columns=["id", "name"],
                                                 records=[(5000 + i, "c") for i in range(300)])
                async with conn.transaction():
                    ids = [r["id"] async for r in conn.cursor(
                        "SELECT id FROM patient ORDER BY id", prefetch=13)]
                self.assertEqual(len(ids), 600)
            await pool.close()
        asyncio.run(body())

    def test_cancelled_call_leaves_the_connection_usable(self):
        async def body():
            conn = await self._open()
            with self.assertRaises(asyncio.TimeoutError):
                await conn.fetch("SELECT pg_sleep(60)", timeout=0.3)
            self.assertEqual(await conn.fetchval("SELECT 5"), 5)
            await conn.close()
        asyncio.run(body())

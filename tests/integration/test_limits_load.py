"""Limits under tenants that ask as fast as they can, through real drivers: as many answers as the rate
gives and no more, and no other tenant notices. No time is measured but how long the asking took."""
import json
import os
import shutil
import subprocess
import sys
import threading

import psycopg

from cache_case import env
from harness import ProxyTest
from test_limits import tenants

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ASK = os.path.join(ROOT, "bench", "ask")
JDBC = "/usr/share/java/postgresql.jar"
NODE = [path for path in ("/usr/share/nodejs", ROOT + "/tests/drivers/node/node_modules")
        if os.path.isdir(path + "/pg")]
PER_MINUTE, BURST, SECONDS = 1200, 20, 4


def drivers():
    """Name and command line of each that this machine has."""
    found = {name: [sys.executable, ASK + "/ask.py", name] for name in ("psycopg", "asyncpg")}
    if shutil.which("java") and os.path.exists(JDBC):
        found["jdbc"] = ["java", "-cp", JDBC, ASK + "/Ask.java"]
    if shutil.which("node") and NODE:
        found["node"] = ["node", ASK + "/ask.js"]
    return found


class LoadTest(ProxyTest):
    config = tenants(default={"queries_per_minute": PER_MINUTE, "burst": BURST},
                     sources=["startup:pgsidecar.tenant"],
                     others=[{"name": "premium", "members": ["quiet"],
                              "queries_per_minute": 1000000, "burst": 1000000}])

    def setUp(self):
        super().setUp()
        if self.sidecar.control:
            self.skipTest("control run: there is no program")

    def asking(self, command, tenant, seconds=SECONDS):
        """A driver that asks without end, meanwhile; its last line says what it was answered."""
        process = subprocess.Popen(
            [*command, str(self.sidecar.port), self.database, "postgres", tenant, str(seconds)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "NODE_PATH": ":".join(NODE)})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def result(self, process):
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err[-4000:])
        return json.loads(out)

    def check_rate(self, got):
        allowed = PER_MINUTE / 60 * got["seconds"] + BURST
        self.assertLessEqual(got["answered"], allowed + 1, got)
        self.assertGreaterEqual(got["answered"], 0.9 * allowed, got)
        self.assertGreater(got["refused"], 0, got)

    def test_as_many_answers_as_the_rate_gives(self):
        running = {name: self.asking(command, "rate-" + name)
                   for name, command in drivers().items()}
        for name, process in running.items():
            with self.subTest(name):
                self.check_rate(self.result(process))

    def test_sessions_of_a_tenant_together_get_no_more(self):
        command = drivers()["psycopg"]
        running = [self.asking(command, "together", 2) for _ in range(2)]
        all_of_them = [self.result(process) for process in running]
        most = PER_MINUTE / 60 * (2 + 2) + BURST  # however far apart they began
        self.assertLessEqual(sum(got["answered"] for got in all_of_them), most)
        self.assertGreater(sum(got["answered"] for got in all_of_them), BURST)

    def test_nobody_else_notices(self):
        """A tenant within its limits is answered every time while another is refused all the time."""
        self.database  # made here: the threads below only use it
        env.cluster.run("CREATE TABLE t AS SELECT i FROM generate_series(1, 100) i",
                        database=self.database)
        over, refused, broken = threading.Event(), [0, 0], []

        def noisy(number):
            try:
                with psycopg.connect(self.url(sslmode="disable",
                                              options="'-c pgsidecar.tenant=noisy'"),
                                     autocommit=True) as conn:
                    while not over.is_set():
                        try:
                            conn.execute("SELECT i FROM t WHERE i = 1")
                        except psycopg.errors.LockNotAvailable:
                            refused[number] += 1
            except Exception as e:  # noqa: BLE001 - told by the test
                broken.append(e)

        threads = [threading.Thread(target=noisy, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        try:
            with psycopg.connect(self.url(sslmode="disable", options="'-c pgsidecar.tenant=quiet'"),
                                 autocommit=True) as conn:
                for turn in range(600):
                    wanted = 1 + turn % 100
                    got = conn.execute("SELECT i FROM t WHERE i = %s", [wanted]).fetchone()
                    self.assertEqual(got, (wanted,))
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(broken, [])
        self.assertTrue(all(refused), refused)

"""`pgsidecar validate`: what it compares, what it refuses, what it says, how it ends."""
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import unittest

import psycopg

from harness import ProxyTest, TIMEOUT, env, free_port, wait_until

MARK = "zz91qpatient"
ROWS = """CREATE TABLE patients (id int PRIMARY KEY, tenant text NOT NULL, name text, born date);
INSERT INTO patients SELECT i, 'pharmacy-' || i %% 5, CASE WHEN i %% 7 > 0 THEN 'patient ' || i END,
       date '1950-01-01' + i FROM generate_series(1, 500) AS i;
UPDATE patients SET name = '%s' WHERE id = 42""" % MARK
WORKLOAD = """-- name: one patient
-- params: [42]
-- params: [43]
SELECT * FROM patients WHERE id = $1;

-- name: page
-- weight: 3
-- params: ["pharmacy-3", 20]
SELECT id, name FROM patients WHERE tenant = $1 ORDER BY id LIMIT $2;

SELECT count(*), min(born) FROM patients WHERE name <> '%s';
""" % MARK


class Tampering:
    """Stands before a server and changes bytes of what it says: never their number."""

    def __init__(self, port, change):
        self.target, self.change = port, change
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets = [self.listener]
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            self.sockets += [client, server]
            for a, b, change in ((client, server, None), (server, client, self.change)):
                thread = threading.Thread(target=self._pump, args=(a, b, change), daemon=True)
                self.threads.append(thread)
                thread.start()

    def _pump(self, source, sink, change):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                sink.sendall(change(data) if change else data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        for sock in self.sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        for thread in self.threads:
            thread.join(TIMEOUT)


class FakeConsole:
    """Answers every query with these rows; `grow` changes them each time."""

    COLUMNS = ("fingerprint", "database", "query", "calls", "hits")

    def __init__(self, rows, grow=lambda rows: None):
        self.rows, self.grow, self.asked = rows, grow, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    @staticmethod
    def message(kind, body=b""):
        return kind + struct.pack("!i", len(body) + 4) + body

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as stream:
                self._converse(client, stream)

    def _converse(self, client, stream):
        code = 0
        while code != 196608:  # SSL and GSS are declined
            length, code = struct.unpack("!ii", stream.read(8))
            stream.read(length - 8)
            if code != 196608:
                client.sendall(b"N")
        ready = self.message(b"Z", b"I")
        client.sendall(self.message(b"R", struct.pack("!i", 0)) + ready)
        while True:
            head = stream.read(5)
            if len(head) < 5 or head[:1] == b"X":
                return
            self.asked.append(stream.read(struct.unpack("!i", head[1:])[0] - 4))
            self.grow(self.rows)
            client.sendall(self._answer() + ready)

    def _answer(self):
        out = self.message(b"T", struct.pack("!h", len(self.COLUMNS)) + b"".join(
            name.encode() + b"\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0) for name in self.COLUMNS))
        for row in self.rows:
            values = [str(value).encode() for value in row]
            out += self.message(b"D", struct.pack("!h", len(values)) + b"".join(
                struct.pack("!i", len(value)) + value for value in values))
        return out + self.message(b"C", b"SHOW\0")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(TIMEOUT)


class ValidateCase(ProxyTest):
    config = {}
    counter = 0

    def setUp(self):
        self.require_program()
        super().setUp()
        env.cluster.run(*ROWS.split(";\n"), database=self.database)

    def file(self, text, end=".sql"):
        ValidateCase.counter += 1
        path = os.path.join(env.folder, "validate%d%s" % (ValidateCase.counter, end))
        with open(path, "w") as f:
            f.write(text)
        return path

    def configuration(self, **over):
        return self.file(json.dumps(env.settings(listen_port=self.sidecar.port, **over)), ".yaml")

    def start(self, *arguments, workload=WORKLOAD, config=None, variables=None):
        command = [env.program, "validate", "-c", config or self.configuration(), "--database",
                   self.database, "--user", "postgres"]
        for option, value in (("--target", "30s"), ("--max-slowdown", "10000")):  # whatever the machine does
            if option not in arguments:
                command += [option, value]
        if workload is not None:
            command += ["--workload", self.file(workload)]
        return subprocess.Popen([*command, *arguments], stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**os.environ, **(variables or {})})

    def finish(self, process, code):
        out, err = process.communicate(timeout=3 * TIMEOUT)
        self.assertEqual(process.returncode, code, out + err)
        self.assertNotIn(MARK, out + err)
        return out, err

    def validate(self, *arguments, code=0, **more):
        """What was printed, and the report."""
        report = self.file("", ".json")
        out, err = self.finish(self.start("--report", report, *arguments, **more), code)
        with open(report) as f:
            text = f.read()
        self.assertNotIn(MARK, text)
        return out + err, json.loads(text) if text else None

    def hits(self):
        return self.sidecar.statistics()["reasons"].get("hit", 0)

    def other_database(self, *statements):
        name = env.cluster.new_database()
        self.addCleanup(env.cluster.run, "DROP DATABASE %s WITH (FORCE)" % name)
        env.cluster.run(*ROWS.split(";\n"), *statements, database=name)
        return name

    def relay(self, port, change):
        relay = Tampering(port, change)
        self.addCleanup(relay.close)
        return "host=127.0.0.1 sslmode=disable port=%d" % relay.port


class PassTest(ValidateCase):
    def test_answers_from_the_cache_are_compared(self):
        with psycopg.connect(self.url(sslmode="disable"), autocommit=True) as warm:
            wait_until("the catalogs to be read", lambda: warm.execute("SELECT count(*) FROM patients") and self.hits() > 0)
        before = self.hits()
        text, report = self.validate("--rounds", "8")
        self.assertIn("pgsidecar validate: PASS", text)
        self.assertTrue(report["passed"])
        self.assertEqual(report["reasons"], [])
        totals = report["totals"]
        self.assertEqual(totals["statements"], 3)
        self.assertEqual(totals["pairs"], 4 + 8 * (2 + 3 + 1))
        self.assertEqual((totals["different"], totals["failed_on_blue"], totals["unstable_statements"]),
                         (0, 0, 0))
        self.assertEqual(totals["green_first"]["count"], 4)
        self.assertEqual(totals["green"]["count"], 48)
        self.assertGreaterEqual(self.hits(), before + 30)

    def test_the_report(self):
        text, report = self.validate("--seed", "7")
        self.assertEqual(report["report_version"], 1)
        self.assertEqual(report["run"], {
            "workload": report["run"]["workload"], "clients": 1, "rounds": 5, "duration_ms": None,
            "seed": 7, "allow_writes": False})
        self.assertEqual(report["limits"], {"target_ms": 30000, "max_slowdown_percent": 10000,
                                            "max_unstable": 0})
        self.assertEqual(report["blue"]["address"], "127.0.0.1:%d" % env.cluster.port)
        self.assertEqual(report["green"]["address"], "127.0.0.1:%d" % self.sidecar.port)
        self.assertEqual(report["green"]["database"], self.database)
        self.assertEqual(report["green"]["server_version"], report["blue"]["server_version"])
        self.assertRegex(report["started"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        one, page, count = report["statements"]
        self.assertEqual((one["name"], one["line"], one["parameter_sets"], one["ordered"], one["rows"]),
                         ("one patient", 4, 2, False, 1))
        self.assertEqual((page["name"], page["line"], page["ordered"], page["rows"], page["pairs"]),
                         ("page", 9, True, 20, 16))
        self.assertEqual((count["name"], count["query"]),
                         (None, "SELECT count(*), min(born) FROM patients WHERE name <> $1"))
        for side in ("blue", "green_first", "green"):
            self.assertGreater(page[side]["p95_ms"], 0)
            self.assertLessEqual(page[side]["p50_ms"], page[side]["p99_ms"])
        self.assertIsNone(page["first_difference"])
        self.assertEqual(report["skipped"], [])
        self.assertIn("green, again", text)

    def test_rows_without_an_order_are_a_set(self):
        plain = "SELECT id, name FROM patients WHERE tenant = 'pharmacy-1'"
        for ending, code in ((";", 0), (" ORDER BY tenant;", 1)):
            other = self.other_database("CREATE TABLE again AS SELECT * FROM patients ORDER BY id DESC",
                                        "DROP TABLE patients", "ALTER TABLE again RENAME TO patients")
            text, report = self.validate("--green", "dbname=" + other, workload=plain + ending, code=code)
            if code:
                self.assertEqual(report["statements"][0]["first_difference"]["kind"], "order")
            else:
                self.assertIn("compared as sets", text)
        _, report = self.validate("--green", "dbname=" + other,
                                  workload="-- order: any\n" + plain + " ORDER BY tenant;")
        self.assertFalse(report["statements"][0]["ordered"])

    def test_each_way_to_ask(self):
        workload = "-- params: [3]\n-- format: binary\nSELECT id, name, born FROM patients WHERE id < $1;\n" \
                   "-- params: []\nSELECT id FROM patients ORDER BY id;\n-- params: [null]\n" \
                   "SELECT count(*) FROM patients WHERE ($1::text IS NULL) AND id > 3;"
        for more in ([], ["--unprepared"]):
            _, report = self.validate(*more, workload=workload)
            self.assertEqual(report["statements"][0]["rows"], 2)
            # int4, text, date in binary: 4 + 9 + 4 bytes
            self.assertEqual(report["statements"][0]["bytes"], 34)

    def test_a_large_answer(self):
        workload = "SELECT id, repeat(md5(id::text || n::text), 40) AS x, n FROM patients, " \
                   "generate_series(1, 60) AS n ORDER BY n, id;"
        _, report = self.validate("--rounds", "1", workload=workload)
        self.assertEqual(report["statements"][0]["rows"], 30000)
        self.assertGreater(report["statements"][0]["bytes"], 38_000_000)
        other = self.other_database("UPDATE patients SET id = 100000 WHERE id = 500")
        text, report = self.validate("--rounds", "1", "--green", "dbname=" + other, workload=workload, code=1)
        self.assertEqual(report["statements"][0]["first_difference"]["row"], 500)
        beyond = "SELECT CASE WHEN n = 60 THEN id ELSE least(id, 500) END AS id, repeat(md5(n::text), 40) AS x, " \
                 "n FROM patients, generate_series(1, 60) AS n ORDER BY n, 1;"
        text, report = self.validate("--rounds", "1", "--green", "dbname=" + other, workload=beyond, code=1)
        self.assertIn("beyond what is kept", text)
        self.assertEqual(report["statements"][0]["first_difference"]["column"], None)
        self.assertGreater(report["statements"][0]["first_difference"]["row"], 12000)

    def test_with_several_clients_for_a_time(self):
        _, report = self.validate("--clients", "6", "--duration", "2s",
                                  config=self.configuration(enable_load_testing=True))
        self.assertEqual(report["run"]["clients"], 6)
        self.assertEqual((report["run"]["rounds"], report["run"]["duration_ms"]), (None, 2000))
        self.assertGreater(report["totals"]["pairs"], 100)

    def test_what_it_sends_changes_nothing(self):
        """A function that writes: only the server knows, and the session is READ ONLY."""
        env.cluster.run("CREATE TABLE seen (i int)", "CREATE FUNCTION see() RETURNS int LANGUAGE sql AS "
                        "'INSERT INTO seen VALUES (1) RETURNING i'", database=self.database)
        text, report = self.validate(workload="SELECT see();", code=1)
        self.assertEqual(report["statements"][0]["sqlstate"], "25006")
        self.assertIn("SQLSTATE 25006", text)
        self.assertEqual(env.cluster.fetch("SELECT count(*) FROM seen", self.database), [(0,)])
        self.validate("--allow-writes", "--rounds", "1", workload="SELECT see();")
        # blue, green, blue once more, and a pair in the round
        self.assertEqual(env.cluster.fetch("SELECT count(*) FROM seen", self.database), [(5,)])

    def test_options_of_the_application_are_kept(self):
        env.cluster.run("ALTER TABLE patients ENABLE ROW LEVEL SECURITY", "GRANT SELECT ON patients TO alice",
                        "CREATE POLICY p ON patients USING (tenant = current_setting('app.tenant_id'))",
                        database=self.database)
        for where in ({"arguments": ["--blue", "user=alice options='-c app.tenant_id=pharmacy-2'"]},
                      {"variables": {"PGOPTIONS": "-c app.tenant_id=pharmacy-2"}, "arguments":
                          ["--blue", "user=alice"]}):
            arguments = where.pop("arguments")
            _, report = self.validate(*arguments, workload="SELECT id FROM patients ORDER BY id;", **where)
            self.assertEqual(report["statements"][0]["rows"], 100)
            self.assertEqual(report["green"]["user"], "alice")


class FailTest(ValidateCase):
    def test_another_row_is_told_without_its_value(self):
        other = self.other_database("UPDATE patients SET name = name || 'x' WHERE id = 42")
        text, report = self.validate("--green", "dbname=" + other, code=1)
        self.assertIn("FAIL", text)
        self.assertIn("row 1, column 3 (name): 12 bytes on blue, 13 on green (params line 1)", text)
        first = report["statements"][0]["first_difference"]
        self.assertEqual((first["kind"], first["row"], first["column"], first["parameter_set"]),
                         ("value", 1, 3, 1))
        self.assertEqual([s["different"] > 0 for s in report["statements"]], [True, False, True])
        self.assertIn("answers of green are not blue's", report["reasons"][0])

    def test_bytes_changed_on_the_way(self):
        change = lambda data: data.replace(MARK.encode(), b"ZZ91qpatient")  # noqa: E731
        text, report = self.validate("--green", self.relay(self.sidecar.port, change), code=1)
        self.assertIn("row 1, column 3 (name): 12 bytes on both, the first other one is byte 1", text)
        self.assertEqual(report["statements"][0]["different"], 1 + 5)

    def test_a_type_changed_on_the_way(self):
        change = lambda data: data.replace(b"\0\0\0\x17\0\4\xff\xff\xff\xff", b"\0\0\0\x1a\0\4\xff\xff\xff\xff")  # noqa: E731
        text, _ = self.validate("--green", self.relay(self.sidecar.port, change), code=1)
        self.assertIn("column 1: type 23 on blue, 26 on green", text)

    def test_rows_that_are_missing(self):
        other = self.other_database("DELETE FROM patients WHERE id = 43")
        text, _ = self.validate("--green", "dbname=" + other, code=1)
        self.assertIn("1 row on blue, 0 on green", text)
        self.assertIn("row 9, column 1 (id)", text)

    def test_an_error_on_green_alone(self):
        other = self.other_database("ALTER TABLE patients RENAME name TO other_name")
        text, report = self.validate("--green", "dbname=" + other, code=1)
        self.assertIn("blue: answers; green: fails with SQLSTATE 42703", text)
        self.assertIn("column 3: another name", text)

    def test_an_error_on_both_proves_nothing(self):
        text, report = self.validate(workload="SELECT 1;\nSELECT name::int FROM patients WHERE id = 42;", code=1)
        self.assertIn("line 2: ", text)
        self.assertIn("SQLSTATE 22P02", text)
        self.assertEqual(report["totals"]["different"], 0)
        self.assertEqual(report["reasons"], ["1 statement failed on blue, which proves nothing about green"])

    def test_an_answer_that_changes_is_unstable(self):
        workload = "SELECT 1;\nSELECT clock_timestamp() FROM patients;"
        text, report = self.validate(workload=workload, code=1)
        self.assertEqual(report["totals"]["unstable_statements"], 1)
        self.assertEqual(report["totals"]["different"], 0)
        self.assertIn("Unstable", text)
        self.assertIn("the answers of 1 statement changed on blue itself", text)
        text, report = self.validate("--max-unstable", "1", workload=workload)
        self.assertEqual(report["totals"]["unstable_statements"], 1)
        self.assertIn("Unstable", text)

    def test_a_stale_green_is_different_not_unstable(self):
        """What changes on blue between rounds does not excuse a green that stays behind."""
        frozen = {}

        def freeze(data):  # the first answer for ever
            at = data.find(b"T\0\0\0")
            return data if at < 0 else frozen.setdefault(data[:at + 64], data)
        stop = threading.Event()
        env.cluster.run("CREATE TABLE n AS SELECT 1000000 AS i", database=self.database)
        process = self.start("--green", self.relay(self.sidecar.port, freeze), "--duration", "4s",
                             "--max-unstable", "1", workload="SELECT i FROM n;")
        with psycopg.connect(env.cluster.conninfo(self.database), autocommit=True) as writer:
            while process.poll() is None and not stop.wait(0.3):
                writer.execute("UPDATE n SET i = i + 1")
        out, _ = self.finish(process, 1)
        self.assertIn("answers of green are not blue's", out)

    def test_the_target_is_missed(self):
        text, report = self.validate("--target", "10ms", workload="SELECT count(*), pg_sleep(0.02) FROM patients;",
                                     code=1)
        self.assertRegex(report["reasons"][0], r"p95 through green is \d+\.\d{3} ms, the target is 10 ms")
        self.assertEqual(len(report["reasons"]), 1)
        self.validate("--target", "0", "--rounds", "1", workload="SELECT pg_sleep(0.02);")

    def test_the_target_of_the_configuration(self):
        config = self.configuration(performance_target="7ms")
        out, _ = self.finish(subprocess.Popen(
            [env.program, "validate", "-c", config, "--database", self.database, "--user", "postgres",
             "--workload", self.file("SELECT pg_sleep(0.02);")], stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE), 1)
        self.assertIn("the target is 7 ms", out)

    def test_slower_than_blue(self):
        other = self.other_database("CREATE FUNCTION lag() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(0.5)'")
        env.cluster.run("CREATE FUNCTION lag() RETURNS int LANGUAGE sql AS 'SELECT 1'", database=self.database)
        _, report = self.validate("--green", "dbname=" + other, "--max-slowdown", "400", "--rounds", "2",
                                  workload="SELECT lag();", code=1)
        self.assertRegex(report["reasons"][0], r"p50 through green is \d+ % above blue's; --max-slowdown allows 400 %")
        self.assertGreater(report["totals"]["slowdown_p50_percent"], 400)

    def test_green_is_down(self):
        port = free_port()
        text, report = self.validate("--green", "port=%d" % port, code=1)
        self.assertIn("green: cannot connect: ", text)
        self.assertIn("port %d failed: Connection refused" % port, text)
        self.assertFalse(report["passed"])
        text, _ = self.validate("--blue", "port=%d" % port, code=1)
        self.assertIn("blue: cannot connect: ", text)

    def test_green_goes_down(self):
        sidecar = env.sidecar()
        self.addCleanup(sidecar.finish)
        process = self.start("--green", "port=%d" % sidecar.port, "--duration", "50s")
        wait_until("the run to be under way", lambda: env.cluster.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgsidecar validate' AND query LIKE "
            "'%count%' AND datname = '" + self.database + "'")[0][0] > 0)
        sidecar.finish()
        out, _ = self.finish(process, 1)
        self.assertIn("green: cannot connect", out)
        self.assertRegex(out, "green: (connection lost|fails with SQLSTATE 57P01)")

    def test_green_says_nothing(self):
        block = threading.Event()

        def change(data):
            if MARK.encode() in data:
                block.wait(4 * TIMEOUT)
            return data
        green = self.relay(self.sidecar.port, change)
        self.addCleanup(block.set)  # before the relay is closed
        text, _ = self.validate("--green", green, "--timeout", "100ms", "--rounds", "1", code=1,
                                workload="SELECT name FROM patients WHERE id = 42;")
        self.assertIn("green: no answer in time", text)

    def test_a_limit_of_the_tenant(self):
        sidecar = env.sidecar(tenants={"limits": "enforce", "tiers": [
            {"name": "default", "queries_per_minute": 5, "burst": 5}]})
        self.addCleanup(sidecar.finish)
        text, _ = self.validate("--green", "port=%d" % sidecar.port, code=1)
        self.assertIn("green: fails with SQLSTATE 55P03", text)
        self.assertIn("a tenant's limit", text)


class InterruptTest(ValidateCase):
    """SIGINT and SIGTERM: the reports are written all the same."""

    def under_way(self, process, pattern):
        """Blue is asked that, and is not answered from a cache."""
        wait_until("the run to be under way", lambda: process.poll() is not None or env.cluster.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgsidecar validate' AND query LIKE "
            "'%" + pattern + "%' AND datname = '" + self.database + "'")[0][0] > 0)
        self.assertIsNone(process.poll())

    def interrupt(self, process, number, path):
        process.send_signal(number)
        out, err = self.finish(process, 130)
        self.assertIn("pgsidecar validate: FAIL, interrupted\n  - interrupted: ", out)
        self.assertEqual(err, "")
        with open(path) as f:
            report = json.load(f)
        self.assertEqual((report["interrupted"], report["passed"]), (True, False))
        self.assertTrue(report["reasons"][0].startswith("interrupted"), report["reasons"])
        return out, report

    def test_what_was_found_until_then_is_told(self):
        other = self.other_database("UPDATE patients SET name = name || 'x' WHERE id = 42")
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number):
                path = self.file("", ".json")
                process = self.start("--report", path, "--green", "dbname=" + other, "--duration", "55s")
                self.under_way(process, "count")
                out, report = self.interrupt(process, number, path)
                self.assertIn("row 1, column 3 (name): 12 bytes on blue, 13 on green", out)
                self.assertGreaterEqual(report["totals"]["pairs"], 2)
                self.assertEqual(report["statements"][0]["first_difference"]["kind"], "value")
                self.assertEqual(report["totals"]["failed_on_blue"], 0)
                self.assertLess(report["seconds"], 50)

    def test_no_answer_is_waited_for(self):
        path = self.file("", ".json")
        process = self.start("--report", path, workload="SELECT 1;\nSELECT pg_sleep(55);")
        self.under_way(process, "pg_sleep")
        _, report = self.interrupt(process, signal.SIGINT, path)
        self.assertLess(report["seconds"], 50)
        # The one under way is no failure.
        self.assertEqual([(s["pairs"], s["different"], s["failed_on_blue"]) for s in report["statements"]],
                         [(1, 0, 0), (0, 0, 0)])

    def test_a_second_signal_ends_it_at_once(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            process = self.start("--green", "sslmode=disable connect_timeout=600 host=127.0.0.1 port=%d"
                                 % silent.getsockname()[1])
            silent.settimeout(TIMEOUT)
            with silent.accept()[0]:
                def caught():
                    with open("/proc/%d/status" % process.pid) as f:
                        return int(f.read().split("SigCgt:")[1].split()[0], 16) & 1 << (signal.SIGINT - 1)
                self.assertTrue(caught())
                process.send_signal(signal.SIGINT)
                wait_until("the first one to be seen", lambda: not caught())
                self.assertIsNone(process.poll())  # it goes on, to write its report
                process.send_signal(signal.SIGINT)
                self.finish(process, -signal.SIGINT)


class ProgressTest(ValidateCase):
    def test_on_a_terminal_alone(self):
        for terminal in (False, True):
            with self.subTest(terminal=terminal):
                mine, its = os.openpty() if terminal else os.pipe()
                self.addCleanup(os.close, mine)
                process = subprocess.Popen(
                    [env.program, "validate", "-c", self.configuration(), "--database", self.database, "--user",
                     "postgres", "--workload", self.file(WORKLOAD), "--target", "30s", "--max-slowdown", "10000",
                     "--duration", "3s"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=its, text=True)
                os.close(its)
                said = []

                def listen(said=said, mine=mine):
                    try:
                        while data := os.read(mine, 65536):
                            said.append(data)
                    except OSError:
                        pass  # a terminal whose other side is closed
                thread = threading.Thread(target=listen)
                thread.start()
                out, _ = process.communicate(timeout=3 * TIMEOUT)
                thread.join(TIMEOUT)
                said = b"".join(said).decode()
                self.assertEqual(process.returncode, 0, out + said)
                if terminal:
                    self.assertRegex(said, r"\r\x1b\[Kpgsidecar: validate: \d+ pairs of answers, 0 different, \d+ s")
                    self.assertTrue(said.endswith("\r\x1b[K"), said)
                else:
                    self.assertEqual(said, "")


class ConsoleTest(ValidateCase):
    def console(self, rows=None, grow=lambda rows: None):
        console = FakeConsole(rows or [
            ["a1", self.database, "SELECT name FROM patients WHERE id = $1", 50, 40],
            ["b2", self.database, "SELECT count(*) FROM patients WHERE tenant = $1 AND id > $2", 60, 0],
            ["c3", self.database, "SELECT min(id) FROM patients", 70, 10],
            ["d4", self.database, "INSERT INTO patients VALUES ($1)", 80, 0],
            ["e5", self.database, "SELECT born FROM patients WHERE id = $1", 40, 0],
            ["f6", "another", "SELECT nothing FROM nowhere", 9999, 0]], grow)
        self.addCleanup(console.close)
        return console, "host=127.0.0.1 port=%d dbname=pgsidecar user=postgres" % console.port

    def test_the_statements_that_are_called_most(self):
        def grow(rows):
            rows[0][3] += 20
            rows[0][4] += 15
        console, address = self.console(grow=grow)
        values = self.file(json.dumps({"SELECT name FROM patients WHERE id = $1": [[42], [43]],
                                       "b2": [["pharmacy-1", 3]]}), ".json")
        text, report = self.validate("--from-console", address, "--values", values, workload=None)
        self.assertEqual([(s["query"], s["parameter_sets"]) for s in report["statements"]], [
            ("SELECT name FROM patients WHERE id = $1", 2),
            ("SELECT min(id) FROM patients", 0),
            ("SELECT count(*) FROM patients WHERE tenant = $1 AND id > $2", 1)])
        self.assertEqual([s["query"][:11] for s in report["skipped"]], ["INSERT INTO", "SELECT born"])
        self.assertIn("it needs values for 1 placeholders (--values)", text)
        self.assertEqual(report["run"]["workload"], "console")
        self.assertEqual(report["cache"], {"hits": 15, "calls": 20, "hit_ratio": 0.75})
        self.assertIn("75.0 % of 20 statements were hits", text)
        self.assertEqual(set(console.asked), {b"SHOW QUERIES LIMIT 100000\0"})

    def test_hits_beside_a_file(self):
        def grow(rows):
            rows[0][3] += 4
            rows[0][4] += 1
        _, report = self.validate("--console", self.console(grow=grow)[1], workload="SELECT 1;")
        self.assertEqual(report["cache"], {"hits": 1, "calls": 4, "hit_ratio": 0.25})

    def test_nothing_to_run(self):
        rows = [["d4", self.database, "INSERT INTO patients VALUES ($1)", 80, 0]]
        text, report = self.validate("--from-console", self.console(rows)[1], workload=None, code=1)
        self.assertIn("the console names no statement of this database that can be run", text)
        self.assertEqual(len(report["skipped"]), 1)

    def test_no_console(self):
        text, _ = self.validate("--from-console", "port=%d" % free_port(), workload=None, code=1)
        self.assertIn("console: cannot connect", text)
        _, report = self.validate("--console", "port=%d" % free_port(), "--rounds", "1")
        self.assertIsNone(report["cache"])

    def test_values_that_are_not_right(self):
        values = self.file('{"a": [[1]],\n"b": ["%s"]}' % MARK, ".json")
        out, err = self.finish(self.start("--from-console", self.console()[1], "--values", values, workload=None), 2)
        self.assertEqual(out, "")
        self.assertIn(values + ":2: is not a JSON array", err)


class RefusedTest(ValidateCase):
    def refused(self, words, *arguments, **more):
        out, err = self.finish(self.start(*arguments, **more), 2)
        self.assertEqual(out, "")
        self.assertIn(words, err)
        return err

    def test_a_workload_that_is_not_right(self):
        for text, words in (("SELECT 1;\nSELEC %s;" % MARK, ":2: PostgreSQL's parser does not accept"),
                            ("\nDELETE FROM patients;", ":2: only statements that read are run"),
                            ("-- params: [1, \"%s\"]\nSELECT $1;" % MARK, ":1: params holds 2 values"),
                            ("SELECT '%s" % MARK, ":1: a quote or a comment that begins here")):
            self.refused(words, workload=text)
        err = self.refused(":1: PostgreSQL's parser", workload="SELEC 1;\nSELEC 2;")
        self.assertIn(":2: PostgreSQL's parser", err)
        self.refused("cannot be read", "--workload", "/nonexistent/file.sql", workload=None)

    def test_load_needs_leave(self):
        for more in (["--clients", "3"], ["--rounds", "21"], ["--duration", "61s"]):
            self.refused("needs enable_load_testing: true", *more)
        self.finish(self.start("--clients", "3", "--rounds", "1",
                               config=self.configuration(enable_load_testing=True)), 0)

    def test_options_that_make_no_sense(self):
        for words, more in (("Give one of --workload and --from-console", {"workload": None}),
                            ("--duration: ", {"arguments": ["--duration", "soon"]}),
                            ("--target: ", {"arguments": ["--target", "-1"]}),
                            ("--nonsense", {"arguments": ["--nonsense"]}),
                            ("--clients", {"arguments": ["--clients", "0"]}),
                            ("--values belongs to --from-console", {"arguments": ["--values", "x"]}),
                            ("cannot be written", {"arguments": ["--report", "/nonexistent/r.json"]})):
            self.refused(words, *more.pop("arguments", []), **more)
        self.refused("listen_port is 0", config=self.file(json.dumps(env.settings()), ".yaml"))
        self.refused("nonsense", config=self.file("nonsense: 1\n", ".yaml"))

    def test_no_password_in_any_output(self):
        for given in ("user=scram_user password='%s" % MARK, "%s=1" % MARK, "dbname='user=x password=%s'" % MARK):
            for side in ("--blue", "--green"):
                self.refused(side + ": ", side, given)
        text, report = self.validate("--blue", "user=scram_user password=" + MARK, code=1)
        self.assertIn("password authentication failed", text)

    def test_help_teaches(self):
        done = subprocess.run([env.program, "validate", "--help"], capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual(done.returncode, 0)
        for word in ("-- params: [", "--from-console", "Exit code 0", "130: interrupted", "READ ONLY", "enable_load_testing"):
            self.assertIn(word, done.stdout)


if __name__ == "__main__":
    unittest.main()

"""`pgsidecar deploy`: a new process in the place of the one that serves, under load and without a client's
notice, also when the command is killed at any of its steps; and the ways back."""
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import unittest

import psycopg

from harness import TIMEOUT, env, free_port, put_file, wait_until

TABLE = "CREATE TABLE v AS SELECT i AS id, 0 AS n FROM generate_series(1, 4) AS i"
WORKLOAD = "-- name: rows\nSELECT id FROM v ORDER BY id;\n\nSELECT count(*) FROM v;\n"


class Load:
    """Clients that come and go, read and write; any error, and any row from the past, is kept."""

    def __init__(self, port):
        self.conninfo = "host=127.0.0.1 port=%d user=postgres dbname=clinic sslmode=disable" % port
        self.ends, self.errors, self.done = threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(1, 5)]
        for thread in self.threads:
            thread.start()

    def run(self, row):
        try:
            written = 0
            while not self.ends.is_set():
                with psycopg.connect(self.conninfo, autocommit=True) as client:
                    written = max(written, client.execute("SELECT n FROM v WHERE id = %d" % row).fetchone()[0])
                    for _ in range(5):
                        written += 1
                        client.execute("UPDATE v SET n = %d WHERE id = %d" % (written, row))
                        got = client.execute("SELECT n FROM v WHERE id = %d" % row).fetchone()[0]
                        if got != written:
                            self.errors.append("row %d: %d was written, %d read" % (row, written, got))
                    self.done += 1
        except Exception as error:  # noqa: BLE001
            self.errors.append(repr(error))

    def wait_more(self, count):
        target = self.done + count
        wait_until("%d more connections" % count, lambda: self.done >= target or self.errors)

    def finish(self):
        self.ends.set()
        for thread in self.threads:
            thread.join(TIMEOUT)
        return self.errors


class DeployCase(unittest.TestCase):
    def setUp(self):
        if env.control:
            self.skipTest("control run: there is no program")
        self.folder = tempfile.mkdtemp(prefix="deploy-", dir=env.folder)
        self.place = os.path.join(self.folder, "take")
        self.port = free_port()
        self.addCleanup(self.end_programs)
        env.cluster.run("DROP DATABASE IF EXISTS clinic WITH (FORCE)", "CREATE DATABASE clinic")
        env.cluster.run(TABLE, database="clinic")
        self.config = self.write()
        self.workload = self.file("workload.sql", WORKLOAD)

    def file(self, name, text, mode=0o600):
        return put_file(self.folder, name, text, mode)

    def write(self, **over):
        settings = env.settings(listen_port=self.port, takeover_socket=self.place, auth_type="trust", admin_users=["postgres"],
                                auth_file=self.file("users", '"postgres" "sesame"\n'), **over)
        return self.file("pgsidecar.yaml", json.dumps(settings, indent=1))

    def processes(self):
        """Of this test: by its configuration on their command line, zombies left out."""
        found = {}
        for name in os.listdir("/proc"):
            try:
                with open("/proc/%s/cmdline" % name, "rb") as f:
                    arguments = f.read().decode("utf-8", "replace").split("\0")
                with open("/proc/%s/stat" % name) as f:
                    state = f.read().rpartition(")")[2].split()[0]
            except (OSError, ValueError):
                continue
            if name.isdigit() and "run" in arguments and self.config in arguments and state != "Z" \
                    and "sh" not in os.path.basename(arguments[0]):
                found[int(name)] = arguments
        return found

    def end_programs(self):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def command(self, *arguments):
        return [env.program, "deploy", *arguments[:1], *(arguments[1:2] if arguments[0] == "rollback" else ()),
                "-c", self.config, *arguments[2 if arguments[0] == "rollback" else 1:]]

    def deploy(self, *arguments, code=0):
        with open(self.file("said", ""), "w+") as said:  # no pipe: what is started would keep it open
            done = subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                  timeout=4 * TIMEOUT, env={**os.environ, "PGPASSWORD": "sesame"})
            said.seek(0)
            text = said.read()
        self.assertEqual(done.returncode, code, text + self.log())
        return text

    def log(self):
        try:
            with open(self.place + ".deploy.yaml.log") as f:
                return "\nlog:\n" + f.read()[-3000:]
        except FileNotFoundError:
            return ""

    def status(self):
        return self.deploy("status")

    def serving(self):
        found = re.search(r"serving +process (\d+)", self.status())
        return int(found.group(1)) if found else 0

    def start_blue(self):
        """As an operator would, without deploy."""
        log = open(os.path.join(self.folder, "blue.log"), "ab")
        blue = subprocess.Popen([env.program, "run", "-c", self.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        self.addCleanup(blue.wait)
        self.addCleanup(blue.kill)
        wait_until("blue to serve", self.serving)
        return self.serving()

    def fetch(self, sql, port=None):
        with psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=clinic sslmode=disable" % (port or self.port),
                             autocommit=True) as client:
            return client.execute(sql).fetchall()

    def check_alone(self, pid):
        """That process serves, and none of blue and the one that was tried out is left."""
        wait_until("one process alone", lambda: set(self.processes()) == {pid})
        self.assertEqual(self.fetch("SELECT count(*) FROM v"), [(4,)])


class DeployTest(DeployCase):
    def test_a_switch_under_load(self):
        blue = self.start_blue()
        load = Load(self.port)
        load.wait_more(4)
        self.assertIn("deploy green:", self.status())
        said = self.deploy("green")
        self.assertIn("green is ready", said)
        self.assertEqual(self.serving(), blue)
        self.assertIn("green runs already", self.deploy("green"))  # again: the same one
        self.assertEqual(len(self.processes()), 2)
        port = int(re.search(r"answers on port (\d+)", self.status()).group(1))
        self.assertEqual(self.fetch("SELECT count(*) FROM v", port), [(4,)])
        self.assertIn("give --workload", self.deploy("switch", code=2).lower())
        said = self.deploy("switch", "--workload", self.workload, "--database", "clinic", "--user", "postgres",
                           "--target", "0", "--max-slowdown", "1000000")
        self.assertIn("pgsidecar validate: PASS", said)
        self.assertIn("deploy: done", said)
        load.wait_more(8)
        self.assertEqual(load.finish(), [])
        new = self.serving()
        self.assertNotIn(new, (0, blue))
        self.check_alone(new)
        self.assertIn("validated   PASS", self.status())
        self.assertIn("the switch is done", self.deploy("switch"))
        self.assertEqual(self.serving(), new)

    def test_a_client_that_stays_is_served_to_its_end(self):
        blue = self.start_blue()
        with psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=clinic sslmode=disable" % self.port,
                             autocommit=True) as stays:
            self.deploy("green")
            said = self.deploy("switch", "--no-validate", "--drain", "0")
            self.assertIn("blue still has clients", said)
            self.assertIn("phase       draining", self.status())
            self.assertIn(blue, self.processes())
            self.assertEqual(stays.execute("SELECT count(*) FROM v").fetchone(), (4,))
        self.assertIn("deploy: done", self.deploy("switch"))
        self.check_alone(self.serving())

    def kill_at(self, step, *arguments):
        """Kills the command when it has printed so many steps; False: it has not that many."""
        process = subprocess.Popen(self.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        seen = 0
        killed = False
        for line in process.stderr:
            seen += line.startswith(b"deploy: ")
            if seen == step:
                process.kill()
                killed = True
                break
        process.stderr.close()
        process.wait(TIMEOUT)
        return killed

    def test_killed_at_each_step(self):
        serving = self.start_blue()
        load = Load(self.port)
        switch = ("switch", "--no-validate")
        for verb, before in ((("green",), ()), (switch, ("green",))):
            step = 0
            more = True
            while more:
                step += 1
                with self.subTest(verb=verb[0], step=step):
                    for one in before:
                        self.deploy(one)
                    more = self.kill_at(step, *verb)
                    self.deploy(*verb)
                    if verb != switch:
                        self.assertEqual(self.serving(), serving)
                        self.deploy(*switch)
                    self.assertIn("phase       done", self.status())
                    self.assertNotEqual(self.serving(), serving)
                    serving = self.serving()
                    self.check_alone(serving)
                    self.write(max_client_conn=100 + step)  # so that the next green is another one
                    self.assertEqual(load.errors, [])
            self.assertGreater(step, 3)
        load.wait_more(4)
        self.assertEqual(load.finish(), [])

    def test_what_does_not_work_leaves_blue_alone(self):
        blue = self.start_blue()
        self.assertIn("`deploy green` first", self.deploy("switch", "--no-validate", code=1))
        self.file("pgsidecar.yaml", "listen_prt: 1")
        self.assertIn("pgsidecar.yaml:1: listen_prt", self.deploy("green", code=2))
        self.write(upstream={"port": free_port()})  # valid, and the server is not there
        self.assertIn("green does not answer", self.deploy("green", "--timeout", "3", code=1))
        self.write()
        self.deploy("green")
        self.write(max_client_conn=77)
        self.assertIn("has changed since", self.deploy("switch", "--no-validate", code=1))
        self.assertIn("deploy green again", self.status())
        self.deploy("green")
        self.assertIn("exit code 3", self.deploy("switch", "--no-validate", "--start", "exit 3", code=1))
        self.assertIn("not so within", self.deploy("switch", "--no-validate", "--start", "true", "--timeout", "1", code=1))
        wrong = self.file("wrong.sql", "SELECT no_such_column FROM v;\n")
        self.deploy("switch", "--workload", wrong, "--database", "clinic", "--user", "postgres", code=1)
        self.assertEqual(self.serving(), blue)
        self.assertEqual(self.fetch("SELECT count(*) FROM v"), [(4,)])

    def test_started_by_a_command(self):
        blue = self.start_blue()
        manager = self.file("manager", '#!/bin/sh\necho "$1" >"%s/generation"\nshift\nsetsid "$@" >/dev/null 2>&1 </dev/null &\n'
                            % self.folder, 0o700)
        self.deploy("green")
        self.deploy("switch", "--no-validate", "--start",
                    manager + " {generation} {program} run --take-over -c {config}")
        with open(os.path.join(self.folder, "generation")) as f:
            self.assertEqual(f.read(), "1\n")
        self.assertNotEqual(self.serving(), blue)
        self.check_alone(self.serving())

    def test_nobody_serves_yet(self):
        self.assertIn("serving     nobody", self.status())
        self.deploy("green")
        self.deploy("switch", "--no-validate")
        self.check_alone(self.serving())


class RollbackTest(DeployCase):
    def flags(self):
        with psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=pgsidecar password=sesame sslmode=disable" % self.port,
                             autocommit=True, prepare_threshold=None) as console:
            return dict(row[:2] for row in console.execute("SHOW FLAGS").fetchall())

    def test_flag_and_config(self):
        self.start_blue()
        self.assertEqual(self.flags()["enable_optimizations"], "true")
        self.deploy("rollback", "flag")
        self.deploy("rollback", "flag")
        self.assertEqual(self.flags()["enable_optimizations"], "false")
        self.deploy("rollback", "config")
        self.assertEqual(self.flags()["enable_optimizations"], "true")

    def test_config_once_though_it_was_killed(self):
        self.start_blue()
        marker = self.place + ".deploy.yaml.rollback"
        self.deploy("rollback", "flag")
        with psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=pgsidecar password=sesame sslmode=disable" % self.port,
                             autocommit=True) as console:
            console.execute("SET cache.default_ttl = 7s")
        self.deploy("rollback", "config")  # takes back the ttl
        self.assertFalse(os.path.exists(marker))
        self.file("take.deploy.yaml.rollback", "config " + "0" * 64)  # killed behind ROLLBACK CONFIG
        self.assertIn("was ended behind it", self.deploy("rollback", "config"))
        self.assertEqual(self.flags()["enable_optimizations"], "false")  # not one further

    def test_application(self):
        original = b'{"ConnectionStrings": {"A": "Host=db1;Port=1;Password=sesame"}}'
        path = self.file("appsettings.json", original.decode())
        subprocess.run([env.program, "connection-string", "set", "--file", path, "--host", "127.0.0.1", "--port", "6432"],
                       check=True, stdout=subprocess.DEVNULL)
        self.deploy("rollback", "application", "--file", path)
        with open(path, "rb") as f:
            self.assertEqual(f.read(), original)
        self.assertIn("has no backup", self.deploy("rollback", "application", "--file", path, code=1))
        self.file("take.deploy.yaml.rollback", "application " + path)  # killed behind the restore
        self.assertIn("is restored", self.deploy("rollback", "application", "--file", path))

    def test_database(self):
        owner = env.cluster.conninfo("clinic")
        subprocess.run([env.program, "migrate", "up", "-c", self.config, "--database", owner], check=True, stdout=subprocess.DEVNULL)
        for _ in range(2):
            self.deploy("rollback", "database", "--database", owner, "--drop-data")
        found = env.cluster.fetch("SELECT count(*) FROM pg_class WHERE relname ~ '^(prescription_query|pgsidecar)'", "clinic")
        self.assertEqual(found, [(0,)])


if __name__ == "__main__":
    unittest.main()

"""deploy/RUNBOOK.md, block by block in its order, against a real server: each must end well and print what
the block `output` behind it says."""
import os
import re
import shlex
import signal
import subprocess
import unittest

from harness import PGBIN, TIMEOUT, Cluster, env, free_port

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
RUNBOOK = os.path.join(ROOT, "deploy", "RUNBOOK.md")

# What stands for the machines that the runbook is written for.
START = """#!/bin/bash
setsid nohup "$PGSIDECAR" run -c "$CONFIG" $1 >>"$FOLDER/pgsidecar.log" 2>&1 </dev/null &
echo $! >>"$FOLDER/pids"
"""
# A busy machine: its times say nothing.
PROGRAM = """#!/bin/bash
if [[ $1 == validate || "$1 $2" == "deploy switch" ]]; then set -- "$@" --target 0 --max-slowdown 1000000; fi
exec %s "$@"
"""
NEXT_LOG = """#!/bin/bash
grep -F "[$(tail -n 1 "$FOLDER/pids")]" "$FOLDER/pgsidecar.log"
"""
STOP = """#!/bin/bash
pid=$(tail -n 1 "$FOLDER/pids")
kill "$pid"
tail --pid="$pid" -f /dev/null
"""
APPLICATION = """#!/bin/bash
settings=$(grep -o '"Host=.*"' "$APP_SETTINGS" | tr -d '"')
declare -A of
while IFS='=' read -r key value; do of[$key]=$value; done < <(tr ';' '\\n' <<<"$settings")
psql -XAt -v ON_ERROR_STOP=1 -d "host=${of[Host]} port=${of[Port]} dbname=${of[Database]} user=${of[Username]}" \\
    -c "SELECT 'healthy' FROM prescriptions WHERE id = 1"
"""


def blocks():
    """(line, the shell's text, what it must print) of each block; every fence must be of one of two kinds."""
    with open(RUNBOOK) as f:
        text = f.read()
    out = []
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        line = text.count("\n", 0, match.start()) + 1
        kind, body = match.groups()
        if kind == "sh":
            out.append([line, body, []])
        elif kind == "output" and out and not out[-1][2]:
            out[-1][2] = body.splitlines()
        else:
            raise AssertionError("line %d: a block %r is neither run nor checked" % (line, kind))
    return out


def matches(said, wanted):
    """Whether the lines that are wanted stand in what was said, in their order."""
    lines = iter(said.splitlines())
    for want in wanted:
        pattern = re.compile(".*".join(re.escape(part) for part in want.split("...")))
        if not any(pattern.fullmatch(line) for line in lines):
            return want
    return None


class RunbookTest(unittest.TestCase):
    def setUp(self):
        if env.control:
            self.skipTest("control run: there is no program")
        self.folder = os.path.join(env.folder, "runbook")
        os.makedirs(self.folder)
        self.cluster = Cluster(os.path.join(self.folder, "pg"), env.certificates).start()
        self.addCleanup(self.cluster.stop, signal.SIGQUIT)
        self.cluster.run("CREATE ROLE app LOGIN", "CREATE ROLE dba LOGIN SUPERUSER PASSWORD 'sesame'",
                         "CREATE DATABASE clinic OWNER app")
        with open(os.path.join(ROOT, "deploy", "data", "prescriptions.sql")) as data:
            subprocess.run([PGBIN + "/psql", "-Xq", "-v", "rows=20000", "-d", self.cluster.conninfo("clinic", "app")],
                           stdin=data, check=True, timeout=4 * TIMEOUT)
        self.variables = self.make_variables()
        self.addCleanup(self.end_programs)

    def script(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o755)
        return path

    def make_variables(self):
        port = free_port()
        settings = self.script("appsettings.json", '{"ConnectionStrings": {"Prescriptions":\n  "Host=127.0.0.1;Port=%d;'
                               'Database=clinic;Username=app"}}\n' % self.cluster.port)
        passwords = self.script("pgpass", "*:*:*:dba:sesame\n")
        os.chmod(passwords, 0o600)
        return {
            "FOLDER": self.folder,
            "PGSIDECAR": self.script("pgsidecar", PROGRAM % shlex.quote(env.program)), "CONFIG": os.path.join(self.folder, "pgsidecar.yaml"),
            "RUN_FOLDER": self.folder, "SERVER_PORT": str(self.cluster.port), "PROXY_PORT": str(port),
            "ADMIN": "dba", "PGPASSFILE": passwords, "REPORT": os.path.join(self.folder, "report.json"),
            "START": self.script("start", START), "STOP": self.script("stop", STOP),
            "TAKE_OVER": self.script("start", START) + " --take-over", "NEXT_LOG": self.script("next-log", NEXT_LOG),
            "APP_SETTINGS": settings, "APP_RESTART": "true", "APP_CHECK": self.script("app", APPLICATION),
            "PATH": PGBIN + ":" + os.environ["PATH"], "LC_ALL": "C.UTF-8"}

    def end_programs(self):
        try:
            with open(os.path.join(self.folder, "pids")) as f:
                pids = [int(line) for line in f]
        except FileNotFoundError:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def test_each_block_in_its_order(self):
        first, *rest = blocks()
        self.assertGreater(len(rest), 12)
        self.assertEqual(sum(" validate " in body for _, body, _ in rest), 2)
        for line, body, wanted in rest:
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", first[1] + body], cwd=ROOT, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=6 * TIMEOUT, env={**os.environ, **self.variables})
            said = "deploy/RUNBOOK.md:%d printed\n%s" % (line, done.stdout)
            self.assertEqual(done.returncode, 0, said + self.log())
            self.assertIsNone(matches(done.stdout, wanted), said + self.log())

    def log(self):
        try:
            with open(os.path.join(self.folder, "pgsidecar.log")) as f:
                return "\nits log:\n" + f.read()[-3000:]
        except FileNotFoundError:
            return ""


if __name__ == "__main__":
    unittest.main()

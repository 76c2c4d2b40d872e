"""The scripts of deploy/windows as a test has them: run by the small host of tests/powershell, with a folder
for what stands in for services and for IIS."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from harness import TIMEOUT, env, free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPTS = os.path.join(ROOT, "deploy", "windows")
HOST = os.path.join(ROOT, "tests", "powershell")
QUIET = {"DOTNET_CLI_TELEMETRY_OPTOUT": "1", "DOTNET_NOLOGO": "1", "POWERSHELL_TELEMETRY_OPTOUT": "1"}

# In place of the program: what it was told to do, a line each, and for the verb `service` what Windows would
# do. Anything else is the program's own work, or ends with what FAILS says for that verb.
PROGRAM = """#!%(python)s
import json, os, signal, subprocess, sys
real, folder, given = %(real)r, os.environ["STAND_INS"], sys.argv[1:]
with open(os.path.join(folder, "calls"), "a") as f:
    f.write(json.dumps(given) + "\\n")
fails = json.loads(os.environ.get("FAILS", "{}"))
for verb, code in fails.items():
    if " ".join(given).startswith(verb):
        sys.exit(code)
if real and given[0] != "service":
    os.execv(real, [real, *given])
if given[0] != "service":
    sys.exit(0)
options = dict(zip(given[2::2], given[3::2]))
state = os.path.join(folder, "service-" + options["--name"])
if given[1] == "install":
    if os.path.exists(state):
        sys.exit("the service is there already")
    with open(state, "w") as f:
        f.write("Stopped\\n" + options["--config"] + "\\n")
if not os.path.exists(state):
    sys.exit("there is no such service")
with open(state) as f:
    how, config = f.read().split("\\n")[:2]
if given[1] == "start" and real:
    log = open(os.path.join(folder, "log"), "wb")
    process = subprocess.Popen([real, "run", "-c", config], stderr=log, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, start_new_session=True)
    while True:
        with open(log.name) as f:
            if "listening on " in f.read():
                break
        if process.poll() is not None:
            sys.exit("it does not start")
    with open(os.path.join(folder, "pids"), "a") as f:
        f.write("%%d\\n" %% process.pid)
if given[1] == "stop":
    with open(os.path.join(folder, "pids")) as f:
        pid = f.read().split()[-1]
    os.kill(int(pid), signal.SIGTERM)
    subprocess.run(["tail", "--pid=" + pid, "-f", os.devnull])
    with open(state, "w") as f:
        f.write("Stopped\\n" + config + "\\n")
    how = "Stopped"
if given[1] == "start":
    with open(state, "w") as f:
        f.write("Running\\n" + config + "\\n")
    how = "Running"
print("service", options["--name"], how.lower())
"""


def build():
    """Once for all classes of this process; what is built lies outside the tree."""
    out = os.path.join(env.folder, "powershell-host")
    program = out + "/bin/Release/net10.0/Host.dll"
    if not os.path.exists(program):
        done = subprocess.run(
            ["dotnet", "build", "-c", "Release", "--nologo", "-v", "quiet", "-p:RestoreLockedMode=true",
             "-nodeReuse:false", HOST + "/Host.csproj"], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=600, env={**os.environ, **QUIET, "PGSIDECAR_OUT": out})
        if done.returncode != 0:
            raise AssertionError(done.stdout[-4000:])
    return program


class Done:
    """How a script ended: `code`, what it `said`, the cmdlets and the command lines of the program that it
    `called`."""

    def __init__(self, text, calls):
        *lines, last = text.rstrip("\n").split("\n")
        self.said, result = "\n".join(lines), json.loads(last)
        self.code, self.cmdlets, self.program = result["code"], result["calls"], calls

    def __repr__(self):
        return "exit code %d, called %s %s, said\n%s" % (self.code, self.cmdlets, self.program, self.said)


@unittest.skipUnless(shutil.which("dotnet"), "not run: no .NET SDK")
class PowerShellCase(unittest.TestCase):
    real = True  # whether what is not of services is the program's own work

    @classmethod
    def setUpClass(cls):
        if env.control:
            raise unittest.SkipTest("control run: there is no program")
        cls.host = build()
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="ps", dir=env.folder)  # short: sockets are in there
        self.program = self.write("pgsidecar", PROGRAM % {
            "python": sys.executable, "real": os.path.abspath(env.program) if self.real else ""})
        os.chmod(self.program, 0o755)
        self.port = free_port()
        self.config = self.write("pgsidecar.yaml", json.dumps({
            "listen_addr": "127.0.0.1", "listen_port": self.port,
            "upstream": {"host": "127.0.0.1", "port": env.cluster.port}}))
        self.addCleanup(self.end_programs)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as f:
            return f.read()

    def needs(self, verb):
        done = subprocess.run([env.program, "--help"], text=True, capture_output=True, timeout=TIMEOUT)
        if not re.search("(?m)^  %s " % verb, done.stdout):
            self.skipTest("not run: this program has no `%s`" % verb)

    def run_script(self, script, *arguments, fails=None, **variables):
        calls = os.path.join(self.folder, "calls")
        if os.path.exists(calls):
            os.remove(calls)
        done = subprocess.run(
            ["dotnet", self.host, "run", os.path.join(SCRIPTS, script), *map(str, arguments), "-Program", self.program],
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.folder,
            timeout=4 * TIMEOUT, env={**os.environ, **QUIET, "STAND_INS": self.folder, "FAILS": json.dumps(fails or {}), **variables})
        self.assertEqual(done.returncode, 0, done.stdout)
        try:
            with open(calls, encoding="utf-8") as f:
                return Done(done.stdout, [json.loads(line) for line in f])
        except FileNotFoundError:
            return Done(done.stdout, [])

    def end_programs(self):
        try:
            pids = self.read("pids").split()
        except FileNotFoundError:
            return
        for pid in pids:
            subprocess.run(["kill", "-KILL", pid], capture_output=True)

    def snapshot(self):
        """All files here but the list of calls, with what is in them."""
        found = {}
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name != "calls":
                    path = os.path.join(folder, name)
                    with open(path, "rb") as f:
                        found[path] = f.read()
        return found

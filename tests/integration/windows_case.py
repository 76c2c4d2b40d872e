"""pgsidecar.exe under wine, without a display: a prefix of the test's own, the program as a command, in
console mode and as a service.

wine's server is started first and stays until the end; else it would go with the last program in the
foreground, and take the services along. What runs writes to files, for wine's server inherits pipes and
whoever reads one would never see its end.
"""
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

import psycopg

from harness import TIMEOUT, env, free_port, wait_until

WINE = "/usr/lib/wine"
PATIENCE = 180  # seconds for one command; wine's first one takes ten


def missing():
    """Empty, or why these tests cannot be run here."""
    if not os.access(WINE + "/wine64", os.X_OK):
        return "not run: wine64 is not installed"
    if env.control or not env.program.endswith(".exe"):
        return "not run: the program is not pgsidecar.exe (deploy/windows/build.sh builds it)"
    return "" if os.path.exists(env.program) else "not run: there is no " + env.program


class Wine:
    """One prefix (a C: drive, a registry, services)."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0
        self.prefix = os.path.join(folder, "prefix")
        os.makedirs(self.prefix)
        self.variables = {**os.environ, "WINEPREFIX": self.prefix, "WINEARCH": "win64", "WINEDEBUG": "-all",
                          "WINEDLLOVERRIDES": "mscoree,mshtml=", "PATH": WINE + ":" + os.environ["PATH"]}
        self.variables.pop("DISPLAY", None)
        self.command("wineserver64", "-p", check=True)
        self.command("wine64", "wineboot", "-i", check=True)
        self.command("wine64", "winecfg", "-v", "win10", check=True)

    def start(self, *command, debug="-all", cwd=None):
        """A process whose output goes to .out of it, stderr as well."""
        self.count += 1
        path = os.path.join(self.folder, "out%d.txt" % self.count)
        with open(path, "wb") as out:
            process = subprocess.Popen(command, env={**self.variables, "WINEDEBUG": debug}, stdout=out,
                                       stderr=out, stdin=subprocess.DEVNULL, cwd=cwd)
        process.out = path
        return process

    def command(self, *command, check=False, debug="-all", cwd=None):
        """(exit code, output). wine hands over the low byte of a code."""
        process = self.start(*command, debug=debug, cwd=cwd)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError("%s hangs: %s" % (command, text_of(process.out))) from None
        output = text_of(process.out)
        if check and process.returncode != 0:
            raise AssertionError("%s: %d: %s" % (command, process.returncode, output))
        return process.returncode, output

    def pgsidecar(self, *words, debug="-all"):
        return self.command("wine64", env.program, *words, debug=debug)

    def close(self):
        subprocess.run(["wineserver64", "-k"], env=self.variables, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE)
        subprocess.run(["wineserver64", "-w"], env=self.variables, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE)


def text_of(path):
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def windows_path(path):
    """wine shows the whole machine as Z:."""
    return "Z:" + path.replace("/", "\\")


class WindowsTest(unittest.TestCase):
    """One wine prefix for the class; a configuration, a log and a port for each program in it."""

    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        if missing():
            raise unittest.SkipTest(missing())
        # Outside of /tmp's sticky folder of the run: wine wants a prefix of its own user.
        cls.folder = os.path.join(env.folder, cls.__name__)
        os.makedirs(cls.folder)
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.wine = Wine(cls.folder)
        cls.addClassCleanup(cls.wine.close)
        cls.database = env.cluster.new_database()
        env.cluster.run("CREATE TABLE rx (id int PRIMARY KEY, drug text)",
                        "INSERT INTO rx SELECT i, 'drug ' || i FROM generate_series(1, 20) i",
                        database=cls.database)

    # A configuration file and what belongs to it.
    def configure(self, name, folder=None, **over):
        folder = folder or self.folder
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, name + ".yaml")
        log = os.path.join(folder, name + ".log")
        settings = env.settings(**{"listen_port": free_port(), "workers": 2, "auth_type": "trust",
                                   "admin_users": ["boss"], "shutdown_timeout": "20s",
                                   "config_watch_interval": 0,
                                   "log": {"file": windows_path(log), "level": "info"}, **over})
        self.write(path, settings)
        return path, settings["listen_port"], log

    @staticmethod
    def write(path, settings):
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(settings if isinstance(settings, str) else json.dumps(settings))
        os.replace(path + ".new", path)

    def rewrite(self, path, **over):
        with open(path, encoding="utf-8") as f:
            settings = json.load(f)
        for key, value in over.items():
            settings[key] = {**settings[key], **value} if isinstance(value, dict) else value
        self.write(path, settings)

    # Clients.
    def connect(self, port, database=None, user="postgres"):
        conn = psycopg.connect("host=127.0.0.1 port=%d user=%s dbname=%s sslmode=disable connect_timeout=30"
                               % (port, user, database or self.database), autocommit=True)
        self.addCleanup(conn.close)
        return conn

    def await_port(self, port):
        def answers():
            try:
                psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=%s sslmode=disable connect_timeout=30"
                                % (port, self.database)).close()
                return True
            except psycopg.OperationalError:
                return False
        wait_until("port %d" % port, answers, PATIENCE)

    def hits(self, console):
        with console.cursor() as cursor:
            cursor.execute("SHOW CACHE")
            names = [column.name for column in cursor.description]
            return int(dict(zip(names, cursor.fetchone()))["hits"])

    def check_hit(self, port):
        """The same answer again and again comes from the cache in the end, and is the server's."""
        console = self.connect(port, "pgsidecar", "boss")
        conn = self.connect(port)
        sql = "SELECT id, drug FROM rx ORDER BY id"
        before = self.hits(console)
        right = env.cluster.fetch(sql, self.database)
        deadline = time.monotonic() + TIMEOUT
        while self.hits(console) == before:
            self.assertEqual(conn.execute(sql).fetchall(), right)
            self.assertLess(time.monotonic(), deadline, "never a hit")

    def check_write_is_seen(self, port):
        conn, other = self.connect(port), self.connect(port)
        for i in range(5):
            conn.execute("UPDATE rx SET drug = %s WHERE id = 1", ("drug of round %d" % i,))
            got = other.execute("SELECT drug FROM rx WHERE id = 1").fetchone()
            self.assertEqual(got, ("drug of round %d" % i,))

    # The program at a prompt.
    def run_in_console(self, path):
        process = self.wine.start("wine64", env.program, "run", "-c", windows_path(path))
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
            process.wait()

    def interrupt(self, process):
        process.send_signal(signal.SIGINT)  # Ctrl-C
        return process.wait(PATIENCE)

    # The program as a service.
    def service(self, verb, name="pgsidecar", *more, code=0, debug="-all"):
        got, output = self.wine.pgsidecar("service", verb, "--name", name, *more, debug=debug)
        self.assertEqual(got, code, output)
        return output

    def install(self, name, path, *more):
        output = self.service("install", name, "-c", windows_path(path), *more)
        self.addCleanup(self.wine.pgsidecar, "service", "uninstall", "--name", name)
        return output

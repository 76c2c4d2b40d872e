"""A private PostgreSQL server, the program under test in front of it, and what tests ask of both.

run.py builds one Environment for the whole run: initdb once, one server, one temporary directory.
A test class derived from ProxyTest owns one Sidecar (class attribute `config` is laid over the
defaults); each test gets its own fresh database on first use of self.database. In control mode there
is no program: the "sidecar" is the server itself, so that a test which fails there is a wrong test.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import psycopg

from wire import TIMEOUT, Wire

PGBIN = os.environ.get("PGSIDECAR_PGBIN") or max(
    ("/usr/lib/postgresql/%s/bin" % v for v in os.listdir("/usr/lib/postgresql")),
    key=lambda p: float(p.split("/")[4]))
SANITIZER_MARKS = ("ERROR: AddressSanitizer", "WARNING: ThreadSanitizer", "LeakSanitizer",
                   "runtime error:", "Assertion", "assertion failed", "terminate called")

def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def put_file(folder, name, text, mode=0o600):
    """Its path."""
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def as_postgres(command):
    """initdb and postgres refuse root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else list(command)


def with_sockets(command, handed):
    """As sd_listen_fds(3) wants it: from 3 on, and for this process alone. To be run with pass_fds."""
    if not handed:
        return command
    moves = ["%d<&%d" % (10 + i, one.fileno()) for i, one in enumerate(handed)]  # not over each other
    moves += ["%d<&%d" % (3 + i, 10 + i) for i in range(len(handed))]
    return ["bash", "-c", "export LISTEN_PID=$$ LISTEN_FDS=%d LISTEN_FDNAMES=%s; exec %s; exec \"$@\""
            % (len(handed), ":".join(["clients"] * len(handed)), " ".join(moves)), "bash", *command]


def wait_until(what, condition, timeout=TIMEOUT):
    """Polls condition until it is true; for states that no one announces."""
    deadline = time.monotonic() + timeout
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError("timed out waiting for " + what)
        time.sleep(0.005)


class Output:
    """The lines of a child's stream, collected by a thread; a reader can wait for one."""

    def __init__(self, stream, path):
        self.lines, self.ended = [], False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._collect, args=(stream, path), daemon=True)
        self.thread.start()

    def _collect(self, stream, path):
        with open(path, "wb") as copy:
            for line in stream:
                copy.write(line)
                copy.flush()
                with self.changed:
                    self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait_for(self, text, start=0, timeout=TIMEOUT):
        deadline, at = time.monotonic() + timeout, start
        with self.changed:
            while True:
                for at in range(at, len(self.lines)):
                    if text in self.lines[at]:
                        return self.lines[at]
                at = max(start, len(self.lines))
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    raise AssertionError("no line with %r; last lines:\n%s"
                                         % (text, "\n".join(self.lines[-20:])))
                self.changed.wait(left)

    def text(self):
        with self.changed:
            return "\n".join(self.lines)


class Certificates:
    """A CA of our own and one certificate for localhost, made by the openssl command."""

    def __init__(self, folder):
        self.ca, self.cert, self.key = (os.path.join(folder, n)
                                        for n in ("ca.crt", "server.crt", "server.key"))
        ca_key, request = os.path.join(folder, "ca.key"), os.path.join(folder, "server.csr")
        names = os.path.join(folder, "names.ext")
        with open(names, "w") as f:
            f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        for command in (
                ["req", "-x509", *new, "-days", "30", "-keyout", ca_key, "-out", self.ca, "-subj",
                 "/CN=pgsidecar test CA"],
                ["req", *new, "-keyout", self.key, "-out", request, "-subj", "/CN=localhost"],
                ["x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key,
                 "-CAcreateserial", "-days", "30", "-extfile", names, "-out", self.cert]):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
        os.chmod(self.key, 0o600)


HBA = """
local all all trust
host all scram_user,scram_late,scram_none,scram_unknown,scram_md5,scram_changing 127.0.0.1/32 scram-sha-256
host all md5_user 127.0.0.1/32 md5
host all password_user 127.0.0.1/32 password
host all rejected_user 127.0.0.1/32 reject
hostssl all tls_user 127.0.0.1/32 trust
hostnossl all tls_user 127.0.0.1/32 reject
hostssl all plain_user 127.0.0.1/32 reject
hostnossl all plain_user 127.0.0.1/32 trust
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
"""
ROLES = """
CREATE ROLE scram_user LOGIN PASSWORD 'sesame';
CREATE ROLE scram_late LOGIN PASSWORD 'sesame' VALID UNTIL '2001-01-01';
CREATE ROLE scram_none LOGIN;
SET password_encryption = 'md5';
CREATE ROLE md5_user LOGIN PASSWORD 'sesame';
CREATE ROLE scram_md5 LOGIN PASSWORD 'sesame';
RESET password_encryption;
CREATE ROLE password_user LOGIN PASSWORD 'sesame';
CREATE ROLE rejected_user LOGIN;
CREATE ROLE tls_user LOGIN;
CREATE ROLE plain_user LOGIN;
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
CREATE ROLE ward NOLOGIN;
GRANT ward TO alice, bob;
"""
SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1", "fsync": "off", "wal_level": "logical", "autovacuum": "off",
    "max_connections": "200", "max_prepared_transactions": "20", "max_wal_senders": "20",
    "max_replication_slots": "20", "shared_buffers": "64MB", "ssl": "on", "log_min_messages": "fatal",
    "log_min_error_statement": "panic", "timezone": "UTC",
}


# In force, and never met: nothing else may change.
LIMITS_OUT_OF_THE_WAY = {"limits": "enforce", "tiers": [
    {"name": "default", "query_timeout": "10m", "max_result_rows": 100000000,
     "max_result_bytes": "1TB", "queries_per_minute": 1000000, "burst": 1000000,
     "max_concurrent": 1000, "query_wait_timeout": "10m"}]}


# The whole suite with server connections that clients share.
SHARED = bool(os.environ.get("PGSIDECAR_TEST_POOL"))
own_backend = unittest.skipIf(SHARED, "the server's own sessions do not follow their clients' here")
SHARED_CONNECTIONS = {"pool_mode": "transaction", "auth_type": "trust", "default_pool_size": 20}


class Cluster:
    """One PostgreSQL server on a free port. `source`: a stopped Cluster whose files are copied."""

    def __init__(self, folder, certificates, source=None, **settings):
        self.folder, self.data = folder, os.path.join(folder, "data")
        self.port, self.process, self.databases = free_port(), None, 0
        os.makedirs(folder)
        if source is None:
            self._initialise(folder, certificates)
        else:
            shutil.copytree(source.data, self.data)
        with open(os.path.join(self.data, "pg_hba.conf"), "w") as f:
            f.write(HBA)
        with open(os.path.join(self.data, "postgresql.auto.conf"), "w") as f:
            for key, value in {**SERVER_SETTINGS, "port": str(self.port),
                               "unix_socket_directories": folder, **settings}.items():
                f.write("%s = '%s'\n" % (key, value))
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "postgres:", folder], check=True)
        os.chmod(self.data, 0o700)

    def _initialise(self, folder, certificates):
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        subprocess.run(as_postgres([PGBIN + "/initdb", "-D", self.data, "-U", "postgres", "-A",
                                    "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]),
                       check=True, capture_output=True, cwd="/")
        for name in (certificates.cert, certificates.key):
            shutil.copy(name, self.data)

    def start(self):
        log = open(os.path.join(self.folder, "server.log"), "ab")
        self.process = subprocess.Popen(as_postgres([PGBIN + "/postgres", "-D", self.data]),
                                        stdout=log, stderr=log, cwd="/")
        wait_until("the server on port %d" % self.port, self._answers)
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError("postgres ended; see " + self.folder + "/server.log")
        try:
            psycopg.connect(self.conninfo()).close()
            return True
        except psycopg.OperationalError:
            return False

    def process_id(self):
        """Of the server's first process."""
        with open(os.path.join(self.data, "postmaster.pid")) as f:
            return int(f.readline())

    def stop(self, mode=signal.SIGINT):
        if self.process and self.process.poll() is None \
                and os.path.exists(os.path.join(self.data, "postmaster.pid")):
            os.kill(self.process_id(), mode)
            self.process.wait(TIMEOUT)

    def conninfo(self, database="postgres", user="postgres"):
        return "host=127.0.0.1 port=%d user=%s dbname=%s" % (self.port, user, database)

    def run(self, *statements, database="postgres"):
        with psycopg.connect(self.conninfo(database), autocommit=True) as conn:
            for sql in statements:
                conn.execute(sql)

    def fetch(self, sql, database="postgres"):
        with psycopg.connect(self.conninfo(database), autocommit=True) as conn:
            return conn.execute(sql).fetchall()

    def new_database(self):
        self.databases += 1
        name = "db%d" % self.databases
        self.run("CREATE DATABASE %s STRATEGY file_copy" % name)  # a third of wal_log's time
        return name


class Forwarder:
    """A port that leads to another one: to which, can be changed, as a virtual address does."""

    def __init__(self, target):
        self.target, self.ends = target, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, target):
        """Connections that are there end."""
        self.target = target
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended already

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.ends += [client, server]
            for source, to in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(source, to), daemon=True).start()

    @staticmethod
    def _carry(source, to):
        try:
            while data := source.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other end is gone, too

    def close(self):
        self.listener.close()
        self.lead_to(None)


class Direct:
    """Stands where a Sidecar does when the run is a control: the server itself."""

    control = True

    def __init__(self, cluster):
        self.port, self.pid = cluster.port, None

    def statistics(self):
        return {"reasons": {}, "entries": 0, "bytes": 0, "clients": 0}

    def check_alive(self):
        pass

    def finish(self):
        pass


class Sidecar:
    """One running program. finish() drains it and fails on a bad exit or a sanitizer's report."""

    control = False
    count = 0
    running = []  # so that an interrupted run leaves none behind

    def __init__(self, program, folder, config, beside=None, variables=None, arguments=(), handed=()):
        """`beside`: more files, their names' ends with their texts; `variables`: of the environment;
        `arguments`: more of `run`; `handed`: sockets, as a service manager hands them over."""
        Sidecar.count += 1
        base = os.path.join(folder, "sidecar%d" % Sidecar.count)
        self.config_path, self.log_path = base + ".yaml", base + ".log"
        with open(self.config_path, "w") as f:
            json.dump(config, f, indent=1)  # JSON is YAML
        for end, text in (beside or {}).items():
            with open(base + end, "w") as f:
                f.write(text)
        command = [program, "run", "-c", self.config_path, *arguments]
        self.process = subprocess.Popen(with_sockets(command, handed),
                                        env={**os.environ, **(variables or {})},
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE,
                                        pass_fds=[one.fileno() for one in handed])
        self.pid = self.process.pid
        Sidecar.running.append(self.process)
        self.output = Output(self.process.stderr, self.log_path)
        try:
            line = self.output.wait_for("listening on ")
        except AssertionError:
            self.process.kill()
            self.process.wait()
            raise
        self.port = int(line.split("listening on ")[1].split()[0].rsplit(":", 1)[1].rstrip(",.\""))

    def statistics(self):
        start = len(self.output.lines)
        self.process.send_signal(signal.SIGUSR1)
        line = self.output.wait_for("statistics", start)
        return json.JSONDecoder().raw_decode(line, line.index("{"))[0]

    def check_alive(self):
        if self.process.poll() is not None:
            raise AssertionError("the program ended with %s:\n%s" % (
                self.process.returncode, "\n".join(self.output.lines[-60:])))
        self.check_log()

    def check_log(self):
        text = self.output.text()
        for mark in SANITIZER_MARKS:
            if mark in text:
                raise AssertionError("%r in the log:\n%s" % (mark, text[-6000:]))

    def resident_peak(self):
        """VmHWM in bytes."""
        with open("/proc/%d/status" % self.pid) as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))

    def finish(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("SIGTERM did not end the program") from None
        self.output.thread.join(TIMEOUT)
        self.check_log()
        if code != 0:
            raise AssertionError("exit code %s:\n%s" % (code, self.output.text()[-4000:]))


class Environment:
    """What the whole run shares; open() by run.py and differential.py."""

    cluster = None

    def open(self, program=None):
        self.program = program and os.path.abspath(program)
        self.control = program is None
        self.folder = tempfile.mkdtemp(prefix="pgsidecar-test-")
        os.chmod(self.folder, 0o755)
        self.certificates = Certificates(self.folder)
        self.cluster = Cluster(os.path.join(self.folder, "pg"), self.certificates).start()
        self.cluster.run(ROLES)
        return self

    def settings(self, cluster=None, tables=("*",), **over):
        cluster = cluster or self.cluster
        upstream = {"host": "127.0.0.1", "port": cluster.port, "server_tls_sslmode": "disable",
                    "control_connection": "user=postgres dbname=postgres"}
        upstream.update(over.pop("upstream", {}))
        cache = {"enable_query_result_caching": True, "max_memory": "64MB",
                 "rules": [{"name": "all", "tables": list(tables), "ttl": "10m"}]}
        cache.update(over.pop("cache", {}))
        if os.environ.get("PGSIDECAR_TEST_LIMITS"):
            over.setdefault("tenants", LIMITS_OUT_OF_THE_WAY)
        if SHARED and "auth_type" not in over:
            over = {**SHARED_CONNECTIONS, **over}
        return {"listen_addr": "127.0.0.1", "listen_port": 0, "upstream": upstream, "cache": cache,
                **over}

    def migrate_up(self, cluster, database):
        """Makes the tables of `pgsidecar migrate` there."""
        path = os.path.join(self.folder, "migrate-%s.yaml" % database)
        with open(path, "w") as f:
            f.write("upstream: {host: 127.0.0.1, port: %d}\n" % cluster.port)
        subprocess.run([self.program, "migrate", "up", "-c", path, "--database",
                        "host=127.0.0.1 port=%d user=postgres dbname=%s" % (cluster.port, database)],
                       check=True, capture_output=True)

    def sidecar(self, cluster=None, **over):
        if self.control:
            return Direct(cluster or self.cluster)
        return Sidecar(self.program, self.folder, self.settings(cluster, **over))

    def close(self, keep=False):
        for process in Sidecar.running:
            if process.poll() is None:
                process.kill()
                process.wait()
        if self.cluster:
            self.cluster.stop(signal.SIGQUIT)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


env = Environment()


def backend(session):
    """The process that works for a session at the server; with shared connections, worked last."""
    if not SHARED or session.sock.getpeername()[1] == env.cluster.port:
        return session.pid
    found = env.cluster.fetch(
        "SELECT pid FROM pg_stat_activity WHERE application_name = '%s' ORDER BY state = 'active' DESC, "
        "query_start DESC LIMIT 1" % session.parameters["application_name"])
    return found[0][0] if found else 0


class ProxyTest(unittest.TestCase):
    config = {}
    named = 0
    maxDiff = 4000

    @property
    def proxied(self):
        """The server before which the program stands; a class attribute where a class has its own."""
        return env.cluster

    @classmethod
    def setUpClass(cls):
        cls.sidecar = env.sidecar(**cls.config)
        cls.addClassCleanup(cls.sidecar.finish)

    def setUp(self):
        self._database = None
        self.addCleanup(self.sidecar.check_alive)

    @property
    def database(self):
        if self._database is None:
            self._database = self.proxied.new_database()
            self.addCleanup(wait_until, "the end of " + self._database, self._dropped)
        return self._database

    def _dropped(self):
        """A replication slot in use keeps a database, FORCE or not."""
        name = self._database
        try:
            self.proxied.run("DROP DATABASE IF EXISTS %s WITH (FORCE)" % name)
            return True
        except psycopg.errors.ObjectInUse:
            self.proxied.run(
                "UPDATE pg_database SET datallowconn = false WHERE datname = '%s'" % name,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'" % name)
            return False

    def url(self, user="postgres", database=None, **extra):
        parts = {"host": "127.0.0.1", "port": self.sidecar.port, "user": user,
                 "dbname": database or self.database, **extra}
        return " ".join("%s=%s" % item for item in parts.items())

    def connect(self, user="postgres", database=None, **extra):
        """psycopg through the program."""
        extra = {"sslmode": "disable", **extra}
        conn = psycopg.connect(self.url(user, database, **extra), autocommit=True)
        self.addCleanup(conn.close)
        return conn

    def wire(self, user="postgres", database=None, **params):
        """A logged-in raw session through the program."""
        return self._wire(self.sidecar.port, user, database, params)

    def direct(self, user="postgres", database=None, **params):
        """The same, past the program."""
        return self._wire(self.proxied.port, user, database, params)

    def _wire(self, port, user, database, params):
        if SHARED:
            ProxyTest.named += 1
            params = {"application_name": "session %d" % ProxyTest.named, **params}
        session = Wire(port)
        self.addCleanup(session.close)
        return session.login(user=user, database=database or self.database, **params)

    def require_program(self):
        if self.sidecar.control:
            self.skipTest("control run: there is no program")

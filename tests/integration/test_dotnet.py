"""The .NET application's libraries: Npgsql, Entity Framework Core and Dapper, by the xunit tests of
tests/dotnet. They run three times: past the program as the control, and through it in both pool modes."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import types
import unittest
import xml.etree.ElementTree as xml

import psycopg

import dotnet_table
from harness import HBA, LIMITS_OUT_OF_THE_WAY, PGBIN, Cluster, Direct, ProxyTest, as_postgres, env, \
    free_port, wait_until
from test_relay_logins import own_certificate

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "dotnet")
QUIET = {"DOTNET_CLI_TELEMETRY_OPTOUT": "1", "DOTNET_NOLOGO": "1"}

# A tier for each limit, met by a tenant whose name begins so; see Limits/Limit.cs.
TIERS = [{"name": name, "members": [name + "-*"], **limit} for name, limit in {
    "rate": {"queries_per_minute": 1, "burst": 15},
    "swift": {"queries_per_minute": 1200, "burst": 8},
    "concurrent": {"max_concurrent": 1, "query_wait_timeout": "100ms"},
    "everybody": {"query_wait_timeout": "100ms"},
    "timeout": {"query_timeout": "300ms"},
    "rows": {"max_result_rows": 3000},
    "warned": {"max_result_rows": 3000, "max_result_rows_mode": "warn"},
    "bytes": {"max_result_bytes": "1MB"},
    "page": {"max_page_size": 1000, "default_page_size": 100}}.items()]
LIMITED = {"tenants": {"limits": "enforce", "max_concurrent_requests": 2,
                       "tiers": [LIMITS_OUT_OF_THE_WAY["tiers"][0], *TIERS]},
           "cache": {"rules": [{"name": "must", "tables": ["must_have_limit"], "unlimited": "refuse"},
                               {"name": "cut", "tables": ["cut"], "unlimited": "cut"},
                               {"name": "all", "tables": ["*"]}]}}

# Each place that deploy/dotnet.md names for a tenant's name.
NAMED = {"tenants": {**LIMITED["tenants"], "sources": [
    "startup:pgsidecar.tenant", "comment:tenant", "application_name:rx-{tenant}", "setting:app.tenant_id"]}}


def build():
    """Once for all classes of this process; what is built lies outside the tree."""
    out = os.path.join(env.folder, "dotnet-behaviour")
    program = out + "/bin/Release/net10.0/Behaviour.dll"
    if not os.path.exists(program):
        done = subprocess.run(
            ["dotnet", "build", "-c", "Release", "--nologo", "-v", "quiet", "-p:RestoreLockedMode=true",
             FOLDER + "/Behaviour.csproj"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=600, env={**os.environ, **QUIET, "PGSIDECAR_OUT": out})
        if done.returncode != 0:
            raise AssertionError(done.stdout[-4000:])
    return program


class Surroundings:
    """What all ways need beside the server, made once for this process: a standby, a server that accepts
    connections and says nothing, and a port at which nobody listens."""
    made = None

    def __init__(self):
        self.silent = socket.create_server(("127.0.0.1", 0))
        self.nowhere = free_port()
        # What the standby has not read yet stays, however much the tests write meanwhile.
        env.cluster.run("SELECT pg_create_physical_replication_slot('dotnet_standby', true)")
        folder = tempfile.mkdtemp(prefix="dotnet-", dir=env.folder)  # this may be made again, see close()
        os.chmod(folder, 0o755)
        base = os.path.join(folder, "base")
        os.makedirs(base)
        shutil.chown(base, "postgres") if os.geteuid() == 0 else None
        subprocess.run(as_postgres([PGBIN + "/pg_basebackup", "-D", base + "/data", "-h", "127.0.0.1", "-p",
                                    str(env.cluster.port), "-U", "postgres", "-c", "fast", "--no-sync"]),
                       check=True, capture_output=True, cwd="/")
        self.standby = Cluster(os.path.join(folder, "standby"), env.certificates,
                               source=types.SimpleNamespace(data=base + "/data"), hot_standby="on",
                               primary_conninfo=env.cluster.conninfo(), primary_slot_name="dotnet_standby",
                               listen_addresses="127.0.0.1,127.0.0.2")  # the second: of no certificate
        with open(os.path.join(self.standby.data, "standby.signal"), "w"):
            pass
        self.standby.start()
        unittest.addModuleCleanup(self.close)

    @classmethod
    def get(cls):
        cls.made = cls.made or cls()
        return cls.made

    def close(self):
        self.silent.close()
        self.standby.stop(signal.SIGQUIT)
        wait_until("the end of the standby's connection", self._slot_dropped)
        Surroundings.made = None

    @staticmethod
    def _slot_dropped():
        try:
            env.cluster.run("SELECT pg_drop_replication_slot('dotnet_standby')")
            return True
        except psycopg.errors.ObjectInUse:
            return False


@unittest.skipUnless(shutil.which("dotnet"), "not run: no .NET SDK")
class DotnetCase:
    """Runs them all once; each of its tests is one class of theirs, and says which of it went wrong."""
    way = None

    @classmethod
    def setUpClass(cls):
        if env.control and cls.way != "direct":
            raise unittest.SkipTest("control run: there is no program")
        if cls.way == "direct":
            cls.sidecar = Direct(env.cluster)
        else:
            super().setUpClass()
        cls.results = cls.run_all(build())

    @classmethod
    def run_all(cls, program):
        report = os.path.join(env.folder, "dotnet-%s.xml" % cls.way)
        facts = {"PGSIDECAR_" + name: str(value) for name, value in cls.facts().items()}
        only = os.environ.get("PGSIDECAR_DOTNET", "").split()  # say: -class Behaviour.CacheTests
        done = subprocess.run(["dotnet", program, "-noColor", "-noLogo", "-result-xml", report, *only],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
                              env={**os.environ, **QUIET, **facts})
        if not os.path.exists(report):
            raise AssertionError(done.stdout[-4000:])
        root, results = xml.parse(report).getroot(), {}
        for error in root.iter("error"):
            raise AssertionError("".join(error.itertext()))
        for test in root.iter("test"):
            results.setdefault(test.get("type").rsplit(".", 1)[1], []).append(test)
        return results

    @classmethod
    def facts(cls):
        around = Surroundings.get()
        own = {**own_certificate(), "upstream": {"server_tls_sslmode": "require"}}
        ports = {"LOGIN_PORT": env.cluster.port, "ELSEWHERE_PORT": around.standby.port, "SILENT_PORT": around.silent.getsockname()[1],
                 "NOWHERE_PORT": around.nowhere, "STANDBY_PORT": around.standby.port}
        authorities = [env.certificates.ca, os.path.join(env.folder, "own", "ca.crt")]
        if cls.way != "direct":
            authorities.reverse()
            ports = {"LOGIN_PORT": cls.beside(**own, **cls.logins()),
                     "ELSEWHERE_PORT": cls.beside(listen_addr="127.0.0.2", **own, **cls.logins()),
                     "SILENT_PORT": cls.beside(upstream={"port": ports["SILENT_PORT"]}),
                     "NOWHERE_PORT": cls.beside(upstream={"port": around.nowhere}),
                     "STANDBY_PORT": cls.beside(around.standby),
                     "LIMITS_PORT": cls.beside(**LIMITED), "TENANTS_PORT": cls.beside(**NAMED),
                     "OBSERVED_PORT": cls.beside(workers=1), "FEW_PORT": cls.beside(max_client_conn=2),
                     "STOPPED_PORT": cls.beside(), "IDLE_PORT": cls.beside(
                         client_idle_timeout="500ms", idle_transaction_timeout="500ms")}
        if cls.way == "transaction":
            ports["NARROW_PORT"] = cls.beside(default_pool_size=1, query_wait_timeout="100ms")
        return {**ports, "WAY": cls.way, "PORT": cls.sidecar.port, "SERVER_PORT": env.cluster.port,
                "STANDBY_SERVER_PORT": around.standby.port, "PAGE": dotnet_table.PAGE, "TABLE": cls.table_path(),
                "CA_FILE": authorities[0], "OTHER_CA_FILE": authorities[1]}

    @classmethod
    def logins(cls):
        """How the program asks for passwords, of those who log in for that; session mode relays them."""
        return {}

    @classmethod
    def beside(cls, cluster=None, **over):
        """One more program, with a configuration of its own."""
        sidecar = env.sidecar(cluster, **{**cls.config, **over})
        cls.addClassCleanup(sidecar.finish)
        return sidecar.port

    @classmethod
    def table_path(cls):
        return os.path.join(env.folder, "dotnet-table-%s" % cls.way)

    def check(self, name, at_least):
        """A class of tests; so many of it have to have been run, skipped ones included."""
        tests = self.results.get(name, [])
        self.assertGreaterEqual(len(tests), at_least, "tests of %s that were run" % name)
        for test in tests:
            with self.subTest(test.get("method"), name=test.get("name")):
                if test.get("result") == "Skip":
                    self.skipTest(test.findtext("reason"))
                self.assertEqual(test.get("result"), "Pass", "".join(test.itertext())[:4000])

    def test_nothing_is_left_out(self):
        """A class without a test here would fail and nobody would hear of it."""
        self.assertEqual(sorted(self.results), sorted(self.CLASSES))

    def test_the_table_in_the_documentation(self):
        """Which statements hit is what deploy/dotnet.md says; PGSIDECAR_WRITE=1 writes it there."""
        if self.way == "direct":
            self.skipTest("control: there is no program")
        with open(self.table_path()) as f:
            found = [line.rstrip("\n").split("\t") for line in f]
        self.assertGreater(len(found), 25)
        if os.environ.get("PGSIDECAR_WRITE"):
            dotnet_table.write(self.way, found)
        self.assertEqual(dotnet_table.read(self.way), found)

    def test_the_cache_was_in_play(self):
        if self.way == "direct":
            self.skipTest("control: there is no program")
        reasons = self.sidecar.statistics()["reasons"]
        self.assertGreater(reasons.get("hit", 0), 1000)


# The classes of tests/dotnet, and how many tests each has at least.
DotnetCase.CLASSES = {"PoolTests": 8, "PrepareTests": 11, "BatchTests": 11, "CopyTests": 7, "NotificationTests": 8,
                      "CancelTests": 10, "TransactionTests": 13, "TypeTests": 63, "LargeValueTests": 6,
                      "CreateTests": 4, "QueryTests": 10, "SaveTests": 13, "DapperTests": 7, "ListTests": 6, "LimitTests": 31, "TenantTests": 9, "TroubleTests": 8,
                      "CacheTests": 2, "ConsoleTests": 9, "LoginTests": 24, "TlsTests": 13, "HostTests": 12, "ReplicationTests": 3, "DocumentTests": 6}


def _test_of(name, at_least):
    def test(self):
        self.check(name, at_least)
    return test


for _name, _count in DotnetCase.CLASSES.items():
    setattr(DotnetCase, "test_" + _name[:-len("Tests")].lower(), _test_of(_name, _count))


class DirectTest(DotnetCase, ProxyTest):
    way = "direct"


class SessionTest(DotnetCase, ProxyTest):
    way = "session"
    config = {"pool_mode": "session", "admin_users": ["scram_user"]}


class TransactionTest(DotnetCase, ProxyTest):
    way = "transaction"
    config = {"pool_mode": "transaction", "auth_type": "trust", "default_pool_size": 20,
              "admin_users": ["scram_user"]}

    @classmethod
    def logins(cls):
        """The server's own rules."""
        path = os.path.join(env.folder, "dotnet-hba.conf")
        with open(path, "w") as f:
            f.write(HBA)
        return {"auth_type": "hba", "auth_hba_file": path}

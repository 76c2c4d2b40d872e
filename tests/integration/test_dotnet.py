"""The .NET application's libraries: Npgsql, Entity Framework Core and Dapper, by the xunit tests of
tests/dotnet. They run three times: past the program as the control, and through it in both pool modes."""
import os
import shutil
import subprocess
import unittest
import xml.etree.ElementTree as xml

from harness import Direct, ProxyTest, env

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "dotnet")
QUIET = {"DOTNET_CLI_TELEMETRY_OPTOUT": "1", "DOTNET_NOLOGO": "1"}


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
        done = subprocess.run(["dotnet", program, "-noColor", "-noLogo", "-result-xml", report],
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
        return {"WAY": cls.way, "PORT": cls.sidecar.port, "SERVER_PORT": env.cluster.port}

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

    def test_the_cache_was_in_play(self):
        if self.way == "direct":
            self.skipTest("control: there is no program")
        reasons = self.sidecar.statistics()["reasons"]
        self.assertGreater(reasons.get("hit", 0), 1000)


# The classes of tests/dotnet, and how many tests each has at least.
DotnetCase.CLASSES = {"PoolTests": 8, "PrepareTests": 10, "BatchTests": 11, "CopyTests": 7, "NotificationTests": 8,
                      "CancelTests": 10, "TransactionTests": 13, "TypeTests": 37, "LargeValueTests": 6}


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
    config = {"pool_mode": "session"}


class TransactionTest(DotnetCase, ProxyTest):
    way = "transaction"
    config = {"pool_mode": "transaction", "auth_type": "trust", "default_pool_size": 20}

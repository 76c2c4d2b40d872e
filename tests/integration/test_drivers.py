"""Drivers of other languages: programs of tests/drivers, each printing "ok NAME", "not ok NAME" or "skip NAME".
What a .NET application does is in test_dotnet.py. What a machine cannot build is reported as not run, and
counted as skipped."""
import os
import shutil
import subprocess
import unittest

from harness import TIMEOUT, ProxyTest, env

DRIVERS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "drivers")
NODE_PG = "/usr/share/nodejs/pg"
JDBC = "/usr/share/java/postgresql.jar"


class DriverTest(ProxyTest):
    config = {"admin_users": ["scram_user"]}

    def build(self, command, **more):
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, timeout=600,
                              stderr=subprocess.STDOUT, **more)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:])

    def drive(self, command, at_least, *more):
        done = subprocess.run([*command, str(self.sidecar.port), self.database, *more], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT * 10)
        lines = done.stdout.splitlines()
        for line in lines:
            if line.startswith("not ok"):
                with self.subTest(line[7:].split(":")[0]):
                    self.fail(line)
            if line.startswith("skip "):
                with self.subTest(line[5:].split(":")[0]):
                    self.skipTest(line)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:])
        self.assertGreaterEqual(sum(line.startswith(("ok ", "skip ")) for line in lines), at_least)

    @unittest.skipUnless(shutil.which("javac") and os.path.exists(JDBC), "not run: no JDK or driver")
    def test_jdbc(self):
        out = os.path.join(env.folder, "jdbc")
        self.build(["javac", "-cp", JDBC, "-d", out, DRIVERS + "/jdbc/DriverTest.java"])
        self.drive(["java", "-cp", JDBC + ":" + out, "DriverTest"], 13)

    @unittest.skipUnless(shutil.which("npm") or os.path.isdir(NODE_PG), "not run: no pg for Node")
    def test_node_pg(self):
        out = os.path.join(env.folder, "node")
        shutil.copytree(DRIVERS + "/node", out, ignore=shutil.ignore_patterns("node_modules"))
        if not os.path.isdir(NODE_PG):  # Debian's node and node-pg find each other
            self.build(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=out)
        self.drive(["node", out + "/driver_test.js"], 7)

    @unittest.skipUnless(shutil.which("dotnet"), "not run: no .NET SDK")
    def test_npgsql_at_the_console(self):
        self.require_program()
        out = os.path.join(env.folder, "dotnet")
        self.build(["dotnet", "build", "-c", "Release", "--nologo", "-v", "quiet", "-p:RestoreLockedMode=true",
                    DRIVERS + "/dotnet/DriverTest.csproj"],
                   env={**os.environ, "PGSIDECAR_OUT": out, "DOTNET_CLI_TELEMETRY_OPTOUT": "1",
                        "DOTNET_NOLOGO": "1"})
        self.drive(["dotnet", out + "/bin/Release/net10.0/DriverTest.dll"], 4, "scram_user", "sesame")

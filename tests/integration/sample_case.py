"""The sample application of deploy/samples as a test has it: built once, started on Kestrel, asked over
HTTP; and the class that puts two instances before the program and one past it."""
import http.client
import json
import os
import re
import shutil
import subprocess
import unittest

from harness import TIMEOUT, Output, ProxyTest, Sidecar, env, wait_until

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                      "deploy", "samples", "prescription-api")
ENVIRONMENTS = ("Development", "Test", "Staging", "Production", "Live")
OWNER, USER, PASSWORD = "prescription_owner", "prescription_app", "sesame"
DOTNET = {"DOTNET_CLI_TELEMETRY_OPTOUT": "1", "DOTNET_NOLOGO": "1", "CI": "true"}
# Methods are compiled once, in haste: for some thousand requests more would not pay.
IN_HASTE = {"DOTNET_TieredPGO": "0", "DOTNET_TC_CallCountThreshold": "7FFF"}
HIDDEN = re.compile(rb'"traceId":"[^"]*"')


def built():
    """The folder with the application, built when it is first asked for."""
    out = os.path.join(env.folder, "sample")
    program = os.path.join(out, "bin", "Release", "net10.0")
    if not os.path.exists(os.path.join(program, "PrescriptionApi.dll")):
        done = subprocess.run(
            ["dotnet", "build", "-c", "Release", "--nologo", "-v", "quiet", "-nodeReuse:false",
             "-p:UseSharedCompilation=false", FOLDER], text=True,
            env={**os.environ, **DOTNET, "PGSIDECAR_OUT": out}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=600)
        if done.returncode:
            raise AssertionError("the sample does not build:\n" + done.stdout[-4000:])
    return program


def connection_string(port, database, user=USER):
    return ("Host=127.0.0.1;Port=%d;Database=%s;Username=%s;Password=%s;SSL Mode=Disable;Timeout=30;"
            "Maximum Pool Size=8" % (port, database, user, PASSWORD))


def command(*arguments, **settings):
    """How the application is run: its command line, and the environment with its settings."""
    variables = {key.replace("_", "__"): value for key, value in settings.items()}
    return (["dotnet", os.path.join(built(), "PrescriptionApi.dll"), "--environment", "Test", *arguments],
            {**os.environ, **DOTNET, **IN_HASTE, **variables})


def migrate(port, database):
    """Applies the migrations; returns what it said."""
    line, variables = command("--migrate", ConnectionStrings_Owner=connection_string(port, database, OWNER))
    done = subprocess.run(line, env=variables, cwd=built(), text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=TIMEOUT * 4)
    if done.returncode:
        raise AssertionError(done.stdout[-4000:])
    return done.stdout


class App:
    """One instance on Kestrel, on a port that the system chose."""

    count = 0

    def __init__(self, use, **ports):
        """`use`: Direct or Sidecar; `ports`: connection strings by these names."""
        App.count += 1
        self.name = "%s %d" % (use, App.count)
        line, variables = command("--urls", "http://127.0.0.1:0", Database_Use=use, **{
            "ConnectionStrings_" + name: text for name, text in ports.items()})
        self.process = subprocess.Popen(line, env=variables, cwd=built(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        Sidecar.running.append(self.process)
        self.output = Output(self.process.stdout, os.path.join(env.folder, "app%d.log" % App.count))

    def started(self):
        line = self.output.wait_for("Now listening on: ", timeout=TIMEOUT * 4)
        self.port = int(line.rsplit(":", 1)[1])
        return self

    def finish(self):
        self.process.terminate()
        try:
            code = self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("SIGTERM did not end " + self.name) from None
        if code:
            raise AssertionError("%s ended with %d:\n%s" % (self.name, code, self.output.text()[-4000:]))


class Answer:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.headers = {k.lower(): v for k, v in response.getheaders() if k.lower() != "date"}

    @property
    def json(self):
        return json.loads(self.body)

    def told(self):
        """What two instances have to have in common."""
        return self.status, self.headers, HIDDEN.sub(b"", self.body)

    def __repr__(self):
        return "%d %r %s" % (self.status, self.headers, self.body[:1500].decode("utf-8", "replace"))


class Client:
    """Connections of one thread, one to each instance."""

    def __init__(self):
        self.open = {}

    def ask(self, app, method, path, tenant, body=None):
        if app.port not in self.open:
            self.open[app.port] = http.client.HTTPConnection("127.0.0.1", app.port, timeout=TIMEOUT)
        connection = self.open[app.port]
        headers = {"X-Tenant": tenant} if tenant is not None else {}
        if body is not None:
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        connection.request(method, path, body, headers)
        return Answer(connection.getresponse())

    def close(self):
        for connection in self.open.values():
            connection.close()


@unittest.skipUnless(shutil.which("dotnet"), "not run: no .NET SDK")
class SampleCase(ProxyTest):
    """Two instances go through the program, one past it. A class sets its pool_mode by `mode`."""

    mode = {}

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(cls.drop)
        for role in (OWNER, USER):
            env.cluster.run("CREATE ROLE %s LOGIN PASSWORD '%s'" % (role, PASSWORD))
        cls.name = "prescriptions_%d" % os.getpid()
        env.cluster.run("CREATE DATABASE %s OWNER %s" % (cls.name, OWNER))
        cls.appsettings = os.path.join(env.folder, "appsettings.json")
        cls.write_switch(True)
        cls.config = {"include_appsettings": cls.appsettings, "admin_users": ["scram_user"],
                      "cache": {"rules": [{"name": "sample", "tables": ["public.prescriptions",
                                                                        "public.patients"]}]},
                      "tenants": {"limits": "enforce"}, **cls.mode}
        super().setUpClass()
        through = connection_string(cls.sidecar.port, cls.name)
        past = connection_string(env.cluster.port, cls.name)
        cls.apps = [App(use, Sidecar=through, Direct=past) for use in ("Sidecar", "Sidecar", "Direct")]
        for app in cls.apps:
            cls.addClassCleanup(app.finish)
        cls.migrated = migrate(cls.sidecar.port, cls.name)
        cls.first, cls.second, cls.past = [app.started() for app in cls.apps]

    @classmethod
    def drop(cls):
        env.cluster.run("DROP DATABASE IF EXISTS %s WITH (FORCE)" % cls.name)
        for role in (OWNER, USER):
            env.cluster.run("DROP ROLE IF EXISTS " + role)

    @classmethod
    def write_switch(cls, on):
        """The application's own appsettings of Test, with EnableOptimizations so."""
        with open(os.path.join(FOLDER, "appsettings.Test.json"), encoding="utf-8") as f:
            text = f.read()
        # Fewer server connections than there are clients.
        for old, new in (('"EnableOptimizations": true', '"EnableOptimizations": %s' % str(on).lower()),
                         ('"DatabaseConnectionPoolSize": 20', '"DatabaseConnectionPoolSize": 2')):
            assert old in text, old
            text = text.replace(old, new)
        with open(cls.appsettings + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.replace(cls.appsettings + ".new", cls.appsettings)

    def setUp(self):
        super().setUp()
        self.client = Client()
        self.addCleanup(self.client.close)

    def reasons(self):
        return self.sidecar.statistics()["reasons"]

    def hits(self):
        got = self.reasons()
        return got.get("hit", 0) + got.get("coalesced", 0)

    def warm(self, tenant="warm"):
        """Waits until the program has read the catalogs and serves this application."""
        if self.sidecar.control:
            return

        def hit():
            before = self.hits()
            self.client.ask(self.first, "GET", "/prescriptions?size=7", tenant)
            return self.hits() > before
        wait_until("the first hit", hit)

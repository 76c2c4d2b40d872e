"""`pgsidecar connection-string`: host and port of an application's own file, and every byte back again."""
import os
import pwd
import stat
import subprocess
import tempfile
import unittest

from harness import TIMEOUT, env

SECRET = "sesame-zz91q"
JSON = ('\ufeff{\r\n\t// Host=db1;Port=5432\r\n\t"Logging": { "LogLevel": { "Default": "Warning", }, },\r\n'
        '\t"ConnectionStrings": {\r\n\t\t"Redis": "localhost:6379,password=%s",\r\n'
        '\t\t"Default\\u0043onnection":  "Host=db1;Database=clinic;Username=app;Password=\\"a;\\u0026%s\\"", // here\r\n'
        '\t},\r\n}\r\n' % (SECRET, SECRET)).encode()
XML = ('<?xml version="1.0" encoding="utf-8"?>\n<configuration>\n  <connectionStrings>\n'
       '    <!-- <add name="Old" connectionString="Host=old"/> -->\n'
       '    <add name="Clinic" connectionString="Server=db1; Port=5433; Database=clinic;Password=&quot;%s&amp;&quot;"'
       ' providerName="Npgsql" />\n  </connectionStrings>\n</configuration>\n' % SECRET).encode()
ENVIRONMENT = ("# of the service\nASPNETCORE_ENVIRONMENT=Production\n"
               "ConnectionStrings__Clinic=\"Host=db1;Port=5432;Database=clinic;Password='%s'\"\nTZ=UTC" % SECRET).encode()


class ConnectionStringTest(unittest.TestCase):
    def setUp(self):
        if env.control:
            self.skipTest("control run: there is no program")
        self.folder = tempfile.mkdtemp(prefix="settings-", dir=env.folder)
        self.said = ""

    def tearDown(self):
        self.assertNotIn(SECRET, self.said)

    def file(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(content)
        return path

    def read(self, path):
        with open(path, "rb") as f:
            return f.read()

    def call(self, verb, *arguments, code=0, variables=None):
        done = subprocess.run([env.program, "connection-string", verb, *arguments], text=True, timeout=TIMEOUT,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              env={**os.environ, **(variables or {})})
        self.said += done.stdout
        self.assertEqual(done.returncode, code, done.stdout)
        return done.stdout

    def set(self, path, *more, port=6432, code=0):
        return self.call("set", "--file", path, "--host", "127.0.0.1", "--port", str(port), *more, code=code)

    def restore(self, path, *more, code=0):
        return self.call("restore", "--file", path, *more, code=code)

    def beside(self, path):
        return sorted(os.listdir(os.path.dirname(path)))

    def test_only_host_and_port_change_in_every_kind_of_file(self):
        for name, before, old, new in (
                ("appsettings.Production.json", JSON, b'"Host=db1;', b'"Host=127.0.0.1;Port=6432;'),
                ("web.config", XML, b"Server=db1; Port=5433;", b"Server=127.0.0.1; Port=6432;"),
                ("clinic.env", ENVIRONMENT, b'"Host=db1;Port=5432;', b'"Host=127.0.0.1;Port=6432;')):
            with self.subTest(name):
                path = self.file(name, before)
                self.assertEqual(before.count(old), 1)
                said = self.set(path)
                self.assertIn("Password=***", said)
                self.assertEqual(self.read(path), before.replace(old, new))
                self.assertIn("Port=6432", self.call("show", "--file", path))
                self.assertIn("goes there already", self.set(path))
                self.assertEqual(self.read(path), before.replace(old, new))
                self.restore(path)
                self.assertEqual(self.read(path), before)
                self.assertFalse([n for n in self.beside(path) if "pgsidecar" in n])
                self.assertIn("has no backup", self.restore(path, code=1))

    def test_mode_owner_and_links_stay(self):
        path = self.file("appsettings.json", JSON)
        os.chmod(path, 0o640)
        if os.geteuid() == 0:
            os.chown(path, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
        link = os.path.join(self.folder, "link.json")
        os.symlink("appsettings.json", link)
        was = os.stat(path)

        def same(name):
            now = os.stat(os.path.join(self.folder, name))
            self.assertEqual((stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid),
                             (0o640, was.st_uid, was.st_gid), name)
        self.set(link)
        for name in self.beside(path):
            same(name)
        self.assertTrue(os.path.islink(link))
        self.assertIn(b"6432", self.read(path))
        self.restore(link)
        same("appsettings.json")
        self.assertTrue(os.path.islink(link))
        self.assertEqual(self.read(path), JSON)

    def test_another_target_keeps_the_first_backup(self):
        path = self.file("appsettings.json", JSON)
        self.set(path)
        self.set(path, port=6433)
        self.assertIn(b"Port=6433", self.read(path))
        self.assertEqual(self.read(path + ".pgsidecar-backup"), JSON)
        self.restore(path)
        self.assertEqual(self.read(path), JSON)

    def test_what_somebody_else_has_changed_is_not_lost(self):
        path = self.file("appsettings.json", JSON)
        self.set(path)
        edited = self.read(path).replace(b"Warning", b"Debug")
        self.file("appsettings.json", edited)
        names = self.beside(path)
        self.assertIn("has changed since", self.restore(path, code=1))
        self.assertIn("has changed since", self.set(path, port=6433, code=1))
        self.assertIn("goes there already", self.set(path))
        self.assertEqual((self.read(path), self.beside(path)), (edited, names))
        self.assertIn("has changed since", self.call("show", "--file", path))
        self.set(path, "--force", port=6433)  # a new backup; the older one has another name
        self.assertEqual(self.read(path + ".pgsidecar-backup.1"), JSON)
        self.assertEqual(self.read(path + ".pgsidecar-backup"), edited)
        self.restore(path)
        self.assertEqual(self.read(path), edited)
        self.set(path, port=6434)
        again = self.read(path) + b"// more\n"
        self.file("appsettings.json", again)
        self.restore(path, "--force")
        self.assertEqual(self.read(path), edited)
        self.assertEqual(self.read(path + ".pgsidecar-replaced.1"), again)
        self.assertEqual(self.read(path + ".pgsidecar-backup.1"), JSON)

    def test_whatever_step_a_run_was_ended_at(self):
        """Each state that a killed set or restore leaves: both verbs go on from there."""
        path = self.file("appsettings.json", JSON)
        self.set(path)
        changed = self.read(path)
        backup, record = (self.read(path + end) for end in (".pgsidecar-backup", ".pgsidecar-record"))
        self.assertEqual(backup, JSON)
        states = {"the backup alone": (JSON, backup, None), "backup and record": (JSON, backup, record),
                  "all": (changed, backup, record), "restored, both there": (JSON, backup, record),
                  "restored, no record": (JSON, backup, None), "restored": (JSON, None, None)}
        for name, state in states.items():
            for verb in ("set", "restore"):
                with self.subTest(name, verb=verb):
                    for end, content in zip(("", ".pgsidecar-backup", ".pgsidecar-record"), state):
                        if content is None:
                            if os.path.exists(path + end):
                                os.remove(path + end)
                        else:
                            self.file("appsettings.json" + end, content)
                    if verb == "set":
                        self.set(path)
                        self.assertEqual(self.read(path), changed)
                        self.restore(path)
                    elif name != "restored":
                        self.restore(path)
                    self.assertEqual(self.read(path), JSON)
                    self.assertEqual(self.beside(path), ["appsettings.json"])

    def test_a_dry_run_writes_nothing(self):
        path = self.file("appsettings.json", JSON)
        said = self.set(path, "--dry-run")
        self.assertIn("Host=127.0.0.1;Port=6432;Database=clinic", said)
        self.assertEqual((self.read(path), self.beside(path)), (JSON, ["appsettings.json"]))
        self.set(path)
        names = self.beside(path)
        self.restore(path, "--dry-run")
        self.assertEqual((self.beside(path), b"6432" in self.read(path)), (names, True))

    def test_errors_name_the_place_and_change_nothing(self):
        for name, content, more, want in (
                ("a.json", b'{\n"ConnectionStrings": {\n"A" "Host=x"}}', (), "a.json:3: is not valid JSON"),
                ("b.json", b'{"ConnectionStrings":\n{"A": "Host=a,b"}}', (), "b.json:2: ConnectionStrings:A: it names several"),
                ("c.json", b'{"ConnectionStrings":\n{"A": "postgresql://u:%s@h"}}' % SECRET.encode(), (), "it is a URI"),
                ("d.json", JSON, ("--name", "Other"), 'has no connection string "Other"'),
                ("e.config", b"<c>\n<connectionStrings configSource='x.config'/></c>", (), "e.config:2: keeps"),
                ("f.env", b"\nConnectionStrings__A='Host=a;%s", (), "f.env:2: ConnectionStrings__A: has a quote"),
                ("g.json", '{"ConnectionStrings": {}}'.encode("utf-16"), (), "UTF-16"),
                ("h.json", b'{"ConnectionStrings": {"A": "Data Source=x"}}', (), '"data source"')):
            with self.subTest(name):
                path = self.file(name, content)
                self.assertIn(want, self.set(path, *more, code=1))
                self.assertEqual(self.read(path), content)
        self.assertIn("is not there", self.set(os.path.join(self.folder, "none.json"), code=1))
        path = self.file("i.json", b'{"ConnectionStrings": {"A": "Host=a,b"}}')
        self.call("set", "--file", path, "--host", "a;b", "--port", "1", code=2)
        self.call("set", "--file", path, "--host", "a", "--port", "65536", code=2)
        self.set(path, "--all-hosts")
        self.assertEqual(self.read(path), b'{"ConnectionStrings": {"A": "Host=127.0.0.1;Port=6432"}}')

    @unittest.skipIf(os.geteuid() != 0, "only root can give files away")
    def test_a_file_that_cannot_keep_its_owner_is_left_alone(self):
        os.chmod(self.folder, 0o777)
        path = self.file("appsettings.json", JSON)  # root's, and readable
        done = subprocess.run(["runuser", "-u", "postgres", "--", env.program, "connection-string", "set", "--file", path,
                               "--host", "127.0.0.1", "--port", "6432"], text=True, capture_output=True, timeout=TIMEOUT)
        if "ermission denied" in done.stderr and "exec" in done.stderr:
            self.skipTest("the program lies where others cannot run it")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual((self.read(path), self.beside(path)), (JSON, ["appsettings.json"]))

    def test_variables_of_the_process(self):
        said = self.call("show", variables={"ConnectionStrings__Clinic": "Host=db1;Port=1;Password=" + SECRET})
        self.assertIn("environment: ConnectionStrings__Clinic\n  Host=db1;Port=1;Password=***\n", said)
        self.assertIn("there is no ConnectionStrings__Other", self.call("show", "--name", "Other", code=1))


if __name__ == "__main__":
    unittest.main()

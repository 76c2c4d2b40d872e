"""`pgsidecar diagnose`: one ZIP with all that is asked first, whatever is broken, and no secret or literal in it."""
import csv
import io
import json
import os
import socket
import stat
import subprocess
import tempfile
import unittest
import zipfile

import psycopg

from harness import TIMEOUT, Sidecar, env, free_port, put_file

# In everything that the program or a client can be told: none of these may be anywhere in a ZIP.
SECRETS = {name: "zz91q-%s-sesame" % name for name in (
    "control", "console", "alerts", "webhook", "token", "user", "literal", "application", "tenant", "logged", "quoted")}
TABLES = ("version", "databases", "pools", "clients", "servers", "stats", "cache", "tenants", "queries", "config")


class DiagnoseTest(unittest.TestCase):
    def setUp(self):
        if env.control:
            self.skipTest("control run: there is no program")
        self.folder = tempfile.mkdtemp(prefix="diagnose-", dir=env.folder)
        self.said = ""

    def file(self, name, text, mode=0o600):
        return put_file(self.folder, name, text, mode)

    def settings(self, **over):
        s = SECRETS
        return env.settings(
            listen_port=free_port(), auth_type="trust", admin_users=["dba"],
            auth_file=self.file("users", '"dba" "%s"\n"other" "%s"\n' % (s["console"], s["user"])),
            upstream={"control_connection": "user=postgres dbname=postgres password='%s'" % s["control"]},
            alerts={"connection": "postgresql://postgres:%s@127.0.0.1/postgres" % s["alerts"],
                    "webhook_url": "http://127.0.0.1:1/hooks/" + s["webhook"]},
            http={"listen_port": free_port(), "token_file": self.file("token", s["token"] + "\n")},
            client_tls_sslmode="prefer", client_tls_cert_file=env.certificates.cert,
            client_tls_key_file=env.certificates.key,
            tenants={"sources": ["application_name:rx-{tenant}"], "limits": "warn"}, **over)

    def write(self, settings):
        return self.file("pgsidecar.yaml", json.dumps(settings, indent=1))

    def diagnose(self, *arguments, code=0):
        """(name: text) of the ZIP, after it has been searched whole."""
        out = os.path.join(self.folder, "diagnosis.zip")
        passwords = self.file("pgpass", "*:*:*:dba:%s\n" % SECRETS["console"])
        if "--out" not in arguments:
            arguments = ("--out", out, *arguments)
        done = subprocess.run([env.program, "diagnose", *arguments], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              timeout=4 * TIMEOUT, env={**os.environ, "PGPASSFILE": passwords})
        self.said = done.stdout
        self.assertEqual(done.returncode, code, done.stdout)
        if code != 0:
            return {}
        self.assertEqual(stat.S_IMODE(os.stat(out).st_mode), 0o600)
        self.assertFalse([n for n in os.listdir(self.folder) if "part" in n])
        with zipfile.ZipFile(out) as archive:
            self.assertIsNone(archive.testzip())
            files = {name: archive.read(name).decode() for name in archive.namelist()}
        with open(env.certificates.key) as key:
            hidden = {**SECRETS, "key": key.read().splitlines()[1]}
        for name, text in {**files, "what was printed": done.stdout}.items():
            for kind, secret in hidden.items():
                self.assertFalse(secret in text or secret in name, "%s: %s" % (kind, name))
            self.assertNotIn("zz91q", text, name)
        return files

    def rows(self, text):
        return list(csv.DictReader(io.StringIO(text)))

    def test_a_running_program_and_no_secret(self):
        settings = self.settings()
        sidecar = Sidecar(env.program, self.folder, settings)
        self.addCleanup(sidecar.finish)
        s = SECRETS
        with psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable" % sidecar.port,
                             application_name="rx-" + s["tenant"], autocommit=True) as client, \
             psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=require" % sidecar.port,
                             application_name=s["application"], autocommit=True) as other:
            for c in (client, other):
                c.execute("SELECT '%s' AS a, relname FROM pg_class WHERE relname = '%s' /* %s */" % ((s["literal"],) * 3))
                c.execute("SELECT %s::text", (s["literal"],))
                for wrong in ("SELECT '%s'::int" % s["literal"], "SELECT %d / 0 FROM \"NoTable\" WHERE a = E'%s'" % (
                        len(s), s["quoted"])):
                    with self.assertRaises(psycopg.Error):
                        c.execute(wrong)
            planted = self.file("app.log", "".join(line % s for line in (
                "connection string password=%(logged)s refused\n", "at postgresql://app:%(logged)s@db/clinic\n",
                "ERROR: invalid input syntax \"%(quoted)s\"\n", "WHERE name = 'the %(literal)s' AND $x$%(literal)s$x$\n",
                "alert begins: tenant=%(tenant)s tier=default\n", "seen rx-%(tenant)s, application_name=%(application)s\n",
                "Authorization: Bearer %(logged)s\n", "the token is %(token)s\n", "said by %(application)s.\n")))
            files = self.diagnose("-c", self.write(settings), "--log", planted, "--log", sidecar.log_path)
        for name in ["console/%s.csv" % table for table in TABLES]:
            self.assertIn(name, files, files["README.txt"])
        clients = self.rows(files["console/clients.csv"])
        self.assertEqual(len({row["application_name"] for row in clients if row["database"] == "postgres"}), 2)
        tenant = {row["tenant"] for row in clients if row["tenant"].startswith("tenant-")}
        self.assertTrue(tenant & {row["tenant"] for row in self.rows(files["console/tenants.csv"])}, clients)
        self.assertIn("$1", files["console/queries.csv"])
        self.assertIn("valid\n", files["configuration.txt"])
        self.assertIn("listen_port: %d" % sidecar.port, files["configuration.yaml"])
        self.assertIn("TLS", files["ports.txt"])
        self.assertIn("log-in: ok", files["upstream.txt"])
        self.assertRegex(files["upstream.txt"], r"server_version: \d{6}")
        self.assertIn("CN=localhost", files["certificates.txt"])
        self.assertRegex(files["certificates.txt"], r"days left: \d+")
        self.assertIn("belongs to the certificate", files["certificates.txt"])
        self.assertIn("200 OK", files["http/readyz.txt"])
        self.assertIn("pgsidecar_ready 1", files["http/metrics.txt"])
        self.assertRegex(files["http/metrics.txt"], 'tenant="tenant-1"')
        self.assertRegex(files["machine.txt"], r"process %d: .*run -c" % sidecar.pid)
        self.assertIn("listening on", files["log/" + os.path.basename(sidecar.log_path)])
        self.assertIn("tier=default", files["log/app.log"])
        self.assertIn("Everything was to be had", files["README.txt"])

    def test_a_program_that_does_not_run(self):
        log = self.file("pgsidecar.log", "".join("line %d\n" % i for i in range(100000)) + "the last one\n")
        settings = self.settings(log={"file": log})
        settings["upstream"]["port"] = free_port()
        files = self.diagnose("-c", self.write(settings), "--log-size", "16")
        self.assertIn("not reached", files["ports.txt"])
        self.assertIn("not reached", files["upstream.txt"])
        self.assertIn("console: ", files["README.txt"])
        self.assertIn("http: /metrics: ", files["README.txt"])
        self.assertTrue(files["log/pgsidecar.log"].endswith("the last one\n"))
        self.assertLessEqual(len(files["log/pgsidecar.log"]), 16 << 10)
        self.assertTrue(files["log/pgsidecar.log"].startswith("line "))

    def test_a_configuration_that_is_not_valid(self):
        settings = self.settings()
        settings["listen_port"] = SECRETS["logged"]
        settings["alerts"]["webhook_url"] = "ftp://" + SECRETS["webhook"]
        settings["cache"]["max_memory"] = SECRETS["literal"]
        files = self.diagnose("-c", self.write(settings))
        self.assertIn("NOT VALID", files["configuration.txt"])
        self.assertIn("listen_port", files["configuration.txt"])
        self.assertNotIn("configuration.yaml", files)
        files = self.diagnose("-c", self.file("broken.yaml", "listen_port: [\n # " + SECRETS["literal"]))
        self.assertIn("NOT VALID", files["configuration.txt"])
        files = self.diagnose("-c", os.path.join(self.folder, "none.yaml"))
        self.assertIn("cannot be read", files["configuration.txt"])
        self.assertIn("no configuration was given", self.diagnose()["configuration.txt"])

    def test_who_listens_and_never_answers(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            settings = self.settings()
            settings.update(listen_port=port, http={"listen_port": port, "token_file": settings["http"]["token_file"]})
            settings["upstream"]["port"] = port
            settings["upstream"]["control_connection"] += " connect_timeout=2"
            files = self.diagnose("-c", self.write(settings), "--timeout", "1")
        self.assertIn("no answer in time", files["ports.txt"])
        self.assertIn("no answer in time", files["upstream.txt"])
        self.assertIn("no answer in time", files["README.txt"])

    def test_where_no_file_can_be_written(self):
        self.diagnose("--out", os.path.join(self.folder, "nowhere", "x.zip"), code=1)
        other = self.file("precious.txt", "not to be lost")
        self.diagnose("--out", other, code=2)
        with open(other) as f:
            self.assertEqual(f.read(), "not to be lost")
        self.diagnose("--console", "what is this", code=2)


if __name__ == "__main__":
    unittest.main()

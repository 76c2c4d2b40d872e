"""The sample application of deploy/samples, driven over HTTP: two instances through the program, each
answer compared with that of an instance past it. PGSIDECAR_SAMPLE_SEED gives other draws."""
import http.client
import os
import signal
import subprocess
import threading
import unittest

import psycopg

from harness import TIMEOUT, env, free_port, wait_until
from sample_case import ENVIRONMENTS, FOLDER, App, Client, SampleCase, connection_string, migrate
from sample_load import World

SEED = os.environ.get("PGSIDECAR_SAMPLE_SEED", "1")
TENANTS = ("clinic-1", "clinic-2", "hospital-1", "practice_4")


class SettingsTest(unittest.TestCase):
    def test_the_program_reads_the_settings_of_each_environment(self):
        if env.control:
            self.skipTest("control run: there is no program")
        with open(os.path.join(FOLDER, "pgsidecar.yaml"), encoding="utf-8") as f:
            text = f.read()
        for name in ENVIRONMENTS:
            with self.subTest(name):
                path = os.path.join(env.folder, "sample-%s.yaml" % name)
                included = os.path.join(FOLDER, "appsettings.%s.json" % name)
                with open(path, "w", encoding="utf-8") as f:
                    f.write(text.replace("appsettings.Development.json", included))
                done = subprocess.run([env.program, "check", "--print", "-c", path], text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT)
                self.assertEqual(done.returncode, 0, done.stdout)
                for key in ("Performance.EnableOptimizations", "PerformanceLimits.PremiumTenant"):
                    self.assertRegex(done.stdout, r"# \S*appsettings\.%s\.json:\d+ %s" % (name, key))


class Traffic:
    """What every pool mode must bear."""

    def world(self, tenants=TENANTS):
        """Each test has tenants of its own."""
        made = World((self.first, self.second), self.past, SEED,
                     ["%s-%s" % (tenant, self._testMethodName[5:12].strip("_")) for tenant in tenants])
        self.addCleanup(made.stop.set)
        return made

    def test_the_page_after_the_fill_is_a_hit(self):
        self.warm()
        world = self.world(TENANTS[:2])
        world.start(steps=0)
        world.join()
        for worker in world.workers:
            path = "/prescriptions?status=Active&page=1&size=3"
            before = self.reasons()
            fill = self.client.ask(self.first, "GET", path, worker.tenant)
            filled = self.reasons()
            page = self.client.ask(self.second, "GET", path, worker.tenant)
            after = self.reasons()
            self.assertEqual(page.told(), fill.told())
            self.assertEqual(page.told(), self.client.ask(self.past, "GET", path, worker.tenant).told())
            self.assertEqual({row["tenant"] for row in page.json["items"]}, {worker.tenant})
            if not self.sidecar.control:  # the number of rows, and the page
                self.assertEqual(grown(before, filled), {"miss": 2})
                self.assertEqual(grown(filled, after), {"hit": 2})

    def test_each_answer_is_that_of_the_direct_instance(self):
        self.warm()
        hits = self.hits()
        world = self.world()
        world.start(steps=45)
        world.join()
        self.assertGreater(sum(worker.writes for worker in world.workers), 50)
        if not self.sidecar.control:
            self.assertGreater(self.hits() - hits, world.requests() / 10)

    def test_nobody_reads_what_is_older_than_an_acknowledged_write(self):
        """One writes by turns through both, three read through both, all at once."""
        self.warm()
        register = Register(self)
        readers = [threading.Thread(target=register.read, args=(app,), daemon=True)
                   for app in (self.first, self.second, self.second)]
        for reader in readers:
            reader.start()
        hits = self.hits()
        register.write(40)
        for reader in readers:
            reader.join(TIMEOUT)
        self.assertEqual(register.failures, [])
        self.assertGreater(register.reads, 40)
        if not self.sidecar.control:
            self.assertGreater(self.hits(), hits)

    def test_switches_off_and_on_under_load(self):
        self.require_program()
        self.warm()
        world = self.world()
        world.start()
        switches = (self.by_file, self.console("enable_optimizations", "false", "true"),
                    self.console("cache.rules[sample].mode", "off", "on"),
                    self.console("cache.rules[sample].mode", "shadow", "on"))
        try:
            for switch in switches:
                switch(False)
                asked, hits = world.requests(), self.hits()
                self.wait_for_load(world, lambda: world.requests() > asked + 40)
                self.assertEqual(self.hits(), hits, "hits while it was off")
                switch(True)
                self.wait_for_load(world, lambda: self.hits() > hits)
        finally:
            world.stop.set()
            world.join()
        shadow = self.sidecar.statistics()["shadow"]
        self.assertEqual(shadow["different"], 0)
        self.assertGreater(shadow["equal"], 0)

    @staticmethod
    def wait_for_load(world, reached):
        wait_until("the load", lambda: world.failures or reached())
        if world.failures:
            world.join()

    def by_file(self, on):
        """The way of an operator: EnableOptimizations in the application's own settings."""
        start = len(self.sidecar.output.lines)
        self.write_switch(on)
        self.sidecar.process.send_signal(signal.SIGHUP)
        self.sidecar.output.wait_for("changed: enable_optimizations", start)

    def set(self, key, value):
        with psycopg.connect(self.url("scram_user", "pgsidecar", password="sesame", sslmode="disable"),
                             autocommit=True) as console:
            console.execute("SET %s = %s" % (key, value))

    def console(self, key, off, on):
        return lambda to: self.set(key, on if to else off)

    def test_health_and_metrics(self):
        for app in (self.first, self.past):
            for path in ("/healthz", "/readyz"):
                self.assertEqual(self.client.ask(app, "GET", path, None).status, 200)
            self.client.ask(app, "GET", "/prescriptions", "metrics")
            text = self.client.ask(app, "GET", "/metrics", None).body.decode()
            for name in ("http_server_request_duration_seconds_count", "db_client_", "kestrel_"):
                self.assertIn(name, text)

    def test_a_stale_answer_would_be_found(self):
        """A write past the program, of which nothing here tells it: the comparison has to see it."""
        self.require_program()
        self.warm()
        world = self.world(TENANTS[:1])
        world.start(steps=0)
        world.join()
        worker = world.workers[0]
        worker.by_id()
        row = worker.row()
        path = "/prescriptions/" + row["id"]
        worker.same("GET", path)
        self.assertEqual(worker.ask(self.past, "POST", path + "/cancel").status, 200)
        with self.assertRaisesRegex(AssertionError, "is not"):
            worker.same("GET", path)
        with self.assertRaisesRegex(AssertionError, "got +404"):
            worker.same("GET", path, tenant=TENANTS[1])
        worker.client.close()


class SessionTest(Traffic, SampleCase):
    mode = {"pool_mode": "session"}

    def test_migrations_are_applied_once(self):
        self.assertIn("_Initial", self.migrated)
        self.assertIn("nothing to migrate", migrate(self.sidecar.port, self.name))


    def test_limits_are_told_over_http(self):
        """One tenant alone is limited, so that Npgsql can still read its types."""
        self.require_program()
        tenant = "limited"
        env.cluster.run(
            "INSERT INTO patients VALUES (gen_random_uuid(), 'limited', 'P', '1970-01-01')",
            "INSERT INTO prescriptions SELECT gen_random_uuid(), 'limited', p.id, 'D', '1 mg', 'Active', now() "
            "FROM patients p, generate_series(1, 1000) WHERE p.tenant_id = 'limited'", database=self.name)
        for key, to in (("members", "[limited]"), ("max_result_rows", 500)):
            self.set("tenants.tiers[premium]." + key, to)
        self.assertEqual(self.client.ask(self.first, "GET", "/prescriptions?size=501", tenant).status, 422)
        self.assertEqual(self.client.ask(self.first, "GET", "/prescriptions?size=500", tenant).status, 200)
        # The export has begun when the limit is met: it must not look whole.
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.client.ask(self.first, "GET", "/prescriptions/export", tenant)
        self.assertIn(b'"tenant":"limited"', caught.exception.partial)
        self.assertNotIn(b"]", caught.exception.partial)
        self.client.close()
        self.client = Client()
        self.set("tenants.tiers[premium].burst", 1)
        self.set("tenants.tiers[premium].queries_per_minute", 1)
        self.assertEqual(self.client.ask(self.first, "GET", "/prescriptions?size=5", tenant).status, 429)
        self.assertEqual(self.client.ask(self.first, "GET", "/prescriptions?size=5", "free").status, 200)

    def test_without_a_database_it_lives_and_is_not_ready(self):
        nowhere = connection_string(free_port(), self.name)
        app = App("Direct", Direct=nowhere)
        self.addCleanup(app.finish)
        app.started()
        self.assertEqual(self.client.ask(app, "GET", "/healthz", None).status, 200)
        self.assertEqual(self.client.ask(app, "GET", "/readyz", None).status, 503)


class TransactionTest(Traffic, SampleCase):
    mode = {"pool_mode": "transaction", "auth_type": "scram-sha-256"}


def grown(before, after):
    """Reasons counted between the two, but for what is sent with each query: DISCARD ALL and SET."""
    return {k: v - before.get(k, 0) for k, v in after.items()
            if v != before.get(k, 0) and k != "bypass:not_a_select"}


class Register:
    """One prescription that is put on hold and back, again and again, and whoever reads it meanwhile."""

    def __init__(self, case):
        self.case, self.failures, self.reads, self.done = case, [], 0, False
        self.tenant = "register-" + type(case).__name__
        patient = case.client.ask(case.first, "POST", "/patients", self.tenant,
                                  {"name": "P", "birthDate": "1970-01-01"}).json["id"]
        row = case.client.ask(case.first, "POST", "/prescriptions", self.tenant, {
            "patientId": patient, "drug": "D", "dosage": "1 mg"}).json
        self.path = "/prescriptions/" + row["id"]
        self.order = {row["version"]: 0}  # of the versions; known once they are acknowledged
        self.acknowledged = row["version"]

    def write(self, times):
        try:
            for n in range(times):
                app = (self.case.first, self.case.second)[n % 2]
                answer = self.case.client.ask(app, "PUT", self.path + "/status", self.tenant, {
                    "status": ("OnHold", "Active")[n % 2], "version": self.acknowledged})
                if answer.status != 200:
                    raise AssertionError(repr(answer))
                self.order[answer.json["version"]] = n + 1
                self.acknowledged = answer.json["version"]
        finally:
            self.done = True

    def read(self, app):
        client, last = Client(), -1
        try:
            while not self.done and not self.failures:
                least = max(last, self.order[self.acknowledged])
                answer = client.ask(app, "GET", self.path, self.tenant)
                self.reads += 1
                version = answer.json["version"]
                # One that nobody has been told of yet is newer than all that are known.
                last = self.order.get(version, last)
                if version in self.order and self.order[version] < least:
                    raise AssertionError("version %d after %d" % (self.order[version], least))
        except Exception as e:  # pylint: disable=broad-except
            self.failures.append("%s: %s" % (app.name, e))
        finally:
            client.close()

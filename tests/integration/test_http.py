"""HTTP: what monitoring reads is what the program did, and nobody who connects there disturbs anybody."""
import base64
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

import psycopg

import exposition
from browser import CHROMIUM, DRIVER, Browser
from cache_case import CacheTest, env
from harness import TIMEOUT, Cluster, Sidecar, free_port, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOKEN = "a-token-for-tests-0123"


def fetch(port, path, host="127.0.0.1", method="GET", **headers):
    """(status, headers, body) of one request."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


class HttpTest(CacheTest):
    keys = {}
    config = {}

    @classmethod
    def setUpClass(cls):
        if env.control:
            raise unittest.SkipTest("control run: there is no program")
        cls.http = free_port()
        cls.config = {**cls.config, "http": {"listen_port": cls.http, **cls.keys}}
        super().setUpClass()

    def get(self, path, **headers):
        return fetch(self.http, path, **headers)

    def page(self, path, status=200, **headers):
        got, _, body = self.get(path, **headers)
        self.assertEqual(got, status, body)
        return body

    def families(self):
        return exposition.parse(self.page("/metrics"))

    def value(self, name, **labels):
        return exposition.value(self.families(), name, **labels)


class MetricsPageTest(HttpTest):
    config = {"tenants": {"limits": "warn", "tiers": [
        {"name": "default", "queries_per_minute": 100000, "max_result_rows": 100000},
        {"name": "premium", "members": ["clinic-*"], "max_result_rows": 5}]}}

    def setUp(self):
        super().setUp()
        self.setup_sql("CREATE TABLE kv (k int PRIMARY KEY, v text); "
                       "INSERT INTO kv SELECT i, 'v' || i FROM generate_series(1, 20) i")

    def session(self, tenant):
        return self.wire(options="-c app.tenant_id=" + tenant)

    def settled(self, name, least, **labels):
        """The counter once it has come so far: what is over is counted a moment later."""
        return wait_until("%s %r to be %s" % (name, labels, least),
                          lambda: self.value(name, **labels) >= least and self.value(name, **labels))

    def test_a_known_load_is_what_the_page_says(self):
        session = self.session("clinic-9")
        self.cached(session, "SELECT v FROM kv WHERE k = 1")
        before = self.families()
        for _ in range(30):
            session.q("SELECT v FROM kv WHERE k = 1")
        for i in range(7):
            session.q("SELECT k FROM kv WHERE k = %d" % (i + 2))
        for i in range(5):
            session.q("UPDATE kv SET v = 'x' WHERE k = %d" % (i + 1))
        self.assertIsNotNone(session.q("SELECT 1/0").error)
        session.q("SELECT k FROM kv")  # 20 rows are more than the tier may have
        mine = {"tenant": "clinic-9"}
        name = "pgsidecar_tenant_statements_total"
        self.settled(name, exposition.value(before, name, **mine) + 44, **mine)
        now = self.families()

        def grown(what, **labels):
            return exposition.value(now, what, **labels) - exposition.value(before, what, **labels)
        self.assertEqual({o: grown(name, outcome=o, **mine)
                          for o in ("hit", "miss", "bypass", "failed")},
                         {"hit": 30, "miss": 8, "bypass": 5, "failed": 1})
        self.assertEqual(grown("pgsidecar_statements_total", tier="premium"), 44)
        self.assertEqual(grown("pgsidecar_statement_duration_seconds_count", tier="premium"), 44)
        self.assertGreater(grown("pgsidecar_statement_duration_seconds_sum", tier="premium"), 0)
        self.assertEqual(grown("pgsidecar_tenant_rows_total", **mine), 30 + 7 + 5 + 20)
        self.assertEqual(grown("pgsidecar_limits_met_total", limit="max_result_rows"), 1)
        self.assertEqual(grown("pgsidecar_reasons_total", reason="hit"), 30)
        self.assertGreaterEqual(exposition.value(now, "pgsidecar_clients"), 1)
        self.assertEqual(exposition.value(now, "pgsidecar_ready"), 1)

    def test_every_name_in_grafana_is_exported(self):
        names = set(self.families())
        folder = os.path.join(ROOT, "deploy", "grafana")
        used = set()
        for name in ("pgsidecar-dashboard.json", "pgsidecar-alerts.yaml"):
            with open(os.path.join(folder, name)) as f:
                text = f.read()
            found = set(re.findall(r"\bpgsidecar_[a-z_]+", text))
            self.assertGreater(len(found), 8, name)
            used |= {re.sub(r"_(bucket|sum|count)\Z", "", n) if n not in names else n for n in found}
        self.assertEqual(used - names, set())
        with open(os.path.join(folder, "pgsidecar-dashboard.json")) as f:
            board = json.load(f)
        ids = [panel["id"] for panel in board["panels"]]
        self.assertEqual(len(ids), len(set(ids)))

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_prometheus_reads_page_rules_and_expressions(self):
        def promtool(*arguments, text=""):
            done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        promtool("check", "metrics", text=self.page("/metrics"))
        folder = os.path.join(ROOT, "deploy", "grafana")
        promtool("check", "rules", os.path.join(folder, "pgsidecar-alerts.yaml"))
        with open(os.path.join(folder, "pgsidecar-dashboard.json")) as f:
            board = json.load(f)
        rules = [{"record": "e%d:%s" % (panel["id"], target["refId"]),
                  "expr": target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")}
                 for panel in board["panels"] for target in panel.get("targets", [])]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", dir=env.folder) as f:
            json.dump({"groups": [{"name": "panels", "rules": rules}]}, f)
            f.flush()
            promtool("check", "rules", f.name)

    def test_no_literal_is_on_any_page(self):
        session = self.session("clinic-1")
        session.q("SELECT v FROM kv WHERE v = 'needle-in-a-literal'")
        session.x("SELECT v FROM kv WHERE v = $1", ("needle-in-a-parameter",))
        session.q("SELEC needle_in_nonsense 'needle-in-nonsense'")
        session.q("INSERT INTO kv VALUES (70, 'needle-in-a-row')")
        self.assertEqual(session.q("SELECT v FROM kv WHERE k = 70").value, "needle-in-a-row")
        self.settled("pgsidecar_tenant_statements_total", 4, tenant="clinic-1")
        for path in ("/metrics", "/api/dashboard", "/readyz"):
            self.assertNotIn("needle-in", self.page(path))
        self.assertIn("FROM kv WHERE v = $1", self.page("/api/dashboard"))


class ProtocolTest(HttpTest):
    keys = {"max_connections": 16}

    def test_what_is_not_there_or_not_allowed(self):
        self.page("/nothing", 404)
        for method in ("POST", "DELETE", "OPTIONS"):
            status, headers, _ = fetch(self.http, "/metrics", method=method)
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))
        self.page("/", 421, Host="rebound.example")
        self.page("/metrics", 431, X="y" * 20000)

    def test_every_answer_has_the_headers_that_protect_it(self):
        for path in ("/", "/metrics", "/healthz", "/nothing", "/dashboard.js"):
            _, headers, _ = self.get(path)
            self.assertIn("default-src 'self'", headers["Content-Security-Policy"])
            self.assertEqual((headers["Cache-Control"], headers["X-Content-Type-Options"]),
                             ("no-store", "nosniff"))

    def test_a_thousand_that_hold_connections_keep_nobody_out(self):
        self.database  # made by a driver that cannot wait for descriptors above 1023
        held = []
        self.addCleanup(lambda: [s.close() for s in held])

        def descriptors():
            return len(os.listdir("/proc/%d/fd" % self.sidecar.pid))
        before = descriptors()
        for i in range(1000):
            s = socket.create_connection(("127.0.0.1", self.http), TIMEOUT)
            if i % 2:
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: local")  # and never more
            held.append(s)
            if i % 100 == 50:
                self.page("/metrics")
        self.assertEqual(json.loads(self.page("/healthz")), {"status": "alive"})
        self.assertLessEqual(descriptors(), before + 16 + 4)
        self.assertEqual(self.wire().q("SELECT 1").value, "1")

    def test_one_connection_for_many_requests(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=TIMEOUT)
        self.addCleanup(connection.close)
        connection.connect()
        name = connection.sock.getsockname()
        for path in ("/metrics", "/healthz", "/", "/api/dashboard", "/nothing"):
            connection.request("GET", path)
            connection.getresponse().read()
            self.assertEqual(connection.sock.getsockname(), name)


class ReadyTest(HttpTest):
    @classmethod
    def setUpClass(cls):
        if not env.control:
            cls.cluster = Cluster(os.path.join(env.folder, "http-pg"), env.certificates).start()
            cls.addClassCleanup(cls.cluster.stop)
            cls.config = {"upstream": {"port": cls.cluster.port}}
        super().setUpClass()

    def readiness(self):
        status, _, body = self.get("/readyz")
        body = json.loads(body)
        self.assertEqual(body["status"], "ready" if status == 200 else "not ready")
        return status, body["checks"]

    def test_ready_while_the_upstream_is_there(self):
        status, checks = self.readiness()
        self.assertEqual((status, checks["upstream"]["status"]), (200, "ok"))
        self.assertEqual(checks["invalidation"]["status"], "absent")
        self.cluster.stop()
        wait_until("the upstream to be missed", lambda: self.readiness()[0] == 503)
        _, checks = self.readiness()
        self.assertEqual(checks["upstream"]["status"], "failed")
        self.assertEqual(self.value("pgsidecar_check_ok", check="upstream"), 0)
        self.page("/healthz")
        self.cluster.start()
        wait_until("the upstream to be back", lambda: self.readiness()[0] == 200)

    def test_not_ready_while_it_drains(self):
        port = free_port()
        sidecar = env.sidecar(http={"listen_port": port})
        with psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=postgres" % sidecar.port) as conn:
            conn.execute("SELECT 1")
            self.assertEqual(fetch(port, "/readyz")[0], 200)
            sidecar.process.terminate()
            wait_until("draining to show", lambda: fetch(port, "/readyz")[0] == 503)
            self.assertIn("shutting down", fetch(port, "/readyz")[2])
            self.assertEqual(fetch(port, "/healthz")[0], 200)
            conn.rollback()
        sidecar.finish()


class TokenTest(HttpTest):
    @classmethod
    def setUpClass(cls):
        if not env.control:
            cls.token_file = os.path.join(env.folder, "http.token")
            with open(cls.token_file, "w") as f:
                f.write(TOKEN + "\n")
            cls.keys = {"listen_addr": "0.0.0.0", "token_file": cls.token_file}
        super().setUpClass()

    def test_a_token_is_needed(self):
        def basic(text):
            return "Basic " + base64.b64encode(text.encode()).decode()
        for path in ("/", "/metrics", "/api/dashboard", "/dashboard.js", "/nothing"):
            status, headers, _ = self.get(path)
            self.assertEqual(status, 401, path)
            self.assertIn("Basic", headers["WWW-Authenticate"])
            for wrong in ("Bearer wrong", basic("x:wrong"), basic(TOKEN), "Bearer " + TOKEN[:-1]):
                self.page(path, 401, Authorization=wrong)
        for path in ("/", "/metrics", "/api/dashboard"):
            self.page(path, Authorization="Bearer " + TOKEN)
            self.page(path, Authorization=basic("anybody:" + TOKEN), Host="db.example")
        self.page("/healthz")
        self.page("/readyz")

    def check(self, text):
        path = os.path.join(env.folder, "http-check.yaml")
        with open(path, "w") as f:
            f.write(text)
        done = subprocess.run([env.program, "check", "-c", path], capture_output=True, text=True)
        return done.returncode, done.stderr.replace(path, "FILE")

    def test_without_one_only_loopback_is_served(self):
        code, said = self.check("listen_port: 6432\nhttp:\n  listen_port: 9187\n  listen_addr: 0.0.0.0\n")
        self.assertEqual(code, 2)
        self.assertIn("FILE:4: http.listen_addr: \"0.0.0.0\" is reached from other machines", said)
        for address in ("127.0.0.1", "127.8.8.8", '"::1"'):
            self.assertEqual(self.check("http: {listen_port: 9187, listen_addr: %s}\n" % address)[0], 0)

    def test_a_bad_token_file_is_refused(self):
        short = os.path.join(env.folder, "short.token")
        with open(short, "w") as f:
            f.write("short\n")
        for path, words in ((short, short + ":1: http.token_file: the token is"),
                            (short + ".none", "http.token_file: cannot read")):
            code, said = self.check("http: {listen_port: 9187, token_file: '%s'}\n" % path)
            self.assertEqual(code, 2)
            self.assertIn(words, said)
            self.assertNotIn('"short"', said)


class OffTest(CacheTest):
    def test_without_a_port_nothing_listens(self):
        self.require_program()
        self.assertFalse([line for line in self.sidecar.output.lines if "HTTP" in line])

    def test_a_port_that_is_taken(self):
        self.require_program()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with self.assertRaises(AssertionError) as caught:
                Sidecar(env.program, env.folder,
                        env.settings(http={"listen_port": taken.getsockname()[1]}))
        self.assertIn("cannot serve HTTP on 127.0.0.1:", str(caught.exception))


@unittest.skipUnless(CHROMIUM and DRIVER, "chromium and chromium-driver are not installed")
class DashboardTest(HttpTest):
    """The page in a real browser: it shows what the interface says, to who looks and to nobody else."""

    TRICK = "<img src=x onerror=\"document.title='caught'\">"
    config = {"tenants": {"limits": "warn", "sources": ["application_name"],
                          "tiers": [{"name": "default", "queries_per_minute": 100000}]}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser(env.folder)
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        super().setUp()
        self.url = "http://127.0.0.1:%d" % self.http

    def open(self):
        self.browser.open(self.url + "/")
        self.browser.wait("numbers", "document.getElementById('version').textContent != ''")

    def text(self, selector):
        return self.browser.script("return document.querySelector(arguments[0]).innerText", selector)

    def label(self, chart):
        return self.browser.script("return document.querySelector('#chart-%s svg').ariaLabel" % chart)

    def quiet(self):
        """Nothing was complained about, and nobody else was asked."""
        self.assertEqual(self.browser.console(), [])
        for url in self.browser.requests():
            self.assertTrue(url.startswith(self.url + "/"), url)

    def numbers(self, text):
        return int(re.sub(r"[^0-9]", "", text))

    def test_1_before_anything_was_asked(self):
        self.open()
        self.assertIn("No statements yet", self.text("#queries"))
        self.assertIn("No statements yet", self.label("rate"))
        self.assertEqual(self.text("#status"), "Ready")
        self.quiet()

    def test_2_numbers_after_a_known_load(self):
        self.setup_sql("CREATE TABLE kv AS SELECT i AS k FROM generate_series(1, 50) i",
                       "CREATE TABLE \"%s\" (i int)" % self.TRICK.replace('"', '""'))
        session = self.wire(application_name="clinic")
        self.cached(session, "SELECT count(*) FROM kv")
        for _ in range(40):
            session.q("SELECT count(*) FROM kv")
        trick = self.wire(application_name=self.TRICK)
        trick.q("SELECT i AS \"%s\" FROM \"%s\"" % ((self.TRICK.replace('"', '""'),) * 2))
        # The history has it once a sample was taken.
        api = wait_until("a sample with the load", self.sample)
        self.open()
        self.browser.wait("the same numbers", "document.querySelector('#rate-note').innerText.startsWith('%s ')"
                          % format(api["totals"]["statements"], ","))
        self.assertEqual(self.numbers(self.text("#hit-ratio-note")), api["hour"]["hits"])
        self.assertEqual(float(self.text("#hit-ratio").rstrip("%")), round(api["hour"]["hit_ratio"] * 100, 1))
        reasons = {r["reason"]: r["count"] for r in api["reasons"]}
        shown = self.browser.script("return [...document.querySelectorAll('#reasons tbody tr')].map("
                                    "r => [r.cells[0].innerText, r.cells[2].innerText])")
        self.assertEqual({name: self.numbers(count) for name, count in shown}, reasons)
        queries = self.browser.script("return [...document.querySelectorAll('#queries tbody tr')].map("
                                      "r => [r.querySelector('code').textContent, r.cells[1].innerText])")
        self.assertEqual([(text, self.numbers(calls)) for text, calls in queries if len(text) <= 160],
                         [(q["text"], q["statements"]) for q in api["queries"] if len(q["text"]) <= 160])
        tenants = self.browser.script("return [...document.querySelectorAll('#tenants tbody tr')].map("
                                      "r => [r.cells[0].textContent, r.cells[4].innerText])")
        self.assertEqual({name: self.numbers(count) for name, count in tenants},
                         {t["tenant"]: t["statements"] for t in api["tenants"]})
        for figure in ("ratio", "latency", "rate", "memory"):
            self.assertGreater(self.browser.script(
                "return document.querySelectorAll('#chart-%s path, #chart-%s circle').length"
                % (figure, figure)), 0, figure)
            self.assertIn("at the end", self.label(figure))
        # Markup in a statement, in an identifier and in a tenant's name is text.
        self.assertIn(self.TRICK, [name for name, _ in tenants])
        self.assertTrue([text for text, _ in queries if "<img" in text])
        self.assertEqual(self.browser.script("return document.querySelectorAll('img').length"), 0)
        self.assertEqual(self.browser.script("return document.title"), "pgsidecar")
        self.quiet()

    def sample(self):
        api = json.loads(self.page("/api/dashboard"))
        return api["hour"]["hits"] >= 41 and api["hour"]["statements"] == api["totals"]["statements"] and api

    def test_3_it_fits_a_phone_and_both_modes(self):
        self.addCleanup(self.browser.size, 1280, 1000)
        self.addCleanup(self.browser.dark, False)
        colours = set()
        for width in (360, 768, 1280):
            self.browser.size(width, 800)
            for dark in (False, True):
                self.browser.dark(dark)
                self.open()
                self.assertLessEqual(self.browser.script("return document.documentElement.scrollWidth"), width)
                colours.add(self.browser.script("return getComputedStyle(document.body).backgroundColor"))
        self.assertEqual(len(colours), 2)
        unnamed = self.browser.script(
            "return [...document.querySelectorAll('table')].filter(t => !t.tHead.rows[0] || "
            "[...t.tHead.rows[0].cells].some(c => c.scope != 'col' || c.innerText == '')).length")
        self.assertEqual(unnamed, 0)
        self.quiet()

    def test_4_a_lost_connection_is_visible_and_ends(self):
        port = free_port()
        sidecar = env.sidecar(http={"listen_port": port})
        self.url = "http://127.0.0.1:%d" % port
        self.open()
        self.assertEqual(self.text("#status"), "Ready")
        sidecar.finish()
        self.browser.wait("the loss to show", "!document.getElementById('lost').hidden")
        self.assertEqual(self.text("#status"), "Connection lost")
        self.assertIn("What is shown is from", self.text("#lost"))
        again = env.sidecar(http={"listen_port": port})
        self.addCleanup(again.finish)
        self.browser.wait("it to be back", "document.getElementById('lost').hidden")
        self.assertEqual(self.text("#status"), "Ready")
        self.browser.console()  # it may have complained about what was not there
        self.browser.requests()

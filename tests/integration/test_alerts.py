"""Whoever is to be told of a slow tenant is told, once: the log, a listener, a webhook. And that it is
over, too. None of them being there costs nobody anything.
"""
import errno
import http.server
import json
import os
import socket
import threading
import time
import unittest

import psycopg

from cache_case import CacheTest, env
from harness import wait_until
from test_reload import ReloadTest

SLOW = "SELECT pg_sleep(0.8)"
SCHEMA = "CREATE TABLE t AS SELECT 1 AS i"


class Hook(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent; `answers` are the status codes to come, then 204."""

    got, paths, answers = [], [], []

    def do_POST(self):
        Hook.paths.append((self.path, self.headers["Content-Type"], self.headers["Host"]))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = Hook.answers.pop(0) if Hook.answers else 204
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if status == 204:
            Hook.got.append(json.loads(body))

    def log_message(self, *_):
        pass


def alerts(**more):
    return {"enable_alerts": True, "window": "10s", "windows": 1, "min_statements": 5, **more}


class AlertCase(CacheTest):
    def setUp(self):
        if env.control:
            self.skipTest("control run: there is no program")
        super().setUp()

    def work(self, tenant, sql, until):
        """Statements of a tenant, one after the other, until something has happened."""
        session = self.wire(options="-c pgsidecar.tenant=" + tenant)
        deadline = time.monotonic() + 120
        while not until():
            self.assertEqual(session.q(sql).error, None)
            self.assertLess(time.monotonic(), deadline)


class AlertTest(AlertCase):
    @classmethod
    def setUpClass(cls):
        Hook.got, Hook.paths, Hook.answers = [], [], [503, 500]
        cls.hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        threading.Thread(target=cls.hook.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.hook.server_close)
        cls.addClassCleanup(cls.hook.shutdown)
        cls.config = {"performance_target": "500ms", "tenants": {"limits": "off"}, "alerts": alerts(
            notify_channel="Slow tenants", webhook_url="http://localhost:%d/hook?x=1"
            % cls.hook.server_port)}
        if not env.control:
            super().setUpClass()

    def test_everybody_is_told_of_one_that_is_slow_and_that_it_is_over(self):
        self.setup_sql(SCHEMA)
        heard = []
        listener = psycopg.connect(env.cluster.conninfo(), autocommit=True)
        self.addCleanup(listener.close)
        listener.execute('LISTEN "Slow tenants"')

        def listen():
            try:
                for told in listener.notifies():
                    heard.append(json.loads(told.payload))
            except psycopg.OperationalError:
                pass  # the test has ended

        threading.Thread(target=listen, daemon=True).start()

        def hears(state):
            return [a for a in heard if a["state"] == state]

        def posted(state):
            return [a for body in Hook.got for a in body["alerts"] if a["state"] == state]

        quick = self.wire(options="-c pgsidecar.tenant=quick")
        self.work("sluggish", SLOW, lambda: quick.q("SELECT i FROM t").error
                  or (hears("fired") and posted("fired")))
        for told in (hears("fired"), posted("fired")):
            self.assertEqual(len(told), 1, told)
            self.assertEqual(told[0]["tenant"], "sluggish")
            self.assertEqual(told[0]["tier"], "default")
            self.assertEqual(told[0]["target_ms"], 500.0)
            self.assertGreaterEqual(told[0]["p95_ms"], 800)
            self.assertGreaterEqual(told[0]["statements"], 5)
        line = self.sidecar.output.wait_for("alert fired: tenant=sluggish tier=default p95=")
        self.assertIn("target=500.0ms", line)
        self.work("sluggish", "SELECT i FROM t", lambda: hears("cleared") and posted("cleared"))
        self.sidecar.output.wait_for("alert cleared: tenant=sluggish")
        self.assertNotIn("quick", "".join(l for l in self.sidecar.output.lines if "alert " in l))
        # The first two answers were refusals.
        self.assertEqual(len(Hook.paths), len(Hook.got) + 2)
        self.assertEqual(set(Hook.paths), {("/hook?x=1", "application/json",
                                            "localhost:%d" % self.hook.server_port)})
        self.assertEqual(len(heard), 2)


@unittest.skipIf(os.geteuid() != 0, "only root can be this machine's syslog")
class EventLogTest(AlertCase):
    config = {"performance_target": "500ms", "tenants": {"limits": "off"},
              "alerts": alerts(event_log=True)}

    def test_syslog_is_told(self):
        self.setup_sql(SCHEMA)
        syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(syslog.close)
        try:
            syslog.bind("/dev/log")
        except OSError as error:  # also a link that leads nowhere, as journald leaves it
            if error.errno != errno.EADDRINUSE:
                raise
            self.skipTest("this machine has a syslog of its own")
        self.addCleanup(os.unlink, "/dev/log")
        syslog.setblocking(False)
        lines = []

        def told():  # by the sidecar: everybody on the machine writes here
            try:
                line = syslog.recv(4096).decode()
            except BlockingIOError:
                return False
            if "pgsidecar[%d]" % self.sidecar.pid not in line:
                return False
            lines.append(line)
            return True

        # RFC 3164, 4.1.1: facility 3 (daemon) * 8 + severity 4 (warning), 5 (notice).
        self.work("sluggish", SLOW, told)
        self.work("sluggish", "SELECT i FROM t", told)
        who = r".*pgsidecar\[%d\]: alert " % self.sidecar.pid
        self.assertRegex(lines[0], "^<28>" + who + "fired: tenant=sluggish tier=default p95=")
        self.assertRegex(lines[1], "^<29>" + who + "cleared: tenant=sluggish ")

    def test_where_there_is_none_the_log_tells(self):
        if os.path.exists("/dev/log"):
            self.skipTest("this machine has a syslog of its own")
        self.work("drowsy", SLOW, lambda: "alerts: the event log not delivered, 1 since the start: "
                  "this machine has no syslog" in self.sidecar.output.text())


class NobodyThereTest(CacheTest):
    config = {"performance_target": "500ms", "tenants": {"limits": "off"}, "alerts": alerts(
        notify_channel="x", connection="host=127.0.0.1 port=1 user=postgres password=zz91qsecret",
        webhook_url="http://127.0.0.1:1/zz91qpath")}

    def test_nobody_waits_and_the_log_tells(self):
        self.require_program()
        self.setup_sql(SCHEMA)
        session = self.wire(options="-c pgsidecar.tenant=sluggish")
        longest, told = 0.0, lambda word: word in self.sidecar.output.text()
        end = time.monotonic() + 120
        while not (told("alerts: NOTIFY not delivered, 1") and
                   told("alerts: the webhook not delivered, 1")):
            began = time.monotonic()
            self.assertEqual(session.q(SLOW).error, None)
            longest = max(longest, time.monotonic() - began)
            self.assertLess(time.monotonic(), end)
        self.assertLess(longest, 10)
        self.assertTrue(told("alert fired: tenant=sluggish"))
        self.assertFalse(told("zz91q"))


class ReloadedTest(ReloadTest):
    """Whom to tell of what follows a reload."""

    def setUp(self):
        super().setUp()
        Hook.got, Hook.paths, Hook.answers = [], [], []
        hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        threading.Thread(target=hook.serve_forever, daemon=True).start()
        self.addCleanup(hook.server_close)
        self.addCleanup(hook.shutdown)
        self.url = "http://127.0.0.1:%d/hook" % hook.server_port

    def keep_at_it(self, tenant):
        """Statements of 0.2 s, one after the other, until the test ends."""
        session, over = self.wire(options="-c pgsidecar.tenant=" + tenant), threading.Event()

        def work():
            while not over.is_set() and not session.q("SELECT pg_sleep(0.2)").error:
                pass
        thread = threading.Thread(target=work)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(over.set)

    def told(self, state, tenant):
        return [a for body in Hook.got for a in body["alerts"]
                if (a["state"], a["tenant"]) == (state, tenant)]

    def test_a_target_that_changes_fires_and_clears(self):
        self.start(performance_target="1m", tenants={"limits": "off"}, alerts=alerts())
        self.keep_at_it("sluggish")
        said = self.reload(performance_target="20ms", alerts={"webhook_url": self.url})
        self.assertIn("changed: performance_target, alerts.webhook_url", said[-1])
        self.assertFalse([l for l in said if "restart" in l], said)
        wait_until("it to fire", lambda: self.told("fired", "sluggish"), 120)
        self.assertEqual(self.told("fired", "sluggish")[0]["target_ms"], 20.0)
        # What is alerting is not told of again: not by the window in which another one fires.
        self.reload(performance_target="30ms", alerts={"max_tenants": 5})
        self.keep_at_it("late")
        wait_until("another one to fire", lambda: self.told("fired", "late"), 120)
        self.assertEqual(self.told("fired", "late")[0]["target_ms"], 30.0)
        self.assertEqual(len(self.told("fired", "sluggish")), 1)
        self.reload(performance_target="1m")
        for tenant in ("sluggish", "late"):
            wait_until("it to clear", lambda: self.told("cleared", tenant), 120)
        self.reload(performance_target="20ms", alerts={"repeat_interval": 0})
        wait_until("it to fire anew", lambda: len(self.told("fired", "sluggish")) == 2, 120)
        # Nobody is to be told: what is open is closed, and no more is said.
        self.reload(alerts={"enable_alerts": False})
        wait_until("it to be closed", lambda: len(self.told("cleared", "sluggish")) == 2, 120)
        self.assertEqual(len(self.told("fired", "sluggish")), 2)

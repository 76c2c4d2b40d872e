"""The log as a file that may be taken away while the program runs, and `service` where there is none."""
import os
import signal
import subprocess
import unittest

import psycopg

from harness import TIMEOUT, env, free_port, wait_until


class LogFileTest(unittest.TestCase):
    def setUp(self):
        if env.control:
            self.skipTest("control run: there is no program")
        self.folder = os.path.join(env.folder, self.id().rsplit(".", 1)[1])
        self.log = os.path.join(self.folder, "deeper", "pgsidecar.log")
        self.port = free_port()
        os.makedirs(self.folder)
        self.config = os.path.join(self.folder, "pgsidecar.yaml")
        with open(self.config, "w") as f:
            f.write("listen_port: %d\nadmin_users: [boss]\nauth_type: trust\nworkers: 1\n"
                    "upstream: {host: 127.0.0.1, port: %d}\nlog: {file: %s}\n"
                    % (self.port, env.cluster.port, self.log))
        self.process = subprocess.Popen([env.program, "run", "-c", self.config], stdin=subprocess.DEVNULL)
        self.addCleanup(self.end)
        self.until_it_says("listening on")

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def text(self, path=None):
        path = path or self.log
        if not os.path.exists(path):
            return ""
        with open(path) as f:
            return f.read()

    def until_it_says(self, word):
        wait_until("%r in the log" % word, lambda: word in self.text())

    def test_a_log_that_is_moved_away_or_removed_is_begun_anew(self):
        console = psycopg.connect("host=127.0.0.1 port=%d user=boss dbname=pgsidecar" % self.port,
                                  autocommit=True)
        self.addCleanup(console.close)

        def says_so():
            console.execute("RELOAD")
            return "configuration" in self.text()
        os.rename(self.log, self.log + ".1")
        wait_until("a fresh log", says_so)
        os.remove(self.log)
        wait_until("another one", says_so)
        self.assertIn("listening on", self.text(self.log + ".1"))
        self.assertNotIn("listening on", self.text())
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(TIMEOUT), 0)
        self.assertIn("stopped", self.text())

    def test_a_log_that_cannot_be_opened_is_said(self):
        os.mkdir(os.path.join(self.folder, "taken"))
        done = subprocess.run([env.program, "run", "-c", self.config, "--set", "listen_port=0", "--set",
                               "log.file=" + os.path.join(self.folder, "taken")],
                              capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("log.file %s: Is a directory" % os.path.join(self.folder, "taken"), done.stderr)


class ServiceVerbTest(unittest.TestCase):
    def test_it_says_what_to_use_here(self):
        if env.control or env.program.endswith(".exe"):
            self.skipTest("control run, or it is a service there")
        for verb in ("status", "start", "stop", "restart", "reload"):
            done = subprocess.run([env.program, "service", verb], capture_output=True, text=True,
                                  timeout=TIMEOUT)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("systemctl %s pgsidecar" % verb, done.stderr)
        done = subprocess.run([env.program, "service", "status", "--name", "a b"], capture_output=True,
                              text=True, timeout=TIMEOUT)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("the name may hold", done.stderr)

"""What the operator sees: limits, rules, expiry, a server that goes away, and a log without data."""
import os
import subprocess
import time

import wire
from cache_case import CacheTest, env, extended
from harness import Cluster, Sidecar, own_backend, wait_until

SCHEMA = ("CREATE TABLE t AS SELECT i, 'v' || i AS v FROM generate_series(1, 2000) i; CREATE SCHEMA s; "
          "CREATE TABLE s.prescription_a AS SELECT 1 AS i; CREATE TABLE s.other AS SELECT 1 AS i; "
          "CREATE SEQUENCE sq")


class RuleTest(CacheTest):
    config = {"cache": {"rules": [
        {"name": "off", "tables": ["public.never*"], "ttl": "5m", "mode": "off"},
        {"name": "short", "tables": ["public.brief"], "ttl": "1s"},
        {"name": "prescriptions", "tables": ["s.prescription*", "public.t"], "ttl": "5m",
         "functions": ["vouched"]}]}}

    def setUp(self):
        super().setUp()
        self.setup_sql(SCHEMA, "CREATE TABLE never1 AS SELECT 1 AS i; CREATE TABLE brief AS SELECT 1 AS i; "
                       "CREATE FUNCTION vouched() RETURNS int VOLATILE LANGUAGE sql AS $$ SELECT 1 $$; "
                       "CREATE FUNCTION unvouched() RETURNS int VOLATILE LANGUAGE sql AS $$ SELECT 1 $$")

    def test_only_what_a_rule_allows_is_cached(self):
        session = self.wire()
        self.cached(session, "SELECT * FROM s.prescription_a")
        self.cached(session, "SELECT count(*) FROM t JOIN s.prescription_a USING (i)")
        for sql in ("SELECT * FROM s.other", "SELECT * FROM never1",
                    "SELECT * FROM s.prescription_a JOIN s.other USING (i)"):
            self.not_cached(session, sql)

    def test_a_rule_vouches_for_a_function(self):
        session = self.wire()
        self.cached(session, "SELECT count(*) FROM t")
        self.cached(self.wire(), "SELECT vouched(), i FROM t WHERE i = 1")
        self.not_cached(self.wire(), "SELECT unvouched(), i FROM t WHERE i = 1")

    def test_an_answer_expires_after_its_ttl(self):
        """The write goes past the program, so expiry alone can bring it."""
        self.require_program()
        session = self.wire()
        self.cached(session, "SELECT * FROM brief")
        self.setup_sql("UPDATE brief SET i = 2")
        began = time.monotonic()
        wait_until("the answer to expire", lambda: session.q("SELECT * FROM brief").value == "2", 10)
        self.assertLess(time.monotonic() - began, 5)


class BoundTest(CacheTest):
    config = {"max_client_conn": 30, "cache": {
        "max_memory": "4MB", "max_entry_size": "256kB", "shards": 2,
        "rules": [{"name": "all", "tables": ["*"], "ttl": "5m"}]}}

    def setUp(self):
        super().setUp()
        self.setup_sql(SCHEMA)

    def test_memory_of_the_cache_is_bounded(self):
        self.require_program()
        session = self.wire()
        self.cached(session, "SELECT v FROM t WHERE i = 1")
        for i in range(1500):
            session.x("SELECT i, repeat(v, 1000) FROM t WHERE i = $1", [i])
        now = self.sidecar.statistics()
        self.assertLessEqual(now["bytes"], 4 << 20)
        self.assertGreater(now["entries"], 0)
        self.assertGreater(now.get("evictions", 1), 0)

    def test_large_answers_are_not_kept(self):
        session = self.wire()
        self.cached(session, "SELECT v FROM t WHERE i = 2")
        self.not_cached(session, "SELECT repeat(v, 200000) FROM t WHERE i = 2", 3)

    def test_one_client_too_many_is_told_so(self):
        self.require_program()
        held = [self.wire() for _ in range(25)]
        with self.assertRaises(wire.LoginError) as caught:
            for _ in range(10):
                held.append(self.wire())
        self.assertEqual(caught.exception.sqlstate, "53300")
        for session in held:
            session.close()
        wait_until("room for another", self._another)

    def _another(self):
        try:
            return self.wire().q("SELECT 1").value == "1"
        except wire.LoginError:
            return False


class SecrecyTest(CacheTest):
    """Health data: no literal, parameter or row ever reaches the log, whatever happens."""

    config = {"log": {"level": "trace"}}
    MARK = "zz91qpatient"

    def test_no_data_in_the_log(self):
        self.require_program()
        self.setup_sql(SCHEMA, "CREATE TABLE p (id int PRIMARY KEY, name text)")
        session = self.wire(application_name="ward")
        mark = self.MARK
        for sql in ("SELECT '%s' FROM t" % mark, "SELECT '%s" % mark, "INSERT INTO p VALUES (1, '%s')" % mark,
                    "SELECT * FROM p WHERE name = '%s'" % mark, "SELECT '%s'::int" % mark,
                    "SET app.tenant_id = '%s'" % mark, "SET TimeZone = '%s'" % mark, "SELEC '%s'" % mark,
                    "SELECT name FROM p", "SELECT name FROM p", "DO $$ BEGIN RAISE NOTICE '%s'; END $$" % mark,
                    "PREPARE q AS SELECT '%s'" % mark, "EXECUTE q", "SELECT 1 -- %s" % mark,
                    "COPY (SELECT '%s') TO STDOUT" % mark, "NOTIFY x, '%s'" % mark):
            session.q(sql)
        for value in (mark, mark.encode()):
            session.x("SELECT * FROM p WHERE name = $1", [value])
            session.x("SELECT $1::int", [value])
        session.batch(wire.bind([mark], name="none"))
        session.send(wire.frame(b"Q", mark.encode()))  # no terminator: a protocol error of ours
        session.read_to_end()
        with self.assertRaises(wire.LoginError):
            wire.Wire(self.sidecar.port).login(user="scram_user", database="postgres",
                                               password=self.MARK)
        self.sidecar.statistics()
        self.assertNotIn(mark, self.sidecar.output.text())

    @own_backend
    def test_names_cannot_forge_log_lines(self):
        self.require_program()
        for name, shown in (("a\nforged line", "a\\x0aforged line"),
                            ("a\r\nforged line", "a\\x0d\\x0aforged line"),
                            ("a\x1b[2Jforged line", "a\\x1b[2Jforged line")):
            role = '"%s"' % name
            env.cluster.run("CREATE ROLE %s LOGIN" % role)
            self.addCleanup(env.cluster.run, "DROP ROLE " + role)
            with self.assertRaises(wire.LoginError):
                wire.Wire(self.sidecar.port).login(user=name, database=name, application_name=name)
            session = self.wire(name, application_name=name)
            session.send(wire.frame(b"Q", b"no end"))  # the log says whose session ends by this
            session.read_to_end()
            self.sidecar.output.wait_for("user=" + shown)
        self.sidecar.statistics()
        for line in self.sidecar.output.lines:
            self.assertFalse(line.lstrip("\r").startswith("forged"), line)
            self.assertNotIn("\x1b", line)

    def test_secrets_are_not_shown_by_check(self):
        self.require_program()
        import json
        path = os.path.join(env.folder, "secret.yaml")
        with open(path, "w") as f:
            json.dump(env.settings(upstream={
                "control_connection": "user=postgres password=%s dbname=postgres" % self.MARK}), f)
        done = subprocess.run([env.program, "check", "-c", path], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn(self.MARK, done.stdout + done.stderr)


class EnvironmentTest(CacheTest):
    """Overlays and appsettings.json, through the real program and its environment."""

    APPLICATION = """\ufeff{
  // as an application has it
  "ConnectionStrings": {"Default": "Password=zz91qsecret"},
  "Performance": {
    "EnableOptimizations": false,
    "EnableAsyncStreaming": false,
  }
}
"""

    def setUp(self):
        super().setUp()
        self.require_program()
        self.path = os.path.join(env.folder, "layers_%d" % time.monotonic_ns())
        os.mkdir(self.path)
        self.write("p.yaml", "workers: 1\nmax_client_conn: 11\nlog: {level: debug}\n")
        self.write("p.Staging.yaml", "include_appsettings: app.json\nworkers: 2\n")
        self.write("app.json", self.APPLICATION)

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w", encoding="utf-8") as f:
            f.write(text)

    def check(self, *arguments, **variables):
        done = subprocess.run([env.program, "check", "-c", "p.yaml", *arguments], cwd=self.path,
                              capture_output=True, text=True, timeout=60,
                              env={**os.environ, **variables})
        return done.returncode, done.stdout, done.stderr

    def test_check_says_where_each_setting_comes_from(self):
        code, out, said = self.check("--print", "--set", "max_client_conn=12",
                                     PGSIDECAR_ENVIRONMENT="STAGING", ASPNETCORE_ENVIRONMENT="Live")
        self.assertEqual(code, 0, said)
        for line in ("workers: 2  # p.Staging.yaml:2", "max_client_conn: 12  # --set",
                     "listen_port: 6432  # default", "  level: debug  # p.yaml:3",
                     "enable_optimizations: false  # app.json:5 Performance.EnableOptimizations"):
            self.assertIn(line, out.splitlines())
        self.assertEqual(said.splitlines(), [
            "pgsidecar: PGSIDECAR_ENVIRONMENT: the environment is Staging; its file is p.Staging.yaml",
            "pgsidecar: app.json:6: Performance.EnableAsyncStreaming: changes nothing: answers are "
            "streamed in any case",
            "pgsidecar: p.yaml is valid"])
        self.assertNotIn("zz91qsecret", out + said)

    def test_check_without_an_environment_is_as_ever(self):
        code, out, said = self.check()
        self.assertEqual((code, said), (0, "pgsidecar: p.yaml is valid\n"))
        self.assertIn("workers: 1", out.splitlines())
        self.assertNotIn("#", out)

    def test_check_refuses_what_is_no_environment(self):
        for name, word in (("Qa", "none of Development, Test, Staging, Production, Live"),
                           ("../p", "letters, digits, - and _")):
            code, out, said = self.check(ASPNETCORE_ENVIRONMENT=name)
            self.assertEqual((code, out), (2, ""))
            self.assertIn("pgsidecar: ASPNETCORE_ENVIRONMENT: \"%s\"" % name, said)
            self.assertIn(word, said)

    def test_check_names_the_line_of_a_mistake_in_the_application(self):
        self.write("app.json", self.APPLICATION.replace("EnableAsyncStreaming", "EnableAsyncStream"))
        code, out, said = self.check(PGSIDECAR_ENVIRONMENT="Staging")
        self.assertEqual((code, out), (2, ""))
        self.assertEqual(said, "pgsidecar: app.json:6: Performance.EnableAsyncStream: is not a known key; "
                               "did you mean EnableAsyncStreaming?\n")

    def test_the_samples_pass(self):
        sample = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy",
                              "config", "pgsidecar.yaml")
        for name in ("Development", "Test", "Staging", "Production", "Live"):
            done = subprocess.run([env.program, "check", "-c", sample], capture_output=True,
                                  text=True, timeout=60,
                                  env={**os.environ, "PGSIDECAR_ENVIRONMENT": name})
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("the environment is %s; its file is " % name, done.stderr)

    def test_the_overlay_is_obeyed(self):
        """The same files: with the environment nothing is cached, without it the answer is a hit."""
        self.setup_sql(SCHEMA)
        beside = {".Staging.yaml": "include_appsettings: %s/app.json\n" % self.path}

        def own(**variables):
            sidecar = Sidecar(env.program, env.folder, env.settings(), beside, variables)
            self.addCleanup(sidecar.finish)
            return sidecar, wire.Wire(sidecar.port).login(database=self.database)

        cached, session = own()
        wait_until("a hit", lambda: session.q("SELECT v FROM t WHERE i = 1").value == "v1" and
                   cached.statistics()["reasons"].get("hit", 0) > 0, 20)
        session.close()
        passing, session = own(PGSIDECAR_ENVIRONMENT="staging")
        for _ in range(50):
            self.assertEqual(session.q("SELECT v FROM t WHERE i = 1").value, "v1")
        session.close()
        self.assertEqual(passing.statistics()["reasons"].get("hit", 0), 0)
        log = passing.output.text()
        self.assertIn("the environment is Staging; its file is ", log)
        self.assertIn("app.json:6: Performance.EnableAsyncStreaming: changes nothing: ", log)
        self.assertNotIn("zz91qsecret", log)


class NoControlTest(CacheTest):
    config = {"upstream": {"control_connection": "user=rejected_user dbname=postgres"}}

    def test_without_a_control_connection_everything_passes(self):
        self.setup_sql(SCHEMA)
        session = self.wire()
        for _ in range(5):
            self.assertEqual(session.q("SELECT v FROM t WHERE i = 3").value, "v3")
        self.not_cached(session, extended("SELECT v FROM t WHERE i = $1", ["4"]))


class RestartTest(CacheTest):
    """A server of its own, because it is stopped."""

    def setUp(self):
        super().setUp()
        self.require_program()
        folder = os.path.join(env.folder, "restarted_%d" % time.monotonic_ns())
        self.cluster = Cluster(folder, env.certificates)
        self.cluster.start()
        self.addCleanup(self.cluster.stop)
        self.cluster.run("CREATE TABLE t AS SELECT 1 AS i")
        self.own = env.sidecar(self.cluster)
        self.addCleanup(self.own.finish)

    def _own_hit(self, session, sql):
        def hit():
            before = self.own.statistics()["reasons"].get("hit", 0)
            self.reply = session.q(sql)
            return self.own.statistics()["reasons"].get("hit", 0) > before
        wait_until("a hit", hit, 20)
        return self.reply

    @own_backend
    def test_server_restart(self):
        session = wire.Wire(self.own.port).login()
        self._own_hit(session, "SELECT i FROM t")
        self.cluster.stop()
        last = session.read_to_end()
        self.assertIn(b"C57P01", last)
        with self.assertRaises(wire.LoginError) as caught:
            wire.Wire(self.own.port).login()
        self.assertEqual(caught.exception.fields["S"], "FATAL")
        self.cluster.start()
        self.cluster.run("UPDATE t SET i = 2")  # while no control connection was watching
        again = wire.Wire(self.own.port).login()
        self.assertEqual(again.q("SELECT i FROM t").value, "2")
        self.assertEqual(self._own_hit(again, "SELECT i FROM t").value, "2")
        again.close()

    @own_backend
    def test_server_killed_outright(self):
        import signal
        session = wire.Wire(self.own.port).login()
        self._own_hit(session, "SELECT i FROM t")
        self.cluster.stop(signal.SIGQUIT)
        session.read_to_end()
        self.cluster.start()
        again = wire.Wire(self.own.port).login()
        self.assertEqual(self._own_hit(again, "SELECT i FROM t").value, "1")
        again.close()

    @own_backend
    def test_control_connection_killed(self):
        session = wire.Wire(self.own.port).login()
        self._own_hit(session, "SELECT i FROM t")
        for _ in range(5):
            self.cluster.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid NOT IN "
                             "(pg_backend_pid(), %d) AND backend_type = 'client backend'" % session.pid)
            session.q("UPDATE t SET i = i + 1")
            want = self.cluster.fetch("SELECT i FROM t")[0][0]
            self.assertEqual(session.q("SELECT i FROM t").value, str(want))
        self._own_hit(session, "SELECT i FROM t")
        session.close()


class IdleTest(CacheTest):
    config = {"client_idle_timeout": "500ms", "idle_transaction_timeout": "200ms"}

    def ended(self, session, code, at_least):
        began = time.monotonic()
        raw = session.read_to_end()
        self.assertGreaterEqual(time.monotonic() - began, at_least - 0.05)
        self.assertIn(code, raw)

    def test_idle_clients_are_disconnected(self):
        self.require_program()
        session = self.wire()
        session.q("SELECT 1")
        self.ended(session, b"57P05", 0.5)

    def test_an_idle_transaction_is_rolled_back(self):
        self.require_program()
        self.setup_sql("CREATE TABLE t (i int)")
        session = self.wire()
        session.q("BEGIN; INSERT INTO t VALUES (1)")
        self.ended(session, b"25P03", 0.2)
        wait_until("its backend to go", lambda: env.cluster.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%%' AND datname = '%s'"
            % self.database)[0][0] == 0)
        self.assertEqual(env.cluster.fetch("SELECT count(*) FROM t", self.database), [(0,)])

    def test_a_long_query_is_not_idle(self):
        self.require_program()
        session = self.wire()
        self.assertEqual(session.q("SELECT pg_sleep(1)").error, None)

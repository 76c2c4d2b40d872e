"""The configuration changes while the program runs: by SIGHUP, by a file that is replaced. What is valid
takes effect at once and ends no session; what is not changes nothing and says why."""
import json
import os
import signal
import threading

import psycopg

from cache_case import ALL, RX, CacheTest, env
from harness import Sidecar, wait_until
from wire import query

RELOADS = int(os.environ.get("PGSIDECAR_TEST_RELOADS", "60"))  # 1000 for the claim of a release
CLIENTS = 4


def merged(base, over):
    for key, value in over.items():
        base[key] = merged(dict(base.get(key) or {}), value) if isinstance(value, dict) else value
    return base


class ReloadTest(CacheTest):
    """Each test has a program of its own, whose file it rewrites."""

    @classmethod
    def setUpClass(cls):
        cls.sidecar = env.sidecar(config_watch_interval=0)
        cls.addClassCleanup(cls.sidecar.finish)

    def setUp(self):
        self.require_program()
        self._database = None

    def start(self, beside=None, variables=None, **over):
        settings = env.settings(**{"config_watch_interval": 0, **over})
        self.sidecar = Sidecar(env.program, env.folder, settings, beside, variables)
        self.addCleanup(self.sidecar.finish)
        self.addCleanup(self.sidecar.check_alive)
        self.setup_sql(RX)

    def rewrite(self, text=None, **over):
        """As an editor does it that replaces the file."""
        path = self.sidecar.config_path
        if text is None:
            with open(path) as f:
                text = json.dumps(merged(json.load(f), over))
        with open(path + ".new", "w") as f:
            f.write(text)
        os.replace(path + ".new", path)

    def lines(self, start, last):
        line = self.sidecar.output.wait_for(last, start)
        said = self.sidecar.output.lines[start:]
        return said[:said.index(line) + 1]

    def hang_up(self, last="configuration "):
        """What the log says to SIGHUP."""
        start = len(self.sidecar.output.lines)
        self.sidecar.process.send_signal(signal.SIGHUP)
        return self.lines(start, last)

    def reload(self, **over):
        self.rewrite(**over)
        return self.hang_up("configuration loaded")

    def grown(self, run):
        """Reasons counted meanwhile."""
        before = self.reasons()
        run()
        return {k: v - before.get(k, 0) for k, v in self.reasons().items() if v != before.get(k, 0)}


class SignalTest(ReloadTest):
    def test_the_master_switch_is_off_and_on_again_at_once(self):
        self.start()
        s = self.wire()
        self.cached(s, ALL)
        said = self.reload(enable_optimizations=False)
        self.assertIn("changed: enable_optimizations", said[-1])
        got = self.grown(lambda: self.assertEqual(len(s.q(ALL).rows), 30))
        self.assertEqual(got, {"bypass:disabled": 1})
        # Seen although it happened while nothing was cached, by who came meanwhile.
        self.wire().q("UPDATE rx SET drug = 'new' WHERE id = 1")
        self.reload(enable_optimizations=True)
        self.assertIn(b"new", self.cached(s, ALL).raw)
        self.assertEqual(s.q(ALL).raw, self.direct().q(ALL).raw)

    def test_a_program_that_starts_switched_off_is_switched_on(self):
        self.start(enable_optimizations=False)
        s = self.wire()
        s.q("SET datestyle = 'German'")
        wait_until("the catalogs are read all the same",
                   lambda: self.grown(lambda: s.q(ALL)) == {"bypass:disabled": 1})
        self.reload(enable_optimizations=True)
        past = self.direct()
        past.q("SET datestyle = 'German'")
        self.assertEqual(self.cached(s, ALL).raw, past.q(ALL).raw)
        self.cached(self.wire(), ALL)

    def test_a_rule_that_is_turned_off_counts_at_the_next_statement(self):
        self.start()
        s = self.wire()
        self.cached(s, ALL)
        rule = {"name": "all", "tables": ["*"], "ttl": "10m"}
        said = self.reload(cache={"rules": [{**rule, "mode": "off"}]})
        self.assertIn("changed: cache.rules", said[-1])
        self.assertEqual(self.grown(lambda: s.q(ALL)), {"bypass:rule_off": 1})
        self.reload(cache={"rules": []})
        self.assertEqual(self.grown(lambda: s.q(ALL)), {"bypass:no_rule": 1})
        self.reload(cache={"rules": [rule]})
        self.cached(s, ALL)

    def test_limits_change_for_sessions_that_are_there(self):
        self.start()
        s = self.wire()
        s.q(ALL)
        tier = {"name": "default", "max_result_rows": 10, "queries_per_minute": 1000000,
                "burst": 1000000}
        self.reload(tenants={"limits": "enforce", "tiers": [tier]})
        self.assertIn(b"54000", s.q(ALL).raw)
        self.reload(tenants={"limits": "enforce", "tiers": [{**tier, "max_result_rows": 30}]})
        self.assertEqual(len(s.q(ALL).rows), 30)
        self.reload(tenants={"limits": "off"})
        self.assertEqual(len(s.q(ALL).rows), 30)

    def test_who_waits_for_a_turn_is_let_go_when_limits_end(self):
        self.start(tenants={"limits": "enforce", "tiers": [
            {"name": "default", "max_concurrent": 1, "query_timeout": "1m",
             "query_wait_timeout": "1m", "queries_per_minute": 1000000, "burst": 1000000}]})
        lock = self.direct()
        lock.q("BEGIN")
        lock.q("LOCK TABLE rx")
        first, second = self.wire(), self.wire()
        first.send(query("UPDATE rx SET drug = 'x' WHERE id = 1"))
        wait_until("it waits for the lock", lambda: env.cluster.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        second.send(query("SELECT 1"))
        wait_until("one waits for its turn",
                   lambda: self.sidecar.statistics()["requests"]["waiting"] == 1)
        self.reload(enable_optimizations=False)
        self.assertEqual(len(second.read_reply().rows), 1)
        lock.q("ROLLBACK")
        first.read_reply()

    def test_an_invalid_file_changes_nothing_and_says_why(self):
        self.start()
        s = self.wire()
        self.cached(s, ALL)
        good = open(self.sidecar.config_path).read()
        for text, why in [
                (good.replace('"10m"', '"soon"'), 'cache.rules[0].ttl: "soon"'),
                (good.replace('"cache"', '"cash"'), "cash: is not a known key"),
                ("{", "pgsidecar"),
                (good[:-1] + ', "auth_type": "hba"}', "auth_type: needs auth_hba_file")]:
            with self.subTest(why):
                self.rewrite(text)
                start = len(self.sidecar.output.lines)
                said = "\n".join(self.hang_up("it is not valid"))
                self.assertIn("configuration not changed (SIGHUP)", said)
                line = self.sidecar.output.wait_for(os.path.basename(self.sidecar.config_path), start)
                if why != "pgsidecar":
                    self.assertIn(why, line)
                self.assertRegex(line, r"\.yaml:\d+")
                self.cached(s, ALL)
        os.unlink(self.sidecar.config_path)
        self.hang_up("cannot be read")
        self.cached(s, ALL)
        self.rewrite(good)
        self.assertIn("nothing has changed", self.hang_up("configuration loaded")[-1])

    def test_what_needs_a_restart_is_said_and_the_rest_applies(self):
        self.start()
        s = self.wire()
        self.cached(s, ALL)
        said = "\n".join(self.reload(listen_port=1, workers=7, cache={
            "rules": [{"name": "none", "tables": ["nothing"]}]}) + self.hang_up("with a restart"))
        self.assertIn("only with a restart: listen_port, workers", said)
        self.assertEqual(self.grown(lambda: s.q(ALL)), {"bypass:no_rule": 1})
        self.wire().q("SELECT 1")  # on the port that it has

    def test_users_are_read_anew(self):
        path = os.path.join(env.folder, "users%d.txt" % os.getpid())
        with open(path, "w") as f:
            f.write('"alice" "one"\n')
        self.start(auth_type="plain", auth_file=path,
                   upstream={"control_connection": "user=postgres dbname=postgres"})

        def admitted(password):
            try:
                psycopg.connect(self.url("alice", password=password, sslmode="disable")).close()
                return True
            except psycopg.OperationalError as error:
                self.assertIn("password authentication failed", str(error))
                return False
        self.assertTrue(admitted("one"))
        with open(path, "w") as f:
            f.write('"alice" "two"\n')
        self.assertTrue(admitted("one"))
        self.hang_up("configuration loaded")
        self.assertFalse(admitted("one"))
        self.assertTrue(admitted("two"))
        with open(path, "w") as f:
            f.write('"alice\n')
        self.assertIn("users", "\n".join(self.hang_up(path)))
        self.assertTrue(admitted("two"))

    def test_more_memory_a_shorter_life_and_the_level_of_the_log(self):
        self.start()
        s = self.wire()
        self.cached(s, ALL)
        said = self.reload(cache={"max_memory": "1MB", "max_entry_size": "1kB"},
                           log={"level": "debug"})
        self.assertIn("cache.max_memory, cache.max_entry_size, log.level", said[-1])
        self.not_cached(s, "SELECT repeat(drug, 1000) FROM rx ORDER BY id")
        rule = {"name": "all", "tables": ["*"], "ttl": "1ms"}
        self.reload(cache={"rules": [rule]})
        self.assertEqual(self.grown(lambda: s.q(ALL)), {"miss": 1})


class WatchTest(ReloadTest):
    def test_a_file_that_is_replaced_is_loaded(self):
        self.start(config_watch_interval="50ms")
        s = self.wire()
        self.cached(s, ALL)
        start = len(self.sidecar.output.lines)
        self.rewrite(enable_optimizations=False)
        said = self.lines(start, "configuration loaded")
        self.assertIn("(a file has changed): changed: enable_optimizations", said[-1])
        self.assertEqual(self.grown(lambda: s.q(ALL)), {"bypass:disabled": 1})
        start = len(self.sidecar.output.lines)
        self.rewrite("{}}")
        self.lines(start, "configuration not changed (a file has changed)")

    def test_an_overlay_that_comes_to_be_is_loaded(self):
        self.start(variables={"PGSIDECAR_ENVIRONMENT": "Test"}, config_watch_interval="50ms")
        s = self.wire()
        self.cached(s, ALL)
        start = len(self.sidecar.output.lines)
        with open(self.sidecar.config_path.replace(".yaml", ".Test.yaml"), "w") as f:
            f.write("enable_optimizations: false\n")
        self.lines(start, "changed: enable_optimizations")
        self.assertEqual(self.grown(lambda: s.q(ALL)), {"bypass:disabled": 1})

    def test_it_can_be_off(self):
        self.start()
        s = self.wire()
        self.cached(s, ALL)
        start = len(self.sidecar.output.lines)
        self.rewrite(enable_optimizations=False)
        self.hang_up("configuration loaded (SIGHUP)")
        self.assertNotIn("a file has changed", "\n".join(self.sidecar.output.lines[start:]))


class ShadowTest(ReloadTest):
    def rule(self, **more):
        return {"rules": [{"name": "all", "tables": ["*"], "ttl": "10m", **more}]}

    def compared(self):
        return self.sidecar.statistics()["shadow"]

    def test_shadow_finds_what_was_written_past_the_program_and_nothing_else(self):
        self.start(cache=self.rule(mode="shadow"))
        s, w = self.wire(), self.wire()
        wait_until("it compares", lambda: s.q(ALL) and self.compared()["equal"] > 0)
        for i in range(5):
            w.q("UPDATE rx SET drug = 'new %d' WHERE id = 1" % i)
            for _ in range(3):
                self.assertEqual(s.q(ALL).raw, self.direct().q(ALL).raw)
                s.x(ALL)
        self.assertEqual(self.compared()["different"], 0)
        self.assertEqual(self.hits(), 0)
        env.cluster.run("UPDATE rx SET drug = 'secret' WHERE id = 1", database=self.database)
        start = len(self.sidecar.output.lines)
        s.q(ALL)
        line = self.sidecar.output.wait_for("shadow: ", start)
        self.assertRegex(line, r"rule=all fingerprint=[0-9a-f]+$")
        self.assertNotIn("secret", self.sidecar.output.text())
        self.assertEqual(self.compared()["different"], 1)
        s.q(ALL)
        self.assertEqual(self.compared()["different"], 1)

    def test_a_part_of_the_tenants(self):
        self.start(cache=self.rule(rollout_percent=50))
        s = self.wire()

        def served():
            out = set()
            for i in range(12):
                s.q("SET app.tenant_id = 't%d'" % i)
                if "hit" in self.grown(lambda: (s.q(ALL), s.q(ALL), s.q(ALL))):
                    out.add(i)
            return out
        self.cached(self.wire(options="-c app.tenant_id=%s" % self.someone(s)), ALL)
        half = served()
        self.assertTrue(0 < len(half) < 12, half)
        self.reload(cache=self.rule(rollout_percent=90))
        self.assertLessEqual(half, served())
        self.reload(cache=self.rule(rollout_percent=0))
        self.assertEqual(served(), set())
        self.reload(cache=self.rule())
        self.assertEqual(served(), set(range(12)))

    def someone(self, session):
        """A tenant that is in, once the catalogs are there."""
        found = []

        def look():
            for i in range(12):
                session.q("SET app.tenant_id = 't%d'" % i)
                if "hit" in self.grown(lambda: (session.q(ALL), session.q(ALL))):
                    found.append("t%d" % i)
                    return True
            return False
        wait_until("somebody is served", look)
        return found[0]


class ConsoleTest(ReloadTest):
    """The same from the admin console: what it has acknowledged is so."""

    def start(self, **over):
        super().start(admin_users=["scram_user"], **over)
        self.admin = psycopg.connect(self.url("scram_user", "pgsidecar", password="sesame",
                                              sslmode="disable"), autocommit=True)
        self.addCleanup(self.admin.close)

    def refused(self, sql):
        with self.assertRaises(psycopg.Error) as caught:
            self.admin.execute(sql)
        self.assertEqual(caught.exception.sqlstate, "F0000")
        return caught.exception.diag.message_detail

    def flag(self, name):
        rows = self.admin.execute("SHOW FLAGS").fetchall()
        return next(row for row in rows if row[0] == name)

    def test_flags_are_set_at_once_and_rolled_back(self):
        self.start()
        s = self.wire()
        self.cached(s, ALL)
        self.admin.execute("SET enable_optimizations = false")
        self.assertEqual(self.grown(lambda: s.q(ALL)), {"bypass:disabled": 1})
        self.assertEqual(self.flag("enable_optimizations")[1:4], ("false", "yes", "SET"))
        self.admin.execute("SET enable_optimizations = true")
        self.cached(s, ALL)
        self.admin.execute("SET cache.rules[all].mode = shadow")
        s.q(ALL)
        self.assertEqual(self.grown(lambda: s.q(ALL)), {"bypass:shadow": 1})
        self.assertEqual(self.flag("cache.rules[all].mode")[1], "shadow")
        self.assertGreater(self.flag("cache.rules[all].mode")[4], 0)
        self.admin.execute("ROLLBACK CONFIG")
        self.cached(s, ALL)
        self.admin.execute("ROLLBACK CONFIG")
        self.assertEqual(self.grown(lambda: s.q(ALL)), {"bypass:disabled": 1})
        self.admin.execute("ROLLBACK CONFIG")
        self.assertIn("no earlier configuration", self.refused("ROLLBACK CONFIG"))
        self.cached(s, ALL)

    def test_what_is_refused_says_why_and_changes_nothing(self):
        self.start()
        s = self.wire()
        self.cached(s, ALL)
        self.assertIn("SET cache.rules[no].mode: there is no rule of that name",
                      self.refused("SET cache.rules[no].mode = off"))
        self.assertIn("only when the program starts anew", self.refused("SET listen_port = 1"))
        self.rewrite("{}}")
        self.assertIn(self.sidecar.config_path, self.refused("RELOAD"))
        self.cached(s, ALL)

    def test_what_is_set_outlasts_a_reload_that_says_nothing_of_it(self):
        self.start()
        s = self.wire()
        self.cached(s, ALL)
        self.admin.execute("SET enable_optimizations = false")
        self.rewrite(max_client_conn=77)
        self.admin.execute("RELOAD")
        self.assertEqual(self.grown(lambda: s.q(ALL)), {"bypass:disabled": 1})
        self.rewrite(enable_optimizations=False)
        self.admin.execute("RELOAD")
        self.rewrite(enable_optimizations=True)
        self.admin.execute("RELOAD")
        self.cached(s, ALL)


class LoadTest(ReloadTest):
    def test_reloads_under_load_disturb_nobody(self):
        """Each client writes its row and reads it back: what it reads is what it has written."""
        self.start()
        stop, faults, counts = threading.Event(), [], [0] * CLIENTS

        def work(i):
            try:
                with psycopg.connect(self.url(sslmode="disable"), autocommit=True) as c:
                    while not stop.is_set():
                        counts[i] += 1
                        value = "%d-%d" % (i, counts[i])
                        c.execute("UPDATE rx SET drug = %s WHERE id = %s", (value, i + 1))
                        for _ in range(3):
                            got = c.execute("SELECT drug FROM rx WHERE id = %s", (i + 1,)).fetchall()
                            if got != [(value,)]:
                                faults.append("%r is not %r" % (got, value))
                        with c.transaction():
                            c.execute("SELECT count(*) FROM rx")
            except Exception as error:  # noqa: BLE001, whatever a client sees is a fault
                faults.append(repr(error))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(CLIENTS)]
        for t in threads:
            t.start()
        try:
            rule = {"name": "all", "tables": ["*"]}
            tier = {"name": "default", "queries_per_minute": 1000000, "burst": 1000000,
                    "query_timeout": "1m", "query_wait_timeout": "1m"}
            variants = [
                {"enable_optimizations": False}, {"enable_optimizations": True},
                {"cache": {"rules": [{**rule, "ttl": "1s"}]}},
                {"tenants": {"limits": "enforce", "tiers": [{**tier, "max_concurrent": 1}]}},
                {"cache": {"rules": [{**rule, "mode": "shadow"}], "single_flight": False}},
                {"tenants": {"limits": "enforce", "tiers": [{**tier, "max_concurrent": 2}]}},
                {"tenants": {"limits": "off"}, "cache": {"rules": [rule], "single_flight": True}},
                {"cache": {"max_memory": "1MB", "max_entry_size": "10kB"}},
                {"cache": {"max_memory": "64MB", "rules": [{**rule, "mode": "off"}]}}]
            for i in range(RELOADS):
                self.reload(**variants[i % len(variants)])
                if faults:
                    break
            self.reload(enable_optimizations=True, cache={"rules": [rule]}, tenants={"limits": "off"})
            hits = self.hits()
            wait_until("clients are answered from the cache",
                       lambda: faults or self.hits() > hits + CLIENTS)
        finally:
            stop.set()
            for t in threads:
                t.join()
        self.assertEqual(faults, [])
        self.assertTrue(all(counts), counts)
        self.assertEqual(self.sidecar.statistics()["shadow"]["different"], 0)

"""What the tests of a shared cache have in common: sidecars that share one, what lies in it, and how to
tell that an answer came from there: the server has been told something else past every sidecar since."""
import base64
import json
import os
import subprocess
import time

from cache_case import CacheTest, env
from harness import Sidecar, wait_until
from wire import TIMEOUT, Wire

KV = ("CREATE TABLE kv (k int PRIMARY KEY, v text)",
      "INSERT INTO kv SELECT i, 'old' || i FROM generate_series(1, 200) i")


class TierTest(CacheTest):
    """Derived classes say what the tier is. Its timeout is long where a test does not ask for it: a busy
    machine must not make a miss of a hit."""

    provider = None
    timeout = "5s"

    @classmethod
    def setUpClass(cls):
        if env.control:
            raise cls.skipTest(cls, "control run: there is no program")
        cls.open_tier()
        cls.config = cls.sharing()
        super().setUpClass()

    @classmethod
    def sharing(cls, cache=None, **keys):
        shared = {"validity": "ttl", "timeout": cls.timeout, **cls.place(), **keys}
        return {"cache": {"cache_provider": cls.provider, **(cache or {})}, "shared_cache": shared}

    def setUp(self):
        super().setUp()
        self.setup_sql(*KV)

    def another(self, cache=None, **keys):
        """One more sidecar on the same tier."""
        made = env.sidecar(**self.sharing(cache, **keys))
        self.addCleanup(made.finish)
        return made

    def on(self, sidecar, user="postgres", **params):
        session = Wire(sidecar.port)
        self.addCleanup(session.close)
        return session.login(user=user, database=self.database, **params)

    def shared(self, sidecar=None):
        return (sidecar or self.sidecar).statistics()["shared_cache"]

    def used(self, sidecar=None):
        return self.shared(sidecar)["used"]

    def change_past_all(self, *keys):
        where = " WHERE k IN (%s)" % ",".join(map(str, keys)) if keys else ""
        self.setup_sql("UPDATE kv SET v = 'new' || k" + where)

    @staticmethod
    def of(k, comment=""):
        return "SELECT v FROM kv WHERE k = %d%s" % (k, comment)

    def fill(self, *keys, session=None, sidecar=None):
        """Through that sidecar into the tier."""
        session = session or self.wire()
        # Before the first catalog is there nothing is kept.
        self.cached(self.wire(), "SELECT count(*) FROM kv")
        for k in keys:
            self.assertEqual(session.q(self.of(k)).value, "old%d" % k)
        self.all_put(sidecar)

    def all_put(self, sidecar=None):
        wait_until("puts", lambda: self.shared(sidecar)["queued_bytes"] == 0)

    def ready(self, sidecar, session):
        """That sidecar has the catalogs of the test's database."""
        wait_until("its catalog", lambda: self._caches(sidecar, session))

    def _caches(self, sidecar, session):
        def hits():
            return sidecar.statistics()["reasons"].get("hit", 0)
        before = hits()
        session.q("SELECT 1 FROM kv WHERE k = -%d" % os.getpid())
        return hits() > before

    def check_wrong_nowhere(self, keys, sidecar=None):
        """Whatever the tier does, answers are the server's. Returns how long it took."""
        session = self.on(sidecar or self.sidecar)
        began = time.monotonic()
        for k in keys:
            self.assertEqual(session.q(self.of(k, " -- %s" % began)).value, "old%d" % k)
        return time.monotonic() - began


class Sharing:
    """For each provider."""

    def test_another_sidecar_serves_what_this_one_has_asked(self):
        self.fill(1, 2)
        self.change_past_all()
        other = self.another()
        session = self.on(other)
        self.ready(other, session)
        first = session.q(self.of(1))
        self.assertEqual(first.value, "old1")
        self.assertEqual(first.raw, self.wire().q(self.of(1)).raw)
        self.assertEqual(self.used(other), 1)
        # From memory now.
        asked = self.shared(other)["asked"]
        self.assertEqual(session.q(self.of(1)).value, "old1")
        self.assertEqual(self.shared(other)["asked"], asked)
        # Another shape of the answer is another entry.
        self.assertEqual(session.x(self.of(2)).value, "new2")
        self.assertEqual(session.q(self.of(2)).value, "old2")

    def test_a_restarted_sidecar_is_warm_within_five_seconds(self):
        keys = range(1, 101)
        first = self.another()
        session = self.on(first)
        self.ready(first, session)
        self.fill(*keys, session=session, sidecar=first)
        first.finish()
        self.change_past_all()
        second = self.another()
        began = time.monotonic()
        session = self.on(second)
        self.ready(second, session)
        used = self.used(second)
        for k in keys:
            self.assertEqual(session.q(self.of(k)).value, "old%d" % k)
        self.assertLess(time.monotonic() - began, 5 * TIMEOUT / 60)
        self.assertEqual(self.used(second), used + len(keys))

    def test_prepared_statements_and_batches(self):
        sql = "SELECT v FROM kv WHERE k = $1"
        self.fill()
        session = self.wire()
        want = [session.x(sql, (str(k),)).raw for k in (1, 2, 3)]
        self.all_put()
        self.change_past_all()
        other = self.another()
        session = self.on(other)
        self.ready(other, session)
        used = self.used(other)
        self.assertEqual([session.x(sql, (str(k),)).raw for k in (1, 2, 3)], want)
        self.assertEqual(self.used(other), used + 3)

    def test_reads_behind_a_write_of_ours_are_never_older(self):
        other = self.another()
        through_other, session = self.on(other), self.wire()
        self.ready(other, through_other)
        self.fill()
        for i in range(30):
            text = self.of(1, " -- %d" % i)
            # The other one puts what is old in a moment under the name that is asked for then.
            through_other.q(text)
            self.all_put(other)
            self.assertIsNone(session.q("UPDATE kv SET v = '%d' WHERE k = 1" % i).error)
            self.assertEqual(session.q(text).value, str(i))
            self.assertEqual(session.x(text).value, str(i))
        self.assertGreater(self.shared()["refused"], 0)

    def test_a_tenant_never_gets_what_is_another_ones(self):
        sql = "SELECT current_setting('app.tenant_id'), v FROM kv WHERE k = 1"
        self.fill()
        other = self.another()
        for sidecar in (self.sidecar, other):
            for tenant in ("a", "b"):
                session = self.on(sidecar, options="-c app.tenant_id=" + tenant)
                self.ready(sidecar, session)
                for _ in range(2):
                    self.assertEqual(session.q(sql).rows, [(tenant, "old1")])
                self.all_put(sidecar)
        self.assertGreaterEqual(self.used(other), 2)

    def test_a_session_that_cannot_be_followed_shares_nothing(self):
        self.fill()
        session = self.wire()
        session.q("DO $$ BEGIN PERFORM set_config('app.tenant_id', 'x', false); END $$")
        session.q("DISCARD ALL")
        self.cached(session, self.of(5))
        self.all_put()
        self.assertFalse(any(b"k = 5" in entry for entry in self.lying().values()))

    def test_another_schema_is_another_answer(self):
        self.fill(1)
        self.setup_sql("ALTER TABLE kv ADD COLUMN w int")
        other = self.another()
        session = self.on(other)
        self.ready(other, session)
        self.change_past_all()
        self.assertEqual(session.q(self.of(1)).value, "new1")

    def test_damaged_entries_are_no_rows(self):
        keys = range(1, 41)
        self.fill(*keys)
        for i, (name, entry) in enumerate(sorted(self.lying().items())):
            at = len(entry) - 1 - i * 7 % len(entry)
            harmed = bytearray(entry)
            harmed[at] ^= 1 << i % 8
            self.lay(name, bytes(harmed))
        self.change_past_all()
        other = self.another()
        session = self.on(other)
        self.ready(other, session)
        for k in keys:
            self.assertEqual(session.q(self.of(k)).value, "new%d" % k)
        self.assertGreaterEqual(self.shared(other)["harmed"], len(keys))
        self.assertEqual(self.used(other), 0)

    def test_an_entry_under_the_name_of_another_question_is_a_miss(self):
        self.fill(1, 2)
        lying = {entry: name for name, entry in self.lying().items()}
        one, two = (next(e for e in lying if b"k = %d\0" % k in e or b"k = %d" % k in e)
                    for k in (1, 2))
        self.lay(lying[one], two)
        other = self.another()
        session = self.on(other)
        self.ready(other, session)
        self.assertEqual(session.q(self.of(1)).value, "old1")
        self.assertEqual(self.shared(other)["harmed"], 1)

    def test_encrypted_nothing_can_be_read_and_only_the_key_opens_it(self):
        keys = [os.path.join(env.folder, "tier.%d.key" % i) for i in (1, 2)]
        for path in keys:
            with open(path, "w") as f:
                f.write(base64.b64encode(os.urandom(32)).decode() + "\n")
        self.empty()
        self.setup_sql("UPDATE kv SET v = 'diabetes mellitus' WHERE k = 7")
        mine = self.another(encryption_key_file=keys[0])
        session = self.on(mine)
        self.ready(mine, session)
        self.assertEqual(session.q(self.of(7)).value, "diabetes mellitus")
        self.all_put(mine)
        lying = self.lying()
        self.assertTrue(lying)
        for name, entry in lying.items():
            self.assertRegex(name, "^(pgsidecar:)?[0-9a-f]{32}$")
            # Not the database's name: so short a word stands in random bytes by chance.
            for word in (b"diabetes", b"SELECT", b"FROM kv"):
                self.assertNotIn(word, entry)
        self.setup_sql("UPDATE kv SET v = 'changed' WHERE k = 7")
        for key, want in ((keys[0], "diabetes mellitus"), (keys[1], "changed"), ("", "changed")):
            other = self.another(encryption_key_file=key)
            session = self.on(other)
            self.ready(other, session)
            self.assertEqual(session.q(self.of(7)).value, want)
            other.finish()

    def test_a_key_file_that_holds_no_key_is_named_and_nothing_of_it(self):
        path = os.path.join(env.folder, "no.key")
        with open(path, "w") as f:
            f.write("hunter2 hunter2")
        config = self.sharing(encryption_key_file=path)
        with self.assertRaises(AssertionError):
            Sidecar(env.program, env.folder, env.settings(**config))
        with open(os.path.join(env.folder, "sidecar%d.log" % Sidecar.count)) as f:
            log = f.read()
        self.assertIn(path, log)
        self.assertNotIn("hunter2", log)

    def test_what_lies_there_expires(self):
        self.fill(1)
        left = self.lives()
        self.assertTrue(left)
        for seconds in left:
            self.assertTrue(500 < seconds <= 600, left)

    def test_the_log_and_the_check_say_what_it_promises(self):
        self.assertIn("shared cache: answers are kept in " + self.provider, self.sidecar.output.text())
        config = env.settings(**self.sharing())
        del config["shared_cache"]["validity"]
        path = os.path.join(env.folder, "tier-check.yaml")
        with open(path, "w") as f:
            json.dump(config, f, indent=1)
        done = subprocess.run([env.program, "check", "-c", path], capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("shared_cache.validity: wal, or ttl", done.stdout + done.stderr)


class Trouble:
    """A tier that is not as it should be: answers are right, and a miss waits for its time-out at most.
    Each test has a sidecar and a tier of its own."""

    def troubled(self, timeout="200ms"):
        sidecar = self.another(timeout=timeout)
        session = self.on(sidecar)
        self.ready(sidecar, session)
        wait_until("the tier", lambda: self.shared(sidecar)["up"])
        return sidecar

    def test_gone_and_back(self):
        sidecar = self.troubled()
        self.kill_tier()
        took = self.check_wrong_nowhere(range(1, 101), sidecar)
        self.assertLess(took, 10 * TIMEOUT / 60)
        wait_until("it is noticed", lambda: not self.shared(sidecar)["up"])
        self.revive_tier()
        wait_until("it is used again", lambda: self.shared(sidecar)["up"])
        puts = self.shared(sidecar)["puts"]
        self.check_wrong_nowhere(range(1, 5), sidecar)
        wait_until("puts again", lambda: self.shared(sidecar)["puts"] > puts)

    def test_stopped_and_going_on(self):
        sidecar = self.troubled()
        self.stop_tier()
        took = self.check_wrong_nowhere(range(1, 101), sidecar)
        got = self.shared(sidecar)
        self.assertGreater(got["late"], 0)
        self.assertLess(got["late"], 20)  # then it is not asked any more
        self.assertFalse(got["up"])
        self.assertLess(took, 15 * TIMEOUT / 60)
        asked = got["asked"]
        self.check_wrong_nowhere(range(1, 20), sidecar)
        self.assertEqual(self.shared(sidecar)["asked"], asked)
        self.continue_tier()
        wait_until("it is used again", lambda: self.shared(sidecar)["up"])
        used = self.shared(sidecar)["puts"]
        self.check_wrong_nowhere(range(1, 5), sidecar)
        wait_until("puts again", lambda: self.shared(sidecar)["puts"] > used)

    def test_away_from_the_start(self):
        self.kill_tier()
        sidecar = self.another(timeout="200ms")
        session = self.on(sidecar)
        self.ready(sidecar, session)
        self.check_wrong_nowhere(range(1, 50), sidecar)
        self.assertEqual(self.shared(sidecar)["asked"], 0)
        sidecar.output.wait_for("shared cache: it is not used")
        self.revive_tier()
        wait_until("it is used", lambda: self.shared(sidecar)["up"])

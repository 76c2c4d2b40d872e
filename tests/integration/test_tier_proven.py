"""A cache that several sidecars share, with a proof by the server's WAL: what is written anywhere is seen by
all of them as if each had its own cache."""
from harness import wait_until
from test_tier_database import DatabaseTest


class ProvenTest(DatabaseTest):
    @classmethod
    def sharing(cls, cache=None, **keys):
        return super().sharing({"invalidation": "wal", **(cache or {})}, **{"validity": "wal", **keys})

    def setUp(self):
        super().setUp()
        self.setup_sql("CREATE PUBLICATION pgsidecar FOR TABLE kv (k)")
        self.other = self.another()
        self.session, self.through_other = self.wire(), self.on(self.other)
        self.ready(self.sidecar, self.session)
        self.ready(self.other, self.through_other)

    def given_by_tier(self, k):
        """A text that nobody has asked for, until the other one has had its answer from the tier."""
        used, number = self.used(self.other), 0
        while self.used(self.other) == used:
            number += 1
            text = self.of(k, " -- %s, %d" % (self.id(), number))
            want = self.session.q(text)
            self.all_put()
            self.assertEqual(self.through_other.q(text).raw, want.raw)
            self.assertLess(number, 2000, self.shared(self.other))
        return text

    def soon(self, session, text, want):
        wait_until("%s to give %s" % (text, want), lambda: session.q(text).value == want)

    def test_one_serves_what_another_has_asked(self):
        text = self.given_by_tier(1)
        # From memory now.
        asked = self.shared(self.other)["asked"]
        self.assertEqual(self.through_other.q(text).value, "old1")
        self.assertEqual(self.shared(self.other)["asked"], asked)

    def test_a_write_past_all_is_seen_by_all(self):
        for i in range(10):
            text = self.given_by_tier(1)
            self.setup_sql("UPDATE kv SET v = '%d' WHERE k = 1" % i)
            for session, sidecar in ((self.through_other, self.other), (self.session, self.sidecar)):
                self.soon(session, text, str(i))
                for _ in range(3):
                    self.assertEqual(self.on(sidecar).q(text).value, str(i))
                self.all_put(sidecar)
        self.assertGreater(self.shared(self.other)["refused"] + self.shared()["refused"], 0)

    def test_a_write_through_one_is_seen_by_the_other(self):
        for i in range(10):
            text = self.given_by_tier(2)
            self.assertIsNone(self.session.q("UPDATE kv SET v = '%d' WHERE k = 2" % i).error)
            self.assertEqual(self.session.q(text).value, str(i))  # at once
            self.soon(self.through_other, text, str(i))
            self.assertEqual(self.session.q(text).value, str(i))

    def test_without_the_log_the_tier_is_not_asked(self):
        self.setup_sql("DROP PUBLICATION pgsidecar")
        third = self.another(cache={"invalidation": "auto"})
        session = self.on(third)
        self.ready(third, session)
        for k in range(20):
            session.q(self.of(k))
        shared = self.shared(third)
        self.assertEqual((shared["asked"], shared["puts"]), (0, 0))

    def test_a_lost_stream_begins_anew(self):
        text = self.given_by_tier(4)
        self.cluster.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = "
                         "'%s' AND active" % self.database)
        self.setup_sql("UPDATE kv SET v = 'new' WHERE k = 4")
        for session in (self.through_other, self.session):
            self.soon(session, text, "new")
        self.ready(self.other, self.through_other)
        self.given_by_tier(5)

"""INVALIDATE of one tenant or one rule: what it names is asked of the server again, and nothing else. The
server is told something else past the program, so that a value tells where it came from."""
import unittest

import wire
from cache_case import CacheTest
from harness import env, wait_until
from redis_server import PROGRAM, Redis, shared_cache

ADMIN = {"admin_users": ["scram_user"]}
RULES = {"rules": [{"name": "doses", "tables": ["public.dose"], "ttl": "10m"},
                   {"name": "others", "tables": ["*"], "ttl": "10m"}]}
TABLES = ("CREATE TABLE dose (v text)", "INSERT INTO dose VALUES ('old')", "CREATE TABLE drug (v text)",
          "INSERT INTO drug VALUES ('old')")
DOSE, DRUG = "SELECT v FROM dose", "SELECT v FROM drug"


class InvalidateCase(CacheTest):
    def setUp(self):
        super().setUp()
        self.require_program()
        self.setup_sql(*TABLES)

    def tell(self, command):
        """Returns the notices' texts."""
        console = self.wire(user="scram_user", password="sesame", database="pgsidecar")
        reply = console.q(command)
        self.assertIsNone(reply.error, reply)
        return [wire.error_fields(body)["M"] for kind, body in reply.frames if kind == b"N"]

    def change_past(self, to):
        self.setup_sql("UPDATE dose SET v = '%s'" % to, "UPDATE drug SET v = '%s'" % to)


class TenantTest(InvalidateCase):
    config = {**ADMIN, "tenants": {"sources": ["setting:app.tenant_id"]}}

    def tenant(self, name):
        session = self.wire()
        self.assertIsNone(session.q("SET app.tenant_id = '%s'" % name).error)
        return session

    def test_one_tenant_of_two(self):
        for how in (wire.Wire.q, wire.Wire.x):
            def ask(session):
                return how(session, DOSE).value
            a, b = self.tenant("a"), self.tenant("b")
            for session in (a, b):
                self.cached(session, lambda s: how(s, DOSE))
            before = ask(a)
            self.change_past(before + "+")
            self.assertEqual([ask(a), ask(b)], [before, before])
            self.assertEqual(self.tell("INVALIDATE TENANT a"), [])
            self.assertEqual([ask(a), ask(b)], [before + "+", before])
            self.assertEqual(ask(self.tenant("a")), before + "+")
            # What a has now is kept again, and another name is another tenant.
            self.change_past(before + "-")
            self.assertEqual(self.tell("INVALIDATE TENANT nobody"), ["no tenant of that name is known now"])
            self.assertEqual([ask(a), ask(b)], [before + "+", before])
            self.tell("INVALIDATE ALL")
            self.assertEqual([ask(a), ask(b)], [before + "-", before + "-"])

    def test_an_answer_under_way_is_not_kept(self):
        a = self.tenant("slow")  # a name of its own: nobody has named it before
        self.cached(a, DRUG)
        holder = self.direct()
        holder.q("BEGIN; LOCK TABLE dose")
        a.send(wire.query(DOSE))
        wait_until("the query waits", lambda: env.cluster.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query = '%s'"
            % DOSE)[0][0] == 1)
        self.tell("INVALIDATE TENANT slow")
        holder.q("COMMIT")
        self.assertEqual(a.read_reply().value, "old")
        self.change_past("new")
        self.assertEqual(a.q(DOSE).value, "new")


class RuleTest(InvalidateCase):
    config = {**ADMIN, "cache": RULES}

    def test_one_rule_of_two(self):
        session = self.wire()
        for sql in (DOSE, DRUG):
            self.cached(session, sql)
        self.change_past("new")
        self.assertEqual(self.tell("INVALIDATE RULE doses"), [])
        self.assertEqual([session.q(DOSE).value, session.q(DRUG).value], ["new", "old"])
        self.change_past("newer")
        self.assertEqual(session.q(DOSE).value, "new")
        self.tell("INVALIDATE RULE others")
        self.assertEqual([session.q(DOSE).value, session.q(DRUG).value], ["new", "newer"])


@unittest.skipUnless(PROGRAM, "redis-server is not there: tests/install.sh")
class SharedTest(InvalidateCase):
    """What was given to the shared cache before does not come back from there."""

    @classmethod
    def setUpClass(cls):
        redis = Redis().start()
        cls.addClassCleanup(redis.close)
        cls.config = {**ADMIN, **shared_cache(redis, **RULES)}
        super().setUpClass()

    def test_only_the_rule_is_asked_of_the_server(self):
        session = self.wire()
        for sql in (DOSE, DRUG):
            self.cached(session, sql)
        wait_until("puts", lambda: self.sidecar.statistics()["shared_cache"]["queued_bytes"] == 0)
        self.change_past("new")
        self.tell("INVALIDATE RULE doses")
        self.assertEqual([session.q(DOSE).value, session.q(DRUG).value], ["new", "old"])

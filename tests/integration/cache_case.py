"""What the cache tests share: asserting that an answer really came from the cache, and that it is the
server's.

Every test first makes sure that the statement in question is being served from the cache (cached()),
then does what once fooled a cache, then compares with the server itself. In a control run nothing is
a hit and the same comparisons must hold.
"""
import time

from harness import ProxyTest, env


RX = """
CREATE TABLE rx (id int PRIMARY KEY, tenant text, drug text, at timestamptz, d date, iv interval,
                 raw bytea, f float8);
INSERT INTO rx SELECT i, 'tenant' || i % 3, 'drug ' || i, timestamptz '2024-06-01 12:00+00' + i *
  interval '1 hour', date '2024-01-31' + i, i * interval '25 hours 3 minutes', decode('00ff5c', 'hex'),
  i / 3.0 FROM generate_series(1, 30) i;
GRANT SELECT ON rx TO alice, bob;
"""
ALL = "SELECT * FROM rx ORDER BY id"


def ask(sql):
    """A statement as a callable on a session; a callable stays what it is."""
    return sql if callable(sql) else (lambda session: session.q(sql))


class CacheTest(ProxyTest):
    never = 0  # statements in a row that never were a hit

    def setup_sql(self, *statements):
        """Runs past the program; call it before the first session of the test."""
        self.proxied.run(*statements, database=self.database)

    def reasons(self):
        return self.sidecar.statistics()["reasons"]

    def hits(self):
        got = self.reasons()
        return got.get("hit", 0) + got.get("coalesced", 0)

    def cached(self, session, statement, within=15):
        """Repeats the statement until it is a hit; returns the reply that was one."""
        run = ask(statement)
        if self.sidecar.control:
            return run(session)
        if CacheTest.never >= 4:
            within = 1  # nothing is ever a hit: say so quickly
        deadline, before = time.monotonic() + within, self.reasons()
        while True:
            hits = self.hits()
            reply = run(session)
            if self.hits() > hits:
                CacheTest.never = 0
                return reply
            time.sleep(0.005)
            if time.monotonic() > deadline:
                CacheTest.never += 1
                after = self.reasons()
                grown = {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}
                self.fail("never a hit: %r counted %r\n%s" % (
                    statement, grown, "\n".join(self.sidecar.output.lines[-15:])))

    def not_cached(self, session, statement, times=4):
        """However often it is asked, it is never a hit; returns the last reply."""
        hits = self.hits()
        for _ in range(times):
            reply = ask(statement)(session)
        self.assertEqual(self.hits(), hits, statement)
        return reply

    def rows_now(self, session, statement):
        return ask(statement)(session).rows

    def agree(self, statement, through=None, past=None):
        """The program and the server say the same, byte for byte, three times over."""
        through = through or self.wire()
        past = past or self.direct()
        for _ in range(3):
            got, want = ask(statement)(through), ask(statement)(past)
            self.assertEqual(got.raw, want.raw, "%r:\n%r\nnot\n%r" % (statement, got, want))
        return got


def extended(sql, params=(), **more):
    return lambda session: session.x(sql, params, **more)


class Twin:
    """Two sessions of one user in one database, through and past the program, told the same."""

    def __init__(self, test, user="postgres", database=None, **params):
        self.test = test
        self.through = test.wire(user, database, **params)
        self.past = test.direct(user, database, **params)

    def both(self, statement):
        """For statements that change no table: replies must be equal byte for byte."""
        got, want = ask(statement)(self.through), ask(statement)(self.past)
        self.test.assertEqual(got.raw, want.raw, "%r:\n%r\nnot\n%r" % (statement, got, want))
        return got

    def send(self, data, count=1):
        return self.both(lambda s: (s.send(data), s.read_reply(count))[1])

    def cached(self, statement):
        """Served from the cache, and equal to what the server says."""
        got = self.test.cached(self.through, statement)
        want = ask(statement)(self.past)
        self.test.assertEqual(got.raw, want.raw, "%r:\n%r\nnot\n%r" % (statement, got, want))
        return got

"""What happens beside the checker's clients: definitions change, sessions and streams are ended, a standby
is slow. One thread, one thing at a time, so its own numbers are committed in their order."""
import collections
import time

import checker_data as data
import harness
import wire
from checker_clients import Client
from checker_history import DONE, DOUBT, OUTSIDE, Write
from checker_transactions import Transaction

END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
# Prepared transactions that nobody came back for: they hold their locks.
LEFT = "SELECT gid FROM pg_prepared_xacts WHERE prepared < clock_timestamp() - interval '1 second'"


class Trouble(Client):
    def __init__(self, run, number):
        super().__init__(run, number, run.cluster.port, OUTSIDE, 1, 0)
        self.session.name = "trouble"
        self.past, self.made, self.slow = self.session, collections.Counter(), None

    def step(self):
        pause = time.monotonic() + self.rng.uniform(0.1, 1.2 if self.run_.calm() else 0.4)
        while time.monotonic() < pause and self.run_.working:
            time.sleep(0.02)
        self.clear()
        kinds = {"standby": 10, "doubt": 10, "nothing": 10}
        if not self.run_.calm():
            kinds = {"standby": 10, "doubt": 10, "writer": 20, "stream": 3, "control": 3, "shape": 30, "column": 8,
                     "index": 8}
        kind = self.rng.choices(list(kinds), kinds.values())[0]
        self.made[kind] += 1
        getattr(self, kind)()

    def nothing(self):
        pass

    def through(self):
        """Past the program, or through it."""
        self.session = self.past
        if self.run_.options.alone or self.rng.random() < 0.5:
            self.session = Transaction(self, [], "single").elsewhere()

    def change(self, sql, effects, how):
        self.through()
        try:
            Transaction(self, [([data.Statement(sql, plain=True)], effects)], how).go()
        finally:
            self.session = self.past

    def ask(self, sql):
        return self.past.ask(wire.query(sql)).rows

    # -- definitions -----------------------------------------------------------------------------
    def shape(self):
        """A column that tells when it was added: whoever sees another has an old description, or row."""
        (old,), = self.ask("SELECT attname FROM pg_attribute WHERE attrelid = 'shape'::regclass "
                           "AND attnum > 1 AND NOT attisdropped")
        number = self.run_.number()
        self.change("ALTER TABLE shape DROP COLUMN %s, ADD COLUMN x%d bigint DEFAULT %d" % (old, number, number),
                    [(("register", "shape", 0), number)],
                    self.rng.choice(("single", "block", "string", "rollback", "string and error")))

    def column(self):
        self.change("ALTER TABLE reg%d %s" % (self.rng.randrange(data.TABLES), self.rng.choice((
            "ADD COLUMN IF NOT EXISTS extra int DEFAULT 1", "DROP COLUMN IF EXISTS extra"))), [], "single")

    def index(self):
        table = self.rng.randrange(data.TABLES)
        self.change(self.rng.choice(("CREATE INDEX IF NOT EXISTS extra%d ON reg%d (v)" % (table, table),
                                     "DROP INDEX IF EXISTS extra%d" % table)), [], "single")

    # -- ends ------------------------------------------------------------------------------------
    def clear(self):
        for (gid,) in self.ask(LEFT):
            self.past.talk(wire.query("ROLLBACK PREPARED '%s'" % gid))

    def writer(self):
        self.ask(END + "application_name LIKE 'writer%' ORDER BY state = 'active' DESC, random() LIMIT 1")

    def stream(self):
        self.ask("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")

    def control(self):
        self.ask(END + "application_name IN ('pgsidecar control', 'pgsidecar witness') "
                 "ORDER BY random() LIMIT 1")

    def standby(self):
        """Commits are in the log, and nobody sees them, until a standby that is not there has confirmed. One
        of them writes a table that nobody else writes: what was cached meanwhile would stay."""
        self.ask("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        try:
            self.ask("SELECT pg_reload_conf()")
            harness.wait_until("the setting", lambda: self.ask("SHOW synchronous_standby_names") == [("nobody",)])
            slow = self.send_slow()
            time.sleep(self.rng.uniform(0.3, 1.2))
            if (self.run_.options.alone or not self.run_.calm()) and self.rng.random() < 0.5:
                self.ask(END + "wait_event = 'SyncRep' AND application_name ~ '^(writer|trouble-slow)' "
                         "ORDER BY application_name LIMIT 1")  # committed, and nobody hears of it
                time.sleep(0.2)
        finally:
            self.ask("ALTER SYSTEM RESET synchronous_standby_names")
            self.ask("SELECT pg_reload_conf()")
        self.end_slow(*slow)

    def doubt(self):
        """A client is gone before its COMMIT is answered, and nobody writes that table soon after."""
        number, key = self.run_.number(), ("register", self.rng.choice(data.SLOW[4:]), self.rng.choice((1, 2)))
        proxy = self.rng.randrange(len(self.run_.ports))
        session = wire.Wire(self.run_.ports[proxy]).login(application_name="trouble-doubt")
        session.q("BEGIN")
        session.q("UPDATE %s SET v = greatest(v, %d) WHERE id = %d" % (key[1], number, key[2]))
        self.writes_made.append(Write(key, "trouble-doubt", proxy, time.monotonic_ns(), None, number, DOUBT,
                                      "cut"))
        session.send(wire.query("COMMIT"))
        session.close(False)

    def send_slow(self):
        """Through the program or past it; here and there it is ended while it waits."""
        proxy = 0 if self.run_.options.alone or self.rng.random() < 0.3 else OUTSIDE
        port = self.run_.ports[0] if proxy == 0 else self.run_.cluster.port
        self.slow = wire.Wire(port).login(application_name="trouble-slow")
        table = data.SLOW[self.made["standby"] % 4]  # in turn: each is left alone for a while
        number, key = self.run_.number(), ("register", table, self.rng.choice((1, 2)))
        begin = time.monotonic_ns()
        self.slow.send(wire.query("UPDATE %s SET v = greatest(v, %d) WHERE id = %d" % (key[1], number, key[2])))
        return key, proxy, begin, number

    def end_slow(self, key, proxy, begin, number):
        end, outcome = None, DOUBT
        try:
            reply = self.slow.read_reply()
            if not reply.error:
                end, outcome = time.monotonic_ns(), DONE
        except OSError:
            pass
        self.slow.close()
        self.writes_made.append(Write(key, "trouble-slow", proxy, begin, end, number, outcome,
                                      "behind a standby"))

"""Turns the vocabulary of workload.py into what one session sends next, in every protocol shape.

A Talker belongs to one pair of sessions and knows only what it was told by the replies: transaction
status and the names it has made. next() gives a Step; heard() must be called with its reply.
"""
from dataclasses import dataclass

import wire
import workload as words


@dataclass
class Step:
    data: bytes
    text: str       # for the report of a difference
    ready: int = 1  # how many ReadyForQuery it brings
    weight: int = 1  # statements in it
    exclusive: bool = False


RESULT_FORMATS = ((), (), (), (0,), (1,))

# How a stretch of the run is spent: its length in steps, the share of reads, and the weights of
# write, block, setting, ddl, odd among the rest.
PHASES = {
    "quiet": ((400, 2500), 0.95, (12, 30, 10, 0, 10)),
    "busy": ((200, 800), 0.75, (45, 20, 15, 0, 20)),
    "ddl": ((20, 120), 0.60, (20, 15, 15, 35, 15)),
}


class Talker:
    def __init__(self, rng, number):
        self.rng, self.number = rng, number
        self.status, self.names, self.sql_names = "I", {}, {}
        self.gid, self.gids, self.exclusive, self.cursor = None, 0, False, False
        self.reads, self.weights, self.favourites = 0.7, (40, 16, 18, 8, 16), []

    def enter(self, phase, favourites):
        _, self.reads, self.weights = PHASES[phase]
        self.favourites = favourites

    # -- scheduling ----------------------------------------------------------------------------
    def sticky(self):
        """True while this session holds locks that would stop the readers of others."""
        return self.exclusive

    def heard(self, step, reply):
        status = reply.status
        if step.exclusive and status != "I":
            self.exclusive = True
        if status == "I" and self.gid is None:
            self.exclusive = False
        if status == "I":
            self.cursor = False
        self.status = status

    def next(self):
        rng = self.rng
        if self.gid:
            return self._settle_prepared()
        if self.status == "E" and rng.random() < 0.5:
            return self._simple(rng.choice(("ROLLBACK", "ROLLBACK", "COMMIT", "ROLLBACK TO a")))
        if self.exclusive and rng.random() < 0.4:
            return self._simple(rng.choice(("COMMIT", "ROLLBACK")))
        if self.status == "T" and rng.random() < 0.12:
            return self._end_block()
        if self.status == "I" and not self.exclusive and rng.random() < 0.012:
            return self.fresh_start()
        if rng.random() < self.reads:
            # What an application asks again and again, in the very same bytes.
            if self.favourites and rng.random() < 0.8:
                return rng.choice(self.favourites)
            return self._read()
        return rng.choices((self._write, self._block, self._setting, self._ddl, self._odd),
                           self.weights)[0]()

    def favourite(self):
        text = self.rng.choice([q for q in words.QUESTIONS if " FOR " not in q])
        if self.rng.random() < 0.4:
            return self._simple(words.literal(self.rng, text))
        return self._unnamed(text)

    def fresh_start(self):
        """What a pool does between two users of a connection."""
        self.names, self.sql_names = {}, {}
        return self._simple("DISCARD ALL")

    # -- shapes --------------------------------------------------------------------------------
    def _simple(self, sql, **more):
        return Step(wire.query(sql), sql, **more)

    def _read(self):
        rng = self.rng
        text = rng.choice(words.QUESTIONS)
        shape = rng.random()
        if shape < 0.30:
            return self._simple(words.literal(rng, text))
        if shape < 0.58:
            return self._unnamed(text)
        if shape < 0.80:
            return self._named(text)
        if shape < 0.88:
            return self._pipeline()
        if shape < 0.92:
            return self._batch()
        if shape < 0.95:
            return self._slices(text)
        if shape < 0.97:
            return self._sql_prepared(text)
        return self._parse_apart(text)

    def _execute(self, text, name="", limit=0):
        """(frames, text): Bind, perhaps Describe, Execute."""
        sql, kinds = words.numbered(text)
        values, formats = words.arguments(self.rng, kinds)
        data = wire.bind(values, "", name, formats, self.rng.choice(RESULT_FORMATS))
        if self.rng.random() < 0.7:
            data += wire.describe()
        return data + wire.execute(limit=limit), "%s -- %r %r" % (sql, values, formats)

    def _parse(self, text, name=""):
        sql, kinds = words.numbered(text)
        typed = self.rng.random() < 0.4 and all(k in ("id", "tenant", "word") for k in kinds)
        types = [23 if k == "id" else 25 for k in kinds] if typed else ()
        return wire.parse(sql, name, types)

    def _unnamed(self, text):
        data, said = self._execute(text)
        return Step(self._parse(text) + data + wire.SYNC, "unnamed: " + said)

    def _named(self, text):
        rng = self.rng
        if self.names and rng.random() < 0.75:
            name = rng.choice(sorted(self.names))
            if rng.random() < 0.08:
                self.names.pop(name)
                return Step(wire.close(b"S", name) + wire.SYNC, "close " + name)
            data, said = self._execute(self.names[name], name)
            return Step(data + wire.SYNC, "named %s: %s" % (name, said))
        name = "n%d" % rng.randrange(8)
        self.names.setdefault(name, text)  # a second Parse of a name is an error, and stays one
        data, said = self._execute(text, name)
        return Step(self._parse(text, name) + data + wire.SYNC, "parse %s: %s" % (name, said))

    def _parse_apart(self, text):
        kind = self.rng.randrange(4)
        if kind == 0:
            return Step(self._parse(text) + wire.describe(b"S") + wire.SYNC, "parse only: " + text)
        data, said = self._execute(text)
        if kind == 1:
            return Step(data + wire.SYNC, "bind of whatever is unnamed: " + said)
        if kind == 2:
            return Step(self._parse(text) + wire.SYNC + data + wire.SYNC, "two batches: " + said, 2)
        return Step(self._parse(text) + wire.FLUSH + data + wire.FLUSH + wire.SYNC,
                    "flushed: " + said)

    def _pipeline(self):
        steps = [self._simple_or_unnamed() for _ in range(self.rng.randrange(2, 7))]
        return Step(b"".join(s.data for s in steps), " | ".join(s.text for s in steps), len(steps),
                    len(steps), any(s.exclusive for s in steps))

    def _simple_or_unnamed(self):
        rng = self.rng
        if rng.random() < 0.15:
            return self._write(simple_only=True)
        text = rng.choice(words.QUESTIONS[:20])
        return self._unnamed(text) if rng.random() < 0.6 else self._simple(words.literal(rng, text))

    def _batch(self):
        """Several statements before one Sync: one implicit transaction."""
        data, said, count = b"", [], self.rng.randrange(2, 6)
        for _ in range(count):
            pool = words.WRITES if self.rng.random() < 0.15 else words.QUESTIONS
            text = self.rng.choice(pool)
            more, what = self._execute(text)
            data += self._parse(text) + more
            said.append(what)
        return Step(data + wire.SYNC, "batch: " + " + ".join(said), 1, count)

    def _slices(self, text):
        data, said = self._execute(text, limit=self.rng.randrange(1, 4))
        return Step(self._parse(text) + data + (wire.execute() if self.rng.random() < 0.5 else b"")
                    + wire.SYNC, "limited: " + said)

    def _sql_prepared(self, text):
        rng = self.rng
        if self.sql_names and rng.random() < 0.8:
            name = rng.choice(sorted(self.sql_names))
            kind = rng.random()
            if kind < 0.1:
                self.sql_names.pop(name)
                return self._simple("DEALLOCATE " + name)
            kinds = self.sql_names[name]
            values = ", ".join(words.literal(rng, "{%s}" % k) for k in kinds)
            if kind < 0.2:
                values_, formats = words.arguments(rng, kinds)
                return Step(wire.bind(values_, "", name, formats) + wire.describe() + wire.execute()
                            + wire.SYNC, "bind of SQL-prepared " + name)
            return self._simple("EXECUTE %s%s" % (name, "(%s)" % values if kinds else ""))
        name = "q%d" % rng.randrange(5)
        sql, kinds = words.numbered(rng.choice(words.WRITES) if rng.random() < 0.2 else text)
        self.sql_names.setdefault(name, kinds)
        return self._simple("PREPARE %s AS %s" % (name, sql))

    # -- changes -------------------------------------------------------------------------------
    def _write(self, simple_only=False):
        rng = self.rng
        if rng.random() < 0.2:
            return self._simple(words.literal(rng, rng.choice(words.UTILITY_WRITES)))
        text = rng.choice(words.WRITES)
        if simple_only or rng.random() < 0.5:
            return self._simple(words.literal(rng, text))
        return self._unnamed(text)

    def _block(self):
        rng = self.rng
        if self.status != "I":
            return self._simple(rng.choice((
                "SAVEPOINT a", "SAVEPOINT b", "ROLLBACK TO a", "ROLLBACK TO b", "RELEASE a", "BEGIN",
                "RELEASE b", "SAVEPOINT a", "SELECT 1/0")))
        begin = rng.choice(("BEGIN", "BEGIN", "BEGIN", "START TRANSACTION READ ONLY",
                            "BEGIN ISOLATION LEVEL REPEATABLE READ", "COMMIT", "ROLLBACK"))
        if rng.random() < 0.3:
            return Step(wire.parse(begin) + wire.bind() + wire.execute() + wire.SYNC, begin)
        return self._simple(begin)

    def _end_block(self):
        kind = self.rng.random()
        if kind < 0.08:
            self.gids += 1
            self.gid = "g%d_%d" % (self.number, self.gids)
            return self._simple("PREPARE TRANSACTION '%s'" % self.gid)
        return self._simple("ROLLBACK" if kind < 0.35 else
                            "COMMIT AND CHAIN" if kind < 0.4 else "COMMIT")

    def _settle_prepared(self):
        if self.status != "I":
            return self._simple("ROLLBACK")
        if not self.exclusive and self.rng.random() < 0.5:
            return self._read()
        gid, self.gid = self.gid, None
        return self._simple("%s PREPARED '%s'" % (self.rng.choice(("COMMIT", "COMMIT", "ROLLBACK")),
                                                  gid))

    def _setting(self):
        sql = self.rng.choice(words.SETTINGS)
        if "{" in sql:
            if self.rng.random() < 0.6:
                return self._unnamed(sql)
            sql = words.literal(self.rng, sql)
        if self.rng.random() < 0.2 and ";" not in sql:
            return Step(wire.parse(sql) + wire.bind() + wire.execute() + wire.SYNC, sql)
        return self._simple(sql)

    def _ddl(self):
        return self._simple(words.literal(self.rng, self.rng.choice(words.DDL)), exclusive=True)

    def _odd(self):
        rng, kind = self.rng, self.rng.randrange(7)
        if kind == 0:
            rows = b"".join(b"%d\tcopied\n" % rng.randrange(1, 32) for _ in range(3))
            table = rng.choice(("t3", "pt", "par", "thing"))
            if table == "thing":
                rows = b"copied\n"
            # Sync behind it: if COPY is refused, CopyData and CopyDone are ignored by the server.
            return Step(wire.query("COPY %s (%s) FROM STDIN" % (
                table, "v" if table == "thing" else "id, v")) + wire.frame(b"d", rows)
                + (wire.frame(b"c") if rng.random() < 0.8 else wire.frame(b"f", b"no\0")),
                "copy %s from %r" % (table, rows))
        if kind == 1:
            return self._simple(words.literal(rng, "COPY (%s) TO STDOUT" % rng.choice(
                words.QUESTIONS)))
        if kind == 2:
            if self.cursor:
                return self._simple(rng.choice(("FETCH 3 FROM c", "FETCH c", "MOVE 2 FROM c",
                                                "CLOSE c", "FETCH ALL FROM c")))
            self.cursor = True
            return self._simple("BEGIN; DECLARE c CURSOR FOR " + words.literal(
                rng, rng.choice(words.QUESTIONS)))
        if kind == 3:
            return self._simple(rng.choice(("", ";", "-- nothing", "SELECT 1; SELECT 2",
                                            "SELEC", "SELECT 'open", "SELECT 1;;")))
        if kind == 4:
            return Step(wire.SYNC * 2, "two syncs", 2, 0)
        if kind == 5:
            return Step(wire.bind(name="ghost") + wire.execute() + wire.SYNC, "bind of a ghost")
        return self._simple(words.literal(rng, "EXPLAIN (COSTS OFF) " + rng.choice(
            words.QUESTIONS)))

"""The checker's clients: threads with one session each, through a proxy or past it, that read and write
at random and note what they did. Each has its own random numbers and its own part of the history; all
share the run (checker.py), which says when to pause and what is written at present.
"""
import random
import threading
import time

import checker_data as data
import wire
from checker_history import DONE, DOUBT, OUTSIDE, UNDONE, Read, Write

# What can happen to one who works at random with others: serialization (a row has moved), deadlock, a lock
# not had in time, a parent that is gone; what follows in a failed block; a session that was ended; a prepared
# transaction that was cleared away; a parent that somebody else has put back.
EXPECTED = {"40001", "40P01", "55P03", "23503", "25P02", "57P01", "42704", "55000", "23505"}
now = time.monotonic_ns


class Refused(Exception):
    """The server has said no, before anything was committed."""


class Cut(Exception):
    """The connection is gone; done on purpose, or not."""


class Session:
    """One connection at a time; its name changes with each, for a promise to a session ends with it."""

    def __init__(self, run, name, port, proxy):
        self.run, self.name, self.port, self.proxy = run, name, port, proxy
        self.count, self.wire, self.prepared = 0, None, {}

    def open(self):
        if self.wire:
            return self
        more = {}
        if self.proxy == OUTSIDE and self.count % 3 == 0:  # these do not wait for a standby
            more["options"] = "-c synchronous_commit=off"
        if self.name.startswith("trouble"):  # it clears away what others have left locked
            more["options"] = "-c lock_timeout=1s"
        while self.wire is None:
            try:
                self.wire = wire.Wire(self.port).login(application_name=self.name, **more)
            except (wire.LoginError, OSError) as problem:
                self.run.problem("no log-in: %s" % problem)
                time.sleep(0.05)
        self.count += 1
        self.id, self.prepared = "%s.%d" % (self.name, self.count), {}
        return self

    def drop(self, polite=False):
        if self.wire:
            self.wire.close(polite)
            self.wire = None

    def talk(self, message, count=1):
        try:
            self.wire.send(message)
            return self.wire.read_reply(count)
        except OSError as problem:
            if isinstance(problem, TimeoutError):
                self.run.problem("%s: no answer within %d s" % (self.name, wire.TIMEOUT), True)
            raise Cut from problem

    def ask(self, message):
        """A reply without an error, else Refused. Not for what may commit."""
        reply = self.talk(message)
        if reply.error:
            self.run.said_no(self, reply)
            raise Refused
        return reply

    def message(self, rng, statement):
        """A statement by any of the protocol's ways, to its ReadyForQuery."""
        sql, params = statement.sql, statement.params
        form = 0 if statement.plain else rng.randrange(3)
        if form == 0:
            return wire.query(data.literal(sql, params))
        if form == 1:
            return self.unnamed(sql, params) + wire.SYNC
        first = b""
        if sql not in self.prepared:
            self.prepared[sql] = "s%d" % len(self.prepared)
            first = wire.parse(sql, self.prepared[sql])
            if rng.random() < 0.3:
                first += wire.SYNC
                self.ask(first)
                first = b""
        return first + wire.bind(params, "", self.prepared[sql]) + wire.execute() + wire.SYNC

    @staticmethod
    def unnamed(sql, params):
        return wire.parse(sql) + wire.bind(params) + wire.describe() + wire.execute()


class Client(threading.Thread):
    def __init__(self, run, number, port, proxy, writes, pace):
        super().__init__(daemon=True)
        kind = "writer" if writes else "reader"
        self.run_, self.rng, self.writes, self.pace = run, random.Random(run.seed * 1000 + number), writes, pace
        self.session = Session(run, "%s%d" % (kind, number), port, proxy)
        self.sides = {}  # sessions for a COMMIT PREPARED elsewhere
        self.reads_made, self.writes_made, self.number, self.asked = [], [], number, 0

    def run(self):
        while self.run_.gate(self):
            try:
                self.session.open()
                self.step()
            except Cut:
                self.session.drop()
            except Refused:
                pass
            except Exception as problem:  # a mistake here, or an answer that makes no sense
                self.run_.problem("%s: %s: %s" % (self.session.name, type(problem).__name__, problem), True)
                self.session.drop()
        for session in [self.session, *self.sides.values()]:
            session.drop(True)

    def step(self):
        if self.rng.random() < self.writes:
            self.write()
            pause = self.run_.pause(self.rng)
            if pause:
                time.sleep(pause)
        else:
            self.read()
            if self.pace:
                time.sleep(self.rng.random() * self.pace)

    # -- reads -----------------------------------------------------------------------------------
    def question(self):
        subject = self.run_.subject(self.rng)
        if self.rng.random() < 0.05:
            subject = "shape"
        asked = self.rng.choice(data.BY_SUBJECT[subject])
        return asked, self.rng.choice(asked.numbers) if asked.numbers else 0

    def read(self, asked=None):
        asked = asked or [self.question() for _ in range(2 if self.rng.random() < 0.1 else 1)]
        messages = []
        for question, i in asked:
            statement = data.Statement(question.sql, (i,) if question.numbers else (),
                                       question.about == "shape" and self.rng.random() < 0.5)
            if question.about == "shape" and not statement.plain:  # its columns change
                messages.append(Session.unnamed(statement.sql, ()) + wire.SYNC)
            else:
                messages.append(self.session.message(self.rng, statement))
        self.asked += len(asked)
        begin = now()
        reply = self.session.talk(b"".join(messages), len(messages))
        end = now()
        parts = split(reply)
        for (question, i), part in zip(asked, parts):
            if part.error:
                self.run_.said_no(self.session, part)
                self.session.prepared.clear()
                self.session.drop(True)  # what has been prepared is not known now
                return
        for (question, i), part in zip(asked, parts):
            for key, value in question.reads(part.rows, i):
                self.reads_made.append(Read(key, self.session.id, self.session.proxy, begin, end, value,
                                            question.sql[:60]))

    # -- writes ----------------------------------------------------------------------------------
    def write(self):
        run, rng = self.run_, self.rng
        changes = []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            changes.append(data.change(rng, run.target(rng), run.number()))
        if len({key for _, effects in changes for key, _ in effects}) < len(changes):
            changes = changes[:1]  # one number of a key for each transaction
        how = rng.choices(list(HOWS), [weight for weight, _ in HOWS.values()])[0]
        if run.calm():
            if not all(is_calm(statements) for statements, _ in changes):
                return
            how = "block" if how.startswith("two-phase") else how
        Transaction(self, changes, how).go()
        if self.session.wire and rng.random() < 0.5:  # whoever has written looks first
            key = changes[0][1][0][0]
            about = "list" if key[0] == "list" else key[1]
            asked = rng.choice(data.BY_SUBJECT[about])
            self.read([(asked, key[2] if asked.numbers else 0)])


def split(reply):
    """A pipeline's replies, one for each ReadyForQuery."""
    out, at, raw = [], 0, reply.raw
    start = 0
    while at < len(raw):
        end = at + 1 + int.from_bytes(raw[at + 1:at + 5], "big")
        if raw[at] == 90:
            out.append(wire.Reply(raw[start:end]))
            start = end
        at = end
    return out


def is_calm(statements):
    """After the others the catalogs are read anew: they may have changed anything, or a table's file."""
    return not any(s.sql.startswith(("DO", "TRUNCATE")) for s in statements)


class Transaction:
    """Some changes, made in one way (`how`), and their outcome."""

    def __init__(self, client, changes, how):
        self.client, self.changes, self.how = client, changes, how
        self.session, self.rng = client.session, client.rng
        self.statements = [s for statements, _ in changes for s in statements]
        self.proxy, self.begin, self.end, self.noted = self.session.proxy, now(), None, False

    def go(self):
        try:
            HOWS[self.how][1](self)
        except Cut:
            self.note(DOUBT if self.begin_sent else UNDONE)
            raise
        except Refused:
            self.note(UNDONE)
            self.clean("ROLLBACK", "DEALLOCATE ALL")  # a Parse may have been refused as well
            raise
        if any(s.sql.startswith("DO") for s in self.statements):
            self.clean("DISCARD ALL")  # until then the session is not answered from the cache

    def clean(self, *commands):
        if self.session.wire:
            for sql in commands:
                self.session.talk(wire.query(sql))
            self.session.prepared.clear()

    begin_sent = False  # what may commit is on its way

    def note(self, outcome, changes=None):
        if self.noted and changes is None:
            return
        self.noted = self.noted or changes is None
        for _, effects in self.changes if changes is None else changes:
            for key, value in effects:
                self.client.writes_made.append(Write(
                    key, self.session.id, self.proxy, self.begin, self.end, value, outcome, self.how))

    def commit(self, message, session=None):
        """Sends what commits; says how it ended."""
        session = session or self.session
        self.begin, self.begin_sent = now(), True
        reply = session.talk(message)
        end = now()
        if any(e.get("S") in ("FATAL", "PANIC") or e["C"][:2] in ("08", "57", "XX") for e in reply.errors):
            raise Cut
        if reply.error:
            session.run.said_no(session, reply)
            self.note(UNDONE)
            raise Refused
        self.end = end
        self.note(UNDONE if "ROLLBACK" in reply.tags else DONE)
        return reply

    def steps(self, statements):
        for statement in statements:
            if statement.data is not None:
                self.copy(statement, False)
            else:
                self.session.ask(self.session.message(self.rng, statement))

    def copy(self, statement, commits):
        """COPY FROM STDIN, its data when the server asks for it."""
        try:
            self.session.wire.send(wire.query(statement.sql))
            kind, body = self.session.wire.read_frame()
            while kind not in b"GE":
                kind, body = self.session.wire.read_frame()
        except OSError as problem:
            raise Cut from problem
        if kind == b"E":
            self.session.talk(b"")
            if wire.error_fields(body)["C"] not in EXPECTED:
                self.session.run.problem("COPY: %r" % body, True)
            raise Refused
        rest = wire.frame(b"d", statement.data.encode()) + wire.frame(b"c")
        return self.commit(rest) if commits else self.session.ask(rest)

    # -- the ways --------------------------------------------------------------------------------
    def single(self):
        if len(self.statements) > 1:
            return self.block()
        (statement,) = self.statements
        if statement.data is not None:
            self.copy(statement, True)
        else:
            self.commit(self.session.message(self.rng, statement))
        return None

    def block(self):
        self.session.ask(self.rng.choice((wire.query("BEGIN"), wire.query("BEGIN ISOLATION LEVEL "
                                          "READ COMMITTED"), Session.unnamed("BEGIN", ()) + wire.SYNC)))
        self.steps(self.statements)
        if self.rng.random() < 0.3:
            self.read_own()
        if self.how == "rollback":
            self.session.ask(wire.query("ROLLBACK"))
            self.note(UNDONE)
        elif self.how == "cut":
            self.cut(wire.query("COMMIT"))
        else:
            self.commit(self.rng.choice((wire.query("COMMIT"), wire.query("END"),
                                         Session.unnamed("COMMIT", ()) + wire.SYNC)))

    def read_own(self):
        """A block sees its own writes before anybody else does."""
        for _, effects in self.changes:
            for key, value in effects:
                if key[0] in ("register", "pair") and key[2]:
                    asked = [q for q in data.QUESTIONS if q.about == key[1] and q.numbers][0]
                    begin = now()
                    reply = self.session.ask(wire.query(data.literal(asked.sql, (key[2],))))
                    for of, got in asked.reads(reply.rows, key[2]):
                        self.client.reads_made.append(Read(of, self.session.id, self.proxy, begin, now(),
                                                           got, "in its own block", value))

    def savepoint(self):
        """Something else is written and undone in the middle."""
        other = data.change(self.rng, self.client.run_.target(self.rng), self.client.run_.number())
        if {k for k, _ in other[1]} & {k for _, effects in self.changes for k, _ in effects} or \
                other[0][0].data is not None or self.client.run_.calm() and not is_calm(other[0]):
            other = ([], [])
        self.session.ask(wire.query("BEGIN"))
        at = self.rng.randint(0, len(self.statements))
        self.note(UNDONE, [other])
        self.steps(self.statements[:at])
        self.session.ask(wire.query("SAVEPOINT a"))
        self.steps(other[0])
        self.session.ask(wire.query("ROLLBACK TO a"))
        self.steps(self.statements[at:])
        if self.rng.random() < 0.5:
            self.session.ask(wire.query("RELEASE a"))
        self.commit(wire.query("COMMIT"))

    def text(self):
        """As one text; None if part of it is a COPY."""
        if any(s.data is not None for s in self.statements):
            return None
        return "; ".join(data.literal(s.sql, s.params) for s in self.statements)

    def string(self):
        """A text of several statements is a transaction, or holds one, or fails as a whole."""
        text = self.text()
        if text is None:
            return self.block()
        if self.how == "failing string":
            reply = self.session.talk(wire.query(text + "; SELECT 1/0"))
            if not reply.error:
                self.session.run.problem("1/0 is no error", True)
            elif reply.error != "22012":
                self.session.run.said_no(self.session, reply)
            return self.note(UNDONE)
        if self.how == "cut string":
            return self.cut(wire.query("BEGIN; %s; COMMIT" % text))
        if self.how == "string and error":
            return self.committed_before_an_error(text)
        form = self.rng.choice(("%s", "SELECT 1; %s; SELECT 2", "BEGIN; %s; COMMIT"))
        self.commit(wire.query(form % text))
        return None

    def committed_before_an_error(self, text):
        self.begin, self.begin_sent = now(), True
        reply = self.session.talk(wire.query("BEGIN; %s; COMMIT; SELECT 1/0" % text))
        self.end = now()
        if "COMMIT" in reply.tags:
            return self.note(DONE)
        self.end = None
        self.session.run.said_no(self.session, reply)
        raise Refused

    def batch(self):
        """Several Executes before one Sync are one transaction."""
        if any(s.plain for s in self.statements):
            return self.block()
        self.commit(b"".join(Session.unnamed(s.sql, s.params) for s in self.statements) + wire.SYNC)
        return None

    def cut(self, message):
        """Nobody waits for what it says to that."""
        self.begin, self.begin_sent = now(), True
        try:
            self.session.wire.send(message)
            if self.rng.random() < 0.5:
                time.sleep(self.rng.random() * 0.002)
        except OSError as problem:
            raise Cut from problem
        self.session.drop()
        self.note(DOUBT)

    def two_phase(self):
        """Prepared here; ended here, elsewhere, or by nobody for a while."""
        gid = "g%d" % self.client.run_.number()
        self.session.ask(wire.query("BEGIN"))
        self.steps(self.statements)
        self.begin, self.begin_sent = now(), True  # once prepared, anybody may commit it
        reply = self.session.talk(wire.query("PREPARE TRANSACTION '%s'" % gid))
        if reply.error:
            self.session.run.said_no(self.session, reply)
            raise Refused
        if self.rng.random() < 0.5:
            time.sleep(self.rng.random() * 0.05)
        other = self.elsewhere() if self.how == "two-phase elsewhere" else self.session
        if self.rng.random() < 0.2:
            other.talk(wire.query("ROLLBACK PREPARED '%s'" % gid))
            return self.note(UNDONE)
        self.proxy = other.proxy
        try:
            self.commit(wire.query("COMMIT PREPARED '%s'" % gid), other)
        except Cut:
            other.drop()
            raise
        return None

    def elsewhere(self):
        """A session past the proxy, or through one for a client that is past it."""
        proxy = OUTSIDE if self.proxy != OUTSIDE else self.rng.randrange(len(self.client.run_.ports))
        if proxy not in self.sides:
            port = self.client.run_.cluster.port if proxy == OUTSIDE else self.client.run_.ports[proxy]
            self.sides[proxy] = Session(self.client.run_, "%s-%s" % (self.session.name, proxy), port, proxy)
        return self.sides[proxy].open()

    @property
    def sides(self):
        return self.client.sides


HOWS = {"single": (30, Transaction.single), "block": (16, Transaction.block),
        "rollback": (6, Transaction.block), "cut": (3, Transaction.block),
        "savepoint": (8, Transaction.savepoint), "string": (10, Transaction.string),
        "failing string": (4, Transaction.string), "string and error": (3, Transaction.string),
        "cut string": (3, Transaction.string), "batch": (10, Transaction.batch),
        "two-phase": (3, Transaction.two_phase), "two-phase elsewhere": (3, Transaction.two_phase)}

"""Every way in which the checker's clients make a change, with its outcome as far as the client can know:
done, undone, or in doubt once what commits was sent and no answer came."""
import time

import checker_data as data
import wire
from checker_history import DONE, DOUBT, OUTSIDE, UNDONE, Read, Write
from checker_sessions import EXPECTED, Cut, Refused, Session, now


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
        if self.client.run_.options.alone and self.proxy != OUTSIDE:
            return self.session
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

"""The checker's sessions: one connection at a time, every way of the protocol to say a statement, and what
may go wrong with it."""
import time

import checker_data as data
import wire
from checker_history import OUTSIDE

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

"""The checker's clients: threads with one session each, through a proxy or past it, that read and write
at random and note what they did. Each has its own random numbers and its own part of the history; all
share the run (checker.py), which says when to pause and what is written at present.
"""
import random
import threading
import time

import checker_data as data
import wire
from checker_history import Read
from checker_sessions import Cut, Refused, Session, now
from checker_transactions import HOWS, Transaction, is_calm


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

    def messages(self, asked):
        messages = []
        for question, i in asked:
            statement = data.Statement(question.sql, (i,) if question.numbers else (),
                                       question.about == "shape" and self.rng.random() < 0.5)
            if question.about == "shape" and not statement.plain:  # its columns change
                messages.append(Session.unnamed(statement.sql, ()) + wire.SYNC)
            else:
                messages.append(self.session.message(self.rng, statement))
        return messages

    def read(self, asked=None):
        asked = asked or [self.question() for _ in range(2 if self.rng.random() < 0.1 else 1)]
        try:
            messages = self.messages(asked)
        except Refused:
            self.session.drop(True)  # what has been prepared is not known now
            return
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

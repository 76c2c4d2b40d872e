#!/usr/bin/python3
"""Statements that nobody would think of (sqlsmith makes them up) through the program and past it: the
answers must be the same, every write must do the same, and no session may be lost.

    sqlsmith.py --program build/dev/pgsidecar [--seed N] [--seconds N] [--statements N]
    sqlsmith.py --control       both past the program: what fails there is a mistake of this run
    sqlsmith.py --pretend ...   writes go past the program and nobody tells it: has to be found

A read is asked directly in each way (simple, extended in text and binary, prepared), then through the
program twice in each, so that the second may be a hit, and compared byte by byte. On a difference it is
asked again by a new direct session: if that says something else than the first, the answer has to do
with the time or the session and proves nothing; such ones are counted.
A write is first done directly and rolled back, then done through the program, alone or in a block; reply
and all tables must be as they were then. Afterwards reads that were cached are compared again. No write
goes past the program and `invalidation` is ttl, so that nothing hides a write that it missed.
From time to time sqlsmith itself connects to the server and to the program with one seed. It words its
next statement by what became of those before, so all that it says must be the same; where it is not,
both are asked again, and each has to say the same every time, or it proves nothing.
A violation is told with the statement, the seed and both answers. The same seed gives the same
statements in the same order; --seconds only says when to stop.
"""
import argparse
import collections
import faulthandler
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import harness  # noqa: E402
import sqlsmith_data as data  # noqa: E402
import sqlsmith_words as words  # noqa: E402
import wire  # noqa: E402

READS = "every answer is the server's"
WRITES = "every write does what it does at the server"
AGAIN = "after a write, what was cached is as the server has it"
SESSIONS = "no session is lost"
ITSELF = "sqlsmith itself is told the same"
HITS = "enough comes from the cache"
MEMORY = "memory stays bounded"
ALL = (READS, WRITES, AGAIN, SESSIONS, ITSELF, HITS, MEMORY)

ENOUGH = 0.05  # of the reads; below it the run proves nothing about the cache
MOST_MEMORY = 400 << 20  # the cache itself may take 16 MB
BATCH = 200
TIMES = 8  # that sqlsmith itself is asked again on each side
PATIENCE = {"direct": "400ms", "through": "50s"}  # only what was quick directly is asked through
SESSION_KINDS = ({}, {"TimeZone": "Asia/Tokyo", "DateStyle": "German", "app.tenant_id": "2"},
                 {"search_path": "public,pg_catalog", "bytea_output": "escape", "app.tenant_id": "3"})
LOST = ("server closed the connection", "terminating connection", "connection to server was lost",
        "roken connection", "57P01", "08006")


def prepared(session, sql):
    reply = session.batch(wire.parse(sql, "p"), wire.describe(b"S", "p"))
    raw = reply.raw
    if not reply.error:
        for _ in range(2):
            raw += session.batch(wire.bind((), "", "p"), wire.execute()).raw
        raw += session.batch(wire.close(b"S", "p")).raw
    return wire.Reply(raw)


WAYS = {"simple": lambda s, sql: s.q(sql), "extended": lambda s, sql: s.x(sql),
        "binary": lambda s, sql: s.x(sql, results=(1,)), "prepared": prepared}


def essence(reply):
    """Without the order of rows, and the transaction status, which in a block is another."""
    return sorted(b for k, b in reply.frames if k == b"D"), [f for f in reply.frames if f[0] not in b"DZ"]


def alike(got, want):
    return got.raw == want.raw or essence(got) == essence(want)


def show(reply, other):
    """What the other one has not; else all of it."""
    there = collections.Counter(other.frames)
    frames = list((collections.Counter(reply.frames) - there).elements())
    out = ["%s %r" % (k.decode(), wire.error_fields(b) if k in b"EN" else b[:200]) for k, b in frames]
    return "\n    ".join(out[:12] + ["... %d of %d frames" % (len(frames), len(reply.frames))])


class Pair:
    """Two sessions with the same settings, through and past the program."""

    def __init__(self, run, kind):
        self.run, self.kind = run, kind
        self.cached = []  # statements that were asked through the program, to be compared again
        self.connect()

    def session(self, port, patience):
        settings = {**SESSION_KINDS[self.kind], "statement_timeout": PATIENCE[patience]}
        return wire.Wire(port).login(user="smith", **settings)

    def connect(self):
        self.direct = self.session(self.run.cluster.port, "direct")
        self.through = self.session(self.run.sidecar.port, "through")

    def begin_anew(self):
        if self.run.rng.random() < 0.3:
            self.close()
            self.connect()
        else:
            self.direct.q("DISCARD ALL")
            self.through.q("DISCARD ALL")

    def close(self):
        self.direct.close()
        self.through.close()


class Run:
    def __init__(self, options):
        self.options, self.seed = options, options.seed
        self.rng = random.Random(self.seed)
        self.count, self.failed = collections.Counter(), {}
        self.doing = ""
        env = harness.env
        env.control = options.control
        env.program = options.program and os.path.abspath(options.program)
        env.folder = tempfile.mkdtemp(prefix="pgsidecar-sqlsmith-")
        os.chmod(env.folder, 0o755)
        env.certificates = harness.Certificates(env.folder)
        env.cluster = self.cluster = harness.Cluster(
            env.folder + "/pg", env.certificates, jit="off", max_parallel_workers_per_gather="0",
            synchronize_seqscans="off", work_mem="16MB", temp_file_limit="200MB").start()
        self.cluster.run(data.SCHEMA, data.REVOKED)
        self.cluster.run("CREATE DATABASE words TEMPLATE postgres")
        self.cluster.run(data.WORDS, database="words")
        self.sidecar = env.sidecar(self.cluster, cache={"max_memory": "16MB", "invalidation": "ttl"})
        self.owner = wire.Wire(self.sidecar.port).login()  # through the program, too
        self.fill()
        self.pairs = [Pair(self, kind) for kind in range(len(SESSION_KINDS))]

    def fill(self):
        """What random writes have left is made whole."""
        reply = self.owner.q(data.FILL)
        if reply.error:
            raise AssertionError("filling: %r" % reply.errors)

    def violation(self, what, text):
        self.failed.setdefault(what, []).append("seed %d, statement %d: %s" % (
            self.seed, self.count["statements"], text))

    # -- one run ---------------------------------------------------------------------------------
    def go(self):
        began = told = time.monotonic()
        for batch in range(1 << 30):
            self.batch_of_statements = self.statements(batch)
            for statement in self.batch_of_statements:
                now = time.monotonic()
                if self.failed or now - began > self.options.seconds or \
                        self.count["statements"] >= self.options.statements:
                    return
                if now - told > 10:
                    told = now
                    print("%4.0f s: %s" % (now - began, self.summary()), flush=True)
                self.step(statement)
            self.fill()
            self.itself(batch)
            self.sidecar.check_alive()

    def statements(self, batch):
        seed = self.seed * 10007 + batch
        made = words.generate(self.cluster.port, "steady", seed, BATCH) + \
            words.generate(self.cluster.port, "wild", seed, BATCH // 5)
        made += [words.Statement(self.plain(), "steady") for _ in range(BATCH // 4)]
        self.rng.shuffle(made)
        return made

    def plain(self):
        return self.rng.choice(data.PLAIN).format(i=self.rng.randrange(8), n=self.rng.randrange(1, 25))

    def step(self, statement):
        self.count["statements"] += 1
        pair = self.rng.choice(self.pairs)
        self.doing = statement.sql
        try:
            if statement.writes:
                self.write(pair, statement)
            else:
                self.read(pair, statement)
        except (OSError, ValueError, wire.LoginError) as problem:
            self.violation(SESSIONS, "%s: %s\n%s" % (type(problem).__name__, problem, statement.sql))
            return
        if statement.kind == "wild":  # who knows what it has set; and what cannot be followed is not cached
            pair.begin_anew()

    def read(self, pair, statement):
        wanted = {}
        for way, ask in WAYS.items():
            wanted[way] = ask(pair.direct, statement.sql)
            if wanted[way].error == "57014":
                self.count["too slow"] += 1
                return
        same = True
        for way in [*WAYS, *WAYS]:
            got = WAYS[way](pair.through, statement.sql)
            self.count["reads"] += 2 if way == "prepared" else 1
            if not alike(got, wanted[way]):
                same = False
                if not self.unsteady(pair, statement, way, wanted[way]):
                    self.differs(READS, pair, statement.sql, way, got, wanted[way])
                    return
        first = wanted["simple"]
        if first.error:
            self.count["errors"] += 1
        elif same and statement.kind == "steady" and len(first.raw) < 50000:
            self.count["with rows"] += bool(first.rows)
            self.remember(pair, statement)

    def remember(self, pair, statement):
        if len(pair.cached) < 150:
            pair.cached.append(statement)
        else:
            pair.cached[self.rng.randrange(150)] = statement

    def unsteady(self, pair, statement, way, want):
        """A new direct session is told something else than the first: so nothing follows."""
        if not statement.random:
            other = pair.session(self.cluster.port, "direct")
            answers = [WAYS[way](other, statement.sql) for _ in range(3)]
            other.close()
            if all(alike(answer, want) for answer in answers):
                return False
        self.count["unsteady"] += 1
        return True

    def differs(self, what, pair, sql, way, got, want):
        self.violation(what, "%s, session %r:\n%s\n  through:\n    %s\n  direct:\n    %s" % (
            way, SESSION_KINDS[pair.kind], sql, show(got, want), show(want, got)))

    # -- writes ----------------------------------------------------------------------------------
    def rehearse(self, session, sql, ask):
        """What it would say and leave; nothing of it stays."""
        session.q("BEGIN")
        reply = ask(session, sql)
        left = None if reply.error else self.digest(session)
        session.q("ROLLBACK")
        return reply, left

    def digest(self, session):
        """On a busy machine it may take longer than PATIENCE."""
        session.q("SET statement_timeout = '%s'" % PATIENCE["through"])
        reply = session.q(data.DIGEST)
        if reply.error:
            raise AssertionError("the state of the tables: %r" % reply.errors)
        session.q("SET statement_timeout = '%s'" % PATIENCE["direct"])
        return reply.rows

    def write(self, pair, statement):
        way = self.rng.choice(("simple", "extended", "binary"))
        ask, end = WAYS[way], self.rng.choice((None, None, "COMMIT", "ROLLBACK"))
        before = self.digest(pair.direct)
        want, left = self.rehearse(pair.direct, statement.sql, ask)
        steady = statement.kind == "steady"
        if not (steady or statement.random or statement.counted):
            # By another session: it may ask for a port or a process.
            other = pair.session(self.cluster.port, "direct")
            again, left_again = self.rehearse(other, statement.sql, ask)
            other.close()
            steady = alike(again, want) and left_again == left
        if want.error == "57014":
            self.count["too slow"] += 1
            return
        self.count["writes"] += 1
        target = pair.direct if self.options.pretend else pair.through
        if end:
            target.q("BEGIN")
        got = ask(target, statement.sql)
        if end:
            target.q(end)
        if not steady:
            self.count["unsteady"] += 1
        elif not alike(got, want):
            self.differs(WRITES, pair, statement.sql, way, got, want)
            return
        after = self.digest(pair.direct)
        expected = before if want.error or end == "ROLLBACK" else left
        if steady and after != expected:
            self.violation(WRITES, "%s, %s: left\n%s\n  through: %r\n  direct: %r" % (
                way, end, statement.sql, *changed(after, expected)))
            return
        self.count["writes that changed something"] += after != before
        self.compare_again(pair, statement, after != before)

    def compare_again(self, pair, written, changed_something):
        touched = [s for s in pair.cached if s.tables & written.tables]
        others = self.rng.sample(pair.cached, min(len(pair.cached), 6 if changed_something else 1))
        if changed_something:
            self.rng.shuffle(touched)
            others += touched[:8]
        for statement in others:
            way = self.rng.choice(("simple", "extended", "binary"))
            want = WAYS[way](pair.direct, statement.sql)
            if want.error == "57014":
                continue
            got = WAYS[way](pair.through, statement.sql)
            self.count["reads"] += 1
            self.count["asked again"] += 1
            if not alike(got, want) and not self.unsteady(pair, statement, way, want):
                self.differs(AGAIN, pair, "%s\n  -- written:\n%s" % (statement.sql, written.sql), way, got, want)
                return

    # -- sqlsmith itself -------------------------------------------------------------------------
    def itself(self, batch):
        """All that it says: its statements, which follow from what became of those before, and errors."""
        def talk(port):
            done = subprocess.run(
                words.command(port, "postgres", self.seed * 31 + batch, BATCH // 2, "--exclude-catalog",
                              "--verbose", "--dump-all-queries"),
                capture_output=True, text=True, errors="replace", timeout=10 * harness.TIMEOUT)
            self.count["said by sqlsmith itself"] += BATCH // 2
            lost = [word for word in LOST if word in done.stderr]
            if done.returncode or lost:
                self.violation(SESSIONS, "sqlsmith at port %d ended with %d, %r:\n%s" % (
                    port, done.returncode, lost, done.stderr[-2000:]))
            return done.stdout, done.stderr
        ports = [self.cluster.port, self.sidecar.port]
        direct, through = (talk(port) for port in ports)
        if direct == through:
            return
        # What one side says otherwise the next time proves nothing: samples of tables, numbers of
        # transactions. In a drawn order, for some go up and down by turns.
        order = random.Random(batch)
        for side in (side for _ in range(TIMES) for side in order.sample((0, 1), 2)):
            if talk(ports[side]) != (direct, through)[side]:
                self.count["unsteady batches"] += 1
                return
        ours, theirs = ("".join(side).splitlines() for side in (through, direct))
        self.violation(ITSELF, "batch %d:\n  through: %r\n  direct: %r" % (
            batch, [line for line in ours if line not in set(theirs)][:10],
            [line for line in theirs if line not in set(ours)][:10]))

    # -- what is told ----------------------------------------------------------------------------
    def hits(self):
        reasons = self.sidecar.statistics()["reasons"]
        return reasons.get("hit", 0) + reasons.get("coalesced", 0)

    def summary(self):
        return "%s, %d hits" % (", ".join("%d %s" % (n, what) for what, n in sorted(self.count.items())),
                                self.hits())

    def report(self):
        print("seed %d: %s" % (self.seed, self.summary()))
        if not self.options.control:
            print({k: v for k, v in self.sidecar.statistics()["reasons"].items() if v})
            peak = self.sidecar.resident_peak()
            print("at most %.0f MB" % (peak / (1 << 20)))
            if peak > MOST_MEMORY and not self.failed:
                self.violation(MEMORY, "%d bytes" % peak)
            if self.hits() < ENOUGH * self.count["reads"] and not self.failed:
                self.violation(HITS, "%d of %d reads" % (self.hits(), self.count["reads"]))
        for what in ALL:
            print(("FAIL  " if what in self.failed else "ok  ") + what)
            print("\n".join(self.failed.get(what, ())[:3]), end="\n" if what in self.failed else "")
        return len(self.failed)

    def close(self):
        for pair in self.pairs:
            pair.close()
        self.owner.close()
        try:
            self.sidecar.finish()
        finally:
            harness.env.close()


def changed(after, expected):
    return [row for row in after if row not in expected], [row for row in expected if row not in after]


def check(options):
    print("seed", options.seed, flush=True)
    run = None
    try:
        run = Run(options)
        try:
            run.go()
            run.sidecar.check_alive()
        except (AssertionError, OSError, subprocess.SubprocessError) as problem:
            run.violation(SESSIONS, "%s: %s\n%s" % (type(problem).__name__, problem, run.doing))
            if not run.sidecar.control and run.sidecar.process.poll() is not None:
                print("FAIL  %s\n%s" % (SESSIONS, run.failed[SESSIONS][-1]))
                print("0 passed, 1 failed, 0 skipped")
                return 1
        failed = run.report()
    finally:
        if run:
            run.close()
        else:
            harness.env.close()
    if options.pretend:
        found = AGAIN in run.failed or READS in run.failed
        print("%d passed, %d failed, 0 skipped" % (found, not found))
        return 0 if found else 1
    skipped = 2 if options.control else 0
    print("%d passed, %d failed, %d skipped" % (len(ALL) - failed - skipped, failed, skipped))
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program")
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--pretend", action="store_true")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 20))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--statements", type=int, default=1 << 60)
    options = parser.parse_args()
    if bool(options.program) == options.control:
        parser.error("exactly one of --program and --control")
    if not shutil.which("sqlsmith"):
        parser.error("there is no sqlsmith: see tests/install.sh")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as for Ctrl-C
    faulthandler.register(signal.SIGUSR2)  # where is it, when it seems to hang
    return check(options)


if __name__ == "__main__":
    sys.exit(main())

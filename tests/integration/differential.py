#!/usr/bin/python3
"""Random sessions, each held twice in lock-step: through the program with one server, and directly with
a twin of that server. Every reply must be the same, byte for byte.

    differential.py --program build/dev/pgsidecar [--seed N] [--statements N] [--seconds N] [--sessions N]
    differential.py --control          both directly: shows that the twins are deterministic

One scheduler runs one step at a time, so a run is repeatable from its seed. Two things may differ and
are mapped one to one: OIDs of objects made during the run, and names of temporary schemas. On a
difference: the seed, the step, what was said lately, both replies, and exit code 1.
"""
import argparse
import collections
import faulthandler
import os
import random
import re
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import harness  # noqa: E402
import wire  # noqa: E402
import workload  # noqa: E402
from generator import PHASES, Talker  # noqa: E402

USERS = ("postgres", "postgres", "app_a", "app_b")
START_UP = ({}, {}, {}, {}, {}, {"TimeZone": "Asia/Tokyo"}, {"options": "-c search_path=s1,public"},
            {"DateStyle": "German"}, {"options": "-c app.tenant_id=tenant1"})
FIRST_USER_OID = 16384


class Difference(Exception):
    pass


class OidMap:
    """A one-to-one map between the OIDs of the two servers, learnt from their replies."""

    def __init__(self):
        self.forth, self.back = {}, {}

    def same(self, a, b):
        if a < FIRST_USER_OID or b < FIRST_USER_OID:
            return a == b
        return self.forth.setdefault(a, b) == b and self.back.setdefault(b, a) == a

    def row_description(self, a, b):
        count, at = struct.unpack_from("!h", a)[0], 2
        if len(a) != len(b) or a[:2] != b[:2]:
            return False
        for _ in range(count):
            end = a.index(b"\0", at) + 1
            if a[at:end] != b[at:end]:
                return False
            one, two = (struct.unpack_from("!ihihih", raw, end) for raw in (a, b))
            if not (self.same(one[0], two[0]) and self.same(one[2], two[2])
                    and one[1] == two[1] and one[3:] == two[3:]):
                return False
            at = end + 18
        return True

    def parameters(self, a, b):
        if len(a) != len(b) or a[:2] != b[:2]:
            return False
        count = struct.unpack_from("!h", a)[0]
        return all(self.same(x, y) for x, y in zip(struct.unpack_from("!%dI" % count, a, 2),
                                                   struct.unpack_from("!%dI" % count, b, 2)))


# What two clusters name differently without meaning anything else: temporary schemas, places of rows.
# The place in the server's source that refuses a message in a failed block: a Parse of ours may
# stand before the client's Bind there.
SOURCE = re.compile(rb"(?<=\0)[FLR][^\0]*\0")
PLACES = re.compile(rb"(?<=pg_temp_)\d+|(?<=pg_toast_temp_)\d+|(?<=tuple )\(\d+,\d+\)")


class Pair:
    """One session held twice."""

    def __init__(self, run, number):
        self.run, self.number = run, number
        self.rng = random.Random(run.options.seed * 1000 + number)
        self.recent = collections.deque(maxlen=25)
        self.connections = 0
        self.connect()

    def connect(self):
        self.connections += 1
        user = self.rng.choice(USERS)
        params = self.rng.choice(START_UP)
        self.said("connect as %s %r" % (user, params))
        self.through = wire.Wire(self.run.port).login(user=user, **params)
        self.past = wire.Wire(self.run.twin.port).login(user=user, **params)
        names = [[f for f in side.login_frames if f[0] != b"K"] for side in (self.through, self.past)]
        if names[0] != names[1]:
            raise Difference("log-in:\n  %r\n  %r" % tuple(names))
        if harness.SHARED:  # a setting that others have made known at a server connection stays so
            for side in (self.through, self.past):
                side.q("SET app.tenant_id = 'x'; RESET app.tenant_id")
        self.talker = Talker(self.rng, self.number * 100000 + self.connections)
        self.talker.enter(self.run.phase, self.run.favourites)

    def reconnect(self):
        self.said("terminate")
        for side, cluster, watch in ((self.through, self.run.main, self.run.watch[0]),
                                     (self.past, self.run.twin, self.run.watch[1])):
            side.close()
            sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = %d" % side.pid
            harness.wait_until("backend %d to end" % side.pid,
                               lambda watch=watch, sql=sql: watch.q(sql).value == "0")
        self.connect()

    def said(self, text):
        line = "%d/%d %s" % (self.run.steps, self.number, text)
        self.recent.append(line)
        self.run.recent.append(line)

    def step(self):
        if self.talker.status == "I" and not self.talker.gid and self.rng.random() < 0.002:
            self.reconnect()
            return 0
        return self.exchange(self.talker.next())

    def enter_phase(self):
        """A stretch begins; some sessions begin anew with it."""
        talker, chance = self.talker, self.rng.random()
        idle = talker.status == "I" and not talker.gid
        if idle and chance < 0.25:
            self.reconnect()
        elif idle and chance < 0.75:
            self.exchange(talker.fresh_start())
        self.talker.enter(self.run.phase, self.run.favourites)

    def exchange(self, step):
        self.said(step.text)
        self.through.send(step.data)
        self.past.send(step.data)
        got, want = self.through.read_reply(step.ready), self.past.read_reply(step.ready)
        if got.raw != want.raw and not self.alike(got, want):
            raise Difference(unlike(got, want))
        self.talker.heard(step, want)
        return step.weight

    def alike(self, got, want):
        """Equal but for OIDs that map one to one and names of temporary schemas."""
        ours, theirs = got.frames, want.frames
        if len(ours) != len(theirs):
            return False
        for (kind, a), (other, b) in zip(ours, theirs):
            if kind != other:
                return False
            if a == b:
                continue
            if kind == b"T":
                if not self.run.oids.row_description(a, b):
                    return False
            elif kind == b"t":
                if not self.run.oids.parameters(a, b):
                    return False
            elif kind not in (b"E", b"N") or masked(a) != masked(b):
                return False
        return True


def masked(message):
    if b"\0C25P02\0" in message:
        message = SOURCE.sub(b"", message)
    return PLACES.sub(b"", message)


def unlike(got, want):
    """From the first frame in which they differ."""
    pairs = list(zip(got.frames, want.frames))
    same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
    return "frame %d; through:\n  %s\ndirect:\n  %s" % (same, show(got, same), show(want, same))


def show(reply, first):
    out = []
    for kind, body in reply.frames[first:]:
        out.append("%s %r" % (kind.decode(), wire.error_fields(body) if kind in b"EN" else body[:300]))
    return "\n  ".join(out[:20] + ["... %d frames in all" % len(reply.frames)])


class Run:
    def __init__(self, options):
        self.options = options
        self.steps = self.statements = 0
        self.recent = collections.deque(maxlen=40)
        self.oids = OidMap()
        self.rng = random.Random(options.seed)
        self.pairs, self.phase, self.favourites, self.phase_ends = [], "quiet", [], 0
        self._start_servers()

    def _start_servers(self):
        env = harness.env
        env.control = self.options.control
        env.program = self.options.program and os.path.abspath(self.options.program)
        env.folder = harness.tempfile.mkdtemp(prefix="pgsidecar-differential-")
        os.chmod(env.folder, 0o755)
        env.certificates = harness.Certificates(env.folder)
        settings = {"lock_timeout": "400ms", "deadlock_timeout": "10s", "jit": "off",
                    "max_parallel_workers_per_gather": "0", "synchronous_commit": "off",
                    "synchronize_seqscans": "off", "client_min_messages": "notice"}
        self.main = harness.Cluster(env.folder + "/main", env.certificates, **settings).start()
        self.main.run(workload.SCHEMA)
        self.main.stop()
        self.twin = harness.Cluster(env.folder + "/twin", env.certificates, self.main,
                                    **settings).start()
        self.main.start()
        self.sidecar = env.sidecar(self.main)
        self.port = self.sidecar.port
        self.canary = wire.Wire(self.port).login()
        self.watch = [wire.Wire(c.port).login() for c in (self.main, self.twin)]

    def go(self):
        options, began, told = self.options, time.monotonic(), time.monotonic()
        self.pairs = [Pair(self, n) for n in range(options.sessions)]
        current = self.pairs[0]
        while self.statements < options.statements:
            now = time.monotonic()
            if options.seconds and now - began > options.seconds:
                break
            if now - told > 20:
                told = now
                self.sidecar.check_alive()
                print(self.summary(now - began), flush=True)
            if not current.talker.sticky():
                if self.steps >= self.phase_ends:
                    self._next_phase()
                current = self.rng.choice(self.pairs)
            self.steps += 1
            self.current = current
            self.statements += current.step()
        return time.monotonic() - began

    def _next_phase(self):
        if self.phase == "ddl" and self.rng.random() < 0.7:
            self._await_catalog()
        self.phase = self.rng.choices(("quiet", "busy", "ddl"), (50, 25, 25))[0]
        self.phase_ends = self.steps + self.rng.randrange(*PHASES[self.phase][0])
        asker = Talker(self.rng, 0)
        self.favourites = [asker.favourite() for _ in range(self.rng.randrange(3, 15))]
        for pair in self.pairs:
            self.current = pair
            pair.enter_phase()

    def _await_catalog(self):
        """Until a statement is a hit again: else the rest of a short run would compare no hits. It
        says nothing that the twin would need to hear, so it may take as long as it takes."""
        if self.options.control:
            return
        deadline = time.monotonic() + 3
        hits = self._hits()
        while self._hits() == hits and time.monotonic() < deadline:
            self.canary.q("SELECT i FROM canary")
            time.sleep(0.01)

    def _hits(self):
        return self.sidecar.statistics()["reasons"].get("hit", 0)

    def summary(self, seconds):
        reasons = self.sidecar.statistics()["reasons"]
        return "seed %d: %d statements in %.0f s (%.0f/s), %d hits, %s" % (
            self.options.seed, self.statements, seconds, self.statements / max(seconds, 0.001),
            reasons.get("hit", 0), {k: v for k, v in reasons.items() if v and k != "hit"})

    def close(self):
        for pair in self.pairs:
            pair.through.close()
            pair.past.close()
        for side in [*self.watch, self.canary]:
            side.close()
        try:
            self.sidecar.finish()
        finally:
            self.main.stop()
            self.twin.stop()
            harness.shutil.rmtree(harness.env.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program")
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--statements", type=int, default=1 << 60)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--sessions", type=int, default=6)
    options = parser.parse_args()
    if bool(options.program) == options.control:
        parser.error("exactly one of --program and --control")
    if not options.seconds and options.statements == 1 << 60:
        options.seconds = 60
    print("seed", options.seed, flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as for Ctrl-C
    faulthandler.register(signal.SIGUSR2)  # where is it, when it seems to hang
    run = Run(options)
    try:
        took = run.go()
        run.sidecar.check_alive()
        print(run.summary(took))
        hits = run.sidecar.statistics()["reasons"].get("hit", 0)
        if not options.control and not hits:
            print("no statement was a hit: nothing was compared that matters")
            return 1
        return 0
    except (Difference, wire.Closed, OSError, ValueError, AssertionError, wire.LoginError) as problem:
        print("all sessions lately:\n  " + "\n  ".join(run.recent))
        print("this session lately:\n  " + "\n  ".join(run.current.recent))
        print("DIFFERENCE with seed %d at step %d (statement %d), session %d:\n%s: %s" % (
            options.seed, run.steps, run.statements, run.current.number, type(problem).__name__,
            problem))
        return 1
    finally:
        try:
            run.close()
        except AssertionError as problem:
            print("at the end:", problem)
            os._exit(1)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""Is an answer ever stale, torn or uncommitted? Clients read and write at random through one program or
two, and past them; what each has done and seen is judged afterwards (checker_history.py says how).

    checker.py --program build/dev/pgsidecar [--seed N] [--seconds N] [--clients N] [--proxies 1|2]
    checker.py --control       past everything: what fails there is a mistake of the checker
    checker.py --pretend ...   writers past the program are noted as if through it: has to be found
    checker.py --alone ...     nobody writes past the program, and nobody looks whether somebody does: what
                               the log tells later would hide what the program itself has missed
    checker.py --self-test     the judges, with histories that are right and wrong
    checker.py --judge FILE    a history that was kept

Works in rounds: all pause, what was left in doubt is settled, all answers must be the server's, and the
round's history is judged. A violation is told with what happened to its key, and the history is kept.
A seed repeats each client's draws; they meet in another order each time.
"""
import argparse
import faulthandler
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import checker_data as data  # noqa: E402
import checker_selftest  # noqa: E402
import harness  # noqa: E402
import wire  # noqa: E402
from checker_clients import Client  # noqa: E402
from checker_history import (DONE, EVERYWHERE, OUTSIDE, PROPERTIES, History, Write,  # noqa: E402
                             describe, judge, load, percentile, save)
from checker_sessions import EXPECTED  # noqa: E402
from checker_trouble import LEFT, Trouble  # noqa: E402

LAG = 1.0  # max_invalidation_lag
ROUND = 20
ENOUGH = 0.05  # of the reads were hits; below it the checker is pointless
AT_REST = "when nobody writes, everything is as the server has it"
NO_SURPRISE = "no session fails in a way that was not to be expected"
HITS = "enough comes from the cache"
ALL = (*PROPERTIES, AT_REST, NO_SURPRISE, HITS)


class Run:
    def __init__(self, options):
        self.options, self.seed = options, options.seed
        self.numbers, self.start = itertools.count(1), time.monotonic_ns()
        self.condition = threading.Condition()
        self.working, self.stopping, self.waiting = False, False, 0
        self.problems, self.failed, self.lateness = [], {}, []
        self.reads = self.writes = 0
        self.began = time.monotonic()
        self._start_servers()

    def _start_servers(self):
        env = harness.env
        env.control = self.options.control
        env.program = self.options.program and os.path.abspath(self.options.program)
        env.folder = tempfile.mkdtemp(prefix="pgsidecar-checker-")
        os.chmod(env.folder, 0o755)
        env.certificates = harness.Certificates(env.folder)
        self.cluster = harness.Cluster(env.folder + "/pg", env.certificates,
                                       deadlock_timeout="100ms", jit="off").start()
        self.cluster.run(*data.SCHEMA)
        self.sidecars = []
        if env.control:
            self.ports = [self.cluster.port] * self.options.proxies
        else:
            path = os.path.join(env.folder, "migrate.yaml")
            with open(path, "w") as f:
                f.write("upstream: {host: 127.0.0.1, port: %d}\n"
                        "cache: {rules: [{name: all, tables: ['*'], ttl: 1h}]}\n" % self.cluster.port)
            subprocess.run([env.program, "migrate", "up", "--wal", "-c", path, "--database",
                            self.cluster.conninfo()], check=True, capture_output=True)
            self.sidecars = [env.sidecar(self.cluster, cache={
                "invalidation": self.options.invalidation, "max_invalidation_lag": "%dms" % (LAG * 1000)})
                for _ in range(self.options.proxies)]
            self.ports = [sidecar.port for sidecar in self.sidecars]
        self.direct = wire.Wire(self.cluster.port).login()
        self.watch = [wire.Wire(port).login() for port in self.ports]

    # -- what the clients ask of it --------------------------------------------------------------
    def gate(self, _client):
        """Waits while all pause; False when it is over."""
        if self.working:
            return True
        with self.condition:
            self.waiting += 1
            self.condition.notify_all()
            self.condition.wait_for(lambda: self.working or self.stopping)
            self.waiting -= 1
        return not self.stopping

    def number(self):
        return next(self.numbers)

    def _stretch(self):
        """Few tables are written at a time, not always much, and what has the catalogs read anew is left
        out of three stretches in four: else nothing would be cached."""
        stretch = int((time.monotonic() - self.began) / 3)
        rng = random.Random(self.seed * 7919 + stretch)
        return rng.sample(data.SUBJECTS, 3), rng.choice((0.002, 0.02, 0.1)), stretch % 4 != 1

    def subject(self, rng):
        if rng.random() < 0.1:
            return rng.choice(data.SLOW)
        favourites = self._stretch()[0]
        return rng.choice(favourites if rng.random() < 0.5 else data.SUBJECTS)

    def target(self, rng):
        favourites = self._stretch()[0]
        return rng.choice(favourites if rng.random() < 0.97 else data.SUBJECTS)

    def pause(self, rng):
        return rng.expovariate(1 / self._stretch()[1])

    def calm(self):
        return self._stretch()[2]

    def problem(self, text, grave=False):
        self.problems.append((grave, text))

    def said_no(self, session, reply):
        for error in reply.errors:
            if error["C"] not in EXPECTED:
                self.problem("%s: %s %s" % (session.name, error["C"], error.get("M")), True)

    # -- rounds ----------------------------------------------------------------------------------
    def go(self):
        options = self.options
        crew = []
        for i in range(options.clients):
            port = i % len(self.ports)
            if i % 6 == 5 and options.alone:
                crew.append(Client(self, i, self.ports[port], port, 0.5, 0.015))
            elif i % 6 == 5:  # past the program; now and then it reads, which checks the checker
                proxy = port if options.pretend else OUTSIDE
                crew.append(Client(self, i, self.cluster.port, proxy, 0.8, 0.02))
            else:
                crew.append(Client(self, i, self.ports[port], port, (0, 0, 0.2, 0, 0.5, 0)[i % 6], 0.015))
        self.crew = crew + [Trouble(self, options.clients)]
        for client in self.crew:
            client.start()
        self.quiet()
        baseline = self.baseline()
        self.began = time.monotonic()
        try:
            while not self.failed and time.monotonic() - self.began < options.seconds:
                self.work(min(ROUND, options.seconds - (time.monotonic() - self.began)))
                self.quiet()
                baseline = self.finish_round(baseline)
        finally:
            with self.condition:
                self.stopping = True
                self.condition.notify_all()
            for client in self.crew:
                client.join(harness.TIMEOUT)

    def work(self, seconds):
        for port, sidecar in zip(self.watch, self.sidecars):  # the cache is there
            def hit(port=port, sidecar=sidecar):
                before = sidecar.statistics()["reasons"].get("hit", 0)
                port.q("SELECT v FROM reg0 WHERE id = 1")
                return sidecar.statistics()["reasons"].get("hit", 0) > before
            harness.wait_until("a hit", hit)
        before = self.hits(), sum(c.asked for c in self.crew if c.session.proxy != OUTSIDE)
        with self.condition:
            self.working = True
            self.condition.notify_all()
        end, told = time.monotonic() + max(seconds, 1), time.monotonic()
        while time.monotonic() < end and not any(grave for grave, _ in self.problems):
            time.sleep(0.1)
            if time.monotonic() - told > 5:
                told = time.monotonic()
                print("%4.0f s: %s" % (told - self.began, self.summary()), flush=True)
        self.working = False
        self.all_pause()
        after = self.hits(), sum(c.asked for c in self.crew if c.session.proxy != OUTSIDE)
        self.counted = [a + b for a, b in zip(getattr(self, "counted", (0, 0)),
                                              (after[0] - before[0], after[1] - before[1]))]

    def clear(self, which):
        for (gid,) in self.direct.q(which).rows:
            self.direct.q("ROLLBACK PREPARED '%s'" % gid)

    def all_pause(self):
        """Each comes to the end of what it does. Trouble, which clears away what is left prepared, may be
        the first: whoever waits for the locks of that would wait for ever."""
        deadline = time.monotonic() + 2 * harness.TIMEOUT
        while True:
            self.clear(LEFT)
            with self.condition:
                if self.condition.wait_for(lambda: self.waiting == len(self.crew), 1):
                    return
            if time.monotonic() > deadline:
                faulthandler.dump_traceback(all_threads=True)
                raise AssertionError("a client does not come to an end")

    def quiet(self):
        """Nobody works; what was cut off or prepared and left has ended."""
        def ended():
            self.clear("SELECT gid FROM pg_prepared_xacts")
            return self.direct.q(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^(writer|reader|trouble)' "
                "AND (state <> 'idle' OR state IS NULL)").value == "0" and self.direct.q(
                "SELECT count(*) FROM pg_prepared_xacts").value == "0"
        self.all_pause()
        harness.wait_until("everybody to be done", ended)

    def baseline(self):
        """The state that all readers have to know from now on, for the bound is waited for."""
        change = self.watch[0] if self.options.alone else self.direct
        change.q("; ".join(data.RESET))
        if int(self.direct.q("SELECT max(attnum) FROM pg_attribute WHERE attrelid = 'shape'::regclass"
                             ).value) > 800:  # a server counts dropped columns, too
            number = self.number()
            change.q("DROP TABLE shape; CREATE TABLE shape (id int PRIMARY KEY, x%d bigint DEFAULT %d); "
                          "INSERT INTO shape VALUES (1)" % (number, number))
        time_ns = time.monotonic_ns()
        time.sleep(self.options.slack + LAG)
        found = dict(pair for question, i in every_question()
                     for pair in question.reads(self.direct.q(text(question, i)).rows, i))
        writes = []
        for key, value in found.items():
            number = value[0] if key[0] == "pair" else value[1] if key[0] == "bank" else value
            if key[0] in ("register", "pair", "bank") and number:
                writes.append(Write(key, "baseline", EVERYWHERE, time_ns, time_ns, number, DONE, ""))
        return writes

    def finish_round(self, baseline):
        time.sleep(self.options.slack + LAG)
        reads, writes = [], list(baseline)
        for client in self.crew:
            reads += client.reads_made
            writes += client.writes_made
            client.reads_made, client.writes_made = [], []
        finals = {("list", "item", i): tuple(int(row[0]) for row in self.direct.q(
            "SELECT token FROM item WHERE l = %d ORDER BY n" % i).rows) for i in range(1, 5)}
        history = History(reads, writes, finals)
        self.reads += len(reads)
        self.writes += len(writes) - len(baseline)
        verdict = judge(history, (LAG + self.options.slack) * 1e9)
        self.lateness += verdict.lateness
        for violation in verdict.violations:
            self.failed.setdefault(violation.property, []).append(
                describe(history, violation, self.start)
                if len(self.failed.get(violation.property, ())) < 3 else "")
        self.compare()
        for sidecar in self.sidecars:
            sidecar.check_alive()
        grave = [line for is_grave, line in self.problems if is_grave]
        if grave:
            self.failed[NO_SURPRISE] = grave
        if self.failed and not self.options.pretend:
            path = self.options.keep or os.path.join(tempfile.gettempdir(),
                                                     "pgsidecar-checker-%d.json" % self.seed)
            save(history, path)
            print("the history of this round is in", path)
        return self.baseline()

    def compare(self):
        """Everything through each proxy, by an old session and a new one, twice."""
        for number, port in enumerate(self.ports):
            new = wire.Wire(port).login()
            for question, i in every_question():
                want = sorted(self.direct.q(text(question, i)).rows)
                for session in (self.watch[number], new, new):
                    for got in (session.q(text(question, i)), session.x(text(question, i))):
                        if got.error or sorted(got.rows) != want:
                            self.failed.setdefault(AT_REST, []).append("%s through %d: %r, not %r" % (
                                text(question, i), number, got.error or got.rows, want))
            new.close()

    # -- what is told ----------------------------------------------------------------------------
    def reasons(self):
        out = {}
        for sidecar in self.sidecars:
            for reason, count in sidecar.statistics()["reasons"].items():
                out[reason] = out.get(reason, 0) + count
        return {k: v for k, v in out.items() if v}

    def hits(self):
        return sum(self.reasons().get(k, 0) for k in ("hit", "coalesced"))

    def summary(self):
        writes = self.writes + sum(len(c.writes_made) for c in self.crew)
        reads = sum(c.asked for c in self.crew)
        return "%d reads, %d writes, %d hits, %d kinds of trouble" % (
            reads, writes, self.hits(), sum(self.crew[-1].made.values()))

    def report(self):
        counted = getattr(self, "counted", (0, 0))
        share = counted[0] / max(counted[1], 1)
        if not self.options.control and not self.failed and share < ENOUGH:
            self.failed[HITS] = ["%.1f %% of the reads" % (100 * share)]
        print("seed %d: %s, %.1f %% of the reads through the program from its cache" % (
            self.seed, self.summary(), 100 * share))
        print("trouble:", dict(self.crew[-1].made), "reasons:", self.reasons())
        late = self.lateness
        print("writes past a proxy: %d, shown late by p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, at most %.1f ms"
              % (len(late), *(1000 * percentile(late, share) for share in (0.5, 0.99, 0.999)),
                 1000 * max(late, default=0)))
        for what in ALL:
            if what not in self.failed:
                print("ok  " + what)
                continue
            print("FAIL  %s: %d times, seed %d" % (what, len(self.failed[what]), self.seed))
            print("\n".join(self.failed[what][:1 if self.options.pretend else 3]))
        return len(self.failed)

    def close(self):
        for session in [self.direct, *self.watch]:
            session.close()
        try:
            for sidecar in self.sidecars:
                sidecar.finish()
        finally:
            harness.env.cluster = self.cluster
            harness.env.close()


def every_question():
    for question in data.QUESTIONS:
        for i in question.numbers or (0,):
            yield question, i


def text(question, i):
    return data.literal(question.sql, (i,))


def check(options):
    print("seed", options.seed, flush=True)
    run = Run(options)
    try:
        run.go()
        failed = run.report()
    finally:
        run.close()
    if options.pretend:
        found = PROPERTIES[0] in run.failed
        print("%d passed, %d failed, 0 skipped" % (found, not found))
        return 0 if found else 1
    skipped = 1 if options.control else 0
    print("%d passed, %d failed, %d skipped" % (len(ALL) - failed - skipped, failed, skipped))
    return 1 if failed else 0


def judge_again(path, slack):
    history = load(path)
    verdict = judge(history, (LAG + slack) * 1e9)
    for violation in verdict.violations[:10]:
        print(describe(history, violation, min(r.begin for r in history.reads)))
    print("%d violations" % len(verdict.violations))
    return 1 if verdict.violations else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program")
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--pretend", action="store_true")
    parser.add_argument("--invalidation", default="wal", help="ttl: has to be found, too")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--judge", metavar="FILE")
    parser.add_argument("--keep", metavar="FILE", help="where a history with a violation goes")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--proxies", type=int, default=1, choices=(1, 2))
    parser.add_argument("--slack", type=float, default=0.3, help="s, above the lag that is allowed")
    options = parser.parse_args()
    if options.self_test:
        return checker_selftest.run()
    if options.judge:
        return judge_again(options.judge, options.slack)
    if bool(options.program) == options.control:
        parser.error("exactly one of --program, --control, --self-test and --judge")
    if options.pretend:
        options.invalidation = "ttl"  # else they are seen within a ms or two
    if options.alone:
        options.invalidation, options.proxies = "ttl", 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as for Ctrl-C
    faulthandler.register(signal.SIGUSR2)  # where is it, when it seems to hang
    return check(options)


if __name__ == "__main__":
    sys.exit(main())

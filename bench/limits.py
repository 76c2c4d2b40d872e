#!/usr/bin/python3
"""The clients of limits.sh, which starts the servers: measures limits and prints Markdown.

Each measurement is a tenant of its own, so each begins with a full bucket. Where it is held to a
limit, that follows from its name; limits.sh says how.
"""
import argparse
import asyncio
import collections
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

import asyncpg
import psycopg

HERE = os.path.dirname(os.path.abspath(__file__))
ASK = os.path.join(HERE, "ask")
JDBC = "/usr/share/java/postgresql.jar"
NODE = [path for path in ("/usr/share/nodejs", os.path.join(
    os.path.dirname(HERE), "tests", "drivers", "node", "node_modules"))
    if os.path.isdir(path + "/pg")]
BURST = 10          # of the tiers that a rate is measured in
SESSIONS = 8        # that run into query_timeout at a time
QUIET_RATE = 200    # queries a second of the tenant that wants to be left alone
options = None
numbers = itertools.count()


def show(text):
    if sys.stderr.isatty():
        print("\r\033[K" + text, end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def table(head, rows):
    print("\n| %s |" % " | ".join(head))
    print("|---|" + "---:|" * (len(head) - 1))
    for row in rows:
        print("| %s |" % " | ".join(row))
    sys.stdout.flush()


def conninfo(port, tenant):
    return ("host=127.0.0.1 port=%d user=app dbname=clinic sslmode=disable "
            "options='-c pgsidecar.tenant=%s'" % (port, tenant))


def others(java, script):
    """Name and command line of each driver beside Python's that this machine has."""
    found = {}
    if shutil.which("java") and os.path.exists(JDBC):
        found["JDBC"] = ["java", "-cp", JDBC, os.path.join(ASK, java)]
    if shutil.which("node") and NODE:
        found["pg of Node"] = ["node", os.path.join(ASK, script)]
    return found


def answer_of(command, tenant, arguments, patience):
    """What such a program prints. `patience`: seconds after which it is given up."""
    done = subprocess.run(
        [*command, str(options.port), "clinic", "app", tenant, *map(str, arguments)], check=True,
        stdout=subprocess.PIPE, text=True, timeout=patience,
        env={**os.environ, "NODE_PATH": ":".join(NODE)})
    return json.loads(done.stdout)


# ---- rate

def drivers():
    return {**{name: ["/usr/bin/python3", ASK + "/ask.py", name]
               for name in ("psycopg", "asyncpg")}, **others("Ask.java", "ask.js")}


def rate():
    rows = []
    for name, command in drivers().items():
        for per_minute in (600, 6000):
            show("rate: %s, %d a minute" % (name, per_minute))
            tenant = "rate-%d-%d" % (per_minute, next(numbers))
            got = answer_of(command, tenant, [options.seconds], options.seconds + 60)
            allowed = per_minute / 60 * got["seconds"] + BURST
            rows.append([name, "%d" % per_minute, "%.2f" % got["seconds"], "%d" % got["answered"],
                         "%.1f" % allowed, "%.4f" % (got["answered"] / allowed),
                         "%d" % ((got["answered"] + got["refused"]) / got["seconds"])])
    table(["driver", "queries a minute", "seconds", "answered", "rate * time + burst", "ratio",
           "asked a second"], rows)


# ---- timeout

class Sample:
    """One question that runs into query_timeout: how late its complete answer was, in ms."""

    def __init__(self, limit):
        self.limit, self.late, self.strays = limit, [], 0
        self.began = 0.0

    def start(self):
        self.began = time.perf_counter()

    def stop(self):
        self.late.append((time.perf_counter() - self.began) * 1000 - self.limit)


@contextlib.contextmanager
def stopped(pid):
    """The server process does nothing meanwhile. pid 0: it does."""
    if pid:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if pid:
            os.kill(pid, signal.SIGCONT)


def question(frozen):
    """A process that is stopped gets to it when it may go on; then it is to be done soon."""
    return "SELECT 1" if frozen else "SELECT pg_sleep(30)"


def psycopg_session(sample, count, tenant, frozen):
    with psycopg.connect(conninfo(options.port, tenant), autocommit=True) as conn:
        pid = conn.execute("SELECT pg_backend_pid()").fetchone()[0] if frozen else 0
        sql = question(frozen)
        for _ in range(count):
            with stopped(pid):
                sample.start()
                try:
                    conn.execute(sql)
                except psycopg.errors.QueryCanceled:
                    sample.stop()
            try:
                conn.execute("SELECT 2")
            except psycopg.errors.QueryCanceled:
                sample.strays += 1


async def asyncpg_session(sample, count, tenant, frozen):
    conn = await asyncpg.connect(host="127.0.0.1", port=options.port, database="clinic", user="app",
                                 ssl=False, server_settings={"pgsidecar.tenant": tenant})
    pid = await conn.fetchval("SELECT pg_backend_pid()") if frozen else 0
    statement = await conn.prepare(question(frozen))
    for _ in range(count):
        with stopped(pid):
            sample.start()
            try:
                await statement.fetch()
            except asyncpg.QueryCanceledError:
                sample.stop()
        try:
            await conn.fetchval("SELECT 2")
        except asyncpg.QueryCanceledError:
            sample.strays += 1
    await conn.close()


def sample_timeouts(driver, limit, frozen):
    tenant = "time-%d-%d" % (limit, next(numbers))
    count = -(-options.samples // SESSIONS)
    samples = [Sample(limit) for _ in range(SESSIONS)]
    other = others("Timeout.java", "timeout.js").get(driver)
    if other:
        got = answer_of(other, tenant, [SESSIONS, count], 60 + count * (limit / 1000 + 1))
        samples[0].late = [ms - limit for ms in got["took_ms"]]
        samples[0].strays = got["strays"]
    elif driver == "psycopg":
        threads = [threading.Thread(target=psycopg_session, args=(s, count, tenant, frozen))
                   for s in samples]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    else:
        async def all_of_them():
            await asyncio.gather(*(asyncpg_session(s, count, tenant, frozen) for s in samples))
        asyncio.run(all_of_them())
    late = sorted(x for s in samples for x in s.late)
    if len(late) != count * SESSIONS:
        raise SystemExit("%d of %d requests did not run into query_timeout"
                         % (count * SESSIONS - len(late), count * SESSIONS))
    return late, sum(s.strays for s in samples)


def timeout():
    rows = []
    for frozen in (False, True):
        for limit in (200, 1000):
            for driver in ("psycopg", "asyncpg", *(
                    () if frozen else others("Timeout.java", "timeout.js"))):
                server = "stopped" if frozen else "reacts"
                show("timeout: %s, %d ms, server %s" % (driver, limit, server))
                late, strays = sample_timeouts(driver, limit, frozen)
                at = lambda q: "%.2f" % late[min(len(late) - 1, int(q * len(late)))]
                rows.append([driver, server, "%d ms" % limit, "%d" % len(late), at(0), at(0.5),
                             at(0.99), at(1), "%d" % strays])
    table(["driver", "server", "query_timeout", "samples", "least", "p50", "p99", "max",
           "next query cancelled"], rows)
    print("\n(ms from the limit to the complete answer, as the driver sees it)")


# ---- cost and noise: by bench_load

def load_command(port, tenant, seconds, *more):
    return [options.load, "--conninfo", conninfo(port, tenant), "--rows", str(options.rows),
            "--query", "point", "--seconds", str(seconds), *map(str, more)]


def load(*arguments, before=()):
    done = subprocess.run([*before, *load_command(*arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120)
    if done.returncode:
        raise SystemExit("bench_load failed: " + done.stderr)
    return json.loads(done.stdout)


COST_LOADS = ((16, 10000), (1, 6000))  # clients, and the most that they can ask in a second


def quiet_keys():
    return int(QUIET_RATE * options.slice) + 10


class Keys:
    """Those of `cached` are the same thousand; those of `uncached` nobody asked for before."""

    def __init__(self, wanted):
        self.next = 10000
        each = len(NEIGHBOURS) * quiet_keys() if "noise" in wanted else 0
        if "cost" in wanted:
            each += sum(2 * int(rate * options.slice) for _, rate in COST_LOADS)
        if self.next + options.rounds * each > options.rows:
            raise SystemExit("%d rounds want --rows %d, or fewer --rounds, or a shorter --slice"
                             % (options.rounds, self.next + options.rounds * each))

    def of(self, kind, at_most):
        if kind == "cached":
            return ["--keys", 1000, "--warm"]
        first, self.next = self.next, self.next + at_most
        return ["--keys", at_most, "--first", first, "--no-repeat"]


def spread(values, form="%.2f"):
    return (form + " (" + form + " to " + form + ")") % (
        statistics.median(values), min(values), max(values))


def cost(keys):
    sides = {"off": (options.off_port, options.off_pid), "enforce": (options.port, options.pid)}
    rows = []
    for kind in ("cached", "uncached"):
        got = {(side, clients): [] for side in sides for clients in (16, 1)}
        for turn in range(options.rounds):
            for clients, per_second in COST_LOADS:
                for side in (list(sides) if turn % 2 else reversed(list(sides))):
                    show("cost: round %d, %s, %d clients, %s" % (turn + 1, kind, clients, side))
                    port, pid = sides[side]
                    got[side, clients].append(load(
                        port, "cost-%d" % next(numbers), options.slice, "--protocol", "extended",
                        "--connections", clients, "--server-pid", pid,
                        *keys.of(kind, int(per_second * options.slice))))
        for clients, what, name, form in (
                (16, "qps", "queries a second, 16 clients", "%.0f"),
                (16, "p99_us", "p99 us, 16 clients", "%.0f"),
                (16, "server_cpu_us", "CPU us of the program for a query", "%.2f"),
                (1, "p50_us", "p50 us, one client", "%.0f"),
                (1, "p99_us", "p99 us, one client", "%.0f")):
            off, on = ([x[what] for x in got[side, clients]] for side in sides)
            rows.append([kind, name, form % statistics.median(off), form % statistics.median(on),
                         spread([b / a for a, b in zip(off, on)])])
    table(["point select", "of", "off", "enforce", "enforce/off, median (least to most)"], rows)


def real_time():
    """What keeps the quiet tenant's clients from waiting for the noisy one's, if it is allowed."""
    command = ["chrt", "-f", "10"]
    tried = subprocess.run([*command, "true"], stderr=subprocess.DEVNULL)
    return command if tried.returncode == 0 else []


@contextlib.contextmanager
def awake():
    """No core halts meanwhile: whoever has work has it at once, but a virtual machine that is woken
    up takes far longer than what is measured, and a neighbour keeps it from falling asleep."""
    spinning = []
    try:
        for core in range(os.cpu_count()):
            spinning.append(subprocess.Popen([
                "taskset", "-c", str(core), "chrt", "-i", "0", sys.executable, "-c",
                "while True: pass"]))
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


NEIGHBOURS = {  # name: (its tier's queries a minute, what it asks a second)
    "alone": None,
    "600 a minute, asks 1,000 a second": (600, 1000),
    "the same, of another pgsidecar": (600, 1000),
    "6000 a minute, asks 10,000 a second": (6000, 10000),
    "6000 a minute, asks without end": (6000, None),
}


def beside(name, quiet):
    """Runs quiet() while the neighbour asks; returns what both measured."""
    if NEIGHBOURS[name] is None:
        return quiet(), None
    per_minute, a_second = NEIGHBOURS[name]
    pace = ["--rate", a_second] if a_second else []
    port = options.other_port if name.endswith("of another pgsidecar") else options.port
    noisy = subprocess.Popen(
        load_command(port, "rate-%d-%d" % (per_minute, next(numbers)), options.slice + 1,
                     "--protocol", "simple", "--connections", 16, "--keys", 1000, "--refusals",
                     *pace), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(0.4)
        got = quiet()
        out, err = noisy.communicate(timeout=60)
        if noisy.returncode:
            raise SystemExit("bench_load of the noisy tenant failed: " + err)
        return got, json.loads(out)
    finally:
        if noisy.poll() is None:
            noisy.kill()
            noisy.wait()


def quantile(histograms, q):
    """Of all that was measured in them: lists of [microseconds, how many]."""
    together = collections.Counter()
    for h in histograms:
        for us, count in h:
            together[us] += count
    want = q * together.total()
    for us in sorted(together):
        want -= together[us]
        if want < 0:
            return us
    return max(together)


def compare(alone, beside, draws=400):
    """How p99 differs, and between what bounds in nine of ten draws of as many rounds."""
    def ratio(rounds):
        with_it, without = ([side[i] for i in rounds] for side in (beside, alone))
        return quantile(with_it, 0.99) / quantile(without, 0.99)
    draw = random.Random(1)
    drawn = sorted(ratio(draw.choices(range(len(alone)), k=len(alone))) for _ in range(draws))
    return "%.2f (%.2f to %.2f)" % (ratio(range(len(alone))), drawn[draws // 20],
                                    drawn[-1 - draws // 20])


def noise(keys):
    before, rows = real_time(), []
    for kind in ("uncached", "cached"):
        got = {name: [] for name in NEIGHBOURS}
        for turn in range(options.rounds):
            names = list(NEIGHBOURS)
            for name in names[turn % len(names):] + names[:turn % len(names)]:
                show("noise: round %d, %s, %s" % (turn + 1, kind, name))
                got[name].append(beside(name, lambda: load(
                    options.port, "quiet-%d" % next(numbers), options.slice, "--protocol",
                    "extended", "--connections", 4, "--rate", QUIET_RATE, "--histogram",
                    *keys.of(kind, quiet_keys()), before=before)))
        alone = [quiet["latencies_us"] for quiet, _ in got["alone"]]
        for name, both in got.items():
            own = [quiet["latencies_us"] for quiet, _ in both]
            asked = refused = "-"
            if both[0][1]:
                asked = "%.0f" % statistics.median(noisy["qps"] for _, noisy in both)
                refused = "%.1f %%" % (100 * sum(noisy["refusals"] for _, noisy in both)
                                       / sum(noisy["queries"] for _, noisy in both))
            rows.append([kind, name, asked, refused,
                         "%.0f" % quantile(own, 0.5), "%.0f" % quantile(own, 0.99),
                         "-" if name == "alone" else compare(alone, own)])
    table(["quiet tenant's", "its neighbour", "asked a second", "refused", "p50 us", "p99 us",
           "p99/p99 alone (in 9 of 10 draws of the rounds)"], rows)
    print("\n(%d queries a second on 4 connections, all rounds together; latency from when each was "
          "due%s)" % (QUIET_RATE, "; its clients run before the neighbour's" if before else ""))


def main():
    global options
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("port", "pid", "off-port", "off-pid", "other-port", "rounds", "samples", "rows"):
        parser.add_argument("--" + name, type=int, required=True)
    for name in ("seconds", "slice"):
        parser.add_argument("--" + name, type=float, required=True)
    parser.add_argument("--only", required=True)
    parser.add_argument("--load", required=True)
    options = parser.parse_args()
    wanted = options.only.split()
    unknown = set(wanted) - {"rate", "timeout", "cost", "noise"}
    if unknown:
        parser.error("--only: there is no " + ", ".join(sorted(unknown)))
    keys = Keys(wanted)
    if "rate" in wanted:
        rate()
    if "timeout" in wanted:
        timeout()
    if "cost" in wanted:
        cost(keys)
    if "noise" in wanted:
        with awake():
            noise(keys)
    show("")


main()

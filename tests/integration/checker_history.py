"""What the checker's clients have done, and the judges of it: pure functions over a history.

A key is (shape, name, number). What is read and written of it depends on its shape:
    register  a number that only grows at the server       read: the number
    pair      two rows, always written together            read: both numbers
    bank      accounts; amounts move, stamps grow          read: (sum, less what it must be; the last stamp)
    list      rows that are only added, one at a time      read: tuple of (number, token); written: a token
    head      a list's counter beside its rows             read: (counter, rows)
    bag       rows added, and cleared all at once          read: frozenset; written: ("add" | "clear", n)
Every value is written at most once, so a reader tells whose write it has seen.

Times are those of one clock, in ns. A write begins when what could commit it is sent and ends when its
acknowledgement has been read. Of one in doubt (cut while it committed) no end is known: it may appear at
any time, or never. A read is older than a write only if it began after that write's end.
"""
import bisect
import collections
import json

DONE, UNDONE, DOUBT = "done", "undone", "doubt"
OUTSIDE, EVERYWHERE = "outside", "everywhere"  # instead of a proxy's number

# What is promised, each one a test of its own.
ACKNOWLEDGED = "a read shows what was acknowledged through its proxy before it began"
MONOTONIC = "no session steps back behind a write of its proxy that it has read"
WHOLE = "each answer is that of one snapshot"
IN_TIME = "writes past the proxy are shown within the bound"
COMMITTED = "nothing rolled back, or not committed yet, is read"
PROPERTIES = (ACKNOWLEDGED, MONOTONIC, WHOLE, IN_TIME, COMMITTED)

# own: what the session itself had written in the block that it read in.
Read = collections.namedtuple("Read", "key session proxy begin end value how own", defaults=(None,))
Write = collections.namedtuple("Write", "key session proxy begin end value outcome how")
# finals: of each list its tokens in the end, as the server has them.
History = collections.namedtuple("History", "reads writes finals", defaults=((), (), {}))
Violation = collections.namedtuple("Violation", "property read reason write", defaults=(None,))


class Verdict:
    """violations, and by how much the writes past a proxy were late (s), one for each."""

    def __init__(self):
        self.violations, self.lateness = [], []

    def add(self, what, read, reason, write=None):
        self.violations.append(Violation(what, read, reason, write))


def judge(history, bound):
    """The verdict of a history; `bound`: for writes past the proxy, in ns."""
    verdict = Verdict()
    reads, writes = collections.defaultdict(list), collections.defaultdict(list)
    for read in history.reads:
        reads[read.key].append(read)
    for write in history.writes:
        writes[write.key].append(write)
    for key in set(reads) | set(writes):
        ours = sorted(reads[key], key=lambda r: r.begin)
        if key[0] == "head":
            judge_head(ours, verdict)
        elif key[0] == "bag":
            judge_bag(ours, writes[key], bound, verdict)
        else:
            ours, numbers = as_registers(key, ours, writes[key], history.finals, verdict)
            judge_register(ours, numbers, bound, verdict)
            judge_steps(ours, numbers, key[0] == "list", verdict)
    return verdict


# -- everything but bags becomes registers ---------------------------------------------------------
def as_registers(key, reads, writes, finals, verdict):
    """Reads and writes of numbers that only grow; what is torn is told of and left out."""
    if key[0] == "register":
        torn = [r for r in reads if r.value is None]
        for read in torn:
            verdict.add(WHOLE, read, "not one row")
        return [r for r in reads if r.value is not None], writes
    if key[0] == "list":
        return list_as_register(reads, writes, finals.get(key, ()), verdict)
    out = []
    for read in reads:
        if key[0] == "pair":
            whole, number = read.value[0] == read.value[1], read.value[0]
        else:
            whole, number = read.value[0] == 0, read.value[1]
        if whole:
            out.append(read._replace(value=number))
        else:
            verdict.add(WHOLE, read, "what is written together differs")
    return out, writes


def list_as_register(reads, writes, final, verdict):
    """Of a list a state is its length: at the server every state is a beginning of the last one."""
    places = {token: i + 1 for i, token in enumerate(final)}
    numbers, undone = [], {}
    for write in writes:
        if write.outcome == UNDONE:
            undone[write.value] = write
        if write.value in places:
            numbers.append(write._replace(value=places[write.value]))
    out = []
    for read in reads:
        bad = next((undone[token] for _, token in read.value if token in undone), None)
        if bad:
            verdict.add(COMMITTED, read, "a row that was rolled back", bad)
        elif [n for n, _ in read.value] != list(range(1, len(read.value) + 1)):
            verdict.add(WHOLE, read, "a gap in the list")
        elif tuple(token for _, token in read.value) != tuple(final[:len(read.value)]):
            verdict.add(WHOLE, read, "not a beginning of the list")
        else:
            out.append(read._replace(value=len(read.value)))
    return out, numbers


def judge_head(reads, verdict):
    for read in reads:
        if read.value[0] != read.value[1]:
            verdict.add(WHOLE, read, "the list's counter is not the number of its rows")


# -- registers -------------------------------------------------------------------------------------
class Floor:
    """What must have been read at a time: the greatest number whose write had ended by then."""

    def __init__(self, writes):
        self.ends, self.best, greatest = [], [], None
        for write in sorted(writes, key=lambda w: w.end):
            if greatest is None or write.value > greatest.value:
                greatest = write
                self.ends.append(write.end)
                self.best.append(write)
        self.numbers = [write.value for write in self.best]

    def before(self, time):
        at = bisect.bisect_left(self.ends, time)
        return self.best[at - 1] if at else None

    def first_above(self, number):
        """The write that ended first of those that wrote more."""
        at = bisect.bisect_right(self.numbers, number)
        return self.best[at] if at < len(self.best) else None


def judge_register(reads, writes, bound, verdict):
    by_value = {write.value: write for write in writes}
    done = [write for write in writes if write.outcome == DONE]
    everything = Floor(done)
    floors = {proxy: everything if proxy == OUTSIDE else
              Floor([w for w in done if w.proxy in (proxy, EVERYWHERE)])
              for proxy in {read.proxy for read in reads}}
    late = {}
    for read in reads:
        if read.own is not None:
            if read.value < read.own:
                verdict.add(ACKNOWLEDGED, read, "older than the block's own write")
            continue
        judge_origin(read, by_value.get(read.value) if read.value else None, verdict)
        floor = floors[read.proxy].before(read.begin)
        if floor and read.value < floor.value:
            verdict.add(ACKNOWLEDGED, read, "older than a write that was acknowledged", floor)
        floor = everything.before(read.begin - bound)
        if floor and read.value < floor.value:
            verdict.add(IN_TIME, read, "older than a write of long ago", floor)
        newer = everything.first_above(read.value)
        if newer and newer.end < read.begin:
            late[newer.value] = max(late.get(newer.value, 0), read.begin - newer.end)
    proxies = set(floors) - {OUTSIDE}
    verdict.lateness += [late.get(w.value, 0) / 1e9 for w in done
                         if w.proxy != EVERYWHERE and proxies - {w.proxy}]


def judge_origin(read, write, verdict):
    """Somebody has written it, has kept it, and had at least begun to commit it. 0: nobody ever wrote."""
    if not read.value:
        return
    if write is None:
        verdict.add(COMMITTED, read, "a value that nobody has written")
    elif write.outcome == UNDONE:
        verdict.add(COMMITTED, read, "a value that was rolled back", write)
    elif write.begin > read.end:
        verdict.add(COMMITTED, read, "a value that was committed later", write)


def judge_steps(reads, writes, ordered, verdict):
    """Reads in the order of their begin. What one pipeline has asked for was asked for at once.
    `ordered`: writes were committed in the order of their numbers, so a number shows all before it; else
    only a write that has been read itself is known to have been there."""
    through = collections.defaultdict(list)
    for write in writes:
        if write.outcome != UNDONE:
            through[write.proxy].append(write.value)
    for numbers in through.values():
        numbers.sort()
    sessions = collections.defaultdict(list)
    for read in reads:
        if read.own is None and read.proxy in through:
            sessions[read.session].append(read)
    for mine in sessions.values():
        greatest, pending = None, []
        for read in mine:
            for end, number in [p for p in pending if p[0] < read.begin]:
                pending.remove((end, number))
                greatest = number if greatest is None else max(greatest, number)
            if greatest is not None and read.value < greatest:
                seen = next(w for w in writes if w.value == greatest)
                verdict.add(MONOTONIC, read, "the session has read a newer value", seen)
            numbers = through[read.proxy]
            at = bisect.bisect_right(numbers, read.value)
            if at and (ordered or numbers[at - 1] == read.value):
                pending.append((read.end, numbers[at - 1]))


# -- bags ------------------------------------------------------------------------------------------
def judge_bag(reads, writes, bound, verdict):
    adds = {w.value[1]: w for w in writes if w.value[0] == "add"}
    clears = [w for w in writes if w.value[0] == "clear" and w.outcome != UNDONE]
    for read in reads:
        if read.own is not None:
            continue
        for number in read.value:
            judge_origin(read._replace(value=number), adds.get(number), verdict)
        judge_missing(read, adds.values(), clears, bound, verdict)
        judge_remaining(read, adds, clears, bound, verdict)


def must_be_seen(read, write, bound):
    """The property by which this read shows that write, if any."""
    if write.outcome != DONE:
        return None
    if write.end < read.begin and (read.proxy == OUTSIDE or write.proxy in (read.proxy, EVERYWHERE)):
        return ACKNOWLEDGED
    return IN_TIME if write.end < read.begin - bound else None


def judge_missing(read, adds, clears, bound, verdict):
    for add in adds:
        what = add.value[1] not in read.value and must_be_seen(read, add, bound)
        if what and not any((c.end is None or c.end > add.begin) and c.begin < read.end for c in clears):
            verdict.add(what, read, "a row that was added is missing", add)
            return


def judge_remaining(read, adds, clears, bound, verdict):
    if not read.value:
        return
    for clear in clears:
        what = must_be_seen(read, clear, bound)
        if not what:
            continue
        for number in read.value:
            add = adds.get(number)
            if add and add.outcome == DONE and add.end < clear.begin:
                verdict.add(what, read, "a row that was removed is still there", clear)
                return


# -- telling of it ---------------------------------------------------------------------------------
def percentile(numbers, share):
    return sorted(numbers)[min(len(numbers) - 1, int(len(numbers) * share))] if numbers else 0


def describe(history, violation, start):
    """One violation with what happened to its key about then. Values are the checker's own numbers."""
    read = violation.read

    def at(ns):
        return "?" if ns is None else "%.3f" % ((ns - start) / 1e6)

    def line(op):
        return "%12s .. %-12s %-9s %-8s proxy %-10s %s%s" % (
            at(op.begin), at(op.end), "read" if isinstance(op, Read) else "write " + op.outcome[:2],
            op.session, op.proxy, short(op.value), " " + op.how)
    lines = ["%s: %s, key %s" % (violation.property, violation.reason, "/".join(map(str, read.key))),
             "  this read (ms since the start):", "   " + line(read)]
    if violation.write:
        lines += ["  against:", "   " + line(violation.write)]
    writes = [w for w in history.writes if w.key == read.key and w.begin < read.end]
    reads = [r for r in history.reads if r.key == read.key and r.begin < read.end
             and r.proxy == read.proxy]
    around = sorted(writes, key=lambda w: w.begin)[-12:]
    if around:
        around += [r for r in reads if r.begin >= around[0].begin][-25:]
    lines += ["  before it, of this key:"]
    return "\n".join(lines + ["   " + line(op) for op in sorted(around, key=lambda o: o.begin)])


def short(value):
    text = str(sorted(value)) if isinstance(value, frozenset) else str(value)
    return text if len(text) < 60 else text[:20] + "..." + text[-35:]


def save(history, path):
    def plain(value):
        return {"set": sorted(value)} if isinstance(value, frozenset) else value
    with open(path, "w") as f:
        json.dump({"reads": [r._replace(value=plain(r.value)) for r in history.reads],
                   "writes": history.writes, "finals": [[k, v] for k, v in history.finals.items()]}, f)


def load(path):
    def deep(value):
        if isinstance(value, dict):
            return frozenset(value["set"])
        return tuple(deep(v) for v in value) if isinstance(value, list) else value
    with open(path) as f:
        got = json.load(f)
    return History([Read(*deep(r)) for r in got["reads"]], [Write(*deep(w)) for w in got["writes"]],
                   {deep(k): deep(v) for k, v in got["finals"]})

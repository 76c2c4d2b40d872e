"""Histories made by hand, right and wrong, for the checker's judges: each must be found for what it is."""
from checker_history import (ACKNOWLEDGED, COMMITTED, DONE, DOUBT, EVERYWHERE, IN_TIME, MONOTONIC, OUTSIDE,
                             UNDONE, WHOLE, History, Read, Write, judge)

REG, PAIR, BANK = ("register", "r", 1), ("pair", "p", 1), ("bank", "bank", 0)
LIST, HEAD, BAG = ("list", "l", 1), ("head", "l", 1), ("bag", "b", 0)
BOUND = 1000


def r(begin, end, value, key=REG, session="a", proxy=0, own=None):
    return Read(key, session, proxy, begin, end, value, "", own)


def w(begin, end, value, key=REG, proxy=0, outcome=DONE):
    return Write(key, "w", proxy, begin, end, value, outcome, "")


def add(begin, end, n, **more):
    return w(begin, end, ("add", n), BAG, **more)


def clear(begin, end, n, **more):
    return w(begin, end, ("clear", n), BAG, **more)


def bag(begin, end, *numbers, **more):
    return r(begin, end, frozenset(numbers), BAG, **more)


def rows(begin, end, *tokens, **more):
    return r(begin, end, tuple((i + 1, t) for i, t in enumerate(tokens)), LIST, **more)


BASE = w(0, 0, 1, proxy=EVERYWHERE)
TWO = [w(0, 10, 1), w(20, 30, 2)]
LISTED = [w(0, 10, 71, LIST), w(20, 30, 72, LIST)]
FINAL = {LIST: (71, 72)}
DOUBTFUL = w(20, None, 2, outcome=DOUBT)

# name, writes, reads, finals, properties that are violated
CASES = [
    ("read after the acknowledgement", TWO, [r(31, 40, 2)], {}, []),
    ("a stale read", TWO, [r(31, 40, 1)], {}, [ACKNOWLEDGED]),
    ("a stale read of nothing", TWO, [r(31, 40, 0)], {}, [ACKNOWLEDGED]),
    ("a read that began at the acknowledgement may miss it", TWO, [r(30, 40, 1)], {}, []),
    ("a concurrent read may see either", TWO, [r(19, 31, 1), r(19, 31, 2, session="b")], {}, []),
    ("an overwritten number that was smaller", [w(0, 10, 5), w(20, 30, 3)], [r(31, 40, 5)], {}, []),
    ("a row that is not there", TWO, [r(31, 40, None)], {}, [WHOLE]),
    ("another proxy's write, at once", [BASE, w(20, 30, 2, proxy=1)], [r(31, 40, 1)], {}, []),
    ("another proxy's write, too late", [BASE, w(20, 30, 2, proxy=1)], [r(1031, 1040, 1)], {}, [IN_TIME]),
    ("an outside write, at once", [BASE, w(20, 30, 2, proxy=OUTSIDE)], [r(31, 40, 1)], {}, []),
    ("an outside write at its bound", [BASE, w(20, 30, 2, proxy=OUTSIDE)], [r(1030, 1040, 1)], {}, []),
    ("an outside write, too late", [BASE, w(20, 30, 2, proxy=OUTSIDE)], [r(1031, 1040, 1)], {}, [IN_TIME]),
    ("reads past the proxies see everything", [BASE, w(20, 30, 2)], [r(31, 40, 1, proxy=OUTSIDE)], {},
     [ACKNOWLEDGED]),
    ("a state known to all", [BASE], [r(5, 6, 0)], {}, [ACKNOWLEDGED]),
    ("a step back", [BASE, w(20, 90, 2)], [r(30, 40, 2), r(41, 50, 1)], {}, [MONOTONIC]),
    ("a step back in two sessions is none", [BASE, w(20, 90, 2)], [r(30, 40, 2), r(41, 50, 1, session="b")],
     {}, []),
    ("a step back over an outside write", [BASE, w(20, 90, 2, proxy=OUTSIDE)], [r(30, 40, 2), r(41, 50, 1)],
     {}, []),
    ("a step back behind a write in doubt", [BASE, DOUBTFUL], [r(30, 40, 2), r(41, 50, 1)], {}, [MONOTONIC]),
    ("a step back across outside reads", [BASE, w(20, 90, 2), w(20, 90, 3, proxy=OUTSIDE)],
     [r(30, 40, 2), r(41, 50, 3), r(51, 60, 1)], {}, [MONOTONIC]),
    ("a step back within a pipeline", [BASE, w(20, 90, 2)], [r(30, 40, 2), r(30, 40, 1)], {}, []),
    ("in doubt: never", [BASE, DOUBTFUL], [r(5000, 5001, 1)], {}, []),
    ("in doubt: much later", [BASE, DOUBTFUL], [r(30, 31, 1), r(5000, 5001, 2)], {}, []),
    ("rolled back", [BASE, w(20, 30, 2, outcome=UNDONE)], [r(40, 50, 2)], {}, [COMMITTED]),
    ("not committed yet", [BASE, w(20, 30, 2)], [r(10, 19, 2)], {}, [COMMITTED]),
    ("just being committed", [BASE, w(20, 30, 2)], [r(10, 20, 2)], {}, []),
    ("from nowhere", [BASE], [r(10, 20, 9)], {}, [COMMITTED]),
    ("its own write, in a block", [BASE, w(50, 60, 2)], [r(10, 20, 2, own=2)], {}, []),
    ("without its own write, in a block", [BASE, w(50, 60, 2)], [r(10, 20, 1, own=2)], {}, [ACKNOWLEDGED]),
    ("a pair", [w(0, 10, 4, PAIR)], [r(20, 30, (4, 4), PAIR)], {}, []),
    ("a torn pair", [w(0, 10, 4, PAIR), w(15, 40, 5, PAIR)], [r(20, 30, (4, 5), PAIR)], {}, [WHOLE]),
    ("a stale pair", [w(0, 10, 4, PAIR)], [r(20, 30, (0, 0), PAIR)], {}, [ACKNOWLEDGED]),
    ("a bank", [w(0, 10, 4, BANK)], [r(20, 30, (0, 4), BANK)], {}, []),
    ("a torn sum", [w(0, 10, 4, BANK)], [r(20, 30, (-7, 4), BANK)], {}, [WHOLE]),
    ("a stale sum", [w(0, 10, 4, BANK)], [r(20, 30, (0, 0), BANK)], {}, [ACKNOWLEDGED]),
    ("a list", LISTED, [rows(5, 6), rows(11, 12, 71), rows(31, 32, 71, 72)], FINAL, []),
    ("a stale list", LISTED, [rows(31, 32, 71)], FINAL, [ACKNOWLEDGED]),
    ("a list with a gap", LISTED, [r(25, 32, ((2, 72),), LIST)], FINAL, [WHOLE]),
    ("a list in another order", LISTED, [rows(25, 32, 72, 71)], FINAL, [WHOLE]),
    ("a list with what was rolled back", LISTED + [w(12, 14, 73, LIST, outcome=UNDONE)],
     [rows(15, 32, 71, 73)], FINAL, [COMMITTED]),
    ("a list that kept what was rolled back", [*LISTED[:1], w(20, 30, 72, LIST, outcome=UNDONE)],
     [rows(31, 32, 71, 72)], FINAL, [COMMITTED]),
    ("a list, too early", LISTED, [rows(11, 15, 71, 72)], FINAL, [COMMITTED]),
    ("a list that steps back", [w(0, 90, 71, LIST), w(20, 95, 72, LIST, proxy=OUTSIDE)],
     [rows(30, 40, 71, 72), rows(41, 50)], FINAL, [MONOTONIC]),
    ("a list that steps back over an outside row", [w(0, 90, 71, LIST), w(20, 95, 72, LIST, proxy=OUTSIDE)],
     [rows(30, 40, 71, 72), rows(41, 50, 71)], FINAL, []),
    ("a counter and its rows", [], [r(1, 2, (3, 3), HEAD), r(1, 2, (3, 2), HEAD)], {}, [WHOLE]),
    ("a bag", [add(0, 10, 1), clear(20, 30, 2), add(40, 50, 3)],
     [bag(11, 12, 1), bag(31, 32), bag(51, 52, 3)], {}, []),
    ("a row missing", [add(0, 10, 1)], [bag(11, 12)], {}, [ACKNOWLEDGED]),
    ("a row missing, written past the proxy", [add(0, 10, 1, proxy=OUTSIDE)], [bag(11, 12)], {}, []),
    ("a row missing for too long", [add(0, 10, 1, proxy=OUTSIDE)], [bag(1011, 1012)], {}, [IN_TIME]),
    ("a row that was cleared away", [add(0, 10, 1), clear(20, 30, 2)], [bag(31, 32, 1)], {}, [ACKNOWLEDGED]),
    ("a row that is being cleared away", [add(0, 10, 1), clear(20, 30, 2)], [bag(25, 32, 1), bag(25, 32)], {},
     []),
    ("cleared past the proxy, too long ago", [add(0, 10, 1), clear(20, 30, 2, proxy=OUTSIDE)],
     [bag(31, 32, 1), bag(1031, 1032, 1)], {}, [IN_TIME]),
    ("cleared, perhaps", [add(0, 10, 1), clear(20, None, 2, outcome=DOUBT)], [bag(31, 32, 1), bag(33, 34)], {},
     []),
    ("not cleared: rolled back", [add(0, 10, 1), clear(20, 30, 2, outcome=UNDONE)], [bag(31, 32)], {},
     [ACKNOWLEDGED]),
    ("a row that was rolled back", [add(0, 10, 1, outcome=UNDONE)], [bag(11, 12, 1)], {}, [COMMITTED]),
    ("a row, too early", [add(20, 30, 1)], [bag(11, 12, 1)], {}, [COMMITTED]),
]


def run():
    failed = 0
    for name, writes, reads, finals, want in CASES:
        verdict = judge(History(reads, writes, finals), BOUND)
        got = {violation.property for violation in verdict.violations}
        if got != set(want):
            failed += 1
            print("FAIL  %s: found %s, not %s" % (name, sorted(got), want))
    late = judge(History([r(530, 540, 1)], [BASE, w(20, 30, 2, proxy=OUTSIDE)], {}), BOUND).lateness
    if late != [500 / 1e9]:
        failed += 1
        print("FAIL  lateness: %r" % late)
    print("%d passed, %d failed, 0 skipped" % (len(CASES) + 1 - failed, failed))
    return 1 if failed else 0

#!/usr/bin/python3
"""Runs the integration tests and closes with one line: N passed, N failed, N skipped.

    run.py --program build/dev/pgsidecar [-k WORD ...] [--jobs N] [--keep] [--list]
    run.py --control            the same tests against the server alone: they must pass there too
"""
import argparse
import faulthandler
import io
import os
import signal
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import harness  # noqa: E402
import side_by_side  # noqa: E402


class Summary(unittest.TextTestResult):
    """One line for each test; sums up in the words that the whole suite uses."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.passed = 0

    def startTest(self, test):
        self.began = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        self.passed += 1
        super().addSuccess(test)

    def stopTest(self, test):
        super().stopTest(test)
        took = time.monotonic() - self.began
        if took > 5:
            self.stream.writeln("    (%.1f s)" % took)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)


def select(suite, words, without):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from select(item, words, without)
        elif (not words or any(word in item.id() for word in words)) \
                and not any(word in item.id() for word in without):
            yield item


def options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program")
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--jobs", type=int, default=1, metavar="N",
                        help="run the classes in N processes, each with a server of its own")
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-k", action="append", default=[], help="only tests whose id holds this")
    parser.add_argument("-x", action="append", default=[], help="no tests whose id holds this")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if bool(given.program) == given.control:
        parser.error("exactly one of --program and --control")
    return given


def run(tests, stream, kind=Summary):
    """Runs them and returns what they counted."""
    result = unittest.TextTestRunner(stream, verbosity=2, descriptions=False,
                                     resultclass=kind).run(unittest.TestSuite(tests))
    return {"passed": result.passed, "skipped": len(result.skipped),
            "failed": len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)}


def as_child(ids):
    """What side_by_side.serve() needs: runs one class's tests; what went wrong stands apart."""
    text, troubles = io.StringIO(), []

    class Apart(Summary):
        def printErrors(self):
            for word, found in (("ERROR", self.errors), ("FAIL", self.failures)):
                troubles.extend("%s: %s\n%s\n" % (word, test, trace) for test, trace in found)

    counted = run([unittest.TestLoader().loadTestsFromNames(ids)], text, Apart)
    return {**counted, "text": text.getvalue(), "trouble": "".join(troubles)}


def side_by_side_run(given, tests):
    command = [sys.executable, __file__, "--child"]
    command += ["--control"] if given.control else ["--program", given.program]
    command += ["--keep"] * given.keep
    return side_by_side.Children(command, tests).run(given.jobs)


def main():
    given = options()
    faulthandler.enable()
    for name in ("PGSIDECAR_ENVIRONMENT", "ASPNETCORE_ENVIRONMENT"):  # the tests say it themselves
        os.environ.pop(name, None)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as for Ctrl-C
    # A shell starts what it puts into the background with SIGINT ignored, and every program of the
    # tests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tests = [] if given.child else list(select(unittest.TestLoader().discover(
        HERE, pattern="test_*.py"), given.k, given.x))
    if given.list:
        print("\n".join(test.id() for test in tests))
        return 0
    if given.jobs > 1:
        counted = side_by_side_run(given, tests)
    else:
        try:
            harness.env.open(given.program)
            if given.child:
                side_by_side.serve(as_child, sys.stdin, sys.stdout)
                return 0
            counted = run(tests, sys.stdout)
        finally:
            harness.env.close(given.keep)
            if given.keep and not given.child:
                print("kept", harness.env.folder)
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counted)
    return 1 if counted["failed"] or not counted["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())

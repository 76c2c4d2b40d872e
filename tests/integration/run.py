#!/usr/bin/python3
"""Runs the integration tests and closes with one line: N passed, N failed, N skipped.

    run.py --program build/dev/pgsidecar [-k WORD ...] [--keep] [--list]
    run.py --control            the same tests against the server alone: they must pass there too
"""
import argparse
import faulthandler
import os
import signal
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import harness  # noqa: E402


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program")
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-k", action="append", default=[], help="only tests whose id holds this")
    parser.add_argument("-x", action="append", default=[], help="no tests whose id holds this")
    options = parser.parse_args()
    if bool(options.program) == options.control:
        parser.error("exactly one of --program and --control")
    faulthandler.enable()
    for name in ("PGSIDECAR_ENVIRONMENT", "ASPNETCORE_ENVIRONMENT"):  # the tests say it themselves
        os.environ.pop(name, None)
    loader = unittest.TestLoader()
    tests = list(select(loader.discover(HERE, pattern="test_*.py"), options.k, options.x))
    if options.list:
        print("\n".join(test.id() for test in tests))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as for Ctrl-C
    try:
        harness.env.open(options.program)
        runner = unittest.TextTestRunner(sys.stdout, verbosity=2, descriptions=False,
                                         resultclass=Summary)
        result = runner.run(unittest.TestSuite(tests))
    finally:
        harness.env.close(options.keep)
        if options.keep:
            print("kept", harness.env.folder)
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    print("%d passed, %d failed, %d skipped" % (result.passed, failed, len(result.skipped)))
    return 1 if failed or not result.passed else 0


if __name__ == "__main__":
    sys.exit(main())

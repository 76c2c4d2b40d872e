#!/usr/bin/python3
"""Does the checker find what must not break? Each mutant leaves out one rule on which it depends that no
answer is ever stale; the program is built with it, and the checker has to find a violation.

    tests/mutants.py                     all of them: one release build, and a small one for each
    tests/mutants.py --only NAME ...     these
    tests/mutants.py --applies           only whether their texts are still those of the sources

The tree is copied to build/mutants; nothing is changed here. A mutant that lives through all its seeds is
a failure: the checker is blind to that rule.
"""
import argparse
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
sys.dont_write_bytecode = True

import checker_history  # noqa: E402

COPY = os.path.join(ROOT, "build", "mutants")
SEEDS = range(1, 7)
# As the checker tells of a wrong answer; what else fails there, a machine too busy may have done.
WRONG = tuple("FAIL  " + what for what in checker_history.PROPERTIES)

# name: what is left out; how the checker is run; (file, text, what stands there instead).
MUTANTS = {
    "settle": (
        "what the WAL tells is taken for visible at once", ["--seconds", "60"],
        [("proxy/core/wal_follower.cpp",
          "    t = {.tables = std::move(states), .schema_changed = done.schema_changed};\n",
          "    finish({.tables = std::move(states), .schema_changed = done.schema_changed});\n"
          "    pending_.erase(xid_);\n")]),
    "stamp": (
        "an entry remembers the versions of after its query", ["--seconds", "60", "--alone"],
        [("proxy/core/session_cache.cpp",
          "        auto entry =\n            cache::make_entry(",
          "        for (auto& d : f.dependencies) d = cache::observe(*d.table);\n"
          "        auto entry =\n            cache::make_entry(")]),
    "bump": (
        "a write through the program moves nothing on before it is acknowledged",
        ["--seconds", "60", "--alone"],
        [("proxy/core/session_effects.cpp",
          "    for (auto* table : writing_->marked) table->bump();\n", ""),
         ("cache/versions.cpp",
          "void table_state::end_commit() noexcept {\n    version.fetch_add(1);\n",
          "void table_state::end_commit() noexcept {\n")]),
}


def wrong_edits():
    """Those whose text does not stand exactly once in its file."""
    for name, (_, _, edits) in MUTANTS.items():
        for path, text, _ in edits:
            with open(os.path.join(ROOT, path)) as f:
                count = f.read().count(text)
            if count != 1:
                yield "tests/mutants.py: the text of mutant %s stands %d times in %s" % (name, count, path)


def say(text):
    print(text, flush=True)


def run(*command):
    return subprocess.run(command, cwd=COPY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def copy_tree():
    """The files that git knows, as they are now; those that are the same keep their times."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True,
                           text=True).stdout.split("\0")
    for name in filter(None, names):
        put(name, open(os.path.join(ROOT, name), "rb").read())
        shutil.copymode(os.path.join(ROOT, name), os.path.join(COPY, name))


def put(name, data):
    path = os.path.join(COPY, name)
    if os.path.exists(path):
        with open(path, "rb") as f:
            if f.read() == data:
                return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def build():
    done = run("ninja", "-C", "build/release", "pgsidecar")
    if done.returncode != 0:
        raise SystemExit(done.stdout[-4000:] + "\nmutants: it does not build")


def found(name, how):
    for seed in SEEDS:
        done = run(sys.executable, "tests/integration/checker.py", "--program", "build/release/pgsidecar",
                   "--seed", str(seed), "--keep", os.path.join(COPY, "history-" + name), *how)
        wrong = [line for line in done.stdout.splitlines() if line.startswith(WRONG)]
        say("      seed %d: %s" % (seed, "; ".join(wrong) or "nothing wrong is found"))
        if wrong:
            return True
        if done.returncode != 0:
            say(done.stdout[-2000:])
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MUTANTS, default=list(MUTANTS))
    parser.add_argument("--applies", action="store_true")
    options = parser.parse_args()
    wrong = list(wrong_edits())
    for line in wrong:
        say(line)
    if wrong or options.applies:
        return bool(wrong)
    say("build the program as it is, in build/mutants")
    copy_tree()
    if run("cmake", "--preset", "release").returncode != 0:
        raise SystemExit("mutants: cmake fails")
    build()
    failed = 0
    for name in options.only:
        what, how, edits = MUTANTS[name]
        say("run   %s: %s" % (name, what))
        for path, text, instead in edits:
            with open(os.path.join(ROOT, path)) as f:
                put(path, f.read().replace(text, instead).encode())
        build()
        killed = found(name, how)
        say("%s  %s" % ("pass" if killed else "FAIL", name))
        failed += not killed
        copy_tree()
    say("%d passed, %d failed, 0 skipped" % (len(options.only) - failed, failed))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())

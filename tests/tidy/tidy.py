#!/usr/bin/python3
"""Checks that no compiler makes: who includes whom, which file may name which library, what must not be
in the repository. Closes with one line: N passed, N failed, N skipped. Long files and functions are
printed as notes; they fail nothing.

    tidy.py [--notes]
"""
import argparse
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
import traps  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import mutants  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Imports run one way only; a room may always include itself.
EDGES = {
    "protocol": set(),
    "policy": {"protocol"},
    "cache": {"protocol"},
    "config": {"protocol", "policy", "cache"},
    "proxy/core": {"protocol", "policy", "cache", "config"},
    "proxy/ops": {"protocol", "policy", "cache", "config", "proxy/core"},
    "proxy/io": {"protocol", "policy", "cache", "config", "proxy/core", "proxy/ops"},
    "proxy": {"protocol", "policy", "cache", "config", "proxy/core", "proxy/ops", "proxy/io"},
}
# library: (what its includes look like, where it may be named, in at most how many files)
LIBRARIES = {
    "libpg_query": (r"<pg_query", r"policy/analyze\w*\.cpp$", 1),
    "xxHash": (r"<xxhash", r"cache/\w+\.cpp$", 1),
    "yaml-cpp": (r"<yaml-cpp/", r"config/\w+\.cpp$", 1),
    "Boost.JSON": (r"<boost/json", r"(policy/analyze\w*\.(cpp|h)|config/json_tree\.cpp|proxy/(ops|core)/json_\w+\.cpp)$",
                   None),
    "prometheus-cpp": (r"<prometheus/", r"proxy/ops/\w+\.cpp$", 1),
    "Boost.Asio": (r"<boost/(asio|beast)", r"proxy/io/", None),
    "OpenSSL": (r"<openssl/", r"proxy/io/", None),
    "hiredis": (r"<hiredis/", r"proxy/io/", None),
    "minizip": (r"<minizip/", r"proxy/io/\w+\.cpp$", 1),
    "libpq": (r"<libpq", r"(proxy/io|bench)/", None),
    "spdlog": (r"<spdlog/", r"proxy/io/log\w*\.cpp$", None),
    "CLI11": (r"<CLI/", r"(proxy/main\.cpp$|proxy/io/|bench/)", None),
    "doctest": (r"<doctest/", r"tests/", None),
}
# Below proxy/io nothing reads a clock, draws a random number, logs, starts a thread,
# or reads the process's environment.
PURE = ("protocol", "policy", "cache", "config", "proxy/core", "proxy/ops")
IMPURE = {
    r"_clock::now\s*\(": "reads a clock",
    r"\b(gettimeofday|clock_gettime|std::time)\s*\(": "reads a clock",
    r"\bstd::random_device\b|\bRAND_bytes\b|\bgetrandom\s*\(": "draws a random number",
    r"\bstd::(cout|cerr|clog)\b|\bf?printf\s*\(": "prints",
    r"\bstd::j?thread\b": "starts a thread",
    r"\bgetenv\s*\(": "reads the environment",
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<][^">]+[">])', re.M)


def tracked():
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    names = [name for name in out.decode().split("\0") if name]
    return [name for name in names if os.path.exists(os.path.join(ROOT, name))]


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as f:
        return f.read()


def code_only(text):
    """Without comments and string literals, line structure kept."""
    pattern = r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
    return re.sub(pattern, lambda m: "\n" * m.group(0).count("\n") or '""', text, flags=re.S)


def room_of(name):
    """The room a path lies in, or None (tests, bench)."""
    for room in sorted(EDGES, key=len, reverse=True):
        if name.startswith(room + "/"):
            return room
    return None


class Repository:
    def __init__(self):
        self.files = tracked()
        self.sources = [n for n in self.files if n.endswith((".h", ".cpp"))]
        self.includes = {n: INCLUDE.findall(read(n)) for n in self.sources}

    # Each check_ method yields one line for each thing that is wrong.
    def check_rooms_include_only_what_lies_below(self):
        for name, includes in self.includes.items():
            room = room_of(name)
            if room is None:
                continue
            for target in includes:
                other = room_of(target[1:]) if target[0] == '"' else None
                if other and other != room and other not in EDGES[room]:
                    yield "%s includes %s" % (name, target)

    def check_includes_are_root_relative_and_exist(self):
        made = {"proxy/version.h", "pgsidecar_messages.h"}
        for name, includes in self.includes.items():
            for target in includes:
                if target[0] != '"' or target[1:-1] in made:
                    continue
                beside = name.startswith(("tests/", "bench/")) and os.path.exists(
                    os.path.join(ROOT, os.path.dirname(name), target[1:-1]))
                if not beside and not os.path.exists(os.path.join(ROOT, target[1:-1])):
                    yield "%s includes %s, which is not there" % (name, target)

    def check_each_library_is_named_where_it_belongs(self):
        for library, (pattern, where, at_most) in LIBRARIES.items():
            users = [n for n, inc in self.includes.items() if any(re.match(pattern, i) for i in inc)]
            for name in users:
                if not re.match(where, name) and not name.startswith("tests/"):
                    yield "%s names %s" % (name, library)
            users = [n for n in users if not n.startswith("tests/")]
            if at_most is not None and len(users) > at_most:
                yield "%s is named by %s" % (library, ", ".join(users))

    def check_nothing_below_io_touches_the_world(self):
        for name in self.sources:
            if room_of(name) not in PURE:
                continue
            text = code_only(read(name))
            for pattern, what in IMPURE.items():
                for match in re.finditer(pattern, text):
                    yield "%s:%d %s" % (name, text.count("\n", 0, match.start()) + 1, what)

    def check_headers_are_guarded_and_introduce_themselves(self):
        for name in self.sources:
            if name.endswith(".h") and not name.startswith("tests/"):
                text = read(name)
                if "#pragma once" not in text:
                    yield name + " lacks #pragma once"
                if not text.startswith("//"):
                    yield name + " does not open by saying what it is for"

    def check_namespace_is_the_folder(self):
        for name in self.sources:
            room = room_of(name)
            if room in (None, "proxy") or not name.endswith(".h"):
                continue
            want = "namespace pgsidecar::" + room.split("/")[-1]
            if not re.search(re.escape(want) + r"\b", read(name)):
                yield "%s declares nothing in %s" % (name, want)

    def check_every_source_is_built(self):
        lists = {os.path.dirname(n): read(n) for n in self.files if n.endswith("CMakeLists.txt")}
        for name in self.sources:
            folder, base = os.path.split(name)
            if not name.endswith(".cpp") or "GLOB" in lists.get(folder, ""):
                continue
            if not any(re.search(r"\b%s\b" % re.escape(base[:-4]), text) for text in lists.values()):
                yield name + " is in no CMakeLists.txt"

    def check_no_paths_or_hosts_of_a_machine(self):
        slash = "/"
        folders = [slash + word + slash for word in ("work", "root", "home")]
        hosts = ["registry.npm" + "js", "nuget" + ".org", "deb.deb" + "ian", "pypi" + ".org",
                 "proxy.go" + "lang", "crates" + ".io"]
        for name in self.files:
            if name.startswith("tests/fuzz/corpus/"):
                continue
            text = read(name)
            for word in folders + hosts:
                for match in re.finditer(r"(?<![\w.$}*])" + re.escape(word), text):
                    yield "%s:%d holds %s" % (name, text.count("\n", 0, match.start()) + 1, word)

    def check_lock_files_hold_no_addresses(self):
        for name in self.files:
            if name.endswith("package-lock.json") and '"resolved"' in read(name):
                yield name + " records where packages were fetched"

    def check_nothing_is_left_to_do(self):
        words = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
        for name in self.sources + [n for n in self.files if n.endswith((".py", ".sh", ".txt"))]:
            if name.startswith("tests/fuzz/corpus/"):
                continue
            text = read(name)
            for match in words.finditer(text):
                yield "%s:%d says %s" % (name, text.count("\n", 0, match.start()) + 1, match.group(0))

    def check_no_test_that_cannot_fail(self):
        for name in self.sources:
            if not name.startswith("tests/"):
                continue
            text = code_only(read(name))
            for match in re.finditer(r"\b(CHECK|REQUIRE)\s*\(\s*(true|1)\s*\)", text):
                yield "%s:%d" % (name, text.count("\n", 0, match.start()) + 1)

    def check_every_trap_has_its_test(self):
        yield from traps.Page().problems()

    def check_every_mutant_applies(self):
        yield from mutants.wrong_edits()

    def notes(self):
        """Long files and functions, longest first."""
        for name in self.sources:
            text = read(name)
            count = text.count("\n")
            if count > 400:
                yield count, "%s has %d lines" % (name, count)
            for first, length in functions(code_only(text)):
                if length > 70 and not name.startswith("tests/"):
                    yield length, "%s:%d a function of %d lines" % (name, first, length)


def functions(text):
    """(first line, length) of each body that starts at a line's end outside a class or namespace."""
    lines, at = text.splitlines(), 0
    while at < len(lines):
        line = lines[at]
        if re.match(r"[\w:<>&*~\[\]]", line) and line.endswith("{") and ")" in line:
            end = next((i for i in range(at + 1, len(lines)) if lines[i].startswith("}")), at)
            yield at + 1, end - at + 1
            at = end
        at += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notes", action="store_true", help="print all notes, not only the longest")
    options = parser.parse_args()
    repository = Repository()
    passed = failed = 0
    for check in [n for n in dir(Repository) if n.startswith("check_")]:
        wrong = list(getattr(repository, check)())
        name = check[len("check_"):].replace("_", " ")
        if wrong:
            failed += 1
            print("FAIL  %s" % name)
            for line in wrong[:40]:
                print("      " + line)
        else:
            passed += 1
            print("ok    %s" % name)
    notes = sorted(repository.notes(), reverse=True)
    for _, note in notes if options.notes else notes[:10]:
        print("note  " + note)
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

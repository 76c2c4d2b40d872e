#!/usr/bin/python3
"""Holds tests/TRAPS.md to the tests that it names: each stands where its row says.

    traps.py            says what is wrong, a line each; tidy.py asks the same
    traps.py --write    first puts the lines right, and the file of a test that has moved
"""
import argparse
import ast
import collections
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = "tests/TRAPS.md"
HEAD = ["trap", "test", "where"]
CASE = re.compile(r'\bTEST_CASE(?:_FIXTURE)?\s*\(\s*(?:[\w:]+\s*,\s*)?((?:"(?:\\.|[^"\\\n])*"\s*)+)')
PLACE = re.compile(r"\[(tests/[\w/.]+):(\d+)\]\(([\w/.]+)#L(\d+)\)")


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


def cases(text):
    """(name, line) of each doctest case."""
    for match in CASE.finditer(text):
        parts = re.findall(r'"((?:\\.|[^"\\\n])*)"', match.group(1))
        yield re.sub(r"\\(.)", r"\1", "".join(parts)), text.count("\n", 0, match.start()) + 1


def class_filled_by(function):
    """The class that a function gives tests: setattr(Class, "test_" + name, ...)."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setattr" and len(node.args) == 3 \
                and isinstance(node.args[0], ast.Name) and isinstance(node.args[1], ast.BinOp) \
                and getattr(node.args[1].left, "value", "") == "test_":
            return node.args[0].id
    return None


def methods(text):
    """(Class.method, line) of each test; of one that a table makes, the line of its key there."""
    module = ast.parse(text)
    tables, fillers = {}, {}
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name.startswith("test"):
                    yield "%s.%s" % (node.name, item.name), item.lineno
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            tables[getattr(node.targets[0], "id", "")] = node.value.keys
        elif isinstance(node, ast.FunctionDef):
            fillers[node.name] = class_filled_by(node)
        elif isinstance(node, ast.For):  # for name, row in TABLE.items(): _add(name, *row)
            used = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
            filled = next((fillers[u] for u in used if fillers.get(u)), None)
            keys = next((tables[u] for u in used if u in tables), [])
            for key in keys if filled else []:
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield "%s.test_%s" % (filled, key.value), key.lineno


def all_tests():
    """{name: [(file, line), ...]} of every test in the repository."""
    listed = subprocess.run(["git", "ls-files", "-z", "tests"], cwd=ROOT, capture_output=True, check=True)
    found = collections.defaultdict(list)
    for file in filter(None, listed.stdout.decode().split("\0")):
        if not os.path.exists(os.path.join(ROOT, file)):
            continue
        if file.endswith(".cpp"):
            pairs = cases(read(file))
        elif re.match(r"tests/integration/\w+\.py$", file):
            pairs = methods(read(file))
        else:
            continue
        for name, line in pairs:
            found[name].append((file, line))
    return found


def rows(text):
    """(line of the page, [trap, tests, places]) of each row of its tables."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("|") and not re.match(r"\|[\s|:-]*-[\s|:-]*$", line):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if [cell.lower() for cell in cells] != HEAD:
                yield number, cells


def in_cell(cell):
    return [part.strip() for part in cell.split("<br>")]


class Page:
    def __init__(self):
        self.text, self.tests = read(PAGE), all_tests()

    def problems(self):
        """One line for each thing that is wrong."""
        traps, named, count = {}, {}, 0
        for number, cells in rows(self.text):
            count += 1
            here = "%s:%d " % (PAGE, number)
            if len(cells) != 3 or not all(cells) or not all(p for c in cells[1:] for p in in_cell(c)):
                yield here + "a trap, its test and where it stands: one of them is not there"
                continue
            trap, names, places = cells[0], in_cell(cells[1]), in_cell(cells[2])
            if trap in traps:
                yield here + "the same trap as in line %d" % traps[trap]
            traps.setdefault(trap, number)
            if len(names) != len(places):
                yield here + "%s: %d tests and %d places" % (trap, len(names), len(places))
            for name, place in zip(names, places):
                if name in named:
                    yield here + "%s stands for another trap in line %d" % (name, named[name])
                named.setdefault(name, number)
                for wrong in self.misplaced(name, place):
                    yield here + wrong
        if not count:
            yield PAGE + " has no row"

    def misplaced(self, name, place):
        match, plain = PLACE.fullmatch(place), name.strip("`")
        if not match or name != "`%s`" % plain:
            yield "%s: not as `name` and [tests/file:line](file#Lline)" % name
            return
        file, line = match.group(1), int(match.group(2))
        if match.group(3) != os.path.relpath(file, "tests") or int(match.group(4)) != line:
            yield "%s: the link leads elsewhere than to %s:%d" % (name, file, line)
        if not os.path.exists(os.path.join(ROOT, file)):
            yield "%s: there is no %s" % (name, file)
        places = self.tests.get(plain, [])
        there = [at for where, at in places if where == file]
        if not there:
            elsewhere = ", ".join("%s:%d" % at for at in places)
            yield "%s is no test of %s; it is %s" % (
                name, file, "in " + elsewhere if elsewhere else "nowhere (renamed, or gone?)")
        elif len(there) > 1:
            yield "%s is defined %d times in %s" % (name, len(there), file)
        elif there != [line]:
            yield "%s is at %s:%d now, not at %d (tests/tidy/traps.py --write puts it right)" % (
                name, file, there[0], line)

    def write(self):
        lines = self.text.splitlines()
        for number, cells in rows(self.text):
            if len(cells) != 3:
                continue
            names, places = in_cell(cells[1]), in_cell(cells[2])
            right = [self.place_now(*pair) for pair in zip(names, places)] + places[len(names):]
            lines[number - 1] = "| %s | %s | %s |" % (cells[0], cells[1], "<br>".join(right))
        self.text = "\n".join(lines) + "\n"
        with open(os.path.join(ROOT, PAGE), "w", encoding="utf-8") as f:
            f.write(self.text)

    def place_now(self, name, place):
        """As it is in the file that the row names, or in the only one that has it; else unchanged."""
        places = self.tests.get(name.strip("`"), [])
        match = PLACE.fullmatch(place)
        here = [at for at in places if match and at[0] == match.group(1)] or places
        if len(here) != 1:
            return place
        file, line = here[0]
        return "[%s:%d](%s#L%d)" % (file, line, os.path.relpath(file, "tests"), line)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the lines of " + PAGE + " right")
    page = Page()
    if parser.parse_args().write:
        page.write()
    wrong = list(page.problems())
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The table of statements in deploy/dotnet.md, between its two comments: a line for each statement, a column
for each pool mode. Each way of test_dotnet.py reads and writes its own column."""
import os

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "deploy",
                    "dotnet.md")
BEGIN, END = "<!-- statements: begin -->\n", "<!-- statements: end -->\n"
HEAD = ["what is asked", "with Entity Framework Core", "session", "transaction"]


def _parts():
    with open(PAGE) as f:
        before, rest = f.read().split(BEGIN)
    table, after = rest.split(END)
    rows = [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in table.splitlines()[2:]]
    return before, rows, after


def read(way):
    """Lists of name, code and what became of it that way."""
    return [[name, code.strip("`"), cells[HEAD.index(way) - 2]] for name, code, *cells in _parts()[1]]


def write(way, found):
    before, rows, after = _parts()
    known = {row[0]: row[2:] for row in rows}
    lines = [HEAD, ["---"] * len(HEAD)]
    for name, code, cell in found:
        cells = known.get(name, ["?", "?"])
        cells[HEAD.index(way) - 2] = cell
        lines.append([name, "`%s`" % code, *cells])
    with open(PAGE, "w") as f:
        f.write(before + BEGIN + "".join("| %s |\n" % " | ".join(line) for line in lines) + END + after)

"""deploy/README.md against the program: every reason and every SQLSTATE that the sources have stands there, and
none that they do not; its links lead somewhere; the commands it names exist."""
import os
import re
import subprocess
import unittest

from harness import env
from wire import TIMEOUT

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MANUAL = "deploy/README.md"
# A number of milliseconds in five digits.
NO_SQLSTATE = {"10000"}


def text_of(name):
    with open(os.path.join(REPOSITORY, name)) as f:
        return f.read()


def section(title):
    return re.search(r"(?ms)^###? %s$(.*?)(?=^##|\Z)" % re.escape(title), text_of(MANUAL)).group(1)


def rows(title):
    found = [[cell.strip() for cell in line.strip("|").split(" | ")]
             for line in section(title).splitlines() if line.startswith("| `")]
    return {row[0].strip("| `"): row[1:] for row in found}


def reasons():
    """Codes with what SHOW EXPLAIN says of them."""
    names = re.findall(r'"([a-z:_]+)"',
                       re.search(r"(?s) names = .*?\}\);", text_of("policy/reason.cpp")).group(0))
    enum = re.search(r"(?s)enum class reason .*?\{(.*?)count_", text_of("policy/reason.h")).group(1)
    enum = re.findall(r"^\s+(\w+),", re.sub(r"//.*", "", enum), re.M)
    meanings = {name: "".join(re.findall(r'"([^"]*)"', text)) for name, text in re.findall(
        r'meaning\{reason::(\w+),\s*((?:"[^"]*"\s*)+)\}', text_of("proxy/ops/console_reasons.cpp"))}
    assert len(names) == len(enum) == len(meanings) > 50, (len(names), len(enum), len(meanings))
    return {name: meanings[item] for name, item in zip(names, enum)}


def states():
    """Literals that look like a SQLSTATE and are compared with nothing: those the program gives."""
    found = set()
    for room in ("protocol", "policy", "cache", "config", "proxy"):
        for folder, _, files in os.walk(os.path.join(REPOSITORY, room)):
            for name in (f for f in files if f.endswith((".cpp", ".h"))):
                text = re.sub(r"//.*", "", text_of(os.path.join(folder, name)))
                found |= {code for compared, code in re.findall(
                    r'(==|!=)?\s*"([0-9A-Z]{5})"', text) if not compared and re.search(r"\d", code)}
    return found - NO_SQLSTATE


class ManualTest(unittest.TestCase):
    maxDiff = None

    def test_every_reason_with_what_the_program_says_of_it(self):
        said = {code: cells[0] for code, cells in rows("By reason").items()}
        self.assertEqual(said, reasons())
        for code, cells in rows("By reason").items():
            self.assertGreater(len(cells[1]), 5, code)

    def test_every_sqlstate(self):
        found = states()
        self.assertIn("55P03", found)
        self.assertIn("57P05", found)
        self.assertEqual(set(rows("By SQLSTATE")), found)

    def test_links_lead_somewhere(self):
        headings = {re.sub(r"[^a-z0-9_ -]", "", h.lower()).replace(" ", "-")
                    for h in re.findall(r"(?m)^#+ (.*)$", text_of(MANUAL))}
        for target in re.findall(r"\]\(([^)]+)\)", text_of(MANUAL)):
            path, _, anchor = target.partition("#")
            if path:
                self.assertTrue(os.path.exists(os.path.join(REPOSITORY, "deploy", path)), target)
            elif anchor:
                self.assertIn(anchor, headings)

    def test_settings_that_it_names_are_there(self):
        """A word of the form a.b in code, and those with an underscore in a table's or a list's code."""
        known = set(re.findall(r"(?m)^\| `([a-z_.]+)`", text_of("config/SETTINGS.md")))
        rooms = {key.split(".")[0] for key in known if "." in key}
        for word in re.findall(r"`([a-z_]+\.[a-z_]+)(?:: [^`]*)?`", text_of(MANUAL)):
            if word.split(".")[0] in rooms:
                self.assertIn(word, known)

    def test_commands_that_it_names_are_there(self):
        if env.control:
            self.skipTest("control run: there is no program")
        usage = subprocess.run([env.program, "--help"], capture_output=True, text=True, check=True,
                               timeout=TIMEOUT).stdout
        for command in set(re.findall(r"\bpgsidecar (check|run|migrate|validate|version)\b",
                                      text_of(MANUAL))):
            self.assertIn("  " + command + " ", usage)
        for script in re.findall(r"\bdeploy/[a-z-]+\.sh\b", text_of(MANUAL)):
            self.assertTrue(os.access(os.path.join(REPOSITORY, script), os.X_OK), script)

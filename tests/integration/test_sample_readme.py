"""The commands of deploy/samples/prescription-api/README.md, all of them in their order, by one bash as a
reader has it. Nothing in them is changed, so that they hold: their ports are those of a network of our own."""
import os
import re
import shutil
import subprocess
import time
import unittest

from harness import PGBIN, env
from sample_case import DOTNET, FOLDER

README = os.path.join(FOLDER, "README.md")
MARK = "==== line "
TEN_MINUTES = 600  # that the reader was promised; what has to be downloaded comes on top


def blocks():
    """(line, text) of each block."""
    with open(README, encoding="utf-8") as f:
        text = f.read()
    fences = re.findall(r"^```(\w*)$", text, re.M)
    if set(fences[::2]) != {"sh"} or set(fences[1::2]) != {""}:
        raise AssertionError("a block of %s is of another kind: %s" % (README, fences))
    return [(text.count("\n", 0, m.start()) + 1, m.group(1))
            for m in re.finditer(r"^```sh\n(.*?)^```$", text, re.M | re.S)]


def ending():
    """The last sentence of the walk: how to end and clean up, in backquotes."""
    with open(README, encoding="utf-8") as f:
        sentence = re.search(r"^To end and clean up:(.*?)\n\n", f.read(), re.M | re.S).group(1)
    return "\n".join(re.findall(r"`([^`]+)`", sentence)) + "\nwait\n"


def own_network():
    """How a command is run in a network of its own, as somebody who may start PostgreSQL; None if it cannot be."""
    if os.geteuid() == 0 and shutil.which("unshare") and shutil.which("runuser") and shutil.which("ip"):
        enter = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "sh", "-c",
                 'ip link set lo up && exec runuser -u postgres -- env HOME="$HOME" "$@"', "sh"]
        if subprocess.run(enter + ["true"], capture_output=True).returncode == 0:
            return enter
    return None


@unittest.skipUnless(shutil.which("dotnet"), "not run: no .NET SDK")
class ReadmeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if env.control:
            raise unittest.SkipTest("control run: there is no program")
        cls.enter = own_network()
        if cls.enter is None:
            raise unittest.SkipTest("not run: no right to a network of our own")
        cls.home = os.path.join(env.folder, "reader")
        cls.folder = os.path.join(cls.home, "deploy", "samples", "prescription-api")
        tracked = subprocess.run(["git", "ls-files", "."], cwd=FOLDER, text=True, check=True, capture_output=True)
        for name in tracked.stdout.split():
            target = os.path.join(cls.folder, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(os.path.join(FOLDER, name), target)
        os.makedirs(cls.home + "/bin")
        shutil.copy(env.program, cls.home + "/bin/pgsidecar")
        cls.variables = {**DOTNET, "HOME": cls.home, "NUGET_PACKAGES": cls.home + "/packages",
                         "PATH": ":".join([cls.home + "/bin", PGBIN, os.environ["PATH"]]), "LC_ALL": "C.UTF-8"}
        # There is no other network in there: what the reader would download is downloaded before.
        done = subprocess.run(["dotnet", "restore", cls.folder], text=True, stdout=subprocess.PIPE, timeout=600,
                              stderr=subprocess.STDOUT, env={**os.environ, **cls.variables})
        assert done.returncode == 0, done.stdout[-3000:]
        subprocess.run(["chown", "-R", "postgres:", cls.home], check=True)
        began = time.monotonic()
        cls.said = cls.read_it()
        cls.took = time.monotonic() - began

    @classmethod
    def script(cls):
        # A command that fails says so; `wait` returns how the program ended that was told to end.
        out = ["trap 'code=$?; [[ $BASH_COMMAND == wait* ]] || echo \"FAILED with $code: $BASH_COMMAND\"' ERR",
               "set -o pipefail -m"]  # jobs have numbers, as where one types
        for line, text in [*blocks(), ("end", ending())]:
            out += ["echo", "echo '%s%s'" % (MARK, line), text]
        return "\n".join(out)

    @classmethod
    def read_it(cls):
        """What each block printed, by the number of its line."""
        process = subprocess.Popen([*cls.enter, "bash", "-c", cls.script()], cwd=cls.folder, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env={**os.environ, **cls.variables}, start_new_session=True)
        try:
            text = process.communicate(timeout=3 * TEN_MINUTES)[0]
        finally:
            if process.poll() is None:
                process.kill()  # and with it all of its namespace
                process.wait()
        parts = re.split("^%s(.*)\n" % MARK, text, flags=re.M)
        return {int(line) if line.isdigit() else line: said for line, said in zip(parts[1::2], parts[2::2])}

    def block(self, word):
        """What the one block printed in which this word stands."""
        found = [line for line, text in blocks() if word in text]
        self.assertEqual(len(found), 1, word)
        return self.said[found[0]]

    def answers(self, word):
        """What the application answered in that block, a line each."""
        found = re.findall(r"\{\".*\}", self.block(word))
        self.assertTrue(found, self.block(word))
        return found

    def everything(self):
        with open(os.path.join(self.folder, "pgsidecar.log"), encoding="utf-8") as f:
            log = f.read()
        return "\n".join("%s: %s" % pair for pair in self.said.items()) + "\nits log:\n" + log[-3000:]

    def test_no_command_fails(self):
        self.assertTrue(os.path.isdir(self.home + "/prescriptions-data"), "it is somebody else's home")
        self.assertEqual(sorted(self.said, key=str), sorted([line for line, _ in blocks()] + ["end"], key=str))
        wrong = {line: said for line, said in self.said.items() if "FAILED" in said or "command not found" in said}
        self.assertEqual(wrong, {}, self.everything())

    def test_the_tables_are_made(self):
        self.assertRegex(self.block("--migrate"), r"(?m)^migrated: \d+_Initial$")

    def test_each_tenant_sees_its_own(self):
        *created, both, none = self.answers("for drug in")
        self.assertEqual(len(created), 2)
        self.assertTrue("Amoxicillin" in both and "Ibuprofen" in both, both)
        self.assertIn('"items":[]', none)

    def test_two_hits_more(self):
        numbers = re.findall(r"^(hits|misses)\|(\d+)$", self.block("grep -E '^(hits|misses)'"), re.M)
        self.assertEqual([name for name, _ in numbers], ["hits", "misses"] * 2)
        hits, misses, later_hits, later_misses = (int(number) for _, number in numbers)
        self.assertEqual((later_hits - hits, later_misses - misses), (2, 0))

    def test_a_write_shows_at_once_and_the_other_way_says_the_same(self):
        cancelled = self.answers("/cancel")[-1]
        self.assertTrue("Amoxicillin" in cancelled and "Ibuprofen" not in cancelled, cancelled)
        self.assertEqual(self.answers("Database__Use=Direct")[-1], cancelled)

    def test_it_is_over_in_ten_minutes(self):
        self.assertLess(self.took, TEN_MINUTES)


if __name__ == "__main__":
    unittest.main()

"""The Debian package of the program under test: made, looked at, installed, upgraded, run and purged. It is
installed over a copy of this machine's files that lives in memory and in namespaces of its own, so the machine
itself stays as it is. That takes root."""
import os
import shutil
import subprocess
import unittest

import psycopg

from harness import Output, env, wait_until
from wire import TIMEOUT

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE = 300  # seconds for a package, on a machine that does other things as well
CONFIG = "/etc/pgsidecar/pgsidecar.yaml"
# The upper layer is gone with the namespace.
MAKE_ROOT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
echo ready
read -r _
"""


class Root:
    """A copy of the machine's files to install into."""

    made = 0

    def __init__(self, test):
        Root.made += 1
        self.folder = os.path.join(env.folder, "root%d" % Root.made)
        os.mkdir(self.folder)
        self.holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", MAKE_ROOT, "sh", self.folder],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True)
        test.addCleanup(self.close)
        said = self.holder.stdout.readline()
        if said != "ready\n":
            test.skipTest("not run: no root to install into: " + said.strip())

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(TIMEOUT)
        self.holder.stdout.close()

    def command(self, *command):
        return ["nsenter", "-t", str(self.holder.pid), "--mount", "chroot", self.folder + "/root",
                "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *command]

    def run(self, *command, well=True):
        done = subprocess.run(self.command(*command), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
        if well and done.returncode != 0:
            raise AssertionError("%s: exit code %d:\n%s" % (command, done.returncode, done.stdout))
        return done.stdout if well else done.returncode

    def install(self, package, *options):
        shutil.copy(package, "/proc/%d/root%s/root/" % (self.holder.pid, self.folder))
        return self.run("dpkg", *options, "-i", "/" + os.path.basename(package))

    def as_service(self, *command):
        return self.command("setpriv", "--reuid=pgsidecar", "--regid=pgsidecar", "--clear-groups",
                            "--no-new-privs", *command)

    def access(self, path):
        return self.run("stat", "-c", "%U:%G %a", path).strip()


class PackageTest(unittest.TestCase):
    packages = {}

    def setUp(self):
        if env.control:
            self.skipTest("control run: there is no program")
        for tool in ("cpack", "dpkg-shlibdeps", "help2man"):
            if not shutil.which(tool):
                self.skipTest("not run: %s is not installed (tests/install.sh)" % tool)
        if os.path.exists(CONFIG) or os.path.exists("/usr/bin/pgsidecar"):
            self.skipTest("not run: pgsidecar is installed on this machine")

    def package(self, release=1):
        if release not in self.packages:
            done = subprocess.run([os.path.join(REPOSITORY, "deploy", "package.sh"), "--program",
                                   env.program, "--output", os.path.join(env.folder, "packages"),
                                   "--release", str(release)],
                                  capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.packages[release] = done.stdout.strip()
        return self.packages[release]

    def root(self):
        if os.geteuid() != 0:
            self.skipTest("not run: only root can install a package")
        return Root(self)

    def test_lintian(self):
        if not shutil.which("lintian"):
            self.skipTest("not run: lintian is not installed (tests/install.sh)")
        command = ["lintian", "--fail-on", "error,warning", self.package()]
        if os.geteuid() == 0:
            command.insert(1, "--allow-root")
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_what_is_installed(self):
        root = self.root()
        root.install(self.package())
        name, _, uid, gid, _, home, shell = root.run("getent", "passwd", "pgsidecar").strip().split(":")
        self.assertEqual((name, home, shell), ("pgsidecar", "/nonexistent", "/usr/sbin/nologin"))
        self.assertTrue(0 < int(uid) < 1000 and 0 < int(gid) < 1000, (uid, gid))
        for path, access in (("/usr/bin/pgsidecar", "root:root 755"), (CONFIG, "root:pgsidecar 640"),
                             ("/etc/pgsidecar", "root:pgsidecar 750"),
                             ("/lib/systemd/system/pgsidecar.service", "root:root 644"),
                             ("/lib/systemd/system/pgsidecar@.service", "root:root 644"),
                             ("/lib/systemd/system/pgsidecar.socket", "root:root 644"),
                             ("/usr/share/pgsidecar/sql/up.sql", "root:root 644"),
                             ("/usr/share/pgsidecar/grafana/pgsidecar-dashboard.json", "root:root 644"),
                             ("/usr/share/doc/pgsidecar/deploy/README.md", "root:root 644"),
                             ("/usr/share/man/man1/pgsidecar.1.gz", "root:root 644")):
            self.assertEqual(root.access(path), access, path)
        self.assertNotEqual(root.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                                     "cat", CONFIG, well=False), 0)
        # What it needs is named: a library that is not would be missing elsewhere.
        needs = root.run("dpkg-query", "-W", "-f", "${Depends}", "pgsidecar")
        for library in ("libc6", "libssl3", "libpq5", "adduser"):
            self.assertIn(library, needs)
        self.assertEqual(root.run("dpkg", "-V", "pgsidecar"), "")
        # Neither started nor enabled: there is a server to be named first.
        self.assertEqual(root.run("find", "/etc/systemd", "-name", "pgsidecar*"), "")

    def test_units_find_what_they_need(self):
        root = self.root()
        if root.run("which", "systemd-analyze", well=False) != 0:
            self.skipTest("not run: systemd-analyze is not installed")
        root.install(self.package())
        for name in ("pgsidecar.service", "pgsidecar@1.service", "pgsidecar.socket"):
            self.assertEqual(root.run("systemd-analyze", "verify", "--man=no", name), "", name)

    def test_rotation_of_a_log_file(self):
        """copytruncate is right only for a file that is appended to."""
        root = self.root()
        root.install(self.package())
        self.assertIn("copytruncate", root.run("cat", "/etc/logrotate.d/pgsidecar"))
        root.run("install", "-d", "-o", "pgsidecar", "/var/log/pgsidecar")
        log = "/var/log/pgsidecar/program.log"
        program, _ = self.start(root, "--set", "log.file=" + log)
        wait_until("a line in the log",
                   lambda: "listening on " in root.run("sh", "-c", "cat %s || true" % log))
        files = "/proc/%d/fd" % program.pid
        found = [fd for fd in os.listdir(files) if os.readlink(os.path.join(files, fd)).endswith(log)]
        self.assertEqual(len(found), 1)
        with open("/proc/%d/fdinfo/%s" % (program.pid, found[0])) as f:
            flags = next(int(line.split()[1], 8) for line in f if line.startswith("flags"))
        self.assertTrue(flags & os.O_APPEND)

    def start(self, root, *arguments):
        """As the unit does, with the configuration as it is shipped but for ports."""
        program = subprocess.Popen(
            root.as_service("/usr/bin/pgsidecar", "run", "-c", CONFIG, "--set", "listen_port=0", "--set",
                            "upstream.port=%d" % env.cluster.port, *arguments),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        def end():
            program.terminate()
            self.assertEqual(program.wait(TIMEOUT), 0)
            output.thread.join(TIMEOUT)
            program.stderr.close()

        output = Output(program.stderr, os.path.join(env.folder, "packaged%d.log" % program.pid))
        self.addCleanup(end)
        return program, output

    def test_it_runs_with_the_configuration_that_is_shipped(self):
        root = self.root()
        root.install(self.package())
        subprocess.run(root.as_service("/usr/bin/pgsidecar", "check", "-c", CONFIG), check=True,
                       capture_output=True, timeout=TIMEOUT)
        program, output = self.start(root)
        port = int(output.wait_for("listening on ").rsplit(":", 1)[1])
        self.assertEqual(os.stat("/proc/%d" % program.pid).st_uid,
                         int(root.run("id", "-u", "pgsidecar")))
        with psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=postgres" % port) as conn:
            self.assertEqual(conn.execute("SELECT 41 + 1").fetchone(), (42,))

    def changed_package(self):
        """Release 2, whose configuration is another one than that of release 1."""
        inside, out = os.path.join(env.folder, "inside"), os.path.join(env.folder, "changed.deb")
        subprocess.run(["dpkg-deb", "-R", self.package(2), inside], check=True)
        with open(inside + CONFIG, "a") as f:
            f.write("\n# new in this release\n")
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", inside, out], check=True,
                       capture_output=True)
        shutil.rmtree(inside)
        return out

    def test_upgrade(self):
        root, changed = self.root(), self.changed_package()
        root.install(self.package())
        root.run("sh", "-c", "echo '# an edit of ours' >>" + CONFIG)
        root.run("chmod", "600", CONFIG)
        root.run("chown", "pgsidecar:", CONFIG)
        root.install(changed, "--force-confdef", "--force-confold")
        self.assertTrue(root.run("cat", CONFIG).endswith("# an edit of ours\n"))
        self.assertEqual(root.access(CONFIG), "pgsidecar:pgsidecar 600")
        self.assertIn("new in this release", root.run("cat", CONFIG + ".dpkg-dist"))
        self.assertTrue(root.access(CONFIG + ".dpkg-dist").endswith(":pgsidecar 600"))

    def test_upgrade_without_edits_brings_the_new_configuration(self):
        root, changed = self.root(), self.changed_package()
        root.install(self.package())
        root.install(changed)
        self.assertIn("new in this release", root.run("cat", CONFIG))
        self.assertEqual(root.access(CONFIG), "root:pgsidecar 640")

    def test_remove_and_purge(self):
        root = self.root()
        root.install(self.package())
        root.run("sh", "-c", "cd /etc/pgsidecar && touch pgpass pgsidecar.Production.yaml && "
                 "install -d -o pgsidecar /var/log/pgsidecar /run/pgsidecar")
        root.run("dpkg", "-r", "pgsidecar")
        self.assertEqual(root.access(CONFIG), "root:pgsidecar 640")
        self.assertEqual(root.run("test", "-e", "/usr/bin/pgsidecar", well=False), 1)
        root.run("dpkg", "-P", "pgsidecar")
        self.assertEqual(root.run("find", "/etc", "/usr", "/lib", "/var", "/run", "-name", "*pgsidecar*",
                                  "-not", "-path", "/var/cache/*"), "")
        self.assertEqual(root.run("getent", "passwd", "pgsidecar", well=False), 2)
        self.assertEqual(root.run("getent", "group", "pgsidecar", well=False), 2)

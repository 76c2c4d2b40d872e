"""The installer of pgsidecar.exe, by wixl, under wine: install, upgrade, remove."""
import os
import shutil
import subprocess

from harness import env, wait_until
from windows_case import PATIENCE, WindowsTest, text_of, windows_path

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class InstallerTest(WindowsTest):
    def setUp(self):
        if not shutil.which("wixl") or not shutil.which("msibuild"):
            self.skipTest("not run: wixl and msitools are not installed")

    def build(self, version):
        path = os.path.join(self.folder, "pgsidecar-%s.msi" % version)
        subprocess.run([ROOT + "/deploy/windows/msi.sh", env.program, path, version], check=True,
                       capture_output=True)
        return path

    def msiexec(self, *words):
        code, output = self.wine.command("wine64", "msiexec", *words, "/qn")
        self.assertEqual(code, 0, output)

    def inside(self, *parts):
        return os.path.join(self.wine.prefix, "drive_c", *parts)

    def test_install_upgrade_remove(self):
        old, new = self.build("0.1.0"), self.build("0.1.1")
        program = self.inside("Program Files", "pgsidecar", "pgsidecar.exe")
        config = self.inside("ProgramData", "pgsidecar", "pgsidecar.yaml")

        self.msiexec("/i", windows_path(old))
        self.assertTrue(os.path.exists(program))
        said = self.service("status", code=3)
        self.assertIn('"C:\\Program Files\\pgsidecar\\pgsidecar.exe" service run --name pgsidecar', said)
        self.assertIn("NT SERVICE\\pgsidecar", said)

        # The sample is replaced by what the administrator needs, and that outlives the rest.
        path, port, log = self.configure("installed")
        shutil.copy(path, config)
        mine = text_of(config)
        self.service("start")
        self.check_hit(port)

        self.msiexec("/i", windows_path(new))
        self.assertEqual(text_of(config), mine)
        self.service("status", code=3)  # stopped for its new program
        self.service("start")
        self.check_hit(port)

        self.msiexec("/x", windows_path(new))
        wait_until("the end of the service", lambda: "stopped" in text_of(log), PATIENCE)
        self.assertFalse(os.path.exists(program))
        self.service("status", code=4)
        self.assertEqual(text_of(config), mine)

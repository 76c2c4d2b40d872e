"""The PowerShell scripts of deploy/windows: that they parse, also by Windows PowerShell 5.1, explain each
parameter, do nothing with -WhatIf, and do what they say with the real program."""
import json
import os
import signal
import subprocess
import unittest
import zipfile

import psycopg

from harness import TIMEOUT, env
from powershell_case import SCRIPTS, PowerShellCase

# The engine's own; for the rest StandIns.ps1 of tests/powershell has to have one.
CORE = {"Import-Module", "Out-Null"}
CONNECTION = "Host=10.0.0.5;Port=5432;Database=clinic;Username=app;Password=secret"


class LookTest(PowerShellCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        names = sorted(name for name in os.listdir(SCRIPTS) if name.endswith(".ps1"))
        done = subprocess.run(["dotnet", cls.host, "look", *(os.path.join(SCRIPTS, name) for name in names)], text=True,
                              check=True, stdout=subprocess.PIPE, timeout=2 * TIMEOUT)
        cls.all = json.loads(done.stdout)
        cls.scripts = {name: found for name, found in cls.all.items() if name != "PgSidecar.Common.ps1"}

    def each(self, scripts):
        self.assertGreaterEqual(len(scripts), 5)
        return scripts.items()

    def test_they_parse_in_both_powershells(self):
        for name, found in self.each(self.all):
            self.assertEqual((found["Errors"], found["Newer"]), ([], []), name)
            with open(os.path.join(SCRIPTS, name), encoding="ascii") as f:
                text = f.read()
            self.assertTrue("Set-StrictMode -Version 2.0" in text or "PgSidecar.Common.ps1" in text)
            if name in self.scripts:
                self.assertIn("\n#Requires -Version 5.1\n", text)

    def test_each_parameter_has_its_help(self):
        for name, found in self.each(self.scripts):
            self.assertTrue(found["Synopsis"] and found["Examples"], name)
            self.assertGreater(len(found["Parameters"]), 2, name)
            self.assertEqual(sorted(found["Helped"]), sorted(p.upper() for p in found["Parameters"]), name)

    def test_each_can_say_what_it_would_do_and_ends_with_a_code(self):
        for name, found in self.each(self.scripts):
            self.assertTrue(found["ShouldProcess"] and found["Ends"], name)

    def test_no_cmdlet_is_used_that_is_not_stood_in_for(self):
        with open(os.path.join(os.path.dirname(SCRIPTS), "..", "tests", "powershell", "StandIns.ps1")) as f:
            known = {line.split()[1].split("(")[0] for line in f if line.startswith("function ")} | CORE
        for name, found in self.each(self.all):
            foreign = {c for c in found["Commands"] if "PgSidecar" not in c}
            self.assertLessEqual(foreign, known | {"Set-StrictMode"}, name)


class InstallTest(PowerShellCase):
    def install(self, *more, **options):
        return self.run_script("Install-PgSidecar.ps1", "-Config", self.config, "-Destination",
                               os.path.join(self.folder, "installed"), *more, **options)

    def answer(self):
        with psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres",
                             sslmode="disable", connect_timeout=TIMEOUT) as conn:
            return conn.execute("SELECT 7").fetchone()

    def test_it_runs_afterwards_and_a_second_time_changes_nothing(self):
        done = self.install("-Account", "LocalService", "-StartType", "delayed")
        self.assertEqual(done.code, 0, done)
        self.assertEqual([call[:2] for call in done.program], [
            ["check", "-c"], ["service", "install"], ["service", "start"], ["service", "status"]])
        self.assertEqual(done.program[1], ["service", "install", "--name", "pgsidecar", "--config", self.config,
                                           "--start", "delayed", "--account", "LocalService"])
        self.assertEqual(self.answer(), (7,))
        before = self.snapshot()
        self.assertIn(os.path.join(self.folder, "installed", "pgsidecar"), before)
        again = self.install("-Verbose")
        self.assertEqual(again.code, 0, again)
        self.assertEqual([call[:2] for call in again.program], [["check", "-c"], ["service", "status"]])
        self.assertEqual((again.cmdlets, self.snapshot()), ([], before))
        self.assertIn("VERBOSE: the service pgsidecar runs already", again.said)

    def test_what_if_changes_nothing(self):
        before = self.snapshot()
        done = self.install("-WhatIf")
        self.assertEqual(done.code, 0, done)
        self.assertEqual((done.cmdlets, [call[0] for call in done.program]), ([], ["check"]))
        self.assertEqual(self.snapshot(), before)
        for word in ("Copy ", "Install the service", "Start the service"):
            self.assertRegex(done.said, "What if: .*" + word)

    def test_without_start(self):
        done = self.install("-NoStart", "-Name", "second")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.read("service-second").split("\n")[0], "Stopped")
        done = self.install("-Name", "second")
        self.assertEqual(self.read("service-second").split("\n")[0], "Running", done)

    def test_a_configuration_that_is_not_valid(self):
        self.write("pgsidecar.yaml", "listen_port: many\n")
        before = self.snapshot()
        done = self.install()
        self.assertEqual((done.code, done.cmdlets, self.snapshot()), (2, [], before), done)
        self.assertIn("listen_port", done.said)
        self.assertEqual([call[0] for call in done.program], ["check"])

    def test_what_is_not_there(self):
        for script, arguments in (("Install-PgSidecar.ps1", ("-Config", "nowhere.yaml")),
                                  ("Deploy-PgSidecar.ps1", ("-Config", "nowhere.yaml")),
                                  ("Rollback-PgSidecar.ps1", ("-Config", "nowhere.yaml", "-Step", "Flag")),
                                  ("Get-PgSidecarDiagnostics.ps1", ("-Config", "nowhere.yaml")),
                                  ("Set-PgSidecarConnectionString.ps1", ("-File", "nowhere.json"))):
            with self.subTest(script):
                done = self.run_script(script, *arguments)
                self.assertEqual((done.code, done.program), (2, []), done)
                self.assertIn("there is no file " + self.folder, done.said)
        os.remove(self.program)
        done = self.install()
        self.assertEqual(done.code, 2)
        self.assertIn("there is no program " + self.program, done.said)

    def test_a_restart_with_a_new_program_and_with_one_that_does_not_start(self):
        self.assertEqual(self.install().code, 0)
        installed, new = os.path.join(self.folder, "installed", "pgsidecar"), os.path.join(self.folder, "new", "pgsidecar")
        os.makedirs(os.path.dirname(new))
        good = self.read("pgsidecar")
        for text, code in ((good + "# newer\n", 0), (good.replace("import json", "import json, sys\n"
                           "if sys.argv[1:3] == ['service', 'start']: sys.exit(1)\nimport json", 1), 1)):
            with open(new, "w", encoding="utf-8") as f:
                f.write(text)
            os.chmod(new, 0o755)
            old, self.program = self.program, new
            arguments = ("Deploy-PgSidecar.ps1", "-Config", self.config, "-Restart", "-Destination", self.folder + "/installed")
            before = self.snapshot()
            done = self.run_script(*arguments, "-WhatIf")
            self.assertEqual((done.code, self.snapshot()), (0, before), done)
            done = self.run_script(*arguments)
            self.program = old
            self.assertEqual(done.code, code, done)
            self.assertEqual(self.answer(), (7,))
            with open(installed, encoding="utf-8") as f:
                self.assertEqual(f.read(), good + "# newer\n")
        self.assertEqual(self.read("service-pgsidecar").split("\n")[0], "Running")

    def test_what_fails_is_told_by_the_code(self):
        done = self.install(fails={"service install": 1})
        self.assertEqual((done.code, [call[:2] for call in done.program][-1]), (1, ["service", "install"]), done)
        done = self.install(fails={"service start": 5})
        self.assertEqual((done.code, [call[:2] for call in done.program][-1]), (5, ["service", "start"]), done)
        done = self.install()  # another try goes on where that one ended
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.answer(), (7,))


class ArgumentsTest(PowerShellCase):
    """How the program is called by those scripts whose work is all its own."""
    real = False

    def test_deploy(self):
        workload, end = self.write("w.sql", "SELECT 1;\n"), ["-c", self.config]
        done = self.run_script("Deploy-PgSidecar.ps1", "-Config", self.config, "-Workload", "w.sql", "-Database", "clinic",
                               "-User", "app")
        self.assertEqual((done.code, done.program), (0, [
            ["check", *end], ["deploy", "green", *end],
            ["deploy", "switch", *end, "--workload", workload, "--database", "clinic", "--user", "app"],
            ["deploy", "status", *end]]), done)
        done = self.run_script("Deploy-PgSidecar.ps1", "-Config", self.config, "-GreenOnly")
        self.assertEqual([call[1] for call in done.program[1:]], ["green", "status"])
        done = self.run_script("Deploy-PgSidecar.ps1", "-Config", self.config, "-NoValidate", "-WhatIf")
        self.assertEqual((done.code, done.program), (0, [["check", *end]]))
        self.assertEqual(done.said.count("What if: "), 2)
        done = self.run_script("Deploy-PgSidecar.ps1", "-Config", self.config)
        self.assertEqual((done.code, done.program), (2, []))

    def test_what_does_not_come_up_is_not_switched_to(self):
        for verb, code in (("check", 2), ("deploy green", 1), ("deploy switch", 1)):
            with self.subTest(verb):
                done = self.run_script("Deploy-PgSidecar.ps1", "-Config", self.config, "-NoValidate", fails={verb: code})
                self.assertEqual((done.code, " ".join(done.program[-1]).startswith(verb)), (code, True), done)

    def rollback(self, *arguments, **options):
        return self.run_script("Rollback-PgSidecar.ps1", "-Config", self.config, "-Step", *arguments, **options)

    def test_rollback(self):
        settings = self.write("appsettings.json", "{}")
        for step, *more in (("Flag",), ("Config",), ("Application", "-File", "appsettings.json"), ("Database",)):
            done = self.rollback(step, *more)
            self.assertEqual((done.code, done.program), (0, [
                ["deploy", "rollback", step.lower(), "-c", self.config, *(["--file", settings] if more else [])]]), done)
        done = self.rollback("Flag", "-WhatIf")
        self.assertEqual((done.code, done.program), (0, []))
        self.assertEqual([self.rollback(*wrong).code for wrong in (
            ("Everything",), ("Application",), ("Flag", "-File", "appsettings.json"))], [1, 2, 2])
        self.assertEqual(self.rollback("Flag", fails={"deploy rollback": 1}).code, 1)

    def test_application_pools(self):
        self.write("pool-Shop", "Started\n")
        self.write("pool-Old", "Stopped\n")
        self.write("appsettings.json", "{}")
        step, both = ("Application", "-File", "appsettings.json"), ("-AppPool", "Shop,Old")
        done = self.rollback(*step, *both)
        self.assertEqual((done.code, done.cmdlets), (0, ["Restart-WebAppPool Shop"]), done)
        done = self.rollback(*step, *both, "-WhatIf")
        self.assertEqual((done.code, done.cmdlets), (0, []))
        self.assertRegex(done.said, "What if: .*Recycle.*Shop")
        done = self.rollback("Flag", *both)
        self.assertEqual((done.code, done.program, done.cmdlets), (2, [], []))
        done = self.rollback(*step, "-AppPool", "Nobodys")
        self.assertEqual(done.code, 1, done)

    def test_diagnostics_that_are_there_already(self):
        self.write("case.zip", "old")
        done = self.run_script("Get-PgSidecarDiagnostics.ps1", "-Config", self.config, "-Out", "case.zip")
        self.assertEqual((done.code, done.program, self.read("case.zip")), (2, [], "old"), done)
        done = self.run_script("Get-PgSidecarDiagnostics.ps1", "-Config", self.config, "-Out", "case.zip", "-Force", "-WhatIf")
        self.assertEqual((done.code, done.program, self.read("case.zip")), (0, [], "old"), done)
        done = self.run_script("Get-PgSidecarDiagnostics.ps1", "-Config", self.config, "-Out", "none.zip")
        self.assertEqual(done.code, 1, done)  # this one says that it has done it, and has not
        self.assertEqual(done.program, [["diagnose", "--out", os.path.join(self.folder, "none.zip"), "-c", self.config]])


class ConnectionStringTest(PowerShellCase):
    def setUp(self):
        super().setUp()
        self.needs("connection-string")
        self.write("appsettings.json", json.dumps({"ConnectionStrings": {"Clinic": CONNECTION}}, indent=2))
        self.write("pool-Clinic", "Started\n")

    def change(self, *arguments):
        done = self.run_script("Set-PgSidecarConnectionString.ps1", "-File", "appsettings.json", "-AppPool", "Clinic", *arguments)
        self.assertNotIn("secret", done.said)
        return done

    def test_there_and_back(self):
        before = self.read("appsettings.json")
        done = self.change("-Name", "Clinic", "-Port", 7000)
        self.assertEqual((done.code, done.cmdlets), (0, ["Restart-WebAppPool Clinic"]), done)
        self.assertIn("Host=127.0.0.1;Port=7000;Database=clinic;Username=app;Password=secret", self.read("appsettings.json"))
        done = self.change("-Name", "Clinic", "-Port", 7000)
        self.assertEqual((done.code, done.cmdlets), (0, []), done)  # nothing to do, nothing to recycle
        done = self.change("-Restore")
        self.assertEqual((done.code, done.cmdlets), (0, ["Restart-WebAppPool Clinic"]), done)
        self.assertEqual(self.read("appsettings.json"), before)

    def test_roll_back_the_application(self):
        self.needs("deploy")
        before = self.read("appsettings.json")
        self.assertEqual(self.change().code, 0)
        self.assertNotEqual(self.read("appsettings.json"), before)
        settings = json.loads(self.read("pgsidecar.yaml"))
        settings["takeover_socket"] = os.path.join(self.folder, "takeover")
        self.write("pgsidecar.yaml", json.dumps(settings))
        done = self.run_script("Rollback-PgSidecar.ps1", "-Config", self.config, "-Step", "Application", "-File",
                               "appsettings.json", "-AppPool", "Clinic")
        self.assertEqual((done.code, done.cmdlets), (0, ["Restart-WebAppPool Clinic"]), done)
        self.assertEqual(self.read("appsettings.json"), before)

    def test_what_if_changes_nothing(self):
        before = self.snapshot()
        done = self.change("-WhatIf")
        self.assertEqual((done.code, done.cmdlets, self.snapshot()), (0, [], before), done)
        self.assertIn("What if: ", done.said)
        self.assertIn("127.0.0.1", done.said)

    def test_a_name_that_is_not_there(self):
        before = self.snapshot()
        done = self.change("-Name", "Nobodys")
        self.assertNotEqual(done.code, 0, done)
        self.assertEqual((done.cmdlets, self.snapshot()), ([], before))


class DeployTest(PowerShellCase):
    def test_diagnostics(self):
        self.needs("diagnose")
        done = self.run_script("Get-PgSidecarDiagnostics.ps1", "-Config", self.config, "-Out", "case.zip")
        self.assertEqual(done.code, 0, done)
        self.assertIn(os.path.join(self.folder, "case.zip"), done.said)
        with zipfile.ZipFile(os.path.join(self.folder, "case.zip")) as archive:
            self.assertIsNone(archive.testzip())
            self.assertTrue(archive.namelist())

    def test_deploy_and_back(self):
        self.needs("deploy")
        settings = json.loads(self.read("pgsidecar.yaml"))
        settings["takeover_socket"] = os.path.join(self.folder, "takeover")
        settings["admin_users"] = ["scram_user"]
        settings["upstream"]["control_connection"] = "user=postgres dbname=postgres"
        self.write("pgsidecar.yaml", json.dumps(settings))
        os.chmod(self.write("pgpass", "*:*:*:scram_user:sesame\n"), 0o600)
        done = self.run_script("Install-PgSidecar.ps1", "-Config", self.config, "-Destination", self.folder + "/installed")
        self.assertEqual(done.code, 0, done)
        with self.connect() as conn:
            blue = conn.info.backend_pid
        done = self.run_script("Deploy-PgSidecar.ps1", "-Config", self.config, "-NoValidate", "-Arguments", "--drain,5")
        self.assertEqual(done.code, 0, done)
        self.addCleanup(self.end_green)
        with self.connect() as conn:
            self.assertNotEqual(conn.info.backend_pid, blue)
            self.assertEqual(conn.execute("SELECT 7").fetchone(), (7,))
        self.assertEqual(self.flag(), "true")
        done = self.run_script("Rollback-PgSidecar.ps1", "-Config", self.config, "-Step", "Flag",
                               PGPASSFILE=os.path.join(self.folder, "pgpass"))
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.flag(), "false")

    def connect(self, user="postgres", database="postgres"):
        return psycopg.connect(host="127.0.0.1", port=self.port, user=user, password="sesame", dbname=database,
                               sslmode="disable", autocommit=True, connect_timeout=TIMEOUT)

    def flag(self):
        with self.connect("scram_user", "pgsidecar") as conn:
            return {row[0].rsplit(".", 1)[-1]: row[1] for row in conn.execute("SHOW FLAGS")}["enable_optimizations"]

    def end_green(self):
        """Those that run with this configuration, and are nobody's children here."""
        for entry in os.listdir("/proc"):
            try:
                with open("/proc/%d/cmdline" % int(entry), "rb") as f:
                    mine = self.folder.encode() in f.read()
            except (ValueError, OSError):
                continue
            if mine and int(entry) != os.getpid():
                os.kill(int(entry), signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()

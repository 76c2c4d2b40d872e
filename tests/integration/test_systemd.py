"""The program under a service manager. The test is the manager: it has the socket to which sd_notify(3)
sends, and hands over listening sockets as sd_listen_fds(3) says. The unit files go through systemd-analyze,
where that is installed."""
import ctypes
import ctypes.util
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import unittest

import psycopg

from harness import Sidecar, env, free_port, with_sockets
from wire import TIMEOUT

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNITS = os.path.join(REPOSITORY, "deploy", "systemd")
MOST_EXPOSURE = 1.5  # systemd-analyze calls up to 2 "OK", a unit without any of it has 9.6


class Manager:
    """What the program says to whoever has started it."""

    made = 0

    def __init__(self, test, abstract=False):
        Manager.made += 1
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        test.addCleanup(self.socket.close)
        self.name = ("@pgsidecar-test-%d-%d" % (os.getpid(), Manager.made) if abstract else
                     os.path.join(env.folder, "notify%d" % Manager.made))
        self.socket.bind(self.name.replace("@", "\0", 1) if abstract else self.name)

    def next(self, timeout=TIMEOUT):
        """A message as a dict, or None."""
        self.socket.settimeout(timeout)
        try:
            lines = self.socket.recv(4096).decode().split("\n")
        except TimeoutError:
            return None
        return dict(line.split("=", 1) for line in lines if line)

    def wait_for(self, key):
        """The next message that has this; what it says only beside it is passed over."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            got = self.next()
            if got and key in got:
                return got
        raise AssertionError("nobody has said " + key)


class ServiceTest(unittest.TestCase):
    def setUp(self):
        if env.control:
            self.skipTest("control run: there is no program")
        self.processes = []
        self.addCleanup(self.finish_all)

    def finish_all(self):
        for process in reversed(self.processes):
            if process.process.poll() is None or process.process.returncode >= 0:
                process.finish()

    def start(self, *arguments, manager=None, handed=(), variables=None, **over):
        variables = {**({"NOTIFY_SOCKET": manager.name} if manager else {}), **(variables or {})}
        made = Sidecar(env.program, env.folder, env.settings(**over), variables=variables,
                       arguments=arguments, handed=handed)
        self.processes.append(made)
        return made

    def refused(self, *handed, **over):
        """It ends without having served; what it said."""
        path = os.path.join(env.folder, "refused_%d.yaml" % time.monotonic_ns())
        with open(path, "w") as f:
            json.dump(env.settings(**over), f)
        done = subprocess.run(with_sockets([env.program, "run", "-c", path], handed),
                              pass_fds=[one.fileno() for one in handed], capture_output=True,
                              text=True, timeout=TIMEOUT)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr

    def listener(self, address="127.0.0.1", port=0, **more):
        made = socket.create_server((address, port), **more)
        self.addCleanup(made.close)
        return made


class NotifyTest(ServiceTest):
    def test_says_ready_reloading_stopping(self):
        for abstract in (False, True):
            with self.subTest(abstract=abstract):
                self.say_all(Manager(self, abstract))

    def say_all(self, manager):
        program = self.start(manager=manager, shutdown_timeout="7s")
        ready = manager.next()
        self.assertEqual(ready["READY"], "1")
        self.assertEqual(ready["STATUS"], "listening on 127.0.0.1:%d, 0 clients" % program.port)
        self.assertNotIn("MAINPID", ready)
        self.reload(program, manager, "")
        with open(program.config_path, "a") as f:
            f.write("\nno_such_key: 1\n")
        self.reload(program, manager, "; the configuration was refused, the log says why")
        program.process.terminate()
        stopping = manager.wait_for("STOPPING")
        self.assertTrue(stopping["STATUS"].startswith("shutting down"), stopping)
        self.assertEqual(stopping["EXTEND_TIMEOUT_USEC"], "37000000")  # and half a minute more
        program.finish()

    def reload(self, program, manager, end):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        program.process.send_signal(signal.SIGHUP)
        reloading = manager.wait_for("RELOADING")
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.assertLessEqual(before, int(reloading["MONOTONIC_USEC"]))
        self.assertLessEqual(int(reloading["MONOTONIC_USEC"]), after)
        self.assertNotIn("READY", reloading)
        ready = manager.wait_for("READY")
        self.assertTrue(ready["STATUS"].endswith("clients" + end), ready)

    def test_nobody_to_tell_is_no_trouble(self):
        gone = Manager(self)
        gone.socket.close()
        os.unlink(gone.name)
        program = self.start(manager=gone)
        program.output.wait_for("the service manager at")
        program.process.send_signal(signal.SIGHUP)
        program.output.wait_for("configuration loaded (SIGHUP)")
        program.finish()

    def test_status_tells_of_clients(self):
        manager = Manager(self)
        program = self.start(manager=manager)
        manager.wait_for("READY")
        with psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable"
                             % program.port):
            got = manager.wait_for("STATUS")
            self.assertEqual(list(got.items()),
                             [("STATUS", "listening on 127.0.0.1:%d, 1 client" % program.port)])

    def test_whoever_takes_over_is_the_main_process(self):
        path = os.path.join(env.folder, "service_take.sock")
        old_manager, new_manager = Manager(self), Manager(self)
        old = self.start(manager=old_manager, takeover_socket=path)
        old_manager.wait_for("READY")
        client = psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=postgres "
                                 "sslmode=disable" % old.port)
        self.addCleanup(client.close)
        new = self.start("--take-over", manager=new_manager, takeover_socket=path)
        ready = new_manager.wait_for("READY")
        self.assertEqual(ready["MAINPID"], str(new.pid))
        # It serves on, so it must not say that it stops: a manager would end it after a while.
        left = old_manager.wait_for("STATUS")
        while left["STATUS"].startswith("listening") or left["STATUS"].startswith("accepts"):
            left = old_manager.wait_for("STATUS")
        self.assertEqual(left, {"STATUS": "handed over to another process, 1 client left"})
        self.assertEqual(client.execute("SELECT 1").fetchone(), (1,))
        client.close()
        self.assertEqual(old.process.wait(TIMEOUT), 0)

    def watched(self, **variables):
        manager = Manager(self)
        program = self.start(manager=manager, workers=2, variables={
            "WATCHDOG_USEC": "600000", **variables})
        manager.wait_for("READY")
        return program, manager

    def test_sign_of_life(self):
        _, manager = self.watched()
        began = time.monotonic()
        for _ in range(5):
            self.assertEqual(manager.wait_for("WATCHDOG")["WATCHDOG"], "1")
        self.assertGreater(time.monotonic() - began, 0.6)  # some, not a stream of them

    def test_no_sign_of_life_for_another_process(self):
        program, manager = self.watched(WATCHDOG_PID="1")
        got = manager.next(2)
        while got is not None:
            self.assertNotIn("WATCHDOG", got)
            got = manager.next(2)
        program.check_alive()

    def test_no_sign_of_life_while_workers_hang(self):
        program, manager = self.watched()
        manager.wait_for("WATCHDOG")
        go_on = self.hang_all_but_the_first(program)
        for _ in range(3):  # some may have been said before
            silent = manager.next(3) is None
            if silent:
                break
        self.assertTrue(silent)
        go_on()
        manager.wait_for("WATCHDOG")

    def hang_all_but_the_first(self, program):
        """Stops its threads but that of main(), and returns what lets them go on."""
        libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
        seize, interrupt, let_go, any_child = 0x4206, 0x4207, 17, 0x40000000
        others = [int(t) for t in os.listdir("/proc/%d/task" % program.pid) if int(t) != program.pid]
        self.assertGreaterEqual(len(others), 2)
        for thread in others:
            for request in (seize, interrupt):
                if libc.ptrace(request, thread, None, None) != 0:
                    self.skipTest("not run: this machine lets nobody stop a thread")
            os.waitpid(thread, any_child)
        return lambda: [libc.ptrace(let_go, thread, None, None) for thread in others]


class HandedSocketTest(ServiceTest):
    def connect(self, port, **more):
        return psycopg.connect("host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable"
                               % port, **more)

    def test_who_comes_before_the_program_is_served(self):
        listener = self.listener()
        port = listener.getsockname()[1]
        early = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.addCleanup(early.close)
        early.sendall(bytes([0, 0, 0, 8, 4, 210, 22, 47]))  # SSLRequest
        program = self.start(handed=[listener], listen_port=port)
        self.assertEqual(program.port, port)
        self.assertEqual(early.recv(1), b"N")
        with self.connect(port) as conn:
            self.assertEqual(conn.execute("SELECT 1").fetchone(), (1,))

    def test_port_of_ones_own_choice(self):
        listener = self.listener()
        self.assertEqual(self.start(handed=[listener]).port, listener.getsockname()[1])

    def test_nobody_is_refused_between_two_processes(self):
        listener = self.listener()
        port = listener.getsockname()[1]
        first = self.start(handed=[listener], listen_port=port)
        first.finish()
        waiting = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.addCleanup(waiting.close)
        waiting.sendall(bytes([0, 0, 0, 8, 4, 210, 22, 47]))
        self.start(handed=[listener], listen_port=port)
        self.assertEqual(waiting.recv(1), b"N")

    def test_all_interfaces(self):
        listener = self.listener("::", family=socket.AF_INET6, dualstack_ipv6=True)
        port = listener.getsockname()[1]
        self.start(handed=[listener], listen_port=port, listen_addr="*")
        with self.connect(port) as conn:
            self.assertEqual(conn.execute("SELECT 1").fetchone(), (1,))

    def test_another_address_is_refused(self):
        listener = self.listener()
        port, other = listener.getsockname()[1], free_port()
        said = self.refused(listener, listen_port=other)
        self.assertIn("the service manager listens on 127.0.0.1:%d, this configuration on 127.0.0.1:%d"
                      % (port, other), said)
        self.assertIn("ListenStream=", said)
        self.assertIn("0.0.0.0:%d" % port, self.refused(listener, listen_port=port,
                                                        listen_addr="0.0.0.0"))

    def test_what_is_no_listening_socket_is_refused(self):
        listener = self.listener()
        connected = socket.create_connection(listener.getsockname())
        self.addCleanup(connected.close)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(datagrams.close)
        unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(unix.close)
        unix.bind(os.path.join(env.folder, "handed.sock"))
        unix.listen()
        with open("/dev/null") as nothing:
            for wrong in (connected, datagrams, unix, nothing):
                self.assertIn("is not a TCP socket that listens", self.refused(wrong))
        self.assertIn("hands over 2 sockets (clients:clients)", self.refused(listener, self.listener()))

    def test_what_is_another_process_s_is_left_alone(self):
        listener = self.listener()
        port = free_port()
        program = self.start(variables={"LISTEN_PID": "1", "LISTEN_FDS": "1"}, listen_port=port)
        self.assertEqual(program.port, port)
        self.assertNotEqual(program.port, listener.getsockname()[1])

    def test_socket_of_the_one_before_goes_first(self):
        path = os.path.join(env.folder, "handed_take.sock")
        listener = self.listener()
        port = listener.getsockname()[1]
        old = self.start(handed=[listener], takeover_socket=path, listen_port=port)
        self.start("--take-over", handed=[listener], takeover_socket=path, listen_port=port)
        self.assertEqual(old.process.wait(TIMEOUT), 0)
        with self.connect(port) as conn:
            self.assertEqual(conn.execute("SELECT 1").fetchone(), (1,))


class UnitFileTest(unittest.TestCase):
    def setUp(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("not run: systemd-analyze is not installed")
        self.folder = os.path.join(env.folder, self._testMethodName)
        os.mkdir(self.folder)
        for name in os.listdir(UNITS):
            with open(os.path.join(UNITS, name)) as f:
                text = f.read()
            # Programs and manuals have to be there to be accepted.
            text = text.replace("/usr/bin/pgsidecar", "/bin/true").replace("man:pgsidecar(1) ", "")
            with open(os.path.join(self.folder, name.replace("@", "@1")), "w") as f:
                f.write(text)

    def analyze(self, *arguments):
        return subprocess.run(["systemd-analyze", *arguments], cwd=self.folder, capture_output=True,
                              text=True, timeout=TIMEOUT)

    def test_units_are_valid(self):
        for name in sorted(os.listdir(self.folder)):
            done = self.analyze("verify", "--man=no", "./" + name)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), name)

    def test_services_are_shut_in(self):
        for name in ("pgsidecar.service", "pgsidecar@1.service"):
            done = self.analyze("security", "--offline=yes", "--no-pager", "./" + name)
            line = next(x for x in done.stdout.splitlines() if "Overall exposure" in x)
            self.assertLessEqual(float(line.split(":")[1].split()[0]), MOST_EXPOSURE, line)

    def test_generations_are_shut_in_as_the_service_is(self):
        """One user, one folder, one sandbox: what one may not do the other may not, either."""
        def directives(name):
            with open(os.path.join(UNITS, name)) as f:
                lines = [x.strip() for x in f]
            kept = lines[lines.index("RuntimeDirectory=pgsidecar"):lines.index("[Install]")]
            return [x for x in kept if x and not x.startswith("#")]

        own = directives("pgsidecar.service")
        self.assertGreater(len(own), 20)
        self.assertEqual(own, directives("pgsidecar@.service"))

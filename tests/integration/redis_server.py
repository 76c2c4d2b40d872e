"""redis-server processes of the tests' own, and a client made of a socket. Each lies in a directory of
its own on a free port, keeps nothing on disk, and ends with close()."""
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile

from harness import env, free_port, wait_until
from wire import TIMEOUT

PROGRAM = shutil.which("redis-server")


class RedisError(Exception):
    pass


class Client:
    """One connection, RESP2."""

    def __init__(self, port, tls=None):
        self.sock = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.stream = self.sock.makefile("rb")

    def __call__(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.sock.sendall(b"*%d\r\n" % len(words)
                          + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self._reply()

    def _reply(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.stream.read(int(rest) + 2)[:-2]
        return [self._reply() for _ in range(int(rest))]

    def close(self):
        self.stream.close()
        self.sock.close()


def shared_cache(redis, **cache):
    """Settings of a sidecar whose cache is shared in that server."""
    return {"cache": {**cache, "cache_provider": "redis"},
            "shared_cache": {"validity": "ttl", "timeout": "5s", "redis_addresses": [redis.address]}}


class Redis:
    """One server. `lines`: of its configuration."""

    def __init__(self, *lines, tls=False, sentinel=False, port=None):
        self.folder = tempfile.mkdtemp(prefix="redis-", dir=env.folder)
        self.port, self.process, self.tls = port or free_port(), None, None
        certificates = env.certificates
        listen = ["port %d" % self.port]
        if tls:
            self.tls = ssl.create_default_context(cafile=certificates.ca)
            listen = ["port 0", "tls-port %d" % self.port, "tls-auth-clients no",
                      "tls-cert-file " + certificates.cert, "tls-key-file " + certificates.key,
                      "tls-ca-cert-file " + certificates.ca]
        if not sentinel:
            listen += ["save \"\"", "appendonly no"]
        self.mode = ["--sentinel"] if sentinel else []
        self.config = os.path.join(self.folder, "redis.conf")
        with open(self.config, "w") as f:
            f.write("\n".join(["bind 127.0.0.1", "dir " + self.folder, *listen, *lines]) + "\n")

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def start(self):
        log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen([PROGRAM, self.config, *self.mode], stdout=log, stderr=log,
                                        cwd=self.folder)
        log.close()
        wait_until("redis on port %d" % self.port, self._answers)
        return self

    def _answers(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log")) as f:
                raise AssertionError("redis-server ended:\n" + f.read()[-2000:])
        try:
            self("PING")
        except RedisError:
            pass  # it wants a password
        except OSError:
            return False
        return True

    def client(self):
        return Client(self.port, self.tls)

    def __call__(self, *words):
        client = self.client()
        try:
            return client(*words)
        finally:
            client.close()

    def signal(self, number):
        self.process.send_signal(number)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

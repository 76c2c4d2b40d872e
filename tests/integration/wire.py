"""A PostgreSQL client made of nothing but a socket, so that a test can say every byte it sends, split
it anywhere, and compare every byte it is sent.

Order of calls: Wire(port) -> login(user=..., database=...) -> query()/extended()/send()+read_reply()
-> close(). Replies are kept as raw bytes; Reply decodes them on demand.
Protocol: PostgreSQL "Frontend/Backend Protocol", version 3.0.
"""
import base64
import hashlib
import hmac
import os
import select
import socket
import ssl
import struct

PROTOCOL_3_0 = 196608
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSSENC_REQUEST = struct.pack("!ii", 8, 80877104)
TIMEOUT = float(os.environ.get("PGSIDECAR_TEST_TIMEOUT", "60"))


def frame(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


def text_bytes(text):
    """UTF-8; bytes of another encoding come as bytes.decode("utf-8", "surrogateescape")."""
    return text.encode("utf-8", "surrogateescape")


def query(sql):
    return frame(b"Q", text_bytes(sql) + b"\0")


def parse(sql, name="", types=()):
    return frame(b"P", name.encode() + b"\0" + text_bytes(sql) + b"\0"
                 + struct.pack("!h%di" % len(types), len(types), *types))


def bind(params=(), portal="", name="", formats=(), results=()):
    body = [portal.encode(), b"\0", name.encode(), b"\0",
            struct.pack("!h%dh" % len(formats), len(formats), *formats),
            struct.pack("!h", len(params))]
    for value in params:
        if value is None:
            body.append(b"\xff\xff\xff\xff")
            continue
        raw = value if isinstance(value, bytes) else str(value).encode()
        body.append(struct.pack("!i", len(raw)) + raw)
    body.append(struct.pack("!h%dh" % len(results), len(results), *results))
    return frame(b"B", b"".join(body))


def describe(kind=b"P", name=""):
    return frame(b"D", kind + name.encode() + b"\0")


def execute(portal="", limit=0):
    return frame(b"E", portal.encode() + b"\0" + struct.pack("!i", limit))


def close(kind=b"S", name=""):
    return frame(b"C", kind + name.encode() + b"\0")


SYNC = frame(b"S")
FLUSH = frame(b"H")
TERMINATE = frame(b"X")


def startup(version=PROTOCOL_3_0, **params):
    body = struct.pack("!i", version)
    for key, value in params.items():
        body += key.encode() + b"\0" + str(value).encode() + b"\0"
    body += b"\0"
    return struct.pack("!i", len(body) + 4) + body


def frames(raw):
    """(kind, body) of each complete frame of raw; raises on a partial one."""
    at, out = 0, []
    while at < len(raw):
        size = struct.unpack_from("!i", raw, at + 1)[0]
        end = at + 1 + size
        if size < 4 or end > len(raw):
            raise ValueError("partial frame at %d of %d" % (at, len(raw)))
        out.append((raw[at:at + 1], raw[at + 5:end]))
        at = end
    return out


def error_fields(body):
    return {part[:1].decode(): part[1:].decode("utf-8", "replace")
            for part in body.split(b"\0") if part}


def columns(body):
    """The values of a DataRow: bytes, or None for NULL."""
    count, at, out = struct.unpack_from("!h", body)[0], 2, []
    for _ in range(count):
        size = struct.unpack_from("!i", body, at)[0]
        at += 4
        if size < 0:
            out.append(None)
        else:
            out.append(body[at:at + size])
            at += size
    return tuple(out)


class Reply:
    """Everything the server said up to and including ReadyForQuery (or the end of the stream)."""

    def __init__(self, raw):
        self.raw = raw

    def __eq__(self, other):
        return self.raw == other.raw

    def __repr__(self):
        return "Reply(%s)" % b" ".join(k + b":" + b[:60] for k, b in self.frames[:40])

    @property
    def frames(self):
        return frames(self.raw)

    @property
    def kinds(self):
        return b"".join(kind for kind, _ in self.frames).decode()

    @property
    def rows(self):
        return [tuple(None if v is None else v.decode("utf-8", "replace") for v in columns(b))
                for k, b in self.frames if k == b"D"]

    @property
    def value(self):
        """The only column of the only row."""
        (row,) = self.rows
        (value,) = row
        return value

    @property
    def errors(self):
        return [error_fields(b) for k, b in self.frames if k == b"E"]

    @property
    def error(self):
        """SQLSTATE of the first ErrorResponse, or None."""
        return self.errors[0]["C"] if self.errors else None

    @property
    def tags(self):
        return [b.rstrip(b"\0").decode() for k, b in self.frames if k == b"C"]

    @property
    def status(self):
        kind, body = self.frames[-1]
        return body.decode() if kind == b"Z" else None


class Closed(ConnectionError):
    """The other side ended the stream; .raw is what came before."""

    def __init__(self, raw):
        super().__init__("closed by the other side after %r" % raw[-200:])
        self.raw = raw


class Wire:
    def __init__(self, port, host="127.0.0.1", timeout=TIMEOUT):
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.parameters = {}
        self.pid = 0
        self.secret = b""
        self.login_frames = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self, polite=True):
        try:
            if polite:
                self.sock.sendall(TERMINATE)
        except OSError:
            pass
        self.sock.close()

    # -- bytes -------------------------------------------------------------------------------
    def send(self, data):
        self.sock.sendall(data)

    def send_split(self, data, at):
        """Two segments: [0, at) and the rest. TCP_NODELAY makes each its own write."""
        self.sock.sendall(data[:at])
        self.sock.sendall(data[at:])

    def fill(self):
        chunk = self.sock.recv(262144)
        if not chunk:
            raise Closed(bytes(self.buffer))
        self.buffer += chunk

    def readable(self):
        """Whether bytes, or the end of them, have arrived that were not read yet."""
        if self.buffer:
            return True
        poll = select.poll()  # select() refuses descriptors above 1023
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))

    def read_exactly(self, size):
        while len(self.buffer) < size:
            self.fill()
        out = bytes(self.buffer[:size])
        del self.buffer[:size]
        return out

    def read_frame(self):
        head = self.read_exactly(5)
        size = struct.unpack_from("!i", head, 1)[0]
        return head[:1], self.read_exactly(size - 4)

    def read_reply(self, count=1):
        """Raw bytes through the count-th ReadyForQuery."""
        at, buffer = 0, self.buffer
        while True:
            while len(buffer) >= at + 5:
                end = at + 1 + int.from_bytes(buffer[at + 1:at + 5], "big")
                if len(buffer) < end:
                    break
                kind = buffer[at]
                at = end
                if kind == 90:  # Z
                    count -= 1
                    if count == 0:
                        out = bytes(buffer[:at])
                        del buffer[:at]
                        return Reply(out)
            self.fill()

    def read_to_end(self):
        """Everything until the other side closes (a reset counts as closing)."""
        try:
            while True:
                self.fill()
        except (Closed, ConnectionResetError):
            out = bytes(self.buffer)
            self.buffer.clear()
            return out

    # -- log-in ------------------------------------------------------------------------------
    def start_tls(self, context=None, server_name=None):
        self.send(SSL_REQUEST)
        answer = self.sock.recv(1)
        if answer != b"S":
            raise ConnectionError("TLS refused: %r" % answer)
        if context is None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock, server_hostname=server_name)
        return self

    def login(self, user="postgres", database="postgres", password=None, **params):
        """Through the first ReadyForQuery. Raises LoginError with the server's words."""
        self.send(startup(user=user, database=database, **params))
        scram = None
        while True:
            kind, body = self.read_frame()
            self.login_frames.append((kind, body))
            if kind == b"R":
                scram = self._authenticate(body, user, password, scram)
            elif kind == b"S":
                key, value, _ = body.split(b"\0")
                self.parameters[key.decode()] = value.decode()
            elif kind == b"K":
                self.pid, self.secret = struct.unpack_from("!i", body)[0], body[4:]
            elif kind == b"E":
                raise LoginError(error_fields(body))
            elif kind == b"Z":
                return self

    def _authenticate(self, body, user, password, scram):
        code = struct.unpack_from("!i", body)[0]
        if code == 3:
            self.send(frame(b"p", password.encode() + b"\0"))
        elif code == 5:
            inner = hashlib.md5((password + user).encode()).hexdigest()
            outer = hashlib.md5(inner.encode() + body[4:8]).hexdigest()
            self.send(frame(b"p", b"md5" + outer.encode() + b"\0"))
        elif code == 10:
            scram = Scram(password)
            first = scram.first()
            self.send(frame(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
        elif code == 11:
            self.send(frame(b"p", scram.final(body[4:])))
        elif code == 12:
            scram.verify(body[4:])
        elif code != 0:
            raise ConnectionError("authentication request %d" % code)
        return scram

    # -- statements --------------------------------------------------------------------------
    def q(self, sql):
        """One simple query."""
        self.send(query(sql))
        return self.read_reply()

    def x(self, sql, params=(), formats=(), results=(), types=(), name=""):
        """One extended batch: Parse, Bind, Describe, Execute, Sync."""
        self.send(parse(sql, name, types) + bind(params, "", name, formats, results)
                  + describe() + execute() + SYNC)
        return self.read_reply()

    def batch(self, *parts):
        """The given frames and one Sync."""
        self.send(b"".join(parts) + SYNC)
        return self.read_reply()


def cancel(port, pid, secret, host="127.0.0.1"):
    """Sends a CancelRequest and waits until the other side has closed."""
    with socket.create_connection((host, port), TIMEOUT) as sock:
        sock.sendall(struct.pack("!iii", 12 + len(secret), 80877102, pid) + secret)
        try:
            while sock.recv(1024):
                pass
        except ConnectionResetError:
            pass


class LoginError(Exception):
    def __init__(self, fields):
        super().__init__("%(S)s %(C)s: %(M)s" % fields)
        self.fields = fields
        self.sqlstate = fields["C"]


class Scram:
    """SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677), client side."""

    def __init__(self, password):
        self.password = password.encode()
        self.nonce = base64.b64encode(os.urandom(18)).decode()

    def first(self):
        self.bare = "n=,r=" + self.nonce
        return ("n,," + self.bare).encode()

    def final(self, server_first):
        text = server_first.decode()
        fields = dict(part.split("=", 1) for part in text.split(","))
        if not fields["r"].startswith(self.nonce):
            raise ConnectionError("server nonce does not extend ours")
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields["s"]),
                                     int(fields["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = "c=biws,r=" + fields["r"]
        self.auth_message = ",".join((self.bare, text, without_proof)).encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), self.auth_message, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.server_key = hmac.digest(salted, b"Server Key", "sha256")
        return (without_proof + ",p=" + base64.b64encode(proof).decode()).encode()

    def verify(self, server_final):
        want = base64.b64encode(hmac.digest(self.server_key, self.auth_message, "sha256"))
        if server_final != b"v=" + want:
            raise ConnectionError("wrong server signature")

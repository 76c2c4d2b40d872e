"""Writes the seeds of core_session and core_pool: sessions that work, as orders to bend."""
import base64
import pathlib
import struct


def frame(kind, body=b""):
    return kind + struct.pack(">I", len(body) + 4) + body


def order(code, data=b""):
    return bytes([code, len(data) >> 4, (len(data) & 15) << 4]) + data


def client(data):
    return order(0, data)


def server(data):
    return order(4, data)


def passes(milliseconds):
    """Where limits are in force."""
    number = milliseconds // 4
    return bytes([9 + 14, number >> 4, (number & 15) << 4])


OTHER_MOVES = order(10 + 14)  # gives the tenant's only place back, or takes one
CANCEL_SENT = order(9)
LIMITED, LOW_RATE, FEW_ROWS, PAGES, REFUSED, CROWDED = 2, 8, 16, 32, 64, 128
SELECT = frame(b"Q", b"SELECT v FROM kv\0")
UPDATE = frame(b"Q", b"UPDATE kv SET v = 1\0")
READY = frame(b"Z", b"I")
BLOCK = frame(b"Z", b"T")
ROW = frame(b"T", b"\0\1v\0" + b"\0" * 18) + frame(b"D", b"\0\1\0\0\0\1x")
ANSWER = ROW + frame(b"C", b"SELECT 1\0") + READY
PARSE = frame(b"P", b"s\0SELECT v FROM kv\0\0\0")
RUN = frame(b"B", b"\0s\0" + b"\0" * 6) + frame(b"D", b"P\0") + frame(b"E", b"\0" * 5)
SYNC = frame(b"S")
DONE = frame(b"1") + frame(b"2") + ANSWER
ERROR = frame(b"E", b"SERROR\0VERROR\0C42601\0Mno\0\0")
STARTUP = b"user\0app\0database\0db\0\0"
STARTUP = struct.pack(">II", len(STARTUP) + 8, 3 << 16) + STARTUP
LOG_IN = frame(b"R", b"\0\0\0\0") + frame(b"K", b"\0\0\0\1abcd") + READY

BEGIN = frame(b"Q", b"BEGIN\0")
BEGUN = frame(b"C", b"BEGIN\0") + BLOCK
UPDATED = frame(b"C", b"UPDATE 1\0") + READY
ROW_ALONE = frame(b"D", b"\0\1\0\0\0\1x")
CANCELED = ERROR.replace(b"42601", b"57014")
RETURNING = (frame(b"P", b"\0UPDATE kv SET v = 1 RETURNING v\0\0\0")
             + frame(b"B", b"\0" * 8) + frame(b"E", b"\0" * 5) + SYNC)

NOT_ADMITTED = frame(b"E", b"SFATAL\0VFATAL\0C28000\0Mno\0\0")
ENCRYPTED = order(7 + 14)  # the server's connection, established under TLS
OFFER = frame(b"R", b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")


def scram():
    """As the fuzzer's arithmetic has it: a proof of zero bytes fits every key."""
    key, nothing = base64.b64encode(b"k" * 32), base64.b64encode(bytes(32))
    nonce = base64.b64encode(b"r" * 18)
    first = b"p=tls-server-end-point,,n=,r=c"
    answer = b"SCRAM-SHA-256-PLUS\0" + struct.pack(">I", len(first)) + first
    final = (b"c=" + base64.b64encode(b"p=tls-server-end-point,,ours") + b",r=c" + nonce
             + b",p=" + nothing)
    return (b"\1" + order(13) + client(STARTUP) + ENCRYPTED + server(OFFER)
            + order(12, b"SCRAM-SHA-256$4096:c2FsdA==$" + key + b":" + key)
            + server(frame(b"R", b"\0\0\0\x0br=" + nonce + b"x,s=c2FsdA==,i=4096"))
            + client(frame(b"p", answer)) + client(frame(b"p", final))
            + server(frame(b"R", b"\0\0\0\x0cv=" + key) + LOG_IN) + client(SELECT))


SEEDS = {
    "scram": scram(),
    "relayed": b"\1" + client(STARTUP) + ENCRYPTED + server(OFFER) + client(frame(b"p", b"x")),
    "other_way": b"\1" + client(STARTUP) + order(7) + server(NOT_ADMITTED) + ENCRYPTED
    + server(LOG_IN) + client(SELECT),
    "hit": b"\0" + client(SELECT) + server(ANSWER) + client(SELECT),
    "batch": b"\0" + client(PARSE + RUN + SYNC) + server(DONE) + client(RUN + SYNC),
    "write": b"\0" + client(UPDATE) + server(frame(b"C", b"UPDATE 1\0") + READY),
    "block": b"\0" + client(frame(b"Q", b"BEGIN\0")) + server(frame(b"C", b"BEGIN\0") + BLOCK)
    + client(UPDATE) + server(frame(b"C", b"UPDATE 1\0") + BLOCK)
    + client(frame(b"Q", b"COMMIT\0")) + server(frame(b"C", b"COMMIT\0") + READY),
    "copy": b"\0" + client(frame(b"Q", b"COPY kv FROM STDIN\0"))
    + server(frame(b"G", b"\0\0\0")) + client(frame(b"d", b"1\n") + frame(b"c"))
    + server(frame(b"C", b"COPY 1\0") + READY),
    "skip": b"\0" + client(PARSE + frame(b"H")) + server(ERROR) + client(SELECT + SYNC)
    + server(READY),
    "cancel": b"\0" + client(SELECT) + order(8) + server(ERROR + READY) + order(9),
    "settings": b"\0" + client(frame(b"Q", b"SET datestyle = 'German'\0") + SELECT)
    + server(frame(b"C", b"SET\0") + READY) + server(ANSWER),
    "drop": b"\0" + client(frame(b"Q", b"DROP DATABASE x\0")) + order(10)
    + server(frame(b"C", b"DROP DATABASE\0") + READY),
    "login": b"\1" + client(STARTUP) + order(7) + server(LOG_IN) + client(SELECT),
    "over_rate": bytes([LIMITED + LOW_RATE]) + client(UPDATE + UPDATE + UPDATE + SELECT)
    + server(2 * UPDATED) + server(ERROR + READY) + passes(16000) + client(PARSE + RUN + SYNC),
    "over_rate_in_block": bytes([LIMITED + LOW_RATE]) + client(BEGIN) + server(BEGUN)
    + client(UPDATE + UPDATE) + server(2 * frame(b"C", b"UPDATE 1\0") + BLOCK)
    + client(PARSE + RUN + SYNC) + server(ERROR + frame(b"Z", b"E")),
    "rows_cut": bytes([LIMITED + FEW_ROWS]) + client(SELECT) + server(ROW + ROW_ALONE)
    + CANCEL_SENT + server(CANCELED + READY) + client(SELECT),
    "rows_cut_in_batch": bytes([LIMITED + FEW_ROWS]) + client(RETURNING) + server(
        frame(b"1") + frame(b"2") + 2 * ROW_ALONE + frame(b"C", b"UPDATE 2\0") + ERROR)
    + CANCEL_SENT + server(READY) + client(SELECT),
    "timed_out": bytes([LIMITED]) + client(UPDATE) + passes(100) + CANCEL_SENT
    + server(CANCELED + READY) + client(SELECT),
    "silent_server": bytes([LIMITED]) + client(BEGIN) + server(BEGUN) + client(UPDATE)
    + passes(100) + CANCEL_SENT + passes(28) + client(UPDATE) + server(
        frame(b"C", b"UPDATE 1\0") + BLOCK) + server(ERROR + frame(b"Z", b"E")),
    "waits": bytes([LIMITED + CROWDED]) + client(SELECT) + OTHER_MOVES + server(ANSWER)
    + OTHER_MOVES + client(SELECT) + passes(200) + client(UPDATE) + order(8),
    "page_cut": bytes([LIMITED + PAGES]) + client(SELECT) + server(
        frame(b"1") + frame(b"2") + ROW + ROW_ALONE + frame(b"s") + READY)
    + client(frame(b"Q", b"SELECT v FROM kv LIMIT 2\0")),
    "page_refused": bytes([LIMITED + PAGES + REFUSED]) + client(SELECT + PARSE + RUN + SYNC),
    "warned": bytes([LIMITED + 4 + LOW_RATE + FEW_ROWS + CROWDED]) + client(3 * SELECT) + server(
        ROW + ROW_ALONE) + passes(400) + server(frame(b"C", b"SELECT 2\0") + READY),
    "copy_timed_out": bytes([LIMITED]) + client(frame(b"Q", b"COPY kv FROM STDIN\0"))
    + server(frame(b"G", b"\0\0\0")) + passes(100) + server(ERROR + READY)
    + client(frame(b"d", b"1\n") + frame(b"c") + SELECT),
    "shutdown": b"\0" + client(SELECT) + order(11) + server(ANSWER),
}


# Of core_pool: an order, to one of two clients, with a number.
def to(client_number, code, number=0):
    return bytes([12 * client_number + code]) + struct.pack(">H", number)


SQL = ["SELECT", "notes", "UPDATE", "BEGIN", "COMMIT", "ROLLBACK", "tenant", "no tenant", "name", "path",
       "role", "RESET ALL", "DISCARD ALL", "LISTEN", "UNLISTEN", "PREPARE", "EXECUTE", "DEALLOCATE",
       "temp", "DISCARD TEMP", "DO", "cursor", "CLOSE ALL", "lock", "set_config", "SAVEPOINT",
       "ROLLBACK TO", "COMMIT; SELECT", "DROP DATABASE", "ALTER ROLE"]  # `texts` there
SIMPLE, UNNAMED, PREPARES, RUNS, OPEN = range(5)


def asks(client_number, *words, form=SIMPLE):
    """Each is answered."""
    return b"".join(to(client_number, 1, form * len(SQL) + SQL.index(word)) + to(0, 5)
                    for word in words)


REFUSED = to(0, 7)
POOL_SEEDS = {
    "in_turn": b"\0" + 2 * (asks(0, "SELECT", "UPDATE") + asks(1, "notes", "UPDATE")),
    "tenants": b"\x10" + asks(0, "tenant", "UPDATE") + asks(1, "notes", "role") + asks(
        0, "no tenant", "notes", "RESET ALL") + asks(1, "UPDATE", "DISCARD ALL", "notes"),
    "block": b"\0" + asks(0, "BEGIN", "SAVEPOINT", "path") + to(1, 1, 2) + asks(
        0, "ROLLBACK TO", "COMMIT") + to(0, 5) + asks(1, "UPDATE"),
    "prepared": b"\4" + asks(0, "SELECT", form=PREPARES) + asks(1, "UPDATE", form=PREPARES)
    + asks(0, "SELECT", form=RUNS) + asks(1, "SELECT", form=RUNS) + asks(0, "notes", form=OPEN)
    + asks(0, "UPDATE", form=UNNAMED),
    "by_sql": b"\0" + asks(0, "PREPARE", "EXECUTE") + asks(1, "EXECUTE", "PREPARE", "EXECUTE")
    + asks(0, "EXECUTE", "DEALLOCATE", "EXECUTE"),
    "pinned": b"\0" + asks(0, "LISTEN") + to(1, 1, 2) + asks(0, "UPDATE", "UNLISTEN") + asks(
        1, "lock", "temp", "cursor", "CLOSE ALL", "DISCARD ALL"),
    "refused": b"\0" + to(0, 1, 6) + REFUSED + to(1, 1, 32) + REFUSED + asks(1, "UPDATE")
    + to(0, 1, 122) + REFUSED + asks(0, "UPDATE"),
    "cancel": b"\0" + to(0, 1, 2) + to(1, 1, 2) + to(1, 8) + to(0, 8) + to(0, 5) + to(0, 9)
    + asks(0, "UPDATE"),
    "waits": b"\0" + to(0, 1, 2) + to(1, 1, 2) + to(1, 10, 2000) + to(0, 5) + asks(1, "UPDATE"),
    "cut": b"\0" + to(0, 1, 2) + to(1, 11, 9) + asks(1, "UPDATE") + to(0, 11, 0),
    "front": b"\0" + to(0, 0, 7) + b"Q\0\x20\0\0SE" + asks(1, "UPDATE"),  # of a long query
    "raw": b"\x08" + to(0, 0, len(UPDATE)) + UPDATE + to(0, 4, len(UPDATED)) + UPDATED,
}

for room, seeds in (("core_session", SEEDS), ("core_pool", POOL_SEEDS)):
    folder = pathlib.Path(__file__).parent / "corpus" / room
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed in seeds.items():
        (folder / name).write_bytes(seed)

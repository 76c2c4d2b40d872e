#!/usr/bin/env python3
"""Writes the seeds of the protocol fuzzers: corpus/protocol_*/<name>. Running it again changes nothing."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def i16(*values):
    return b"".join(struct.pack(">H", v & 0xFFFF) for v in values)


def i32(*values):
    return b"".join(struct.pack(">I", v & 0xFFFFFFFF) for v in values)


def text(*values):
    return b"".join(v.encode() + b"\0" for v in values)


def value(v):
    return i32(-1) if v is None else i32(len(v)) + v


def values(*items):
    return i16(len(items)) + b"".join(map(value, items))


def formats(*codes):
    return i16(len(codes), *codes)


def typed(kind, body=b""):
    return kind + i32(len(body) + 4) + body


def packet(body):
    return i32(len(body) + 4) + body


CODE = {"cancel": 1234 << 16 | 5678, "ssl": 1234 << 16 | 5679, "gssenc": 1234 << 16 | 5680}
USER = text("user", "ann", "database", "shop", "application_name", "web") + b"\0"

STARTUP = {
    "ssl": packet(i32(CODE["ssl"])),
    "gssenc": packet(i32(CODE["gssenc"])),
    "cancel_30": packet(i32(CODE["cancel"], 4711) + b"key!"),
    "cancel_32": packet(i32(CODE["cancel"], 4711) + bytes(range(32))),
    "message_30": packet(i32(0x30000) + USER),
    "message_32": packet(i32(0x30002) + text("user", "ann", "_pq_.x", "1") + b"\0"),
    "options": packet(i32(0x30000) + text("user", "ann", "options", "-c a=b", "user", "bob") + b"\0"),
    "protocol_2": packet(i32(0x20000) + USER),
    "ssl_and_more": packet(i32(CODE["ssl"])) + packet(i32(0x30000) + USER),
    "tls": bytes.fromhex("1603010200010001fc0303"),
}

FRONTEND = {
    "query": b"Q" + text("select 1"),
    "parse": b"P" + text("s1", "select $1") + i16(1) + i32(23),
    "bind": b"B" + text("", "s1") + formats(1) + values(None, b"", b"ab") + formats(1, 0),
    "bind_nothing": b"B" + text("", "") + formats() + values() + formats(),
    "bind_bad_length": b"B" + text("", "") + formats() + i16(1) + i32(-2) + formats(),
    "describe": b"DS" + text("s1"),
    "close": b"CP" + text("c1"),
    "execute": b"E" + text("") + i32(0),
    "function_call": b"F" + i32(1234) + formats(1) + values(b"x", None) + i16(0),
    "flush": b"H",
    "sync": b"S",
    "terminate": b"X",
    "copy_data": b"d1\t2\n",
    "copy_done": b"c",
    "copy_fail": b"f" + text("gave up"),
    "password": b"p" + text("secret"),
    "sasl_initial": b"1" + text("SCRAM-SHA-256") + value(b"n,,n=,r=abc"),
    "sasl_initial_none": b"1" + text("SCRAM-SHA-256") + value(None),
    "sasl_response": b"2c=biws,r=abc,p=AAAA",
    "gss": b"3token",
}


def column(name):
    return text(name) + i32(16385) + i16(1) + i32(23) + i16(4) + i32(-1) + i16(0)


ERROR = b"SERROR\0VERROR\0C42P01\0Mno such table\0Dd\0Hh\0P15\0\0"
BACKEND = {
    "auth_ok": b"R" + i32(0),
    "auth_md5": b"R" + i32(5) + b"salt",
    "auth_sasl": b"R" + i32(10) + text("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256") + b"\0",
    "auth_continue": b"R" + i32(11) + b"r=abc,s=AAAA,i=4096",
    "auth_final": b"R" + i32(12) + b"v=AAAA",
    "key": b"K" + i32(4711) + b"key!",
    "bind_complete": b"2",
    "close_complete": b"3",
    "command_complete": b"C" + text("INSERT 0 12"),
    "copy_in": b"G\1" + formats(1, 1),
    "copy_out": b"H\0" + formats(0),
    "copy_both": b"W\0" + formats(),
    "row": b"D" + values(None, b"", b"ab"),
    "empty_query": b"I",
    "error": b"E" + ERROR,
    "error_no_sqlstate": b"ESFATAL\0Mgo away\0\0",
    "notice": b"N" + ERROR,
    "function_call": b"V" + value(b"x"),
    "negotiate": b"v" + i32(0x30002, 2) + text("_pq_.a", "_pq_.b"),
    "no_data": b"n",
    "notification": b"A" + i32(7) + text("chan", "hello"),
    "parameter_description": b"t" + i16(2) + i32(23, 25),
    "parameter_status": b"S" + text("TimeZone", "UTC"),
    "parse_complete": b"1",
    "portal_suspended": b"s",
    "ready": b"ZI",
    "row_description": b"T" + i16(2) + column("id") + column("name"),
}

STREAM = typed(b"Q", text("select 1")) + typed(b"S") + typed(b"D", values(b"x" * 100)) + typed(b"Z", b"I")
FRAMER = {
    "typed": b"\1" + STREAM,
    "startup": b"\x85" + packet(i32(0x30000) + USER) + STREAM,
    "length_3": b"\2" + typed(b"S") + b"Q" + i32(3),
    "too_long": b"\3" + typed(b"S") + b"Q" + i32(0x40000003),
    "unfinished": b"\4" + STREAM[:-1],
    "startup_short": b"\x81" + i32(7),
}

PROOF = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
SASL = {
    "mechanisms": b"m" + text("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256") + b"\0",
    "client_first": b"1n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    "client_first_binding": b"1p=tls-server-end-point,a=b=2Cc,n=a=3Db,r=abc,x=1",
    "server_first": b"2r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,x=1",
    "client_final": f"3c=biws,r=abcdef,x=1,p={PROOF}".encode(),
    "server_final": f"4v={PROOF},x=1".encode(),
    "server_error": b"4e=invalid-proof",
    "base64": b"bZm9vYg==",
    "escapes": b"ea=2Cb=3D",
}

SETS = {
    "protocol_startup": STARTUP,
    "protocol_frontend": FRONTEND,
    "protocol_backend": BACKEND,
    "protocol_framer": FRAMER,
    "protocol_sasl": SASL,
}

for folder, seeds in SETS.items():
    (CORPUS / folder).mkdir(parents=True, exist_ok=True)
    for name, seed in seeds.items():
        (CORPUS / folder / name).write_bytes(seed)
print(f"{sum(map(len, SETS.values()))} seeds in {len(SETS)} folders")

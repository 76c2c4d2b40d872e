"""Traps of texts that the server reads otherwise than UTF-8 with standard_conforming_strings = on."""
from cache_case import CacheTest, Twin, env, extended
from harness import own_backend
import wire

SCHEMA = """
CREATE TABLE kv (id int PRIMARY KEY, v text);
INSERT INTO kv VALUES (1, 'old'), (2, '\u00e9'), (3, '\u00c3\u00a9');
CREATE TABLE "\u00e9" AS SELECT 'short' AS v;
CREATE TABLE "\u00c3\u00a9" AS SELECT 'long' AS v;
"""
READ = "SELECT v FROM kv WHERE id = 1"
HIDDEN = r"SELECT '\'' ; UPDATE kv SET v = upper(v) WHERE id = 1; -- '"


def other(data):
    """Bytes that are not UTF-8, as wire.py takes them."""
    return data.decode("utf-8", "surrogateescape")


class DialectTest(CacheTest):
    def setUp(self):
        super().setUp()
        self.setup_sql(SCHEMA)
        self.reader = self.wire()
        self.assertEqual(self.cached(self.reader, READ).value, "old")

    def see(self, value, sql=READ):
        self.assertEqual(self.reader.q(sql).value, value)
        self.assertEqual(self.direct().q(sql).value, value)

    def test_write_behind_a_backslash(self):
        for way in ("SET standard_conforming_strings = off",
                    "SELECT set_config('standard_conforming_strings', 'off', false)"):
            with self.subTest(way):
                env.cluster.run("UPDATE kv SET v = 'old' WHERE id = 1", database=self.database)
                self.wire().q("UPDATE kv SET v = v")
                self.assertEqual(self.cached(self.reader, READ).value, "old")
                writer = self.wire()
                writer.q(way)
                writer.q(HIDDEN)
                self.see("OLD")

    def test_write_behind_a_backslash_from_the_start(self):
        self.wire(options="-c standard_conforming_strings=off").q(HIDDEN)
        self.see("OLD")

    def test_write_behind_a_backslash_by_default_of_the_role(self):
        self.setup_sql("ALTER ROLE bob SET standard_conforming_strings = off",
                       "GRANT ALL ON kv TO bob")
        self.addCleanup(env.cluster.run, "ALTER ROLE bob RESET ALL")
        self.wire("bob").q(HIDDEN)
        self.see("OLD")

    def test_write_behind_a_backslash_in_one_pipeline(self):
        self.setup_sql("""
            CREATE FUNCTION change() RETURNS void LANGUAGE sql AS 'UPDATE kv SET v = upper(v)'""")
        writer = self.wire()
        setting = "SET standard_conforming_strings = off"
        hidden = r"SELECT '\'' WHERE (SELECT count(change()) FROM kv) > 0 -- '"
        writer.send(wire.parse(setting) + wire.bind() + wire.execute() + wire.parse(hidden) +
                    wire.bind() + wire.execute() + wire.SYNC)
        writer.read_reply()
        self.see("OLD")

    @own_backend
    def test_function_whose_body_ends_by_settings(self):
        self.wire().q(r"""
            CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS
              $$ DECLARE t text; BEGIN t := '\'' ; UPDATE kv SET v = upper(v) WHERE id = 1; -- ';
              END $$""")
        self.cached(self.reader, READ)  # so the catalog with the function has been read
        writer = self.wire()
        writer.q("SET standard_conforming_strings = off")
        writer.q("SELECT f()")
        self.see("OLD")

    def test_character_that_ends_in_a_backslash(self):
        for encoding, character in (("SJIS", b"\x83\\"), ("BIG5", b"\xa5\\"), ("GBK", b"\x81\\"),
                                    ("GB18030", b"\x81\\")):
            with self.subTest(encoding):
                env.cluster.run("UPDATE kv SET v = 'old' WHERE id = 1", database=self.database)
                self.wire().q("UPDATE kv SET v = v")
                self.assertEqual(self.cached(self.reader, READ).value, "old")
                writer = self.wire(client_encoding=encoding)
                reply = writer.q(other(b"SELECT E'" + character +
                                       b"'; UPDATE kv SET v = upper(v) WHERE id = 1; -- '"))
                self.assertIsNone(reply.error, reply)
                self.see("OLD")

    def test_name_in_another_encoding(self):
        short, long = 'SELECT v FROM "\u00e9"', 'SELECT v FROM "\u00c3\u00a9"'
        self.cached(self.reader, short)
        self.cached(self.reader, long)
        writer = self.wire(client_encoding="LATIN1")
        # These are the bytes of the short name to who takes them for UTF-8.
        writer.q('UPDATE "\u00e9" SET v = \'new\'')
        self.see("new", long)
        self.see("short", short)
        twin = Twin(self, client_encoding="LATIN1")
        for _ in range(4):
            twin.both('SELECT v FROM "\u00e9"')
            twin.both(other(b'SELECT v FROM "\xe9"'))

    def test_value_in_another_encoding(self):
        utf8, latin1 = Twin(self), Twin(self, client_encoding="LATIN1")
        sql = "SELECT id FROM kv WHERE v = '\u00e9'"
        utf8.cached(sql)
        latin1.cached(sql)
        bound = extended("SELECT id FROM kv WHERE v = $1", ["\u00e9"])
        utf8.cached(bound)
        latin1.cached(bound)
        utf8.both(sql)

    def test_prepared_before_the_encoding_changed(self):
        text = "SELECT id FROM kv WHERE v = '\u00e9'"
        first = self.wire()
        self.cached(first, extended(text))
        second = Twin(self)
        prepared = wire.parse(text, "p") + wire.bind((), "", "p") + wire.execute() + wire.SYNC
        second.send(prepared)
        second.both("SET client_encoding = 'LATIN1'")
        second.both("CREATE TEMP TABLE unlike (i int)")
        second.send(wire.bind((), "", "p") + wire.execute() + wire.SYNC)

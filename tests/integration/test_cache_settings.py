"""Traps of session state and of answers that are no function of the tables: settings, clocks, samples,
row locks, physical order, isolation levels."""
import struct

import wire
from cache_case import ALL, RX, CacheTest, Twin, env, extended
from harness import own_backend, wait_until

# name: (the setting, another value, a statement whose answer it shapes if it shapes any)
SETTINGS = {
    "time_zone": ("TimeZone", "Asia/Tokyo", "SELECT at FROM rx ORDER BY id"),
    "date_style": ("DateStyle", "German", "SELECT d, at FROM rx ORDER BY id"),
    "interval_style": ("IntervalStyle", "iso_8601", "SELECT iv FROM rx ORDER BY id"),
    "bytea_output": ("bytea_output", "escape", "SELECT raw FROM rx ORDER BY id"),
    "extra_float_digits": ("extra_float_digits", "-5", "SELECT f FROM rx ORDER BY id"),
    "client_encoding": ("client_encoding", "LATIN1",
                        "SELECT drug || U&'\\00e9' AS v FROM rx ORDER BY id"),
    "standard_conforming_strings": ("standard_conforming_strings", "off",
                                    "SELECT id, 'a\\\\b' AS v FROM rx ORDER BY id"),
    "backslash_quote": ("backslash_quote", "off", "SELECT id FROM rx ORDER BY id"),
    "transform_null_equals": ("transform_null_equals", "on",
                              "SELECT id, tenant = NULL AS v FROM rx ORDER BY id"),
    "array_nulls": ("array_nulls", "off", "SELECT id, '{NULL}'::text[] AS v FROM rx ORDER BY id"),
    "xmlbinary": ("xmlbinary", "hex", "SELECT xmlelement(name x, raw) FROM rx ORDER BY id"),
    "lc_monetary": ("lc_monetary", "C", "SELECT id::numeric::money FROM rx ORDER BY id"),
    "statement_timeout": ("statement_timeout", "1h", "SELECT id FROM rx ORDER BY id"),
    "text_search_config": ("default_text_search_config", "pg_catalog.german",
                           "SELECT to_tsvector(drug || ' die Häuser') FROM rx ORDER BY id"),
}
MAKES_NO_DIFFERENCE = {"backslash_quote", "lc_monetary", "statement_timeout"}  # to this answer


class SettingsTest(CacheTest):
    def setUp(self):
        super().setUp()
        self.setup_sql(RX)

    def _shapes(self, key, name, value, sql):
        plain, changed = Twin(self), Twin(self)
        want = plain.cached(sql).raw
        changed.both("SET %s = '%s'" % (name, value))
        for _ in range(3):
            self.assertEqual(changed.both(sql).raw == want, key in MAKES_NO_DIFFERENCE)
            plain.both(sql)
        changed.both("RESET " + name)
        changed.both(sql)
        changed.both("BEGIN")
        changed.both("SET LOCAL %s = '%s'" % (name, value))
        changed.both(sql)
        changed.both("ROLLBACK")
        changed.both(sql)
        changed.both("SELECT set_config('%s', '%s', false)" % (name.lower(), value))
        changed.both(sql)
        changed.both("DISCARD ALL")
        changed.both(sql)
        started = Twin(self, options="-c %s=%s" % (name, value.replace(" ", "\\ ")))
        started.both(sql)
        started.both(sql)

    def test_settings_that_text_formats_share_a_hit(self):
        first, second = Twin(self), Twin(self)
        for twin in (first, second):
            twin.both("SET TimeZone = 'Asia/Tokyo'")
        first.cached("SELECT at FROM rx ORDER BY id")
        second.cached("SELECT at FROM rx ORDER BY id")

    def test_time_zone_by_its_own_words(self):
        sql = "SELECT at FROM rx WHERE id = 1"
        twin = Twin(self)
        twin.cached(sql)
        for change in ("SET TIME ZONE 'Asia/Tokyo'", "SET TIME ZONE LOCAL", "SET TIME ZONE -7",
                       "SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE", "SET TIME ZONE DEFAULT",
                       "SET NAMES 'LATIN1'", "SET SESSION TIME ZONE 'CET'", "RESET ALL"):
            twin.both(change)
            twin.both(sql)
            twin.both(sql)

    def test_failed_set_changes_nothing(self):
        sql = "SELECT at FROM rx WHERE id = 1"
        twin = Twin(self)
        twin.cached(sql)
        twin.both("SET TimeZone = 'No/Where'")
        twin.both("SET TimeZone = 'Asia/Tokyo'; SELECT 1/0")  # one string, one transaction
        twin.both(sql)
        twin.both("SET TimeZone = 'CET'; SELECT 1")
        twin.both(sql)

    @own_backend
    def test_alter_role_and_database_defaults(self):
        self.addCleanup(env.cluster.run, "ALTER ROLE alice RESET ALL")
        sql = "SELECT at, d FROM rx WHERE id = 1"
        before = Twin(self, "alice")
        before.cached(sql)
        owner = self.wire()
        owner.q("ALTER ROLE alice SET TimeZone = 'Asia/Tokyo'")
        Twin(self, "alice").both(sql)
        before.both(sql)
        owner.q("ALTER DATABASE %s SET DateStyle = 'German'" % self.database)
        for user in ("alice", "bob"):
            twin = Twin(self, user)
            twin.both(sql)
            twin.both(sql)
        owner.q("ALTER ROLE alice IN DATABASE %s SET TimeZone = 'CET'" % self.database)
        twin = Twin(self, "alice")
        twin.both(sql)
        twin.both("SET TimeZone = 'UTC'")
        twin.both(sql)
        twin.both("RESET TimeZone")
        twin.both(sql)

    def test_start_up_parameters_are_part_of_the_question(self):
        sql = "SELECT at, d FROM rx WHERE id = 1"
        for params in ({}, {"TimeZone": "Asia/Tokyo"}, {"DateStyle": "SQL, DMY"},
                       {"options": "-c timezone=CET"}, {"options": "--timezone=CET"},
                       {"options": "-c  timezone=CET -c datestyle=German"}):
            twin = Twin(self, **params)
            twin.both(sql)
            twin.both(sql)

    def test_custom_settings(self):
        sql = "SELECT id, current_setting('app.tenant_id', true) FROM rx WHERE id < 3 ORDER BY id"
        twin = Twin(self)
        for value in ("x", "y", "x"):
            twin.both("SET app.tenant_id = '%s'" % value)
            twin.cached(sql)
        undeclared = sql.replace("app.tenant_id", "app.other")
        for value in ("x", "y"):
            twin.both("SET app.other = '%s'" % value)
            twin.both(undeclared)
            twin.both(undeclared)
        twin.both("BEGIN")
        twin.both("SET LOCAL app.tenant_id = 'local'")
        twin.both(sql)
        twin.both("COMMIT")
        twin.both(sql)  # now an empty string, not unset: the server's own trap
        twin.both("DISCARD ALL")
        twin.both(sql)

    def test_setting_changed_where_no_one_looks(self):
        sql = "SELECT at FROM rx WHERE id = 1"
        self.wire().q("CREATE FUNCTION tz() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM "
                      "set_config('TimeZone', 'Asia/Tokyo', false); RETURN 1; END $$; "
                      "CREATE PROCEDURE ptz() LANGUAGE plpgsql AS $$ BEGIN PERFORM tz(); END $$")
        for way in ("SELECT tz()", "CALL ptz()", "DO $$ BEGIN SET TimeZone = 'Asia/Tokyo'; END $$",
                    "SELECT set_config('time' || 'zone', 'Asia/Tokyo', false)",
                    "UPDATE pg_settings SET setting = 'Asia/Tokyo' WHERE name = 'TimeZone'",
                    "PREPARE p AS SELECT tz(); EXECUTE p",
                    "SELECT count(*) FROM rx WHERE id = 1 AND tz() = 1",
                    "COPY (SELECT tz()) TO STDOUT", "EXPLAIN ANALYZE SELECT tz()"):
            with self.subTest(way):
                twin = Twin(self)
                twin.cached(sql)
                for session in (twin.through, twin.past):
                    session.q(way)
                self.assertIn("+09", twin.both(sql).value)
                twin.both("DISCARD ALL")
                twin.both(sql)


def _add(name, row):
    setattr(SettingsTest, "test_" + name, lambda self: self._shapes(name, *row))


for _name, _row in SETTINGS.items():
    _add(_name, _row)


class PreparedEarlierTest(CacheTest):
    """The server makes values of a text's literals when it prepares it, by the settings of that time: its
    answer afterwards is none to the same text by the settings of now."""

    LITERALS = {  # what is set, to which two values, and what is read by it
        "TimeZone": ("UTC", "Asia/Tokyo", "SELECT id FROM rx WHERE at < timestamptz '2024-06-02 00:00'"),
        "DateStyle": ("ISO, MDY", "ISO, DMY", "SELECT id FROM rx WHERE d < date '04/02/2024'"),
        "array_nulls": ("on", "off", "SELECT id FROM rx WHERE ('{NULL}'::text[])[1] IS NULL"),
    }

    def setUp(self):
        super().setUp()
        self.setup_sql(RX)
        # From here on what is defined is known; what was prepared before is not cached in any case.
        Twin(self).cached(ALL)

    @own_backend
    def test_settings_changed_since_it_was_prepared(self):
        run = wire.bind(name="s") + wire.describe() + wire.execute() + wire.SYNC
        for name, (first, second, sql) in self.LITERALS.items():
            for heard in (False, True):  # the server has not heard of what the cache has answered
                for others_first in (False, True):
                    with self.subTest(name, heard=heard, others_first=others_first):
                        sql += " "  # another text
                        early, present = Twin(self), Twin(self)
                        for twin, value in ((early, first), (present, second)):
                            twin.both("SET %s = '%s'" % (name, value))
                        if not heard:
                            early.cached(extended(sql))
                        early.send(wire.parse(sql, "s") + (wire.SYNC + run if heard else run),
                                   2 if heard else 1)
                        early.both("SET %s = '%s'" % (name, second))
                        if others_first:
                            present.cached(extended(sql))
                        for _ in range(3):
                            early.send(run)
                        present.cached(extended(sql))
                        early.send(run)
                        early.both("SET %s = '%s'" % (name, first))
                        early.cached(lambda s: (s.send(run), s.read_reply())[1])

    @own_backend
    def test_constants_written_while_it_was_planned(self):
        """What the plan was made by stays in it when the setting is as before again."""
        sql = "SELECT id, (bytea 'a')::text AS v FROM rx WHERE id < 3 ORDER BY id"
        run = wire.bind(name="s") + wire.describe() + wire.execute() + wire.SYNC
        early = Twin(self)
        early.both("SET bytea_output = 'hex'")
        early.send(wire.parse(sql, "s") + wire.SYNC)
        early.both("SET bytea_output = 'escape'")
        early.send(run)
        early.both("SET bytea_output = 'hex'")
        for _ in range(3):
            self.assertEqual(early.send(run).rows[0], ("1", "a"))
        present = Twin(self)
        present.both("SET bytea_output = 'hex'")
        self.assertEqual(present.cached(extended(sql)).rows[0], ("1", "\\x61"))
        early.send(run)

    @own_backend
    def test_prepared_in_the_same_segment_as_the_setting(self):
        run = wire.bind(name="s") + wire.describe() + wire.execute() + wire.SYNC
        for name, (first, second, sql) in self.LITERALS.items():
            for others_first in (False, True):
                with self.subTest(name, others_first=others_first):
                    sql += " "
                    early, present = Twin(self), Twin(self)
                    for twin in (early, present):
                        twin.both("SET %s = '%s'" % (name, second))
                    early.send(wire.query("SET %s = '%s'" % (name, first)) + wire.parse(sql, "s") + wire.SYNC, 2)
                    early.both("SET %s = '%s'" % (name, second))
                    if others_first:
                        present.cached(extended(sql))
                    for _ in range(3):
                        early.send(run)
                    present.cached(extended(sql))
                    early.send(run)

    @own_backend
    def test_prepared_before_a_reset_that_changes_nothing(self):
        sql = self.LITERALS["TimeZone"][2]
        run = wire.bind(name="s") + wire.describe() + wire.execute() + wire.SYNC
        twin = Twin(self)
        twin.send(wire.parse(sql, "s") + wire.SYNC)
        for reset in ("RESET ALL", "SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *"):
            twin.both(reset)
            twin.cached(lambda s: (s.send(run), s.read_reply())[1])

    @own_backend
    def test_what_a_transaction_had_set(self):
        sql = self.LITERALS["TimeZone"][2]
        early = Twin(self)
        early.both("BEGIN")
        early.both("SET LOCAL TimeZone = 'Asia/Tokyo'")
        early.send(wire.parse(sql, "s") + wire.SYNC)
        early.both("COMMIT")
        run = wire.bind(name="s") + wire.describe() + wire.execute() + wire.SYNC
        for _ in range(3):
            early.send(run)
        Twin(self).cached(extended(sql))
        early.send(run)


class ServerFilesTest(CacheTest):
    config = {"cache": {"catalog_refresh_interval": "1s"}}

    def setUp(self):
        super().setUp()
        self.setup_sql(RX)

    def test_reloaded_postgresql_conf(self):
        sql = "SELECT iv FROM rx ORDER BY id"
        twin = Twin(self)
        twin.cached(sql)
        self.addCleanup(env.cluster.run, "ALTER SYSTEM RESET IntervalStyle",
                        "SELECT pg_reload_conf()")
        env.cluster.run("ALTER SYSTEM SET IntervalStyle = 'iso_8601'", "SELECT pg_reload_conf()")
        want = wait_until("the reload to reach the server's session", lambda: (
            lambda r: r if b"PT" in r.raw else None)(twin.past.q(sql)))
        # A session that is not asked by its client learns of it with the control connection's next
        # look, or when it reaches the server; a bounded time, and never a mixture.
        wait_until("the reload to reach the proxied session",
                   lambda: twin.through.q(sql).rows == want.rows)
        twin.cached(sql)  # a session that lived through it goes on being served


class ContentTest(CacheTest):
    """Answers that are not a function of the tables alone."""

    def setUp(self):
        super().setUp()
        self.setup_sql(RX)

    def test_clock_words_in_a_literal_are_not_cached(self):
        session = self.wire()
        self.cached(session, ALL)
        for sql in ("SELECT id FROM rx WHERE d < 'today'", "SELECT id FROM rx WHERE at < 'now'",
                    "SELECT id, 'tomorrow'::date FROM rx", "SELECT id, date 'yesterday' FROM rx",
                    "SELECT id FROM rx WHERE at < now()", "SELECT id, current_date FROM rx",
                    "SELECT id, random() FROM rx", "SELECT id, clock_timestamp() FROM rx",
                    "SELECT id, age(at) FROM rx", "SELECT id, localtimestamp FROM rx",
                    "SELECT id, pg_backend_pid() FROM rx", "SELECT id, txid_current() FROM rx",
                    "SELECT id, gen_random_uuid() FROM rx", "SELECT id FROM rx WHERE d < ' TODAY '"):
            with self.subTest(sql):
                self.not_cached(session, sql)

    def test_clock_words_in_a_bound_value_are_not_cached(self):
        session = self.wire()
        self.cached(session, extended("SELECT id FROM rx WHERE d < $1 ORDER BY id", ["2024-02-10"]))
        for word in ("today", "now", "  Tomorrow", "yesterday", "allballs today"):
            self.not_cached(session, extended("SELECT id FROM rx WHERE d < $1 ORDER BY id", [word]))

    def test_tablesample_is_not_cached(self):
        session = self.wire()
        self.cached(session, ALL)
        for sample in ("BERNOULLI (50)", "SYSTEM (50)", "BERNOULLI (50) REPEATABLE (1)"):
            self.not_cached(session, "SELECT id FROM rx TABLESAMPLE " + sample)

    def test_row_locks_are_taken_every_time(self):
        first, second = self.wire(), self.wire()
        sql = "SELECT id FROM rx WHERE id = 1 FOR UPDATE"
        for _ in range(3):
            first.q(sql)
        first.q("BEGIN")
        first.q(sql)
        second.q("SET lock_timeout = '50ms'")
        self.assertEqual(second.q(sql).error, "55P03")

    def test_ctid_after_vacuum_full_and_cluster(self):
        self.setup_sql("DELETE FROM rx WHERE id < 10")
        session, owner = self.wire(), self.wire()
        sql = "SELECT ctid, id FROM rx ORDER BY id"
        self.cached(session, ALL)
        before = self.agree(sql, session).rows
        owner.q("VACUUM FULL rx")
        self.assertNotEqual(self.agree(sql, session).rows, before)
        self.agree(sql, session)
        owner.q("UPDATE rx SET f = f WHERE id = 12")
        self.agree(sql, session)
        owner.q("CLUSTER rx USING rx_pkey")
        self.agree(sql, session)
        self.agree("SELECT tableoid, xmin, cmin FROM rx ORDER BY id", session)

    def test_physical_order_after_cluster(self):
        session, owner = self.wire(), self.wire()
        owner.q("CREATE TABLE o (i int PRIMARY KEY); INSERT INTO o SELECT 100 - i FROM "
                "generate_series(1, 50) i")
        self.cached(session, "SELECT i FROM o")
        owner.q("CLUSTER o USING o_pkey")
        self.agree("SELECT i FROM o", session)

    def test_serializable_readers(self):
        session = self.wire()
        self.cached(session, ALL)
        for setting in ("SET default_transaction_isolation = 'serializable'",
                        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE"):
            session.q(setting)
            self.not_cached(session, ALL)
            session.q("RESET default_transaction_isolation")
        self.not_cached(self.wire(options="-c default_transaction_isolation=serializable"), ALL)

    def test_write_skew_is_still_refused_under_serializable(self):
        self.wire().q("CREATE TABLE duty (who text PRIMARY KEY, on_call bool); "
                      "INSERT INTO duty VALUES ('a', true), ('b', true)")
        sql = "SELECT count(*) FROM duty WHERE on_call"
        self.cached(self.wire(), sql)
        pair = [self.wire(options="-c default_transaction_isolation=serializable") for _ in "ab"]
        for session in pair:
            session.q("BEGIN")
            self.assertEqual(session.q(sql).value, "2")
        codes = [session.q("UPDATE duty SET on_call = false WHERE who = '%s'" % who).error
                 for session, who in zip(pair, "ab")]
        codes += [session.q("COMMIT").error for session in pair]
        self.assertIn("40001", codes)

    def test_catalogs_and_sequences_are_not_cached(self):
        session = self.wire()
        session.q("CREATE SEQUENCE s; CREATE UNLOGGED TABLE u AS SELECT 1 AS i")
        self.cached(session, ALL)
        self.not_cached(session, "SELECT count(*) FROM pg_class")
        self.not_cached(session, "SELECT last_value FROM s")
        self.not_cached(session, "SELECT nextval('s')")
        self.not_cached(session, "SELECT count(*) FROM information_schema.tables")

    def test_text_and_binary_parameters_of_equal_bytes(self):
        """int4 1 in binary is four bytes that are also a text; the key tells them apart."""
        twin = Twin(self)
        raw = struct.pack("!i", 0x31313131)
        for formats in ([1], [0], [1], [0]):
            twin.both(extended("SELECT id, $1::int4 FROM rx WHERE id = 1", [raw], formats=formats))

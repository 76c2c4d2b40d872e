"""A prepared statement that was described to its client, where server connections are shared: the rows
and parameters are of those types for as long as the client has it, or it is refused, as by a server of
one's own."""
import struct

import wire
from cache_case import CacheTest
from harness import wait_until
from test_pool import PoolTest


def run(session, name="s", params=(), **more):
    """Bind and Execute alone: the client knows the columns and is not told them again."""
    more.setdefault("results", [1])
    return session.batch(wire.bind(params, name=name, **more), wire.execute())


class ColumnsTest(PoolTest):
    pool = {"default_pool_size": 2}

    def setUp(self):
        super().setUp()
        self.mine, self.other = self.wire(), self.wire()

    def ok(self, session, *texts):
        for sql in texts:
            self.assertIsNone(session.q(sql).error, sql)

    def prepare(self, session, sql, name="s", types=()):
        reply = session.batch(wire.parse(sql, name, types), wire.describe(b"S", name))
        self.assertIsNone(reply.error, reply)
        return reply

    def elsewhere(self):
        """Who comes next gets another connection than who was last."""
        self.ok(self.other, "BEGIN", "SELECT 1")

    def back(self):
        self.ok(self.other, "COMMIT")

    def number(self, reply, form=">i"):
        self.assertIsNone(reply.error, reply)
        (row,) = [b for k, b in reply.frames if k == b"D"]
        (value,) = wire.columns(row)
        self.assertEqual(len(value), struct.calcsize(form))
        return struct.unpack(form, value)[0]

    def refused(self, reply):
        self.assertEqual(reply.error, "0A000", reply)
        self.assertIn("cached plan must not change result type", reply.errors[0]["M"])
        self.assertEqual(reply.status, "I")


class OtherColumnsTest(ColumnsTest):
    def test_a_type_that_changed_is_refused_at_another_connection_too(self):
        self.ok(self.mine, "CREATE TABLE c AS SELECT 1 AS i")
        self.prepare(self.mine, "SELECT i FROM c")
        self.assertEqual(self.number(run(self.mine)), 1)
        self.ok(self.mine, "ALTER TABLE c ALTER COLUMN i TYPE real")
        self.elsewhere()
        for _ in range(3):
            self.refused(run(self.mine))
        self.back()
        for _ in range(3):
            self.refused(run(self.mine))
        # Prepared again it is another one.
        self.assertIsNone(self.mine.batch(wire.close(b"S", "s")).error)
        self.prepare(self.mine, "SELECT i FROM c")
        self.assertEqual(self.number(run(self.mine), ">f"), 1.0)

    def test_changed_by_somebody_of_whom_nothing_is_known(self):
        for how in ("ttl", "auto"):
            with self.subTest(how):
                own = self.own(cache={"invalidation": how})
                mine, self.other = self.at(own), self.at(own)
                self.proxied.run("DROP TABLE IF EXISTS c; CREATE TABLE c AS SELECT 1 AS i", database=self.database)
                self.prepare(mine, "SELECT i FROM c")
                self.assertEqual(self.number(run(mine)), 1)
                self.proxied.run("ALTER TABLE c ALTER COLUMN i TYPE real", database=self.database)
                self.elsewhere()
                wait_until("the change to be known", lambda: self.is_refused(mine))

    def is_refused(self, session):
        """Until the change is known the answer of before may come from the cache. That a statement is
        prepared anew in that very moment is rare enough to cost the connection."""
        try:
            reply = run(session)
        except wire.Closed as closed:
            self.assertIn(b"C0A000\0", closed.raw)
            self.assertEqual([k for k, _ in wire.frames(closed.raw) if k == b"D"], [])
            return True
        if reply.error is None:
            self.assertEqual(self.number(reply), 1)
            return False
        self.refused(reply)
        return True

    def test_the_path_of_another(self):
        self.ok(self.mine, "CREATE SCHEMA a", "CREATE TABLE a.c AS SELECT 1 AS i", "CREATE SCHEMA b",
                "CREATE TABLE b.c AS SELECT 1::real AS i", "CREATE SCHEMA d", "CREATE TABLE d.c AS SELECT 4 AS i")
        self.ok(self.mine, "SET search_path = a")
        self.ok(self.other, "SET search_path = b")
        for session in (self.mine, self.other):
            self.prepare(session, "SELECT i FROM c")
        self.assertEqual(self.number(run(self.mine)), 1)
        self.assertEqual(self.number(run(self.other), ">f"), 1.0)
        self.ok(self.mine, "SET search_path = b")
        self.refused(run(self.mine))
        self.ok(self.mine, "SET search_path = d")
        self.assertEqual(self.number(run(self.mine)), 4)
        self.assertEqual(self.number(run(self.other), ">f"), 1.0)

    def test_who_was_told_nothing_reads_what_there_is(self):
        self.ok(self.mine, "CREATE TABLE c AS SELECT 1 AS i")
        self.assertIsNone(self.mine.batch(wire.parse("SELECT i FROM c", "s")).error)
        self.ok(self.mine, "ALTER TABLE c ALTER COLUMN i TYPE real")
        self.elsewhere()
        reply = self.mine.batch(wire.bind(name="s", results=[1]), wire.describe(), wire.execute())
        self.assertEqual(self.number(reply, ">f"), 1.0)

    def test_columns_of_the_unnamed_statement(self):
        self.ok(self.mine, "CREATE TABLE c AS SELECT 1 AS i")
        for change, want in (("ADD COLUMN more int", None), ("ALTER COLUMN i TYPE real", "0A000")):
            with self.subTest(change):
                self.prepare(self.mine, "SELECT i FROM c", "")
                self.ok(self.other, "ALTER TABLE c " + change)
                self.elsewhere()
                reply = run(self.mine, "")
                self.assertEqual(reply.error, want, reply)
                if want:
                    self.refused(self.mine.batch(wire.describe(b"S", "")))
                self.back()

    def test_nothing_of_a_refused_batch_is_written(self):
        self.ok(self.mine, "CREATE TABLE c AS SELECT 1 AS i")
        self.prepare(self.mine, "INSERT INTO c VALUES (2) RETURNING i")
        self.ok(self.mine, "ALTER TABLE c ALTER COLUMN i TYPE real")
        self.elsewhere()
        self.refused(self.mine.batch(wire.parse("INSERT INTO c VALUES (3)"), wire.bind(), wire.execute(),
                                     wire.bind(name="s", results=[1]), wire.execute()))
        self.assertEqual(self.value(self.mine, "SELECT count(*) FROM c"), "1")

    def test_in_a_block_it_fails_the_block(self):
        self.ok(self.mine, "CREATE TABLE c AS SELECT 1 AS i")
        self.prepare(self.mine, "SELECT i FROM c")
        self.ok(self.mine, "ALTER TABLE c ALTER COLUMN i TYPE real")
        self.elsewhere()
        self.ok(self.mine, "BEGIN")
        reply = run(self.mine)
        self.assertEqual((reply.error, reply.status), ("0A000", "E"))
        self.ok(self.mine, "ROLLBACK")

    def test_a_table_that_is_gone_says_so(self):
        self.ok(self.mine, "CREATE TABLE c AS SELECT 1 AS i")
        self.prepare(self.mine, "SELECT i FROM c")
        self.ok(self.mine, "DROP TABLE c")
        self.elsewhere()
        for _ in range(2):
            reply = run(self.mine)
            self.assertEqual((reply.error, reply.status), ("42P01", "I"), reply)
        self.ok(self.mine, "CREATE TABLE c AS SELECT 5 AS i")
        self.assertEqual(self.number(run(self.mine)), 5)


    def test_told_with_its_first_portal(self):
        """As JDBC does it."""
        self.ok(self.mine, "CREATE TABLE c AS SELECT 1 AS i")
        reply = self.mine.batch(wire.parse("SELECT i FROM c", "s"), wire.bind(name="s", results=[1]),
                                wire.describe(), wire.execute())
        self.assertEqual(self.number(reply), 1)
        self.ok(self.mine, "ALTER TABLE c ALTER COLUMN i TYPE real")
        self.elsewhere()
        self.refused(run(self.mine))


class SameColumnsTest(ColumnsTest):
    def test_other_changes_are_none_of_its(self):
        self.ok(self.mine, "CREATE TABLE c AS SELECT 1 AS i")
        self.prepare(self.mine, "SELECT i FROM c")
        self.ok(self.mine, "ALTER TABLE c ADD COLUMN j int", "CREATE TABLE some_other (i int)")
        self.elsewhere()
        self.assertEqual(self.number(run(self.mine)), 1)
        self.ok(self.mine, "DROP TABLE c", "CREATE TABLE c AS SELECT 2 AS i")
        self.back()
        self.assertEqual(self.number(run(self.mine)), 2)
        batch = [wire.bind(name="s", results=[1]) + wire.execute()] * 2
        self.assertEqual(len(self.mine.batch(*batch).rows), 2)

    def test_parameters_keep_the_types_that_were_told(self):
        self.ok(self.mine, "CREATE TABLE c AS SELECT 7 AS i, 'seven' AS word")
        self.prepare(self.mine, "SELECT word FROM c WHERE i = $1")
        seven = {"params": [struct.pack(">i", 7)], "formats": [1], "results": [0]}
        self.assertEqual(run(self.mine, **seven).value, "seven")
        for there in ("real", "bigint", "numeric"):
            with self.subTest(there):
                self.ok(self.mine, "ALTER TABLE c ALTER COLUMN i TYPE " + there)
                self.elsewhere()
                self.assertEqual(run(self.mine, **seven).value, "seven")
                self.back()
                self.assertEqual(run(self.mine, **seven).value, "seven")


class CachedColumnsTest(ColumnsTest, CacheTest):
    def test_another_ones_bind_proves_nothing_to_who_was_told(self):
        self.ok(self.mine, "CREATE TABLE c AS SELECT 1 AS i")
        untold = self.wire()
        self.assertIsNone(untold.batch(wire.parse("SELECT i FROM c", "s")).error)
        self.prepare(self.mine, "SELECT i FROM c")
        self.assertEqual(self.number(run(self.mine)), 1)
        self.ok(self.mine, "ALTER TABLE c ALTER COLUMN i TYPE real")
        self.elsewhere()
        self.cached(untold, run)
        self.assertEqual(self.number(run(untold), ">f"), 1.0)
        self.refused(run(self.mine))

    def test_who_was_told_is_served_again_after_other_changes(self):
        self.ok(self.mine, "CREATE TABLE c AS SELECT 1 AS i")
        self.prepare(self.mine, "SELECT i FROM c")
        self.cached(self.mine, run)
        self.ok(self.mine, "CREATE TABLE some_other (i int)")
        self.assertEqual(self.number(self.cached(self.mine, run)), 1)

    def test_told_by_an_answer_from_the_cache(self):
        self.ok(self.mine, "CREATE TABLE c AS SELECT 1 AS i")

        def described(session):
            return session.batch(wire.bind(name="s", results=[1]), wire.describe(), wire.execute())
        first = self.wire()
        for session in (first, self.mine):
            self.assertIsNone(session.batch(wire.parse("SELECT i FROM c", "s")).error)
        self.cached(first, described)
        self.assertEqual(self.number(self.cached(self.mine, described)), 1)
        self.ok(self.mine, "ALTER TABLE c ALTER COLUMN i TYPE real")
        self.elsewhere()
        self.refused(run(self.mine))


class PathTest(CacheTest):
    """A connection of one's own: what others have in the cache for the path that is set now."""

    def setUp(self):
        super().setUp()
        self.setup_sql("CREATE SCHEMA a", "CREATE SCHEMA b", "CREATE TABLE a.c AS SELECT 1 AS i, 'one' AS word",
                       "CREATE TABLE b.c AS SELECT 1::real AS i, 'one' AS word")
        self.mine, self.other = self.wire(), self.wire()
        self.mine.q("SET search_path = a")
        self.other.q("SET search_path = b")

    def prepare(self, sql):
        for session in (self.mine, self.other):
            self.assertIsNone(session.batch(wire.parse(sql, "s"), wire.describe(b"S", "s")).error)

    def test_rows_of_other_types(self):
        self.prepare("SELECT i FROM c")
        self.cached(self.other, run)
        self.mine.q("SET search_path = b")
        self.assertEqual(run(self.mine).error, "0A000")

    def test_parameters_of_other_types(self):
        self.prepare("SELECT word FROM c WHERE i = $1")
        one = {"params": [struct.pack(">f", 1.0)], "formats": [1], "results": [0]}
        self.assertEqual(self.cached(self.other, lambda session: run(session, **one)).value, "one")
        self.mine.q("SET search_path = b")
        self.assertEqual(run(self.mine, **one).rows, [])

    def test_told_by_an_answer_from_the_cache(self):
        first = [wire.parse("SELECT i FROM c", "s"), wire.bind(name="s", results=[1]), wire.describe(),
                 wire.execute()]
        again = wire.close(b"S", "s")
        self.mine.q("SET search_path = b")
        self.cached(self.other, lambda session: session.batch(*first, again))
        self.assertEqual(self.mine.batch(*first).error, None)
        self.other.q("ALTER TABLE b.c ALTER COLUMN i TYPE double precision")
        self.assertEqual(run(self.mine).error, "0A000")
        self.assertEqual(self.mine.batch(wire.describe(b"S", "s")).error, "0A000")

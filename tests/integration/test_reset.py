"""What drivers' pools send before they use a connection again: DISCARD ALL, or one text of several
statements. The first query of the next user comes in the same segment."""
import wire
from cache_case import ALL, RX, CacheTest, Twin, extended
from harness import own_backend

RESETS = {
    "DISCARD ALL": "DISCARD ALL",
    "Npgsql, while statements are prepared":
        "SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;SELECT pg_advisory_unlock_all();"
        "DISCARD SEQUENCES;DISCARD TEMP",
    "asyncpg": "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
}
BATCH = wire.parse(ALL) + wire.bind() + wire.describe() + wire.execute() + wire.SYNC
LEFT = [  # what one user leaves behind, and where it shows
    ("SET TimeZone = 'Asia/Tokyo'", "SHOW TimeZone"),
    ("SET app.ward = 'b'", "SELECT current_setting('app.ward', true)"),
    ("SET search_path = pg_catalog", "SHOW search_path"),
    ("SET work_mem = '1MB'", "SHOW work_mem"),
    ("SET ROLE alice", "SELECT current_user"),
    ("SET SESSION AUTHORIZATION alice", "SELECT session_user, current_user"),
    ("SET application_name = 'x'", "SHOW application_name"),
    ("CREATE TEMP TABLE mine (id int)", "SELECT count(*) FROM mine"),
    ("LISTEN ward", "SELECT pg_listening_channels()"),
    ("SELECT pg_advisory_lock_shared(7)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7"
                                   " AND pid = pg_backend_pid()"),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*) FROM pg_cursors"),
    ("PREPARE p AS SELECT 1", "EXECUTE p"),
    ("SELECT nextval('seen')", "SELECT lastval() > 0"),
]


class ResetTest(CacheTest):
    def setUp(self):
        super().setUp()
        self.setup_sql(RX, "CREATE SEQUENCE seen", "CREATE TABLE other AS SELECT 1 AS n",
                       "CREATE SCHEMA side", "CREATE TABLE side.rx AS SELECT * FROM rx")
        Twin(self).cached(extended(ALL))

    def test_the_next_query_is_a_hit(self):
        for name, reset in RESETS.items():
            with self.subTest(name):
                twin, hits = Twin(self), self.hits()
                for _ in range(3):
                    twin.send(wire.query(reset) + BATCH, 2)
                    twin.send(wire.query(reset) + wire.query(ALL), 2)
                if not self.sidecar.control:
                    self.assertGreaterEqual(self.hits(), hits + 3)

    @own_backend
    def test_nothing_is_left(self):
        for name, reset in RESETS.items():
            # What asyncpg leaves of a sequence is not for sure at the next server connection, either.
            for leaves, shows in LEFT[:-1] if name == "asyncpg" else LEFT:
                with self.subTest(name, leaves=leaves):
                    twin = Twin(self)
                    twin.both("DEALLOCATE ALL")
                    twin.through.q(leaves), twin.past.q(leaves)  # their sequence values differ
                    for _ in range(2):
                        twin.send(wire.query(reset) + wire.query(shows), 2)
                    twin.send(wire.query(reset) + BATCH, 2)
                    twin.through.close(), twin.past.close()


    def test_a_write_behind_it_outdates_its_own_table_alone(self):
        for name, reset in RESETS.items():
            with self.subTest(name):
                reader, writer = Twin(self), Twin(self)
                for n in range(3):
                    reader.cached(extended(ALL))
                    hits = self.hits()
                    writer.through.send(wire.query(reset) + wire.query("UPDATE other SET n = n + 1"))
                    self.assertEqual([writer.through.read_reply().error for _ in range(2)], [None, None])
                    reader.both(extended(ALL))
                    if not self.sidecar.control:
                        self.assertEqual(self.hits(), hits + 1, n)
                # Behind a path that it does change it may be any table.
                writer.through.q("SET search_path = side")
                writer.through.send(wire.query(reset) + wire.query("UPDATE rx SET drug = drug || '!'"))
                self.assertEqual([writer.through.read_reply().error for _ in range(2)], [None, None])
                reader.both(extended(ALL))


class SharedResetTest(ResetTest):
    config = {"pool_mode": "transaction", "auth_type": "trust"}


class NoServerTest(CacheTest):
    """While somebody else has the only server connection."""
    config = {"pool_mode": "transaction", "auth_type": "trust", "default_pool_size": 1,
              "query_wait_timeout": "200ms"}

    def test_a_reset_and_a_hit_need_no_server(self):
        self.require_program()
        self.setup_sql(RX)
        twin = Twin(self)
        twin.both("SET app.ward = 'b'")
        twin.cached(extended(ALL))
        twin.both("RESET app.ward")
        twin.both("DISCARD ALL")
        twin.cached(extended(ALL))
        other = self.wire()
        self.assertIsNone(other.q("BEGIN").error)
        for name, reset in RESETS.items():
            with self.subTest(name):
                for _ in range(3):
                    twin.send(wire.query(reset) + BATCH, 2)
        # Something else in it, and it is the server's.
        refused = twin.through.q(RESETS["asyncpg"] + "SELECT 1")
        self.assertEqual(refused.error, "55P03")
        # What is set is answered by the server, which tells the client of it.
        self.assertIsNone(other.q("COMMIT").error)
        twin.both("SET DateStyle = 'German'")
        self.assertIsNone(other.q("BEGIN").error)
        self.assertEqual(twin.through.q(RESETS["asyncpg"]).error, "55P03")
        self.assertIsNone(other.q("COMMIT").error)
        for reset in RESETS.values():
            twin.both("SET DateStyle = 'German'")
            twin.both(reset)
            twin.both("SELECT DATE '2024-02-01'")

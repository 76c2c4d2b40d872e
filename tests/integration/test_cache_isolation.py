"""Traps of isolation: what a session may see, and in which shape, depends on more than the SQL text."""
import wire
from cache_case import ALL, RX, CacheTest, Twin, env, extended
from harness import own_backend


class PrivilegeTest(CacheTest):
    def setUp(self):
        super().setUp()
        self.setup_sql(RX)
        self.owner = self.wire()

    def test_rows_served_after_revoke(self):
        alice = self.wire("alice")
        self.assertEqual(len(self.cached(alice, ALL).rows), 30)
        self.owner.q("REVOKE SELECT ON rx FROM alice")
        self.assertEqual(alice.q(ALL).error, "42501")
        self.owner.q("GRANT SELECT ON rx TO alice")
        self.assertEqual(len(alice.q(ALL).rows), 30)

    def test_rows_served_after_revoke_of_a_column(self):
        self.owner.q("REVOKE SELECT ON rx FROM alice; GRANT SELECT (id, drug) ON rx TO alice")
        alice = self.wire("alice")
        self.cached(alice, "SELECT id, drug FROM rx ORDER BY id")
        self.owner.q("REVOKE SELECT (drug) ON rx FROM alice")
        self.assertEqual(alice.q("SELECT id, drug FROM rx ORDER BY id").error, "42501")

    def test_rows_served_after_leaving_a_group(self):
        self.owner.q("CREATE ROLE grp_%s" % self.database)
        self.addCleanup(self._drop_group)
        self.owner.q("REVOKE SELECT ON rx FROM alice; GRANT SELECT ON rx TO grp_%s; "
                     "GRANT grp_%s TO alice" % (self.database, self.database))
        alice = self.wire("alice")
        self.cached(alice, ALL)
        self.owner.q("REVOKE grp_%s FROM alice" % self.database)
        self.assertEqual(alice.q(ALL).error, "42501")

    def _drop_group(self):
        name = "grp_" + self.database
        env.cluster.run("REVOKE SELECT ON rx FROM " + name, "DROP ROLE " + name,
                        database=self.database)

    def test_rows_served_after_revoke_of_the_schema(self):
        self.owner.q("CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS i; GRANT USAGE ON SCHEMA s TO "
                     "alice; GRANT SELECT ON s.t TO alice")
        alice = self.wire("alice")
        self.cached(alice, "SELECT * FROM s.t")
        self.owner.q("REVOKE USAGE ON SCHEMA s FROM alice")
        self.assertEqual(alice.q("SELECT * FROM s.t").error, "42501")

    def test_rows_of_another_user(self):
        self.owner.q("REVOKE SELECT ON rx FROM bob")
        self.cached(self.wire("alice"), ALL)
        self.assertEqual(self.wire("bob").q(ALL).error, "42501")

    def test_view_runs_with_its_owners_rights(self):
        self.owner.q("CREATE VIEW v AS SELECT * FROM rx; GRANT SELECT ON v TO alice; "
                     "REVOKE SELECT ON rx FROM alice")
        alice = self.wire("alice")
        for _ in range(5):
            self.assertEqual(len(alice.q("SELECT * FROM v").rows), 30)
        self.owner.q("ALTER VIEW v SET (security_invoker = true)")
        self.assertEqual(alice.q("SELECT * FROM v").error, "42501")

    def test_prepare_is_not_authorisation(self):
        alice = self.wire("alice")
        alice.batch(wire.parse(ALL, "s"))

        def run(session):
            return session.batch(wire.bind(name="s"), wire.describe(), wire.execute())
        self.cached(alice, run)
        self.owner.q("REVOKE SELECT ON rx FROM alice")
        self.assertEqual(run(alice).error, "42501")

    def test_set_role(self):
        alice = self.wire("alice")
        self.cached(alice, ALL)
        alice.q("SET ROLE ward")
        self.assertEqual(alice.q(ALL).error, "42501")
        alice.q("RESET ROLE")
        self.assertEqual(len(alice.q(ALL).rows), 30)

    def test_set_role_undone_by_rollback(self):
        alice = self.wire("alice")
        self.cached(alice, ALL)
        for undo in ("ROLLBACK", "ROLLBACK TO s; COMMIT"):
            alice.q("BEGIN; SAVEPOINT s; SET ROLE ward")
            self.assertEqual(alice.q(ALL).error, "42501")
            for part in undo.split("; "):
                alice.q(part)
            self.assertEqual(len(alice.q(ALL).rows), 30, undo)
        alice.q("BEGIN; SET ROLE ward; COMMIT")
        self.assertEqual(alice.q(ALL).error, "42501")

    def test_set_session_authorization(self):
        root = self.wire()
        self.owner.q("REVOKE SELECT ON rx FROM bob")
        self.cached(root, ALL)
        root.q("SET SESSION AUTHORIZATION bob")
        self.assertEqual(root.q(ALL).error, "42501")
        root.q("RESET SESSION AUTHORIZATION")
        self.assertEqual(len(root.q(ALL).rows), 30)

    def test_role_set_by_set_config(self):
        alice = self.wire("alice")
        self.cached(alice, ALL)
        alice.q("SELECT set_config('role', 'ward', false)")
        self.assertEqual(alice.q(ALL).error, "42501")

    def test_role_given_at_start_up(self):
        self.cached(self.wire("alice"), ALL)
        self.assertEqual(self.wire("alice", options="-c role=ward").q(ALL).error, "42501")

    def test_current_user_in_the_select_list(self):
        sql = "SELECT current_user, session_user, id FROM rx WHERE id = 1"
        alice, bob = Twin(self, "alice"), Twin(self, "bob")
        for _ in range(4):
            alice.both(sql)
            bob.both(sql)
        alice.both("SET ROLE ward")
        alice.both(sql)


class RowSecurityTest(CacheTest):
    def setUp(self):
        super().setUp()
        self.setup_sql(RX, """
            ALTER TABLE rx ENABLE ROW LEVEL SECURITY;
            CREATE POLICY by_tenant ON rx USING (tenant = current_setting('app.tenant_id', true))""")
        self.owner = self.wire()

    def test_tenant_set_by_an_executed_set_config(self):
        self.owner.q("GRANT CREATE ON SCHEMA public TO alice")
        for execute in ("EXECUTE p", "EXPLAIN ANALYZE EXECUTE p", "CREATE TABLE x1 AS EXECUTE p",
                        "CREATE TEMP TABLE x AS EXECUTE p",
                        "EXPLAIN ANALYZE CREATE TABLE x2 AS EXECUTE p"):
            with self.subTest(execute):
                alice, other = self.wire("alice"), self.wire("alice")
                for session in (alice, other):
                    session.q("SET app.tenant_id = 'tenant0'")
                alice.q("PREPARE p AS SELECT set_config('app.tenant_id', 'tenant1', false)")
                self.assertIsNone(alice.q(execute).error)
                self.assertEqual({row[1] for row in self.cached(other, ALL).rows}, {"tenant0"})
                self.assertEqual({row[1] for row in alice.q(ALL).rows}, {"tenant1"})

    def test_rows_of_another_tenant(self):
        sessions = {}
        for tenant in ("tenant0", "tenant1", "tenant2"):
            sessions[tenant] = self.wire("alice")
            sessions[tenant].q("SET app.tenant_id = '%s'" % tenant)
        for _ in range(6):
            for tenant, session in sessions.items():
                rows = session.q(ALL).rows
                self.assertEqual({row[1] for row in rows}, {tenant})
                self.assertEqual(len(rows), 10)

    def test_tenant_changes_within_one_session(self):
        twin = Twin(self, "alice")
        for tenant in ("tenant0", "tenant1", "tenant0", "none", "tenant2"):
            twin.both("SET app.tenant_id = '%s'" % tenant)
            for _ in range(3):
                twin.both(ALL)
        twin.both("SELECT set_config('app.tenant_id', 'tenant1', false)")
        twin.both(ALL)
        twin.both("BEGIN")
        twin.both("SET LOCAL app.tenant_id = 'tenant0'")
        twin.both(ALL)
        twin.both("COMMIT")
        twin.both(ALL)
        twin.both("RESET app.tenant_id")
        twin.both(ALL)

    def test_tenant_bound_as_a_parameter(self):
        twin, other = Twin(self, "alice"), Twin(self, "alice")
        for session in (twin, other):
            session.both(extended("SELECT set_config('app.tenant_id', $1, false)", ["tenant0"]))
            self.assertEqual(len(session.cached(ALL).rows), 10)
        for tenant in ("tenant1", "none", "tenant2", None, "tenant0"):
            twin.both(extended("SELECT set_config('app.tenant_id', $1, false)", [tenant]))
            for _ in range(3):
                twin.both(ALL)
            other.both(ALL)
        twin.both("BEGIN")
        twin.both(extended("SELECT set_config('app.tenant_id', $1, true)", ["tenant1"]))
        twin.both(ALL)
        twin.both("COMMIT")
        self.assertEqual({row[1] for row in twin.cached(ALL).rows}, {"tenant0"})

    def test_row_security_change(self):
        alice = self.wire("alice")
        alice.q("SET app.tenant_id = 'tenant0'")
        for _ in range(4):
            self.assertEqual(len(alice.q(ALL).rows), 10)
        for sql, count in (("ALTER POLICY by_tenant ON rx USING (id < 6)", 5),
                           ("ALTER TABLE rx DISABLE ROW LEVEL SECURITY", 30),
                           ("ALTER TABLE rx ENABLE ROW LEVEL SECURITY", 5),
                           ("CREATE POLICY more ON rx USING (id = 20)", 6),
                           ("DROP POLICY by_tenant ON rx", 1),
                           ("ALTER POLICY more ON rx TO bob", 0)):
            self.owner.q(sql)
            for _ in range(3):
                self.assertEqual(len(alice.q(ALL).rows), count, sql)

    def test_policy_enabled_on_a_cached_table(self):
        self.owner.q("ALTER TABLE rx DISABLE ROW LEVEL SECURITY")
        alice = self.wire("alice")
        self.assertEqual(len(self.cached(alice, ALL).rows), 30)
        self.owner.q("ALTER TABLE rx ENABLE ROW LEVEL SECURITY")
        self.assertEqual(len(alice.q(ALL).rows), 0)

    def test_policy_that_reads_another_table(self):
        self.owner.q("CREATE TABLE staff (name name PRIMARY KEY); GRANT SELECT ON staff TO alice; "
                     "DROP POLICY by_tenant ON rx; CREATE POLICY staff_only ON rx USING "
                     "(EXISTS (SELECT FROM staff WHERE name = current_user))")
        alice = self.wire("alice")
        for _ in range(4):
            self.assertEqual(len(alice.q(ALL).rows), 0)
        self.owner.q("INSERT INTO staff VALUES ('alice')")
        for _ in range(4):
            self.assertEqual(len(alice.q(ALL).rows), 30)
        self.owner.q("DELETE FROM staff")
        self.assertEqual(len(alice.q(ALL).rows), 0)

    def test_row_security_off_for_the_session(self):
        alice = self.wire("alice")
        alice.q("SET app.tenant_id = 'tenant1'")
        for _ in range(4):
            self.assertEqual(len(alice.q(ALL).rows), 10)
        alice.q("SET row_security = off")
        self.assertEqual(alice.q(ALL).error, "42501")

    def test_owner_and_superuser_see_all_rows_of_the_same_statement(self):
        alice, root = self.wire("alice"), self.wire()
        alice.q("SET app.tenant_id = 'tenant1'")
        root.q("SET app.tenant_id = 'tenant1'")
        for _ in range(4):
            self.assertEqual(len(alice.q(ALL).rows), 10)
            self.assertEqual(len(root.q(ALL).rows), 30)


class NameTest(CacheTest):
    def setUp(self):
        super().setUp()
        self.setup_sql("CREATE SCHEMA a; CREATE SCHEMA b; CREATE SCHEMA alice; CREATE SCHEMA ward;"
                       + "".join("CREATE TABLE %s.t AS SELECT '%s' AS v;" % (s, s)
                                 for s in ("a", "b", "alice", "ward", "public"))
                       + "GRANT USAGE ON SCHEMA a, b, alice, ward TO PUBLIC;"
                       + "GRANT SELECT ON a.t, b.t, alice.t, ward.t, public.t TO PUBLIC")

    def test_same_unqualified_sql_under_two_search_paths(self):
        first, second = self.wire(), self.wire()
        first.q("SET search_path = a")
        second.q("SET search_path = b")
        self.assertEqual(self.cached(first, "SELECT v FROM t").value, "a")
        self.assertEqual(self.cached(second, "SELECT v FROM t").value, "b")
        first.q("SET search_path = b, a")
        self.assertEqual(first.q("SELECT v FROM t").value, "b")
        first.q("BEGIN; SET LOCAL search_path = a; COMMIT")
        self.assertEqual(first.q("SELECT v FROM t").value, "b")
        first.q("RESET search_path")
        self.assertEqual(first.q("SELECT v FROM t").value, "public")

    def test_user_schema_after_set_role(self):
        alice = self.wire("alice")
        self.assertEqual(self.cached(alice, "SELECT v FROM t").value, "alice")
        alice.q("SET ROLE ward")
        self.assertEqual(alice.q("SELECT v FROM t").value, "ward")
        alice.q("RESET ROLE")
        self.assertEqual(alice.q("SELECT v FROM t").value, "alice")

    def test_table_created_earlier_in_the_path(self):
        session, owner = self.wire(), self.wire()
        owner.q("CREATE SCHEMA early")
        session.q("SET search_path = early, a")
        self.assertEqual(self.cached(session, "SELECT v FROM t").value, "a")
        owner.q("CREATE TABLE early.t AS SELECT 'early' AS v")
        self.assertEqual(session.q("SELECT v FROM t").value, "early")
        owner.q("DROP TABLE early.t")
        self.assertEqual(session.q("SELECT v FROM t").value, "a")

    @own_backend
    def test_table_created_earlier_in_the_path_than_what_is_prepared(self):
        """Who has it prepared goes on with the table that it had; others find the new one."""
        run = wire.bind(name="s") + wire.describe() + wire.execute() + wire.SYNC
        sql, path = "SELECT v FROM t", {"search_path": "early, a"}
        owner, twin = self.wire(), Twin(self, **path)
        owner.q("CREATE SCHEMA early")
        twin.send(wire.parse(sql, "s") + wire.SYNC)
        self.assertEqual(twin.send(run).value, "a")
        owner.q("CREATE TABLE early.t AS SELECT 'early' AS v")
        for _ in range(3):
            self.assertEqual(twin.send(run).value, "a")
        self.assertEqual(Twin(self, **path).cached(extended(sql)).value, "early")
        self.assertEqual(twin.send(run).value, "a")

    def test_schema_created_that_the_path_already_names(self):
        session, owner = self.wire(), self.wire()
        session.q("SET search_path = nascent, a")
        self.cached(session, "SELECT v FROM t")
        owner.q("CREATE SCHEMA nascent; CREATE TABLE nascent.t AS SELECT 'nascent' AS v")
        self.assertEqual(session.q("SELECT v FROM t").value, "nascent")

    def test_temporary_table_shadowing_a_real_one(self):
        session, other = self.wire(), self.wire()
        self.assertEqual(self.cached(session, "SELECT v FROM t").value, "public")
        session.q("CREATE TEMP TABLE t AS SELECT 'temp' AS v")
        self.assertEqual(session.q("SELECT v FROM t").value, "temp")
        self.assertEqual(other.q("SELECT v FROM t").value, "public")
        session.q("INSERT INTO t VALUES ('more')")
        self.assertEqual(session.q("SELECT count(*) FROM t").value, "2")
        session.q("DROP TABLE pg_temp.t")
        self.assertEqual(session.q("SELECT v FROM t").value, "public")

    def test_temporary_table_made_in_a_way_not_seen(self):
        ways = ["DO $$ BEGIN CREATE TEMP TABLE t AS SELECT 'temp' AS v; END $$",
                "SELECT 'temp' AS v INTO TEMP t",
                "SET search_path = pg_temp, public; CREATE TABLE t AS SELECT 'temp' AS v",
                "PREPARE p AS SELECT 'temp' AS v; CREATE TEMP TABLE t AS EXECUTE p",
                "CREATE TEMP VIEW t AS SELECT 'temp' AS v"]
        self.wire().q("CREATE FUNCTION mk() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE"
                      " TEMP TABLE t AS SELECT ''temp'' AS v'; RETURN 1; END $$")
        for way in ways + ["SELECT mk()"]:
            with self.subTest(way):
                session = self.wire()
                self.cached(session, "SELECT v FROM t")
                session.q(way)
                self.assertEqual(session.q("SELECT v FROM t").value, "temp")
                session.q("DISCARD ALL")
                self.assertEqual(session.q("SELECT v FROM t").value, "public")

    def test_same_table_name_in_two_databases(self):
        other = env.cluster.new_database()
        self.addCleanup(env.cluster.run, "DROP DATABASE %s WITH (FORCE)" % other)
        env.cluster.run("CREATE TABLE t AS SELECT 'other' AS v", database=other)
        here, there = self.wire(), self.wire(database=other)
        for _ in range(2):
            self.assertEqual(self.cached(here, "SELECT v FROM t").value, "public")
            self.assertEqual(self.cached(there, "SELECT v FROM t").value, "other")

    def test_function_shadowed_earlier_in_the_path(self):
        session, owner = self.wire(), self.wire()
        session.q("SET search_path = b, a, pg_catalog")
        self.cached(session, "SELECT upper(v) FROM t")
        owner.q("CREATE FUNCTION b.upper(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT "
                "'mine' $$")
        self.assertEqual(session.q("SELECT upper(v) FROM t").value, "mine")

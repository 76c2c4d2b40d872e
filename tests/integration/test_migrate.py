"""pgsidecar migrate up, down and status: the tables, what is found, and who may."""
import json

import psycopg

from harness import wait_until
from migrate_case import CACHE, INDEX, METRICS, VERSIONS, MigrateCase, env, free_port

# As the design gives them.
GIVEN = """
CREATE TABLE IF NOT EXISTS prescription_query_cache (cache_key VARCHAR(255) PRIMARY KEY, tenant_id VARCHAR(100) NOT NULL, cached_result JSONB NOT NULL,
    expiration_time TIMESTAMP NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE INDEX IF NOT EXISTS idx_prescription_cache_tenant_expiration ON prescription_query_cache(tenant_id, expiration_time);
CREATE TABLE IF NOT EXISTS prescription_query_metrics (id SERIAL PRIMARY KEY, tenant_id VARCHAR(100) NOT NULL, query_type VARCHAR(50) NOT NULL,
    execution_time_ms DECIMAL(10,2) NOT NULL, record_count INTEGER NOT NULL, timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
"""
TABLE_DEFINITIONS = """
SELECT c.relname::text, a.attnum::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
       a.attnotnull::text, pg_get_expr(d.adbin, d.adrelid)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE c.relname LIKE 'prescription%'
   AND c.relkind = 'r'
UNION ALL SELECT tablename, indexname, indexdef, '', '', '' FROM pg_indexes WHERE tablename LIKE 'prescr%'
UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', ''
  FROM pg_constraint WHERE conrelid::regclass::text LIKE 'prescription%'
ORDER BY 1, 2, 3"""
ONE_ENTRY = "INSERT INTO prescription_query_cache VALUES ('k', 't', '{}', now())"
ONE_METRIC = ("INSERT INTO prescription_query_metrics (tenant_id, query_type, execution_time_ms, "
              "record_count) VALUES ('t', 'q', 1, 1)")


class TablesTest(MigrateCase):
    def test_fresh(self):
        text = self.migrate("up")
        for made in ("table " + CACHE, "index " + INDEX, "table " + METRICS):
            self.assertRegex(text, r"made +" + made + "\n")
        self.assertIn('database "%s" on 127.0.0.1:%d, schema "public", as role "postgres"'
                      % (self.database, env.cluster.port), text)
        made = self.fetch(TABLE_DEFINITIONS)
        self.run_sql("DROP TABLE %s, %s" % (CACHE, METRICS), GIVEN)
        self.assertEqual(made, self.fetch(TABLE_DEFINITIONS))
        self.assertEqual(len(made), 16)

    def test_twice_is_as_once(self):
        self.migrate("up")
        before, records = self.everything(), self.fetch("SELECT * FROM " + VERSIONS)
        text = self.migrate("up")
        self.assertRegex(text, "there +table " + CACHE)
        self.assertNotIn("made ", text)
        self.assertEqual(self.everything(), before)
        self.assertEqual(self.fetch("SELECT * FROM " + VERSIONS), records)

    def test_what_was_removed_by_hand_is_made_again(self):
        self.migrate("up")
        self.run_sql("DROP INDEX " + INDEX, "DROP TABLE " + METRICS)
        self.assertIn("missing", self.migrate("status", code=1))
        text = self.migrate("up")
        self.assertRegex(text, "made +index " + INDEX)
        self.assertRegex(text, "there +table " + CACHE)
        self.migrate("status")

    def test_tables_with_data_are_found_and_kept(self):
        self.run_sql(GIVEN, ONE_ENTRY, ONE_METRIC, "DROP INDEX " + INDEX)
        text = self.migrate("up")
        self.assertRegex(text, "found +table " + CACHE)
        self.assertRegex(text, "made +index " + INDEX)
        self.assertEqual(self.fetch("SELECT version, name, applied_by, made, found FROM %s ORDER BY 1"
                                    % VERSIONS),
                         [(1, "query_cache", "postgres", ["index " + INDEX], ["table " + CACHE]),
                          (2, "query_metrics", "postgres", [], ["table " + METRICS])])
        self.assertEqual(self.fetch("SELECT obj_description('%s'::regclass)" % CACHE), [(None,)])
        self.assertRegex(self.migrate("status"), "table %s +found +ok\n" % METRICS)
        text = self.migrate("down", "--drop-data")
        self.assertRegex(text, "kept +table " + CACHE)
        self.assertRegex(text, "removed +index " + INDEX)
        self.assertEqual(self.relations(), {CACHE, METRICS})
        self.assertEqual(self.fetch("SELECT (SELECT count(*) FROM %s), (SELECT count(*) FROM %s)"
                                    % (CACHE, METRICS)), [(1, 1)])

    def test_an_index_that_was_found_stays(self):
        self.run_sql(GIVEN)
        self.assertRegex(self.migrate("up"), "found +index " + INDEX)
        self.assertRegex(self.migrate("down"), "kept +index " + INDEX)
        self.assertEqual(self.relations(), {CACHE, METRICS, INDEX})

    def test_other_columns_are_refused_by_name(self):
        cases = [
            ("ALTER TABLE %s ALTER tenant_id TYPE text" % CACHE, CACHE,
             'column "tenant_id" is text, not null, expected is character varying(100), not null'),
            ("ALTER TABLE %s DROP cached_result" % CACHE, CACHE,
             'column "cached_result" is missing, expected is jsonb, not null'),
            ("ALTER TABLE %s ADD note text" % METRICS, METRICS,
             'column "note" is text, expected is no such column'),
            ("ALTER TABLE %s ALTER query_type DROP NOT NULL" % METRICS, METRICS, 'column "query_type"'),
            ("ALTER TABLE %s ALTER id DROP DEFAULT" % METRICS, METRICS, 'column "id" is integer, not null'),
            ("ALTER TABLE %s DROP CONSTRAINT %s_pkey" % (CACHE, CACHE), CACHE, 'column "cache_key"'),
            ("ALTER TABLE %s RENAME tenant_id TO \"Tenant_Id\"" % METRICS, METRICS, 'column "tenant_id"'),
        ]
        for change, table, words in cases:
            with self.subTest(change):
                self.run_sql("DROP TABLE IF EXISTS %s, %s" % (CACHE, METRICS), GIVEN, change)
                self.refused(["table public." + table, words, "SQLSTATE 55000"], "up")
                text = self.migrate("status", code=1)
                self.assertRegex(text, "table %s +found +%s" % (table, words.split("(")[0]))

    def test_what_is_no_table_is_refused(self):
        self.run_sql("CREATE VIEW %s AS SELECT 1 AS i" % METRICS)
        self.refused(["public.%s is there and is no table" % METRICS], "up")
        self.assertIn("is no table", self.migrate("status", code=1))

    def test_another_index_of_that_name_is_refused(self):
        for definition in ("(expiration_time, tenant_id)", "(tenant_id)",
                           "(tenant_id, expiration_time) WHERE tenant_id = 'x'"):
            with self.subTest(definition):
                self.run_sql("DROP TABLE IF EXISTS %s, %s" % (CACHE, METRICS), GIVEN, "DROP INDEX " + INDEX,
                             "CREATE INDEX %s ON %s %s" % (INDEX, CACHE, definition))
                self.refused(["is not the index of table " + CACHE], "up")
                self.assertRegex(self.migrate("status", code=1), "index %s +found +is" % INDEX)

    def test_records_of_another_form_are_refused(self):
        self.run_sql("CREATE TABLE %s (version int PRIMARY KEY)" % VERSIONS)
        self.refused(["table public." + VERSIONS, 'column "name" is missing'], "up")
        self.assertIn("is not pgsidecar's", self.migrate("status", code=1))

    def test_status_reads_only(self):
        before = self.everything()
        text = self.migrate("status", code=1)
        self.assertRegex(text, "1 query_cache +- +- +not applied")
        self.assertRegex(text, "3 notify +- +- +not applied .optional")
        self.assertEqual(self.everything(), before)
        self.migrate("up")
        self.assertRegex(self.migrate("status"), r"2 query_metrics +20..-..-.. ..:..:.. UTC +postgres +applied")
        self.migrate("status", "--notify", code=1)

    def test_functions_of_others_are_not_called(self):
        """public stands in search_path; what lies there has the better argument types."""
        trap = "RETURNS %s LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$"
        self.run_sql("CREATE FUNCTION public.cardinality(text[]) " + trap % "int",
                     "CREATE FUNCTION public.has_schema_privilege(oid, text) " + trap % "bool")
        for command in ("up", "status", "down"):
            self.assertNotIn("trapped", self.migrate(command))


class DownTest(MigrateCase):
    def test_nothing_is_left_and_the_rest_untouched(self):
        self.run_sql("CREATE TABLE prescription (i int)", "CREATE TABLE prescription_items (i int)",
                     "INSERT INTO prescription VALUES (1)")
        before = self.everything()
        self.migrate("up")
        self.assertNotEqual(self.everything(), before)
        text = self.migrate("down")
        self.assertRegex(text, "removed +table " + CACHE)
        self.assertEqual(self.everything(), before)
        self.assertIn("nothing to remove", self.migrate("down"))
        self.assertEqual(self.everything(), before)

    def test_rows_are_guarded(self):
        self.migrate("up")
        self.run_sql(ONE_ENTRY, ONE_METRIC, ONE_METRIC)
        self.refused(["table public.%s holds 2 rows" % METRICS, "table public.%s holds 1 row" % CACHE,
                      "--drop-data", "SQLSTATE 55000"], "down")
        self.migrate("status")
        self.migrate("down", "--drop-data")
        self.assertEqual(self.relations(), set())

    def test_rows_that_a_policy_hides_are_guarded(self):
        owner = self.role("GRANT CREATE ON SCHEMA public TO %s")
        self.migrate("up", *self.as_role(owner))
        self.run_sql(ONE_ENTRY, "ALTER TABLE %s ENABLE ROW LEVEL SECURITY" % CACHE,
                     "ALTER TABLE %s FORCE ROW LEVEL SECURITY" % CACHE)
        self.refused(["SQLSTATE 42501"], "down", *self.as_role(owner))

    def test_a_table_in_the_place_of_ours_stays(self):
        self.migrate("up")
        self.run_sql("DROP TABLE %s, %s" % (CACHE, METRICS), GIVEN)
        text = self.migrate("down", "--drop-data")
        self.assertRegex(text, "kept +table " + CACHE)
        self.assertLessEqual({CACHE, METRICS, INDEX}, self.relations())

    def test_without_a_record_nothing_is_ours(self):
        self.migrate("up")
        self.run_sql("DROP TABLE " + VERSIONS)
        self.assertIn("nothing to remove", self.migrate("down"))
        self.assertRegex(self.migrate("up"), "found +table " + CACHE)
        self.assertRegex(self.migrate("down"), "kept +index " + INDEX)
        self.assertEqual(self.relations(), {CACHE, METRICS, INDEX})

    def test_all_or_nothing(self):
        """The metrics table goes first; a view of the other one's stops it all."""
        self.migrate("up")
        self.run_sql("CREATE VIEW v AS SELECT cache_key FROM " + CACHE)
        self.refused(["SQLSTATE 2BP01", "view public.v depends on table public." + CACHE], "down")

    def test_of_another_owner(self):
        self.migrate("up")
        plain = self.role()
        self.refused(['role "%s" needs to own table public.%s' % (plain, VERSIONS), "SQLSTATE 42501"],
                     "down", *self.as_role(plain))
        self.run_sql("ALTER TABLE %s OWNER TO %s" % (VERSIONS, plain))
        self.refused(['role "%s" needs to own table public.%s' % (plain, METRICS)],
                     "down", *self.as_role(plain))


class RightsTest(MigrateCase):
    def test_no_right_to_create(self):
        plain = self.role()
        self.refused(['role "%s" needs CREATE on schema public of database "%s"' % (plain, self.database),
                      "SQLSTATE 42501"], "up", *self.as_role(plain))
        self.run_sql("CREATE SCHEMA closed")
        self.refused(['role "%s" needs CREATE and USAGE on schema closed' % plain], "up", "--schema",
                     "closed", *self.as_role(plain))

    def test_create_on_the_schema_is_enough(self):
        plain = self.role("GRANT CREATE ON SCHEMA public TO %s")
        self.migrate("up", *self.as_role(plain))
        self.assertIn(plain, self.migrate("status", *self.as_role(plain)))
        self.migrate("down", *self.as_role(plain))
        self.assertEqual(self.relations(), set())

    def test_up_again_needs_no_right_to_create(self):
        plain = self.role("GRANT CREATE ON SCHEMA public TO %s")
        self.migrate("up", *self.as_role(plain))
        self.run_sql("REVOKE CREATE ON SCHEMA public FROM " + plain)
        self.migrate("up", *self.as_role(plain))

    def test_the_index_of_a_table_of_another(self):
        self.run_sql(GIVEN, "DROP INDEX " + INDEX)
        plain = self.role("GRANT CREATE ON SCHEMA public TO %s")
        self.refused(['role "%s" needs to own table public.%s' % (plain, CACHE), "SQLSTATE 42501"], "up",
                     *self.as_role(plain))

    def test_records_of_another(self):
        self.migrate("up")
        plain = self.role("GRANT CREATE ON SCHEMA public TO %s")
        self.refused(["needs SELECT, INSERT and UPDATE on table public." + VERSIONS], "up",
                     *self.as_role(plain))
        self.assertIn("needs SELECT on table", self.migrate("status", *self.as_role(plain), code=1))
        self.run_sql("GRANT SELECT ON %s TO %s" % (VERSIONS, plain))
        self.migrate("status", *self.as_role(plain))

    def test_a_read_only_database(self):
        self.refused(["SQLSTATE 25006"], "up", "--database",
                     "user=postgres dbname=%s options='-c default_transaction_read_only=on'" % self.database)


class PlaceTest(MigrateCase):
    def test_the_schema_that_is_named(self):
        self.run_sql('CREATE SCHEMA "Odd ""name"""')
        text = self.migrate("up", "--schema", 'Odd "name"')
        self.assertIn('schema "Odd "name""', text)
        self.assertEqual(self.fetch("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN "
                                    "('%s', '%s', '%s')" % (CACHE, METRICS, VERSIONS)),
                         [('Odd "name"',)])
        self.migrate("status", "--schema", 'Odd "name"')
        self.migrate("status", code=1)
        self.migrate("down", "--schema", 'Odd "name"')
        self.assertEqual(self.fetch("SELECT count(*) FROM pg_tables WHERE schemaname LIKE 'Odd%'"), [(0,)])

    def test_the_first_schema_that_exists(self):
        self.run_sql("CREATE SCHEMA app", "ALTER DATABASE %s SET search_path = missing, app, public"
                     % self.database)
        self.assertIn('schema "app"', self.migrate("up"))
        self.assertEqual(self.fetch("SELECT to_regclass('app.%s')::text IS NOT NULL" % METRICS), [(True,)])

    def test_no_schema(self):
        self.refused(['schema "nope" does not exist in database "%s"' % self.database, "SQLSTATE 3F000"],
                     "up", "--schema", "nope")
        self.run_sql("ALTER DATABASE %s SET search_path = missing" % self.database)
        self.refused(["no schema of search_path exists", "--schema"], "up")

    def test_a_database_by_its_name(self):
        other = env.cluster.new_database()
        self.addCleanup(env.cluster.run, "DROP DATABASE %s WITH (FORCE)" % other)
        self.assertIn('database "%s"' % other, self.migrate("up", "--database", other))
        self.assertEqual(self.relations(), set())

    def test_a_connection_string_replaces_the_configuration(self):
        other = self.role("GRANT CREATE ON SCHEMA public TO %s")
        config = self.config(control_connection="user=nobody_at_all dbname=nowhere")
        for given in ("user=%s dbname=%s" % (other, self.database),
                      "postgresql://%s@127.0.0.1:%d/%s" % (other, env.cluster.port, self.database)):
            text = self.migrate("up", "--database", given, config=config)
            self.assertIn('as role "%s"' % other, text)

    def test_nowhere_to_connect(self):
        config = self.config(control_connection="")
        with open(config) as f:
            settings = json.load(f)
        settings["cache"]["enable_query_result_caching"] = False
        settings.pop("pool_mode", None), settings.pop("auth_type", None)
        with open(config, "w") as f:
            json.dump(settings, f)
        self.refused(["upstream.control_connection", "--database"], "up", code=2, config=config)

    def test_a_configuration_that_is_not_valid(self):
        config = self.config()
        with open(config, "a") as f:
            f.write("\nnonsense: 1\n")
        for command in ("up", "down", "status"):
            self.migrate(command, code=2, config=config)

    def test_unreachable(self):
        port = free_port()
        text = self.migrate("up", "--database", "host=127.0.0.1 port=%d user=postgres" % port, code=1)
        self.assertIn("cannot connect", text)
        self.assertIn("port %d failed: Connection refused" % port, text)
        self.assertIn("cannot connect", self.migrate("status", "--database", "nosuchdatabase", code=1))


class SecrecyTest(MigrateCase):
    MARK = "zz91qsesame"

    def test_no_password_in_any_output(self):
        mark, port = self.MARK, env.cluster.port
        place = "host=127.0.0.1 port=%d dbname=%s" % (port, self.database)
        for given, code in [
                ("user=scram_user password=%s %s" % (mark, place), 1),
                ("user=scram_user password=x %s %s" % (mark, place), 2),
                ("user=scram_user password='%s %s" % (mark, place), 2),
                ("user=scram_user %s=x %s" % (mark, place), 2),
                ("dbname='postgres://u:%s@127.0.0.1/x'" % mark, 2),
                ("user=postgres dbname='user=u password=%s'" % mark, 2),
                ("postgresql://scram_user:%s@127.0.0.1:%d/%s" % (mark, port, self.database), 1),
                ("postgresql://scram_user:x@%s@127.0.0.1/x" % mark, 2),
                ("postgresql://scram_user:x/%s@127.0.0.1/x" % mark, 2),
                ("postgresql://scram_user:%s%%zz@127.0.0.1/x" % mark, 2),
                ("postgresql://scram_user@127.0.0.1:%d/x?password=%s" % (port, mark), 1)]:
            with self.subTest(given):
                for command in ("up", "status"):
                    self.assertNotIn(mark, self.migrate(command, "--database", given, code=code))

    def test_what_is_wrong_with_a_connection_string(self):
        for given, words in (("user=x sesame dbname=y", "option 2 is not of the form name=value"),
                             ("user='x dbname=y", "the quote of option 1 is never closed"),
                             ("nosuchoption=1", "libpq cannot read"),
                             ("postgres://u:p@ss@h/d", "in a password write %40")):
            self.assertIn(words, self.migrate("up", "--database", given, code=2))

    def test_with_a_password_it_works(self):
        self.run_sql("GRANT CREATE ON SCHEMA public TO scram_user")
        self.addCleanup(self.run_sql, "DROP OWNED BY scram_user")
        text = self.migrate("up", "--database", "user=scram_user password=sesame dbname=" + self.database)
        self.assertIn('as role "scram_user"', text)
        self.assertNotIn("sesame", text)


class TogetherTest(MigrateCase):
    LOCK = 31638942778680675

    def waiting(self):
        return self.fetch("SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE "
                          "d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted")[0][0]

    def test_two_at_once(self):
        """Both stand before the lock, so neither has looked yet."""
        holder = self.connect()
        holder.execute("SELECT pg_advisory_lock(%d)" % self.LOCK)
        both = [self.start("up") for _ in range(2)]
        wait_until("both to wait", lambda: self.waiting() == 2)
        self.assertEqual(self.relations(), set())
        holder.execute("SELECT pg_advisory_unlock(%d)" % self.LOCK)
        texts = [self.finish(p, 0) for p in both]
        self.assertEqual(sorted(text.count("  made ") for text in texts), [0, 3])
        self.assertEqual(sorted(text.count("  there ") for text in texts), [0, 3])
        self.migrate("status")

    def test_up_and_down_at_once(self):
        self.migrate("up")
        holder = self.connect()
        holder.execute("SELECT pg_advisory_lock(%d)" % self.LOCK)
        first = self.start("down")
        wait_until("down to wait", lambda: self.waiting() == 1)
        second = self.start("up")
        wait_until("up to wait", lambda: self.waiting() == 2)
        holder.execute("SELECT pg_advisory_unlock(%d)" % self.LOCK)
        self.finish(first, 0)
        self.assertEqual(self.finish(second, 0).count("  made "), 3)
        self.migrate("status")

    def test_a_lock_that_is_not_given_back(self):
        self.migrate("up")
        self.run_sql("DROP INDEX " + INDEX)
        holder = psycopg.connect(env.cluster.conninfo(self.database))
        self.addCleanup(holder.close)
        holder.execute(ONE_ENTRY)
        text = self.refused(["SQLSTATE 55P03", "holds a lock"], "up", "--database",
                            "user=postgres dbname=%s options='-c lock_timeout=100'" % self.database)
        self.assertIn("Try again", text)

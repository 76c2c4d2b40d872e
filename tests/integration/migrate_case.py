"""What the tests of `pgsidecar migrate` share: a database of their own, the command, what is in there."""
import json
import os
import subprocess
import unittest

import psycopg

from harness import PGBIN, TIMEOUT, env, free_port

SQL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "sql")
CACHE, METRICS = "prescription_query_cache", "prescription_query_metrics"
INDEX, VERSIONS = "idx_prescription_cache_tenant_expiration", "pgsidecar_migrations"

# Everything that a migration could touch, as rows: definitions, privileges, owners, comments.
EVERYTHING = """
SELECT 'schema', nspname::text, nspacl::text, nspowner::text FROM pg_namespace WHERE nspname !~ '^pg_t'
UNION ALL SELECT 'relation', c.oid::regclass::text, c.oid || c.relkind || coalesce(c.relacl::text, ''),
       coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c
 WHERE c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
UNION ALL SELECT 'column', attrelid::regclass::text, attname, atttypid || ' ' || attnotnull
  FROM pg_attribute WHERE attrelid >= 16384
UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, tgenabled::text FROM pg_trigger
UNION ALL SELECT 'function', oid::regprocedure::text, prosrc, oid::text FROM pg_proc WHERE oid >= 16384
UNION ALL SELECT 'event trigger', evtname, evtenabled::text, oid::text FROM pg_event_trigger
ORDER BY 1, 2, 3, 4"""


class MigrateCase(unittest.TestCase):
    maxDiff = 4000
    counter = 0

    def setUp(self):
        if env.control:
            self.skipTest("control run: there is no program")
        self.database = env.cluster.new_database()
        self.addCleanup(env.cluster.run, "DROP DATABASE %s WITH (FORCE)" % self.database)

    def config(self, tables=("public.watched*",), rules=None, cluster=None, **upstream):
        MigrateCase.counter += 1
        path = os.path.join(env.folder, "migrate%d.yaml" % MigrateCase.counter)
        settings = env.settings(cluster, tables, upstream={
            "control_connection": "user=postgres dbname=%s" % self.database, **upstream})
        if rules is not None:
            settings["cache"]["rules"] = rules
        with open(path, "w") as f:
            json.dump(settings, f)
        return path

    def start(self, *arguments, config=None):
        command = [env.program, "migrate", *arguments, "-c", config or self.config()]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def finish(self, process, code):
        out, err = process.communicate(timeout=TIMEOUT)
        self.assertEqual(process.returncode, code, out + err)
        return out + err

    def migrate(self, *arguments, code=0, config=None):
        """What the command printed; `code` is how it must end."""
        return self.finish(self.start(*arguments, config=config), code)

    def as_role(self, role):
        return ["--database", "user=%s dbname=%s" % (role, self.database)]

    def role(self, *grants):
        """A role without any right, but for the grants."""
        MigrateCase.counter += 1
        name = "plain%d" % MigrateCase.counter
        self.run_sql("CREATE ROLE %s LOGIN" % name, *(g % name for g in grants))
        self.addCleanup(env.cluster.run, "DROP ROLE IF EXISTS %s" % name)
        self.addCleanup(self.run_sql, "DROP OWNED BY %s CASCADE" % name)
        return name

    def psql(self, *arguments, code=0):
        done = subprocess.run(
            [PGBIN + "/psql", "-X", "-v", "ON_ERROR_STOP=1", "-d",
             env.cluster.conninfo(self.database), *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def run_sql(self, *statements):
        env.cluster.run(*statements, database=self.database)

    def fetch(self, sql):
        return env.cluster.fetch(sql, self.database)

    def connect(self, **over):
        connection = psycopg.connect(env.cluster.conninfo(self.database), autocommit=True, **over)
        self.addCleanup(connection.close)
        return connection

    def everything(self):
        return self.fetch(EVERYTHING)

    def relations(self):
        return {row[0] for row in self.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN "
            "('r', 'v', 'p') OR relname LIKE 'idx_%'")}

    def refused(self, words, *arguments, code=1, config=None):
        """The command fails, says these words, and nothing is different after it."""
        before = self.everything()
        text = self.migrate(*arguments, code=code, config=config)
        for word in words:
            self.assertIn(word, text)
        self.assertIn("Nothing was changed.", text)
        self.assertEqual(self.everything(), before)
        return text


__all__ = ["CACHE", "INDEX", "METRICS", "SQL", "VERSIONS", "MigrateCase", "env", "free_port"]

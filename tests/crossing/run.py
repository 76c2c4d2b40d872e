#!/usr/bin/python3
"""Do rows of one tenant ever reach another, when all share a few server connections and a cache?

Starts a private PostgreSQL, the program with pool_mode: transaction and the load (crossing_load, see
client.h); its closing line is N passed, N failed, N skipped. Everything is generated.

    run.py --program build/release/pgsidecar [--load ...] [--seed N] [--operations N] [--seconds N]
    run.py --control --load ...    the load against the server alone: it must pass there too
"""
import argparse
import json
import os
import random
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))
sys.dont_write_bytecode = True
import harness  # noqa: E402

TENANTS, ROLES = 1000, 32  # as in world.h
COLUMNS = "(tenant text, id int, counter bigint NOT NULL DEFAULT 0"
SCHEMA = """
CREATE ROLE app LOGIN; CREATE ROLE desk LOGIN;
CREATE TABLE visit %(columns)s, moment timestamptz DEFAULT '2024-03-01 10:00:00.25+00',
  ratio float8 DEFAULT 1 / 7.0::float8, mark bytea DEFAULT '\\x00415cff', PRIMARY KEY (tenant, id));
INSERT INTO visit SELECT 't' || t, i FROM generate_series(0, %(tenants)d - 1) t, generate_series(0, 3) i;
ALTER TABLE visit ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_tenant ON visit USING (tenant = current_setting('app.tenant_id', true));
CREATE TABLE note (tenant text, client bigint, mark int);
CREATE INDEX ON note (client);
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_tenant ON note USING (tenant = current_setting('app.tenant_id', true));
CREATE TABLE chart %(columns)s, PRIMARY KEY (tenant, id));
ALTER TABLE chart ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_role ON chart USING (tenant = current_user);
GRANT ALL ON visit, note, chart TO PUBLIC;
DO $$
DECLARE s text; n int := 0;
BEGIN
  FOR r IN 0 .. %(roles)d - 1 LOOP
    EXECUTE format('CREATE ROLE r%%s; GRANT r%%s TO app, desk', r, r);
  END LOOP;
  INSERT INTO chart SELECT rolname, i FROM pg_roles, generate_series(0, 3) i
    WHERE rolname ~ '^(r[0-9]+|app|desk)$';
  FOR s IN SELECT 't' || i FROM generate_series(0, %(tenants)d - 1) i
           UNION ALL SELECT 'r' || i FROM generate_series(0, %(roles)d - 1) i
           UNION ALL SELECT 'nobody' ORDER BY 1 LOOP
    IF s = 'nobody' THEN
      n := %(tenants)d + %(roles)d;
    ELSE
      n := substr(s, 2)::int + CASE WHEN s LIKE 'r%%' THEN %(tenants)d ELSE 0 END;
      EXECUTE format('CREATE SCHEMA %%I; GRANT USAGE ON SCHEMA %%I TO PUBLIC', s, s);
    END IF;
    EXECUTE format('SET LOCAL search_path = %%I', replace(s, 'nobody', 'public'));
    EXECUTE replace('CREATE TABLE item %(columns)s, PRIMARY KEY (id))', 'id int',
                    CASE n %% 2 WHEN 1 THEN 'id bigint' ELSE 'id int' END);
    EXECUTE format('INSERT INTO item SELECT %%L, i FROM generate_series(0, 3) i', s);
    EXECUTE format('CREATE SEQUENCE ticket MINVALUE 1 START %%s', (n + 1) * 1000000000::bigint);
    EXECUTE 'GRANT ALL ON item, ticket TO PUBLIC';
  END LOOP;
END $$;
""" % {"columns": COLUMNS, "tenants": TENANTS, "roles": ROLES}
SHARED = {"pool_mode": "transaction", "auth_type": "trust", "default_pool_size": 8,
          "max_db_connections": 8, "workers": 2,
          # A hang is the load's to notice. The others may have been stopped for a while.
          "query_wait_timeout": "0s", "client_login_timeout": "1h", "server_connect_timeout": "1h"}


def summary(reasons):
    total, hits = sum(reasons.values()) or 1, reasons.get("hit", 0)
    others = sorted(((k, v) for k, v in reasons.items() if v and k != "hit"), key=lambda r: -r[1])
    return "%d of %d statements from the cache (%.1f %%); %s" % (
        hits, total, 100 * hits / total, ", ".join("%s %d" % r for r in others))


def run_load(command):
    """Its closing line is kept back, to be ours; and its exit code."""
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout:
                if last:
                    print(last, flush=True)
                last = line.rstrip("\n")
        except BaseException:
            process.kill()
            raise
    return last, process.returncode


def start(env, options):
    env.control, env.program = options.control, options.program and os.path.abspath(options.program)
    env.folder = harness.tempfile.mkdtemp(prefix="pgsidecar-crossing-")
    os.chmod(env.folder, 0o755)
    env.certificates = harness.Certificates(env.folder)
    # The schema takes many locks at once.
    env.cluster = harness.Cluster(
        env.folder + "/pg", env.certificates, max_locks_per_transaction="256", jit="off",
        max_parallel_workers_per_gather="0", synchronous_commit="off",
        max_connections=str(options.clients + 50))
    env.cluster.start()
    env.cluster.run(SCHEMA)
    env.cluster.run("ANALYZE")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program")
    parser.add_argument("--load", help="crossing_load; else the one that was built with the program")
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--operations", type=int, default=10000000)
    parser.add_argument("--seconds", type=int, default=0, help="end earlier; 0: when all are done")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory")
    options = parser.parse_args()
    if bool(options.program) == options.control:
        parser.error("exactly one of --program and --control")
    if not options.load and options.control:
        parser.error("--control needs --load")
    load = options.load or os.path.join(os.path.dirname(os.path.abspath(options.program)),
                                        "tests", "crossing", "crossing_load")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as for Ctrl-C
    print("seed", options.seed, flush=True)
    env, code, sidecar = harness.env, 1, None
    try:
        start(env, options)
        sidecar = env.sidecar(cache={"max_memory": "256MB"}, **SHARED)
        last, code = run_load([
            load, "--port", str(sidecar.port), "--direct-port", str(env.cluster.port),
            "--seed", str(options.seed), "--operations", str(options.operations),
            "--seconds", str(options.seconds), "--clients", str(options.clients)])
        sidecar.check_alive()
        print(summary(sidecar.statistics()["reasons"]))
        sidecar, ended = None, sidecar
        ended.finish()
        print(last, flush=True)
    finally:
        if sidecar:
            sidecar.finish()
        if options.keep:
            print("left in", env.folder)
        env.close(options.keep)
    return code


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env bash
# Measures the limits of tenants: how exact they are, what they cost, whom they protect.
# bench/README.md says how to read the result.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/private-servers.sh
source "$root/deploy/private-servers.sh"
# shellcheck source=bench/servers.sh
source "$root/bench/servers.sh"

seconds=10 rounds=5 slice=3 samples=100 rows=800000 only='rate timeout cost noise'
server_core=0 load_core=1 tools=$root/build/release

usage() {
    cat <<'TEXT'
Usage: bench/limits.sh [--quick] [options]

Starts a private PostgreSQL with generated data and pgsidecar before it, on free ports; measures
limits of tenants; prints Markdown; stops everything again. Four parts, each on its own with --only:

  rate      tenants that ask as fast as they can, through psycopg, asyncpg, JDBC and pg of Node:
            queries answered, over rate * time + burst. Goal: within 1 %.
  timeout   pg_sleep(30) under a query_timeout of 200 and of 1000 ms, through psycopg, asyncpg, JDBC
            and pg of Node, eight sessions at a time, and (the first two) SELECT 1 of a server that
            is stopped: how late the complete answer is. Goal: at most 50 ms late, never early.
  cost      a point select, cached and not, with limits off and in force but far away, in turns.
  noise     the p99 of a tenant at 200 queries a second, alone and beside one that sends 100 times
            what its rate allows (and, for comparison, one that asks a second pgsidecar the same, so
            that they share the machine alone, and one that asks in a loop without end). Goal: 100
            times changes it by 20 % at most.

  --quick           a first look, in about three minutes instead of eight
  --only WORDS      only these parts, e.g. --only "rate noise"
  --seconds N       length of one measurement of a rate (10)
  --rounds N        rounds of cost and of noise, of which the median is taken (5)
  --slice N         seconds of one measurement in such a round (3)
  --samples N       requests that run into each query_timeout, for each driver (100)
  --rows N          rows of the table (800000)
  --tools DIR       where the build is (build/release); built there if it is that
  --server-core N   the core of everything that serves (0)
  --load-core N     the core of everything that asks (1)
  --help            this text

Needs python3 with psycopg and asyncpg (Debian: python3-psycopg, python3-asyncpg). JDBC and Node are
left out where Java, Node or their drivers are missing. Run it on a machine that does nothing else:
the last two parts compare times of less than a millisecond.
TEXT
}

read_options 'seconds=4 rounds=2 slice=2 samples=16 rows=200000' \
    'only seconds rounds slice samples rows tools server-core load-core' "$@"

# start_limited NAME LIMITS: the same program twice, with limits in force and without. What a tenant
# is held to follows from its name: rate-600-*, time-200-* and so on; for others it is far away.
start_limited() {
    local name=$1
    start_sidecar "$name" "$postgres_port" true "tenants:
  limits: $2
  max_concurrent_requests: 1000
  tiers:
    - name: default
      query_timeout: 10m
      max_result_rows: 100000000
      max_result_bytes: 1TB
      queries_per_minute: 1000000
      burst: 1000000
      max_concurrent: 1000
    - {name: slow, members: ['rate-600-*'], queries_per_minute: 600, burst: 10}
    - {name: fast, members: ['rate-6000-*'], queries_per_minute: 6000, burst: 10}
    - {name: hasty, members: ['time-200-*'], query_timeout: 200ms}
    - {name: patient, members: ['time-1000-*'], query_timeout: 1000ms}"
    wait_for_cache "${port_of[$name]}" "$work/$name.log" "${pid_of[$name]}"
}

report() {
    local result=0
    {
        the_machine
        printf 'Date: %s. Commit: %s. Load before the start: %s.\n' "$(date -u +%F)" \
            "$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo none)" "$load_before"
        printf 'PostgreSQL %s. Servers on core %s, clients on core %s.\n' \
            "$(psql -XqAt -h "$work" -p "$postgres_port" -U postgres -d clinic \
                -c 'SHOW server_version')" "$server_core" "$load_core"
        taskset -c "$load_core" /usr/bin/python3 "$root/bench/limits.py" --only "$only" \
            --port "${port_of[enforce]}" --pid "${pid_of[enforce]}" \
            --off-port "${port_of[off]}" --off-pid "${pid_of[off]}" \
            --other-port "${port_of[other]}" \
            --seconds "$seconds" --rounds "$rounds" --slice "$slice" --samples "$samples" \
            --rows "$rows" --load "$tools/bench/bench_load"
    } | tee "$work/report.md" || result=$?
    echo "(this text: $work/report.md)" >&2
    return "$result"
}

main() {
    load_before=$(cut -d' ' -f1-3 /proc/loadavg)
    ulimit -n "$(ulimit -Hn)"
    build_tools --server pgsidecar bench_load
    has_tools
    prepare_directory limits-run
    trap stop_everything EXIT
    trap 'exit 130' INT TERM
    start_postgres
    show 'starting pgsidecar'
    start_limited enforce enforce
    start_limited off off
    start_limited other enforce
    show ''
    report
}

main

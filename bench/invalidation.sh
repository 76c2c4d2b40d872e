#!/usr/bin/env bash
# Measures what writes past the proxy cost hits, and how soon they are seen. bench/README.md says how
# to read the result.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/private-servers.sh
source "$root/deploy/private-servers.sh"
# shellcheck source=bench/servers.sh
source "$root/bench/servers.sh"

rounds=9 seconds=3 clients=16 pipeline=1 rows=100000 keys=1000 writes=2000
server_core=0 load_core=1 postgres_core=1 tools=$root/build/release
patience=60  # seconds that one measurement may take beyond its length

usage() {
    cat <<'TEXT'
Usage: bench/invalidation.sh [--quick] [options]

Starts a private PostgreSQL with generated data and pgsidecar before it, which follows the server's WAL
(invalidation: wal). A point select that always comes from the cache is measured while nobody writes,
while pgbench writes past pgsidecar to a table that is not published (elsewhere), and while it writes as
much to a published one that is read through the cache now and then (cached). What cached costs over
elsewhere is the price of invalidation. Prints medians and ratios of neighbours in time as Markdown, and
how long it took from a commit to the invalidation of what it outdates; stops everything again.

  --quick           three short rounds for a first look
  --rounds N        rounds, of which the median is taken (9)
  --seconds S       length of one measurement (3)
  --clients N       how many clients ask (16)
  --pipeline N      questions that each sends at once (1); 10 leaves the load's core room, so that
                    pgsidecar is what limits
  --writes N        transactions a second past pgsidecar (2000)
  --rows N          rows of the table that is asked (100000)
  --tools DIR       where the build is (build/release); built there if it is that
  --server-core N   the core of pgsidecar (0)
  --postgres-core N the core of PostgreSQL (1); 0 puts its part of the work beside pgsidecar's
  --load-core N     the core of the load generator and pgbench (1)
  --help            this text

Takes about five minutes, --quick one.
TEXT
}

read_options 'rounds=3 seconds=1' \
    'rounds seconds clients pipeline writes rows tools server-core postgres-core load-core' "$@"

as_superuser() {
    psql -Xq -v ON_ERROR_STOP=1 -h "$work" -p "$postgres_port" -U postgres -d clinic "$@"
}

start_everything() {
    server_core=$postgres_core start_postgres
    as_superuser -c "
        CREATE TABLE prescription_renewals (id int PRIMARY KEY, renewed int NOT NULL);
        INSERT INTO prescription_renewals SELECT i, 0 FROM generate_series(1, 1000) i;
        CREATE TABLE other_renewals (LIKE prescription_renewals INCLUDING ALL);
        INSERT INTO other_renewals SELECT * FROM prescription_renewals;
        GRANT ALL ON prescription_renewals, other_renewals TO app;
        CREATE PUBLICATION pgsidecar FOR TABLE prescriptions (id), prescription_renewals (id)"
    show 'starting pgsidecar'
    start_sidecar wal "$postgres_port" true '' 'true
  invalidation: wal'
    local side table
    for side in none elsewhere cached; do
        port_of[$side]=${port_of[wal]}
        pid_of[$side]=${pid_of[wal]}
    done
    for table in prescription_renewals other_renewals; do
        printf '\\set id random(1, 1000)\nUPDATE %s SET renewed = renewed + 1 WHERE id = :id;\n' \
            "$table" >"$work/$table.pgbench"
    done
    wait_for_cache "${port_of[wal]}" "$work/wal.log" "${pid_of[wal]}"
}

# write_to TABLE: pgbench in the background, until after_side(). With synchronous_commit, as a server has
# it that is to lose nothing; its fsync is off here.
write_to() {
    PGOPTIONS='-c synchronous_commit=on' taskset -c "$load_core" "$(postgres_bin)/pgbench" -n -M prepared \
        -c 4 -R "$writes" -T 3600 -P 1 -f "$work/$1.pgbench" -h 127.0.0.1 -p "$postgres_port" -U app \
        clinic >"$work/pgbench.log" 2>&1 &
    writer=$!
    wait_for_line "$work/pgbench.log" "$writer" 'progress:' 30 || fail "pgbench: $(tail -n 1 "$work/pgbench.log")"
    writer_from=$(written)
    writer_began=$(date +%s%N)
}

written() { as_superuser -At -c "SELECT sum(renewed) FROM prescription_renewals UNION ALL
    SELECT sum(renewed) FROM other_renewals" | awk '{ sum += $1 } END { print sum }'; }

before_side() {
    case $1 in
        elsewhere) write_to other_renewals ;;
        cached) write_to prescription_renewals ;;
    esac
}

after_side() {
    if [[ $1 == none ]]; then return; fi
    printf '%s\t%s\n' "$1" "$((($(written) - writer_from) * 1000000000 / ($(date +%s%N) - writer_began)))" \
        >>"$work/writes.tsv"
    kill "$writer"
    wait "$writer" || true
}

# The median of what was written in a second beside that side's measurements.
rate_of() {
    awk -F'\t' -v side="$1" '$1 == side { print $2 }' "$work/writes.tsv" | sort -n |
        awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'
}

report() {
    show ''
    {
        the_machine
        the_load
        printf '%s rounds of %s s, %s clients, %s at once; pgsidecar on core %s, PostgreSQL on %s, load on %s.\n' \
            "$rounds" "$seconds" "$clients" "$pipeline" "$server_core" "$postgres_core" "$load_core"
        awk -v sides='elsewhere none cached' -v names='qps p50_us p99_us server_cpu_us' \
            -v heading='hits while | writes elsewhere | no writes | writes to cached' \
            -f "$root/bench/figures.awk" -f "$root/bench/sides.awk" "$work/results.tsv"
        printf '\nWrites a second: %s elsewhere, %s to the cached table.\n' \
            "$(rate_of elsewhere)" "$(rate_of cached)"
        proxy_decisions "$work/wal.log" "${pid_of[wal]}" >/dev/null
        printf 'From a commit to its invalidation: %s\n' \
            "$(grep -o '"invalidation":{[^}]*}' "$work/wal.log" | tail -n 1)"
    } | tee "$work/report.md"
    echo "(this text: $work/report.md, every measurement: $work/results.tsv)" >&2
}

main() {
    load_before=$(cut -d' ' -f1-3 /proc/loadavg)
    ulimit -n "$(ulimit -Hn)"
    build_tools --server pgsidecar bench_load
    has_tools
    prepare_directory invalidation-run
    trap stop_everything EXIT
    trap 'exit 130' INT TERM
    start_everything
    take_turns none elsewhere cached
    report
}

main

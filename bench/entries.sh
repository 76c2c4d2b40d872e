#!/usr/bin/env bash
# Measures what a hit costs when the cache holds a million answers of ten thousand tables.
# bench/README.md says how to read the result.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/private-servers.sh
source "$root/deploy/private-servers.sh"
# shellcheck source=bench/servers.sh
source "$root/bench/servers.sh"

rounds=5 seconds=3 clients=4 rows=20000 tables_many=10000 keys_many=500000
server_core=0 load_core=1 tools=$root/build/release
tables_few=10 keys_few=500
patience=600  # seconds that one measurement may take beyond its length

usage() {
    cat <<'TEXT'
Usage: bench/entries.sh [--quick] [options]

Starts a private PostgreSQL with ten thousand small tables and pgsidecar twice before it, on free ports.
One caches a thousand answers of ten tables, the other a million of all: half of them by the simple
protocol, half prepared. Both are asked for all they hold in turn, round after round. Prints medians and
ratios of neighbours in time as Markdown; stops everything again.

  --quick           three short rounds of a tenth of the answers, for a first look
  --rounds N        rounds, of which the median is taken (5)
  --seconds S       length of one measurement (3)
  --clients N       how many clients (4); each prepares a statement for each table
  --tables-many N   how many tables (10000)
  --keys-many N     different questions by each protocol (500000)
  --tools DIR       where the build is (build/release); built there if it is that
  --server-core N   the core of pgsidecar and PostgreSQL (0)
  --load-core N     the core of the load generator (1)
  --help            this text

Takes about ten minutes and 4 GB, --quick two.
TEXT
}

read_options 'rounds=3 seconds=1 tables_many=1000 keys_many=50000' \
    'rounds seconds clients tables-many keys-many tools server-core load-core' "$@"

start_everything() {
    start_postgres
    show "making $tables_many tables"
    local first side
    # In steps: each table is locked until the end of its transaction.
    for ((first = 0; first < tables_many; first += 500)); do
        psql -Xq -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$postgres_port" -U app -d clinic <<TEXT
DO \$\$ BEGIN
  FOR t IN $first..least($first + 499, $tables_many - 1) LOOP
    EXECUTE format('CREATE TABLE prescriptions_%s AS SELECT * FROM prescriptions WHERE id <= $((keys_many / tables_many))', t);
    EXECUTE format('ALTER TABLE prescriptions_%s ADD PRIMARY KEY (id)', t);
  END LOOP;
END \$\$;
TEXT
    done
    show 'starting pgsidecar'
    for side in few many; do
        start_sidecar $side "$postgres_port" true '' true 4GB
        wait_for_cache "${port_of[$side]}" "$work/$side.log" "${pid_of[$side]}"
    done
}

# In place of servers.sh's: all that the side is to hold is asked for first.
measure_side() {
    local line tables=tables_$3 keys=keys_$3
    if ! line=$(timeout "$patience" taskset -c "$load_core" "$tools/bench/bench_load" \
        --conninfo "host=127.0.0.1 port=${port_of[$3]} user=app dbname=clinic" --protocol "$2" \
        --rows "$((keys_many / tables_many))" --tables "${!tables}" --keys "${!keys}" --warm \
        --connections "$clients" --seconds "$seconds" --server-pid "${pid_of[$3]}" 2>>"$work/load.log"); then
        fail "bench_load failed: $(tail -n 1 "$work/load.log")"
    fi
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$line" >>"$work/results.tsv"
}

report() {
    show ''
    {
        the_machine
        the_load
        printf '%s rounds of %s s, %s clients; servers on core %s, load on core %s.\n' \
            "$rounds" "$seconds" "$clients" "$server_core" "$load_core"
        printf 'few: 2 times %s answers of %s tables; many: 2 times %s of %s.\n' \
            "$keys_few" "$tables_few" "$keys_many" "$tables_many"
        awk -v sides='few many' -v names='qps p50_us p99_us server_cpu_us' -v heading='hits | few | many' \
            -f "$root/bench/figures.awk" -f "$root/bench/sides.awk" "$work/results.tsv"
        proxy_decisions "$work/many.log" "${pid_of[many]}" >/dev/null
        printf '\nHeld by many: %s\n' "$(grep -o '"entries":[0-9]*,"[^,]*,' "$work/many.log" | tail -n 1)"
    } | tee "$work/report.md"
    echo "(this text: $work/report.md, every measurement: $work/results.tsv)" >&2
}

main() {
    load_before=$(cut -d' ' -f1-3 /proc/loadavg)
    ulimit -n "$(ulimit -Hn)"
    build_tools --server pgsidecar bench_load
    has_tools
    prepare_directory entries-run
    trap stop_everything EXIT
    trap 'exit 130' INT TERM
    start_everything
    take_turns few many
    report
}

main

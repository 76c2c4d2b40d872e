#!/usr/bin/env bash
# Measures what it costs to write a row for each statement into prescription_query_metrics.
# bench/README.md says how to read the result.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/private-servers.sh
source "$root/deploy/private-servers.sh"
# shellcheck source=bench/servers.sh
source "$root/bench/servers.sh"

rounds=9 seconds=2 clients=16 rows=100000 keys=1000 sample=100 rate=0
server_core=0 load_core=1 tools=$root/build/release
patience=60  # seconds that one measurement may take beyond its length

usage() {
    cat <<'TEXT'
Usage: bench/metrics.sh [--quick] [options]

Starts a private PostgreSQL with generated data and pgsidecar three times before it, on free ports:
without metrics, with a row for each statement, and with that and the database of the metrics on the
core of the load generator. A point select that is always answered from the cache is asked of each in
turn, round after round; prints medians and ratios of neighbours in time as Markdown, and whether
every row arrived; stops everything again.

  --quick           three short rounds for a first look
  --rounds N        rounds, of which the median is taken (9)
  --seconds S       length of one measurement (2)
  --clients N       how many clients (16)
  --rate N          queries a second, 0 for as many as there can be (0)
  --sample N        metrics.sample_percent (100)
  --rows N          rows of the table (100000)
  --tools DIR       where the build is (build/release); built there if it is that
  --server-core N   the core of everything that serves (0)
  --load-core N     the core of the load generator (1)
  --help            this text

Takes about five minutes, --quick one.
TEXT
}

read_options 'rounds=3 seconds=1' \
    'rounds seconds clients rate sample rows tools server-core load-core' "$@"

# measuring NAME HOST PORT: a pgsidecar that writes its rows there.
measuring() {
    local connection="host=$2 port=$3 user=postgres dbname=metrics"
    start_sidecar "$1" "$postgres_port" true "metrics:
  enable_performance_metrics: true
  sample_percent: $sample
  connection: \"$connection\""
}

# A second server, for the rows alone, that has the other core to itself but for the load.
start_second_postgres() {
    second=$work/second
    as_server_user mkdir -p "$second"
    second_port=$(free_port 24420)
    postgres_create "$second"
    taskset -pc "$load_core" $$ >/dev/null
    postgres_start "$second" "$second_port" max_connections=50
    taskset -pc "$server_core" $$ >/dev/null
}

start_everything() {
    start_postgres
    start_second_postgres
    show 'starting pgsidecar'
    start_sidecar off "$postgres_port" true
    psql -Xq -h "$work" -p "$postgres_port" -U postgres -d postgres -c 'CREATE DATABASE metrics'
    psql -Xq -h "$second" -p "$second_port" -U postgres -d postgres -c 'CREATE DATABASE metrics'
    local server
    for server in "$work $postgres_port" "$second $second_port"; do
        "$program" migrate up -c "$work/off.yaml" --database \
            "host=${server% *} port=${server#* } user=postgres dbname=metrics" >"$work/migrate.log" ||
            fail "migrate failed, see $work/migrate.log"
    done
    measuring same "$work" "$postgres_port"
    measuring other "$second" "$second_port"
    for server in off same other; do
        wait_for_cache "${port_of[$server]}" "$work/$server.log" "${pid_of[$server]}"
    done
}

after_side() {
    if [[ $1 != off ]]; then settle "$1" metrics '"waiting":0'; fi
}

rows_of() {
    psql -XqAt -h "$1" -p "$2" -U postgres -d metrics \
        -c 'SELECT count(*) FROM prescription_query_metrics'
}

report() {
    local pace='as fast as it goes'
    if ((rate > 0)); then pace="$rate queries a second"; fi
    show ''
    {
        the_machine
        the_load
        printf '%s rounds of %s s, %s clients, %s; servers on core %s, load on core %s.\n' \
            "$rounds" "$seconds" "$clients" "$pace" "$server_core" "$load_core"
        awk -v sides='off same other' -v names='qps p50_us p99_us server_cpu_us' \
            -v heading='hits | off | on, same core | on, other core' \
            -f "$root/bench/figures.awk" -f "$root/bench/sides.awk" "$work/results.tsv"
        printf '\nRows written: %s on the same core, %s on the other.\n' \
            "$(rows_of "$work" "$postgres_port")" "$(rows_of "$second" "$second_port")"
    } | tee "$work/report.md"
    echo "(this text: $work/report.md, every measurement: $work/results.tsv)" >&2
}

main() {
    load_before=$(cut -d' ' -f1-3 /proc/loadavg)
    ulimit -n "$(ulimit -Hn)"
    build_tools --server pgsidecar bench_load
    has_tools
    prepare_directory metrics-run
    second=$work/second
    trap 'postgres_stop "$second" || true; stop_everything' EXIT
    trap 'exit 130' INT TERM
    start_everything
    take_turns off same other
    report
}

main

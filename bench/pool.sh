#!/usr/bin/env bash
# Compares transaction pooling by pgsidecar and by pgbouncer, in one run, on one machine.
# bench/README.md says how to read the result.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/private-servers.sh
source "$root/deploy/private-servers.sh"
# shellcheck source=bench/servers.sh
source "$root/bench/servers.sh"

rounds=5 seconds=2 clients='16 256 2000' pool=30 idle=2000 rows=100000 keys=10000
only='simple extended prepared wire idle'
server_core=0 load_core=1 tools=$root/build/release
patience=60  # seconds that one measurement may take beyond its length

usage() {
    cat <<'TEXT'
Usage: bench/pool.sh [--quick] [options]

Starts a private PostgreSQL with generated data and, before it, pgbouncer and pgsidecar (one worker,
no cache), both with transaction pooling; lets many clients share a few server connections through
the one and the other in turn, round after round; prints medians, ratios of neighbours in time and
memory per idle client as Markdown; stops everything again. Parts, each on its own with --only:

  simple, extended, prepared   a point select, asked in this way
  wire                         simple and extended again, before `limit` instead of PostgreSQL:
                               what the proxies themselves can do
  idle                         memory per idle client

  --quick           two short rounds for a first look
  --only WORDS      only these parts, e.g. --only "simple idle"
  --rounds N        rounds, of which the median is taken (5)
  --seconds S       length of one measurement (2)
  --clients WORDS   how many clients ("16 256 2000")
  --pool N          server connections that they share (30)
  --idle N          idle clients for the memory measurement (2000)
  --rows N          rows of the table (100000)
  --tools DIR       where the build is (build/release); built there if it is that
  --server-core N   the core of everything that serves (0)
  --load-core N     the core of the load generator (1)
  --help            this text

Takes about seven minutes, --quick two. No measurement waits for longer than a minute.
TEXT
}

read_options 'rounds=2 seconds=0.5' \
    'only rounds seconds clients pool idle rows tools server-core load-core' "$@"
for word in $only; do
    case $word in
        simple | extended | prepared | wire | idle) ;;
        *) fail "no part is called $word (see --help)" ;;
    esac
done

wanted() {
    case " $only " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# start_pooling NAME UPSTREAM_PORT
start_pooling() {
    start_sidecar "$1" "$2" true "pool_mode: transaction
auth_type: trust
default_pool_size: $pool" false
}

start_everything() {
    local protocols='' connections=$pool protocol  # as start_limits and start_pgbouncer read them
    if wanted wire; then protocols='simple extended'; fi
    wire_pool='pool_mode=transaction'
    start_postgres
    show 'starting the others'
    start_limits
    start_pgbouncer
    start_pooling pgsidecar "$postgres_port"
    for protocol in $protocols; do
        start_pooling "wire-$protocol" "${port_of[limit-$protocol-point]}"
    done
}

# address_of TARGET PART PROTOCOL: sets `address` (conninfo) and `pid` (whose CPU is counted).
address_of() {
    local port=$pgbouncer_port database=transaction
    pid=$pgbouncer_pid
    case $1-$2 in
        pgbouncer-wire) database=wire_$3_point ;;
        pgsidecar-wire) port=${port_of[wire-$3]} pid=${pid_of[wire-$3]} database=clinic ;;
        pgsidecar-*) port=${port_of[pgsidecar]} pid=${pid_of[pgsidecar]} database=clinic ;;
    esac
    address="host=127.0.0.1 port=$port user=app dbname=$database"
}

# tool NAME ARGUMENTS: sets `line` to the line of JSON that it prints.
tool() {
    local name=$1
    shift
    if ! line=$(timeout "$patience" taskset -c "$load_core" "$tools/bench/$name" \
        --conninfo "$address" "$@" 2>>"$work/load.log"); then
        printf '\n%s\n' "  failed: $name of $address: $(tail -n 1 "$work/load.log")" >&2
        line='{"failed":1}'
        failures=$((failures + 1))
    fi
}

# measure ROUND TARGET PART PROTOCOL CLIENTS: one line into results.tsv
measure() {
    local address pid line
    address_of "$2" "$3" "$4"
    tool bench_load --protocol "$4" --rows "$rows" --keys "$keys" --warm --connections "$5" \
        --seconds "$seconds" --server-pid "$pid"
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" "$line" >>"$work/results.tsv"
}

# Both, one after the other; who begins changes with the rounds.
measure_pair() {
    local round=$1 part=$2 protocol=$3 count=$4 order='pgbouncer pgsidecar' target asked
    if ((round % 2 == 0)); then order='pgsidecar pgbouncer'; fi
    for target in $order; do
        show "round $round of $rounds: $part, $protocol, $count clients, $target"
        asked=$protocol
        if [[ $target-$protocol == pgbouncer-prepared ]]; then asked=extended; fi  # see README.md
        measure "$round" "$target" "$part" "$asked" "$count"
    done
}

one_round() {
    local count part
    for count in $clients; do
        for part in simple extended prepared; do
            if wanted "$part"; then measure_pair "$1" "$part" "$part" "$count"; fi
        done
        if ! wanted wire; then continue; fi
        for part in simple extended; do measure_pair "$1" wire "$part" "$count"; done
    done
}

measure_idle() {
    local target address pid line
    for target in pgbouncer pgsidecar; do
        address_of "$target" idle -
        show "memory of $idle idle clients: $target"
        tool bench_idle --connections "$idle" --pid "$pid"
        printf '0\t%s\tidle\t-\t%s\t%s\n' "$target" "$idle" "$line" >>"$work/results.tsv"
    done
}

report() {
    show ''
    {
        the_machine
        the_load
        printf 'PostgreSQL %s, %s.\n' "$(psql -XqAt -h "$work" -p "$postgres_port" -U postgres \
            -d clinic -c 'SHOW server_version')" "$(pgbouncer --version | head -n 1)"
        printf '%s rounds of %s s, %s server connections; servers on core %s, load on core %s.\n' \
            "$rounds" "$seconds" "$pool" "$server_core" "$load_core"
        awk -f "$root/bench/figures.awk" -f "$root/bench/pool.awk" "$work/results.tsv"
    } | tee "$work/report.md"
    echo "(this text: $work/report.md, every measurement: $work/results.tsv)" >&2
    [[ $failures == 0 ]] || fail "$failures measurements failed, see $work/load.log"
}

main() {
    local round
    load_before=$(cut -d' ' -f1-3 /proc/loadavg)
    ulimit -n "$(ulimit -Hn)"
    build_tools --bench pgsidecar bench_load bench_limit bench_idle
    has_tools
    prepare_directory pool-run
    trap stop_everything EXIT
    trap 'exit 130' INT TERM
    start_everything
    failures=0
    if wanted idle; then measure_idle; fi  # before all else: bench_idle wants fresh processes
    for ((round = 1; round <= rounds; round++)); do one_round "$round"; done
    report
}

main

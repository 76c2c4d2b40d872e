#!/usr/bin/env bash
# Compares PostgreSQL, pgbouncer, pgpool2, pgsidecar and the limit, in one run, on one machine.
# bench/README.md says how to read the result.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/private-servers.sh
source "$root/deploy/private-servers.sh"
# shellcheck source=bench/servers.sh
source "$root/bench/servers.sh"

rounds=5 seconds=2 rows=1000000 connections=16 idle=2000 miss_keys=150000 hit_keys=1000
server_core=0 load_core=1 only='' tools=$root/build/release
protocols='simple extended prepared'

usage() {
    cat <<'TEXT'
Usage: bench/run.sh [--quick] [options]

Starts a private PostgreSQL with generated data and, before it, pgbouncer, pgpool2 and pgsidecar;
loads each in turn, round after round; prints medians, ratios and memory as Markdown; stops
everything again. Installs pgbouncer and pgpool2 from Debian if they are missing.

  --quick           one short round (about two minutes) for a first look
  --rounds N        rounds, of which the median is taken (5)
  --seconds S       length of one measurement (2)
  --connections N   clients (16)
  --rows N          rows of the table (1000000)
  --idle N          idle clients for the memory measurement (2000)
  --only WORDS      only these targets, e.g. --only "direct hit limit"
  --protocols WORDS only these, of: simple extended prepared
  --tools DIR       where the build is (build/release); built there if it is missing
  --server-core N   the core of everything that serves (0)
  --load-core N     the core of the load generator (1)
  --help            this text

Targets: direct pgbouncer-session pgbouncer-transaction pgpool-hit miss hit pass limit
         wire-pgbouncer wire-pass
TEXT
}

read_options 'rounds=1 seconds=0.7 rows=200000 idle=500 miss_keys=60000' \
    'rounds seconds connections rows idle only protocols tools server-core load-core' "$@"

targets=${only:-direct pgbouncer-session pgbouncer-transaction pgpool-hit miss hit pass limit \
    wire-pgbouncer wire-pass}

# address_of TARGET PROTOCOL QUERY: sets `address` (conninfo) and `pid` (whose CPU is counted).
address_of() {
    local port=0 database=clinic
    case $1 in
        direct) port=$postgres_port pid=$postgres_pid ;;
        pgbouncer-session) port=$pgbouncer_port pid=$pgbouncer_pid database=session ;;
        pgbouncer-transaction) port=$pgbouncer_port pid=$pgbouncer_pid database=transaction ;;
        pgpool-hit) port=$pgpool_port pid=$pgpool_pid ;;
        miss | hit | pass) port=${port_of[sidecar-$1]} pid=${pid_of[sidecar-$1]} ;;
        limit) port=${port_of[limit-$2-$3]} pid=${pid_of[limit-$2-$3]} ;;
        wire-pgbouncer) port=$pgbouncer_port pid=$pgbouncer_pid database=wire_$2_$3 ;;
        wire-pass) port=${port_of[sidecar-wire-$2-$3]} pid=${pid_of[sidecar-wire-$2-$3]} ;;
        *) fail "unknown target $1" ;;
    esac
    address="host=127.0.0.1 port=$port user=app dbname=$database"
}

# Every target that has to ask the server gets keys that nobody asked for before; those that
# answer from a cache get the same thousand keys, all asked for once before the clock starts.
next_key=0
keys_of() {
    case $1 in
        hit | pgpool-hit) keys=(--keys "$hit_keys" --warm) ;;
        limit | wire-*) keys=(--keys "$hit_keys" --any-rows) ;;
        *)
            keys=(--keys "$miss_keys" --first "$next_key" --no-repeat)
            next_key=$((next_key + miss_keys))
            ;;
    esac
}

# measure ROUND TARGET PROTOCOL QUERY CONNECTIONS PIPELINE: one line into results.tsv
measure() {
    local address pid keys line
    if [[ $2 == pgbouncer-transaction && $3 == prepared ]]; then return; fi  # see README.md
    address_of "$2" "$3" "$4"
    keys_of "$2"
    if ! line=$(taskset -c "$load_core" "$tools/bench/bench_load" --conninfo "$address" \
        --protocol "$3" --query "$4" --rows "$rows" --connections "$5" --pipeline "$6" \
        --seconds "$seconds" --server-pid "$pid" "${keys[@]}" 2>>"$work/load.log"); then
        printf '\n%s\n' "  failed: $2 $3 $4: $(tail -n 1 "$work/load.log")" >&2
        line='{"failed":1}'
        failures=$((failures + 1))
    fi
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" "$6" "$line" >>"$work/results.tsv"
}

one_round() {
    local round=$1 protocol query target
    for query in point list; do
        for protocol in $protocols; do
            for target in $targets; do
                show "round $round of $rounds: $query, $protocol, $target"
                measure "$round" "$target" "$protocol" "$query" "$connections" 1
            done
        done
        for target in $targets; do
            case $target in direct | pgbouncer-session | miss | hit | pass | limit) ;; *) continue ;; esac
            show "round $round of $rounds: $query, one client, $target"
            measure "$round" "$target" extended "$query" 1 1
            case $target in direct | hit | limit) ;; *) continue ;; esac
            show "round $round of $rounds: $query, pipelined, $target"
            measure "$round" "$target" extended "$query" "$connections" 16
        done
    done
}

measure_idle() {
    local target=$1 line address pid
    address_of "$target" "${protocols%% *}" point
    show "memory of $idle idle clients: $target"
    if ! line=$(taskset -c "$load_core" "$tools/bench/bench_idle" --conninfo "$address" \
        --connections "$idle" --pid "$pid" 2>>"$work/load.log"); then
        line='{"failed":1}'
        failures=$((failures + 1))
    fi
    printf '0\t%s\tsimple\tidle\t%s\t1\t%s\n' "$target" "$idle" "$line" >>"$work/results.tsv"
}

wanted() {
    case " $targets " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

check_tools() {
    [[ -x $tools/bench/bench_load ]] || fail "$tools/bench/bench_load is missing"
    case " $targets " in
        *' miss '* | *' hit '* | *pass*) [[ -x $program ]] || fail "$program is missing" ;;
    esac
}

report() {
    show ''
    {
        the_machine
        printf 'Date: %s. Commit: %s.\n' "$(date -u +%F)" "$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo none)"
        printf 'PostgreSQL %s, %s, %s.\n' "$(psql -XqAt -h "$work" -p "$postgres_port" -U postgres -d clinic -c 'SHOW server_version')" \
            "$(pgbouncer --version | head -n 1)" "$(pgpool --version 2>&1 | cut -d' ' -f1-3)"
        printf '%s rounds of %s s, %s clients, %s rows; servers on core %s, load on core %s.\n' \
            "$rounds" "$seconds" "$connections" "$rows" "$server_core" "$load_core"
        awk -f "$root/bench/figures.awk" -f "$root/bench/report.awk" "$work/results.tsv"
        reason_counts
    } | tee "$work/report.md"
    echo "(this text: $work/report.md, every measurement: $work/results.tsv)" >&2
    [[ $failures == 0 ]] || fail "$failures measurements failed, see $work/load.log"
}

main() {
    local round target
    ulimit -n "$(ulimit -Hn)"
    build_tools --bench pgsidecar bench_load bench_limit bench_idle
    check_tools
    prepare_directory bench-run
    trap stop_everything EXIT
    trap 'exit 130' INT TERM
    start_everything
    failures=0
    if [[ $idle -gt 0 ]]; then  # before all else: bench_idle wants fresh processes
        for target in wire-pgbouncer wire-pass; do
            if wanted "$target"; then measure_idle "$target"; fi
        done
    fi
    for ((round = 1; round <= rounds; round++)); do one_round "$round"; done
    report
}

main

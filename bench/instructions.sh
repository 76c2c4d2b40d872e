#!/usr/bin/env bash
# Counts the instructions that a request takes in user space, by callgrind. bench/README.md says how to
# read the result.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/private-servers.sh
source "$root/deploy/private-servers.sh"
# shellcheck source=bench/servers.sh
source "$root/bench/servers.sh"

only='hit metrics miss pass pooled pgbouncer'
requests=20000 clients=16 rows=100000 keys=1000 counts='' profiles=''
server_core=0 load_core=1 tools=$root/build/release
patience=120  # seconds that one measurement may take beyond its length

usage() {
    cat <<'TEXT'
Usage: bench/instructions.sh [options]

Starts a private PostgreSQL with generated data and pgsidecar before it under callgrind, once for each
part; asks a point select of it in three ways and prints the instructions in user space for each
request as Markdown. Unlike time, they are the same on a busy machine: two runs of one program differ by
about one in a hundred. Parts, each on its own with --only:

  hit         answered from the cache
  metrics     the same, with a row for each statement in prescription_query_metrics
  miss        forwarded, and stored
  pass        forwarded with enable_optimizations: false
  pooled      forwarded without a cache, pool_mode: transaction
  pgbouncer   forwarded by pgbouncer, pool_mode = transaction

  --only WORDS      only these parts, e.g. --only "hit pooled"
  --counts FILE     also write them there: part, protocol and instructions, separated by tabs
  --profiles DIR    keep what callgrind wrote there, for callgrind_annotate or kcachegrind
  --requests N      length of one measurement (20000)
  --clients N       how many clients (16)
  --tools DIR       where the build is (build/release); built there if it is that
  --help            this text

Takes about three minutes.
TEXT
}

read_options '' 'only counts profiles requests clients tools' "$@"
for word in $only; do
    case $word in
        hit | metrics | miss | pass | pooled | pgbouncer) ;;
        *) fail "no part is called $word (see --help)" ;;
    esac
done

# make_counted NAME PROGRAM: $work/NAME, a script that runs it under callgrind, which counts nothing until
# it is told to.
make_counted() {
    cat >"$work/$1" <<TEXT
#!/bin/sh
exec valgrind --tool=callgrind --quiet --instr-atstart=no --callgrind-out-file='$work/$1.out' '$2' "\$@"
TEXT
    chmod 755 "$work/$1"
}

make_tables_of_metrics() {
    cat >"$work/migrate.yaml" <<TEXT
upstream:
  host: 127.0.0.1
  port: $postgres_port
TEXT
    "$program" migrate up -c "$work/migrate.yaml" --database \
        "host=$work port=$postgres_port user=postgres dbname=clinic" >"$work/migrate.log" ||
        fail "migrate failed, see $work/migrate.log"
}

start_part() {
    local program=$work/counted-pgsidecar
    control=(callgrind_control)
    case $1 in
        hit | miss) start_sidecar "$1" "$postgres_port" true ;;
        metrics)
            start_sidecar metrics "$postgres_port" true "metrics:
  enable_performance_metrics: true
  connection: \"host=$work port=$postgres_port user=postgres dbname=clinic\""
            ;;
        pass) start_sidecar pass "$postgres_port" false ;;
        pooled)
            start_sidecar pooled "$postgres_port" true 'pool_mode: transaction
auth_type: trust' false
            ;;
        pgbouncer)
            PATH=$work:$PATH start_pgbouncer
            port_of[pgbouncer]=$pgbouncer_port
            pid_of[pgbouncer]=$pgbouncer_pid
            control=(as_server_user callgrind_control)
            return
            ;;
    esac
    case $1 in
        hit | miss | metrics)
            wait_for_cache "${port_of[$1]}" "$work/$1.log" "${pid_of[$1]}" ;;
    esac
}

# load PART PROTOCOL MORE...: sets `line` to what bench_load says of it.
load() {
    local part=$1 protocol=$2 database=clinic
    shift 2
    if [[ $part == pgbouncer ]]; then database=transaction; fi
    if ! line=$(timeout "$patience" taskset -c "$load_core" "$tools/bench/bench_load" \
        --conninfo "host=127.0.0.1 port=${port_of[$part]} user=app dbname=$database" \
        --protocol "$protocol" --rows "$rows" --connections "$clients" --requests "$requests" \
        --seconds "$patience" "$@" 2>>"$work/load.log"); then
        fail "bench_load failed: $(tail -n 1 "$work/load.log")"
    fi
}

tell() {
    "${control[@]}" "$@" >>"$work/control.log" 2>&1 || fail "callgrind_control $*: see $work/control.log"
}

# measure PART PROTOCOL: one line into results.tsv.
measure() {
    local pid=${pid_of[$1]} measured=(--keys "$keys") written
    load "$1" "$2" --keys "$keys" --no-repeat
    if [[ $1 == miss ]]; then measured=(--first "$fresh" --keys "$requests"); fi  # not asked before
    fresh=$((fresh + requests))
    tell --instr=on "$pid"
    load "$1" "$2" "${measured[@]}"
    tell --instr=off "$pid"
    tell --dump "$pid"
    written=$(find "$work" -maxdepth 1 -name "*.out*.[0-9]*" | head -n 1)
    [[ -n $written ]] || fail "callgrind wrote nothing"
    awk -v part="$1" -v protocol="$2" -v line="$line" '
        /^totals:/ { sum += $2 }
        END {
            match(line, /"queries":[0-9]+/)
            printf "%s\t%s\t%.0f\n", part, protocol, sum / substr(line, RSTART + 10, RLENGTH - 10)
        }' "$written" >>"$work/results.tsv"
    if [[ -n $profiles ]]; then mv "$written" "$profiles/$1-$2.out"; else rm -f "$written"; fi
}

end_part() {
    local pid=${pid_of[$1]}
    kill -TERM "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    rm -f "$work"/*.out*
}

report() {
    show ''
    the_machine
    printf 'Commit: %s. Instructions in user space for a point select, %s clients:\n\n' \
        "$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo none)" "$clients"
    awk -f "$root/bench/figures.awk" -f "$root/bench/instructions.awk" "$work/results.tsv"
    if [[ -n $counts ]]; then cp "$work/results.tsv" "$counts"; fi
}

main() {
    local part protocol line fresh=$((keys + 1)) control
    local protocols='' connections=30  # for start_pgbouncer
    build_tools --bench pgsidecar bench_load
    has_tools
    prepare_directory instructions-run
    trap stop_everything EXIT
    trap 'exit 130' INT TERM
    if [[ -n $profiles ]]; then mkdir -p "$profiles"; fi
    start_postgres
    make_tables_of_metrics
    make_counted counted-pgsidecar "$program"
    make_counted pgbouncer "$(command -v pgbouncer)"
    for part in $only; do
        show "starting $part"
        start_part "$part"
        for protocol in simple extended prepared; do
            # pgbouncer 1.18 knows no prepared statements there.
            if [[ $part-$protocol == pgbouncer-prepared ]]; then continue; fi
            show "$part, $protocol"
            measure "$part" "$protocol"
        done
        end_part "$part"
    done
    report
}

main

#!/usr/bin/env bash
# Measures what an application in .NET sees: Npgsql, Dapper and EF Core, past pgsidecar and through it.
# bench/README.md says how to read the result.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/private-servers.sh
source "$root/deploy/private-servers.sh"
# shellcheck source=bench/servers.sh
source "$root/bench/servers.sh"

rounds=5 seconds=1 at_once='1 16' rows=400000 keys=1000 tools=$root/build/release

usage() {
    cat <<'TEXT'
Usage: bench/dotnet.sh [--quick] [options]

Starts a private PostgreSQL with generated data and, before it, pgbouncer and pgsidecar twice, all with
transaction pooling: `miss` is asked for what nobody has asked for before, `hit` for what is in its
cache. A program in .NET asks each of them and PostgreSQL itself (`direct`) in turn for a row by its id
and for a page of 100 rows, through Npgsql, Dapper and EF Core, round after round; prints medians and
ratios of neighbours in time as Markdown; stops everything again. Needs the .NET 10 SDK.

  --quick           two short rounds for a first look
  --rounds N        rounds, of which the median is taken (5)
  --seconds S       length of one measurement (1)
  --at-once WORDS   how many ask at the same time ("1 16")
  --rows N          rows of the table (400000)
  --keys N          keys that `hit` is asked for (1000)
  --tools DIR       where the build is (build/release); built there if it is that
  --help            this text

Takes about six minutes, --quick two. Nothing is pinned to a core: the client needs more CPU than what
it asks.
TEXT
}

read_options 'rounds=2 seconds=0.5' 'rounds seconds at-once rows keys tools' "$@"
server_core=0-$(($(nproc --all) - 1))

start_everything() {
    local protocols='' connections=30  # for start_pgbouncer
    local pooling="pool_mode: transaction
auth_type: trust
default_pool_size: $connections"
    start_postgres
    show 'starting the others'
    start_pgbouncer
    start_sidecar sidecar-miss "$postgres_port" true "$pooling"
    start_sidecar sidecar-hit "$postgres_port" true "$pooling"
    local name
    for name in sidecar-miss sidecar-hit; do
        wait_for_cache "${port_of[$name]}" "$work/$name.log" "${pid_of[$name]}"
    done
}

# Where nothing is restored yet the first build asks for the packages.
build_client() {
    command -v dotnet >/dev/null || fail 'not run: no .NET SDK'
    client=$root/build/bench-dotnet
    show 'building the client'
    PGSIDECAR_OUT=$client dotnet build -c Release --nologo -v quiet -p:RestoreLockedMode=true \
        "$root/bench/dotnet/Bench.csproj" >"$root/build/bench-dotnet.log" 2>&1 ||
        fail "the client was not built, see $root/build/bench-dotnet.log"
}

# connection PORT DATABASE
connection() {
    echo "Host=127.0.0.1;Port=$1;Database=$2;Username=app;SSL Mode=Disable;Maximum Pool Size=16"
}

measure_all() {
    dotnet "$client/bin/Release/net10.0/Bench.dll" --rounds "$rounds" --seconds "$seconds" \
        --at-once "$at_once" --rows "$rows" --keys "$keys" --server "$postgres_pid" \
        --target direct fresh '' "$(connection "$postgres_port" clinic)" \
        --target pgbouncer fresh "$pgbouncer_pid" "$(connection "$pgbouncer_port" transaction)" \
        --target miss fresh "${pid_of[sidecar-miss]}" "$(connection "${port_of[sidecar-miss]}" clinic)" \
        --target hit cached "${pid_of[sidecar-hit]}" "$(connection "${port_of[sidecar-hit]}" clinic)" \
        >"$work/results.tsv" || fail 'the client failed'
}

report() {
    show ''
    {
        the_machine
        the_load
        printf '.NET %s. %s rounds of %s s.\n' "$(dotnet --version)" "$rounds" "$seconds"
        awk -f "$root/bench/figures.awk" -f "$root/bench/dotnet.awk" "$work/results.tsv"
        reason_counts
    } | tee "$work/report.md"
    echo "(this text: $work/report.md, every measurement: $work/results.tsv)" >&2
}

main() {
    load_before=$(cut -d' ' -f1-3 /proc/loadavg)
    build_tools --bench pgsidecar bench_load
    has_tools
    build_client
    prepare_directory dotnet-run
    trap stop_everything EXIT
    trap 'exit 130' INT TERM
    start_everything
    measure_all
    report
}

main

#!/usr/bin/env bash
# From nothing to a proxied database: installs, builds, generates data, starts, measures, explains.
set -euo pipefail
export LC_ALL=C.UTF-8

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/private-servers.sh
source "$root/deploy/private-servers.sh"

rows=1000000 first_port=6432 once=no clients=8 seconds=3
home=$root/build/quickstart
program=$root/build/release/pgsidecar
load=$root/build/release/bench/bench_load

usage() {
    cat <<'TEXT'
Usage: deploy/quickstart.sh [--once] [--rows N] [--port N]
       deploy/quickstart.sh --stop

On a fresh Debian 12, in one go:
  1. installs the packages that are missing (asks sudo if you are not root),
  2. builds the program: build/release/pgsidecar,
  3. starts a private PostgreSQL in build/quickstart with generated prescriptions (no real person
     is in them) of 50 tenants,
  4. starts pgsidecar before it, on port 6432 or the next free one,
  5. asks both the same questions for half a minute and prints what the cache saves.
Then both keep running for you to try, and the line to type is printed.

  --once    stop both again at the end
  --rows N  prescriptions to generate (1000000; at least 20000)
  --port N  the first port to try for pgsidecar (6432)
  --stop    stop what an earlier run left running
  --help    this text

Run it again at any time: it stops the earlier run and keeps its data. It touches no other
PostgreSQL on this machine and nothing outside build/, besides Debian's packages.
To start over: deploy/quickstart.sh --stop && rm -rf build/quickstart
TEXT
}

stop_only=no
while [[ $# -gt 0 ]]; do
    case $1 in
        --once) once=yes ;;
        --stop) stop_only=yes ;;
        --rows | --port)
            [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || fail "$1 needs a number"
            if [[ $1 == --rows ]]; then rows=$2; else first_port=$2; fi
            shift
            ;;
        -h | --help) usage; exit 0 ;;
        *) fail "unknown option $1 (see --help)" ;;
    esac
    shift
done
[[ $rows -ge 20000 ]] || fail "--rows must be at least 20000"

step() { printf '%s\n' "$*"; }
progress() { if [[ -t 1 ]]; then printf '\r\033[K      %.70s' "$*"; fi; }
progress_done() { if [[ -t 1 ]]; then printf '\r\033[K'; fi; }

# The id in the file may be another process's by now: only one that was given our file is ours.
proxy_pid() {
    local pid
    pid=$(cat "$home/pgsidecar.pid" 2>/dev/null) || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q -F -- "$home/pgsidecar.yaml" || return 1
    echo "$pid"
}

stop_all() {
    local pid stopped=no
    if pid=$(proxy_pid); then
        kill -TERM "$pid"
        timeout 40 tail --pid="$pid" -f /dev/null || fail "pgsidecar (process $pid) does not stop"
        stopped=yes
    fi
    rm -f "$home/pgsidecar.pid"
    if [[ -d $home ]] && postgres_stop "$(readlink -f "$home")"; then stopped=yes; fi
    [[ $stopped == yes ]]
}

build() {
    local log=$root/build/quickstart-build.log line
    mkdir -p "$root/build"
    if ! (cd "$root" && cmake --preset release) >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "configuring failed; the whole log: $log"
    fi
    if ! (cd "$root" && cmake --build --preset release --target pgsidecar bench_load) 2>&1 |
        while IFS= read -r line; do
            printf '%s\n' "$line" >>"$log"
            progress "$line"
        done; then
        progress_done
        tail -n 20 "$log" >&2
        fail "the build failed; the whole log: $log"
    fi
    progress_done
}

# The data of an earlier run is used again when it was made by the same script for as many rows.
start_postgres() {
    local made made_before port
    made="$rows rows, $(cksum <"$root/deploy/data/prescriptions.sql")"
    if [[ -d $home ]]; then directory=$(readlink -f "$home"); fi
    made_before=$(cat "$home/made" 2>/dev/null) || true
    if [[ $made != "$made_before" ]]; then
        if [[ -n ${directory:-} ]]; then rm -rf "$directory"; fi
        rm -rf "$home"
        directory=$(server_directory "$home")
        postgres_create "$directory"
    fi
    port=$(free_port 24321)
    postgres_port=$port
    postgres_start "$directory" "$port" max_connections=200
    if [[ $made != "$made_before" ]]; then
        postgres_fill "$directory" "$port" "$rows" || fail "generating the data failed"
        echo "$made" >"$home/made"
    fi
}

start_proxy() {
    proxy_port=$(free_port "$first_port")
    cat >"$home/pgsidecar.yaml" <<TEXT
# Written by deploy/quickstart.sh. config/SETTINGS.md describes every key.
listen_addr: 127.0.0.1
listen_port: $proxy_port

upstream:
  host: 127.0.0.1
  port: $postgres_port
  server_tls_sslmode: prefer
  control_connection: "host=$directory port=$postgres_port user=postgres dbname=postgres"

cache:
  enable_query_result_caching: true
  max_memory: 256MB
  rules:
    - name: prescriptions
      tables: ["public.prescription*"]
      ttl: 5m
TEXT
    setsid nohup "$program" run -c "$home/pgsidecar.yaml" </dev/null >/dev/null 2>"$home/pgsidecar.log" &
    echo $! >"$home/pgsidecar.pid"
    wait_for_line "$home/pgsidecar.log" $! 'listening on' 30 || {
        tail -n 10 "$home/pgsidecar.log" >&2
        fail "pgsidecar did not start; its log: $home/pgsidecar.log"
    }
    wait_for_cache "$proxy_port" "$home/pgsidecar.log" "$(proxy_pid)"
}

decisions() {
    local pid
    pid=$(proxy_pid) || fail "pgsidecar is gone; its log: $home/pgsidecar.log"
    proxy_decisions "$home/pgsidecar.log" "$pid"
}

# measure LABEL PORT QUERY OPTION...: one line of the table. The first one is what the others are
# compared with.
measure() {
    local label=$1 port=$2 line before=(0 0) after=(0 0)
    local ask=("$load" --conninfo "host=127.0.0.1 port=$2 user=app dbname=clinic" --protocol extended
        --query "$3" --rows "$rows" --connections "$clients")
    shift 3
    progress "$label"
    if [[ $label == *again ]]; then
        "${ask[@]}" "$@" --no-repeat --seconds 60 >/dev/null || fail "the workload failed: $label"
    fi
    if [[ $port == "$proxy_port" ]]; then read -ra before < <(decisions); fi
    line=$("${ask[@]}" "$@" --seconds "$seconds") || fail "the workload failed: $label"
    if [[ $port == "$proxy_port" ]]; then read -ra after < <(decisions); fi
    progress_done
    line=$(awk -v label="$label" -v json="$line" -v hits=$((after[0] - before[0])) \
        -v all=$((after[1] - before[1])) -v direct="${direct:-0}" '
        function value(name,    from) {
            from = index(json, "\"" name "\":")
            return substr(json, from + length(name) + 3) + 0
        }
        BEGIN {
            printf "  %-24s %10d %9.0f %9.0f", label, value("qps"), value("p50_us"), value("p99_us")
            if (all > 0) printf " %9.1f %% %8.1fx", 100 * hits / all, value("qps") / direct
            printf "\n"
        }')
    printf '%s\n' "$line"
    if [[ $port != "$proxy_port" ]]; then read -r direct _ <<<"${line#*directly}"; fi
}

workload() {
    local query title direct
    for query in list point; do
        title='One prescription by its id'
        if [[ $query == list ]]; then title="A page of a tenant's 100 newest prescriptions"; fi
        printf '\n%s\n' "$title"
        printf '  %-24s %10s %9s %9s %11s %9s\n' '' 'queries/s' 'p50, us' 'p99, us' 'from cache' 'gain'
        measure 'PostgreSQL directly' "$postgres_port" "$query" --keys 150000
        measure 'pgsidecar, asked first' "$proxy_port" "$query" --keys 150000 --first 200000 --no-repeat
        measure 'pgsidecar, asked again' "$proxy_port" "$query" --keys 1000
    done
}

farewell() {
    cat <<TEXT

Both keep running. Try it:

  psql -h 127.0.0.1 -p $proxy_port -U app clinic
  clinic=> SELECT drug_name, status FROM prescriptions WHERE tenant_id = 'pharmacy-07' ORDER BY id DESC LIMIT 5;

Run the query twice: the second answer comes from the cache. Change a row of that table on the same
port, run it again: the new row is there.

  settings   $home/pgsidecar.yaml
  log        $home/pgsidecar.log
  counters   kill -USR1 $(proxy_pid), then look at the end of the log
  directly   psql -h 127.0.0.1 -p $postgres_port -U app clinic
  compare    $program validate -c $home/pgsidecar.yaml \\
                 --workload $root/deploy/validate/prescriptions.sql --database clinic --user app
  stop       deploy/quickstart.sh --stop
TEXT
}

main() {
    if [[ $stop_only == yes ]]; then
        if stop_all; then step 'Stopped.'; else step 'Nothing was running.'; fi
        return
    fi
    step '1/5  Packages'
    "$root/deploy/install-deps.sh" --server | sed 's/^/      /'
    step '2/5  Building build/release/pgsidecar (minutes the first time)'
    build
    stop_all || true
    trap 'stop_all || true' EXIT
    step "3/5  A private PostgreSQL in build/quickstart with $rows prescriptions"
    start_postgres
    step '4/5  pgsidecar before it'
    start_proxy
    step "5/5  The same questions to both, $clients clients, $seconds seconds each"
    workload
    if [[ $once == yes ]]; then
        stop_all || true
        trap - EXIT
        printf '\nBoth are stopped again.\n'
    else
        trap - EXIT
        farewell
    fi
}

main

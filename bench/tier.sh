#!/usr/bin/env bash
# Measures what an answer costs that comes from memory, from a shared cache in redis, and from one in a
# table, beside one of the server itself. bench/README.md says how to read the result.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/private-servers.sh
source "$root/deploy/private-servers.sh"
# shellcheck source=bench/servers.sh
source "$root/bench/servers.sh"

rounds=5 seconds=2 clients=16 rows=100000 keys=20000
server_core=0 load_core=1 tools=$root/build/release
patience=120  # seconds that one measurement may take beyond its length

usage() {
    cat <<'TEXT'
Usage: bench/tier.sh [--quick] [options]

Starts a private PostgreSQL with generated data, a redis-server, and pgsidecar three times before the
PostgreSQL, on free ports: with a cache in memory that has room for everything, and with a memory of 1 MB
above a shared cache in redis and above one in a table of the same server. A point select is asked of
each and of the server itself in turn, round after round; prints medians and ratios of neighbours in
time as Markdown, and what share of the answers came from the tier; stops everything again.

  --quick           two short rounds for a first look
  --rounds N        rounds, of which the median is taken (5)
  --seconds S       length of one measurement (2)
  --clients N       how many clients (16)
  --keys N          different questions; few of them fit into 1 MB (20000)
  --rows N          rows of the table (100000)
  --tools DIR       where the build is (build/release); built there if it is that
  --server-core N   the core of everything that serves (0)
  --load-core N     the core of the load generator (1)
  --help            this text

Takes about four minutes, --quick one. Needs redis-server (tests/install.sh).
TEXT
}

read_options 'rounds=2 seconds=1' \
    'rounds seconds clients keys rows tools server-core load-core' "$@"

start_redis() {
    redis_port=$(free_port 24630)
    taskset -c "$server_core" redis-server --port "$redis_port" --bind 127.0.0.1 --save '' \
        --appendonly no --dir "$work" >"$work/redis.log" 2>&1 &
    started_as redis "$work/redis.log" 'Ready to accept connections'
}

# sharing NAME MEMORY [LINE...]: the lines are of shared_cache.
sharing() {
    local name=$1 memory=$2 provider=$1
    shift 2
    start_sidecar "$name" "$postgres_port" true "shared_cache:
  validity: ttl
  timeout: 1s
$(printf '  %s\n' "$@")" "true
  cache_provider: $provider
  shards: 1
  max_entry_size: 64kB" "$memory"
}

start_everything() {
    start_postgres
    start_redis
    show 'starting pgsidecar'
    psql -Xq -h "$work" -p "$postgres_port" -U postgres -d postgres -c 'CREATE DATABASE tier'
    sharing memory 256MB 'max_queued: 16MB'
    "$program" migrate up -c "$work/memory.yaml" --database \
        "host=$work port=$postgres_port user=postgres dbname=tier" >"$work/migrate.log" ||
        fail "migrate failed, see $work/migrate.log"
    sharing redis 1MB "redis_addresses: [\"127.0.0.1:$redis_port\"]"
    sharing database 1MB "connection: \"host=$work port=$postgres_port user=postgres dbname=tier\""
    local side
    for side in memory redis database; do
        wait_for_cache "${port_of[$side]}" "$work/$side.log" "${pid_of[$side]}"
    done
    port_of[server]=$postgres_port
    pid_of[server]=$postgres_pid
}

after_side() {
    case $1 in redis | database) settle "$1" shared_cache '"queued_bytes":0' ;; esac
}

report() {
    local side
    show ''
    {
        the_machine
        the_load
        printf '%s rounds of %s s, %s clients, %s questions; servers on core %s, load on core %s.\n' \
            "$rounds" "$seconds" "$clients" "$keys" "$server_core" "$load_core"
        awk -v sides='server memory redis database' -v names='qps p50_us p99_us' \
            -v heading='answers from | the server | memory | redis | database' \
            -f "$root/bench/figures.awk" -f "$root/bench/sides.awk" "$work/results.tsv"
        printf '\nBy their own count, misses and refills included:\n\n'
        for side in redis database; do
            printf -- '- %s: %s %s\n' "$side" \
                "$(grep -o '"reasons":{[^}]*}' "$work/$side.log" | tail -n 1)" \
                "$(grep -o '"shared_cache":{[^}]*}' "$work/$side.log" | tail -n 1)"
        done
    } | tee "$work/report.md"
    echo "(this text: $work/report.md, every measurement: $work/results.tsv)" >&2
}

main() {
    load_before=$(cut -d' ' -f1-3 /proc/loadavg)
    command -v redis-server >/dev/null || fail 'redis-server is not there: tests/install.sh'
    ulimit -n "$(ulimit -Hn)"
    build_tools --server pgsidecar bench_load
    has_tools
    prepare_directory tier-run
    trap stop_everything EXIT
    trap 'exit 130' INT TERM
    start_everything
    take_turns server memory redis database
    report
}

main

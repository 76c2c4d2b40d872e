# shellcheck shell=bash disable=SC2154,SC2034 # the settings are those of who sources it
# To be sourced by the scripts beside it: starts and stops everything that is
# measured. Each server is pinned to one core, logs into $work and is waited for by the line that it
# logs when it listens.

declare -A port_of pid_of
started=()
wire_pool='pool_mode=session pool_size=100000'  # of pgbouncer before the limit

show() {
    if [[ -t 2 ]]; then printf '\r\033[K%s' "$*" >&2; else printf '%s\n' "$*" >&2; fi
}

# read_options QUICK NAMES "$@": the command line. Each of NAMES is a variable to be given a value; --quick
# gives them those of QUICK, "NAME=VALUE ...".
read_options() {
    local quick=$1 names=" $2 " name pair
    shift 2
    while [[ $# -gt 0 ]]; do
        name=${1#--}
        if [[ $1 == --quick ]]; then
            for pair in $quick; do printf -v "${pair%%=*}" '%s' "${pair#*=}"; done
        elif [[ $1 == -h || $1 == --help ]]; then
            usage
            exit 0
        elif [[ $1 == --* && $names == *" $name "* ]]; then
            [[ $# -ge 2 ]] || fail "$1 needs a value"
            printf -v "${name//-/_}" '%s' "$2"
            shift
        else
            fail "unknown option $1 (see --help)"
        fi
        shift
    done
}

# build_tools PACKAGES TARGET...: in build/release, if the tools are those; sets `program`.
build_tools() {
    local packages=$1
    shift
    if [[ $tools == "$root/build/release" ]]; then
        "$root/deploy/install-deps.sh" "$packages" >&2
        show 'building'
        mkdir -p "$root/build"
        (cd "$root" && cmake --preset release && cmake --build --preset release --target "$@") \
            >"$root/build/bench-build.log" 2>&1 ||
            fail "the build failed, see $root/build/bench-build.log"
    fi
    program=$tools/pgsidecar
}

has_tools() {
    [[ -x $program && -x $tools/bench/bench_load ]] || fail "nothing is built in $tools"
}

the_machine() {
    printf 'Machine: %s, %s cores. ' \
        "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc --all)"
}

# With $load_before, as /proc/loadavg was before the start.
the_load() {
    printf 'Date: %s. Commit: %s. Load before the start: %s, at the end: %s.\n' \
        "$(date -u +%F)" "$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo none)" \
        "$load_before" "$(cut -d' ' -f1-3 /proc/loadavg)"
}

# prepare_directory NAME: build/NAME is $work from now on; what an earlier run left there ends.
prepare_directory() {
    local link=$root/build/$1
    if [[ -e $link/data ]]; then postgres_stop "$link" || true; fi
    if [[ -L $link ]]; then rm -rf "$(readlink "$link")"; fi
    rm -rf "$link"
    work=$(server_directory "$link")
    : >"$work/results.tsv"
}

# A log-in, and runuser makes one, sets the soft limit of open files back to its default.
pinned() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    as_server_user bash -c 'ulimit -n "$(ulimit -Hn)"; exec "$@"' bash taskset -c "$server_core" "$@"
}

# started_as NAME LOG TEXT: waits for the background job just begun to log TEXT.
started_as() {
    local pid=$!
    pid_of[$1]=$pid
    started+=("$pid")
    wait_for_line "$2" "$pid" "$3" 30 || fail "$1 did not start: $(tail -n 3 "$2")"
}

start_postgres() {
    show "making $rows rows"
    postgres_port=$(free_port 24320)
    postgres_create "$work"
    taskset -pc "$server_core" $$ >/dev/null
    postgres_start "$work" "$postgres_port" max_connections=400
    postgres_pid=$(head -n 1 "$work/data/postmaster.pid")
    postgres_fill "$work" "$postgres_port" "$rows"
}

start_pgbouncer() {
    local protocol query upstream="host=127.0.0.1 port=$postgres_port dbname=clinic user=app"
    pgbouncer_port=$(free_port 26420)
    {
        echo '[databases]'
        echo "session = $upstream pool_mode=session"
        echo "transaction = $upstream pool_mode=transaction"
        for protocol in $protocols; do
            for query in point list; do
                echo "wire_${protocol}_$query = host=127.0.0.1 port=${port_of[limit-$protocol-$query]}" \
                    "dbname=clinic user=app $wire_pool"
            done
        done
        echo '[pgbouncer]'
        echo "listen_addr = 127.0.0.1"
        echo "listen_port = $pgbouncer_port"
        echo "unix_socket_dir ="
        echo "auth_type = any"
        echo "pidfile = $work/pgbouncer.pid"
        echo "max_client_conn = 20000"
        echo "default_pool_size = $connections"
        echo "log_connections = 0"
        echo "log_disconnections = 0"
    } >"$work/pgbouncer.ini"
    pinned pgbouncer "$work/pgbouncer.ini" >"$work/pgbouncer.log" 2>&1 &
    started_as pgbouncer "$work/pgbouncer.log" 'process up'
    pgbouncer_pid=$(cat "$work/pgbouncer.pid")
}

start_pgpool() {
    local oids=$work/pgpool-oids
    pgpool_port=$(free_port 26460)
    as_server_user mkdir -p "$oids"
    cat >"$work/pgpool.conf" <<TEXT
backend_clustering_mode = 'raw'
listen_addresses = '127.0.0.1'
port = $pgpool_port
socket_dir = '$work'
pcp_listen_addresses = ''
pcp_port = $(free_port 26490)
pcp_socket_dir = '$work'
pid_file_name = '$work/pgpool.pid'
logdir = '$work'
backend_hostname0 = '127.0.0.1'
backend_port0 = $postgres_port
backend_flag0 = 'ALWAYS_PRIMARY'
num_init_children = $((connections + 8))
max_pool = 1
memory_cache_enabled = on
memqcache_method = 'shmem'
memqcache_total_size = 256MB
memqcache_oiddir = '$oids'
log_min_messages = 'warning'
TEXT
    : >"$work/pool_hba.conf"
    : >"$work/pcp.conf"
    pinned pgpool -n -f "$work/pgpool.conf" -a "$work/pool_hba.conf" -F "$work/pcp.conf" \
        >"$work/pgpool.log" 2>&1 &
    started_as pgpool "$work/pgpool.log" 'successfully started'
    pgpool_pid=$(tr -d "\0" <"$work/pgpool.pid")
}

start_limits() {
    local protocol query port name
    for protocol in $protocols; do
        for query in point list; do
            name=limit-$protocol-$query
            port=$(free_port 26500)
            port_of[$name]=$port
            taskset -c "$server_core" "$tools/bench/bench_limit" --port "$port" --rows "$rows" \
                --conninfo "host=127.0.0.1 port=$postgres_port user=app dbname=clinic" \
                --protocol "$protocol" --query "$query" 2>"$work/$name.log" &
            started_as "$name" "$work/$name.log" 'listening on'
        done
    done
}

# start_sidecar NAME UPSTREAM_PORT ENABLE_OPTIMIZATIONS [MORE_SETTINGS [CACHING [MEMORY]]]
start_sidecar() {
    local name=$1 port
    port=$(free_port 26600)
    port_of[$name]=$port
    cat >"$work/$name.yaml" <<TEXT
listen_addr: 127.0.0.1
listen_port: $port
max_client_conn: 20000
workers: 1
enable_optimizations: $3
upstream:
  host: 127.0.0.1
  port: $2
  server_tls_sslmode: disable
  control_connection: "host=$work port=$postgres_port user=postgres dbname=postgres"
cache:
  enable_query_result_caching: ${5-true}
  max_memory: ${6-256MB}
  rules:
    - name: prescriptions
      tables: ["public.prescription*"]
      ttl: 1h
${4-}
TEXT
    taskset -c "$server_core" "$program" run -c "$work/$name.yaml" 2>"$work/$name.log" &
    started_as "$name" "$work/$name.log" 'listening on'
}

start_sidecars() {
    local protocol query target
    for target in miss hit; do
        if ! wanted "$target"; then continue; fi
        start_sidecar "sidecar-$target" "$postgres_port" true
        wait_for_cache "${port_of[sidecar-$target]}" "$work/sidecar-$target.log" \
            "${pid_of[sidecar-$target]}"
    done
    if wanted pass; then start_sidecar sidecar-pass "$postgres_port" false; fi
    if ! wanted wire-pass; then return; fi
    for protocol in $protocols; do
        for query in point list; do
            start_sidecar "sidecar-wire-$protocol-$query" "${port_of[limit-$protocol-$query]}" false
        done
    done
}

start_everything() {
    start_postgres
    show 'starting the others'
    start_limits
    start_pgbouncer
    if wanted pgpool-hit; then start_pgpool; fi
    start_sidecars
}

# measure_side ROUND PROTOCOL SIDE: a point select, one line into results.tsv.
measure_side() {
    local line pace=()
    if ((${rate:-0} > 0)); then pace=(--rate "$rate"); fi
    if ! line=$(timeout "$patience" taskset -c "$load_core" "$tools/bench/bench_load" \
        --conninfo "host=127.0.0.1 port=${port_of[$3]} user=app dbname=clinic" --protocol "$2" \
        --rows "$rows" --keys "$keys" --warm --connections "$clients" --seconds "$seconds" \
        --pipeline "${pipeline:-1}" "${pace[@]}" --server-pid "${pid_of[$3]}" 2>>"$work/load.log"); then
        fail "bench_load failed: $(tail -n 1 "$work/load.log")"
    fi
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$line" >>"$work/results.tsv"
}

# settle SIDE PART TEXT: waits until that sidecar counts TEXT in PART. What still waits there would be
# beside the next measurement.
settle() {
    local attempt
    for ((attempt = 0; attempt < 300; attempt++)); do
        proxy_decisions "$work/$1.log" "${pid_of[$1]}" >/dev/null
        if grep -o "\"$2\":{[^}]*}" "$work/$1.log" | tail -n 1 | grep -q "$3[,}]"; then return; fi
        sleep 0.1
    done
    fail "no $3 in $2 after half a minute; the log: $work/$1.log"
}

# take_turns SIDE...: measures each of them in turn by both protocols, round after round, in every other
# round backwards; before_side is called before each measurement, after_side behind it, if they are there.
take_turns() {
    local round protocol side forth=$* back
    back=$(printf '%s\n' "$@" | tac)
    for ((round = 1; round <= rounds; round++)); do
        for protocol in simple prepared; do
            for side in $(if ((round % 2 == 0)); then echo "$back"; else echo "$forth"; fi); do
                show "round $round of $rounds: $protocol, $side"
                if declare -F before_side >/dev/null; then before_side "$side"; fi
                measure_side "$round" "$protocol" "$side"
                if declare -F after_side >/dev/null; then after_side "$side"; fi
            done
        done
    done
}

# What the caching instances decided, as they count it themselves.
reason_counts() {
    local name log
    printf '\nWhat pgsidecar decided, by its own count:\n\n'
    for name in hit miss; do
        log=$work/sidecar-$name.log
        if [[ ! -e $log ]]; then continue; fi
        proxy_decisions "$log" "${pid_of[sidecar-$name]}" >/dev/null
        printf -- '- %s: %s\n' "$name" "$(grep -o '"reasons":{[^}]*}' "$log" | tail -n 1)"
    done
}

stop_everything() {
    local pid
    trap - INT TERM
    if [[ -n ${pgpool_pid:-} ]]; then kill -INT "$pgpool_pid" 2>/dev/null || true; fi
    for pid in ${pgbouncer_pid:-} "${started[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    wait
    postgres_stop "$work" || true
}

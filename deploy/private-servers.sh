# shellcheck shell=bash
# To be sourced: a private PostgreSQL server in a directory of its own, and what scripts need to
# wait for a server, and to ask pgsidecar what it decided, without sleeping.
#
# Who may log in to PostgreSQL: any local user as `app`, which owns the generated data and nothing else; the
# superuser only through the socket in the server's directory, which nobody else can enter.

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# The newest installed server's programs.
postgres_bin() {
    local newest
    newest=$(find /usr/lib/postgresql -maxdepth 3 -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
    [[ -n $newest ]] || fail "no PostgreSQL server found under /usr/lib/postgresql"
    dirname "$newest"
}

# PostgreSQL refuses to run as root.
as_server_user() {
    if [[ $(id -u) == 0 ]]; then
        (cd / && runuser -u postgres -- "$@")
    else
        "$@"
    fi
}

port_is_free() {
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# free_port FIRST: the first free port from there on.
free_port() {
    local port
    for ((port = $1; port < $1 + 200; port++)); do
        if port_is_free "$port"; then
            echo "$port"
            return
        fi
    done
    fail "no free port between $1 and $port"
}

# wait_for_line FILE PID TEXT SECONDS [COUNT]: until the process has written COUNT (1) lines that
# hold TEXT. False when it ended, or when the time is over.
wait_for_line() {
    local seen
    # tail ends by a signal once grep has seen enough.
    seen=$({ timeout "$4" tail -n +1 -F --pid="$2" "$1" 2>/dev/null || true; } |
        grep -c -m "${5:-1}" -F -- "$3") || true
    [[ $seen -ge ${5:-1} ]]
}

# server_directory WANTED: prints a directory that the server's user can enter and whose name is
# short enough for a socket. It is WANTED if that will do, else one that WANTED then points to.
server_directory() {
    local wanted=$1 made
    mkdir -p "$wanted"
    if [[ $(id -u) == 0 ]]; then chown postgres: "$wanted"; fi
    if [[ ${#wanted} -lt 80 ]] && as_server_user test -w "$wanted"; then
        chmod 700 "$wanted"
        echo "$wanted"
        return
    fi
    made=$(as_server_user mktemp -d "${TMPDIR:-/tmp}/pgsidecar.XXXXXX") ||
        fail "the server's user can use neither $wanted nor ${TMPDIR:-/tmp}"
    rmdir "$wanted"
    ln -s "$made" "$wanted"
    echo "$made"
}

# postgres_create DIRECTORY: an empty cluster in DIRECTORY/data.
postgres_create() {
    as_server_user "$(postgres_bin)/initdb" -D "$1/data" -U postgres --auth=trust --no-sync \
        --encoding=UTF8 --locale=C.UTF-8 >/dev/null || fail "initdb failed"
    printf '%s\n' 'local all all trust' 'host all app 127.0.0.1/32 trust' |
        as_server_user tee "$1/data/pg_hba.conf" >/dev/null
}

# postgres_start DIRECTORY PORT [SETTING=VALUE ...]. Throw-away data: nothing is synced to disk. No
# parallel workers: their shared memory is more than a container often has.
postgres_start() {
    local directory=$1 port=$2 setting
    local arguments="-p $port -k '$directory' -h 127.0.0.1"
    shift 2
    for setting in fsync=off synchronous_commit=off full_page_writes=off shared_buffers=256MB \
        maintenance_work_mem=128MB max_parallel_workers=0 random_page_cost=1.1 wal_level=logical \
        max_wal_size=4GB "$@"; do
        arguments+=" -c $setting"
    done
    as_server_user "$(postgres_bin)/pg_ctl" -s -w -t 60 -D "$directory/data" \
        -l "$directory/postgres.log" -o "$arguments" start ||
        fail "PostgreSQL did not start: see $directory/postgres.log"
}

# False when it was not running.
postgres_stop() {
    [[ -e $1/data/postmaster.pid ]] || return 1
    as_server_user "$(postgres_bin)/pg_ctl" -s -w -m fast -D "$1/data" stop
}

# postgres_fill DIRECTORY PORT ROWS: the database `clinic`, its owner `app`, the generated tables.
postgres_fill() {
    local sql
    sql=$(dirname "${BASH_SOURCE[0]}")/data/prescriptions.sql
    psql -Xq -h "$1" -p "$2" -U postgres -d postgres \
        -c 'CREATE ROLE app LOGIN' -c 'CREATE DATABASE clinic OWNER app' || return
    psql -Xq -h 127.0.0.1 -p "$2" -U app -d clinic -v rows="$3" <"$sql"
}

# proxy_decisions LOG PID: prints "HITS ALL", as that pgsidecar counts its decisions since its start:
# on SIGUSR1 it logs a line of JSON.
proxy_decisions() {
    local seen
    seen=$(grep -c 'statistics {' "$1") || true
    kill -USR1 "$2"
    wait_for_line "$1" "$2" 'statistics {' 10 $((seen + 1)) || fail "no statistics in $1"
    grep 'statistics {' "$1" | tail -n 1 | awk '{
        match($0, /"reasons":[{][^}]*/)
        n = split(substr($0, RSTART + 11, RLENGTH - 11), parts, ",")
        for (i = 1; i <= n; i++) {
            m = split(parts[i], pair, ":")
            sum += pair[m]
            if (parts[i] ~ /^"hit":/) hits = pair[m]
        }
        printf "%d %d\n", hits, sum
    }'
}

# wait_for_cache PORT LOG PID: a database's catalogs are read when its first client comes, and until
# then nothing of it is cached. Asks until an answer came from the cache.
wait_for_cache() {
    local decided attempt
    for ((attempt = 0; attempt < 100; attempt++)); do
        psql -XqAt -h 127.0.0.1 -p "$1" -U app -d clinic -c 'SELECT 1 FROM prescriptions WHERE id = 1' \
            -c 'SELECT 1 FROM prescriptions WHERE id = 1' >/dev/null || return
        decided=$(proxy_decisions "$2" "$3") || return
        if [[ ${decided% *} -gt 0 ]]; then return; fi
    done
    fail "pgsidecar answers nothing from its cache; its log: $2"
}

#!/usr/bin/env bash
# Installs what building pgsidecar needs on Debian 12, and only what is missing.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: deploy/install-deps.sh [--server] [--bench] [--package] [--check]

Installs the compiler, the tools and the libraries that the build needs, from Debian's own
packages. What is there already is left alone; when nothing is missing, apt is not even asked.

  --server  also a PostgreSQL server and psql (for deploy/quickstart.sh and the tests)
  --bench   also what the benches need: pgbouncer, pgpool2 and valgrind
  --package also what deploy/package.sh needs
  --check   install nothing: print what is missing, exit with 1 if anything is
  --help    this text

Run it as root, or as a user who may use sudo. No service is started by what it installs.
TEXT
}

build_packages=(
    g++ cmake ninja-build pkg-config
    libboost1.81-dev libssl-dev libpq-dev libpg-query-dev
    libxxhash-dev libyaml-cpp-dev libhiredis-dev libminizip-dev zlib1g-dev
    libspdlog-dev libcli11-dev prometheus-cpp-dev doctest-dev
)

packages=("${build_packages[@]}")
check=no
for argument in "$@"; do
    case $argument in
        --server) packages+=(postgresql-15 postgresql-client-15) ;;
        --bench) packages+=(postgresql-15 postgresql-client-15 pgbouncer pgpool2 valgrind) ;;
        --package) packages+=(binutils dpkg-dev file help2man) ;;
        --check) check=yes ;;
        -h | --help) usage; exit 0 ;;
        *) echo "install-deps: unknown option $argument (see --help)" >&2; exit 2 ;;
    esac
done

installed() {
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

if ! command -v dpkg-query >/dev/null; then
    echo "install-deps: this is not Debian. Install the equivalents of:" >&2
    printf '  %s\n' "${packages[@]}" >&2
    exit 1
fi

missing=()
for package in "${packages[@]}"; do
    installed "$package" || missing+=("$package")
done
if [[ ${#missing[@]} == 0 ]]; then
    echo "install-deps: nothing is missing"
    exit 0
fi
if [[ $check == yes ]]; then
    echo "install-deps: missing: ${missing[*]}"
    exit 1
fi

as_root=()
if [[ $(id -u) != 0 ]]; then
    if ! command -v sudo >/dev/null; then
        echo "install-deps: not root and no sudo. As root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

# Debian starts a server as soon as it is installed, unless this file says no. One that is there
# already is somebody's decision and stays.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
fi

echo "install-deps: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

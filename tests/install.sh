#!/usr/bin/env bash
# Installs what the tests need on Debian 12 beyond the build itself, and only what is missing.
# Run as root, or as a user who may use sudo. The .NET SDK is not in Debian: without it the tests of
# Npgsql and Entity Framework Core report that they were not run.
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/install-deps.sh --server --package

packages=(ccache clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev llvm-14 git openssl util-linux
    procps redis-server redis-tools chromium chromium-driver python3 python3-psycopg python3-asyncpg
    libpostgresql-jdbc-java pgbouncer prometheus-pgbouncer-exporter
    sqlsmith lintian systemd python3-yaml)
# For the stage "windows" of tests/run.sh.
[[ ${1-} == --windows ]] && packages+=(g++-mingw-w64-x86-64-posix make perl wine64 wixl msitools)
command -v javac >/dev/null || packages+=(openjdk-17-jdk-headless)
command -v node >/dev/null || packages+=(nodejs node-pg)

missing=()
for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
        missing+=("$package")
done
if [[ ${#missing[@]} == 0 ]]; then
    echo "install: nothing is missing for the tests"
    exit 0
fi
echo "install: ${missing[*]}"
root=()
[[ $(id -u) == 0 ]] || root=(sudo)
"${root[@]}" apt-get update -q
"${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}"

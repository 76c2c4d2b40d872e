#!/usr/bin/env bash
# Makes the Debian package: builds the release if there is none, and packs it.
set -euo pipefail
export LC_ALL=C.UTF-8
root=$(cd "$(dirname "$0")/.." && pwd)

usage() {
    cat <<'TEXT'
Usage: deploy/package.sh [--program FILE] [--output FOLDER] [--release N]

Makes pgsidecar_VERSION-N_ARCH.deb and prints its path. For Debian 12; what it needs beside the
build itself is installed by deploy/install-deps.sh --package.

  --program FILE   pack this program; the default builds build/release/pgsidecar first
  --output FOLDER  where the package goes (build/package)
  --release N      Debian revision (1): raise it for another package of the same version
  --help           this text

Then: apt install ./pgsidecar_*.deb. deploy/README.md says what comes next.
TEXT
}

fail() { echo "package: $*" >&2; exit 2; }

program='' output=$root/build/package release=1
while [[ $# -gt 0 ]]; do
    case $1 in
        --program | --output | --release)
            [[ -n ${2:-} ]] || fail "$1 needs a value (see --help)"
            case $1 in
                --program) program=$(realpath -- "$2") ;;
                --output) mkdir -p "$2"; output=$(cd "$2" && pwd) ;;
                --release) [[ $2 =~ ^[1-9][0-9]*$ ]] || fail "--release needs a number"; release=$2 ;;
            esac
            shift
            ;;
        -h | --help) usage; exit 0 ;;
        *) fail "unknown option $1 (see --help)" ;;
    esac
    shift
done

for tool in cmake cpack strip dpkg-shlibdeps help2man file; do
    command -v "$tool" >/dev/null || fail "$tool is missing: deploy/install-deps.sh --package"
done
if [[ -z $program ]]; then
    (cd "$root" && cmake --preset release >&2 && cmake --build --preset release --target pgsidecar >&2)
    program=$root/build/release/pgsidecar
fi
[[ -x $program ]] || fail "$program is no program"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
umask 022
{
    cmake -S "$root/deploy/package" -B "$work" -DPGSIDECAR_PROGRAM="$program" \
        -DPGSIDECAR_PACKAGE_RELEASE="$release"
    cpack -B "$work/out"
} >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
mkdir -p "$output"
for made in "$work"/out/*.deb; do
    cp "$made" "$output/"
    echo "$output/$(basename "$made")"
done

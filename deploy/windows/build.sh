#!/usr/bin/env bash
# Builds pgsidecar.exe for 64-bit Windows on Debian: deploy/windows/README.md has the story.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

usage() {
    cat <<'TEXT'
Usage: deploy/windows/build.sh [--prefix DIR] [--jobs N] [--dependencies] [--check] [--msi]

Builds build/windows/pgsidecar.exe: one static program for 64-bit Windows 10 or Server 2016 on, by
mingw-w64. Its libraries (OpenSSL, libpq, libpg_query, yaml-cpp, hiredis, prometheus-cpp, xxHash, zlib, minizip) are
built once from Debian's sources, of which version and SHA-256 are fixed in dependencies.sh, and kept
for the next time: the first time takes some ten minutes on 2 cores, later only what changed.

  --prefix DIR    where the libraries are kept. Default:
                  ${XDG_CACHE_HOME:-~/.cache}/pgsidecar/windows-<hash of versions and script>
  --jobs N        as many at a time (default: the number of processors)
  --dependencies  only the libraries
  --msi           also build/windows/pgsidecar.msi (needs wixl)
  --check         build nothing: say what is missing, exit with 1 if anything is
  --help          this text

Exit codes: 0 built; 1 something is wrong; 2 the command line; 77 not run, for a source or a tool that
cannot be had here: nothing was found out about the program.
TEXT
}

say() { echo "windows: $*"; }
fail() { echo "windows: $*" >&2; exit 1; }
not_run() { echo "not run: windows: $*" >&2; exit 77; }

cross=x86_64-w64-mingw32
jobs=$(nproc)
prefix='' only_dependencies=no check=no msi=no
while [[ $# -gt 0 ]]; do
    case $1 in
        --prefix) prefix=${2:?--prefix needs a folder}; shift ;;
        --jobs) jobs=${2:?--jobs needs a number}; shift ;;
        --dependencies) only_dependencies=yes ;;
        --msi) msi=yes ;;
        --check) check=yes ;;
        -h | --help) usage; exit 0 ;;
        *) echo "windows: unknown option $1 (see --help)" >&2; exit 2 ;;
    esac
    shift
done

# What the libraries are made of; another version or another way to build is another prefix.
key=$({ cat "$here/dependencies.sh" "$here/toolchain.cmake"; "$cross-gcc-posix" -dumpfullversion 2>/dev/null || true; } |
    sha256sum | cut -c1-12)
prefix=${prefix:-${XDG_CACHE_HOME:-$HOME/.cache}/pgsidecar/windows-$key}
mkdir -p "$prefix"
prefix=$(cd "$prefix" && pwd)
source "$here/dependencies.sh"

tools=("$cross-g++-posix" "$cross-windres" "$cross-windmc" cmake ninja make perl pkg-config)
[[ $msi == no ]] || tools+=(wixl)
missing=()
for tool in "${tools[@]}"; do command -v "$tool" >/dev/null || missing+=("$tool"); done
for name in "${header_only[@]}"; do [[ -d /usr/include/$name ]] || missing+=("/usr/include/$name"); done
if [[ $check == yes ]]; then
    [[ ${#missing[@]} == 0 ]] || { say "missing: ${missing[*]} (tests/install.sh has the packages)"; exit 1; }
    [[ -e $prefix/built/small ]] && say "the libraries are in $prefix" || say "the libraries are not built yet: $prefix"
    exit 0
fi
[[ ${#missing[@]} == 0 ]] || not_run "missing: ${missing[*]} (tests/install.sh has the packages)"

# Two at once would build into the same folder.
exec 9>"$prefix.lock"
flock -n 9 || { say "waiting for another build of $prefix"; flock 9; }
work=$prefix-work
mkdir -p "$work"
if [[ ! -e $prefix/built/small ]]; then
    fetch_sources
    build_dependencies
    rm -rf "$work"
else
    say "the libraries are in $prefix"
fi
exec 9>&-
[[ $only_dependencies == no ]] || exit 0

cd "$root"
export PGSIDECAR_WINDOWS_PREFIX=$prefix
cmake --preset windows -DPGSIDECAR_WINDOWS_PREFIX="$prefix" >"$prefix-cmake.log" 2>&1 || {
    tail -n 20 "$prefix-cmake.log" >&2
    fail "CMake found something wrong: see $prefix-cmake.log"
}
ninja -C build/windows -j "$jobs" pgsidecar || fail "pgsidecar.exe was not built"
say "built build/windows/pgsidecar.exe ($(($(stat -c %s build/windows/pgsidecar.exe) / 1024 / 1024)) MB)"
if [[ $msi == yes ]]; then
    "$here/msi.sh" build/windows/pgsidecar.exe build/windows/pgsidecar.msi
fi

#!/usr/bin/env bash
# Packs pgsidecar.exe into an installer, by wixl: msi.sh EXE MSI [VERSION]. The service is installed but
# not started: the first configuration is a sample that names no server of anybody's.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exe=${1:?usage: msi.sh EXE MSI [VERSION]} msi=${2:?usage: msi.sh EXE MSI [VERSION]}
version=${3:-$(sed -n 's/^project(pgsidecar VERSION \([0-9.]*\).*/\1/p' "$here/../../CMakeLists.txt")}
for tool in wixl msiinfo msibuild; do
    command -v "$tool" >/dev/null || { echo "not run: windows: $tool is not installed" >&2; exit 77; }
done
[[ -f $exe ]] || { echo "windows: there is no $exe" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$exe" "$work/pgsidecar.exe"
cp "$here/README.md" "$work/README.txt"
cp "$here"/pgsidecar.{yaml,wxs} "$work"
out=$(cd "$(dirname "$msi")" && pwd)/$(basename "$msi")
cd "$work"
wixl --arch x64 -o made.msi -D Version="$version" pgsidecar.wxs
# What wixl has no word for: the configuration is neither overwritten (128) nor removed (16).
msiinfo export made.msi Component >Component.idt
awk 'BEGIN { FS = OFS = "\t" } $1 == "Configuration" { $4 += 128 + 16 } { print }' Component.idt >Changed.idt
mv Changed.idt Component.idt
msibuild made.msi -i Component.idt
msiinfo export made.msi Component | awk -F'\t' '$1 == "Configuration" && int($4 / 128) % 2 { found = 1 } END { exit !found }' ||
    { echo "windows: the configuration is not marked as permanent" >&2; exit 1; }
mv made.msi "$out"
echo "windows: built $msi"

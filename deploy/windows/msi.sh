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
# change TABLE PROGRAM: what wixl has no word for, by an awk program over the rows of a table.
change() {
    msiinfo export made.msi "$1" >before.idt
    awk "BEGIN { FS = OFS = \"\\t\" } $2 { print }" before.idt >"$1.idt"
    ! cmp -s before.idt "$1.idt" || { echo "windows: nothing to change in $1" >&2; exit 1; }
    msibuild made.msi -i "$1.idt"
}
# The configuration is neither overwritten (128) nor removed (16).
change Component '$1 == "Configuration" { $4 += 128 + 16 }'
# An older version goes first: it takes its service along, before the new one makes its own.
change InstallExecuteSequence '$1 == "RemoveExistingProducts" { $3 = 1501 } $1 == "RemoveService" { $3 = 1502 }'
mv made.msi "$out"
echo "windows: built $msi"

#!/bin/sh
# Usage: tests/fuzz/run.sh [SECONDS] [NAME ...]
# Builds every fuzzer here (or the named ones) and runs each for SECONDS (default 60). What they
# find goes to build/fuzz/artifacts, what they learn to build/fuzz/learnt; the seeds in corpus/ stay
# as they are. FUZZ_SEED=N makes runs alike; else each goes its own way. Closes with "N passed,
# N failed, N skipped"; exits 1 when anything failed.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-60}
[ $# -gt 0 ] && shift
case $seconds in
    '' | *[!0-9]*) echo "usage: $0 [SECONDS] [NAME ...]" >&2; exit 2 ;;
esac
build=build/fuzz
passed=0 failed=0 skipped=0

if [ $# -eq 0 ]; then
    for source in tests/fuzz/*_*.cpp; do
        set -- "$@" "$(basename "$source" .cpp)"
    done
fi
finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ] || exit 1
    exit 0
}
if ! command -v clang++-14 >/dev/null; then
    echo "no clang++-14: nothing can run"
    skipped=$#
    finish
fi
mkdir -p $build/artifacts
if ! timeout 300 cmake --preset fuzz >$build/configure.log 2>&1; then
    tail -n 20 $build/configure.log
    failed=$#
    finish
fi

# Known leaks of libpg_query are told apart by the names of its functions.
symbolizer=$(command -v llvm-symbolizer-14) && export ASAN_SYMBOLIZER_PATH="$symbolizer"

stat_of() { sed -n "s/^stat::$1: *//p" "$2"; }

run_one() {
    name=$1
    log=$build/$name.log
    if ! ninja -C $build -t query "fuzz_$name" >/dev/null 2>&1; then
        echo "skip  $name: its room is not part of this build"
        skipped=$((skipped + 1))
        return
    fi
    if ! timeout 1800 nice ninja -C $build "fuzz_$name" >"$log" 2>&1; then
        tail -n 30 "$log"
        echo "FAIL  $name: does not build"
        failed=$((failed + 1))
        return
    fi
    program=$(find $build -type f -name "fuzz_$name" -perm -u+x | head -n 1)
    mkdir -p "$build/learnt/$name" "tests/fuzz/corpus/$name"
    echo "run   $name for $seconds s"
    # The second limit is for a fuzzer that does not heed the first.
    if timeout -k 5 $((seconds + 120)) nice "$program" -max_total_time="$seconds" -seed="${FUZZ_SEED:-0}" -timeout=25 \
        -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1 -verbosity=1 \
        -artifact_prefix="$build/artifacts/$name-" \
        "$build/learnt/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
        echo "pass  $name: $(stat_of number_of_executed_units "$log") executions"
        passed=$((passed + 1))
    else
        tail -n 40 "$log"
        echo "FAIL  $name: see $log and $build/artifacts"
        failed=$((failed + 1))
    fi
}

for name in "$@"; do
    run_one "$name"
done
finish

#!/usr/bin/env bash
# Builds and tests everything, and closes with one line: N passed, N failed, N skipped.
#
#   tests/run.sh                  all stages but lint and windows
#   tests/run.sh --only windows   pgsidecar.exe by mingw-w64, and its tests under wine
#   tests/run.sh --only dev,lint  clang-tidy over the product's sources (a quarter of an hour on 2 cores)
#   tests/run.sh --quick          for a developer: dev build, unit tests, tidy, integration without drivers
#   tests/run.sh --only a,b       some stages: install dev tidy lint asan release windows tsan fuzz
#   tests/run.sh --no-install     leave the machine's packages alone
#
# Logs of each step are in build/logs. What a step counted is read from its own closing line; a step
# that fails without counting anything counts as one failure.
set -u
cd "$(dirname "$0")/.." || exit 1

stages=install,dev,tidy,asan,release,tsan,fuzz
quick=no
while [[ $# -gt 0 ]]; do
    case $1 in
        --quick) quick=yes stages=dev,tidy ;;
        --only) stages=${2:?}; shift ;;
        --no-install) stages=${stages/install,/} ;;
        -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) echo "run.sh: unknown option $1" >&2; exit 2 ;;
    esac
    shift
done

logs=build/logs
mkdir -p "$logs"
jobs=${PGSIDECAR_JOBS:-$(nproc)}
python=/usr/bin/python3  # Debian's: it has psycopg and asyncpg
passed=0 failed=0 skipped=0
began=$SECONDS
broken=()

has() { [[ ,$stages, == *,$1,* ]]; }

# Sums what a log says was run: our own closing lines, and doctest's.
counts() {
    awk '
        /^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ { p += $1; f += $3; s += $5 }
        /\[doctest\] test cases:/ {
            line = $0  # test cases: 25 | 25 passed | 0 failed | 3 skipped
            sub(/.*test cases:/, "", line)
            gsub(/[^0-9]+/, " ", line)
            split(line, n, " ")
            p += n[2]; f += n[3]; s += n[4]
        }
        END { print p + 0, f + 0, s + 0 }' "$1"
}

# step NAME COMMAND...: runs it, adds up what it counted, shows the end of the log if it failed.
step() {
    local name=$1 log start=$SECONDS code p f s
    shift
    log=$logs/${name// /-}.log
    printf '%-34s ' "$name"
    "$@" >"$log" 2>&1 </dev/null
    code=$?
    read -r p f s < <(counts "$log")
    if [[ $code != 0 && $f == 0 ]]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '%5d passed %3d failed %3d skipped  %4d s\n' "$p" "$f" "$s" $((SECONDS - start))
    if [[ $code != 0 || $f != 0 ]]; then
        broken+=("$name")
        grep -E '^(FAIL|ERROR|not ok)|ERROR: |error:|DIFFERENCE' "$log" | head -n 60
        tail -n 25 "$log"
        return 1
    fi
}

configure() { cmake --preset "$1" "${@:2}"; }
build() { ninja -C "build/$1" -j "$jobs" "${@:2}"; }
unit() { ctest --test-dir "build/$1" -V --timeout 900 "${@:2}"; }
integration() { "$python" tests/integration/run.py --program "build/$1/pgsidecar" --jobs "$jobs" "${@:2}"; }
portable() { "$python" tests/integration/run.py --program build/dev/pgsidecar-portable --jobs "$jobs" "$@"; }
# Seeds are fixed here, so that a red run is the change's doing; by hand, leave --seed out.
differential() { "$python" tests/integration/differential.py --program "build/$1/pgsidecar" "${@:2}" &&
    echo "1 passed, 0 failed"; }
simulation() { build/dev/tests/core/core_simulation --steps 500 "$@" && echo "1 passed, 0 failed"; }
checker() { "$python" tests/integration/checker.py "$@"; }
smith() { "$python" tests/integration/sqlsmith.py --program build/release/pgsidecar "$@"; }

sources() { git ls-files '*.cpp' '*.h'; }
format() {
    local wrong
    command -v clang-format-14 >/dev/null || { echo "FAIL  clang-format-14 is not there"; return 1; }
    wrong=$(sources | xargs -P "$jobs" -n 20 clang-format-14 --dry-run -Werror 2>&1 |
        sed -n 's/^\([^:]*\):.*error:.*/FAIL  not formatted: \1/p' | sort -u)
    [[ -z $wrong ]] && echo "1 passed, 0 failed" && return
    printf '%s\n' "$wrong"
    return 1
}
lint() {  # the product's own sources; those of the tests are held to the compiler's warnings
    sources | grep -E '^(protocol|policy|cache|config|proxy)/.*\.cpp$' |
        timeout 1500 xargs -P "$jobs" -n 2 clang-tidy-14 -p build/dev --quiet &&
        echo "1 passed, 0 failed"
}

built_windows=no
windows_build() {
    deploy/windows/build.sh --jobs "$jobs"
    case $? in
        0) built_windows=yes; echo "1 passed, 0 failed" ;;
        77) echo "0 passed, 0 failed, 1 skipped" ;;
        *) return 1 ;;
    esac
}

if has install; then
    step "install" tests/install.sh || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }
fi
if has dev; then
    step "configure dev" configure dev && step "build dev" build dev && {
        step "unit tests dev" unit dev
        step "simulation" simulation --seed 31 --seeds 100 --pooled 1
        step "integration portable" portable -k relay_flow -k CancelTest -k ShutdownTest -k ClientTlsTest
        if [[ $quick == yes ]]; then
            step "integration dev" integration dev -x test_drivers -x test_sample -x test_dotnet \
                -x test_powershell -x test_windows
            step "differential dev" differential dev --seconds 30
        fi
    }
fi
if has tidy; then
    step "tidy" "$python" tests/tidy/tidy.py
    step "format" format
fi
if has lint; then
    step "lint" lint
fi
if has asan; then
    export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1
    step "configure asan" configure asan && step "build asan" build asan && {
        step "unit tests asan" unit asan
        step "integration asan" integration asan -x test_dotnet -x test_powershell -x test_sample_readme \
            -x test_windows
        step "differential asan" differential asan --seed 12 --seconds 60
    }
fi
if has release; then
    step "configure release" configure release && step "build release" build release && {
        step "integration release" integration release -k relay_flow -k StressTest -k cache_protocol -k test_dotnet \
            -k test_powershell -k test_sample_readme
        # Limits in force that nobody meets: nothing else may change.
        PGSIDECAR_TEST_LIMITS=1 step "integration limits" integration release -k relay_flow -k relay_wire \
            -k cache_protocol
        step "differential release" differential release --seed 22 --seconds 90
        # Stale, torn, uncommitted? And the checker itself: it has to find what is wrong.
        step "checker self-test" checker --self-test
        step "checker finds" checker --program build/release/pgsidecar --seed 1 --seconds 10 --pretend
        step "checker one" checker --program build/release/pgsidecar --seed 1 --seconds 30
        step "checker two" checker --program build/release/pgsidecar --seed 2 --seconds 30 --proxies 2
        step "checker alone" checker --program build/release/pgsidecar --seed 3 --seconds 20 --alone
        # Statements that nobody would think of; it has to find writes of which the program knows nothing.
        step "sqlsmith finds" smith --seed 2 --seconds 60 --pretend
        step "sqlsmith" smith --seed 1 --seconds 45
        # Server connections that clients share.
        PGSIDECAR_TEST_POOL=1 step "integration shared" integration release -k test_cache_protocol \
            -k test_cache_writes -k test_relay_wire -k test_limits.RowTest
        PGSIDECAR_TEST_POOL=1 step "differential shared" differential release --seed 7 --statements 4000
        step "tenant crossing" "$python" tests/crossing/run.py --program build/release/pgsidecar \
            --load build/dev/tests/crossing/crossing_load --seed 3 --seconds 20
    }
fi
if has windows; then
    step "install windows" tests/install.sh --windows
    # 77: a source or a tool cannot be had here, so nothing is known of the program for Windows.
    step "build windows" windows_build && if [[ -e build/windows/pgsidecar.exe && $built_windows == yes ]]; then
        step "integration windows" "$python" tests/integration/run.py --program build/windows/pgsidecar.exe \
            --jobs "$jobs" -k test_windows
    fi
fi
if has tsan; then
    export TSAN_OPTIONS=halt_on_error=0:second_deadlock_stack=1
    step "configure tsan" configure tsan -DPGSIDECAR_TEST_ROOMS="cache;io;limits;ops" &&
        step "build tsan" build tsan && {
        step "unit tests tsan" unit tsan
        step "integration tsan" integration tsan -k test_metrics -k test_wal -k test_notify -k cache_races -k CancelTest -k ShutdownTest \
            -k ScramOverTls -k pgbench -k ConcurrencyTest -k MethodTest -k test_pool.SizeTest \
            -k test_handover -k test_alerts.AlertTest -k test_reload.SignalTest -k test_tier_redis.SharingTest
    }
fi
if has fuzz; then
    FUZZ_SEED=1 step "fuzz" tests/fuzz/run.sh 10
fi

echo "took $((SECONDS - began)) s${broken[*]:+; failed: $(IFS=,; echo "${broken[*]}")}"
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed == 0 && $passed -gt 0 ]]

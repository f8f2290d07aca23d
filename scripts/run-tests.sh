#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# run-tests.sh LOGDIR PROGRAM...: run cmocka programs, as many at a time as
# there are CPUs. One line for each; the output of what failed; what was
# skipped, each test by name and with the reason; totals last. The exit status
# is 1 when a test failed, or was skipped without a reason.
set -u
logs=$1
shift
mkdir -p "$logs"
: >"$logs/results"

# Tests that compare with a release that nobody knows: said first, as the tools
# do (tools/aspen/host/host.c, host_say_release).
say_release()
{
    local known version
    known=$(sed -n 's/^#define [A-Z]*_KNOWN //p' tools/aspen/host/host.c \
        2>/dev/null | xargs)
    version=$(uname -r | awk -F. '{print $1 * 1000 + $2}')
    [ -z "$known" ] || { [ "$version" -ge "${known% *}" ] &&
        [ "$version" -le "${known#* }" ]; } ||
        echo "Linux $(uname -r) is not known here:" \
            "what differs may be the release's" >&2
}
say_release

# skips LOG PROGRAM: a line for each: what unit_skip() says within a test. What
# cmocka alone says has no reason.
skips()
{
    awk -v program="$2" '
        /^\[ RUN      \] / {test = $4; said = 0}
        /^\[==========\] [0-9]+ test/ {exit}
        /^skipped: / {
            sub("^skipped: ", "")
            print "skipped " program " " test ": " $0
            said = 1
        }
        /^\[  SKIPPED \] / && !said {print "unsaid  " program " " test}' "$1"
}

# Without a terminal's ^C, or `kill`, leaving any behind: timeout makes a process
# group, which hears of neither.
run_program()
{
    local job=
    set -m
    trap '[ -z "$job" ] || kill -- "-$job" 2>/dev/null; exit 130' \
        INT TERM HUP QUIT
    timeout "${ASPEN_TEST_TIMEOUT:-300}" "$1" </dev/null &
    job=$!
    wait "$job"
}

run_one()
{
    local program=$1 name log started status passed failed skipped verdict=ok
    name=$(basename "$program")
    log=$logs/$name.log
    started=$(date +%s%N)
    run_program "$program" >"$log" 2>&1
    status=$?
    count() { sed -n "s/^\[  $1 *\] \([0-9]*\) test.*/\1/p" "$log" |
        awk '{n += $1} END {print n + 0}'; }
    passed=$(count PASSED)
    failed=$(count FAILED)
    skips "$log" "$name" >"$log.skips"
    skipped=$(grep -c '^skipped ' "$log.skips")
    failed=$((failed + $(grep -c '^unsaid ' "$log.skips")))
    if [ $status -ne 0 ] && [ "$failed" -eq 0 ]; then
        failed=1 # it crashed, or ran into the time limit
    fi
    if [ $((passed + failed + skipped)) -eq 0 ]; then
        failed=1 # no test at all
    fi
    echo "$passed $failed $skipped $program" >>"$logs/results"
    [ "$passed" -gt 0 ] || verdict=skip
    [ "$failed" -eq 0 ] || verdict=FAIL
    printf '%-4s %-28s %4d passed %3d skipped %6d ms\n' $verdict "$name" \
        "$passed" "$skipped" $((($(date +%s%N) - started) / 1000000))
    cat "$log.skips"
    if [ "$failed" -ne 0 ]; then
        echo "---- $program: exit status $status, output in $log"
        grep -v '^\[ RUN \|^\[       OK\|^skipped: ' "$log" | tail -n 40
        echo "----"
    fi
}
export -f run_one run_program skips
export logs

printf '%s\0' "$@" |
    xargs -0 -r -n 1 -P "${ASPEN_TEST_JOBS:-$(nproc)}" \
        bash -c 'run_one "$1"' run_one

awk '{p += $1; f += $2; s += $3}
     END {printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0}' \
    "$logs/results"

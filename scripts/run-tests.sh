#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# run-tests.sh LOGDIR PROGRAM...: run cmocka programs, as many at a time as
# there are CPUs. One line for each; the output of what failed; totals last.
# The exit status is 1 when a test failed.
set -u
logs=$1
shift
mkdir -p "$logs"
: >"$logs/results"

run_one()
{
    local program=$1 name log started status passed failed skipped
    name=$(basename "$program")
    log=$logs/$name.log
    started=$(date +%s%N)
    timeout "${ASPEN_TEST_TIMEOUT:-300}" "$program" >"$log" 2>&1 </dev/null
    status=$?
    count() { sed -n "s/^\[  $1 *\] \([0-9]*\) test.*/\1/p" "$log" |
        awk '{n += $1} END {print n + 0}'; }
    passed=$(count PASSED)
    failed=$(count FAILED)
    skipped=$(count SKIPPED)
    if [ $status -ne 0 ] && [ "$failed" -eq 0 ]; then
        failed=1 # it crashed, or ran into the time limit
    fi
    echo "$passed $failed $skipped $program" >>"$logs/results"
    printf '%-4s %-28s %4d passed %6d ms\n' \
        "$([ "$failed" -eq 0 ] && echo ok || echo FAIL)" "$name" "$passed" \
        $((($(date +%s%N) - started) / 1000000))
    grep -a '^skipped' "$log"
    if [ "$failed" -ne 0 ]; then
        echo "---- $program: exit status $status, output in $log"
        grep -v '^\[ RUN \|^\[       OK' "$log" | tail -n 40
        echo "----"
    fi
}
export -f run_one
export logs

printf '%s\0' "$@" |
    xargs -0 -r -n 1 -P "${ASPEN_TEST_JOBS:-$(nproc)}" \
        bash -c 'run_one "$1"' run_one

awk '{p += $1; f += $2; s += $3}
     END {printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0}' \
    "$logs/results"

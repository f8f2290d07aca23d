# SPDX-License-Identifier: MIT
#
# Sourced by tests/tools/*.sh. $ASPEN is the command.
set -u
: "${ASPEN:?the aspen command}"
: "${ASPEN_HERE:=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"
snapshots=$ASPEN_HERE/tests/snapshots

# runs_programs FOLDER: some mount /tmp noexec.
runs_programs()
{
    printf '#!/bin/sh\n' >"$1/probe"
    chmod 755 "$1/probe"
    "$1/probe" 2>/dev/null && rm "$1/probe"
}

# Without a folder of its own everything here would write to /.
work=$(mktemp -d "${TMPDIR:-/tmp}/aspen-tools-XXXXXX") || {
    echo "FAIL $(basename "$0"): no folder can be made in ${TMPDIR:-/tmp}"
    exit 1
}
# Elsewhere if they do; the build folder may be somebody else's.
if ! runs_programs "$work" &&
    beside=$(mktemp -d "$(dirname "$ASPEN")/aspen-tools-XXXXXX" 2>/dev/null); then
    rm -r "$work"
    work=$beside
fi
trap 'rm -rf "$work"' EXIT
failed=0
passed=0
skipped=0

# Behind what has failed: who plants mutants wants to know of one alone.
is_enough()
{
    [ -z "${ASPEN_FIRST_FAILURE:-}" ] || finish
}

# check NAME COMMAND...: it has to succeed.
check()
{
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name: $*"
        sed 's/^/    /' "$work/log" | head -20
        is_enough
    fi
}

# skip NAME WHY
skip()
{
    skipped=$((skipped + 1))
    echo "skipped $1: $2"
}

# can_run_there NAME...: whether programs may be run where $work is; if not, what
# takes that is skipped.
can_run_there()
{
    local name
    runs_programs "$work" && return 0
    for name; do
        skip "$name" "no program may be run in $work"
    done
    return 1
}

# may_trace NAME...: whether the host lets us stop a process; if not, what takes
# that is skipped.
may_trace()
{
    local name
    "$ASPEN" shadow -- true >/dev/null 2>"$work/log"
    if [ $? -ne 2 ] || ! grep -q 'the host refuses ptrace' "$work/log"; then
        return 0
    fi
    for name; do
        skip "$name" "$(cat "$work/log")"
    done
    return 1
}

# expect STATUS PATTERN ARGS...: aspen ARGS exits with STATUS, says exactly
# one line on stderr, which matches PATTERN, and nothing on stdout.
expect()
{
    local status=$1 pattern=$2 got
    shift 2
    "$ASPEN" "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ $got -eq "$status" ] && [ ! -s "$work/out" ] &&
        [ "$(wc -l <"$work/err")" -eq 1 ] &&
        grep -q -- "$pattern" "$work/err"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL aspen $*: status $got, not $status with /$pattern/"
        head -5 "$work/out" "$work/err" | sed 's/^/    /'
        is_enough
    fi
}

# figure KEY: what `aspen pressure` said last, as JSON, to $work/json.
figure()
{
    grep -o "\"$1\":[-0-9.]*" "$work/json" | head -1 | cut -d: -f2
}

# between LOW VALUE HIGH
between()
{
    awk "BEGIN {exit !($1 <= $2 && $2 <= $3)}"
}

# start_sleeper: a process that does nothing any more; its number in $sleeper.
start_sleeper()
{
    local tries=0
    sleep 1000 &
    sleeper=$!
    trap 'kill $sleeper 2>/dev/null; rm -rf "$work"' EXIT
    # Until it is the program itself, loaded and asleep.
    until grep -q '^Name:.*sleep' /proc/$sleeper/status &&
        grep -q '^State:.*S' /proc/$sleeper/status &&
        grep -q libc /proc/$sleeper/maps; do
        sleep 0.05
        tries=$((tries + 1))
        [ $tries -lt 100 ] || break
    done
    sleep 0.1
}

finish()
{
    local verdict=ok
    [ $passed -gt 0 ] || verdict=skip
    [ $failed -eq 0 ] || verdict=FAIL
    printf '%-4s %-28s %4d passed, %d failed, %d skipped\n' $verdict \
        "$(basename "$0")" $passed $failed $skipped
    [ $failed -eq 0 ]
    exit
}

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/comparing.sh BUILD: what asks the host, from programs that are built already:
# the unit tests that make system calls, the tools' tests, random calls, and
# what `make run` does. Needs no right to write but where TMPDIR is.
# scripts/check/user.sh and scripts/check/container.sh run it as others see the host.
# Each part says N passed, N failed, N skipped, which scripts/check.sh adds up.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$(cd "$1" && pwd) || exit 2
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/aspen-host-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT

unit_tests()
{
    local source
    for source in tests/host/test_*.c $(
        grep -lE '#include <(sys/|fcntl|unistd)|"capture_child' \
            tests/unit/*/test_*.c tests/threads/test_*.c
    ); do
        echo "$build/tests/unit/$(basename "$source" .c)"
    done
}

tool_tests()
{
    local script
    for script in tests/tools/*.sh; do
        ASPEN=$build/aspen ASPEN_BROKEN_BUILD=$build/aspen-broken \
            MAKE_SNAPSHOTS=$build/make_snapshots bash "$script" || failed=1
    done
}

# As `make run`, which may be refused what it takes, if it says so.
run()
{
    scripts/run.sh "$build/aspen" >"$work/run" 2>"$work/run.err"
    case $? in
    0)
        tail -n 1 "$work/run"
        echo '1 passed, 0 failed, 0 skipped'
        ;;
    2)
        if grep -q 'the host refuses' "$work/run.err"; then
            echo "skipped run: $(cat "$work/run.err")"
            echo '0 passed, 0 failed, 1 skipped'
            return
        fi
        ;&
    *)
        cat "$work/run" "$work/run.err"
        failed=1
        echo '0 passed, 1 failed, 0 skipped'
        ;;
    esac
}

# shellcheck disable=SC2046
scripts/run-tests.sh "$work/log" $(unit_tests) || failed=1
tool_tests
scripts/check/fuzz.sh "$build/aspen" 1 --calls 4000 || failed=1
run
exit $failed

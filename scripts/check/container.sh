#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/container.sh BUILD: scripts/check/comparing.sh by the rules that Docker and
# podman have for who does not ask for others (tests/container/contained.c).
# Then that a refusal is told whichever errno it has, and that the unit tests
# which ask what is refused, and the tools' tests, hold where ptrace is, too;
# the latter with AddressSanitizer, whose search for leaks needs it.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/aspen-container-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
. scripts/check/lib.bash

contained()
{
    "$build/contained" "$@"
}

# told WORDS COMMAND...: refused in one line which says so.
told()
{
    local words=$1 status
    shift
    "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
    if [ $status -eq 2 ] && [ "$(wc -l <"$work/err")" -eq 1 ] &&
        grep -qF -- "$words" "$work/err"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $*: status $status, not 2 with '$words'"
        head -n 5 "$work/err" | sed 's/^/    /'
    fi
}

contained -- true ||
    skip_all check-container 'no filter can be installed here'

randomize='the host refuses personality(ADDR_NO_RANDOMIZE)'
told "$randomize: Operation not permitted" contained -- \
    "$build/aspen" fuzz --calls 1
told "$randomize: Function not implemented" contained --answer ENOSYS -- \
    "$build/aspen" fuzz --calls 1
for how in 'EPERM Operation not permitted' 'ENOSYS Function not implemented'; do
    for command in 'capture -o /dev/null' rehearse shadow; do
        # shellcheck disable=SC2086
        told "the host refuses ptrace: ${how#* }" \
            contained --answer "${how%% *}" --old -- \
            "$build/aspen" $command -- sleep 9
    done
done
echo "$passed passed, $failed failed, 0 skipped"

# What one errno leads to, the other does; what is left without ptrace.
asking=()
for source in $(grep -lE '/refused.h"|/?(place_pair|capture_child).h"' \
    tests/*/test_*.c tests/unit/*/test_*.c); do
    asking+=("$build/tests/unit/$(basename "$source" .c)")
done
echo '-- the rules before Linux 4.8, ENOSYS'
contained --answer ENOSYS --old -- scripts/run-tests.sh "$work/log" \
    "${asking[@]}" || failed=$((failed + 1))
echo '-- and with AddressSanitizer'
contained --answer ENOSYS --old -- "${MAKE:-make}" --no-print-directory \
    BUILD="$build" tools-check-asan || failed=$((failed + 1))
echo '-- the rules since, EPERM'
contained -- scripts/check/comparing.sh "$build" || failed=$((failed + 1))
[ $failed -eq 0 ]

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What the command answers to wrong and to simple questions.
. "$(dirname "$0")/lib.bash"

says()
{
    "$ASPEN" "${@:2}" 2>&1 | grep -q -- "$1"
}

# The same of a copy without the programs that belong beside it.
alone_says()
{
    "$work/aspen-alone" "${@:2}" 2>&1 | grep -q -- "$1"
}

check help says 'usage: aspen COMMAND' --help
check version says '^aspen [0-9]*\.[0-9]*\.[0-9]*$' --version
check capture-help says 'usage: aspen capture' capture --help
check shadow-help says 'usage: aspen shadow' shadow --help
check rehearse-help says 'usage: aspen rehearse' rehearse --help
if can_run_there bench-missing bench-beside bench-status; then
    cp "$ASPEN" "$work/aspen-alone"
    check bench-missing alone_says 'aspen-bench is neither' bench tree
    printf '#!/bin/sh\necho "got $*"\nexit 7\n' >"$work/aspen-bench"
    chmod 755 "$work/aspen-bench"
    check bench-beside alone_says '^got tree --json$' bench tree --json
    check bench-status sh -c "'$work/aspen-alone' bench; test \$? -eq 7"
fi
expect 2 "no command 'nonsense'" nonsense
expect 2 'give -o FILE' capture --pid 1
expect 2 'give one of --pid' capture -o "$work/a"
expect 2 'give one of --pid' capture -o "$work/a" --pid 1 -- true
expect 2 "not 'abc'" capture -o "$work/a" --pid abc
expect 2 "not '0'" capture -o "$work/a" --pid 0
expect 2 "not '-5'" capture -o "$work/a" --pid -5
expect 2 "not '99999999999'" capture -o "$work/a" --pid 99999999999
expect 2 '--after takes seconds' capture -o "$work/a" --after x -- sleep 9
expect 2 '--method takes' capture -o "$work/a" --method x -- sleep 9
expect 2 "'--nonsense' is no option" capture --nonsense
expect 2 'is no option, or its value is missing' capture -o
expect 2 'a command goes behind --' capture -o "$work/a" sleep 9
# A kernel that nobody has compared: it is said first, and the work goes on.
if [ "$(setarch --uname-2.6 uname -r 2>/dev/null | cut -c 1-4)" = 2.6. ]; then
    setarch --uname-2.6 "$ASPEN" shadow --json -- true >"$work/json" \
        2>"$work/err"
    check unknown-kernel-said grep -q \
        '^aspen shadow: Linux 2.6.* is older than what is known' "$work/err"
    ! may_trace unknown-kernel-json ||
        check unknown-kernel-json grep -q '"kernel_known":false' "$work/json"
else
    skip unknown-kernel 'setarch may not change the release'
fi
finish

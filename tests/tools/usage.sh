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
check explore-help says 'usage: aspen explore' explore --help
check rehearse-help says 'usage: aspen rehearse' rehearse --help
if can_run_there bench-missing bench-beside bench-status; then
    cp "$ASPEN" "$work/aspen-alone"
    check bench-missing alone_says 'aspen-bench is neither' bench tree
    printf '#!/bin/sh\necho "got $*"\nexit 7\n' >"$work/aspen-bench"
    chmod 755 "$work/aspen-bench"
    check bench-beside alone_says '^got tree --json$' bench tree --json
    check bench-status sh -c "'$work/aspen-alone' bench; test \$? -eq 7"
fi

# --- help

for command in rehearse capture shadow fuzz explore; do
    check "help-$command" says "usage: aspen $command" help "$command"
done
check help-alone says 'usage: aspen COMMAND' help
check help-help says 'usage: aspen COMMAND' help help
for command in rehearse capture shadow fuzz explore; do
    check "status-$command" says 'Exit status: 0' help "$command"
done
expect 2 "no command 'nonsense'" nonsense
expect 2 "no command 'nonsense'" help nonsense
expect 2 "one command, not 'fuzz'" help shadow fuzz

# options_of COMMAND: what its --help lists.
options_of()
{
    "$ASPEN" "$1" --help | sed -nE 's/^  (-[a-z], )?(--[a-z-]+).*/\2/p' | sort
}

# options_in_manual COMMAND: those of the sections that name it.
options_in_manual()
{
    awk -v command="$1" '
        /^\.SH/ {here = 0; options = $2 == "OPTIONS"}
        /^\.SS/ {here = options && (" " $0 ",") ~ (" " command ",")}
        here && /^\.BI? / && before == ".TP" {print}
        {before = $0}' "$manual" | sed 's/\\-/-/g' |
        grep -oE -- '--[a-z-]+' | sort
}

same_options()
{
    diff <(options_of "$1") <(options_in_manual "$1")
}

manual=$ASPEN_HERE/docs/use/aspen.1
if [ -f "$manual" ]; then
    for command in rehearse capture shadow fuzz explore pressure bench; do
        if "$ASPEN" "$command" --help >"$work/log" 2>&1; then
            check "manual-$command" same_options "$command"
        else
            skip "manual-$command" "$(cat "$work/log")"
        fi
    done
    if command -v mandoc >/dev/null; then
        check manual-form test -z "$(mandoc -Tlint "$manual" 2>&1)"
    elif man --version >/dev/null 2>&1; then
        check manual-form \
            test -z "$(man --warnings -l "$manual" 2>&1 >/dev/null)"
    else
        skip manual-form 'neither mandoc nor man'
    fi
else
    skip manual 'no documents beside the tests'
fi

# --- which option, and what of it

# lacks COMMAND OPTION...: each of them needs a value.
lacks()
{
    local command=$1 option
    shift
    for option; do
        expect 2 "'--$option' lacks its value" "$command" "--$option"
    done
}

lacks rehearse pid after output method snapshot sample seed jobs step kind
lacks capture pid after output method file
lacks shadow pid calls seconds every guest-output
lacks fuzz calls seconds seed length replay failing output
lacks explore preemptions most random seed replay shard programs
expect 2 "'-o' lacks its value" capture -o
for command in rehearse capture shadow fuzz explore; do
    expect 2 "'--nonsense' is no option" $command --nonsense
    expect 2 "'-x' is no option" $command -x
    expect 2 "'-x' is no option" $command -xh
    expect 2 "'--json=5' takes no value" $command --json=5
done
expect 2 'give one of --pid' rehearse
expect 2 'give -o FILE' capture --pid 1
expect 2 'give one of --pid' capture -o "$work/a"
expect 2 'give one of --pid' capture -o "$work/a" --pid 1 -- true
expect 2 'give -- CMD ARGS, or --pid' shadow
expect 2 'one of -- CMD ARGS and --pid' shadow --pid 1 -- true
expect 2 "takes no argument 'x'" fuzz x
for command in rehearse 'capture -o a' shadow; do
    expect 2 "'sleep' is no option; a command goes behind --" $command sleep 9
done

# --- numbers

# numbers LEAST COMMAND OPTION...: each takes one from LEAST on.
numbers()
{
    local least=$1 command=$2 option value
    shift 2
    for option; do
        for value in '' -1 $((least - 1)) x 1.5 0x10 99999999999999999999; do
            expect 2 "--$option takes a number from $least on.*not '$value'" \
                "$command" "--$option" "$value"
        done
    done
}

numbers 1 rehearse sample jobs step
numbers 0 rehearse seed
numbers 1 shadow calls
numbers 0 shadow every
numbers 1 fuzz calls length
numbers 0 fuzz seed
numbers 1 explore most random
numbers 0 explore seed
for value in '' -1 0 x 1e3 . 1000001 99999999999999999999; do
    expect 2 "--seconds takes seconds, more than 0.*not '$value'" \
        shadow --seconds "$value" --pid 1
    expect 2 "--seconds takes seconds, more than 0.*not '$value'" \
        fuzz --seconds "$value"
    [ "$value" = 0 ] || expect 2 "--after takes seconds.*not '$value'" \
        rehearse --after "$value" -- sleep 9
done
for value in '' -5 0 abc 1.5 99999999999; do
    for command in rehearse 'capture -o a' shadow; do
        expect 2 "--pid takes a process number, not '$value'" \
            $command --pid "$value"
    done
done
expect 2 "--method takes best, scan or pagemap, not 'x'" \
    capture -o "$work/a" --method x -- sleep 9
expect 2 "--kind takes once, onward or interrupt, not 'x'" rehearse --kind x
expect 2 'jobs takes a number from 1 on, up to' rehearse --jobs 100000

# --- what would have no effect

expect 2 '--after goes with -- CMD' rehearse --after 1 --pid 1
expect 2 '--output goes with -- CMD' rehearse --output "$work/a" --pid 1
expect 2 '--method goes with a process' \
    rehearse --method scan --snapshot "$snapshots/flags.snap"
expect 2 '--no-stop goes with a process' \
    rehearse --no-stop --snapshot "$snapshots/flags.snap"
expect 2 '--calls and --seconds go with --pid' shadow --calls 1 -- true
expect 2 '--guest-output goes with -- CMD' \
    shadow --guest-output "$work/a" --pid 1
expect 2 'exclude each other' fuzz --replay a --failing b
expect 2 '--replay makes what the file says' fuzz --replay a --seed 1
expect 2 '--failing has no kernel' fuzz --failing a --output "$work/b"
expect 2 'exclude each other' rehearse --all --sample 3 --pid 1

# --- files

mkdir "$work/folder"
: >"$work/empty"
head -c 100 "$snapshots/flags.snap" >"$work/cut"
head -c 5000 /dev/zero >"$work/zeroes"
printf '    {0, CALL, __NR_mmap, {0x0\n' >"$work/cut.c"
printf 'int x;\n    {9, READ, 0, {1, 2, 3, 4, 5, 6}},\n' >"$work/ninth.c"
printf '    {0, CALL, __NR_read, {1, 2, 3, 4, 5, 6}},\n' >"$work/read.c"
for option in 'rehearse --snapshot' 'fuzz --failing' 'fuzz --replay'; do
    expect 2 "cannot read $work/none: No such file" $option "$work/none"
    expect 2 "cannot read $work/folder: Is a directory" $option "$work/folder"
    expect 2 'takes the name of a file' $option ''
done
for option in 'rehearse --snapshot' 'fuzz --failing'; do
    expect 2 "$work/empty is truncated" $option "$work/empty"
    expect 2 "$work/cut is truncated" $option "$work/cut"
    expect 2 "$work/zeroes is not an Aspen snapshot" $option "$work/zeroes"
done
expect 2 "no operation is in $work/empty" fuzz --replay "$work/empty"
expect 2 "$work/zeroes is no text" fuzz --replay "$work/zeroes"
expect 2 "$work/cut.c, line 1: this is no operation" fuzz --replay "$work/cut.c"
expect 2 "$work/ninth.c, line 2: there are processes 0 to 2" \
    fuzz --replay "$work/ninth.c"
expect 2 "$work/read.c, line 1: call .* is not modelled" \
    fuzz --replay "$work/read.c"
for option in 'capture --pid 1 -o' 'fuzz --calls 1 --output'; do
    expect 2 "cannot write $work/none/a: No such file" $option "$work/none/a"
    expect 2 "cannot write $work/folder: Is a directory" $option "$work/folder"
    expect 2 'takes the name of a file' $option ''
done
for option in 'rehearse --output' 'shadow --guest-output'; do
    expect 2 "cannot write $work/none/a: No such file" $option "$work/none/a" \
        -- touch "$work/started"
    expect 2 "cannot write $work/folder: Is a directory" \
        $option "$work/folder" -- touch "$work/started"
done
check nothing-started test ! -e "$work/started"
if [ "$(id -u)" != 0 ]; then
    cp "$snapshots/flags.snap" "$work/unreadable"
    chmod 0 "$work/unreadable"
    for option in 'rehearse --snapshot' 'fuzz --failing' 'fuzz --replay'; do
        expect 2 "cannot read $work/unreadable: Permission" \
            $option "$work/unreadable"
    done
fi

# --- a result that cannot be written is a refusal, not a file's next bytes

# without_output COMMAND...: with standard output closed, it says so.
without_output()
{
    "$ASPEN" "$@" >&- 2>"$work/err"
    [ $? -eq 2 ] &&
        grep -q 'cannot write the result: Bad file descriptor' "$work/err"
}
check closed-version without_output --version
check closed-rehearse without_output rehearse \
    --snapshot "$snapshots/flags.snap" --sample 5
if "$ASPEN" fuzz --calls 1 >"$work/log" 2>&1; then
    check closed-fuzz without_output fuzz --calls 50
else
    skip closed-fuzz "$(head -n 1 "$work/log")"
fi
if may_trace closed-shadow; then
    check closed-shadow without_output shadow --json -- true
    check full-shadow sh -c '"$1" shadow -- true 2>/dev/full; test $? -eq 2' \
        full "$ASPEN"
fi

# --- processes and programs

if may_trace which-process; then
    for command in rehearse "capture -o $work/a" shadow; do
        expect 2 'no process 2147483647' $command --pid 2147483647
        expect 2 'cannot run /no/such: No such file' \
            $command -- /no/such
        expect 2 "cannot run $work/empty: Permission" \
            $command -- "$work/empty"
        [ "$(cat /proc/2/comm 2>/dev/null)" != kthreadd ] ||
            expect 2 'process 2 (kthreadd) is a kernel thread' $command --pid 2
        [ "$(id -u)" = 0 ] || [ -O /proc/1 ] ||
            expect 2 'no permission to stop process 1 ' $command --pid 1
    done
    check no-snapshot test ! -e "$work/a"
fi

# --- kernels

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

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check.sh LOGDIR TARGET...: make each target, in the folder $BUILD, with its
# output in a log; show what fails; add up the tests. Last line: N passed, N
# failed, N skipped.
#
# A target that prints such lines counts as they say, any other as one. What is
# skipped is shown by name, a line each; a skip without such a line fails. How
# long a target took is told as time, and how many processors it kept busy.
set -u
cd "$(dirname "$0")/.." || exit 2
logs=$1
shift
: "${MAKE:=make}"
mkdir -p "$logs"
jobs=$(nproc)
broken=()
. scripts/check/lib.bash

# What all commands before took of a processor, in tenths of a second: in $cpu.
count_cpu()
{
    times >"$logs/times"
    cpu=$(awk -F '[ms ]+' 'NR == 2 {
        printf "%d", ($1 * 60 + $2 + $3 * 60 + $4) * 10}' "$logs/times")
}

for target; do
    log=$logs/${target//\//_}.log
    started=$SECONDS
    count_cpu
    before=$cpu
    env -u MAKEFLAGS -u MAKELEVEL "$MAKE" --no-print-directory -j"$jobs" \
        BUILD="${BUILD:-build}" "$target" >"$log" 2>&1 </dev/null
    count_log $? "$log"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    verdict=ok
    [ $((p + f)) -gt 0 ] || verdict=skip
    if [ "$f" -ne 0 ]; then
        verdict=FAIL
        broken+=("$target")
    fi
    took=$((SECONDS - started))
    count_cpu
    busy=$(((cpu - before) / (took ? took : 1)))
    printf '%-4s %-20s %5d passed %3d failed %3d skipped %5d s x %d.%d\n' \
        "$verdict" "$target" "$p" "$f" "$s" "$took" \
        $((busy / 10)) $((busy % 10))
    grep -aE "$skips" "$log" | sed 's/^/     /'
    if [ "$verdict" = FAIL ]; then
        grep -avE '^(ok |  (CC|AR|LD|GEN) )' "$log" | tail -n 60 |
            sed 's/^/     /'
    fi
done

for target in "${broken[@]+"${broken[@]}"}"; do
    echo "failed: make $target    (log: $logs/${target//\//_}.log)"
done
finish

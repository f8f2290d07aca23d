#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check.sh LOGDIR TARGET...: make each target, in the folder $BUILD, with its
# output in a log; show what fails; add up the tests. Last line: N passed, N
# failed, N skipped.
#
# A target that prints such lines counts as they say, any other as one. What is
# skipped is shown by name, a line each; a skip without such a line fails.
set -u
cd "$(dirname "$0")/.." || exit 2
logs=$1
shift
: "${MAKE:=make}"
mkdir -p "$logs"
jobs=$(nproc)
broken=()
. scripts/check/lib.bash

for target; do
    log=$logs/${target//\//_}.log
    started=$SECONDS
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
    printf '%-4s %-20s %5d passed %3d failed %3d skipped %5d s\n' "$verdict" \
        "$target" "$p" "$f" "$s" $((SECONDS - started))
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

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check.sh LOGDIR TARGET...: make each target, with its output in a log; show
# what fails; add up the tests. Last line: N passed, N failed, N skipped.
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
passed=0
failed=0
skipped=0
broken=()
skips='^skipped[: ]'
totals='[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$'

for target; do
    log=$logs/${target//\//_}.log
    started=$SECONDS
    env -u MAKEFLAGS -u MAKELEVEL "$MAKE" --no-print-directory -j"$jobs" \
        "$target" >"$log" 2>&1 </dev/null
    status=$?
    read -r p f s <<<"$(grep -oE "$totals" "$log" | tr -d ',' |
        awk '{p += $1; f += $3; s += $5} END {print p + 0, f + 0, s + 0}')"
    if ! grep -qE "$totals" "$log"; then
        p=$((status == 0))
    fi
    if [ $status -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1
    fi
    named=$(grep -cE "$skips" "$log")
    if [ "$s" -ne "$named" ]; then
        echo "$s skipped, $named of them by name" >>"$log"
        f=$((f + 1))
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    verdict=ok
    [ $((p + f)) -gt 0 ] || verdict=skip
    if [ "$f" -ne 0 ]; then
        verdict=FAIL
        broken+=("$target")
    fi
    printf '%-4s %-20s %5d passed %3d failed %3d skipped %5d s\n' "$verdict" \
        "$target" "$p" "$f" "$s" $((SECONDS - started))
    grep -E "$skips" "$log" | sed 's/^/     /'
    if [ "$verdict" = FAIL ]; then
        grep -vE '^(ok |  (CC|AR|LD|GEN) )' "$log" | tail -n 60 |
            sed 's/^/     /'
    fi
done

for target in "${broken[@]+"${broken[@]}"}"; do
    echo "failed: make $target    (log: $logs/${target//\//_}.log)"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]

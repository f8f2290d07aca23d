#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check.sh LOGDIR TARGET... [--beside TARGET...]: make each target, in the
# folder $BUILD, with its output in a log; show what fails; add up the tests.
# Last line: N passed, N failed, N skipped.
#
# Those after --beside, which leave a processor idle, are made at the same time
# as the others, once the first target is made: it builds what both need.
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
lane=
. scripts/check/lib.bash

# What all commands before took of a processor, in tenths of a second: in $cpu.
count_cpu()
{
    times >"$logs/times$lane"
    cpu=$(awk -F '[ms ]+' 'NR == 2 {
        printf "%d", ($1 * 60 + $2 + $3 * 60 + $4) * 10}' "$logs/times$lane")
}

# make_target TARGET: what there is to say of it, in one piece.
make_target()
{
    local log=$logs/${1//\//_}.log started=$SECONDS before took busy verdict=ok
    count_cpu
    before=$cpu
    wait_for env -u MAKEFLAGS -u MAKELEVEL "$MAKE" --no-print-directory \
        -j"$jobs" BUILD="${BUILD:-build}" "$1" >"$log" 2>&1
    count_log $? "$log"
    echo "$p $f $s $1" >>"$logs/results"
    [ $((p + f)) -gt 0 ] || verdict=skip
    [ "$f" -eq 0 ] || verdict=FAIL
    took=$((SECONDS - started))
    count_cpu
    busy=$(((cpu - before) / (took ? took : 1)))
    {
        printf '%-4s %-20s %5d passed %3d failed %3d skipped %5d s x %d.%d\n' \
            "$verdict" "$1" "$p" "$f" "$s" "$took" \
            $((busy / 10)) $((busy % 10))
        grep -aE "$skips" "$log" | sed 's/^/     /'
        [ "$verdict" != FAIL ] ||
            grep -avE '^(ok |  (CC|AR|LD|GEN) )' "$log" | tail -n 60 |
            sed 's/^/     /'
    } >"$log.said"
    cat "$log.said"
}

make_targets()
{
    local target
    for target; do
        make_target "$target"
    done
}

: >"$logs/results"
beside=()
for ((i = 1; i <= $#; i++)); do
    if [ "${!i}" = --beside ]; then
        beside=("${@:i+1}")
        set -- "${@:1:i-1}"
    fi
done
make_target "$1"
shift
if [ ${#beside[@]} -gt 0 ]; then
    set -m # a process group of its own, for whoever stops us
    lane=.beside make_targets "${beside[@]}" &
    beside_job=$!
fi
make_targets "$@"
wait

broken=()
while read -r p f s target; do
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    [ "$f" -eq 0 ] || broken+=("$target")
done <"$logs/results"
for target in "${broken[@]+"${broken[@]}"}"; do
    echo "failed: make $target    (log: $logs/${target//\//_}.log)"
done
finish

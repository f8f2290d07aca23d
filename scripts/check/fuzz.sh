#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/fuzz.sh ASPEN SEED HOW MANY: random calls beside the host's kernel, on
# each processor its own. HOW is --seconds, or --calls (of all together).
set -u
aspen=$1 seed=$2 how=$3 many=$4
. "$(dirname "$0")/lib.bash"
pids=()

# Those that we may run on, which need not be the first.
mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' |
    awk -F- '{for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i}')
jobs=${#cpus[@]}

refusal=$("$aspen" fuzz --calls 1 2>&1 >/dev/null) ||
    skip_all fuzz "$(head -n 1 <<<"$refusal")"
printf '%s\n' 6.1 "$(uname -r)" | sort -CV ||
    skip_all fuzz 'the host is older than 6.1'
# What the host lacks, by name.
for name in $("$aspen" fuzz --calls 1 --json | sed 's/.*"skipped":{\([^}]*\)}.*/\1/' |
    tr ',' '\n' | sed 's/:[0-9]*$//; s/"//g; s/ /_/g'); do
    skip "fuzz of $name" 'the host lacks it'
done
if [ "$how" = --calls ]; then
    many=$(((many + jobs - 1) / jobs))
fi
for ((i = 0; i < jobs; i++)); do
    taskset -c "${cpus[i]}" "$aspen" fuzz "$how" "$many" \
        --seed $((seed + i * 1000000)) &
    pids+=($!)
done
for pid in "${pids[@]}"; do
    wait "$pid" || failed=$((failed + 1))
done
passed=$((jobs - failed))
finish

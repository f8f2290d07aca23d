#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check-fuzz.sh ASPEN SEED HOW MANY: random calls beside the host's kernel, on
# each processor its own. HOW is --seconds, or --calls (of all together).
set -u
aspen=$1 seed=$2 how=$3 many=$4
jobs=$(nproc)
failed=0
pids=()

if ! "$aspen" fuzz --calls 1 >/dev/null 2>"${TMPDIR:-/tmp}/aspen-fuzz.$$"; then
    echo "skipped fuzz: $(head -1 "${TMPDIR:-/tmp}/aspen-fuzz.$$")"
    rm -f "${TMPDIR:-/tmp}/aspen-fuzz.$$"
    echo '0 passed, 0 failed, 1 skipped'
    exit 0
fi
rm -f "${TMPDIR:-/tmp}/aspen-fuzz.$$"
if ! printf '%s\n' 6.18 "$(uname -r)" | sort -CV; then
    echo 'skipped fuzz: the host is older than 6.18'
    echo '0 passed, 0 failed, 1 skipped'
    exit 0
fi
if [ "$how" = --calls ]; then
    many=$(((many + jobs - 1) / jobs))
fi
for ((i = 0; i < jobs; i++)); do
    taskset -c $i "$aspen" fuzz "$how" "$many" \
        --seed $((seed + i * 1000000)) &
    pids+=($!)
done
for pid in "${pids[@]}"; do
    wait "$pid" || failed=$((failed + 1))
done
echo "$((jobs - failed)) passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Protection keys: a program that uses them is followed, captured, rehearsed.
. "$(dirname "$0")/lib.bash"

broken=${ASPEN_BROKEN_BUILD:?an aspen whose calls are broken}
guest=$(dirname "$ASPEN")/pkey_guest
[ -x "$guest" ] || guest=$(dirname "$ASPEN")/../pkey_guest

if ! grep -q '^ProtectionKey:' /proc/self/smaps; then
    skip pkey 'the processor has no protection keys'
    finish
fi

# --- shadow

"$guest" >"$work/alone"
check guest test $? -eq 0
"$ASPEN" shadow --every 1 --json --guest-output "$work/out" -- "$guest" \
    >"$work/shadow" 2>"$work/shadow.err"
status=$?
if [ $status -eq 2 ]; then
    skip shadow "$(head -1 "$work/shadow.err")"
else
    check shadow-status test $status -eq 0
    check shadow-output cmp "$work/alone" "$work/out"
    check shadow-answers grep -q '"answers_differ":0' "$work/shadow"
    check shadow-mappings grep -q '"different":0' "$work/shadow"
    check shadow-alloc grep -q '"pkey_alloc"' "$work/shadow"
    # A call that was refused has taken the process's own key all the same, and
    # what is given out from then on shows it.
    "$guest" refused >"$work/alone"
    check refused-guest test $? -eq 0
    "$ASPEN" shadow --json --guest-output "$work/out" -- "$guest" refused \
        >"$work/shadow" 2>"$work/shadow.err"
    check refused-status test $? -eq 0
    check refused-output cmp "$work/alone" "$work/out"
    check refused-named grep -q \
        '"deviations":{"own key of a refused call":1}' "$work/shadow"
    check refused-answers grep -q '"answers_differ":0' "$work/shadow"
    "$guest" moves >"$work/alone"
    check moves-guest test $? -eq 0
    "$ASPEN" shadow --every 1 --json --guest-output "$work/out" -- "$guest" moves \
        >"$work/shadow" 2>"$work/shadow.err"
    check moves-status test $? -eq 0
    check moves-output cmp "$work/alone" "$work/out"
    check moves-calls test "$(grep -o '"mremap":[^,}]*' "$work/shadow" | wc -l)" -gt 0
    # What is taken over anew after a difference has its keys, also those that
    # no mapping has.
    ASPEN_BROKEN=mappings "$broken" shadow --every 1 --json \
        --guest-output "$work/out" -- "$guest" >"$work/shadow" 2>/dev/null
    check again-status test $? -eq 1
    check again-answers grep -q '"answers_differ":0' "$work/shadow"
fi

# --- capture, rehearse

"$guest" wait >"$work/ready" &
pid=$!
for _ in $(seq 100); do
    grep -q ready "$work/ready" && break
    sleep 0.1
done
"$ASPEN" capture -o "$work/it.snap" --pid $pid 2>"$work/capture.err"
status=$?
kill $pid
wait $pid 2>/dev/null
if [ $status -eq 2 ]; then
    skip capture "$(head -1 "$work/capture.err")"
    finish
fi
check capture test $status -eq 0
check rehearse "$ASPEN" rehearse --snapshot "$work/it.snap"
check failing "$ASPEN" fuzz --failing "$work/it.snap" --calls 300
finish

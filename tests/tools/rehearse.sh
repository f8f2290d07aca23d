#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# aspen rehearse as a whole: committed snapshots and live processes, what it
# prints, how it says that a promise broke.
. "$(dirname "$0")/lib.bash"

broken=${ASPEN_BROKEN_BUILD:?an aspen with broken forks}

# value JSON-FILE KEY: the first of that name, at the top or below.
value()
{
    grep -o "\"$2\":[0-9a-z]*" "$1" | head -1 | cut -d: -f2
}

# whole JSON-FILE: sums fit, everything held, nothing was sampled.
whole()
{
    local steps polls sum=0 kind rehearsals
    steps=$(value "$1" steps)
    polls=$(value "$1" interrupt)
    rehearsals=$(value "$1" rehearsals)
    for kind in mm vma tree_node anon_vma page_table frame charge hook swap \
        interrupt; do
        sum=$((sum + $(value "$1" $kind)))
    done
    [ "$sum" -eq "$steps" ] || return 1
    [ "$rehearsals" -eq $((2 * (steps - polls) + polls)) ] || return 1
    [ "$(value "$1" broken)" -eq 0 ] || return 1
    [ "$(value "$1" sampled)" = false ] || return 1
    for kind in child_empty parent_unchanged nothing_left next_fork; do
        [ "$(value "$1" $kind)" -eq "$rehearsals" ] || return 1
    done
}

has_steps()
{
    local kind
    for kind in "${@:2}"; do
        [ "$(value "$1" "$kind")" -gt 0 ] || return 1
    done
}

# --- every committed snapshot, every step (of the large one a sample)

for snapshot in "$snapshots"/*.snap; do
    name=$(basename "$snapshot" .snap)
    [ "$name" = vmas5000 ] && continue
    "$ASPEN" rehearse --snapshot "$snapshot" --all --json >"$work/$name" \
        2>"$work/log"
    check "$name-status" test $? -eq 0
    check "$name-whole" whole "$work/$name"
done
check swap-step has_steps "$work/swap" swap anon_vma page_table
# Those whose slot is theirs alone, 16 at a time.
check swap-really test "$(value "$work/swap" pages_on_device)" -eq 47
for where in parents children; do
    check swap-in-$where test "$(value "$work/swap" from_swap_in_$where)" \
        -eq $((16 * $(value "$work/swap" rehearsals)))
done
check no-swap test "$(value "$work/huge" pages_on_device)" -eq 0
check flags-steps has_steps "$work/flags" hook charge interrupt vma mm
check huge-pages grep -q '"pages_resident":' "$work/huge"
"$ASPEN" rehearse --snapshot "$snapshots/vmas5000.snap" --sample 60 --json \
    >"$work/many"
check many-status test $? -eq 0
check many-vmas test "$(value "$work/many" vmas)" -eq 5000
check many-sampled test "$(value "$work/many" sampled)" = true
check many-rehearsals test "$(value "$work/many" rehearsals)" -eq 60
check many-held test "$(value "$work/many" next_fork)" -eq 60

# --- sample, seed, jobs, step

"$ASPEN" rehearse --snapshot "$snapshots/swap.snap" --jobs 3 --json \
    >"$work/jobs"
check jobs-whole whole "$work/jobs"
check jobs-same test "$(value "$work/jobs" steps)" -eq \
    "$(value "$work/swap" steps)"
"$ASPEN" rehearse --snapshot "$snapshots/swap.snap" --sample 7 --seed 99 \
    --json >"$work/sample"
check sample-size test "$(value "$work/sample" rehearsals)" -eq 7
check sample-said test "$(value "$work/sample" sampled)" = true
check sample-seed test "$(value "$work/sample" seed)" -eq 99
check sample-too-large "$ASPEN" rehearse --snapshot "$snapshots/swap.snap" \
    --sample 1000000
check step-once "$ASPEN" rehearse --snapshot "$snapshots/swap.snap" \
    --step 1 --kind once
check step-onward "$ASPEN" rehearse --snapshot "$snapshots/swap.snap" \
    --step 1 --kind onward
"$ASPEN" rehearse --snapshot "$snapshots/swap.snap" --step 2 --json \
    >"$work/step"
check step-alone test "$(value "$work/step" rehearsals)" -eq 1
"$ASPEN" rehearse --snapshot "$snapshots/swap.snap" >"$work/table"
check table-held grep -q '^every promise held$' "$work/table"
check table-steps grep -q '^steps .* swap 1 ' "$work/table"
check table-not-visible grep -q 'built as if there were none' "$work/table"

# --- live processes

if may_trace live; then
    start_sleeper
    "$ASPEN" rehearse --pid $sleeper --all --json >"$work/live"
    check live-status test $? -eq 0
    check live-whole whole "$work/live"
    check live-goes-on kill -0 $sleeper
    "$ASPEN" rehearse --after 0.2 --all --json -- sleep 9 >"$work/command"
    check command-whole whole "$work/command"
    check command-source grep -q '"source":"command sleep"' "$work/command"
    check capture "$ASPEN" capture --redact --pid $sleeper -o "$work/s.snap"
    "$ASPEN" rehearse --snapshot "$work/s.snap" --all --json >"$work/redacted"
    check redacted-whole whole "$work/redacted"
    check redacted-same test "$(value "$work/redacted" steps)" -eq \
        "$(value "$work/live" steps)"
fi

# --- refusals

expect 2 'give one of --pid P, -- CMD, --snapshot FILE' rehearse
expect 2 'give one of' rehearse --pid 1 --snapshot x
expect 2 'exclude each other' rehearse --snapshot x --all --sample 3
expect 2 '--kind goes with --step' rehearse --snapshot x --kind once
expect 2 '--kind takes' rehearse --snapshot x --step 1 --kind twice
expect 2 '--jobs takes' rehearse --snapshot x --jobs 0
expect 2 '--jobs takes' rehearse --snapshot x --jobs 65
expect 2 '--sample takes' rehearse --snapshot x --sample 0
expect 2 '--seed takes' rehearse --snapshot x --seed -1
expect 2 'one rehearsal: no --all' rehearse --snapshot x --step 1 --all
expect 2 'No such file' rehearse --snapshot "$work/none"
expect 2 'steps only' rehearse --snapshot "$snapshots/swap.snap" --step 9999
expect 2 'is no poll, so --kind once' \
    rehearse --snapshot "$snapshots/swap.snap" --step 1 --kind interrupt
expect 2 'is a poll .* so --kind interrupt' \
    rehearse --snapshot "$snapshots/swap.snap" --step 3 --kind once
head -c 100 "$snapshots/swap.snap" >"$work/short.snap"
expect 2 'short.snap is truncated' rehearse --snapshot "$work/short.snap"
: >"$work/empty.snap"
expect 2 'is truncated: 0 bytes' rehearse --snapshot "$work/empty.snap"
expect 2 'is not an Aspen snapshot' rehearse --snapshot "$ASPEN"
{
    head -c 8 "$snapshots/swap.snap"
    printf '\2'
    tail -c +10 "$snapshots/swap.snap"
} >"$work/newer.snap"
expect 2 'is a newer snapshot: format 2' rehearse --snapshot "$work/newer.snap"
{
    head -c 200 "$snapshots/swap.snap"
    printf 'X'
    tail -c +202 "$snapshots/swap.snap"
} >"$work/changed.snap"
expect 2 'is corrupt: its checksum' rehearse --snapshot "$work/changed.snap"
expect 2 'no such command: No such file' rehearse -- 'no such command'
check full-output sh -c "'$ASPEN' rehearse --snapshot \
    '$snapshots/guard.snap' --sample 3 >/dev/full 2>'$work/err'; \
    test \$? -eq 2 && grep -q 'No space left' '$work/err'"

# --- what broken promises look like

cd "$work" || exit 1
for how in charge child crash; do
    ASPEN_BROKEN=$how "$broken" rehearse --snapshot "$snapshots/guard.snap" \
        --json >"$work/$how" 2>"$work/$how.err"
    check "broken-$how-status" test $? -eq 1
    check "broken-$how-count" test "$(value "$work/$how" broken)" -gt 0
done
check broken-charge-promise grep -q 'nothing_left: committed_pages' \
    "$work/charge"
check broken-child-promise grep -q 'child_empty: a child was handed out' \
    "$work/child"
check broken-crash-said grep -q 'died of signal 6' "$work/crash"
ASPEN_BROKEN=rare "$broken" rehearse --snapshot "$snapshots/guard.snap" \
    >"$work/rare"
check broken-rare-status test $? -eq 1
check broken-rare-both test "$(grep -c '^BROKEN *step 41' "$work/rare")" -ge 1
check broken-rare-alone test "$(grep -c '^BROKEN' "$work/rare")" -eq \
    "$(grep -c '^BROKEN *step 41' "$work/rare")"
replay=$(sed -n 's/^ *aspen \(rehearse --snapshot .*\)/\1/p' "$work/rare" |
    head -1)
check broken-replays sh -c "ASPEN_BROKEN=rare '$broken' $replay \
    >/dev/null; test \$? -eq 1"
check whole-replays "$ASPEN" $replay
check broken-otherwise-whole "$broken" rehearse --snapshot \
    "$snapshots/guard.snap"
# From a live process the snapshot is kept, so that it can be replayed.
if may_trace kept-snapshot; then
    ASPEN_BROKEN=charge "$broken" rehearse --after 0.2 -- sleep 9 \
        >"$work/kept"
    check kept-snapshot test -s "$(echo "$work"/aspen-broken-*.snap)"
    check kept-replay grep -q 'rehearse --snapshot aspen-broken-' "$work/kept"
fi
finish

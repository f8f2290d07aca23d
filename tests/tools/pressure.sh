#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# aspen pressure as a whole: each workload on each device, every byte as it was
# written; what it says, and what it refuses.
. "$(dirname "$0")/lib.bash"

if ! "$ASPEN" pressure --help >"$work/log" 2>&1; then
    skip pressure "$(head -1 "$work/log")"
    finish
fi

# run NAME ARGS...: a small machine, of $memory; every byte is right.
memory=1M
run()
{
    local name=$1
    shift
    "$ASPEN" pressure "$@" --memory $memory --json \
        >"$work/json" 2>"$work/err"
    check "$name" test $? -eq 0
    check "$name-silent" diff /dev/null "$work/err"
    check "$name-right" grep -q '"wrong_bytes":0,"lost_pages":0,' "$work/json"
    check "$name-lru" between 0 "$(figure lru_ratio)" "$(figure optimal_ratio)"
    # The optimum reads a page when it is asked for. Where neighbours are asked
    # for one after the other they are read ahead.
    case $1 in
    sequential | loop | scan) return ;;
    esac
    # Readings of how many pages are in memory are not exact.
    check "$name-optimum" between 0 "$(figure hit_ratio)" \
        "$(figure optimal_ratio)+0.05"
}

# --- workloads

for workload in sequential loop random zipf scan phase fork; do
    run $workload $workload --threads 2
    check "$workload-leaves" test "$(figure swap_out)" -gt 100
    check "$workload-faults" test "$(figure faults)" -gt "$(figure swap_in)"
done
run fork fork
check fork-children test "$(figure forks)" -gt 40
run sequential sequential --accesses 3000
check sequential-pages test "$(figure pages)" -eq 1024
check sequential-accesses test "$(figure accesses)" -eq 3000
check sequential-comes-back test "$(figure swap_in)" -gt 1000
run fits random --pages 100 --accesses 2000
check fits-stays test "$(figure swap_out)" -eq 0
check fits-hits between 0.99 "$(figure hit_ratio)" 1

# --- beside the kernel

# The process lasts as long as ours; its cgroup is gone then.
if ! "$ASPEN" pressure zipf --memory 1M --swap none --kernel --json \
    >"$work/json" 2>"$work/err"; then
    check kernel-why grep -qE 'memory cgroup|on a disk' "$work/err"
    skip kernel "$(cat "$work/err")"
else
    memory=8M
    for workload in zipf scan phase random; do
        run kernel-$workload $workload --swap none --kernel
        check kernel-$workload-pages between "$(figure resident_pages)*0.8" \
            "$(figure kernel_pages)" "$(figure resident_pages)*1.2"
        check kernel-$workload-optimum between 0.1 "$(figure kernel_ratio)" \
            "$(figure optimal_ratio)+0.05"
        # Kernels differ, and generations are better at a scan.
        check kernel-$workload-beside between "$(figure kernel_ratio)-0.1" \
            "$(figure hit_ratio)" 1
    done
    memory=1M
fi

# --- devices

run file zipf --swap "file:$work/swap"
check file-leaves test "$(figure swap_out)" -gt 100
check file-comes-back test "$(figure swap_in)" -gt 100
check file-goes test ! -e "$work/swap"
# can_have NAME: whether it is in this build.
can_have()
{
    "$ASPEN" pressure zipf --memory 1M --accesses 1 --swap "$1" \
        >"$work/log" 2>&1 || ! grep -q 'is not in this build' "$work/log" ||
        { skip "${1%%:*}" "$(cat "$work/log")"; false; }
}

for device in lz4 zstd; do
    can_have $device || continue
    run $device zipf --swap $device --threads 2
    check $device-leaves test "$(figure swap_out)" -gt 100
    check $device-comes-back test "$(figure swap_in)" -gt 100
    # 2,048 slots, of which no more than 1,024 are in use at a time.
    check $device-smaller test "$(figure swap_memory_bytes)" -lt 3500000
done
if ! command -v nbdkit >"$work/log"; then
    skip nbd 'no nbdkit'
elif can_have "nbd:nbd+unix:///?socket=$work/none"; then
    # The socket is there before anybody listens, the number of who does is not.
    nbdkit -f --exit-with-parent -P "$work/ready" -U "$work/socket" \
        memory 16M 2>"$work/nbdkit" &
    server=$!
    for _ in {1..600}; do
        [ ! -s "$work/ready" ] || break
        sleep 0.05
    done
    run nbd zipf --threads 2 --swap "nbd:nbd+unix:///?socket=$work/socket"
    check nbd-comes-back test "$(figure swap_in)" -gt 100
    kill $server
    wait $server 2>"$work/log"
    expect 2 'cannot use nbd+unix' pressure zipf \
        --swap "nbd:nbd+unix:///?socket=$work/socket"
fi
run none zipf --swap none --threads 2
check none-reads test "$(figure file_in)" -gt 1000
check none-writes test "$(figure file_out)" -gt 100
check none-no-swap test "$(figure swap_out)" -eq 0
check none-refaults test "$(figure refaults)" -gt 0

# --- devices that fail

run faults zipf --threads 2 --accesses 8000 \
    --faults errors,short,late,gone,lies --checksum
check faults-failed test "$(figure failed)" -gt 10
run full loop --accesses 8000 --faults full
check full-given-up test "$(figure given_up)" -gt 0
"$ASPEN" pressure zipf --memory 1M --accesses 20000 --faults lies \
    >"$work/out" 2>"$work/err"
check lies-status test $? -eq 1
check lies-told grep -q '^aspen pressure: BROKEN [0-9]* bytes are wrong$' \
    "$work/err"

# --- the same seed, the same accesses

run seed zipf --seed 3
lru=$(figure lru_ratio)
run seed-again zipf --seed 3
# LRU is reckoned with as many pages as were in memory on average, which depends
# on when the worker ran.
check seed-same between "$lru-0.06" "$(figure lru_ratio)" "$lru+0.06"

# --- pictures and numbers

# The device's name is the user's.
run pictures phase --swap "file:$work/<b>&" \
    --html "$work/page" --samples "$work/samples"
check page-whole grep -q '^</html>$' "$work/page"
check page-pictures test "$(grep -c '^<figure>$' "$work/page")" -eq 4
check page-curves test "$(grep -c '^<path class="c[0-9]" d="M' "$work/page")" -eq 9
check page-alone test "$(grep -cE 'http|<script|src=|@import|url[(]' \
    "$work/page")" -eq 0
check page-numbers test "$(grep -ciE 'nan|inf[^oi]' "$work/page")" -eq 0
check page-escaped grep -q 'file:.*/&#60;b&#62;&#38;:' "$work/page"
check samples-names grep -q '^# accesses resident swapped reclaimed refaults ' \
    "$work/samples"
# At each so many accesses, whenever that was; what is counted grows.
check samples-in-order awk '
    /^#/ { next }
    $1 <= last && rows || $4 < reclaimed || $6 < hits || $10 > $9 { wrong = 1 }
    { last = $1; reclaimed = $4; hits = $6; rows++ }
    END { exit wrong || rows < 150 || $7 > $8 }' "$work/samples"
check samples-end awk -v accesses="$(figure accesses)" \
    'END { exit $1 != accesses || $2 < 200 || $3 < 500 }' "$work/samples"
cut -d' ' -f1 "$work/samples" >"$work/first"
run pictures-again phase --threads 2 --samples "$work/samples"
check samples-same diff "$work/first" <(cut -d' ' -f1 "$work/samples")
run one-access zipf --accesses 1 --html "$work/page" --samples "$work/samples"
check one-access-numbers test "$(grep -ciE 'nan|inf[^oi]' "$work/page")" -eq 0
check one-access-rows test "$(wc -l <"$work/samples")" -eq 3
expect 2 'cannot write .*No such file' pressure zipf --html "$work/no/where"
expect 2 'cannot write .*Is a directory' pressure zipf --samples "$work"
"$ASPEN" pressure zipf --memory 1M --html /dev/full >"$work/out" 2>"$work/err"
check page-full test $? -eq 2
check page-full-told grep -q 'cannot write /dev/full: No space' "$work/err"

# --- text

"$ASPEN" pressure scan --memory 1M >"$work/text" 2>"$work/err"
check text test $? -eq 0
check text-workload grep -q '^workload    scan: 1024 pages, 4.0 times' \
    "$work/text"
check text-ratios grep -q '^hit ratio   0\.[0-9]*; LRU 0' "$work/text"
check text-right grep -q '^every byte was as it was written$' "$work/text"

# --- refusals

expect 2 'give a workload' pressure
expect 2 "there is no workload 'nothing'" pressure nothing
expect 2 "takes no argument 'more'" pressure zipf more
expect 2 "'--nonsense' is no option" pressure --nonsense
expect 2 "'--json=5' takes no value" pressure --json=5
for option in memory pages swap threads seed accesses faults html samples; do
    expect 2 "'--$option' lacks its value" pressure zipf --$option
done
for value in '' 0 64 64Q M 1023K -1M 65537M 99999999999T 1MM; do
    expect 2 "--memory takes bytes.*not '$value'" pressure zipf --memory "$value"
done
for value in '' -1 0 17 x; do
    expect 2 '--threads takes a number from 1 on, up to 16' pressure zipf \
        --threads "$value"
done
expect 2 '--accesses takes a number from 1 on' pressure zipf --accesses 0
expect 2 '--seed takes a number' pressure zipf --seed x
expect 2 '--pages takes a number from 2 on' pressure zipf --pages 1
expect 2 "there is no swap device 'disk'" pressure zipf --swap disk
expect 2 'file lacks its :PATH' pressure zipf --swap file:
expect 2 'No such file' pressure zipf --swap "file:$work/no/where"
for list in '' nothing errors, errors,nothing ,late; do
    expect 2 '--faults takes errors, short, late' pressure zipf --faults "$list"
done
expect 2 'no --faults, --checksum' pressure zipf --swap none --checksum
expect 2 'no --faults, --checksum' pressure zipf --swap none --faults late
echo mine >"$work/mine"
expect 2 'mine is not empty' pressure zipf --swap "file:$work/mine"
check refused-whole grep -q '^mine$' "$work/mine"
expect 2 'fork needs --swap DEVICE' pressure fork --swap none
expect 2 'kernel goes with --swap none' pressure zipf --kernel
expect 2 'and with one thread' pressure zipf --swap none --threads 2 --kernel
finish

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# aspen fuzz as a whole: random calls answer as the kernel's do, a difference is
# found, shrunk, and told as a program that shows it.
. "$(dirname "$0")/lib.bash"

broken=${ASPEN_BROKEN_BUILD:?an aspen whose calls are broken}

# value JSON-FILE KEY
value()
{
    grep -o "\"$2\":[0-9a-z]*" "$1" | head -1 | cut -d: -f2
}

# operations PROGRAM: how many are in it.
operations()
{
    grep -cE '^    \{[0-9]+, [A-Z]+, [0-9A-Za-z_]+, ' "$1"
}

# --- every step fails, on the address spaces of real processes

# ASPEN_FAILING_CALLS: fewer, where processors are slow.
failing_calls=${ASPEN_FAILING_CALLS:-1000}

# fails NAME SNAPSHOT
fails()
{
    "$ASPEN" fuzz --failing "$2" --calls "$failing_calls" --json >"$work/json" \
        2>"$work/err"
    check "failing-$1" test $? -eq 0
    check "failing-$1-silent" test ! -s "$work/err"
    check "failing-$1-calls" test "$(value "$work/json" calls)" -eq \
        "$failing_calls"
    check "failing-$1-steps" test "$(value "$work/json" failures)" -gt \
        $((3 * failing_calls))
    for call in mmap munmap mprotect mremap madvise brk mlock2 fork; do
        check "failing-$1-$call" test "$(value "$work/json" $call)" -gt 0
    done
}

for snapshot in flags guard huge swap hugetlb; do
    fails $snapshot "$snapshots/$snapshot.snap"
done
for program in bash python3 perl; do
    if ! command -v $program >/dev/null; then
        skip "failing-$program" "no $program"
        continue
    fi
    case $program in
    bash) words=(bash -c 'read -r; true') ;;
    python3) words=(python3 -c 'import threading; input()') ;;
    perl) words=(perl -e '<STDIN>') ;;
    esac
    if "$ASPEN" capture -o "$work/$program.snap" --after 0.3 -- "${words[@]}" \
        2>"$work/log"; then
        fails $program "$work/$program.snap"
    else
        skip "failing-$program" "$(head -1 "$work/log")"
    fi
done
ASPEN_BROKEN=half "$broken" fuzz --failing "$snapshots/flags.snap" \
    >/dev/null 2>"$work/err"
check broken-half-status test $? -eq 1
check broken-half-told grep -q 'BROKEN 0: .*mprotect(.*the space has changed' \
    "$work/err"
ASPEN_BROKEN=charge "$broken" fuzz --failing "$snapshots/flags.snap" \
    >/dev/null 2>"$work/err"
check broken-charge-status test $? -eq 1
check broken-charge-told grep -q 'BROKEN .*inconsistent' "$work/err"
expect 2 'No such file' fuzz --failing "$work/none"

"$ASPEN" fuzz --calls 1 >/dev/null 2>"$work/log"
if [ $? -eq 2 ]; then
    skip fuzz "$(head -1 "$work/log")"
    finish
fi
# The oldest release that has a level of its own.
if ! printf '%s\n' 6.1 "$(uname -r)" | sort -CV; then
    skip fuzz "the host is older than 6.1"
    finish
fi

# --- the same

"$ASPEN" fuzz --calls 8000 --seed 7 --json --output "$work/found.c" \
    >"$work/json" 2>"$work/err"
check same-status test $? -eq 0
check same-silent test ! -s "$work/err"
check same-schema grep -q '^{"schema":"aspen.fuzz/1",' "$work/json"
check same-unexplained test "$(value "$work/json" unexplained)" -eq 0
check same-calls test "$(value "$work/json" calls)" -ge 8000
check same-refused test "$(value "$work/json" refused)" -gt 1000
for call in mmap munmap mprotect mremap madvise brk mlock2 mincore msync fork; do
    check "same-mix-$call" test "$(value "$work/json" $call)" -gt 0
done
"$ASPEN" fuzz --calls 8000 --seed 7 --json >"$work/again" 2>/dev/null
check same-again cmp "$work/json" "$work/again"
"$ASPEN" fuzz --calls 500 >"$work/text" 2>/dev/null
check text grep -q '^[0-9]* calls in [0-9]* sequences.* 0 unexplained$' \
    "$work/text"

# --- differences

for how in answers mappings errno; do
    program=$work/$how.c
    ASPEN_BROKEN=$how "$broken" fuzz --calls 20000 --json --output "$program" \
        >"$work/json" 2>"$work/err"
    check "$how-status" test $? -eq 1
    check "$how-unexplained" test "$(value "$work/json" unexplained)" -eq 1
    check "$how-told" grep -q 'DIFFERENT after' "$work/err"
    check "$how-shrunk" test "$(operations "$program")" -le 3
    check "$how-blamed" grep -q 'mprotect(' "$program"
    ASPEN_BROKEN=$how "$broken" fuzz --replay "$program" >/dev/null 2>&1
    check "$how-replay" test $? -eq 1
    check "$how-replay-good" "$ASPEN" fuzz --replay "$program"
    if ! command -v gcc >/dev/null; then
        skip "$how-program" 'no gcc'
        continue
    fi
    can_run_there "$how-program" || continue
    check "$how-compiles" gcc -O1 -static -nostdlib -no-pie -ffreestanding \
        -fno-stack-protector -Wl,-Ttext-segment=0x10000 -Wl,-z,norelro \
        -o "$work/program" "$program"
    setarch -R "$work/program" >"$work/out"
    check "$how-runs" test $? -eq 0
    check "$how-answers" test \
        "$(grep -cE '^[0-9]{4} -?[0-9a-f]+$' "$work/out")" -eq \
        "$(operations "$program")"
    check "$how-maps" grep -q -- '-p 00000000 00:00 0' "$work/out"
done

# --- deviations that only another call shows

# replay NAME OPERATION..: into $work/out.
replay()
{
    local name=$1

    shift
    printf '    {0, CALL, __NR_%s}},\n' "$@" >"$work/$name.c"
    "$ASPEN" fuzz --replay "$work/$name.c" >"$work/out" 2>&1
}

# deviation NAME EXPLANATION OPERATION..: the program's difference is told so.
deviation()
{
    local name=$1 explanation=$2

    shift 2
    replay "$name" "$@"
    check "known-$name" test $? -eq 0
    check "known-$name-told" grep -q "^deviations:.* $explanation 1" \
        "$work/out"
}
# What is unlocked with what it is one with.
locked=$(ulimit -l)
if [ "$locked" = unlimited ] || [ "$locked" -ge 20 ]; then
    # What merges then is not the same in all kernels (docs/use/semantics.md:
    # ASPEN_CONFIG_DONTUNMAP_APART): where the first way shows nothing the second
    # has to.
    set -- \
        'mmap, {0x551000000000, 0x5000, 0x3, 0x32, 0xffffffffffffffff, 0' \
        'mlock2, {0x551000000000, 0x5000, 0x1, 0, 0, 0' \
        'mlock, {0x551000000000, 0x1000, 0, 0, 0, 0'
    replay locked "$@" \
        'mremap, {0x551000004000, 0x1000, 0x1000, 0x5, 0x551000005000, 0'
    if grep -q '^deviations:.* anon_vma of locked memory 1' "$work/out"; then
        set -- "$@" \
            'mremap, {0x551000004000, 0x1000, 0x1000, 0x5, 0x551000005000, 0'
    else
        set -- "$@" \
            'mmap, {0x551000005000, 0x1000, 0x3, 0x32, 0xffffffffffffffff, 0' \
            'munlock, {0x551000001000, 0x4000, 0, 0, 0, 0'
    fi
    deviation locked 'anon_vma of locked memory' "$@"
else
    skip known-locked "$locked KiB may be locked"
fi
# A key that is given back below a hole, and no other flag changes.
if grep -qw ospke /proc/cpuinfo; then
    deviation key 'mprotect refused, half done' \
        'mmap, {0x551000000000, 0x1000, 0x4, 0x22, 0xffffffffffffffff, 0' \
        'mprotect, {0x551000000000, 0x2000, 0xc, 0, 0, 0'
    # The process's own key, taken before a call without a key refuses.
    deviation own-key 'own key of a refused call' \
        'mmap, {0x551000000000, 0x1000, 0x5, 0x32, 0xffffffffffffffff, 0' \
        'pkey_mprotect, {0x551000000000, 0x2000, 0x4, 0xffffffff, 0, 0' \
        'pkey_alloc, {0, 0, 0, 0, 0, 0'
else
    skip known-key 'no protection keys'
fi

# --- files where nothing may be executed from

mkdir "$work/noexec"
noexec='mount -t tmpfs -o noexec tmpfs "$1" && TMPDIR=$1 exec "$2" fuzz "${@:3}"'
if unshare -m --propagation private true 2>/dev/null; then
    check noexec unshare -m --propagation private bash -c "$noexec" noexec \
        "$work/noexec" "$ASPEN" --calls 100
else
    skip noexec 'may not mount here'
fi

# --- refusals

expect 2 '--calls takes a number from 1 on' fuzz --calls 0
expect 2 '--seed takes a number' fuzz --seed x
expect 2 '--seconds takes seconds' fuzz --seconds 0
expect 2 "'--nonsense' is no option" fuzz --nonsense
expect 2 'takes no argument' fuzz true
expect 2 'No such file' fuzz --replay "$work/none"
echo nothing >"$work/nothing"
expect 2 'no operation is in' fuzz --replay "$work/nothing"
finish

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# For each comparison that rehearse, fuzz and shadow make: an aspen that breaks
# there (broken.c), and the tool that says so. Whatever the tools' sources can
# say and nothing here made them say fails as well.
. "$(dirname "$0")/lib.bash"

broken=${ASPEN_BROKEN_BUILD:?an aspen whose calls are broken}
guest=$(dirname "$broken")/shadow_guest
tools=$ASPEN_HERE/tools/aspen

# tells NAME HOW PATTERN ARGS...: the broken aspen says it, and exits with 1.
tells()
{
    local name=$1 how=$2 pattern=$3 got
    shift 3
    ASPEN_BROKEN=$how timeout 60 "$broken" "$@" >"$work/out" 2>&1
    got=$?
    cat "$work/out" >>"$work/told"
    if [ $got -eq 1 ] && grep -q -- "$pattern" "$work/out"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name-$how: status $got, not 1 with /$pattern/"
        grep -a 'BROKEN\|DIFFERENT\|aspen' "$work/out" | head -5
        is_enough
    fi
}

: >"$work/told"
cd "$work" || exit 1

# --- rehearse

rehearse()
{
    tells rehearse "$1" "$2" rehearse --snapshot "$snapshots/swap.snap" \
        --step 11 "${@:3}"
}

rehearse answer 'child_empty: the fork answered EBUSY, not ENOMEM'
rehearse child 'child_empty: a child was handed out'
rehearse step 'child_empty: 12 steps were passed and 1 failed'
rehearse space 'child_empty: address spaces: 1 (2 live, 1 on'
rehearse state 'parent_unchanged: the parent is not live any more'
rehearse locked "parent_unchanged: the parent's counters have changed"
rehearse limit 'parent_unchanged: the parent answers differently than before'
rehearse valid:parent 'parent_unchanged: planted: found'
rehearse charge 'nothing_left: committed_pages'
rehearse counts 'nothing_left: reference, map or swap counts'
rehearse hook:arch "nothing_left: the architecture's hooks do not balance"
rehearse hook:userfault "nothing_left: userfault's hooks do not balance"
rehearse hook:open 'nothing_left: opens and closes of objects do not balance'
rehearse hook:release 'nothing_left: opens and closes of objects do not'
rehearse hook:bracket 'nothing_left: notifier brackets do not balance'
rehearse hook:scanner 'nothing_left: scanners were told 1 times'
rehearse next-answer 'next_fork: it answered EBUSY'
rehearse next-step 'next_fork: it took .* steps, not'
rehearse next-plan 'next_fork: no plan can be set'
rehearse next-end 'next_fork: the plan cannot be ended'
rehearse next-vmas 'next_fork: the child has'
rehearse valid:child 'next_fork: planted: found'
rehearse next-charge 'next_fork: committed_pages'
rehearse next-hook:bracket 'next_fork: notifier brackets'
for counter in $(sed -n 's/^    COUNTER(\(.*\)),$/\1/p' \
    "$tools/common/counters.c"); do
    rehearse "counter:$counter" "next_fork: $counter: "
done
rehearse swap:child "next_fork: the child's page at 0x.* with other contents"
rehearse swap-error "next_fork: the child's page at .* from swap: EIO"
rehearse swap:parent "parent_unchanged: the parent's page at 0x.* with other"
rehearse swap:end 'at the end: the page at 0x.* did not come back from swap as'
rehearse valid:whole 'nothing_left: .*planted: found'
rehearse exit-hook 'at the end: opens and closes of objects do not balance'
rehearse destroy 'at the end: the machine cannot end: EBUSY'
rehearse crash 'the worker died of signal 6'
rehearse import-charge 'after the import: charge.sum'
# It has not looked: nobody may take that for nothing found.
ASPEN_BROKEN=valid:unlooked "$broken" rehearse --snapshot \
    "$snapshots/swap.snap" --step 11 >"$work/out" 2>&1
check rehearse-unlooked test $? -eq 2
check rehearse-unlooked-said grep -q 'no memory' "$work/out"
ASPEN_BROKEN=room "$broken" rehearse --snapshot "$snapshots/swap.snap" \
    --step 11 >"$work/out" 2>&1
check rehearse-room test $? -eq 2
check rehearse-room-said grep -q 'no memory to count the steps' "$work/out"
# The child of a fork that had to fail goes, and the next one is as it should be.
rehearse succeeds 'child_empty: the fork answered success, not ENOMEM'
ASPEN_BROKEN=succeeds "$broken" rehearse --snapshot "$snapshots/swap.snap" \
    --step 11 --json >"$work/json" 2>/dev/null
check succeeds-child-gone grep -q '"next_fork":1[,}]' "$work/json"
rehearse plain-charge 'after a plain fork: charge.sum'
tells rehearse unlike 'one machine takes .* steps, another' rehearse \
    --snapshot "$snapshots/swap.snap" --jobs 2
# What was not done is not counted: the twentieth broken one ends the run.
for how in child crash; do
    ASPEN_BROKEN=$how "$broken" rehearse --snapshot "$snapshots/guard.snap" \
        --all --json --jobs 1 >"$work/json"
    check "$how-counted" grep -q '"rehearsals":20,.*"broken":20,' "$work/json"
    check "$how-in-part" grep -q '"sampled":true' "$work/json"
done

# --- fuzz, a step at a time

tells failing half 'the space has changed' fuzz --failing \
    "$snapshots/flags.snap"
tells failing leak:charge 'inconsistent: charge.sum' fuzz --failing \
    "$snapshots/flags.snap"
tells failing leak:space 'the machine cannot end' fuzz --failing \
    "$snapshots/flags.snap" --calls 100

# The sources of those that can run here, and what these cannot say here.
sources=("$tools/rehearse/failing_fork.c") unsaid=

# --- fuzz, beside the kernel

fuzz()
{
    tells fuzz "$1" "DIFFERENT .*$2" fuzz --calls 20000 --length 60
}

"$ASPEN" fuzz --calls 1 >/dev/null 2>"$work/log"
status=$?
if [ $status -eq 2 ] || ! printf '%s\n' 6.1 "$(uname -r)" | sort -CV; then
    skip fuzz "$(head -1 "$work/log")"
else
    sources+=("$tools"/fuzz/{compare,pair,failing}.c)
    fuzz answers 'kernel .* Aspen -13'
    fuzz errno 'kernel .* Aspen -16'
    fuzz tail ': maps: kernel'
    fuzz half 'Aspen has refused, but changed something'
    fuzz flags 'VmFlags: kernel'
    fuzz untold 'Aspen does not tell it'
    fuzz resident 'residency of'
    fuzz vector 'mincore of'
    # Shared memory may go from what is resident only behind PAGEOUT.
    printf '    {0, CALL, __NR_%s}},\n' \
        'mmap, {0x551000000000, 0x1000, 0x3, 0x21, 0xffffffffffffffff, 0' \
        'mincore, {0x551000000000, 0x1000, 0, 0, 0, 0' >"$work/vector.c"
    tells vector vector 'mincore of .*: kernel 0, Aspen 1' fuzz --replay \
        "$work/vector.c"
    fuzz fault 'Aspen faults'
    fuzz bytes 'contents of .*: kernel'
    while read -r field name; do
        fuzz "shown:$field" "$name: kernel"
    done < <(sed -n 's/^ *{"\(Vm[^"]*\)", shown.*ours\.\([a-z_]*\)}.*/\2 \1/p' \
        "$tools/fuzz/compare.c")
    fuzz size 'size of file'
    fuzz contents 'contents of file'
    fuzz invalid 'the model is inconsistent: planted'
    fuzz leak:frame 'the model is inconsistent: frame.leak'
    fuzz leak:charge 'the model is inconsistent: charge.sum'
    fuzz leak:space 'the model has leaked: '
    fuzz leak:object 'the model has leaked: '
    # It becomes a program, and is there again when that is made.
    for what in frame charge space object; do
        program=$work/leak-$what.c
        ASPEN_BROKEN=leak:$what "$broken" fuzz --calls 20000 --length 60 \
            --output "$program" >/dev/null 2>&1
        check "leak-$what-shrunk" test \
            "$(grep -cE '^    \{[0-9]+, [A-Z]+, ' "$program")" -eq 1
        check "leak-$what-good" "$ASPEN" fuzz --replay "$program"
        tells replay leak:$what DIFFERENT fuzz --replay "$program"
    done
    if grep -qw ospke /proc/cpuinfo; then
        fuzz rights 'rights: kernel .* after .*: pkey_alloc'
    else
        skip rights 'no protection keys'
        unsaid='rights*'
    fi
fi

# --- shadow

shadow()
{
    local how=$1 pattern=$2
    shift 2
    tells shadow "$how" "DIFFERENT .*$pattern" shadow "$@"
}

"$ASPEN" shadow -- true >"$work/log" 2>&1
status=$?
if [ $status -eq 2 ] || ! printf '%s\n' 6.1 "$(uname -r)" | sort -CV; then
    skip shadow "$(head -1 "$work/log")"
else
    sources+=("$tools"/shadow/{call,compare}.c)
    shadow answers 'Aspen answers -EACCES' -- true
    shadow granted 'Aspen answers 0x0' -- "$guest" half
    shadow half 'Aspen has changed something' -- "$guest" half
    ASPEN_BROKEN=place "$broken" shadow -- true >"$work/out" 2>&1
    check shadow-place grep -q '^elsewhere, first: mmap' "$work/out"
    shadow mappings 'after calls: kernel' --every 1 -- true
    shadow mappings 'before exit: kernel' --every 100000 -- true
    shadow mappings 'before exec: kernel' --every 100000 -- sh -c 'exec true'
    shadow import 'at exec: kernel' -- true
    shadow offset 'kernel .*, Aspen' --every 1 -- true
    shadow advice 'kernel .*, Aspen' -- "$guest" advice
    shadow fork:child 'the child of a fork' -- sh -c '(true); true'
    shadow fork:parent 'the parent of a fork' -- sh -c '(true); true'
    start_sleeper
    may_trace at-the-end &&
        shadow import 'at the end: kernel' -p $sleeper --seconds 1
fi

# --- what is no difference

# Who is killed in his fork, and stops at his end before he is asked whom he has
# made: what he tells then is the signal's number.
if may_trace maker-ending; then
    ASPEN_BROKEN=maker-ending timeout 60 "$broken" shadow --json \
        --guest-output /dev/null -- sh -c 'true & wait' >"$work/json" 2>"$work/err"
    check maker-ending test $? -eq 0
    check maker-ending-ends grep -q '"signal":9' "$work/json"
    check maker-ending-is-nobody sh -c "! grep -q '\"pid\":9,' '$work/json'"
fi

# --- whatever else they can say

# said FILE: the formats of what it can tell, as patterns; those without a word
# have to be looked for above.
said()
{
    perl -0777 -ne '
        my $told = qr/\bbroke\(\w+,\s\w+|\bbroke\(run|\bdiffers\(pair
            |\bshadow_tell\(session
            |snprintf\([\w>.-]*\bwhat,\ssizeof\([^)]*\)/x;
        my $text = qr/(?:"(?:[^"\\]|\\.)*"\s*(?:PRI\w+)?\s*)+/;
        while (/$told,\s*($text)/g) {
            my $format = $1;
            $format =~ s/PRI\w+/"x"/g;
            $format =~ s/"\s*"//g;
            $format =~ s/^"|"\s*$//g;
            $format =~ s/%[-#0-9.l]*[a-z]/\0/g;
            next unless $format =~ /[a-z]{3}/;
            print join(".*", map { quotemeta } split /\0+x?/, $format), "\n";
        }' "$1"
}
for file in "${sources[@]}"; do
    said "$file" >"$work/patterns"
    check "said-${file##*aspen/}" test -s "$work/patterns"
    while IFS= read -r pattern; do
        # shellcheck disable=SC2053
        [[ $pattern == $unsaid ]] || check "said: $pattern" grep -qaP -- "$pattern" "$work/told"
    done <"$work/patterns"
done
finish

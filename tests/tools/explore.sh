#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# aspen explore as a whole: scenarios that fail are found, shrunk and replayed,
# parts add up to the whole; and what it refuses.
. "$(dirname "$0")/lib.bash"

# Beside the command, or in the folder above the build with sanitizers.
for planted in "$(dirname "$ASPEN")"/{,../}tests/planted; do
    [ ! -x "$planted/memory/test_planted" ] || break
done
if [ ! -x "$planted/memory/test_planted" ]; then
    check no-scenarios sh -c "! '$ASPEN' explore all --programs '$work'"
    skip explore "no planted scenarios beside $ASPEN"
    finish
fi

# run NAME ARGS...: of the planted ones; its JSON in $work/json.
run()
{
    local name=$1 status=$2
    shift 2
    "$ASPEN" explore "$@" --programs "$planted" --json \
        >"$work/json" 2>"$work/err"
    check "$name" test $? -eq "$status"
    check "$name-silent" diff /dev/null "$work/err"
    check "$name-line" test "$(wc -l <"$work/json")" -eq 1
}

# has TEXT: in that JSON.
has()
{
    check "has-$1" grep -qF -- "$1" "$work/json"
}

# --- the registry

"$ASPEN" explore --list --programs "$planted" >"$work/list"
check list diff - "$work/list" <<'END'
planted/additions-under-a-lock
planted/a-lost-addition
planted/a-crash
planted/needs-two
planted/a-race-that-does-no-harm
planted/needs-an-older-value
END
if "$ASPEN" explore --list >"$work/list" 2>"$work/err"; then
    check list-real grep -q '^fork/fork-beside-a-registry-walker-succeeding-0$' \
        "$work/list"
    check list-doubles test -z "$(sort "$work/list" | uniq -d)"
    check real "$ASPEN" explore fork/fork-beside-a-registry-walker-succeeding-0
else
    skip list-real "$(cat "$work/err")"
fi

# --- what holds, and what fails

run holds 0 planted/additions-under-a-lock
has '{"schema":"aspen.explore/1","scenarios":[{"name":"planted/additions-under-a-lock","preemptions":1,"schedules":'
has '"complete":true,"failed":0,"races":0,"memory":"sc"}]}'
run holds-any 0 planted/additions-under-a-lock --preemptions any
has '"preemptions":null,"schedules":2,"complete":true,"failed":0'
run most 0 planted/additions-under-a-lock --most 1
has '"schedules":1,"complete":false,"failed":0'
run lost-none 0 planted/a-lost-addition --preemptions 0
run lost 1 planted/a-lost-addition
has '"failed":1'
has '"what":"an addition is lost"'
run needs-one 0 planted/needs-two
run needs-two 1 planted/needs-two --preemptions 2
has '"what":"both were \"seen\""'
run all 1 all
check all-of-them test "$(grep -o '"name":' "$work/json" | wc -l)" -eq 6
check all-failed test "$(grep -o '"failed":1' "$work/json" | wc -l)" -eq 3
run by-program 1 planted
run random 1 planted/a-lost-addition --random 500 --seed 3
has '"preemptions":null'

for part in 1 2 3; do
    "$ASPEN" explore planted --programs "$planted" --json --every $part/3 |
        grep -o '"name":"[^"]*"'
done | sort >"$work/every"
check every test "$(sort -u "$work/every" | wc -l)" -eq 6
check every-once test "$(wc -l <"$work/every")" -eq 6

# --- plain memory, and what C11 lets loads find

run race 1 planted/a-race-that-does-no-harm
has '"complete":true,"failed":1,"what":"data race: '
has '"races":2,"memory":"sc"'
has '"sites":["data race: '
run race-unseen 0 planted/a-race-that-does-no-harm --no-races
has '"failed":0,"races":null,"memory":"sc"'
run older-not-found 0 planted/needs-an-older-value
has '"failed":0,"races":0,"memory":"sc"'
run older 1 planted/needs-an-older-value --memory relaxed
has '"what":"the flag came before what it tells of"'
has '"races":0,"memory":"relaxed"'
run older-enough 1 planted/needs-an-older-value --memory relaxed --older 2
# Each of these lines says what it needs.
for of in 'needs-an-older-value --memory relaxed' a-race-that-does-no-harm \
    'a-lost-addition --no-races'; do
    "$ASPEN" explore planted/$of --programs "$planted" >"$work/out" 2>&1
    line=$(sed -n "s/^  replay: aspen explore --replay '\(.*\)'$/\1/p" \
        "$work/out")
    what=$(sed -n 's/^  \(data race\|the flag\|an addition\)/&/p' "$work/out")
    "$ASPEN" explore --replay "$line" --programs "$planted" >"$work/again" 2>&1
    check "replay-$of" test $? -eq 1
    check "replay-$of-says" grep -qxF -- "$(head -1 <<<"$what")" "$work/again"
done
check race-besides grep -q '^  besides: data race: ' <(
    "$ASPEN" explore planted/a-race-that-does-no-harm --programs "$planted")

# --- how it fails, for a person

"$ASPEN" explore planted/a-lost-addition --programs "$planted" >"$work/out" 2>&1
check out-status test $? -eq 1
check out-fails grep -q '^FAIL .*planted/a-lost-addition$' "$work/out"
check out-says grep -q '^  an addition is lost$' "$work/out"
check out-sum grep -q '^1 scenarios, [0-9]* schedules, at most 1 preemptions: 1 failed$' \
    "$work/out"
line=$(sed -n "s/^  replay: aspen explore --replay '\(.*\)'$/\1/p" "$work/out")
# Two switches: away and back again.
check out-shrunk test "$(wc -w <<<"$line")" -eq 4
if command -v addr2line >/dev/null; then
    check out-load grep -qE \
        'task 0 +tests/explore/explorer/planted.c:[0-9]+ +add_racy +load +counter \+ 0x0' \
        "$work/out"
    check out-store grep -qE \
        'task 1 +tests/explore/explorer/planted.c:[0-9]+ +add_racy +store +counter \+ 0x0' \
        "$work/out"
else
    skip out-places 'no addr2line'
fi
check out-left-out grep -q 'steps that nobody else sees' "$work/out"
"$ASPEN" explore --replay "$line" --programs "$planted" >"$work/again" 2>&1
check replay test $? -eq 1
check replay-says grep -q '^  an addition is lost$' "$work/again"
check replay-holds "$ASPEN" explore --programs "$planted" \
    --replay 'planted/a-lost-addition 0*7 1*7'
# A crash ends its program, and no other scenario.
"$ASPEN" explore planted/a-crash --programs "$planted" >"$work/out" 2>&1
check crash test $? -eq 1
check crash-says grep -qi 'segmentation' "$work/out"
check crash-shown grep -q 'task 1' "$work/out"

# --- the page

"$ASPEN" explore planted --programs "$planted" --html "$work/page" \
    >"$work/out" 2>&1
check html-status test $? -eq 1
page()
{
    check "html-has-$1" grep -qF -- "$1" "$work/page"
}
page '<td>planted/additions-under-a-lock</td><td class="n">1</td>'
page '<a class="bad" href="#planted/a-lost-addition">'
page '<h2 id="planted/a-lost-addition">'
page 'prefers-color-scheme: dark'
page "aspen explore --replay 'planted/a-lost-addition 0*"
page "aspen explore --replay 'planted/a-race-that-does-no-harm 0*"
page '<th>task 0</th><th>task 1</th>'
if command -v addr2line >/dev/null; then
    # The second task's lane: one cell is empty before it.
    check html-lane grep -qE \
        '^<tr><td></td><td class="on"><b>store</b> counter \+ 0x0<br><small>add_racy tests/explore/explorer/planted.c:[0-9]+</small>' \
        "$work/page"
    check html-switch grep -q '^<tr class="switch"><td></td><td class="on">' \
        "$work/page"
else
    skip html-places 'no addr2line'
fi
check html-alone sh -c "! grep -qE 'https?:|<script|src=|@import|url\(' '$work/page'"
"$ASPEN" explore planted/needs-two --programs "$planted" --preemptions 2 \
    --html "$work/page" >"$work/out" 2>&1
page 'both were &#34;seen&#34;'
expect 2 'nowhere/page' \
    explore planted --programs "$planted" --html "$work/nowhere/page"
expect 2 '--list takes nothing else' explore --list --html "$work/page"

# --- cache lines

if [ -x "$(dirname "$ASPEN")/aspen-conflicts" ]; then
    "$ASPEN" explore --conflicts --json --html "$work/page" >"$work/json"
    check conflicts test $? -eq 0
    has '"schema":"aspen.conflicts/1"'
    page '<h2>page</h2>'
    page '<tr><th>first touch</th><td class="'
    check html-fields grep -qE 'title="[^"]*page table' "$work/page"
    check conflicts-text sh -c \
        "'$ASPEN' explore --conflicts | grep -q '^one page table, different'"
else
    skip conflicts "no aspen-conflicts beside $ASPEN"
fi
expect 2 '--conflicts takes no scenario' explore --conflicts all
expect 2 'take no orders' explore --conflicts --preemptions 2

# --- parts

for scenarios in planted/additions-under-a-lock planted/needs-two; do
    for k in 0 1; do
        for part in 1 2 3; do
            "$ASPEN" explore $scenarios --programs "$planted" \
                --preemptions $k --shard $part/3 >"$work/part$part"
        done
        "$ASPEN" explore $scenarios --programs "$planted" \
            --preemptions $k --shard 1/1 >"$work/whole"
        "$ASPEN" explore --merge "$work/whole" --json >"$work/whole.json"
        "$ASPEN" explore --merge "$work"/part[123] --json >"$work/json"
        check "parts-$scenarios-$k" diff "$work/whole.json" "$work/json"
    done
done
has '"complete":true,"failed":0'
cat "$work"/part[123] >"$work/together"
check merge-lines "$ASPEN" explore --merge "$work/together"
"$ASPEN" explore planted --programs "$planted" --shard 1/1 >"$work/failing"
"$ASPEN" explore --merge "$work/failing" >"$work/out" 2>&1
check merge-failed test $? -eq 1
"$ASPEN" explore --merge "$work/failing" --html "$work/page" >"$work/out" 2>&1
page '<h2 id="planted/a-lost-addition">'
check merge-how grep -q "replay: aspen explore --replay 'planted/a-lost" \
    "$work/out"
expect 2 '1 of 3 shards are missing: 2/3$' \
    explore --merge "$work/part1" "$work/part3"
expect 2 'shard 1 of 3 is in .*part1, and again in .*together' \
    explore --merge "$work/part1" "$work/together"
expect 2 'is one of 1 shards, others are of 3' \
    explore --merge "$work/part1" "$work/whole"
"$ASPEN" explore planted/a-race-that-does-no-harm --programs "$planted" \
    --shard 1/2 >"$work/race1"
"$ASPEN" explore planted/a-race-that-does-no-harm --programs "$planted" \
    --shard 2/2 >"$work/race2"
"$ASPEN" explore --merge "$work/race1" "$work/race2" --json >"$work/json"
check merge-races test $? -eq 1
has '"races":2,"memory":"sc"'
expect 2 'another --memory' explore --merge "$work/race1" \
    <("$ASPEN" explore planted/a-race-that-does-no-harm --programs "$planted" \
        --memory relaxed --shard 2/2)
expect 2 'has other scenarios' explore --merge "$work/part1" \
    <("$ASPEN" explore planted/a-crash --programs "$planted" --shard 2/3)
expect 2 'another bound of preemptions' explore --merge "$work/part1" \
    <("$ASPEN" explore planted/needs-two --programs "$planted" --shard 2/3 \
        --preemptions 0)
head -c 100 "$work/part1" >"$work/cut"
expect 2 'cut is not what --shard has printed' explore --merge "$work/cut"
echo '{"schema":"aspen.explore/1","scenarios":[{"name":1}]}' >"$work/bad"
expect 2 'bad is not what --shard has printed: there is no shard' \
    explore --merge "$work/bad"
echo '{"schema":"aspen.fuzz/1"}' >"$work/bad"
expect 2 'its schema is not aspen.explore/1' explore --merge "$work/bad"
: >"$work/bad"
expect 2 'it is empty' explore --merge "$work/bad"
expect 2 'cannot read .*nothing' explore --merge "$work/nothing"

# --- what is refused

mkdir "$work/plain"
cp "$planted/test_planted" "$work/plain"

expect 2 'give SCENARIO, or all' explore
expect 2 "no scenario 'planted/nonsense'" \
    explore planted/nonsense --programs "$planted"
expect 2 "no scenario 'plan'" explore plan --programs "$planted"
expect 2 'all is every scenario' explore all planted --programs "$planted"
expect 2 "'planted/a-crash' is given twice" \
    explore planted planted/a-crash --programs "$planted"
expect 2 "there is no program test_\* in $work" explore all --programs "$work"
for value in '' -1 x 1.5 1001; do
    expect 2 "--preemptions takes a number up to 1000, or any, not '$value'" \
        explore all --preemptions "$value"
done
for value in '' 1 0/3 4/3 1/0 x/y 1/ /2 1/2/3 1/100001; do
    expect 2 "--shard takes I/N, from 1/N to N/N, N up to 100000, not '$value'" \
        explore all --shard "$value"
done
for option in most random; do
    expect 2 "--$option takes a number from 1 on, not '0'" \
        explore all --$option 0
done
for line in '' planted/a-crash 'planted/a-crash x' 'planted/a-crash 0*1;'; do
    expect 2 '--replay takes a line as a failure prints it' \
        explore --replay "$line" --programs "$planted"
done
expect 2 "no scenario 'planted/x'" \
    explore --replay 'planted/x 0*1' --programs "$planted"
expect 2 "no scenario 'planted'" \
    explore --replay 'planted 0*1' --programs "$planted"
expect 2 'not for each other' explore --list --merge
expect 2 'take no orders' explore --list --preemptions 2
expect 2 '--list takes nothing else' explore --list all
expect 2 'its scenario in the line' explore all --replay 'planted/x 0*1'
expect 2 '--merge takes files' explore --merge
expect 2 '--random goes by no bound' explore all --random 5 --shard 1/2
expect 2 '--seed is of --random' explore all --seed 5
for value in '' 1 0/3 4/3; do
    expect 2 "--every takes I/N, from 1/N to N/N, N up to 100000, not '$value'" \
        explore all --every "$value"
done
expect 2 "--memory takes sc or relaxed, not 'tso'" explore all --memory tso
expect 2 '--older is of --memory relaxed' explore all --older 2
expect 2 'and so for races' explore all --memory relaxed --no-races
expect 2 'has no build that sees plain memory' \
    explore planted --programs "$work/plain" --memory relaxed
expect 2 'take no orders' explore --list --memory relaxed
expect 2 '--shard needs a bound' explore all --shard 1/2 --preemptions any
finish

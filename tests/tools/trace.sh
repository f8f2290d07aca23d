#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Traces: what docs/use/trace.md says of them holds, they are done again with
# every byte as it was written, and what is wrong in one is told with its line.
. "$(dirname "$0")/lib.bash"

document=$ASPEN_HERE/docs/use/trace.md
if ! "$ASPEN" pressure --help >"$work/log" 2>&1; then
    skip trace "$(head -1 "$work/log")"
    finish
fi

# run NAME FILE ARGS...: every byte is right.
run()
{
    local name=$1 file=$2
    shift 2
    "$ASPEN" pressure trace "$file" --memory 1M --json "$@" >"$work/json" \
        2>"$work/err"
    check "$name" test $? -eq 0
    check "$name-silent" diff /dev/null "$work/err"
    check "$name-right" grep -q '"wrong_bytes":0,"lost_pages":0,' "$work/json"
    check "$name-lru" between 0 "$(figure lru_ratio)" "$(figure optimal_ratio)"
    check "$name-hits" between 0 "$(figure hit_ratio)" 1
}

# --- what stands in the document

sed -n '/^aspen.trace/,/^```/p' "$document" | sed '/^```/,$d' >"$work/shown"
run shown "$work/shown"
check shown-pages test "$(figure pages)" -eq 73
check shown-forks test "$(figure forks)" -eq 1

# --- more than there is memory for

# 400 hexadecimal: 1024 pages, of 256 frames.
awk 'BEGIN {
    print "aspen.trace/1"
    print "m 10000 400 rw-p\nw 10000 400\nm 20000 200 r-xp 1 5\nr 20000 200"
    print "m 30000 100 rw-s 2 0\nw 30000 100\nr 30000 100\nf 2\ns 2"
    print "w 10000 80\nr 10000 400\nw 30000 40\ns 1\nr 30000 100"
    print "v 10000 100 50000\nw 50000 20\nr 50000 100\nd 50010 20\nr 50000 40"
    print "p 20000 200 rw-\nw 20000 40\nu 20080 80\nr 20000 80\ns 2"
    print "r 10000 400\nr 20000 200\ne\nn 7\ns 7\nm 1000 200 rw-\nw 1000 200"
    for (i = 0; i < 3000; i++)
        printf "%s %x\n", i % 3 ? "r" : "w", 4096 + (i * i * 7) % 512
}' >"$work/large"
run large "$work/large"
check large-leaves test "$(figure swap_out)" -gt 1000
check large-comes-back test "$(figure swap_in)" -gt 1000
check large-writes-files test "$(figure file_out)" -gt 50
check large-reads-files test "$(figure file_in)" -gt 600
run faults "$work/large" --checksum --faults errors,short,late,gone,lies
check faults-failed test "$(figure failed)" -gt 10
"$ASPEN" pressure trace "$work/large" --memory 1M --faults lies \
    >"$work/out" 2>"$work/err"
check lies-status test $? -eq 1
check lies-told grep -q 'BROKEN [0-9]* bytes are wrong$' "$work/err"

# --- what is wrong: tests/unit/tools/test_recorded.c has it all

# wrong TEXT PATTERN
wrong()
{
    printf "$1" >"$work/wrong"
    expect 2 "$2" pressure trace "$work/wrong"
}

wrong '' 'wrong:1: a trace begins with aspen.trace/1$'
wrong 'aspen.trace/9\n' "wrong:1: only version 1 is known, not '9'$"
wrong 'aspen.trace/1\nm 1 2 rw-\n\nm 2 1 r--\n' 'wrong:4: 1-3 is mapped already$'
wrong 'aspen.trace/1\n#\nr 9\n' 'wrong:3: page 9 is not mapped$'
wrong 'aspen.trace/1\nm 20 1 rw-\nw 2' 'wrong:3: the file ends inside of a line$'
wrong 'aspen.trace/1\nm 1 1 rw-\nw 1\n' 'what line 2 wants is refused: EPERM$'
expect 2 'No such file' pressure trace "$work/no/where"
expect 2 'Is a directory' pressure trace "$work"
expect 2 'trace takes the name of a file' pressure trace
expect 2 "takes no argument 'more'" pressure trace "$work/shown" more
for option in '--pages 9' '--accesses 9' '--threads 2' '--swap none' \
    '--faults full'; do
    # shellcheck disable=SC2086
    expect 2 'trace says itself what is accessed' pressure trace \
        "$work/shown" $option
done
expect 2 'with trace --seed goes with --faults' pressure trace \
    "$work/shown" --seed 3

# --- what aspen shadow records

guest=$(dirname "$ASPEN")/trace_guest
[ -x "$guest" ] || guest=$(dirname "$ASPEN")/../trace_guest
cp "$guest" "$work/guest"
guest=$work/guest

# in_order FILE: these lines are in the trace, one after the other, others
# between them. What is mapped for a file has any number.
in_order()
{
    awk 'NR == FNR { wanted[++count] = $0; next }
        { sub(/rw-s [0-9a-f]* 0$/, "rw-s FILE 0") }
        $0 == wanted[found + 1] { found++ }
        END {
            if (found < count)
                print "not there: " wanted[found + 1]
            exit found < count
        }' - "$1"
}

if can_run_there shadow && may_trace shadow; then
    trace=$work/guest.trace
    "$ASPEN" shadow --trace "$trace" --look 0.002 --json -- \
        "$guest" "$trace" >"$work/json" 2>"$work/err"
    check shadow test $? -eq 0
    check shadow-guest test "$(figure exit_code)" -eq 0
    check shadow-records in_order "$trace" <<'END'
m 100000 10 rw-p
w 100000 4
r 100005
v 100000 10 200000
w 200006
d 200000 2
w 200000
p 200008 4 r--
u 20000c 4
u 200003 1
m 200003 1 rw-p
m 300000 2 rw-s FILE 0
r 300001
f 2
s 2
w 200007
e
s 1
m 400000 10 rw-p
w 400009
w 400001
n 3
e
s 3
e
END
    if grep -q '^# .*: recorded$' "$trace"; then
        check shadow-again grep -q '^w 200003$' "$trace"
        check shadow-shared grep -q '^w 300001$' "$trace"
    else
        skip shadow-again 'this kernel does not tell what is written again'
    fi
    run shadow-replayed "$trace" --memory 2M
    check shadow-forks test "$(figure forks)" -eq 1

    # A process that runs already, which nobody waits for.
    start_sleeper
    "$ASPEN" shadow --pid "$sleeper" --seconds 0.1 --trace "$work/pid.trace" \
        >"$work/out" 2>"$work/err"
    check attached test $? -eq 0
    check attached-mapped grep -q '^m .* r-xp 1 ' "$work/pid.trace"
    check attached-accessed grep -q '^w ' "$work/pid.trace"
    run attached-replayed "$work/pid.trace"
    "$ASPEN" shadow --trace /dev/full -- true >"$work/out" 2>"$work/err"
    check full test $? -eq 2
    check full-told grep -q 'cannot write /dev/full: No space left' "$work/err"
fi
expect 2 'cannot write .*/no/where: No such file' shadow \
    --trace "$work/no/where" -- true
expect 2 'look goes with --trace' shadow --look 1 -- true
expect 2 'look takes seconds' shadow --trace "$work/x" --look x -- true

# --- what valgrind prints

# The lines of the document, one of the first program and one of awk.
sed -n '/^awk/,/accesses >ls.trace$/p' "$document" |
    sed 's/ >ls.trace$//' >"$work/convert"
check document test "$(wc -l <"$work/convert")" -gt 10
cat >"$work/accesses" <<'END'
==123== Lackey, an example Valgrind tool
I  04001090,3
 S 1ffefff478,8
 L 1ffefff478,8
 M 123,4
I  04001093,5
==123== Exit code:       0
END
(cd "$work" && bash convert >converted)
check converted diff - "$work/converted" <<'END'
aspen.trace/1
m 04001 1 rw-
r 04001
m 1ffefff 1 rw-
w 1ffefff
r 1ffefff
m 0 1 rw-
w 0
r 04001
END
if ! command -v valgrind >"$work/log"; then
    skip valgrind 'no valgrind'
elif ! valgrind --tool=lackey --trace-mem=yes --log-file="$work/accesses" \
    true >"$work/log" 2>&1; then
    skip valgrind "$(tail -1 "$work/log")"
else
    (cd "$work" && bash convert >true.trace)
    run valgrind "$work/true.trace"
    check valgrind-pages test "$(figure pages)" -gt 20
    check valgrind-accesses test "$(figure accesses)" -gt 1000
fi
finish

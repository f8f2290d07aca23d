#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Pages that rehearse, shadow and fuzz write: one file that is whole, has the data
# that the pictures are drawn from, and asks for nothing else. That they are drawn,
# and what happens when one clicks, tests/pages sees in a browser; the pages of
# pressure and explore are looked at in their own tests.
. "$(dirname "$0")/lib.bash"

broken=${ASPEN_BROKEN_BUILD:?an aspen whose calls are broken}
page=$work/page.html

# whole NAME: it has a beginning, an end, and nothing that leads elsewhere.
whole()
{
    check "$1-begins" grep -q '^<!doctype html>$' "$page"
    check "$1-ends" sh -c "tail -n 1 '$page' | grep -qx '</html>'"
    check "$1-alone" sh -c \
        "! grep -qE 'https?:|<script[^>]* src=|<link|@import|url\(' '$page'"
    check "$1-data-once" test "$(grep -c 'id="data"' "$page")" -le 1
}

# data KEY: how many entries its list of lists has.
entries()
{
    grep -o "\"$1\":\[\[.*" "$page" | sed 's/\]\].*//' | grep -o '\],\[' | wc -l
}

# --- rehearse

"$ASPEN" rehearse --snapshot "$snapshots/swap.snap" --html "$page" >"$work/out"
check rehearse-status test $? -eq 0
whole rehearse
check rehearse-result grep -q '<dt>Result</dt><dd>every promise held</dd>' "$page"
check rehearse-mappings test $(($(entries mappings) + 1)) -eq \
    "$(sed -n 's/^size *\([0-9]*\) mappings.*/\1/p' "$work/out")"
check rehearse-views test "$(grep -c '^<div data-view=' "$page")" -eq 2
check rehearse-none-broken sh -c "! grep -qE '\"once\":\"[^\"]*b' '$page'"
held=$(grep -oE '"(once|onward|interrupt)":"[^"]*"' "$page" | sed 's/.*:"//' |
    tr -cd h | wc -c)
check rehearse-all-held test "$held" -eq \
    "$(sed -n 's/^rehearsals  \([0-9]*\) of.*/\1/p' "$work/out")"
ASPEN_BROKEN=child "$broken" rehearse --snapshot "$snapshots/swap.snap" \
    --html "$page" >"$work/out"
check rehearse-broken-status test $? -eq 1
whole rehearse-broken
check rehearse-broken-shown grep -qE '"once":"[^"]*b' "$page"
check rehearse-broken-replay grep -q -- '--step 1 --kind once</code>' "$page"
expect 2 'cannot write .*No such file' rehearse \
    --snapshot "$snapshots/swap.snap" --html "$work/no/where"
"$ASPEN" rehearse --snapshot "$snapshots/swap.snap" --html /dev/full \
    >"$work/out" 2>"$work/err"
check rehearse-full-status test $? -eq 2
check rehearse-full grep -q 'cannot write /dev/full: No space' "$work/err"
# Names of files are bytes: markup in them is text, and so is what is no UTF-8.
strange=$work/$(printf 'a<b>&"\377.snap')
cp "$snapshots/guard.snap" "$strange"
"$ASPEN" rehearse --snapshot "$strange" --html "$page" >"$work/out"
whole strange
check strange-name sh -c "! grep -q 'a<b>' '$page'"
check strange-bytes sh -c "! LC_ALL=C grep -qa '$(printf '\377')' '$page'"

# --- shadow

if may_trace shadow; then
    "$ASPEN" shadow --html "$page" -- ls / >"$work/out" 2>&1
    check shadow-status test $? -eq 0
    whole shadow
    check shadow-result grep -q 'Aspen decided as the kernel did' "$page"
    check shadow-events test "$(entries events)" -gt 5
    check shadow-calls grep -q '"mmap"' "$page"
    check shadow-no-difference sh -c "! grep -q '>Differences<' '$page'"
    ASPEN_BROKEN=mappings "$broken" shadow --html "$page" -- ls / \
        >"$work/out" 2>&1
    check shadow-broken-status test $? -eq 1
    whole shadow-broken
    check shadow-broken-told grep -q '<td class="bad">process' "$page"
    check shadow-broken-marked grep -qE '"",true\]' "$page"
    expect 2 'cannot write .*No such file' shadow --html "$work/no/where" -- ls
fi

# --- fuzz

"$ASPEN" fuzz --calls 50 --html "$page" >"$work/out" 2>"$work/err"
status=$?
if [ $status -eq 2 ]; then
    skip fuzz "$(tail -n 1 "$work/err")"
else
    check fuzz-status test $status -eq 0
    whole fuzz
    check fuzz-result grep -q 'no unexplained difference' "$page"
    ASPEN_BROKEN=mappings "$broken" fuzz --calls 20000 --html "$page" \
        --output "$work/program.c" >"$work/out" 2>&1
    check fuzz-broken-status test $? -eq 1
    whole fuzz-broken
    check fuzz-broken-marked grep -q '"differs":true' "$page"
    check fuzz-broken-sides grep -qE '"kernel":\[.*"Aspen":\[' "$page"
    "$ASPEN" fuzz --replay "$work/program.c" --html "$page" >"$work/out" 2>&1
    check fuzz-replay-status test $? -eq 0
    check fuzz-replay-strip sh -c "grep -q '\"differs\":false' '$page' &&
        ! grep -q '\"differs\":true' '$page'"
fi
expect 2 'no --seconds, --length, --output, --html' fuzz \
    --failing "$snapshots/swap.snap" --html "$page"
finish

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# tests/pages/check.sh BUILD: the pages that --html of the tools write, opened in
# Debian's Chromium, in a bright and in a dark window, and clicked through
# (click.js). Pictures of them stay in BUILD/pages, to be looked at. Pages that are
# broken in four ways have to fail.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$1
. scripts/check/lib.bash

scripts/deps.sh pages || :
browser=$(command -v chromium) || skip_all check-pages 'no chromium'
mkdir -p "$build/pages"
work=$(cd "$build/pages" && pwd)
aspen=$(realpath "$build/aspen") broken=$(realpath "$build/aspen-broken")
log=$work/log
tests=$PWD/tests/pages

# browse PAGE OPTION...
browse()
{
    local page=$1
    shift
    timeout 120 "$browser" --no-sandbox --headless --disable-gpu \
        --user-data-dir="$work/profile" --virtual-time-budget=20000 \
        --window-size=1100,1200 "$@" "file://$page" 2>"$work/browser"
}

# With a reader behind it.
with_reader()
{
    grep -v '^</html>$' "$1"
    echo '<script>'
    cat "$tests/click.js"
    echo '</script></html>'
}

# clicked PAGE: everything that the reader looked at was right.
clicked()
{
    with_reader "$1" >"$work/reading.html"
    browse "$work/reading.html" --dump-dom |
        sed -n '/<pre id="clicked">/,/<\/pre>/p' |
        sed 's/<pre id="clicked">//' >"$work/lines"
    cat "$work/lines"
    grep -q '^clicked$' "$work/lines" && ! grep -q '^FAIL' "$work/lines"
}

not_clicked()
{
    ! clicked "$1"
}

shown()
{
    browse "$work/$1.html" --screenshot="$work/$1.png" >/dev/null
    browse "$work/$1.html" --blink-settings=preferredColorScheme=0 \
        --screenshot="$work/$1-dark.png" >/dev/null
    test -s "$work/$1.png" -a -s "$work/$1-dark.png" &&
        ! cmp -s "$work/$1.png" "$work/$1-dark.png"
}

# page NAME COMMAND...: writes it, whatever else it says.
page()
{
    local name=$1
    shift
    "$@" --html "$work/$name.html" >"$work/out" 2>&1 || :
    try "$name: opened and clicked" clicked "$work/$name.html"
    try "$name: shown, bright and dark" shown "$name"
}

# shadow NAME COMMAND...: the same, with a program to follow.
shadow()
{
    local name=$1
    shift
    "$@" shadow --html "$work/$name.html" -- bash -c \
        'for i in 1 2 3; do ls / >/dev/null; done' >"$work/out" 2>&1 || :
    try "$name: opened and clicked" clicked "$work/$name.html"
    try "$name: shown, bright and dark" shown "$name"
}

page rehearse "$aspen" rehearse --snapshot tests/snapshots/vmas5000.snap --sample 50
export ASPEN_BROKEN=child
page rehearse-broken "$broken" rehearse --snapshot tests/snapshots/swap.snap
unset ASPEN_BROKEN
cat >"$work/many.c" <<'C'
#include <sys/mman.h>
#include <unistd.h>
int
main(void)
{
    char *at = mmap(0, 60000L * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < 60000; i += 2)
        mprotect(at + i * 4096, 4096, PROT_READ | PROT_WRITE);
    for (long i = 0; i < 60000; i += 6)
        at[i * 4096] = 1;
    return pause();
}
C
"${CC:-gcc}" -O1 -o "$work/many" "$work/many.c" || exit 2
try 'a process of 60,000 mappings' timeout 300 "$aspen" rehearse --sample 20 \
    --html "$work/many.html" -- "$work/many"
try 'many: opened and clicked' clicked "$work/many.html"
try 'many: shown, bright and dark' shown many
shadow shadow "$aspen"
shadow shadow-broken env ASPEN_BROKEN=mappings "$broken"
export ASPEN_BROKEN=mappings
page fuzz-broken "$broken" fuzz --calls 20000 --output "$work/program.c"
unset ASPEN_BROKEN
page fuzz "$aspen" fuzz --calls 200
page pressure "$aspen" pressure phase --memory 4M --accesses 200000
if [ -x "$build/tests/planted/test_planted" ]; then
    page explore "$aspen" explore planted --programs "$build/tests/planted"
fi

# planted WHAT EXPRESSION: in the page of a rehearsal.
planted()
{
    sed "$2" "$work/rehearse.html" >"$work/planted.html"
    cmp -s "$work/rehearse.html" "$work/planted.html" &&
        echo "nothing was planted: $1"
    try "seen: $1" not_clicked "$work/planted.html"
}
planted 'data that is cut off' 's/"mappings":/"mapping":/'
planted 'a view that does not draw' 's/at.fillRect(x, y + (row/at.clearRect(x, y + (row/; s/at.fillRect(x, y, cell/at.clearRect(x, y, cell/'
planted 'a pointer that finds nothing' 's/const mappingAt = page => {/&return -1;/'
planted 'a zoom that does nothing' 's/    zoom(factor, at) {/&return;/'
finish

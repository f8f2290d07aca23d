# SPDX-License-Identifier: MIT
#
# Sourced by tests/harness/*.sh: the scripts that run tests are tested with
# programs that are none, in folders that are copies of this one as far as the
# script looks. Nothing is counted by what is tested here.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
top=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/aspen-harness-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
harness_passed=0 harness_failed=0 harness_skipped=0

# expect NAME STATUS LAST COMMAND...: it ends so, and its last line is LAST. What
# it says is in $work/out.
expect()
{
    local name=$1 status=$2 last=$3 got
    shift 3
    "$@" >"$work/out" 2>&1 </dev/null
    got=$?
    if [ $got -eq "$status" ] && [ "$(tail -n 1 "$work/out")" = "$last" ]; then
        harness_passed=$((harness_passed + 1))
        return
    fi
    harness_failed=$((harness_failed + 1))
    echo "FAIL $name: status $got, not $status, or the last line is not '$last'"
    tail -n 12 "$work/out" | sed 's/^/    /'
}

# says NAME PATTERN: a line of what the last command said fits.
says()
{
    if grep -qE -- "$2" "$work/out"; then
        harness_passed=$((harness_passed + 1))
        return
    fi
    harness_failed=$((harness_failed + 1))
    echo "FAIL $1: no line /$2/"
    tail -n 12 "$work/out" | sed 's/^/    /'
}

# is NAME GOT WANTED
is()
{
    if [ "$2" = "$3" ]; then
        harness_passed=$((harness_passed + 1))
        return
    fi
    harness_failed=$((harness_failed + 1))
    echo "FAIL $1: '$2', not '$3'"
}

# leave_out NAME WHY
leave_out()
{
    harness_skipped=$((harness_skipped + 1))
    echo "skipped $1: $2"
}

# program PATH: what it does is read from standard input, in bash.
program()
{
    mkdir -p "$(dirname "$1")"
    { echo '#!/usr/bin/env bash' && cat; } >"$1"
    chmod 755 "$1"
}

# copy_to FOLDER FILE...
copy_to()
{
    local folder=$1 file
    shift
    for file; do
        mkdir -p "$folder/$(dirname "$file")"
        cp "$top/$file" "$folder/$file"
    done
}

end_harness()
{
    echo "$harness_passed passed, $harness_failed failed," \
        "$harness_skipped skipped"
    [ $harness_failed -eq 0 ]
    exit
}

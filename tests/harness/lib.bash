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

# judge WHY COMMAND...: it holds, or this is why it should.
judge()
{
    if "${@:2}"; then
        harness_passed=$((harness_passed + 1))
        return
    fi
    harness_failed=$((harness_failed + 1))
    echo "FAIL $1"
    return 1
}

said()
{
    tail -n 12 "$work/out" | sed 's/^/    /'
}

ended()
{
    [ "$1" -eq "$2" ] && [ "$(tail -n 1 "$work/out")" = "$3" ]
}

# expect NAME STATUS LAST COMMAND...: it ends so, and its last line is LAST. What
# it says is in $work/out.
expect()
{
    local name=$1 status=$2 last=$3 got
    shift 3
    "$@" >"$work/out" 2>&1 </dev/null
    got=$?
    judge "$name: status $got, not $status, or the last line is not '$last'" \
        ended $got "$status" "$last" || said
}

# says NAME PATTERN: a line of what the last command said fits.
says()
{
    judge "$1: no line /$2/" grep -qE -- "$2" "$work/out" || said
}

# is NAME GOT WANTED
is()
{
    judge "$1: '$2', not '$3'" [ "$2" = "$3" ]
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

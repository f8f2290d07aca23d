#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/examples.sh DIR: run the examples that were built into DIR. Where a
# page of docs/ shows what an example prints (the block after a line
# <!-- output of examples/NAME.c -->), it has to be that.
set -u
cd "$(dirname "$0")/../.." || exit 2
dir=${1:?usage: scripts/check/examples.sh DIR}
. scripts/check/lib.bash

fail()
{
    failed=$((failed + 1))
    echo "FAIL $1"
}

for source in examples/*.c examples/*.cpp; do
    name=$(basename "${source%.*}")
    # Where everything is cross-compiled there is a compiler for C alone.
    if [ "${source%.cpp}" != "$source" ] && [ ! -x "$dir/$name" ]; then
        skip "$name" 'not built: no C++ compiler for this processor'
        continue
    fi
    if timeout --foreground 60 "$dir/$name" >"$dir/$name.out" 2>&1; then
        passed=$((passed + 1))
    else
        fail "$name: exit status $?"
        tail -n 20 "$dir/$name.out"
        continue
    fi
    for page in $(grep -l "^<!-- output of $source -->" README.md docs/*/*.md); do
        if awk -v mark="<!-- output of $source -->" '
            $0 == mark {found = 1; next}
            found && /^```/ {if (on) exit; on = 1; next}
            on {print}' "$page" | diff "$dir/$name.out" - >"$dir/diff"; then
            passed=$((passed + 1))
        else
            fail "$page does not show what $name prints:"
            head -n 40 "$dir/diff"
        fi
    done
done
finish

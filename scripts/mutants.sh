#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Plant each mistake of tests/mutants/*.patch in a copy of the project, build
# it, and see the suite fail. A mutant that no test finds, or that does not
# apply or build, makes this fail.
#
# usage: scripts/mutants.sh [NAME...]    (default: all of tests/mutants)
#
# Last line: mutants: N planted, N found
set -eu

jobs=${JOBS:-2}
top=$(pwd)
work=${BUILD:-build}/mutants
planted=0
found=0

[ $# -gt 0 ] || set -- $(cd tests/mutants && ls *.patch | sed 's/\.patch$//')

# What a mutant is a copy of: the project as it is in the work tree.
copy() {
    mkdir -p "$1"
    git ls-files -co --exclude-standard 2>/dev/null >"$work/files" ||
        find . -type f -not -path './build/*' -not -path './.git/*' \
            >"$work/files"
    tar -cf - -T "$work/files" | tar -xf - -C "$1"
}

# The suite: unit tests first, then some orders with plain memory and C11's (which
# alone see locks and orders that x86-64 can do without), then all, and those with
# few preemptions to their end; of a mistake in a tool the test that breaks each of
# its comparisons, and of one in a port the contract under ThreadSanitizer, too; of
# one in a script what tests those.
# Prints what failed.
suite() {
    cd "$1"
    targets="unit explore-memory explore explore-bound"
    case $(sed -n 's,^+++ b/,,p' "${2:-/dev/null}") in
    tools/aspen/*) targets="unit tools-check" ;;
    ports/sim/*) targets="explore-memory explore" ;;
    ports/*) targets="unit explore tsan/test_contract" ;;
    scripts/*) targets=check-harness ;;
    esac
    # Builds without ASPEN_PORT_ICACHE_SYNC have nothing of it.
    ! grep -q '^-.*aspen_icache_' "${2:-/dev/null}" || targets=unit-icache
    make -j"$jobs" build/libaspen-test.a >build.log 2>&1 || {
        echo "does not build"
        return 2
    }
    for target in $targets; do
        make -n "$target" >/dev/null 2>&1 || continue
        if ! timeout 600 make -j"$jobs" TOOL_TESTS=tests/tools/broken.sh \
            "$target" >"$target.log" 2>&1; then
            grep -hE \
                'FAILED  \]|LINE   \]|ERROR   \]|assertion failed|panic|^FAIL|WARNING: Thread' \
                "$target.log" build/log/*.log 2>/dev/null |
                head -1 | cut -c1-120
            return 1
        fi
    done
    return 0
}

mkdir -p "$work"

# The control: without a mistake the suite passes, or it says nothing.
rm -rf "$work/control"
copy "$work/control"
if ! how=$( (suite "$top/$work/control") 2>&1); then
    echo "the suite fails without a mutant: $how"
    exit 1
fi

for name; do
    patch=$top/tests/mutants/$name.patch
    tree=$top/$work/$name
    planted=$((planted + 1))
    rm -rf "$tree"
    cp -a "$work/control" "$tree" # built: only what the mistake is in is new
    if ! patch -s -d "$tree" -p1 <"$patch" >"$work/$name.log" 2>&1; then
        echo "$name: the patch does not apply"
        continue
    fi
    status=0
    how=$( (suite "$tree" "$patch") 2>&1) || status=$?
    case $status in
    0) echo "$name: NOT FOUND" ;;
    1)
        found=$((found + 1))
        echo "$name: found: $how"
        rm -rf "$tree"
        ;;
    *) echo "$name: $how" ;;
    esac
done
rm -rf "$work/control"
echo "mutants: $planted planted, $found found"
[ "$planted" -eq "$found" ]

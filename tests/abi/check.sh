#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check.sh BUILD LIBRARY [record]: what a program that was compiled against the
# public headers relies on - functions, their parameters, sizes and members of
# structures - beside what the last release had, by libabigail. What came since is
# counted; what went or changed fails: there a program has to be compiled again,
# or changed, and CHANGELOG.md tells whom it concerns. `record` writes it down
# anew, as a release does, and before 1.0 who changes it.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$1 library=$2 how=${3:-compare}
: "${CC:=gcc}"
recorded=$(echo tests/abi/aspen-*.abi)
mkdir -p "$build/abi"
log=$build/abi/log
. scripts/check/lib.bash

# Sizes of others are the same but for names of registers.
[ "$(uname -m)" = x86_64 ] || skip_all check-abi 'what is recorded is x86-64'
scripts/deps.sh abi || skip_all check-abi 'no libabigail'

headers=(include/aspen/*.h include/aspen/*/*.h ports/posix/aspen_posix*.h)
# What the headers declare and the library has: the rest is its own affair.
public()
{
    comm -12 \
        <(nm -g --defined-only "$library" | awk 'NF == 3 {print $3}' | sort -u) \
        <(grep -oh 'aspen_[a-z0-9_]*(' "${headers[@]}" | tr -d '(' | sort -u)
}

# An archive has no interface: a program that has all of it, and shows that.
dump()
{
    {
        echo '{'
        public | sed 's/$/;/'
        echo '};'
    } >"$build/abi/public"
    echo 'int main(void) { return 0; }' >"$build/abi/main.c"
    $CC -o "$build/abi/all" "$build/abi/main.c" \
        -Wl,--export-dynamic-symbol-list="$build/abi/public" \
        -Wl,--whole-archive "$library" -Wl,--no-whole-archive \
        -lurcu-bp -lpthread &&
        abidw --headers-dir include --drop-private-types --no-show-locs \
            --no-corpus-path --no-comp-dir-path --no-elf-needed \
            --exported-interfaces-only --no-parameter-names --out-file "$1" "$build/abi/all"
}

# The tools' bits: 4 something differs, 8 and what was there does so.
differs()
{
    abidiff --no-added-syms "$1" "$2" >"$log" 2>&1
    [ $(($? & 12)) -ne 0 ]
}

same()
{
    ! differs "$1" "$2" || { cat "$log"; false; }
}

# planted WHAT EXPRESSION: so changed, today's interface is not the recorded one.
planted()
{
    sed "$2" "$build/abi/now.abi" >"$build/abi/planted.abi"
    try "seen: $1" differs "$build/abi/now.abi" "$build/abi/planted.abi"
}

try 'the interface can be read' dump "$build/abi/now.abi" || finish
functions=$(grep -c '<function-decl' "$build/abi/now.abi")
try "functions: $functions, as many as are public" \
    test "$functions" -eq "$(public | wc -l)"
if [ "$how" = record ]; then
    rm -f "$recorded"
    recorded=tests/abi/aspen-$(sed -n \
        's/.*ASPEN_VERSION_STRING "\(.*\)"/\1/p' include/aspen/version.h).abi
    cp "$build/abi/now.abi" "$recorded"
    echo "recorded: $recorded"
fi
try "the same as $recorded" same "$recorded" "$build/abi/now.abi"
planted 'a function that has gone' 's/aspen_munmap/aspen_munmap_gone/g'
planted 'a structure that has grown' \
    "/name='aspen_mmap_args'/s/size-in-bits='[0-9]*'/size-in-bits='4096'/"
planted 'a member that has moved' \
    "/name='aspen_mmap_args'/,/<.class-decl>/s/offset-in-bits='64'/offset-in-bits='128'/"
finish

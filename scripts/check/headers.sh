#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/headers.sh [CC] [CXX] [CLANGXX]: each public header compiles alone as
# C99, C11, C++11 and, by both compilers, C++17, without warnings, and none of them
# reaches the port or the core. What a header declares has C's linkage: its functions
# are found in a library that was compiled as C.
set -u
cd "$(dirname "$0")/../.." || exit 2
cc=${1:-gcc}
cxx=${2:-g++}
clangxx=${3:-clang++}
warnings="-Wall -Wextra -Wconversion -pedantic -Werror"
. scripts/check/lib.bash

# $1: what; the rest: the compiler and its options. The source is on stdin.
compiles()
{
    local what=$1 output
    shift
    if output=$("$@" $warnings -fsyntax-only - 2>&1); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $what"
        printf '%s\n' "$output" | sed 's/^/     /'
    fi
}

for header in include/aspen/*.h include/aspen/*/*.h ports/posix/aspen_posix.h \
    ports/posix/aspen_posix_file.h; do
    folder=include
    [ "${header#include/}" != "$header" ] || folder=ports/posix
    source="#include <${header#"$folder"/}>"
    for standard in c99 c11; do
        compiles "$header as $standard" $cc -std=$standard -Wshadow -x c -Iinclude -I$folder \
            <<<"$source"
    done
    compiles "$header as c++11" $cxx -std=c++11 -x c++ -Iinclude -I$folder <<<"$source"
    for compiler in "$cxx" "$clangxx"; do
        compiles "$header as c++17 by $compiler" $compiler -std=c++17 -x c++ \
            -Wpedantic -Iinclude -I$folder <<<"$source"
    done
    # A declaration of a function outside of extern "C" would have C++'s name.
    if grep -q '^[a-z].*aspen_[a-z0-9_]*(\|^ASPEN_MUST_USE' "$header"; then
        if grep -q '^extern "C" {' "$header"; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "FAIL $header: no extern \"C\""
        fi
    fi
done
# The code in the guide of aspen.h, which is set off by five spaces.
guide=$(echo '#include <aspen/aspen.h>'
    sed -n 's/^ \*     \([^ ].*\|  *[^ ].*\)$/\1/p' include/aspen/aspen.h |
        sed '/^static int/,/^}/!d'
    echo 'int guide(struct aspen *m, uint64_t *at);'
    echo 'int guide(struct aspen *m, uint64_t *at) { return first_page(m, at); }')
compiles "aspen.h: the guide" $cc -std=c99 -Wshadow -x c -Iinclude <<<"$guide"

finish

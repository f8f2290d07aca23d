#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/headers.sh [CC] [CXX]: each public header compiles alone as C99, C11
# and C++11, without warnings, and none of them reaches the port or the core.
set -u
cd "$(dirname "$0")/../.." || exit 2
cc=${1:-gcc}
cxx=${2:-g++}
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
done
# The code in the guide of aspen.h, which is set off by five spaces.
guide=$(echo '#include <aspen/aspen.h>'
    sed -n 's/^ \*     \([^ ].*\|  *[^ ].*\)$/\1/p' include/aspen/aspen.h |
        sed '/^static int/,/^}/!d'
    echo 'int guide(struct aspen *m, uint64_t *at);'
    echo 'int guide(struct aspen *m, uint64_t *at) { return first_page(m, at); }')
compiles "aspen.h: the guide" $cc -std=c99 -Wshadow -x c -Iinclude <<<"$guide"

finish

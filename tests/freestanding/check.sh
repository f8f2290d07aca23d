#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check.sh OUTDIR: build the core as a kernel would, over the template port,
# with gcc and clang, for x86-64 and AArch64, with clang for RISC-V, release and
# test build, and look at what comes out:
#
#   - it compiles without warnings and without floating point;
#   - it needs nothing but what the template port declares `extern`, and
#     memcpy, memmove, memset and memcmp;
#   - it has no writable data: all state belongs to a machine;
#   - every global name starts with aspen_;
#   - no call takes more than a page of stack (gcc's release build, which says).
#
# For 32 bits, and for a processor without page-table formats, it does not
# compile, and says why.
#
# A compiler that is not installed is a skip.
set -u
# What a cache gives back has no call graph beside it.
export CCACHE_DISABLE=1
cd "$(dirname "$0")/../.." || exit 2
out=${1:?usage: check.sh OUTDIR}
passed=0
failed=0
skipped=0

flags="-std=c11 -O2 -ffreestanding -nostdlib -fno-stack-protector -fno-pic
       -fno-pie -fno-asynchronous-unwind-tables
       -Wall -Wextra -Wconversion -Wshadow -Wvla -Werror
       -Iinclude -Isrc -Iports/template"

allowed_symbols()
{
    printf '%s\n' memcpy memmove memset memcmp
    tr '\n' ' ' <ports/template/aspen_port.h | grep -o 'extern [^;]*;' |
        sed -E 's/^[^(]*[ *](aspen_port_[a-z0-9_]+)\(.*/\1/'
}

# In $1 an object with everything; $2 is the nm to read it with.
judge()
{
    local object=$1 nm=$2
    "$nm" -u "$object" | awk '{print $NF}' | grep -vxF -f "$out/allowed" |
        sed 's/^/undefined symbol: /'
    "$nm" "$object" | awk 'NF == 3 && $2 ~ /[bBdDsS]/ {print "writable data: " $3}'
    "$nm" -g --defined-only "$object" |
        awk 'NF == 3 && $3 !~ /^aspen_/ {print "global name: " $3}'
}

# Calls that take more than a page of stack, by the graphs in $dir.
deep()
{
    local file
    for file in "$dir"/src_*.o; do
        [ -e "${file%.o}.ci" ] || echo "no call graph: ${file##*/}"
    done
    scripts/stack.pl --most=4096 "$dir"/*.ci
}

# $1 compiler, $2 name, $3 linker, $4 nm, $5 options
build()
{
    local compiler=$1 name=$2 linker=$3 nm=$4 options=$5 dir="$out/$2" problems
    if ! command -v "$compiler" >/dev/null ||
        ! command -v "$linker" >/dev/null; then
        skipped=$((skipped + 1))
        echo "skipped $name: no $compiler or no $linker"
        return
    fi
    rm -rf "$dir"
    mkdir -p "$dir"
    export compiler options flags dir
    problems=$(sed 's/#.*//;/^ *$/d' sources.txt |
        xargs -n 1 -P "$(nproc)" sh -c '
            $compiler $options $flags -c "$1" \
                -o "$dir/$(echo "$1" | tr / _).o"' compile 2>&1)
    if [ -z "$problems" ]; then
        problems=$("$linker" -r -o "$dir/core.o" "$dir"/src_*.o 2>&1 &&
            judge "$dir/core.o" "$nm"
            [[ "$options" != *callgraph* ]] || deep 2>&1)
    fi
    verdict "$name" "$problems"
}

# $1 name, $2 problems
verdict()
{
    if [ -z "$2" ]; then
        passed=$((passed + 1))
        echo "ok   $1"
    else
        failed=$((failed + 1))
        echo "FAIL $1"
        printf '%s\n' "$2" | sed 's/^/     /'
    fi
}

# $1 name, $2 what the first error of a file that needs a format says, $3 options
refused()
{
    local said
    if ! command -v clang >/dev/null; then
        skipped=$((skipped + 1))
        echo "skipped $1: no clang"
        return
    fi
    said=$(clang $flags $3 -fsyntax-only src/paging/table.c 2>&1 |
        grep -m 1 -E 'error:|warning:')
    case $said in
    *"error: "*"$2"*) said= ;;
    *) said=${said:-it compiles} ;;
    esac
    verdict "$1" "$said"
}

mkdir -p "$out"
allowed_symbols | sort -u >"$out/allowed"
x86="-mno-red-zone -mgeneral-regs-only"
arm="-mno-outline-atomics -mgeneral-regs-only"
# Without small data constants are where they are elsewhere.
riscv="--target=riscv64-linux-gnu -march=rv64imac -mabi=lp64 -mcmodel=medany
       -msmall-data-limit=0"
host=
[ "$(uname -m)" = x86_64 ] || host=x86_64-linux-gnu-
cross=aarch64-linux-gnu-
[ "$(uname -m)" != aarch64 ] || cross=
for variant in release test; do
    define='' graph=-fcallgraph-info=su
    [ $variant = release ] || define=-DASPEN_TEST_BUILD graph=
    build "${host}gcc" gcc-x86_64-$variant "${host}ld" "${host}nm" \
        "$x86 $define $graph"
    build clang clang-x86_64-$variant "${host}ld" "${host}nm" \
        "--target=x86_64-linux-gnu $x86 $define"
    build "${cross}gcc" gcc-aarch64-$variant "${cross}ld" "${cross}nm" \
        "$arm $define $graph"
    build clang clang-aarch64-$variant "${cross}ld" "${cross}nm" \
        "--target=aarch64-linux-gnu $arm $define"
    build clang clang-riscv64-$variant ld.lld nm "$riscv $define"
done
refused 32-bits "64-bit pointers" --target=i386-linux-gnu
refused no-format "names no page-table format" --target=powerpc64le-linux-gnu
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]

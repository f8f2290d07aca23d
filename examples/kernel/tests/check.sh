#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check.sh BUILD short|full: programs run on the kernel of examples/kernel, in
# QEMU, and print what they print here. With "full" also perl, python3 and gcc,
# which take a few minutes. The kernels are test builds: assertions, lock order.
set -u
cd "$(dirname "$0")/../../.." || exit 2
mkdir -p "$1"
build=$(realpath "$1")
which=$2
tests=examples/kernel/tests
out=$build/kernel/check
log=$out/log
. scripts/check/lib.bash

# ---- The disk -------------------------------------------------------------

# make_image NAME: what image.sh gives up is a skip; what else is wrong, a
# failure.
make_image()
{
    local said why
    said=$(env -u MAKEFLAGS -u MAKELEVEL "${MAKE:=make}" -s BUILD="$build" \
        "$build/kernel/$1.cpio" 2>&1) && return
    printf '%s\n' "$said"
    why=$(sed -n 's/^kernel: //p' <<<"$said" | tail -n 1)
    [ -z "$why" ] || skip_all check-kernel "$why"
    failed=1
    echo "FAIL the disk $1"
    finish
}

# Programs are linked statically, so that they are the same here and there.
make_tests()
{
    local root=$out/root/tests name
    rm -rf "$out"
    mkdir -p "$root/bin"
    cp "$(command -v busybox)" "$root/busybox"
    for name in $("$root/busybox" --list); do
        ln -s ../busybox "$root/bin/$name"
    done
    cp "$tests"/*.sh "$tests"/*.py "$tests"/*.pl "$root"
    for name in calls faults forks fail half hostile pipes storm swap; do
        gcc -std=gnu11 -O1 -static -w -o "$root/$name" "$tests/$name.c" \
            -lpthread || exit 2
    done
    # Larger than the memory of the smallest machine.
    seq 13000000 | head -c $((100 << 20)) >"$root/big"
    examples/kernel/tools/cpio.pl "$out/root" "$out/tests.cpio" || exit 2
    cat "$build/kernel/base.cpio" "$out/tests.cpio" >"$out/base.cpio"
    [ "$which" != full ] ||
        cat "$build/kernel/full.cpio" "$out/tests.cpio" >"$out/full.cpio"
}

# ---- Running --------------------------------------------------------------

variant=test image=base
# guest COMMAND: its output, and its status.
guest()
{
    TIME=${TIME:-300} examples/kernel/tools/run.sh \
        "$build/kernel/$variant/kernel.elf" "$out/$image.cpio" "$1"
}

here=0 there=0
is_same()
{
    diff "$out/host" "$out/guest" || return
    [ "$here" = "$there" ] || echo "status $there instead of $here" >&2
    [ "$here" = "$there" ]
}

# Both in an empty directory, under the same name.
empty=$(mktemp -d /tmp/aspen-kernel-XXXXXX) || exit 2
trap 'rm -rf "$empty"' EXIT
host()
{
    rm -rf "$empty"
    mkdir "$empty"
    (cd "$empty" && env -i HOME=/root TERM=linux LC_ALL=C \
        PATH="${HOST_PATH:-/usr/bin:/bin}" "$out/root/tests/busybox" sh -c \
        "$(printf %s "$1" | sed "s,/tests/,$out/root/tests/,g")" \
        2>&1 </dev/null)
}

# same WHAT COMMAND: output and status are what they are here.
same()
{
    local where="mkdir $empty; cd $empty"
    host "$2" >"$out/host"
    here=$?
    guest "$where; ${HOST_PATH:+PATH=/tests/bin;} { $2; } >/tmp/out 2>&1; s=\$?
        cat /tmp/out; exit \$s" >"$out/guest"
    there=$?
    try "$1" is_same
}

# prints WHAT TEXT COMMAND: it prints just this, and succeeds.
prints()
{
    printf '%s\n' "$2" >"$out/host"
    guest "$3" >"$out/guest" 2>&1
    here=0 there=$?
    try "$1" is_same
}

# refuses STATUS TEXT COMMAND...: nothing boots, and that is said, though what
# an earlier boot has left says that all was well.
refuses()
{
    local status=$1 text=$2
    shift 2
    echo 'status 0' >"$build/kernel/$variant/kernel.elf.log"
    env TIME=60 "$@" examples/kernel/tools/run.sh \
        "$build/kernel/$variant/kernel.elf" \
        "${disk:-$out/$image.cpio}" 'echo booted' >"$out/guest" 2>&1
    there=$?
    [ $there = "$status" ] && ! grep -q booted "$out/guest" &&
        grep -qF "$text" "$out/guest" && return
    cat "$out/guest"
    echo "status $there instead of $status" >&2
    return 1
}

# For tty.sh; the kernel has to have begun.
typed()
{
    sleep 2
    printf 'one\n\004two\004three\n\004'
    sleep 1
    for _ in {1..300}; do
        echo line
        sleep 0.002
    done
    printf '\004\004'
}

# ---- Tests ----------------------------------------------------------------

scripts/deps.sh boot ||
    skip_all check-kernel 'its packages are not there (see above)'
make_image base
[ "$which" = short ] || make_image full
make_tests

for wrong in CPUS=x CPUS=0 MEMORY=1 MEMORY=64M SWAP=-1 SWAP=x; do
    try "$wrong is refused" refuses 2 "kernel: ${wrong%=*} takes" "$wrong"
done
disk=$out/nothing try 'a disk that is not there' \
    refuses 254 "$out/nothing"
for CPUS in 1 2; do
    export CPUS
    HOST_PATH=$out/root/tests/bin same "busybox, $CPUS CPUs" \
        '/tests/busybox sh /tests/applets.sh'
done
MEMORY=48 HOST_PATH=$out/root/tests/bin same 'busybox, 48 MiB' \
    '/tests/busybox sh /tests/applets.sh'
MEMORY=48 same 'a file larger than memory' \
    'md5sum </tests/big; cmp /tests/big /tests/big; md5sum </tests/big'
MEMORY=1024 same 'bash and GNU tools' 'bash /tests/gnu.sh'
same 'signals of faults' '/tests/faults'
same 'forks, vfork, spawn, threads' '/tests/forks'
INPUT=/dev/stdin CPUS=2 prints 'what is typed' \
    "$(sed -n 's/^#= //p' "$tests/tty.sh")" 'sh /tests/tty.sh' < <(typed)
CPUS=2 same 'pipes whose writer goes at once' '/tests/pipes'
CPUS=2 same 'calls that are easily answered wrongly' '/tests/calls'
CPUS=2 same 'calls that are meant to break it' \
    'BIG=/tests/big /tests/hostile; cat /proc/aspen/validate 2>/dev/null; :'

CPUS=1 prints 'every step fails once' "$(printf '%s: refused, valid\n' mmap \
    mprotect brk write fork fault exec)" '/tests/fail 2>/dev/null'
CPUS=2 MEMORY=48 prints 'memory runs out' \
    "$(sed -n 's/^#= //p' "$tests/short.sh")" 'sh /tests/short.sh'
CPUS=1 MEMORY=48 SWAP=64 prints 'a disk to swap to' \
    "$(sed -n 's/^#= //p' "$tests/swap.sh")" 'sh /tests/swap.sh'

# A program that relies on calls that fail half done.
for answers in '=' '!'; do
    OPTIONS=$([ "$answers" != '=' ] || echo answers=half) CPUS=1 \
        prints "calls that fail, answers $answers" \
        "$(sed -n "s/^ \*$answers //p" "$tests/half.c")" /tests/half
done

calm='stale 0, written 0, lost 0, ended badly 0'
CPUS=2 prints 'two CPUs at random' "$calm" \
    '/tests/storm 10; cat /proc/aspen/validate'
variant=stale
CPUS=2 guest '/tests/storm 10 30' >"$out/guest" 2>&1
try 'without shoot-down that is seen' \
    grep -qE '^stale [1-9]|, written [1-9]' "$out/guest"
variant=test

if [ "$which" = full ]; then
    # Each page that goes interrupts the other CPU.
    CPUS=2 MEMORY=48 SWAP=64 prints 'a disk to swap to, 2 CPUs' \
        "$(sed -n 's/^#= //p' "$tests/swap.sh")" 'sh /tests/swap.sh'
    image=full
    MEMORY=1024 same 'perl' 'perl /tests/perl.pl'
    MEMORY=1024 same 'python3' '/usr/bin/python3 /tests/python.py'
    MEMORY=1024 same 'gcc' 'sh /tests/compile.sh'
fi
finish

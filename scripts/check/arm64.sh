#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/arm64.sh BUILD short|long: Aspen on arm64, on another machine.
#
#   short   everything is cross-compiled; unit tests, examples and rehearsals
#           of snapshots run in a Debian system for arm64, through qemu-user
#   long    make runs in that system as well; then Debian's kernels for arm64
#           boot in QEMU, for what compares with the kernel (scripts/check/kernels.sh,
#           whose variables KERNELS, CPUS, SHORT, RUN are heeded)
#
# qemu-user is no kernel: what compares with one is left to the long form, and
# what traces others, since ptrace is missing there.
# Everything is kept in BUILD/arm64-system and BUILD/arm64-build.
# Last line: N passed, N failed, N skipped.
set -u
cd "$(dirname "$0")/../.." || exit 2
how=$2
: "${MAKE:=make}"
mkdir -p "$1"
system=$(cd "$1" && pwd)/arm64-system build=$(cd "$1" && pwd)/arm64-build
logs=$build/logs
export LOGS=$logs
. scripts/check/lib.bash
# What compares with a kernel, or traces others.
kernel='_host$|test_capture$|test_capture_stop$|test_deviations$|test_linux_calls$|test_posix_file$'

# part NAME COMMAND...: one line for it; what it says when it fails. Counts
# what its totals say, or one.
part()
{
    local name=$1 started=$SECONDS status p f s
    shift
    wait_for "$@" >"$logs/$name.log" 2>&1
    status=$?
    if [ $status -eq 125 ]; then
        skip "arm64 $name" "$(tail -n 1 "$logs/$name.log")"
        return
    fi
    count_log $status "$logs/$name.log"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    # Not the form that check.sh adds up: the last line is.
    printf '%-4s arm64 %-14s %5d right %3d wrong %3d left out %5d s\n' \
        "$([ "$f" -eq 0 ] && echo ok || echo FAIL)" "$name" "$p" "$f" "$s" \
        $((SECONDS - started))
    grep -aE "$skips" "$logs/$name.log"
    [ "$f" -eq 0 ] || grep -avE '^(ok |  (CC|AR|LD|GEN) )' "$logs/$name.log" |
        tail -n 60 | sed 's/^/     /'
}

# there COMMAND...: in the system; qemu-user has no binfmt_misc to offer.
there()
{
    scripts/arm64/enter.sh "$system/root" "$build" "$@"
}

compile()
{
    # shellcheck disable=SC2086
    env -u MAKEFLAGS -u MAKELEVEL "$MAKE" --no-print-directory \
        -j"$(nproc)" BUILD="$build" AR=aarch64-linux-gnu-ar \
        CC="${CCACHE-} aarch64-linux-gnu-gcc --sysroot=$system/root" \
        CFLAGS=-Werror programs
}

unit()
{
    local test tests
    for test in "$build"/tests/unit/test_*; do
        case $test in
        *.*) ;;
        *) tests="${tests-} /build/tests/unit/$(basename "$test")" ;;
        esac
    done
    for test in $(printf '%s\n' $tests | grep -E "$kernel"); do
        echo "skipped $(basename "$test"): compares with a kernel, or traces"
        echo '0 passed, 0 failed, 1 skipped'
    done
    # shellcheck disable=SC2046
    there /bin/bash -c 'cd /aspen && ASPEN_EMULATED=1 scripts/run-tests.sh /build/log "$@"' unit \
        $(printf '%s\n' $tests | grep -vE "$kernel")
}

examples()
{
    there /bin/bash -c 'cd /aspen && scripts/check/examples.sh /build/examples'
}

# Every step of a fork fails, on the address spaces of real processes.
rehearse()
{
    there /bin/bash -c 'cd /aspen
        for snapshot in flags guard huge swap; do
            /build/aspen rehearse --snapshot tests/snapshots/$snapshot.snap || exit 1
            /build/aspen fuzz --failing tests/snapshots/$snapshot.snap \
                --calls 200 || exit 1
        done'
}

# Pages of 64 KiB, and processors that are none of ours, are told at once.
refusals()
{
    local said
    said=$(qemu-aarch64-static -p 65536 -L "$system/root" "$build/aspen" \
        rehearse --snapshot tests/snapshots/flags.snap 2>&1)
    [ $? -eq 2 ] && grep -q 'pages of 65536 bytes' <<<"$said" || {
        echo "$said"
        return 1
    }
    for words in MACHINE=riscv64 MACHINE=i686 PAGE_BYTES=16384; do
        said=$(env -u MAKEFLAGS "$MAKE" -n "$words" all 2>&1)
        [ $? -eq 2 ] && grep -q "not ${words#*=}\.\|${words#*=} bytes" \
            <<<"$said" || {
            echo "$words: $said"
            return 1
        }
    done
    echo '4 passed, 0 failed, 0 skipped'
}

# As somebody who has that machine would.
make_there()
{
    there /bin/bash -c 'cd /aspen && make -j"$(nproc)" BUILD=/build/there \
        all && /build/there/aspen rehearse \
        --snapshot tests/snapshots/guard.snap'
}

wait_for scripts/arm64/root.sh "$system" ||
    skip_all arm64 'no Debian system for it to be had'
mkdir -p "$logs"
part compile compile
[ $failed -eq 0 ] || finish
part unit unit
part examples examples
part rehearse rehearse
part refusals refusals
[ "$how" = long ] || finish
part make make_there
export ARCH=arm64 SYSTEM=$system
kernels()
{
    scripts/check/kernels.sh "$build" whole | tee "$logs/kernels.log" |
        grep -vE "$totals"
}
wait_for kernels
read -r p f s <<<"$(tail -n 1 "$logs/kernels.log" | tr -dc '0-9 ')"
passed=$((passed + ${p:-0})) failed=$((failed + ${f:-1}))
skipped=$((skipped + ${s:-0}))
finish

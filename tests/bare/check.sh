#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check.sh BUILD short|long: boot tests/bare in QEMU, on processors with and
# without hardware flags, with one CPU and two; and without the flush
# instructions, which has to be seen. `long` adds more of them, and what begins
# at EL2. A processor whose compiler or emulator is not installed is skipped by
# name.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${1:?usage: check.sh BUILD short|long}
which=$2
out=$build/bare/check
log=$out/log
mkdir -p "$out"
. scripts/check/lib.bash

# run NAME CPUS OPTIONS...: what the machine says, in $out/said.
run()
{
    local name=$1 cpus=$2 emulator kernel=$build/bare/$1/${variant:-bare}.elf
    shift 2
    case $name in
    aarch64) emulator=(qemu-system-aarch64 -M virt) ;;
    sv*) emulator=(qemu-system-riscv64 -M virt) ;;
    x86_64) emulator=(qemu-system-x86_64 -device isa-debug-exit,iobase=0xf4,iosize=4) ;;
    esac
    timeout --foreground "${TIME:-120}" "${emulator[@]}" "$@" -m 64M \
        -smp "$cpus" -nodefaults -display none -no-reboot -serial stdio \
        -kernel "$kernel" </dev/null >"$out/said" 2>&1
    tr -d '\r' <"$out/said" >"$out/text"
}

# Each scene counts, and the end has to come.
boot()
{
    local what p f s
    [ "$2" -eq 1 ] && what="$1, 1 CPU" || what="$1, $2 CPUs"
    run "$@"
    read -r p f s <<<"$(grep -oE "$totals" "$out/text" | tail -n 1 |
        tr -d ',' | awk '{print $1, $3, $5}')"
    if ! grep -qx 'status [01]' "$out/text"; then
        f=$((${f:-0} + 1))
    fi
    # With two CPUs there is more to see.
    if [ "$2" -gt 1 ] && ! grep -q '^ok   two CPUs' "$out/text"; then
        f=$((${f:-0} + 1))
    fi
    passed=$((passed + ${p:-0}))
    failed=$((failed + ${f:-0}))
    shift 2
    if [ "${f:-0}" -eq 0 ]; then
        echo "ok   $what${*:+, $*}: $(grep compared "$out/text")"
    else
        echo "FAIL $what${*:+, $*}"
        tail -n 40 "$out/text"
    fi
}

# stale NAME CPUS SCENE OPTIONS...: without flushes the scene fails.
stale_seen()
{
    variant=stale run "$@"
    cp "$out/text" "$log"
    grep -qx 'status 1' "$out/text" && grep -qE "^FAIL .*($seen)" "$out/text"
}

# available NAME EMULATOR COMPILER: they are, and it is built.
available()
{
    local need
    for need in "$2" "$3"; do
        command -v "$need" >/dev/null || {
            skip "bare $1" "no $need"
            return 1
        }
    done
    if ! env -u MAKEFLAGS -u MAKELEVEL "${MAKE:-make}" -s BUILD="$build" \
        "$build/bare/$1/bare.elf" "$build/bare/$1/stale.elf" >"$log" 2>&1; then
        failed=$((failed + 1))
        echo "FAIL bare $1 is not built"
        tail -n 40 "$log"
        return 1
    fi
}

both_stale()
{
    seen='protections|forks' try "$1 without flushes: stale pages are seen" \
        stale_seen "$1" 1 "${@:2}"
    seen='second CPU goes on' try "$1 without flushes, two CPUs: they are seen" \
        stale_seen "$1" 2 "${@:2}"
}

# Asked for, all is installed that can be.
[ "${ASPEN_INSTALL-}" != yes ] || scripts/deps.sh bare >"$log" 2>&1

cross=aarch64-linux-gnu-
[ "$(uname -m)" != aarch64 ] || cross=
if available aarch64 qemu-system-aarch64 "${cross}gcc"; then
    boot aarch64 2 -cpu cortex-a53
    boot aarch64 2 -cpu max
    both_stale aarch64 -cpu max
    if [ "$which" = long ]; then
        boot aarch64 1 -cpu cortex-a53
        boot aarch64 1 -cpu max
        boot aarch64 2 -cpu cortex-a72 -M virt,virtualization=on
        boot aarch64 2 -cpu max -M virt,virtualization=on,gic-version=3
    fi
fi
for name in sv39 sv48; do
    available $name qemu-system-riscv64 riscv64-linux-gnu-gcc || continue
    boot $name 2
    # Newer ones have processors that leave the flags to faults.
    if echo quit | qemu-system-riscv64 -M virt -cpu rv64,svadu=off -bios none \
        -S -nodefaults -display none -monitor stdio >"$log" 2>&1; then
        boot $name 2 -cpu rv64,svadu=off
    else
        skip "bare $name without flags" "this QEMU knows no svadu=off"
    fi
    [ $name = sv39 ] || [ "$which" = long ] || continue
    both_stale $name
    [ "$which" = short ] || boot $name 1
done
cross=x86_64-linux-gnu-
[ "$(uname -m)" != x86_64 ] || cross=
if available x86_64 qemu-system-x86_64 "${cross}gcc"; then
    boot x86_64 2
    both_stale x86_64
    [ "$which" = short ] || boot x86_64 1
fi
finish

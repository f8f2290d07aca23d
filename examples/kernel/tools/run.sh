#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# run.sh KERNEL IMAGE [COMMAND]: boot the kernel of examples/kernel in QEMU,
# with the serial port as the console. With a command the shell runs it, its
# output is bytes as they are, and the exit status is the command's; what the
# kernel says is in KERNEL.log. Variables: CPUS (2), MEMORY (512, in MiB), SWAP
# (of a disk to swap to, in MiB; none), ACCEL (tcg), TIME (seconds; none), INPUT
# (what the command reads; /dev/null), OPTIONS (for the kernel: answers=half). 2: one
# of them is wrong; 254: the kernel was not started, or did not end by itself.
set -u
kernel=$1
image=$2
log=$kernel.log
: "${CPUS:=2}" "${MEMORY:=512}" "${SWAP:=0}" "${ACCEL:=tcg}" "${TIME:=0}"

# number NAME LEAST MOST
number()
{
    [[ ${!1} =~ ^(0|[1-9][0-9]{0,8})$ ]] && ((${!1} >= $2 && ${!1} <= $3)) &&
        return
    echo "kernel: $1 takes a number from $2 to $3, not '${!1}'" >&2
    exit 2
}
number CPUS 1 255
number MEMORY 4 1048576
number SWAP 0 1048576
number TIME 0 1000000

qemu=(timeout --foreground "$TIME" qemu-system-x86_64 -accel "$ACCEL"
    -smp "$CPUS" -m "$MEMORY" -nodefaults -display none -no-reboot
    -chardev stdio,id=console,signal=off -serial chardev:console
    -debugcon "file:$log" -device isa-debug-exit,iobase=0xf4,iosize=4
    -drive "if=none,id=disk,format=raw,readonly=on,file=$image"
    -device virtio-blk-pci,drive=disk,disable-modern=on -kernel "$kernel")

# /dev/vdb, empty each time.
if [ "$SWAP" -gt 0 ]; then
    swap=$(mktemp /tmp/aspen-swap-XXXXXX) || exit 2
    trap 'rm -f "$swap"' EXIT
    truncate -s "${SWAP}M" "$swap"
    qemu+=(-drive "if=none,id=swap,format=raw,cache=unsafe,file=$swap"
        -device virtio-blk-pci,drive=swap,disable-modern=on)
fi

# QEMU that does not start leaves the log as it was, of an earlier boot.
rm -f "$log"
if [ $# -gt 2 ]; then
    "${qemu[@]}" -append "tty=raw ${OPTIONS-} cmd=$3" <"${INPUT:-/dev/null}"
else
    "${qemu[@]}" -append "init=/bin/bash"
fi
if [ ! -e "$log" ]; then
    echo "kernel: QEMU did not start" >&2
    exit 254
fi
status=$(sed -n 's/^status \([0-9]*\)$/\1/p' "$log" | tail -1)
if [ -z "$status" ]; then
    echo "kernel: it did not end by itself; see $log" >&2
    exit 254
fi
exit "$status"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# kernels.sh BUILD whole|short: boot Debian's kernels in QEMU and run there what
# compares with the kernel, all of it or what guest.sh calls the short form. From
# the environment:
#
#   ARCH      amd64 or arm64, for which BUILD was made
#   SYSTEM    arm64: what scripts/arm64/root.sh has made
#   KERNELS   releases: 6.1 6.12
#   CPUS      processors, as QEMU calls them: qemu64, and max, which has
#             protection keys and 57 bits of addresses; for arm64 cortex-a57,
#             and max, which has BTI and MTE (52 bits are off)
#   SHORT     a regular expression: boots KERNEL/CPU of the short form, where the
#             others are whole: none
#   SMP       processors of a guest: 2
#   MEMORY    and its MiB: 2048
#   LIMIT     seconds that one boot may take: 3600
#   PATIENCE  and by what its tests' own limits are multiplied, for a machine
#             that others are busy on: 1
#   ACCEL     how QEMU runs it: tcg,thread=multi; kvm where that works
#   RUN       instead of the tests: this command, in each guest, in a folder
#             like this one; with its output, its input, and its status
#
# scripts/kernels/fetch.sh gets a kernel, image.sh makes the disks, init and
# guest.sh are what runs in there. Everything is kept in BUILD/kernels.
# Last lines: the table, then N passed, N failed, N skipped.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$1 how=${2:-whole}
: "${ARCH:=amd64}" "${SYSTEM:=}"
export ARCH SYSTEM
case $ARCH in
arm64)
    : "${CPUS:=cortex-a57 max,lpa2=off}"
    port=ttyS0
    qemu=(qemu-system-aarch64 -device pci-serial,chardev=port)
    console=ttyAMA0
    ;;
*)
    : "${CPUS:=qemu64 max}"
    port=ttyS1
    qemu=(qemu-system-x86_64 -serial chardev:port)
    console=ttyS0
    ;;
esac
: "${KERNELS:=6.1 6.12}" "${RUN:=}"
: "${SHORT:=^$}" "${SMP:=2}" "${MEMORY:=2048}"
: "${LIMIT:=3600}" "${PATIENCE:=1}" "${ACCEL:=tcg,thread=multi}"
[ "$how" != short ] || SHORT=.
work=$build/kernels
. scripts/check/lib.bash
mkdir -p "$work"

# What the guest is told; a shell reads it there.
todo()
{
    printf 'port=%s patience=%d run=%q\n' "$port" "$PATIENCE" "$RUN"
}

# How it is to be told, by the kernel's command line, and in the table.
form_of()
{
    if [[ $1/$2 =~ $SHORT ]]; then
        echo short
    else
        echo whole
    fi
}

# machine KERNEL CPU DIRECTORY: run it; the second serial port is our output.
machine()
{
    truncate -s 0 "$3/logs.tar"
    truncate -s 64M "$3/logs.tar"
    local cpu=$2
    if [ "$ARCH" = arm64 ]; then
        board=virt,gic-version=3
        if [ "${2%%,*}" = max ]; then
            board=$board,mte=on
            # Signed addresses by the architected cipher are slow in QEMU.
            cpu=$cpu,pauth-impdef=on
        fi
        set -- "$@" -machine "$board"
    fi
    timeout --foreground -k 5 "$LIMIT" "${qemu[0]}" -nodefaults \
        -no-user-config -display none -no-reboot -accel "$ACCEL" -cpu "$cpu" -smp "$SMP" \
        -m "$MEMORY" -kernel "$work/$1/vmlinuz" -initrd "$work/$1/initrd" \
        -append "console=$console panic=-1 oops=panic aspen.$(form_of "$1" "$2")" \
        -drive file="$work/system.img",format=raw,if=virtio,snapshot=on \
        -drive file="$work/project.img",format=raw,if=virtio,snapshot=on \
        -drive file="$3/logs.tar",format=raw,if=virtio \
        -chardev stdio,id=port -serial file:"$3/console" "${qemu[@]:1}" \
        "${@:4}"
}

logs()
{
    tar -xf "$1/logs.tar" -C "$1" 2>/dev/null
    rm -f "$1/logs.tar"
}

# How a machine came to its end, if it did not switch itself off when it was
# done: in $ended.
why_it_ended()
{
    local status=$1 directory=$2
    if grep -qa 'Kernel panic' "$directory/console"; then
        ended='the kernel panicked'
    elif [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        ended="more than $LIMIT s"
    elif [ "$status" -ne 0 ]; then
        ended="QEMU: status $status"
    else
        ended='it went off before it was done'
    fi
}

run_in()
{
    local directory=$work/run status
    rm -rf "$directory"
    mkdir -p "$directory"
    machine "$1" "$2" "$directory"
    status=$?
    logs "$directory"
    if [ ! -s "$directory/status" ]; then
        why_it_ended $status "$directory"
        echo "$1, $2: $ended; the end of its console:" >&2
        tail -n 20 "$directory/console" >&2
        return 1
    fi
    return "$(cat "$directory/status")"
}

# Sum of a column of the lines that the parts have reported.
column()
{
    awk -v column="$1" '/^(ok|FAIL) +[^ ]+ +[0-9]+ passed/ {n += $column}
        END {print n + 0}' "$2"
}

fact()
{
    sed -n "s/^fact $1 //p" "$2" | grep . || echo -
}

check_in()
{
    # QEMU takes a comma in a file's name for the next option.
    local directory=$work/$1-${2//,/-} results p f s status try
    results=$directory/results
    rm -rf "$directory"
    mkdir -p "$directory"
    echo "---- $(cut -d' ' -f2 "$work/$1/version"), -cpu $2, $(form_of "$1" "$2")"
    # Where QEMU emulates two processors one of them now and then meets an
    # instruction that the other is just replacing: "Oops: int3". That early it
    # is no word about us.
    for try in first second; do
        machine "$1" "$2" "$directory" </dev/null | tee "$results" |
            grep --line-buffered -v '^fact'
        status=${PIPESTATUS[0]}
        logs "$directory"
        if [ -s "$results" ] || [ $try = second ] ||
            ! grep -qa 'Oops: int3' "$directory/console"; then
            break
        fi
        echo "it met a half-replaced instruction as it booted: once more"
    done
    p=$(column 3 "$results") f=$(column 5 "$results") s=$(column 7 "$results")
    if [ "$status" -ne 0 ] || ! grep -qx 'done' "$results"; then
        f=$((f + 1))
        why_it_ended "$status" "$directory"
        echo "FAIL $1, $2: $ended; the end of its console:"
        tail -n 30 "$directory/console" | sed 's/^/     /'
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '| %s | %s | %s | %d | %d | %d | %s | %s |\n' \
        "$(cut -d' ' -f2 "$work/$1/version")" "$2" "$(form_of "$1" "$2")" \
        "$p" "$f" "$s" \
        "$(fact fuzz "$results")" "$(fact shadow "$results")" >>"$work/table"
}

[ "$ARCH" != amd64 ] || [ "$(uname -m)" = x86_64 ] ||
    skip_all check-kernels 'x86-64 only'
# Without its packages make check goes on. (check-arm64 has seen to its own.)
if [ "$ARCH" = amd64 ] && ! scripts/deps.sh kernels; then
    [ "$how" = short ] || exit 2
    skip_all check-kernels 'its packages are not there (see above)'
fi

# A kernel that cannot be had is skipped, and said.
fetched=
for kernel in $KERNELS; do
    if scripts/kernels/fetch.sh "$work" "$kernel"; then
        fetched="$fetched $kernel"
    else
        skip "kernel $kernel" 'not to be had'
    fi
done
if [ -z "$fetched" ]; then
    echo "0 passed, 0 failed, $skipped skipped"
    [ -z "$RUN" ]
    exit
fi
todo >"$work/todo"
scripts/kernels/image.sh "$work" "$build" || exit 2

if [ -n "$RUN" ]; then
    for kernel in $fetched; do
        for cpu in $CPUS; do
            run_in "$kernel" "$cpu" || failed=$?
        done
    done
    exit $((failed > 0 ? failed : skipped > 0))
fi

cat >"$work/table" <<'HEAD'
| kernel | processor | form | passed | failed | skipped | fuzz calls | shadow calls |
| --- | --- | --- | --- | --- | --- | --- | --- |
HEAD
for kernel in $fetched; do
    for cpu in $CPUS; do
        check_in "$kernel" "$cpu"
    done
done
cat "$work/table"
finish

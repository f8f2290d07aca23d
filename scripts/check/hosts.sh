#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# hosts.sh BUILD [--yes-change-this-machine] [--only REGEX] [--tests REGEX]
#          [--list]: settings that distributions and people change, each in
# turn: what compares with the host's kernel runs under it. A table, the names
# of what failed and was skipped, totals. `make check-hosts` calls it.
#
# Limits, affinity, personality and the like are one process's: they need no
# rights. What has a mount name space of its own needs root. What is the whole
# machine's (sysctls, huge pages, swap) is set only with the long option, as
# root, in a machine where nobody else works, and is put back whatever happens:
# by a process that waits for the end of this one.
set -u
cd "$(dirname "$0")/../.." || exit 2

# Programs of tests/unit, and commands of tools().
tests='test_advise_host test_capture test_capture_stop test_copy_host
    test_deviations test_inspect_host test_layout_host test_linux_calls
    test_map_count_host test_mmap_host test_mremap_host test_name
    test_pagemap_host test_place_host
    test_posix_file test_posix_port test_process_madvise_host test_stack_host
    test_truncate test_vmflags_host'
commands='fuzz shadow run'

usage()
{
    echo "usage: hosts.sh BUILD [--yes-change-this-machine] [--only REGEX]" \
        "[--tests REGEX] [--list]" >&2
    exit 2
}

build=${1-}
[ -n "$build" ] || usage
shift
change=false list=false only=. which=.
while [ $# -gt 0 ]; do
    case $1 in
    --yes-change-this-machine) change=true ;;
    --only) only=${2-} && shift ;;
    --tests) which=${2-} && shift ;;
    --list) list=true ;;
    *) usage ;;
    esac
    shift
done
if $change && [ "$(id -u)" -ne 0 ]; then
    echo "hosts.sh: only root can change this machine" >&2
    exit 2
fi

logs=$build/log/hosts
work=$(mktemp -d "${TMPDIR:-/tmp}/aspen hosts-XXXXXX") || exit 2
mkdir -p "$logs"
: >"$logs/names"
chmod 755 "$work"
passed=0 failed=0 skipped=0

# ---- Putting back --------------------------------------------------------

# Lines of commands come to it; at the end of this process, however it ends,
# it runs them, the last first.
guard()
{
    local lines=() line i
    trap '' INT TERM HUP QUIT
    while IFS= read -r line; do
        lines+=("$line")
    done
    for ((i = ${#lines[@]} - 1; i >= 0; i--)); do
        eval "${lines[i]}"
    done 2>/dev/null
}
coproc GUARD { guard >&2; }
guard=$GUARD_PID
exec 9>&"${GUARD[1]}" || exit 2
eval "exec ${GUARD[1]}>&-"
trap 'exec 9>&-; wait $guard; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP QUIT

undo=()
# undo_with COMMAND: what undoes the step that comes next.
undo_with()
{
    undo+=("$1")
    printf '%s\n' "$1" >&9
}

put_back()
{
    local i
    for ((i = ${#undo[@]} - 1; i >= 0; i--)); do
        eval "${undo[i]}" 2>/dev/null
    done
    undo=()
}

# What a file of /proc or /sys says: of [a] b c it is a.
value_of()
{
    sed 's/.*\[\(.*\)\].*/\1/' "$1"
}

# set_file FILE VALUE
set_file()
{
    local old
    old=$(value_of "$1" 2>/dev/null) || return 1
    undo_with "printf %s '$old' >'$1'"
    printf %s "$2" 2>/dev/null >"$1" && [ "$(value_of "$1")" = "$2" ]
}

# ---- Running -------------------------------------------------------------

# tools NAME WRAPPER...: 0 passed, 1 failed, 2 refused: it says why.
tools()
{
    local name=$1
    shift
    case $name in
    fuzz)
        "$@" sh -c 'printf "6.1\n%s\n" "$(uname -r)"' | sort -CV || {
            echo 'the kernel is older than 6.1'
            return 2
        }
        "$@" "$build/aspen" fuzz --calls "${CALLS:-3000}" --seed 1
        ;;
    shadow) "$@" "$build/aspen" shadow -- bash -c 'ls / | sort >/dev/null' ;;
    run) "$@" scripts/run.sh "$build/aspen" ;;
    esac
}

# count STATUS NAME LOG: one more of passed, failed or skipped.
count()
{
    case $1 in
    0) p=$((p + 1)) ;;
    2)
        s=$((s + 1))
        echo "skipped $title: $2: $(grep -v '^+ ' "$3" | head -n 1)" \
            >>"$logs/names"
        ;;
    *)
        f=$((f + 1))
        echo "FAIL $title: $2 (log: $3)" >>"$logs/names"
        ;;
    esac
}

# measure TITLE WRAPPER...: run everything, print a line of the table.
measure()
{
    local title=$1 p=0 f=0 s=0 programs=() test log sums
    shift
    log=$logs/${title//[^A-Za-z0-9]/_}
    for test in $tests; do
        [[ $test =~ $which ]] && programs+=("$build/tests/unit/$test")
    done
    if [ ${#programs[@]} -gt 0 ]; then
        "$@" scripts/run-tests.sh "$log" "${programs[@]}" >"$log.units" 2>&1 \
            9>&-
        sums=$(tail -n 1 "$log.units" | tr -dc '0-9 ')
        read -r p f s <<<"$sums" || f=1
        grep '^skipped ' "$log.units" | sed "s|^skipped |&$title: |" \
            >>"$logs/names"
        grep '^FAIL ' "$log.units" |
            sed "s|^FAIL |&$title: |; s|$| (log: $log.units)|" >>"$logs/names"
    fi
    for test in $commands; do
        [[ $test =~ $which ]] || continue
        tools "$test" timeout --foreground 300 "$@" >"$log.$test" 2>&1 9>&-
        count $? "$test" "$log.$test"
    done
    printf '| %-40s | %6d | %6d | %7d |\n' "$title" "$p" "$f" "$s"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

left_out()
{
    printf '| %-40s | %6s | %6s | %7d |\n' "$1" - - 1
    echo "skipped $1: $2" >>"$logs/names"
    skipped=$((skipped + 1))
}

wanted()
{
    [[ $1 =~ $only ]] || return 1
    $list || return 0
    echo "$1"
    return 1
}

# process NAME WRAPPER...: a setting of one process.
process()
{
    wanted "$1" || return
    if [ $# -gt 1 ] && ! "${@:2}" true 2>/dev/null; then
        left_out "$1" "this host refuses it"
    else
        measure "$@"
    fi
}

# limit NAME OPTION...: limits, which bind root only without capabilities.
limit()
{
    local name=$1
    shift
    process "$name" prlimit "$@" -- setpriv "${ordinary[@]}"
}

# mounted NAME COMMAND: COMMAND runs in a mount name space of its own, with the
# repository at $here.
mounted()
{
    wanted "$1" || return
    if [ "$(id -u)" -ne 0 ]; then
        left_out "$1" "mounts need root"
    else
        process "$1" env here="$PWD" work="$work" unshare -m --propagation \
            private bash -c "set -e; $2; exec \"\$@\"" mounted
    fi
}

# machine NAME FILE VALUE...: a setting of the whole machine.
machine()
{
    local name=$1 file
    shift
    wanted "$name" || return
    if ! $change; then
        left_out "$name" "it is the machine's: --yes-change-this-machine"
        return
    fi
    while [ $# -gt 0 ]; do
        file=$1
        if ! set_file "$1" "$2"; then
            put_back
            left_out "$name" "$file cannot be set so"
            return
        fi
        shift 2
    done
    measure "$name"
    put_back
}

swap_on()
{
    local file=$work/swap
    undo_with "swapoff '$file'; rm -f '$file'"
    dd if=/dev/zero of="$file" bs=1M count=64 && chmod 600 "$file" &&
        mkswap "$file" && swapon "$file"
}

swap()
{
    wanted "$1" || return
    if ! $change; then
        left_out "$1" "it is the machine's: --yes-change-this-machine"
    elif ! swap_on >/dev/null 2>&1; then
        left_out "$1" "no swap on the file system of ${TMPDIR:-/tmp}"
    else
        measure "$1"
    fi
    put_back
}

# ---- Settings ------------------------------------------------------------

vm=/proc/sys/vm
thp=/sys/kernel/mm/transparent_hugepage
ksm=/sys/kernel/mm/ksm
ordinary=()
[ "$(id -u)" -ne 0 ] || ordinary=(--bounding-set=-all --inh-caps=-all)

if ! $list; then
    printf '| %-40s | %6s | %6s | %7s |\n| --- | ---: | ---: | ---: |\n' \
        setting passed failed skipped
fi

process 'as it is'
limit 'no capabilities'
limit 'RLIMIT_MEMLOCK 0' --memlock=0:0
limit 'RLIMIT_MEMLOCK 64 KiB' --memlock=65536:65536
limit 'RLIMIT_AS 16 GiB' --as=17179869184
limit 'RLIMIT_AS 1 GiB' --as=1073741824
limit 'RLIMIT_DATA 64 MiB' --data=67108864
limit 'RLIMIT_STACK 256 KiB' --stack=262144
limit 'RLIMIT_STACK unlimited' --stack=unlimited
limit 'RLIMIT_NOFILE 64' --nofile=64
limit 'RLIMIT_NOFILE 256' --nofile=256
limit 'RLIMIT_CORE unlimited' --core=unlimited
limit 'RLIMIT_FSIZE 1 MiB' --fsize=1048576
limit 'RLIMIT_NPROC 1000' --nproc=1000
# The last one that we may run on.
process 'one processor' taskset -c "$(taskset -cp $$ | sed 's/.*[^0-9]//')"
process 'ADDR_NO_RANDOMIZE' setarch -R
process 'ADDR_COMPAT_LAYOUT' setarch -L
process 'READ_IMPLIES_EXEC' setarch -X
process 'MMAP_PAGE_ZERO' setarch -Z
process 'ADDR_LIMIT_3GB' setarch -3
process 'UNAME26' setarch --uname-2.6
process 'LC_ALL=tr_TR.UTF-8' env LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8
process 'LC_ALL=C.UTF-8' env LC_ALL=C.UTF-8
process 'no HOME, TZ and LANG unknown' env -u HOME TZ=Mars/Base LANG=xx_XX
process 'umask 077' bash -c 'umask 077; exec "$@"' umask
process 'a TMPDIR with a blank' env TMPDIR="$work"
process 'nice 19, SCHED_BATCH' nice -n 19 chrt --batch 0
mounted '/tmp noexec' 'mount -t tmpfs -o noexec,nosuid,nodev tmpfs /tmp'
mounted 'the build on tmpfs' 'mount -t tmpfs tmpfs "$work"
    cp -a "$here/." "$work"; cd "$work"'
mounted 'the build on overlayfs' 'mount -t tmpfs tmpfs "$work"
    mkdir "$work/upper" "$work/work" "$work/all"
    mount -t overlay -o "lowerdir=$here,upperdir=$work/upper,workdir=$work/work" \
        overlay "$work/all"; cd "$work/all"'
mounted 'no /dev/shm, no /sys' 'umount -l /dev/shm || :; umount -l /sys'
# A new instance: a remount would be everybody's.
mounted '/proc hidepid=2' 'mount -t proc -o hidepid=2 proc /proc'
for value in 1 2; do
    machine "vm.overcommit_memory $value" $vm/overcommit_memory $value
done
machine 'vm.overcommit_memory 2, ratio 100' $vm/overcommit_ratio 100 \
    $vm/overcommit_memory 2
machine 'vm.legacy_va_layout 1' $vm/legacy_va_layout 1
for value in 0 1 2; do
    machine "kernel.randomize_va_space $value" \
        /proc/sys/kernel/randomize_va_space $value
done
machine 'vm.max_map_count 1048576' $vm/max_map_count 1048576
machine 'vm.max_map_count 2000' $vm/max_map_count 2000
machine 'vm.mmap_rnd_bits 32' $vm/mmap_rnd_bits 32
machine 'vm.mmap_min_addr 4096' $vm/mmap_min_addr 4096
machine 'vm.mmap_min_addr 1048576' $vm/mmap_min_addr 1048576
machine 'vm.unprivileged_userfaultfd 1' $vm/unprivileged_userfaultfd 1
machine 'vm.memfd_noexec 1' $vm/memfd_noexec 1
machine 'vm.nr_hugepages 8' $vm/nr_hugepages 8
for value in 1 2; do
    machine "kernel.yama.ptrace_scope $value" \
        /proc/sys/kernel/yama/ptrace_scope $value
done
for value in always madvise never; do
    machine "THP $value" $thp/enabled $value
done
machine 'THP of 64 KiB always' $thp/hugepages-64kB/enabled always
for value in always within_size advise never deny force; do
    machine "THP of shared memory $value" $thp/shmem_enabled $value
done
machine 'KSM on' $ksm/run 1
swap 'swap on'

# ---- Totals --------------------------------------------------------------

$list && exit 0
cat "$logs/names"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]

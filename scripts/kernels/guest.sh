#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The system of a guest is this script, as process 1: it runs what /aspen/todo
# says - one command, or the tests and tools that compare with the kernel - and
# switches the machine off. What it says comes out at the second serial port;
# logs go as a tar file to /dev/vdc.
#
#   host KERNEL, keys yes|no, 57 bits yes|no       what this machine is
#   ok|FAIL NAME P passed F failed S skipped T s   one line for each part
#   skipped NAME: WHAT                             of those skipped
#   fact NAME NUMBER                               figures for the table
#   done                                           last of all
set -u
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export ASPEN_HERE=/aspen
log=/var/log/aspen
. /aspen/scripts/check/lib.bash

say()
{
    printf '%s\n' "$*" >&3
}

# as_user COMMAND...: as one who may nothing.
as_user()
{
    HOME=/home setpriv --reuid 1000 --regid 1000 --clear-groups \
        --inh-caps=-all --bounding-set=-all "$@"
}
export -f as_user

# part NAME SECONDS COMMAND...: run it, count what it says; without such a line
# it is one test. What is skipped has to be named, a line each.
part()
{
    local name=$1 limit=$(($2 * patience)) started=$SECONDS status p f s
    shift 2
    timeout -k 5 "$limit" bash -c '"$@"' part "$@" >"$log/$name" 2>&1 3>&- \
        </dev/null
    status=$?
    count_log $status "$log/$name"
    say "$(printf '%-4s %-20s %5d passed %3d failed %3d skipped %5d s' \
        "$([ "$f" -eq 0 ] && echo ok || echo FAIL)" "$name" "$p" "$f" "$s" \
        $((SECONDS - started)))"
    grep -aE "$skips" "$log/$name" | cut -c 1-200 |
        sed "s/^skipped:* */skipped $name: /" >&3
    if [ "$f" -ne 0 ]; then
        [ $status -ne 124 ] || say "     more than $limit s"
        grep -avE "$totals|$skips|^(ok |skip |\[ RUN |\[       OK)" \
            "$log/$name" | tail -n 60 | cut -c 1-300 | sed 's/^/     /' >&3
    fi
}

# --- the parts

# unit PROGRAM...: unit tests, their logs apart.
unit()
{
    ASPEN_TEST_TIMEOUT=$((900 * patience)) scripts/run-tests.sh "$(mktemp -d)" "$@"
}

# On tmpfs instead of ext4.
unit_on_tmpfs()
{
    local status
    mount -t tmpfs none /tmp || return
    unit "$@"
    status=$?
    umount /tmp
    return $status
}

rehearse()
{
    scripts/run.sh build/aspen
}

# fuzz CALLS SEED...
fuzz()
{
    local calls=$1 seed failed=0 passed=0
    shift
    for seed; do
        if build/aspen fuzz --calls "$calls" --seed "$seed" --json; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "replay: build/aspen fuzz --calls $calls --seed $seed"
        fi
    done
    echo "$passed passed, $failed failed, 0 skipped"
    [ $failed -eq 0 ]
}

# Programs that make many calls: threads, forks, pipes.
shadow()
{
    local failed=0 passed=0 skipped=0
    follow()
    {
        if ! command -v "$1" >/dev/null; then
            echo "skipped $1: not in this image"
            skipped=$((skipped + 1))
        elif build/aspen shadow --every 20 --json --guest-output /dev/null \
            -- "$@"; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
        fi
    }
    follow bash -c 'for i in 1 2 3 4 5 6 7 8; do (echo $i | tr 1 2) & done; wait'
    follow python3 -c 'import json, re, threading
work = lambda: [bytearray(1 << 20) for _ in range(20)]
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()'
    echo "$passed passed, $failed failed, $skipped skipped"
    [ $failed -eq 0 ]
}

# tool NAME: one of tests/tools/.
tool()
{
    ASPEN_FAILING_CALLS=400 ASPEN=$PWD/build/aspen \
        ASPEN_BROKEN_BUILD=$PWD/build/aspen-broken bash tests/tools/"$1".sh
}
export -f unit unit_on_tmpfs rehearse fuzz shadow tool

# Sums of a figure in a part's log.
sum()
{
    grep -aoE "\"$1\":[0-9]+" "$2" | cut -d: -f2 |
        awk '{n += $1} END {print n + 0}'
}

# both NAME SECONDS COMMAND...: as root, and as a user.
both()
{
    part "$1" "${@:2}"
    part "$1-user" "$2" as_user bash -c '"$@"' both "${@:3}"
}

# programs NAME...: those that were built, and all test_*_host.
programs()
{
    ls build/tests/unit/test_*_host
    for name; do
        echo "build/tests/unit/test_$name"
    done
}

# The calls, as root, a tenth of the random ones: what takes long and compares
# no call is not there.
unit_short()
{
    part unit 600 unit $(programs linux_calls posix_file name |
        grep -v map_count)
}

unit_whole()
{
    both unit 1800 unit $(programs linux_calls posix_file capture \
        capture_stop fault_threads truncate copy inspect name advise_threads \
        truncate_threads mremap_threads)
    part unit-tmpfs 600 unit_on_tmpfs build/tests/unit/test_posix_file
}

everything()
{
    local name how=whole calls=2000 seeds='1 2 3 4 5 6 7 8'
    local tools='capture fuzz shadow pkey usage'
    if grep -q ' aspen.short' /proc/cmdline; then
        how=short calls=400 seeds='1 2' tools=
        export ASPEN_ROUNDS_OF=10
    fi
    unit_"$how"
    both run 300 rehearse
    both fuzz 900 fuzz "$calls" $seeds
    both shadow 300 shadow
    for name in $tools; do
        both "$name.sh" 1800 tool "$name"
    done
    say "fact fuzz $(($(sum calls $log/fuzz) + $(sum calls $log/fuzz-user)))"
    say "fact shadow $(($(sum calls $log/shadow) +
        $(sum calls $log/shadow-user)))"
}

# --- the machine

mount -t tmpfs none /run
mkdir -p $log /dev/shm /dev/pts
mount -t tmpfs -o mode=1777 none /dev/shm
mount -t devpts none /dev/pts
# As udev does.
ln -sf /proc/self/fd /dev/fd
ulimit -c 0
. /aspen/todo
export patience
chmod 666 "/dev/$port"
exec 3<>"/dev/$port"
cd /aspen || exit
if [ -n "$run" ]; then
    setsid -c bash -c "$run" <&3 >&3 2>&3
    echo $? >$log/status
else
    stty -F "/dev/$port" -onlcr -echo
    keys=no bits=no
    grep -q ' ospke' /proc/cpuinfo && keys=yes
    grep -q ' la57' /proc/cpuinfo && bits=yes
    say "host $(uname -r), keys $keys, 57 bits $bits"
    everything
    say 'done'
fi
tar -cf /dev/vdc -C $log . 2>/dev/null
sync
exec 3>&-
sleep 0.2
echo o >/proc/sysrq-trigger
sleep 10

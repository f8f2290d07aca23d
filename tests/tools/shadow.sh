#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# aspen shadow as a whole: real programs decide as in Aspen, do not notice, and
# a difference is told.
. "$(dirname "$0")/lib.bash"

broken=${ASPEN_BROKEN_BUILD:?an aspen whose calls are broken}

guest=$(dirname "$ASPEN")/shadow_guest
[ -x "$guest" ] || guest=$(dirname "$ASPEN")/../shadow_guest
unseen=$(dirname "$guest")/unseen_guest

# value JSON-FILE KEY: the first of that name, which is the total.
value()
{
    grep -o "\"$2\":[0-9a-z]*" "$1" | head -1 | cut -d: -f2
}

# followed JSON-FILE CALLS: as many at least. Who had too little time to attach
# says nothing at all.
followed()
{
    local calls
    calls=$(value "$1" calls)
    [ "${calls:-0}" -ge "$2" ]
}

# same JSON-FILE: all that was compared is as in the kernel, addresses too.
same()
{
    [ "$(value "$1" answers_differ)" -eq 0 ] || return 1
    [ "$(value "$1" different)" -eq 0 ] || return 1
    [ "$(value "$1" calls)" -gt 0 ] || return 1
    [ "$(value "$1" maps_compared)" -gt 1 ] || return 1
    [ "$(value "$1" maps_compared)" -eq \
        $(($(value "$1" identical) + $(value "$1" equal))) ] || return 1
    [ "$(value "$1" addresses_picked)" -eq "$(value "$1" addresses_same)" ]
}

# After how many calls the mappings are compared.
every=5

# shadows NAME COMMAND...: it does, with the same output and exit status.
# ended_well STATUS FILE: what it said is shown if not.
ended_well()
{
    [ "$1" -eq 0 ] || { head -n 15 "$2"; false; }
}

shadows()
{
    local name=$1 status
    shift
    "$@" >"$work/$name.alone" 2>/dev/null
    status=$?
    "$ASPEN" shadow --every "$every" --json --guest-output "$work/$name.out" \
        -- "$@" >"$work/$name" 2>"$work/$name.err"
    check "$name-status" ended_well $? "$work/$name.err"
    check "$name-same" same "$work/$name"
    check "$name-output" cmp "$work/$name.alone" "$work/$name.out"
    check "$name-exit-code" test "$(value "$work/$name" exit_code)" -eq $status
}

"$ASPEN" shadow -- true 2>"$work/log"
if [ $? -eq 2 ]; then
    skip shadow "$(head -1 "$work/log")"
    finish
fi
# The address space of older releases is laid out by other rules.
if ! printf '%s\n' 6.1 "$(uname -r)" | sort -CV; then
    skip shadow "the host is older than 6.1"
    finish
fi

# --- programs

shadows true true
shadows false false
shadows ls ls /
shadows pipes bash -c 'for i in 1 2 3; do (echo $i | tr 1 2); done; exit 7'
check pipes-processes test "$(value "$work/pipes" processes)" -ge 7
shadows kill bash -c 'bash -c "kill -9 \$\$"; echo $?; kill -l 9'
shadows trap bash -c 'trap "echo got" USR1; kill -USR1 $$; sleep 0.01'
if command -v python3 >/dev/null; then
    shadows python python3 -c '
import threading, subprocess, mmap, os, sys
def work(n):
    for i in range(20): bytearray(100000 + n * 50000)
threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
for t in threads: t.start()
for t in threads: t.join()
subprocess.run(["true"])
shared = mmap.mmap(-1, 1 << 20)
child = os.fork()
if child == 0:
    shared[1] = 2
    os._exit(0)
os.waitpid(child, 0)
print(shared[1])
sys.exit(9)'
    # Whoever waits for it sees that it has stopped.
    shadows stop python3 -c '
import os, signal
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(4)
print(os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]))
os.kill(child, signal.SIGCONT)
print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))'
else
    skip python 'no python3'
    skip stop 'no python3'
fi

if command -v gcc >/dev/null; then
    printf 'int main(void) { return 3; }\n' >"$work/program.c"
    shadows gcc gcc -O2 -o "$work/program" "$work/program.c"
else
    skip gcc 'no gcc'
fi
if command -v perl >/dev/null; then
    shadows perl perl -e 'for (1..3000) { $x{$_} = "a" x $_ } print scalar keys %x'
else
    skip perl 'no perl'
fi
if command -v sqlite3 >/dev/null; then
    shadows sqlite sqlite3 "$work/db" 'pragma mmap_size = 1000000;
        create table if not exists t(a); insert into t values (1);
        select max(a) from t'
else
    skip sqlite 'no sqlite3'
fi

# The first segment of System V's has number 0, and so has its file.
segment='$id = shmget(0, 64, 01600) // die; shmwrite($id, "x", 0, 1) or die;
    shmctl($id, 0, 0); print $id'
if unshare -i true 2>/dev/null && command -v perl >/dev/null; then
    shadows segment unshare -i perl -e "$segment"
    check segment-is-first grep -qx 0 "$work/segment.out"
else
    skip segment 'no unshare -i, or no perl'
fi

# --- what is hard to follow

shadows untraced timeout 20 "$guest" untraced
check untraced-child test "$(value "$work/untraced" processes)" -ge 2
shadows killed-maker timeout 60 "$guest" killed-maker
# Killed before it says whose the child is, in a group where others live.
setsid -w sh -c 'sleep 60 & other=$!
    ASPEN_BROKEN=maker "$1" shadow --json --guest-output /dev/null \
        -- sh -c "true & wait" && kill $other' sh "$broken" \
    >"$work/maker" 2>"$work/maker.err"
check maker-others-live test $? -eq 0
# Its child may be gone before anything of it can be compared.
check maker-same test "$(value "$work/maker" different)" -eq 0
check maker-signal test "$(value "$work/maker" signal)" -eq 9
for kind in half half-shared advice files sealed secret grows beyond-end special huge-pages limits \
    segment no-execution known; do
    shadows $kind "$guest" $kind
    check $kind-guest test "$(value "$work/$kind" exit_code)" -eq 0
done
for kind in taken-over replaced own-key written-unseen over-joined drivers \
    own-filter half-a-program upper-half; do
    shadows $kind "$unseen" $kind
    check $kind-guest test "$(value "$work/$kind" exit_code)" -eq 0
done
# What nobody sees is counted, and no difference.
for kind in memory-merge implies-execution userfault other-form \
    other-form-later; do
    "$unseen" $kind >/dev/null 2>&1
    if [ $? -eq 159 ]; then
        skip "$kind" "a filter ends who does this"
        continue
    fi
    "$ASPEN" shadow --every 1 --json --guest-output /dev/null \
        -- "$unseen" $kind >"$work/$kind" 2>"$work/$kind.err"
    check $kind-status test $? -eq 0
    check $kind-guest test "$(value "$work/$kind" exit_code)" -eq 0
    check $kind-none-differs test "$(value "$work/$kind" answers_differ)$(value "$work/$kind" different)" = 00
done
if grep -q '"32-bit call"' "$work/other-form"; then
    check other-form-counted grep -q '"32-bit call":25' "$work/other-form"
fi
if setarch -X true 2>/dev/null; then
    check unseen-counted grep -q '"changes with READ_IMPLIES_EXEC":[1-9]' \
        "$work/implies-execution"
fi
# Older kernels can only be asked for all mappings, which are many.
limit_every=1000
printf '%s\n' 6.11 "$(uname -r)" | sort -CV || every=200 limit_every=20000
shadows many "$guest" many
check many-guest test "$(value "$work/many" exit_code)" -eq 0
[ "$every" -ne 5 ] || check many-in-part test "$(value "$work/many" in_part)" -gt 0
every=5
"$ASPEN" shadow --every $limit_every --json --guest-output /dev/null \
    -- "$guest" map-limit >"$work/map-limit" 2>"$work/map-limit.err"
check map-limit-status test $? -eq 0
check map-limit-guest test "$(value "$work/map-limit" exit_code)" -eq 0
check half-counted grep -q '"refused, half done":1' "$work/half"
check known-counted grep -q '"address taken for an error":2' "$work/known"
check sealed-counted grep -q '"REMOVE of a sealed memfd":1' "$work/sealed"
check files-socket grep -q '"mmap of a socket":1' "$work/files"
# A session of its own, and with it a process group.
shadows group setsid -w "$guest" group
setsid -w "$ASPEN" shadow --json --guest-output /dev/null -- "$guest" group \
    >"$work/group" 2>"$work/group.err"
check group-status test $? -eq 0
check group-same same "$work/group"

# --- a process that runs already

"$guest" first-thread >"$work/progress" &
worker=$!
sleep 0.2
# For a time: on a slow machine little happens in it.
for seconds in 1 20; do
    timeout 60 "$ASPEN" shadow -p $worker --seconds $seconds --every 5 --json \
        >"$work/first" 2>&1
    status=$?
    followed "$work/first" 20 && break
done
check first-thread-status test $status -eq 0
check first-thread-same same "$work/first"
before=$(wc -l <"$work/progress")
sleep 0.3
check first-thread-goes-on test "$(wc -l <"$work/progress")" -gt "$before"
kill $worker
wait $worker 2>/dev/null

"$guest" grows-later &
worker=$!
sleep 0.5
"$ASPEN" shadow --pid $worker --calls 20 --every 50 --json >"$work/later" 2>&1
check grows-later-status test $? -eq 0
kill $worker
wait $worker 2>/dev/null

if command -v python3 >/dev/null; then
    python3 -c '
import mmap, os, threading, time
def work():
    while True:
        m = mmap.mmap(-1, 1 << 16)
        m[0] = 1
        m.close()
        time.sleep(0.002)
for n in range(3): threading.Thread(target=work, daemon=True).start()
while True:
    time.sleep(0.05)
    child = os.fork()
    if child == 0: os._exit(0)
    os.waitpid(child, 0)
    print("on", flush=True)' >"$work/progress" &
    worker=$!
    sleep 0.5
    "$ASPEN" shadow --pid $worker --calls 300 --every 20 --json \
        >"$work/attach" 2>"$work/attach.err"
    check attach-status test $? -eq 0
    check attach-same same "$work/attach"
    check attach-calls test "$(value "$work/attach" calls)" -ge 300
    # For a time, as above.
    for seconds in 2 20; do
        "$ASPEN" shadow -p $worker --seconds $seconds --every 20 --json \
            >"$work/attach" 2>&1
        status=$?
        followed "$work/attach" 100 && break
    done
    check attach-again test $status -eq 0
    check attach-again-same same "$work/attach"
    for seconds in 5 50; do
        timeout -s INT $seconds "$ASPEN" shadow -p $worker --every 20 --json \
            >"$work/attach" 2>&1
        followed "$work/attach" 100 && break
    done
    check attach-interrupted same "$work/attach"
    before=$(wc -l <"$work/progress")
    for _ in {1..40}; do
        sleep 0.5
        [ "$(wc -l <"$work/progress")" -eq "$before" ] || break
    done
    check attach-goes-on test "$(wc -l <"$work/progress")" -gt "$before"
    check attach-let-go grep -q '^TracerPid:.0$' /proc/$worker/status
    kill $worker
    wait $worker 2>/dev/null
else
    skip attach 'no python3'
fi

# --- signals, stops, output

"$ASPEN" shadow --json -- sh -c 'kill -SEGV $$' >"$work/died" 2>/dev/null
check died-status test $? -eq 0
check died-signal test "$(value "$work/died" signal)" -eq 11
"$ASPEN" shadow -- sh -c 'echo out; echo err >&2' >"$work/out" 2>"$work/err"
check output-untouched test "$(cat "$work/out")" = out
check output-told grep -q '^Aspen decided as the kernel did$' "$work/err"
"$ASPEN" shadow --json -- echo out >"$work/out" 2>"$work/err"
check json-alone test "$(wc -l <"$work/out")" -eq 1
check json-schema grep -q '"schema":"aspen.shadow/1"' "$work/out"
check json-guest test "$(cat "$work/err")" = out
# --- differences

for how in mappings answers; do
    ASPEN_BROKEN=$how "$broken" shadow --every 1 --json -- true \
        >"$work/$how" \
        2>"$work/$how.err"
    check "broken-$how-status" test $? -eq 1
    check "broken-$how-told" grep -q 'DIFFERENT process .*mprotect(0x' \
        "$work/$how.err"
done
# In VmFlags alone, and in one of many.
ASPEN_BROKEN=advice "$broken" shadow --json -- "$guest" advice \
    >"$work/advice" 2>"$work/advice.err"
check broken-advice-status test $? -eq 1
check broken-advice test "$(value "$work/advice" different)" -gt 0
ASPEN_BROKEN=mappings "$broken" shadow --every 1500 --json -- "$guest" many \
    >"$work/many" 2>"$work/many.err"
check broken-many-told grep -q 'DIFFERENT process .* after calls' \
    "$work/many.err"
check broken-mappings test "$(value "$work/mappings" different)" -gt 0
check broken-answers test "$(value "$work/answers" answers_differ)" -gt 0
check broken-otherwise-same "$broken" shadow -- true

# --- refusals

expect 2 'give -- CMD' shadow
expect 2 '--pid takes a process number' shadow --pid x
expect 2 'no process 99999999' shadow --pid 99999999
expect 2 'give one of' shadow --pid 1 -- true
expect 2 'go with --pid' shadow --calls 5 -- true
expect 2 '--seconds takes seconds' shadow --pid 1 --seconds x
expect 2 'a command goes behind --' shadow true
expect 2 '--every takes a number' shadow --every x -- true
expect 2 "'--nonsense' is no option" shadow --nonsense -- true
expect 2 'No such file' shadow -- "$work/none"
expect 2 'Permission denied' shadow -- /etc/passwd
expect 2 'No such file' shadow --guest-output /none/file -- true
finish

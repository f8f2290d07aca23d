#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# aspen capture as a whole: what it writes, what it refuses, what it leaves.
. "$(dirname "$0")/lib.bash"

start_sleeper
if ! may_trace capture; then
    check no-stop "$ASPEN" capture --no-stop --pid $sleeper -o "$work/a.snap"
    finish
fi

check by-pid "$ASPEN" capture --pid $sleeper -o "$work/a.snap"
check by-pid-goes-on kill -0 $sleeper
check by-command "$ASPEN" capture --after 0.2 -o "$work/b.snap" -- sleep 9
# Standard input of the command stays open, and empty.
check command-waits "$ASPEN" capture --after 0.2 -o "$work/b.snap" -- cat
"$ASPEN" capture --no-stop --pid $sleeper -o "$work/b.snap" >"$work/torn"
check torn-said grep -q 'may not fit together' "$work/torn"

# --- output

json_has()
{
    grep -q "$1" "$work/json"
}
"$ASPEN" capture --pid $sleeper -o "$work/a.snap" --json >"$work/json"
check json-schema json_has '"schema":"aspen.capture/1"'
check json-process json_has '"process":"sleep"'
check json-one-line test "$(wc -l <"$work/json")" -eq 1
"$ASPEN" capture --after 1 -o "$work/b.snap" --output "$work/noise" --json \
    -- sh -c 'echo noise; exec sleep 9' >"$work/json"
check output-kept-apart test "$(cat "$work/noise")" = noise
check output-not-mixed test "$(grep -c noise "$work/json")" -eq 0
check stdout-file sh -c "'$ASPEN' capture --pid $sleeper -o - >'$work/c.snap'"
check stdout-same-magic cmp -n 8 "$work/a.snap" "$work/c.snap"

# Whoever ends aspen ends the command too, and what that has started.
"$ASPEN" capture --after 60 -o "$work/n.snap" --output "$work/started" \
    -- sh -c 'echo $$; sleep 500 & echo $!; wait' &
aspen=$!
for _ in $(seq 100); do
    [ "$(wc -l <"$work/started" 2>/dev/null || echo 0)" -eq 2 ] && break
    sleep 0.05
done
kill -TERM $aspen
wait $aspen 2>/dev/null
gone()
{
    local i number
    for i in $(seq 100); do
        for number in $(cat "$work/started"); do
            grep -q '^State:.*[RSD]' /proc/"$number"/status 2>/dev/null &&
                break
            number=
        done
        [ -z "$number" ] && return 0
        sleep 0.05
    done
    return 1
}
check interrupted-started test "$(wc -l <"$work/started")" -eq 2
check interrupted-gone gone
check interrupted-no-file test ! -e "$work/n.snap"

# --- redaction

check path-is-there grep -qa /sleep "$work/a.snap"
check redacted "$ASPEN" capture --redact --pid $sleeper -o "$work/r.snap"
check path-has-folders grep -qaE '/[a-z0-9_.-]{2,}/' "$work/a.snap"
check redacted-no-path sh -c \
    "! grep -qaE '/[a-z0-9_.-]{2,}/' '$work/r.snap'"
check redacted-no-name sh -c "! grep -qa sleep '$work/r.snap'"

# --- refusals

dead=$(sh -c 'echo $$')
expect 2 'no process' capture --pid "$dead" -o "$work/n.snap"
expect 2 'cannot run no-such-command: No such file' \
    capture -o "$work/n.snap" -- no-such-command
# What is in a folder that one may not enter is not there, to a shell; what is
# there and may not be run is.
mkdir "$work/closed" "$work/open"
printf 'true\n' >"$work/open/no-program"
chmod 0 "$work/closed"
path=$PATH
PATH=$work/closed:$PATH:$work/closed
expect 2 'cannot run no-such-command: No such file' \
    capture -o "$work/n.snap" -- no-such-command
expect 2 'cannot run no-such-command: No such file' shadow -- no-such-command
check behind-closed "$ASPEN" capture --after 0.1 -o "$work/b.snap" -- sleep 9
PATH=$work/closed:$path:$work/open
expect 2 'cannot run no-program: Permission denied' \
    capture -o "$work/n.snap" -- no-program
PATH=$path
rmdir "$work/closed"
check no-path env -u PATH "$ASPEN" capture --after 0.1 -o "$work/b.snap" -- \
    sleep 9
expect 2 'true ended before --after' capture -o "$work/n.snap" -- true
expect 2 'status 7' capture -o "$work/n.snap" -- sh -c 'exit 7'
expect 2 'cannot write' capture --pid $sleeper -o "$work/no/such/place"
expect 2 'cannot write' capture --pid $sleeper -o "$work"
expect 2 'No space left on device' capture --pid $sleeper -o /dev/full
check device-still-there test -c /dev/full
check no-file-left test ! -e "$work/n.snap"

# A full disk: by a limit everywhere, by a tiny file system where we may.
cp "$work/a.snap" "$work/full.snap"
(
    ulimit -f 0
    "$ASPEN" capture --pid $sleeper -o "$work/full.snap" 2>&1
    echo "status $?"
) | cat >"$work/err"
check full-disk-status grep -q 'status 2' "$work/err"
check full-disk-said grep -q 'cannot write.*too large' "$work/err"
check full-disk-old-kept cmp "$work/a.snap" "$work/full.snap"
check full-disk-nothing-else test "$(ls "$work" | grep -c 'full.snap')" -eq 1
mkdir "$work/tiny"
if mount -t tmpfs -o size=4k none "$work/tiny" 2>/dev/null; then
    head -c 4096 /dev/zero >"$work/tiny/filler"
    expect 2 'No space left on device' \
        capture --pid $sleeper -o "$work/tiny/a.snap"
    check tiny-nothing-left test "$(ls "$work/tiny")" = filler
    umount "$work/tiny"
else
    skip tiny-file-system 'may not mount here'
fi
if [ "$(id -u)" -ne 0 ] ||
    ! setpriv --reuid 65534 --clear-groups true 2>/dev/null; then
    skip no-permission 'takes root and setpriv'
elif can_run_there no-permission; then
    chmod 755 "$work"
    cp "$ASPEN" "$work/aspen"
    check no-permission-status sh -c "setpriv --reuid 65534 --clear-groups \
        '$work/aspen' capture --pid $sleeper -o /tmp/aspen-nobody.$$ \
        2>'$work/err'; test \$? -eq 2"
    check no-permission-said grep -q 'no permission to stop' "$work/err"
    check no-permission-no-file test ! -e /tmp/aspen-nobody.$$
fi
finish

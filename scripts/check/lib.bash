# SPDX-License-Identifier: MIT
#
# Sourced by scripts that test: how tests are counted, and told. What is skipped
# is a line "skipped NAME: WHY"; the last line is "N passed, N failed, N
# skipped". scripts/check.sh adds those up, and looks for these.
passed=0 failed=0 skipped=0
totals='[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$'
skips='^skipped[: ]'

# try WHAT COMMAND...: one test, which has to succeed; false if it does not.
# What it says goes to $log.
try()
{
    local what=$1
    shift
    if "$@" >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "ok   $what"
    else
        failed=$((failed + 1))
        echo "FAIL $what"
        tail -n 40 "$log"
        return 1
    fi
}

# skip NAME WHY
skip()
{
    skipped=$((skipped + 1))
    echo "skipped $1: $2"
}

# wait_for COMMAND...: its status. It is a job, in a process group of its own, which
# goes when we are told to, and $beside_job, if that is one. In the background, since
# bash runs a trap only when what is in the foreground has ended.
job='' beside_job=''
stop_jobs()
{
    local one
    for one in $job $beside_job; do
        kill -- "-$one" 2>/dev/null
    done
    exit 130
}

wait_for()
{
    local status
    set -m
    trap stop_jobs INT TERM HUP QUIT
    "$@" </dev/null &
    job=$!
    wait "$job"
    status=$?
    job=''
    return $status
}

finish()
{
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}

# skip_all NAME WHY: nothing can be tried.
skip_all()
{
    skip "$1" "$2"
    finish
}

# count_log STATUS LOG: what a command that ended so says has passed, failed,
# been skipped: in $p, $f, $s. Without totals it is one test. A skip without a
# name fails.
count_log()
{
    local named
    read -r p f s <<<"$(grep -aoE "$totals" "$2" | tr -d ',' |
        awk '{p += $1; f += $3; s += $5} END {print p + 0, f + 0, s + 0}')"
    if [ "$1" -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1
    elif ! grep -qaE "$totals" "$2"; then
        p=1
    fi
    named=$(grep -caE "$skips" "$2")
    if [ "$named" -ne "$s" ]; then
        echo "$s skipped, $named of them by name" >>"$2"
        f=$((f + 1))
    fi
}

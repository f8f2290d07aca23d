#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# How tests are counted: scripts/run-tests.sh, scripts/check/lib.bash and
# scripts/check.sh. What failed is never passed, what was skipped has a name.
. "$(dirname "$0")/lib.bash"

# --- run-tests.sh

# cmocka NAME STATUS: a program that says what standard input does.
cmocka()
{
    { echo "cat <<'END'" && cat && echo END && echo "exit $2"; } |
        program "$work/tests/$1"
}

tests()
{
    local name programs=()
    for name; do
        programs+=("$work/tests/$name")
    done
    scripts/run-tests.sh "$work/log" "${programs[@]}"
}

cmocka passes 0 <<'END'
[==========] Running 2 test(s).
[ RUN      ] a
[       OK ] a
[ RUN      ] b
[       OK ] b
[==========] 2 test(s) run.
[  PASSED  ] 2 test(s).
END
cmocka fails 1 <<'END'
[ RUN      ] a
[       OK ] a
[ RUN      ] b
[  FAILED  ] b
[==========] 2 test(s) run.
[  PASSED  ] 1 test(s).
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] b
END
cmocka skips 0 <<'END'
[ RUN      ] a
[       OK ] a
[ RUN      ] b
skipped: no such thing here
[  SKIPPED ] b
[==========] 2 test(s) run.
[  PASSED  ] 1 test(s).
[  SKIPPED ] 1 test(s), listed below:
[  SKIPPED ] b
END
cmocka only-skips 0 <<'END'
[ RUN      ] a
skipped: nothing of it here
[  SKIPPED ] a
[==========] 1 test(s) run.
[  PASSED  ] 0 test(s).
[  SKIPPED ] 1 test(s), listed below:
[  SKIPPED ] a
END
cmocka unsaid 0 <<'END'
[ RUN      ] a
[       OK ] a
[ RUN      ] b
[  SKIPPED ] b
[==========] 2 test(s) run.
[  PASSED  ] 1 test(s).
[  SKIPPED ] 1 test(s), listed below:
[  SKIPPED ] b
END
cmocka in-part 0 <<'END'
[ RUN      ] a
skipped: a part of it
[       OK ] a
[==========] 1 test(s) run.
[  PASSED  ] 1 test(s).
END
# The reason of one is not that of the next.
cmocka half-said 0 <<'END'
[ RUN      ] a
skipped: a part of it
[       OK ] a
[ RUN      ] b
[  SKIPPED ] b
[==========] 2 test(s) run.
[  PASSED  ] 1 test(s).
[  SKIPPED ] 1 test(s), listed below:
[  SKIPPED ] b
END
cmocka groups 1 <<'END'
[ RUN      ] a
[       OK ] a
[==========] 1 test(s) run.
[  PASSED  ] 1 test(s).
[ RUN      ] b
[  FAILED  ] b
[==========] 1 test(s) run.
[  PASSED  ] 0 test(s).
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] b
END
cmocka crashes 139 <<'END'
[==========] Running 2 test(s).
[ RUN      ] a
END
cmocka crashes-late 23 <<'END'
[ RUN      ] a
[       OK ] a
[==========] 1 test(s) run.
[  PASSED  ] 1 test(s).
END
cmocka nothing 0 </dev/null
program "$work/tests/hangs" <<'END'
echo '[ RUN      ] a'
exec sleep 60
END

expect passes 0 '2 passed, 0 failed, 0 skipped' tests passes
expect fails 1 '1 passed, 1 failed, 0 skipped' tests fails
says fails-log '^FAIL fails '
expect skips 0 '1 passed, 0 failed, 1 skipped' tests skips
says skips-name '^skipped skips b: no such thing here$'
expect only-skips 0 '0 passed, 0 failed, 1 skipped' tests only-skips
says only-skips-verdict '^skip only-skips '
expect unsaid 1 '1 passed, 1 failed, 0 skipped' tests unsaid
expect in-part 0 '1 passed, 0 failed, 1 skipped' tests in-part
expect half-said 1 '1 passed, 1 failed, 1 skipped' tests half-said
expect groups 1 '1 passed, 1 failed, 0 skipped' tests groups
expect crashes 1 '0 passed, 1 failed, 0 skipped' tests crashes
expect crashes-late 1 '1 passed, 1 failed, 0 skipped' tests crashes-late
expect nothing 1 '0 passed, 1 failed, 0 skipped' tests nothing
expect not-there 1 '0 passed, 1 failed, 0 skipped' tests not-there
ASPEN_TEST_TIMEOUT=1 \
    expect hangs 1 '0 passed, 1 failed, 0 skipped' tests hangs
expect together 1 '7 passed, 2 failed, 1 skipped' \
    tests passes fails skips unsaid passes

# Whose release nobody knows is told so first.
program "$work/bin/uname" <<'END'
echo "$RELEASE"
END
released()
{
    RELEASE=$1 PATH=$work/bin:$PATH tests passes
}
for release in 6.0.19 6.19.1 7.2; do
    expect "release $release" 0 '2 passed, 0 failed, 0 skipped' \
        released $release
    says "release $release said" "^Linux $release is not known here"
done
for release in 6.1.0-51-amd64 6.12.1 6.18.44; do
    released $release >"$work/out" 2>&1
    is "release $release" "$(grep -c 'not known' "$work/out")" 0
done

# --- count_log

# counts STATUS WANTED: of the log that standard input is.
counts()
{
    cat >"$work/count"
    is "count_log $1 of '$(head -n 1 "$work/count")'" "$(
        . scripts/check/lib.bash
        count_log "$1" "$work/count"
        echo "$p $f $s"
    )" "$2"
}

counts 0 '1 0 0' <<<'it says nothing of tests'
counts 1 '0 1 0' <<<'it says nothing of tests'
counts 0 '3 0 0' <<<'3 passed, 0 failed, 0 skipped'
counts 2 '3 1 0' <<<'3 passed, 0 failed, 0 skipped'
counts 1 '3 2 0' <<<'3 passed, 2 failed, 0 skipped'
counts 0 '3 2 0' <<<'3 passed, 2 failed, 0 skipped'
counts 0 '5 0 1' <<<'2 passed, 0 failed, 1 skipped
skipped it: there is none
ok   tool.sh       3 passed, 0 failed, 0 skipped'
counts 0 '2 1 1' <<<'2 passed, 0 failed, 1 skipped'
counts 0 '2 1 2' <<<'2 passed, 0 failed, 2 skipped
skipped it: there is none'
counts 0 '2 1 0' <<<'2 passed, 0 failed, 0 skipped
skipped it: there is none'
counts 0 '1 1 0' <<<'skipped it: there is none'

# --- who is told to stop leaves nobody behind

# What a test runs goes too, whether ^C is typed or the script is killed.
program "$work/tests/stays" <<'END'
echo $$ >>"$work/pids"
exec sleep 61
END
program "$work/stays/make" <<'END'
[ "${*: -1}" != quick ] || exit 0
timeout --foreground 60 "$work/tests/stays"
END
export work
# gone COMMAND...: once it has started as many as $starts it gets $signal, with all
# of its process group as from a terminal, or by itself where $alone is set to
# nothing; within ten seconds nobody is there.
gone()
{
    local tries=0 pid
    : >"$work/pids"
    set -m
    "$@" >"$work/out" 2>&1 </dev/null &
    set +m
    pid=$!
    until [ "$(wc -l <"$work/pids")" -eq "$starts" ] || [ $tries -gt 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -"$signal" -- "${alone--}$pid"
    [ "$(wc -l <"$work/pids")" -eq "$starts" ] || return
    for tries in $(seq 100); do
        # shellcheck disable=SC2046
        kill -0 "$pid" $(cat "$work/pids") 2>/dev/null || return 0
        sleep 0.1
    done
    # shellcheck disable=SC2046
    kill -KILL -- "-$pid" $(cat "$work/pids") 2>/dev/null
    return 1
}
for signal in INT TERM; do
    starts=2 judge "run-tests $signal leaves programs" \
        gone scripts/run-tests.sh "$work/log" "$work"/tests/stays{,}
    MAKE=$work/stays/make starts=2 judge "check $signal leaves programs" \
        gone scripts/check.sh "$work/check" quick one --beside two
done
MAKE=$work/stays/make starts=2 alone='' judge "check TERM alone leaves programs" \
    gone scripts/check.sh "$work/check" quick one --beside two

# --- check.sh

program "$work/make" <<'END'
case ${*: -1} in
good | fine) echo '2 passed, 0 failed, 0 skipped' ;;
plain | simple) ;;
bad) echo 'this is why' && exit 2 ;;
skips) echo 'skipped it: there is none' && echo '0 passed, 0 failed, 1 skipped' ;;
unnamed) echo '1 passed, 0 failed, 1 skipped' ;;
first) rm -f "$work/made" && sleep 0.3 && : >"$work/made" ;;
second) [ -e "$work/made" ] ;;
flags) [ -z "${MAKEFLAGS-}${MAKELEVEL-}" ] ;;
folder) [[ " $* " = *" BUILD=$work/else where "* ]] ;;
esac
END
check()
{
    MAKE=$work/make MAKEFLAGS=n MAKELEVEL=1 scripts/check.sh "$work/check" "$@"
}
expect check 0 '4 passed, 0 failed, 1 skipped' check good plain skips flags
says check-skip '^skip skips .* 1 skipped'
says check-skip-name '^ +skipped it: there is none$'
expect check-bad 1 '2 passed, 1 failed, 0 skipped' check bad good
says check-bad-why '^ +this is why$'
says check-bad-how '^failed: make bad +\(log: .*/bad.log\)$'
expect check-unnamed 1 '1 passed, 1 failed, 1 skipped' check unnamed
export work
BUILD="$work/else where" \
    expect check-elsewhere 0 '1 passed, 0 failed, 0 skipped' check folder
expect check-beside 0 '6 passed, 0 failed, 1 skipped' check good good \
    --beside fine skips
expect check-beside-bad 1 '5 passed, 2 failed, 1 skipped' check good plain \
    --beside bad simple unnamed
says check-beside-why '^failed: make bad '
expect check-beside-alone 0 '3 passed, 0 failed, 0 skipped' check plain \
    --beside good
expect check-beside-after 0 '2 passed, 0 failed, 0 skipped' check first \
    --beside second
expect check-log 0 '1 passed, 0 failed, 0 skipped' check tsan/plain

# --- tests/tools/lib.bash

# tool LINE...: a script of tests/tools with these lines.
tool()
{
    { echo ". '$top/tests/tools/lib.bash'" && printf '%s\n' "$@" &&
        echo finish; } | program "$work/tool.sh"
    ASPEN=$work/aspen "$work/tool.sh"
}
program "$work/aspen" <<'END'
case $1 in
one) echo 'aspen: no' >&2 && exit 2 ;;
two) printf 'aspen: no\nand no\n' >&2 && exit 2 ;;
out) echo 'aspen: no' && exit 2 ;;
esac
END
verdict()
{
    printf '%-4s %-28s %4d passed, %d failed, %d skipped' "$1" tool.sh "${@:2}"
}
expect tool 0 "$(verdict ok 1 0 0)" tool 'check it true'
expect tool-fails 1 "$(verdict FAIL 1 1 0)" tool 'check it true' 'check it false'
expect tool-skips 0 "$(verdict skip 0 0 1)" tool 'skip it why'
says tool-skip '^skipped it: why$'
expect tool-one 0 "$(verdict ok 1 0 0)" tool 'expect 2 no one'
expect tool-other-status 1 "$(verdict FAIL 0 1 0)" tool 'expect 1 no one'
expect tool-other-words 1 "$(verdict FAIL 0 1 0)" tool 'expect 2 yes one'
expect tool-two-lines 1 "$(verdict FAIL 0 1 0)" tool 'expect 2 no two'
expect tool-nowhere 1 "FAIL tool.sh: no folder can be made in $work/none" \
    env TMPDIR="$work/none" ASPEN="$work/aspen" "$work/tool.sh"
expect tool-stdout 1 "$(verdict FAIL 0 1 0)" tool 'expect 2 no out'

# --- what is left out is said

# unsaid FILE...: each `if` that asks for a program, and has no `skip`.
unsaid()
{
    awk 'FNR == 1 {asks = ""}
        /^if .*(command -v|--version)/ {asks = FILENAME ": " $0; said = 0}
        / (skip|skip_all) / || /^    (continue|exit)/ {said = 1}
        /^fi/ && asks != "" {if (!said) print asks; asks = ""}' "$@"
}
is unsaid "$(unsaid tests/*/*.sh scripts/check/*.sh)" ''
printf '%s\n' 'if command -v one; then' '    run' fi 'if command -v two; then' \
    '    run' else '    skip two why' fi >"$work/unsaid"
is unsaid-one "$(unsaid "$work/unsaid" | sed 's/.*: //')" 'if command -v one; then'

# --- deps.sh: what make check asks for

# A system that has nothing says all that it lacks; its perl has what Debian's
# perl-base has, not what comes with perl.
program "$work/nothing/dpkg-query" </dev/null
program "$work/nothing/id" <<'END'
echo 1
END
lacking=$(PATH=$work/nothing:$PATH scripts/deps.sh check 2>&1 | tail -n 1)
for package in gcc make perl; do
    case $package in
    make) is "deps $package" "$(grep -cw "$package" <<<"$lacking")" 0 ;;
    *) is "deps $package" "$(grep -cw "$package" <<<"$lacking")" 1 ;;
    esac
done

end_harness

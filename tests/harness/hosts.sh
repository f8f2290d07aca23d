#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Who runs tests elsewhere: scripts/check/comparing.sh, user.sh, container.sh,
# kernels.sh, hosts.sh. In a copy of them, over programs that are none.
. "$(dirname "$0")/lib.bash"

tree=$work/tree
copy_to "$tree" scripts/run-tests.sh tools/aspen/host/host.c \
    scripts/check/{comparing,user,container,kernels,hosts}.sh \
    scripts/check/lib.bash
cd "$tree" || exit 2

# --- comparing.sh: each part counts

mkdir -p tests/host tests/unit/tools tests/threads tests/tools
: >tests/host/test_one_host.c
echo '#include <unistd.h>' >tests/unit/tools/test_two.c
echo '#include <stdio.h>' >tests/unit/tools/test_three.c
: >tests/threads/test_four.c
for test in one_host two three; do
    program build/tests/unit/test_$test <<'END'
echo '[ RUN      ] a'
[ "$UNIT" -eq 0 ] && echo '[  PASSED  ] 1 test(s).' ||
    echo '[  FAILED  ] 1 test(s), listed below:'
exit $UNIT
END
done
program tests/tools/tool.sh <<'END'
[ -n "$ASPEN$ASPEN_BROKEN_BUILD$MAKE_SNAPSHOTS" ] && exit $TOOL
END
program scripts/check/fuzz.sh <<'END'
exit $FUZZ
END
program scripts/run.sh <<'END'
echo "$SAID" >&2
echo 'every promise held'
exit $RUN
END
compare()
{
    UNIT=$1 TOOL=$2 FUZZ=$3 RUN=$4 SAID=${5-} scripts/check/comparing.sh build
}
expect compare 0 '1 passed, 0 failed, 0 skipped' compare 0 0 0 0
says compare-units '^2 passed, 0 failed, 0 skipped$'
expect compare-unit 1 '1 passed, 0 failed, 0 skipped' compare 1 0 0 0
expect compare-tool 1 '1 passed, 0 failed, 0 skipped' compare 0 1 0 0
expect compare-fuzz 1 '1 passed, 0 failed, 0 skipped' compare 0 0 1 0
expect compare-run 1 '0 passed, 1 failed, 0 skipped' compare 0 0 0 1
expect compare-refused 0 '0 passed, 0 failed, 1 skipped' \
    compare 0 0 0 2 'the host refuses ptrace: no'
says compare-refused-name '^skipped run: the host refuses ptrace: no$'
expect compare-usage 1 '0 passed, 1 failed, 0 skipped' compare 0 0 0 2 'usage:'

# --- container.sh: a refusal is told, each part counts

program build/contained <<'END'
errno='Operation not permitted'
while [ "$1" != -- ]; do
    [ "$1" != ENOSYS ] || errno='Function not implemented'
    shift
done
shift
case $* in
true) exit "$FILTER" ;;
*'fuzz --calls 1') what='personality(ADDR_NO_RANDOMIZE)' ;;
*' sleep 9') what=ptrace ;;
*) exec "$@" ;;
esac
case $REFUSED in
told) echo "aspen: the host refuses $what: $errno" >&2 && exit 2 ;;
errno) echo "aspen: the host refuses $what: No such process" >&2 && exit 2 ;;
status) echo "aspen: the host refuses $what: $errno" >&2 ;;
twice) printf 'aspen: the host refuses %s: %s\n' "$what" "$errno" "$what" \
    "$errno" >&2 && exit 2 ;;
esac
END
program build/aspen </dev/null
program make <<'END'
exit $ASAN
END
program comparing <<'END'
exit $COMPARED
END
: >tests/unit/tools/test_five.c
echo '#include "host/refused.h"' >>tests/host/test_one_host.c
contain()
{
    REFUSED=$1 UNIT=$2 ASAN=$3 COMPARED=$4 FILTER=0 MAKE=$tree/make \
        scripts/check/container.sh build
}
cp scripts/check/comparing.sh kept
cp comparing scripts/check/comparing.sh
last='-- the rules since, EPERM'
expect container 0 "$last" contain told 0 0 0
says container-told '^8 passed, 0 failed, 0 skipped$'
says container-units '^1 passed, 0 failed, 0 skipped$'
for how in errno status twice; do
    expect container-$how 1 "$last" contain $how 0 0 0
    says container-$how-counted '^0 passed, 8 failed, 0 skipped$'
done
expect container-unit 1 "$last" contain told 1 0 0
expect container-asan 1 "$last" contain told 0 2 0
expect container-rules 1 "$last" contain told 0 0 1
FILTER=1 expect container-none 0 '0 passed, 0 failed, 1 skipped' \
    scripts/check/container.sh build

# --- user.sh: somebody else it is

program scripts/check/comparing.sh <<'END'
echo "user $(id -u) $(id -G)"
echo "capabilities $(sed -n 's/^Cap\(Inh\|Prm\|Eff\|Amb\):\t0*$/none/p' \
    /proc/self/status | xargs)"
echo "home ${HOME-none} make ${MAKEFLAGS-none}"
echo "closed $(ls "${PATH%%:*}" >/dev/null 2>&1 && echo open || echo shut)"
[ -x "$1/aspen" ] && echo 'programs'
touch "$TMPDIR/it" && echo 'temporary files'
touch scripts/it 2>/dev/null && echo 'another writes here'
exit 3
END
if [ "$(id -u)" -ne 0 ]; then
    expect user-not-root 0 '0 passed, 0 failed, 1 skipped' \
        scripts/check/user.sh build
    leave_out user.sh 'not root'
else
    export MAKEFLAGS=n
    expect user 3 'temporary files' setpriv --groups 0,4711 \
        scripts/check/user.sh build
    unset MAKEFLAGS
    says user-number '^user 61[0-9]{3} 61[0-9]{3}$'
    says user-capabilities '^capabilities none none none none$'
    says user-environment '^home none make none$'
    says user-closed '^closed shut$'
    # What was built where none but root gets to, by a whole path.
    mkdir -m 700 "$work/shut"
    for name in aspen{,-bench,-pressure,-broken} make_snapshots a_guest \
        tests/unit/test_one; do
        program "$work/shut/$name" </dev/null
    done
    mkdir tests/snapshots
    expect user-shut 3 'temporary files' scripts/check/user.sh "$work/shut"
    says user-shut-programs '^programs$'
fi

# --- kernels.sh: how a machine ends

program scripts/deps.sh <<'END'
exit "${DEPS:-0}"
END
program scripts/kernels/fetch.sh <<'END'
[ "$2" != 9.9 ] && mkdir -p "$1/$2" && echo "version $2-fake" >"$1/$2/version"
END
program scripts/kernels/image.sh </dev/null
program bin/uname <<'END'
echo x86_64
END
# The console is a file, the results come out here; what to say is in $SAY.
program bin/qemu-system-x86_64 <<'END'
for word; do
    case $word in
    file:*console) console=${word#file:} ;;
    file=*logs.tar,*) logs=${word#file=} && logs=${logs%%,*} ;;
    esac
done
again=$(dirname "$console")/../again
case $SAY in
done | fails | status | unnamed)
    echo 'host 6.1-fake, keys yes, 57 bits no'
    echo 'ok   unit    5 passed   0 failed   1 skipped   2 s'
    echo 'skipped unit: one'
    echo 'fact fuzz 12'
    [ "$SAY" != fails ] ||
        echo 'FAIL fuzz    0 passed   1 failed   0 skipped   2 s'
    echo 'done'
    [ "$SAY" != status ] || exit 1
    ;;
half) echo 'ok   unit    5 passed   0 failed   1 skipped   2 s' ;;
panics) echo 'Kernel panic - not syncing' >"$console" ;;
hangs) sleep 60 ;;
int3)
    if [ -e "$again" ]; then
        rm "$again"
        SAY=done exec "$0" "$@"
    fi
    touch "$again"
    echo 'Oops: int3: 0000' >"$console"
    ;;
runs)
    echo 4 >"$(dirname "$console")/status"
    tar -cf "$logs" -C "$(dirname "$console")" status
    echo 'it ran'
    ;;
esac
END
kernel()
{
    SAY=$1 KERNELS=${2:-6.1} CPUS=max RUN=${3-} LIMIT=${4:-60} \
        PATH=$tree/bin:$PATH scripts/check/kernels.sh build short
}
expect kernel 0 '5 passed, 0 failed, 1 skipped' kernel 'done'
says kernel-table '^\| 6.1-fake \| max \| short \| 5 \| 0 \| 1 \| 12 \| - \|$'
expect kernel-fails 1 '5 passed, 1 failed, 1 skipped' kernel fails
expect kernel-status 1 '5 passed, 1 failed, 1 skipped' kernel status
expect kernel-half 1 '5 passed, 1 failed, 1 skipped' kernel half
says kernel-half-said '^FAIL 6.1, max: it went off before it was done'
expect kernel-panics 1 '0 passed, 1 failed, 0 skipped' kernel panics
says kernel-panics-said '^FAIL 6.1, max: the kernel panicked'
expect kernel-hangs 1 '0 passed, 1 failed, 0 skipped' kernel hangs 6.1 '' 1
says kernel-hangs-said '^FAIL 6.1, max: more than 1 s'
expect kernel-again 0 '5 passed, 0 failed, 1 skipped' kernel int3
says kernel-again-said 'once more$'
expect kernel-none 0 '0 passed, 0 failed, 1 skipped' kernel 'done' 9.9
says kernel-none-name '^skipped kernel 9.9: not to be had$'
expect kernel-two 0 '5 passed, 0 failed, 2 skipped' kernel 'done' '9.9 6.1'
expect kernel-run 4 'it ran' kernel runs 6.1 'a command'
expect kernel-run-ends 1 'Kernel panic - not syncing' \
    kernel panics 6.1 'a command'
says kernel-run-ended '^6.1, max: the kernel panicked; '
DEPS=2 expect kernel-packages 0 '0 passed, 0 failed, 1 skipped' kernel 'done'

# --- hosts.sh: a setting is made, and put back

settings=$tree/settings
mkdir -p "$settings/vm" build/tests/unit
setting=$settings/vm/overcommit_memory
sed -i "s|^vm=.*|vm=$settings/vm|" scripts/check/hosts.sh
program scripts/run.sh <<'END'
cat settings/vm/{overcommit_memory,legacy_va_layout} >>seen
echo >>seen
[ -z "${STAY-}" ] || sleep 5
END
two='overcommit_memory 1|legacy_va_layout 1'
host()
{
    scripts/check/hosts.sh build --only "$two" --tests '^run$' "$@"
}
# until_it_is VALUE: the setting has it, within ten seconds.
until_it_is()
{
    local _
    for _ in $(seq 100); do
        [ "$(cat "$setting")" != "$1" ] || break
        sleep 0.1
    done
    cat "$setting"
}
printf 0 >"$setting"
printf 0 >"$settings/vm/legacy_va_layout"
: >seen
expect host-not-asked 0 '0 passed, 0 failed, 2 skipped' host
is host-not-set "$(cat "$setting" seen)" 0
if [ "$(id -u)" -eq 0 ]; then
    expect host 0 '2 passed, 0 failed, 0 skipped' host --yes-change-this-machine
    is host-set-in-turn "$(xargs <seen)" '10 01'
    is host-put-back "$(cat "$setting")" 0
    # Also if it is killed.
    STAY=yes scripts/check/hosts.sh build --only "$two" \
        --tests '^run$' --yes-change-this-machine >/dev/null 2>&1 &
    is host-set-again "$(until_it_is 1)" 1
    kill -KILL $!
    wait $! 2>/dev/null
    is host-killed-put-back "$(until_it_is 0)" 0
else
    expect host-not-root 2 'hosts.sh: only root can change this machine' \
        host --yes-change-this-machine
    leave_out hosts.sh 'not root'
fi

end_harness

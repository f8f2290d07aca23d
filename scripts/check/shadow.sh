#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/shadow.sh ASPEN: real programs under `aspen shadow`, large ones: a table
# of what was compared, and what is not installed by name.
set -u
aspen=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/aspen-shadow-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/lib.bash"
port=$((20000 + RANDOM % 20000))

value()
{
    grep -o "\"$1\":[0-9]*" "$work/json" | head -1 | cut -d: -f2
}

# follow NAME NEEDED COMMAND...
follow()
{
    local name=$1 needed=$2 status
    shift 2
    if ! command -v "$needed" >/dev/null; then
        skip "$name" "no $needed"
        return
    fi
    timeout --foreground 300 "$aspen" shadow --every 50 --json \
        --guest-output "$work/out" -- "$@" >"$work/json" 2>"$work/err"
    status=$?
    printf '%-22s %5d %8d %7d %6d %10d %6d %10d %6d/%d\n' "$name" \
        "$(value processes)" "$(value calls)" "$(value answers_differ)" \
        "$(value maps_compared)" "$(value identical)" "$(value equal)" \
        "$(value different)" "$(value addresses_same)" \
        "$(value addresses_picked)"
    if [ $status -eq 0 ] && [ "$(value exit_code)" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name: status $status, exit code $(value exit_code)"
        head -5 "$work/err"
    fi
}

if ! printf '%s\n' 6.1 "$(uname -r)" | sort -CV ||
    ! "$aspen" shadow -- true 2>/dev/null; then
    skip_all shadow 'needs Linux 6.1 or later, and ptrace'
fi

printf '%-22s %5s %8s %7s %6s %10s %6s %10s %s\n' program proc. calls \
    answers maps identical equal different same/picked
printf '%-22s %5s %8s %7s\n' '' '' '' differ

follow bash bash bash -c 'for i in $(seq 30); do (echo $i | tr 1 2 | sort) & done
    wait'
follow python3 python3 python3 -c '
import multiprocessing, threading, subprocess
def f(x): return x * x
if __name__ == "__main__":
    with multiprocessing.Pool(3) as pool: sum(pool.map(f, range(1000)))
    work = lambda: [bytearray(1 << 20) for _ in range(50)]
    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
    subprocess.check_output(["ls", "/"])'
printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n%s\n' \
    'int main(void) { char *p = strdup("x"); puts(p); free(p); return 0; }' \
    >"$work/program.c"
follow 'gcc -O2' gcc gcc -O2 -o "$work/program" "$work/program.c"
follow perl perl perl -e 'for (1..20000) { $x{$_} = "a" x 50 } print scalar keys %x'
follow node node node -e 'const {Worker} = require("worker_threads");
    const busy = "let b = []; for (let i = 0; i < 1e5; i++) b.push([i]);";
    eval(busy); new Worker(busy, {eval: true});'
follow sqlite3 sqlite3 sqlite3 "$work/db" 'pragma mmap_size = 100000000;
    create table t(a, b);
    insert into t with recursive c(x) as
        (select 1 union all select x + 1 from c where x < 20000)
        select x, hex(randomblob(50)) from c;
    create index i on t(b); select count(*), sum(a) from t;'
follow redis redis-benchmark bash -c "
    cd '$work'
    redis-server --port $port --save '' --daemonize no >/dev/null &
    for i in \$(seq 50); do
        redis-cli -p $port ping 2>/dev/null | grep -q PONG && break; sleep 0.1
    done
    redis-benchmark -p $port -n 5000 -q -t set,get,lpush >/dev/null
    redis-cli -p $port bgsave; sleep 0.5
    redis-cli -p $port shutdown nosave; wait"

postgres=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
if [ -x "$postgres/postgres" ]; then
    as=()
    [ "$(id -u)" -ne 0 ] ||
        as=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
    mkdir "$work/pg"
    chmod 755 "$work"
    [ "$(id -u)" -ne 0 ] || chown nobody "$work/pg"
    follow postgres psql bash -c "
        set -e
        p='${as[*]}'; d='$work/pg'
        \$p $postgres/initdb -D \$d -A trust >/dev/null 2>&1
        \$p $postgres/pg_ctl -D \$d -o '-p $port -k $work/pg' -l $work/pg/log -w start \
            >/dev/null
        psql -h \$d -p $port -U nobody postgres -At -c '
            create table t as select generate_series(1, 20000) a;
            create index on t(a); select count(*), sum(a) from t;
            select count(*) from t a join t b using (a)' >/dev/null
        \$p $postgres/pg_ctl -D \$d stop -m fast >/dev/null"
else
    skip postgres 'not installed'
fi

for stressor in vm mmap mremap madvise mlock brk stack bigheap mincore msync \
    mmapfixed mmapaddr mmapfork munmap mprotect remap memfd shm shm-sysv fork \
    vforkmany clone pthread malloc userfaultfd; do
    follow "stress-ng --$stressor" stress-ng stress-ng --$stressor 1 \
        --$stressor-ops 100 --timeout 4 --vm-bytes 16M --mmap-bytes 4M \
        --mremap-bytes 4M --quiet
done
finish

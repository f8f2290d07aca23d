# SPDX-License-Identifier: MIT
#
# short.sh: memory runs out. Programs are refused or killed; the kernel goes on,
# and afterwards all of it is back. What it prints:
#
#= -1000
#= 0
#= a program that touches more than there is
#= refused or killed
#= a hundred shells
#= all have ended
#= a file that does not fit
#= full
#= the shell goes on: 53d025127ae99ab79e8502aae2d9bea6  -
#= spaces are gone
#= memory is back
free()
{
    awk '/^frames_(free|kernel|metadata)/ {n += $2} END {print n}' \
        /proc/aspen/counters
}
spaces() { sed -n 's/^mms //p' /proc/aspen/counters; }

free >/dev/null
sh -c 'sh -c "echo warm" | cat' >/dev/null
before=$(free) mms=$(spaces)

# The shell that runs this stays; what it starts may go.
echo -1000 >/proc/self/oom_score_adj
cat /proc/self/oom_score_adj /proc/self/oom_score

echo 'a program that touches more than there is'
sh -c 'echo 0 >/proc/self/oom_score_adj
    awk "BEGIN {x = \"0123456789abcdef\"; while (length(x) < 1e9) x = x x}"
    exit $?' >/dev/null 2>&1
[ $? -ne 0 ] && echo refused or killed

echo 'a hundred shells'
fork_all()
{
    local i=0
    while [ $i -lt 100 ]; do
        i=$((i + 1))
        sh -c 'echo 0 >/proc/self/oom_score_adj
            x=$(cat /bin/busybox 2>/dev/null | head -c 300000 | tr "\0" y)
            sleep 1; [ ${#x} -gt 0 ]' &
    done
    wait
}
(fork_all) 2>/dev/null
echo all have ended

echo 'a file that does not fit'
dd if=/dev/zero of=/tmp/big bs=64k count=4000 2>/dev/null || echo full
rm -f /tmp/big
echo "the shell goes on: $(seq 1000 | md5sum)"
# Who was killed is still ending.
for i in 1 2 3 4 5 6 7 8 9; do
    [ "$(spaces)" = "$mms" ] && break
    sleep 1
done
after=$(free)
[ "$(spaces)" = "$mms" ] && echo spaces are gone
# What was read from the disk stays, and so do free pieces of objects.
[ $((before - after)) -lt 600 ] && echo memory is back || echo $before $after
cat /proc/aspen/validate

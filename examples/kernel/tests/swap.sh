# SPDX-License-Identifier: MIT
#
# swap.sh: a program with more memory than there is, with a disk to swap to and
# without one. What it prints, for 48 MiB and a disk of 64 MiB:
#
#= without a disk: 137
#= swapon: /dev/vdb: Invalid argument
#= swapon nothing: ENOENT
#= swapon a directory: EISDIR
#= swapon no disk: EINVAL
#= swapon the archive: EBUSY
#= swapon unknown: EINVAL
#= swapoff unused: EINVAL
#= swapon: done
#= swapon again: EBUSY
#= swapoff: done
#= /dev/vdb partition 65532 0 -2
#= all is there
#= in the child
#= in its parent
#= all is there
#= swapoff: ENOMEM
#= all is there
#= swapoff: done
#= what stayed is there
#= swapon: done
#= both ways
#= time was lost
#= nothing is left in it: SwapTotal: 0 kB
#= memory is back
PATH=/tests/bin
free()
{
    awk '/^frames_(free|kernel|metadata)/ {n += $2}
        /^Inactive.file|^Active.file/ {n += $2 / 4} END {print n}' \
        /proc/aspen/counters /proc/meminfo
}

: >/etc/fstab # swapoff -a wants one
echo -1000 >/proc/self/oom_score_adj
free >/dev/null
before=$(free)
killable()
{
    sh -c 'echo 0 >/proc/self/oom_score_adj; exec /tests/swap "$@"' - "$@"
}

killable hold 80 >/dev/null 2>&1
echo "without a disk: $?"
swapon /dev/vdb 2>&1
mkswap /dev/vdb >/dev/null
/tests/swap errors /dev/vdb
swapon /dev/vdb
sed 1d /proc/swaps | tr -s ' \t' ' '
killable hold 80
killable off /dev/vdb
awk '/^pswp/ && $2 > 10000 {n++} END {if (n == 2) print "both ways"}' \
    /proc/vmstat
grep -q '^some .* total=[1-9]' /proc/pressure/memory && echo time was lost
swapoff -a
echo "nothing is left in it: $(grep SwapTotal /proc/meminfo | tr -s ' ')"
after=$(free)
[ $((before - after)) -lt 600 ] && echo memory is back || echo $before $after
cat /proc/aspen/validate

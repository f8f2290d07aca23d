#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# bound.sh ASPEN: every scenario of `aspen explore`, in every order with at most
# one preemption; each has to be searched to its end. On all processors.
set -u
aspen=$1
jobs=$(nproc)
work=$(mktemp -d "${TMPDIR:-/tmp}/aspen-bound-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT

"$aspen" explore --list >"$work/names" || exit 2
for ((i = 0; i < jobs; i++)); do
    awk -v n="$jobs" -v i="$i" 'NR % n == i' "$work/names" |
        xargs "$aspen" explore --preemptions 1 --json >"$work/part-$i" &
done
wait # what did not come to its end is missing below
cat "$work"/part-* | perl -MJSON::PP -e '
    my ($names, %of) = shift;
    my $reader = JSON::PP->new;
    $reader->incr_parse(join "", <STDIN>);
    while (my $part = eval {$reader->incr_parse}) {
        $of{$_->{name}} = $_ for @{$part->{scenarios}};
    }
    open my $file, "<", $names or die "$names: $!\n";
    my ($passed, $failed, $runs) = (0, 0, 0);
    for my $name (map {chomp; $_} <$file>) {
        my $one = $of{$name};
        $runs += $one->{schedules} if $one;
        if ($one && $one->{complete} && !$one->{failed}) {
            $passed++;
            next;
        }
        $failed++;
        print "FAIL $name", !$one ? ": did not run"
            : $one->{failed} ? "" : ": not complete", "\n";
    }
    print "$runs schedules\n";
    print "$passed passed, $failed failed, 0 skipped\n";
    exit($failed || !$passed ? 1 : 0);' "$work/names"

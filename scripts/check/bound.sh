#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# bound.sh ASPEN WHICH OPTION...: the scenarios of `aspen explore`, with these
# options; each has to be searched to its end, and to hold. WHICH is all, or a
# file of names. On all processors.
set -u
aspen=$1 which=$2
shift 2
jobs=$(nproc)
work=$(mktemp -d "${TMPDIR:-/tmp}/aspen-bound-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT

if [ "$which" = all ]; then
    "$aspen" explore --list >"$work/names" || exit 2
    for ((i = 1; i <= jobs; i++)); do
        "$aspen" explore all --every "$i/$jobs" --json "$@" >"$work/part-$i" &
    done
else
    grep -v '^#' "$which" >"$work/names" || exit 2
    for ((i = 0; i < jobs; i++)); do
        awk -v n="$jobs" -v i="$i" 'NR % n == i' "$work/names" |
            xargs -r "$aspen" explore --json "$@" >"$work/part-$i" &
    done
fi
wait # what did not come to its end is missing below
cat "$work"/part-* | perl -MJSON::PP -e '
    my ($names, %of) = shift;
    my $reader = JSON::PP->new;
    $reader->incr_parse(join "", <STDIN>);
    while (my $part = eval {$reader->incr_parse}) {
        $of{$_->{name}} = $_ for @{$part->{scenarios}};
    }
    open my $file, "<", $names or die "$names: $!\n";
    my ($passed, $failed, $runs, $seen) = (0, 0, 0, 0);
    for my $name (map {chomp; $_} <$file>) {
        my $one = $of{$name};
        $runs += $one->{schedules} if $one;
        $seen++ if $one && defined $one->{races};
        if ($one && $one->{complete} && !$one->{failed}) {
            $passed++;
            next;
        }
        $failed++;
        print "FAIL $name", !$one ? ": did not run"
            : $one->{failed} ? ": $one->{what} [$one->{schedule}]"
            : ": not complete", "\n";
    }
    print "$runs schedules; plain memory seen in $seen scenarios\n";
    print "$passed passed, $failed failed, 0 skipped\n";
    exit($failed || !$passed ? 1 : 0);' "$work/names"

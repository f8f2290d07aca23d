#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# bound.sh ASPEN: every scenario of `aspen explore`, in every order with at most
# one preemption; each has to be searched to its end.
set -u
aspen=$1
said=$("$aspen" explore all --preemptions 1 --json)
status=$?
[ $status -le 1 ] || exit $status
printf '%s\n' "$said" | perl -MJSON::PP -e '
    my @all = @{decode_json(join "", <STDIN>)->{scenarios}};
    my ($passed, $runs) = (0, 0);
    for (@all) {
        $runs += $_->{schedules};
        if ($_->{failed} || !$_->{complete}) {
            print "FAIL $_->{name}", $_->{failed} ? "" : ": not complete", "\n";
        } else {
            $passed++;
        }
    }
    print "$runs schedules\n";
    printf "%d passed, %d failed, 0 skipped\n", $passed, @all - $passed;
    exit(@all == $passed && @all ? 0 : 1);'

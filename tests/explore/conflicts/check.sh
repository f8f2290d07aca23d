#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check.sh PROGRAM BAR: at least BAR pairs of calls that commute share no
# cache line; and the program that counts them sees what has to be shared, and
# refuses what it does not know.
set -u
program=$1 bar=$2
passed=0 failed=0

# $1 name, then what has to hold
verdict()
{
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok   $name"
    else
        failed=$((failed + 1))
        echo "FAIL $name"
    fi
}

# $1 status, then arguments
ends_with()
{
    local status=$1
    shift
    "$program" "$@" >/dev/null 2>&1
    [ $? -eq "$status" ]
}

json()
{
    "$program" --json | perl -MJSON::PP -e '
        my $all = decode_json(join "", <STDIN>);
        die "schema" unless $all->{schema} eq "aspen.conflicts/1";
        my @cells = @{$all->{cells}};
        my @commute = grep {$_->{commute}} @cells;
        die "pairs" unless @commute == $all->{pairs};
        die "free" unless $all->{free} == grep {!$_->{lines}} @commute;
        for (@cells) {
            die "$_->{a}, $_->{b}: fields" unless !$_->{lines} == !@{$_->{fields}};
            # Two faults of one page meet in its entry.
            die "the same page is not shared" if $_->{relation} eq "page" &&
                $_->{a} =~ /touch/ && $_->{b} =~ /touch/ && !grep {/page table/}
                @{$_->{fields}};
        }'
}

said=$("$program" --bar "$bar" 2>&1)
status=$?
printf '%s\n' "$said" | grep -v '^  '
verdict "bar $bar" [ $status -eq 0 ]
verdict "a bar above all" ends_with 1 --bar 99999
verdict "a bar that is none" ends_with 2 --bar 5x
verdict "an unknown option" ends_with 2 --best
verdict "an unknown word" ends_with 2 all
verdict json json
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check.sh PROGRAM BAR: at least BAR pairs of calls that commute share no
# cache line; the program that counts them sees what has to be shared, and
# refuses what it does not know; and no call locks more instructions than it did.
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

# Rows of --costs, and how many locked instructions they may have: what
# docs/evidence/performance.md says.
costs()
{
    "$program" --costs --json | perl -MJSON::PP -e '
        my %most = (
            "mmap + munmap" => 17,
            "mprotect, split + merge" => 42,
            "mremap, 16 touched pages" => 56,
            "first touch" => 7,
            "copy on write" => 16,
            "munmap, a touched page" => 1,
            "fork, a touched page" => 2,
            "fork, a mapping" => 6.25,
            "exit, a page that is shared" => 2);
        my $all = decode_json(join "", <STDIN>);
        die "schema" unless $all->{schema} eq "aspen.costs/1";
        for (@{$all->{rows}}) {
            my $bar = delete $most{$_->{name}} // die "$_->{name}: no bar";
            die "$_->{name}: $_->{locked} locked, not $bar" if $_->{locked} > $bar;
            # Each of them at least writes what the mmap lock, or a frame, is in.
            die "$_->{name}: nothing" unless $_->{locked} > 0 && $_->{lines_written} > 0;
            die "$_->{name}: lines" unless $_->{lines_touched} >= $_->{lines_written} ||
                $_->{name} =~ /, a /;
        }
        die "no row: ", keys %most if %most;'
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
verdict costs costs
verdict "costs have no bar" ends_with 2 --costs --bar 1
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]

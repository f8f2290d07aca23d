#!/usr/bin/env perl
# SPDX-License-Identifier: MIT
#
# stack.pl FILE.ci...: from gcc's -fcallgraph-info=su, the public functions
# that need most stack with all that they call, and every recursion. Calls
# through pointers (hooks, pagers, RCU callbacks) and into the port are not
# followed; a recursion is counted once.
use strict;
use warnings;

my (%bytes, %calls);
for my $path (@ARGV) {
    open my $file, '<', $path or die "$path: $!\n";
    while (<$file>) {
        if (/^node: \{ title: "([^"]+)" label: "[^"]*?(\d+) bytes/) {
            $bytes{$1} = $2;
        } elsif (/^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"/) {
            $calls{$1}{$2} = 1;
        }
    }
}

sub name { my ($title) = @_; return $title =~ s/.*://r; }

my (%depth, %next, %active, %recursion);

sub depth
{
    my ($title) = @_;
    return $depth{$title} if defined $depth{$title};
    return 0 unless defined $bytes{$title}; # the port's, or the C library's
    my $most = 0;
    $active{$title} = 1;
    for my $callee (sort keys %{$calls{$title} || {}}) {
        if ($active{$callee}) {
            $recursion{name($title) . ' -> ' . name($callee)} = 1;
            next;
        }
        my $deep = depth($callee);
        ($most, $next{$title}) = ($deep, $callee) if $deep > $most;
    }
    delete $active{$title};
    return $depth{$title} = $bytes{$title} + $most + 8; # and its return address
}

my @public = sort { depth($b) <=> depth($a) || $a cmp $b }
    grep { /^aspen_\w+$/ } keys %bytes;
print "deepest stacks, bytes\n";
for my $title (@public[0 .. ($#public < 3 ? $#public : 3)]) {
    my @path;
    for (my $at = $title; $at; $at = $next{$at}) {
        push @path, name($at);
    }
    printf "  %5d  %s\n", depth($title), join(' > ', @path);
}
print "\nrecursions\n";
print "  $_\n" for %recursion ? sort keys %recursion : 'none';

#!/usr/bin/env perl
# SPDX-License-Identifier: MIT
#
# stack.pl [--most=BYTES] FILE.ci...: from gcc's -fcallgraph-info=su, the public
# functions that need most stack with all that they call, and every recursion;
# with --most, those alone that need more than that. Calls through pointers
# (hooks, pagers, RCU callbacks) and into the port are not followed; a recursion
# is counted once.
use strict;
use warnings;

my $most = @ARGV && $ARGV[0] =~ /^--most=(\d+)$/ ? $1 : undef;
shift @ARGV if defined $most;
die "usage: stack.pl [--most=BYTES] FILE.ci...\n" unless @ARGV;

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

sub way
{
    my ($title) = @_;
    my @path;
    for (my $at = $title; $at; $at = $next{$at}) {
        push @path, name($at);
    }
    return sprintf '%5d  %s', depth($title), join ' > ', @path;
}

if (defined $most) {
    print "stack: ", way($_), "\n" for grep { depth($_) > $most } @public;
    exit;
}
print "deepest stacks, bytes\n";
print '  ', way($_), "\n" for @public[0 .. ($#public < 3 ? $#public : 3)];
print "\nrecursions\n";
print "  $_\n" for %recursion ? sort keys %recursion : 'none';

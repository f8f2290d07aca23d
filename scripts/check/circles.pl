#!/usr/bin/env perl
# SPDX-License-Identifier: MIT
#
# circles.pl OBJECTS: who calls whom among the files of src/, by what the linker
# sees in their objects (OBJECTS/layer/file.o).
#
#   circles  no files call each other in a circle, but for those that a row of
#            "Circles" in DESIGN.md names, each with a reason
#   rows     each row of that table is such a circle: | files, each in `` | reason |
#   layers   no file calls into a layer above its own, even where it declares by
#            itself what it calls
use strict;
use warnings;

my ($base) = @ARGV;
defined $base or die "usage: circles.pl OBJECTS\n";

sub lines
{
    my ($path) = @_;
    open my $in, '<', $path or die "$path: $!\n";
    return <$in>;
}

# ---- Layers, lowest first, from sources.txt: it lists them in that order -----

my (@files, %rank);
for (lines('sources.txt')) {
    next unless m{^src/(([^/]+)/\S+\.c)};
    push @files, $1;
    $rank{$2} //= scalar keys %rank;
}
sub layer_of
{
    return $_[0] =~ m{^([^/]+)/} ? $1 : '';
}

# ---- What is defined, what is called --------------------------------------

my (%defines, %undefined);
for my $file (@files) {
    (my $object = "$base/$file") =~ s/\.c$/.o/;
    -f $object or die "$object: not built\n";
    for (`nm '$object'`) {
        my ($type, $name) = /([A-Za-z]) (\S+)$/ or next;
        if ($type eq 'U') {
            push @{$undefined{$file}}, $name;
        } elsif ($type =~ /[TDBRCVW]/) {
            $defines{$name} = $file;
        }
    }
}
%defines or die "nm says nothing\n";
my %calls; # from, to: the names
for my $file (@files) {
    for my $name (@{$undefined{$file} || []}) {
        my $to = $defines{$name};
        push @{$calls{$file}{$to}}, $name if defined $to && $to ne $file;
    }
}

# ---- Circles: who can be reached, and reaches back ------------------------

my %reached;
for my $file (@files) {
    my @next = ($file);
    while (defined(my $from = pop @next)) {
        for my $to (keys %{$calls{$from} || {}}) {
            push @next, $to unless $reached{$file}{$to}++;
        }
    }
}
my (%met, %circles); # "a.c b.c": its files
for my $file (@files) {
    next if $met{$file} || !$reached{$file}{$file};
    my @circle = sort grep {$reached{$file}{$_} && $reached{$_}{$file}} @files;
    $met{$_} = 1 for @circle;
    $circles{"@circle"} = \@circle;
}

# ---- What DESIGN.md allows -------------------------------------------------

my (%allowed, $section);
for (lines('DESIGN.md')) {
    $section = $1 if /^#+ (.*?)\s*$/;
    next unless defined $section && $section eq 'Circles';
    my ($names, $reason) = /^\|([^|]*)\|\s*([^|]*?)\s*\|/ or next;
    my @names = sort $names =~ /`([^`]+\.c)`/g;
    $allowed{"@names"} = $reason if @names;
}

# ---- Verdict ----------------------------------------------------------------

my ($passed, $failed) = (0, 0);
sub verdict
{
    my ($rule, @broken) = @_;
    if (@broken) {
        $failed++;
        print "FAIL $rule\n", map {"     $_\n"} @broken;
    } else {
        $passed++;
        print "ok   $rule\n";
    }
}

my @broken;
for my $key (sort keys %circles) {
    next if $allowed{$key};
    push @broken, exists $allowed{$key} ? "$key: no reason" : $key;
    my %in = map {$_ => 1} @{$circles{$key}};
    for my $from (@{$circles{$key}}) {
        push @broken, "    $from calls $_: @{$calls{$from}{$_}}"
            for grep {$in{$_}} sort keys %{$calls{$from}};
    }
}
verdict('circles', @broken);
verdict('rows', map {"DESIGN.md: $_: no such circle"}
    grep {!$circles{$_}} sort keys %allowed);

@broken = ();
for my $from (@files) {
    for my $to (sort keys %{$calls{$from} || {}}) {
        push @broken, "$from calls $to: @{$calls{$from}{$to}}"
            if $rank{layer_of($to)} > $rank{layer_of($from)};
    }
}
verdict('layers', @broken);
print "$passed passed, $failed failed, 0 skipped\n";
exit($failed ? 1 : 0);

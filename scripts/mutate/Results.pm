# SPDX-License-Identifier: MIT
#
# Results.pm: what each test said of each mutant, kept in WORK/results from one
# run to the next. A mutant's file has a line for each thing that was found out,
# and the last one counts: an interrupted run has lost nothing but the test it
# was in.
#
#   Results->new(WORK)
#   ->can_be_planted(ID, KEY)   1, 0, or undef: not known for this KEY, a digest
#                               of what it would be planted in
#   ->planted(ID, KEY, CAN)
#   ->of(ID, TEST, DIGEST)      {how, late} of this test if its programs, without
#                               the mutant, are what they were; or undef
#   ->tried(ID, TEST, DIGEST, HOW, LATE)
#   ->killer(ID)                the test that failed for it last; it may be
#                               another program by now
package Results;
use strict;
use warnings;
use File::Path qw(make_path);

sub new
{
    my ($class, $work) = @_;
    make_path("$work/results");
    return bless {at => "$work/results", of => {}}, $class;
}

sub load
{
    my ($self, $id) = @_;
    return $self->{of}{$id} if $self->{of}{$id};
    my %found;
    if (open my $in, '<', "$self->{at}/$id") {
        while (<$in>) {
            chomp;
            my ($what, @rest) = split /\t/, $_, -1;
            $found{planted}{$rest[0]} = $rest[1] if $what eq 'planted';
            next unless $what eq 'tried' && @rest == 4;
            my ($test, $digest, $late, $how) = @rest;
            $found{tried}{$test} = {digest => $digest, late => $late,
                how => $how};
            $found{killer} = $test if length $how;
        }
    }
    return $self->{of}{$id} = \%found;
}

sub add
{
    my ($self, $id, @words) = @_;
    tr/\t\n/  / for @words;
    delete $self->{of}{$id};
    open my $out, '>>', "$self->{at}/$id" or die "$self->{at}/$id: $!\n";
    print $out join("\t", @words), "\n";
    close $out or die "$self->{at}/$id: $!\n";
}

sub can_be_planted
{
    my ($self, $id, $key) = @_;
    return $self->load($id)->{planted}{$key};
}

sub planted
{
    my ($self, $id, $key, $can) = @_;
    $self->add($id, 'planted', $key, $can);
}

sub of
{
    my ($self, $id, $test, $digest) = @_;
    my $tried = $self->load($id)->{tried}{$test} or return undef;
    return $tried->{digest} eq $digest ? $tried : undef;
}

sub tried
{
    my ($self, $id, $test, $digest, $how, $late) = @_;
    $self->add($id, 'tried', $test, $digest, $late ? 1 : 0, $how);
}

sub killer
{
    my ($self, $id) = @_;
    return $self->load($id)->{killer};
}

1;

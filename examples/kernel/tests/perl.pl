# SPDX-License-Identifier: MIT
#
# perl.pl: processes, pipes, files, and what perl does with memory. What it
# prints is the same on Linux.
use strict;
use warnings;
$| = 1;

my %count;
$count{ $_ % 7 } += $_ for 1 .. 20000;
print join(' ', map { "$_:$count{$_}" } sort keys %count), "\n";
my $text = 'x' x (4 << 20);
$text =~ s/x{1000}/y/g;
print length $text, "\n";

my @children;
for my $n (1 .. 5) {
    pipe my $read, my $write or die;
    my $child = fork // die "fork: $!";
    if (!$child) {
        print $write "child $n sees ", length $text, "\n";
        close $write;
        exit $n;
    }
    close $write;
    push @children, [ $child, $read ];
}
for (@children) {
    my ($child, $read) = @$_;
    print scalar <$read>;
    waitpid $child, 0;
    print 'status ', $? >> 8, "\n";
}
print `echo by the shell; exit 4`;
print $? >> 8, "\n";
open my $out, '|-', 'sort -n' or die;
print $out "$_\n" for 3, 1, 2;
close $out;
local $SIG{ALRM} = sub { print "alarm\n" };
alarm 1;
select undef, undef, undef, 5;
open my $file, '+>', 'perl.tmp' or die;
print $file "line $_\n" for 1 .. 1000;
seek $file, 0, 0;
my @lines = <$file>;
print scalar @lines, ' ', $lines[-1];
unlink 'perl.tmp';

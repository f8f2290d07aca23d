#!/usr/bin/env perl
# SPDX-License-Identifier: MIT
#
# cpio.pl DIRECTORY ARCHIVE: a cpio archive ("newc") of all that is in the
# directory. Contents of files begin at sectors, so that the kernel can read
# them page by page straight from the disk; names are padded for that. Files
# with several names become several files.
use strict;
use warnings;
use File::Find;

my ($directory, $archive) = @ARGV;
die "usage: cpio.pl DIRECTORY ARCHIVE\n" unless defined $archive;
my $sector = 512;
my $number = 0;
my $at = 0;

sub emit {
    my ($out, $bytes) = @_;
    print $out $bytes or die "cannot write: $!\n";
    $at += length $bytes;
}

sub pad {
    my ($length, $unit) = @_;
    return "\0" x (($unit - $length % $unit) % $unit);
}

sub entry {
    my ($out, $name, $mode, $time, $contents, $aligned) = @_;
    my $padded = "$name\0";
    $padded .= pad($at + 110 + length $padded, $sector) if $aligned;
    emit($out, sprintf '070701' . '%08x' x 13, ++$number, $mode, 0, 0, 1,
        $time, length $contents, 0, 0, 0, 0, length $padded, 0);
    emit($out, $padded);
    emit($out, pad($at, 4));
    emit($out, $contents);
    emit($out, pad($at, 4));
}

sub contents_of {
    my ($path) = @_;
    return readlink $path if -l $path;
    return '' unless -f $path;
    open my $in, '<:raw', $path or die "$path: $!\n";
    local $/;
    my $bytes = <$in>;
    return defined $bytes ? $bytes : '';
}

open my $out, '>:raw', $archive or die "$archive: $!\n";
my @paths;
find({ no_chdir => 1, preprocess => sub { sort @_ },
        wanted => sub { push @paths, $File::Find::name } }, $directory);
for my $path (@paths) {
    my $name = substr $path, length $directory;
    $name =~ s{^/+}{};
    next if $name eq '';
    my @stat = lstat $path or die "$path: $!\n";
    my $contents = contents_of($path);
    entry($out, $name, $stat[2], $stat[9], $contents,
        -f _ && length $contents);
}
entry($out, 'TRAILER!!!', 0, 0, '', 0);
emit($out, pad($at, 4096));
close $out or die "$archive: $!\n";

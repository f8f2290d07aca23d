#!/usr/bin/env perl
# SPDX-License-Identifier: MIT
#
# fields.pl src/internal.h: the fields of the core's structures, for names.c.
use strict;
use warnings;

my $struct;
my $depth = 0;
my $comment = 0;
print "/* Made by tests/explore/conflicts/fields.pl. */\n";
while (<>) {
    # Comments may go over lines, and hold what looks like a field.
    s{/\*.*?\*/}{}g;
    if ($comment) {
        next unless s{^.*?\*/}{};
        $comment = 0;
    }
    $comment = 1 if s{/\*.*}{}s;
    if (/^struct (aspen\w*) \{/) {
        ($struct, $depth) = ($1, 1);
        next;
    }
    next unless defined $struct;
    $depth += tr/{// - tr/}//;
    if ($depth == 0) {
        undef $struct;
        next;
    }
    next unless $depth == 1 && /^\s+(?:_Alignas\([^)]*\)\s*)?\w[\w\s\*]*?\b(\w+)(?:\[[^;]*\])?;/;
    print "FIELD($struct, $1)\n";
}

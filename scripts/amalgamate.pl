#!/usr/bin/env perl
# SPDX-License-Identifier: MIT
#
# amalgamate.pl: print the whole core as one C file, made from sources.txt.
# Internal headers are put in where they are first included; <...> headers
# stay includes. Compile it with -Iinclude and the folder of your port.
#
# Files are written as if they were alone, so two may use one name for
# different things of their own. Such a name gets the file's name appended
# while that file lasts; macros of a .c file end with it.
use strict;
use warnings;

sub slurp
{
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!\n";
    local $/;
    return <$file>;
}

# What a .c file defines for itself: functions, objects, tags, constants.
sub own_names
{
    my ($text) = @_;
    my %names;
    $text =~ s{/\*.*?\*/}{}gs;
    $names{$1} = 1 while $text =~ /^static\b[^;{}()=]*?\b(\w+)\s*\(/mg;
    $names{$1} = 1
        while $text =~ /^static\b[^;{}()]*?\b(\w+)\s*(?:\[[^\]]*\]\s*)*(?:=|;)/mg;
    $names{$2} = 1 while $text =~ /^(struct|union|enum)\s+(\w+)\s*\{/mg;
    while ($text =~ /^enum\b[^{;]*\{([^}]*)\}/mg) {
        my $list = $1;
        $names{$1} = 1 while $list =~ /(?:^|,)\s*(\w+)/g;
    }
    return keys %names;
}

sub own_macros
{
    my ($text) = @_;
    my %names;
    $names{$1} = 1 while $text =~ /^#\s*define\s+(\w+)/mg;
    return grep { !/^ASPEN_/ } sort keys %names; # those are the port's
}

my %included;

# A header, with those it includes in their places (some are conditional).
sub expand
{
    my ($header) = @_;
    return '' if $included{$header}++;
    my $text = "\n/* ---- src/$header ---- */\n";
    for my $line (split /^/, slurp("src/$header")) {
        if ($line =~ /^\s*#\s*include\s+"([^"]+)"/) {
            $text .= expand($1);
        } elsif ($line !~ /SPDX-License-Identifier/) {
            $text .= $line;
        }
    }
    return $text;
}

# The headers of a .c file, and the rest of it.
sub parts
{
    my ($path) = @_;
    my ($headers, $body) = ('', '');
    for my $line (split /^/, slurp($path)) {
        if ($line =~ /^#\s*include\s+"([^"]+)"/) {
            $headers .= expand($1);
        } elsif ($line =~ /^#\s*include\b/) {
            $headers .= $line;
        } elsif ($line !~ /SPDX-License-Identifier/) {
            $body .= $line;
        }
    }
    return ($headers, $body);
}

# Is the name that of a field, too, of a structure that stands elsewhere?
sub is_foreign_field
{
    my ($body, $name) = @_;
    return 0 unless $body =~ /(?:->|\.)\s*$name\b/;
    while ($body =~ /^struct\b[^;{]*\{(.*?)^\}/msg) {
        return 0 if $1 =~ /\b$name\b/;
    }
    return 1;
}

# The text with the name's suffix where it is no field, comment or string.
sub renamed
{
    my ($body, $name, $suffix) = @_;
    $body =~ s{
        (/\*.*?\*/ | "(?:[^"\\]|\\.)*" | (?:->|\.)\s*$name\b)
        | \b$name\b
    }{$1 // "${name}__$suffix"}gsex;
    return $body;
}

my @sources = grep { length } map { s/#.*//r =~ s/\s+//gr }
    split /\n/, slurp('sources.txt');
my (%names, %owners);
for my $path (@sources) {
    $names{$path} = [sort(own_names(slurp($path)))];
    $owners{$_}++ for @{$names{$path}};
}
my ($version) =
    slurp('include/aspen/version.h') =~ /ASPEN_VERSION_STRING "([^"]*)"/;

print "/* SPDX-License-Identifier: MIT */\n";
print "/*\n * Aspen $version in one file, made from:\n *\n";
print " *   $_\n" for @sources;
print " *\n * Compile with -Iinclude and the folder of your aspen_port.h.\n */\n";
# Inline functions of internal headers look like the file's own now.
print "#pragma GCC diagnostic ignored \"-Wunused-function\"\n";

for my $path (@sources) {
    my ($headers, $body) = parts($path);
    my ($suffix) = $path =~ m{(\w+)\.c$};
    my @shared = grep { $owners{$_} > 1 } @{$names{$path}};

    my @fields = grep { is_foreign_field($body, $_) } @shared;
    for my $field (@fields) {
        $body = renamed($body, $field, $suffix);
        @shared = grep { $_ ne $field } @shared;
    }

    # Headers come before the renaming, which is for the file's own text.
    print $headers, "\n/* ---- $path ---- */\n";
    print "#define $_ ${_}__$suffix\n" for @shared;
    print $body;
    print "#undef $_\n" for @shared, own_macros(slurp($path));
}

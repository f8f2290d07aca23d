# SPDX-License-Identifier: MIT
#
# Build.pm: how programs are made, as make would, but with a few objects of
# one's own. What make would do is asked of it once (make -n), in two build
# folders: base, and cover (for gcov).
#
#   Build->new(WORK, JOBS)   makes both
#   ->programs, ->variant(PROGRAM)   what there is, and how it is compiled
#   ->sources(VARIANT, SOURCES)   those of them that are compiled there
#   ->objects_of(SOURCE)     what it is compiled to, of each variant
#   ->own_sources(PROGRAM, HEADER)   those of its tests that include the header
#   ->compile(VARIANT, SOURCE, FILE, TEXT, FOLDER)   an object there, with
#                            this TEXT as FILE; undef if it does not compile
#   ->same(VARIANT, SOURCE, OBJECT)                  is it what base has?
#   ->link(PROGRAM, OBJECTS, FOLDER)                 a program there, or undef
package Build;
use strict;
use warnings;
use File::Basename qw(dirname basename);
use File::Compare qw(compare);
use File::Path qw(make_path);

# No debug information: then the same code is the same object. The command looks
# at its end for what nobody can reach any more.
my %flags = (base => ['CFLAGS=-g0', 'LDFLAGS_aspen=-fsanitize=leak'],
    cover => ['CFLAGS=--coverage', 'LDFLAGS=--coverage']);
# Arguments that were swapped without fitting are no mutant.
my $strict = '-Werror=int-conversion -Werror=incompatible-pointer-types'
    . ' -Werror=implicit-function-declaration';

sub make_command
{
    my ($which, @more) = @_;
    return ($ENV{MAKE} || 'make', '--no-print-directory', "BUILD=$which->{at}",
        @{$flags{$which->{name}}}, @more);
}

sub new
{
    my ($class, $work, $jobs) = @_;
    my $self = bless {work => $work, compile => {}, link => {}}, $class;
    delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};
    for my $name (qw(base cover)) {
        my $which = {name => $name, at => "$work/$name"};
        make_path($which->{at});
        print STDERR "mutate: building $which->{at}\n";
        system('sh', '-c', 'exec "$@" >"$0" 2>&1', "$work/$name.log",
            make_command($which, "-j$jobs", "mutate-$name")) == 0
            or die "mutate: it does not build: $work/$name.log\n";
    }
    $self->read_commands({name => 'base', at => "$work/base"});
    return $self;
}

# The commands that make the objects and programs, each without its line breaks.
sub read_commands
{
    my ($self, $which) = @_;
    open my $in, '-|', make_command($which, '-n', '-B', 'V=1', 'mutate-base')
        or die "make: $!\n";
    my $all = do {local $/; <$in>};
    close $in;
    $all =~ s/\\\n\s*/ /g;
    my $at = quotemeta $which->{at};
    for (split /\n/, $all) {
        s/^ccache //;
        if (m{ -c -o ($at/obj/([^/]+)/\S+\.o) (\S+\.c)$}) {
            my ($object, $variant, $source) = ($1, $2, $3);
            s/ -MMD -MP//;
            $self->{compile}{$variant}{$source} = {command => $_,
                object => $object};
        } elsif (m{ -o $at/(\S+) (\S.*\.o.*)$}) {
            my ($program, $rest) = ($1, $2);
            my ($variant) = $rest =~ m{$at/obj/([^/]+)/};
            $self->{link}{$program} = {command => $_, variant => $variant}
                if defined $variant;
        }
    }
    %{$self->{link}} or die "make -n says nothing\n";
}

sub programs
{
    my ($self) = @_;
    return sort keys %{$self->{link}};
}

sub variant
{
    my ($self, $program) = @_;
    return $self->{link}{$program}{variant};
}

# Those of these sources that a variant has.
sub sources
{
    my ($self, $variant, @sources) = @_;
    return grep {$self->{compile}{$variant}{$_}} @sources;
}

sub objects_of
{
    my ($self, $source) = @_;
    return map {$_->{$source}{object}} grep {$_->{$source}}
        map {$self->{compile}{$_}} sort keys %{$self->{compile}};
}

sub own_sources
{
    my ($self, $program, $header) = @_;
    my ($variant, $command) = @{$self->{link}{$program}}{qw(variant command)};
    my @found;
    for my $source (grep m{^tests/}, keys %{$self->{compile}{$variant}}) {
        my $object = $self->{compile}{$variant}{$source}{object};
        next unless $command =~ / \Q$object\E(?: |$)/;
        open my $in, '<', $object =~ s/o$/d/r or next;
        push @found, $source if grep {/ \Q$header\E(?:\s|$)/} <$in>;
    }
    return sort @found;
}

# 0: done, else it does not compile.
sub run
{
    my ($log, $command) = @_;
    return system('sh', '-c', "{ $command\n} >'$log' 2>&1");
}

sub compile
{
    my ($self, $variant, $source, $file, $text, $folder) = @_;
    my ($command, $object) = @{$self->{compile}{$variant}{$source}}{
        qw(command object)};
    my $own = "$folder/text/$file";
    make_path(dirname($own));
    open my $out, '>', $own or die "$own: $!\n";
    print $out $text;
    close $out;
    (my $new = $source) =~ s/\W/-/g;
    $new = "$folder/$variant-$new.o";
    if ($source eq $file) {
        $command =~ s/ \Q$source\E$/ $own/;
    } else {
        # Before all other folders that the header could be found in.
        my ($root) = $file =~ m{^(src|ports/[^/]+|tools/aspen)/};
        $command =~ s/ -I/ -I$folder\/text\/$root -I/;
    }
    my $more = "$strict -fmacro-prefix-map=$folder/text/=";
    $command =~ s/ -o \Q$object\E / $more -o $new /;
    return run("$folder/cc.log", $command) == 0 ? $new : undef;
}

sub same
{
    my ($self, $variant, $source, $object) = @_;
    return compare($self->{compile}{$variant}{$source}{object}, $object) == 0;
}

# $objects: {source: object}, of the program's variant.
sub link
{
    my ($self, $program, $objects, $folder) = @_;
    my $command = $self->{link}{$program}{command};
    my $new = "$folder/" . basename($program);
    my $variant = $self->{link}{$program}{variant};
    for my $source (sort keys %$objects) {
        my $object = $self->{compile}{$variant}{$source}{object};
        # Its own object, or the library's: what comes first is taken.
        $command =~ s/ \Q$object\E(?= |$)/ $objects->{$source}/ or
            $command =~ s/ (?=\S+\.a(?: |$))/ $objects->{$source} /;
    }
    $command =~ s{ -o \S+ }{ -o $new };
    return run("$folder/ld.log", $command) == 0 ? $new : undef;
}

1;

#!/usr/bin/env perl
# SPDX-License-Identifier: MIT
#
# mutate.pl: small mistakes made by a machine, and how many the tests find.
#
# A mutant is one small change of src/, ports/posix, ports/sim, or of what
# compares in tools/aspen (Source.pm has the kinds). Each of a sample is
# compiled alone, linked into the tests that reach its line (by gcov), quick
# ones first, until one fails: it is killed. What no test fails for has lived,
# also where no test comes by. What the compiler refuses, or turns into the code
# that was there before, is no mutant: the next one is taken instead.
#
# The suite that has to find it: the unit tests (some also with the other
# processor's page tables), the explorer, the scripts of tests/tools; for locks
# and memory orders the tests with threads under ThreadSanitizer, too.
#
# usage: mutate.pl [OPTION...]
#
#   --seed N        another sample (default 1). Where a mutant stands in it
#                   depends on nothing else: it stays nearly the same while code
#                   changes
#   --count N       how many (default 300): layers and kinds by turns
#   --layer L, --kind K    only of these: src/fault, ports/sim; lock
#   --mutant M      this one, or several: an id, FILE:LINE:KIND, FILE:LINE, FILE
#   --within S      without tests that take more than S seconds of a processor:
#                   what lives may be killed by those
#   --orders N      the explorer goes one of N of its orders (default 10)
#   --list          what there is, instead of planting it
#   --check         is each mutant of the list of equivalents still there, and
#                   does each mutant have a name of its own?
#   --json FILE     what became of each
#   --jobs N        at a time (default: as many as there are CPUs)
#
# tests/mutants/equivalent names mutants that no test can find, with reasons.
# Last line: mutate: N planted, N killed, N lived, N equivalent: N % killed
# The exit status is 1 below 95 % of all, or 90 % of a layer with 10 or more.
#
# Everything is kept in build/mutate: the next run begins where this one did. So
# is what each test said of each mutant (Results.pm), as long as the test's
# program is as it was: a run that was interrupted goes on, and one after a new
# test runs the new test.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Digest::SHA qw(sha1_hex);
use File::Find qw(find);
use File::Path qw(make_path remove_tree);
use Getopt::Long;
use JSON::PP;
use Build;
use Pool qw(pool);
use Results;
use Source qw(mutants mutated slurp);
use Suite;

my $equivalents = 'tests/mutants/equivalent';
my ($least_of_all, $least_of_layer) = (95, 90);
# What compares, in the tools: no other test finds an oracle that says less than
# it should.
my $oracles = qr{^tools/aspen/(?:fuzz/(?:compare|model|pair)
    |rehearse/failing_fork|shadow/(?:changed|compare|space)
    |snapshot/areas)\.c$}x;

chdir "$FindBin::Bin/../..";
my %option = (seed => 1, count => 300, jobs => `nproc` + 0, orders => 10);
GetOptions(\%option, 'seed=i', 'count=i', 'layer=s', 'kind=s', 'mutant=s@',
    'list', 'check', 'json=s', 'jobs=i', 'within=f', 'orders=i') or exit 2;
my $work = ($ENV{BUILD} || 'build') . '/mutate';
$| = 1;

# ---- What there is -------------------------------------------------------

sub sources
{
    my @files;
    find({no_chdir => 1, wanted => sub {
        push @files, $_ if /\.[ch]$/ && (!m{^tools/} || $_ =~ $oracles);
    }}, qw(src ports/posix ports/sim tools/aspen));
    return sort @files;
}

sub is_asked_for
{
    my ($mutant) = @_;
    return 0 if defined $option{layer} && $mutant->{layer} ne $option{layer};
    return 0 if defined $option{kind} && $mutant->{kind} ne $option{kind};
    return 1 unless $option{mutant};
    my $place = "$mutant->{file}:$mutant->{line}:$mutant->{kind}";
    return scalar grep {$_ eq $mutant->{id} || "$place:" =~ /^\Q$_\E:/}
        map {split} @{$option{mutant}};
}

# {id: reason}. An entry begins with the id; what it is and why stand below it.
sub read_equivalents
{
    my (%reason, $id);
    for (split /\n/, slurp($equivalents)) {
        next if /^#/;
        if (/^([0-9a-f]{8}) (\S+) (\S+) (\S+)$/) {
            $id = $1;
            $reason{$id} = {place => "$2 $3 $4", why => ''};
        } elsif (defined $id && /^    (\S.*)$/) {
            $reason{$id}{why} .= "$1 ";
        } elsif (/\S/) {
            die "$equivalents: not understood: $_\n";
        }
    }
    return \%reason;
}

# Lines that say what is wrong with the list; none if nothing is.
sub check_equivalents
{
    my ($mutants, $reasons) = @_;
    my %there = map {$_->{id} => "$_->{file} $_->{function} $_->{kind}"}
        @$mutants;
    my @wrong;
    for my $id (sort keys %$reasons) {
        my ($place, $why) = @{$reasons->{$id}}{qw(place why)};
        push @wrong, "$id: no such mutant any more ($place)" unless $there{$id};
        push @wrong, "$id: $place, but it is $there{$id}"
            if $there{$id} && $there{$id} ne $place;
        push @wrong, "$id: no reason" unless $why =~ /=> .*; because /;
    }
    return @wrong;
}

# Of the mutants themselves: two with one name, lines that have moved.
sub check_mutants
{
    my ($mutants) = @_;
    my (%seen, %text, @wrong);
    for (@$mutants) {
        my $text = $text{$_->{file}} //= slurp($_->{file});
        my $moved = ($text =~ tr/\n//) - (mutated($text, $_) =~ tr/\n//);
        push @wrong, "$_->{id}: the name of two" if $seen{$_->{id}}++;
        push @wrong, "$_->{id}: changes nothing" if $_->{text} eq $_->{to};
        push @wrong, "$_->{id}: lines have moved" if $moved;
    }
    return @wrong;
}

# Each layer in turn, and in it each kind in turn.
sub in_turn
{
    my ($key, @mutants) = @_;
    my (%of, @order);
    push @{$of{$_->{$key}}}, $_ for @mutants;
    while (%of) {
        for my $name (sort keys %of) {
            push @order, shift @{$of{$name}};
            delete $of{$name} unless @{$of{$name}};
        }
    }
    return @order;
}

sub sample
{
    my %hash = map {$_->{id} => sha1_hex("$option{seed} $_->{id}")} @_;
    my @shuffled = sort {$hash{$a->{id}} cmp $hash{$b->{id}}} @_;
    my %of;
    push @{$of{$_->{layer}}}, $_ for @shuffled;
    return in_turn('layer', map {in_turn('kind', @{$of{$_}})} sort keys %of);
}

# ---- One mutant ----------------------------------------------------------

my ($build, $suite, $results);

# Its objects of one variant: {source: object}; {} if they are as before, undef
# if it does not compile.
sub objects
{
    my ($mutant, $variant, $folder) = @_;
    my $text = mutated(slurp($mutant->{file}), $mutant);
    my %objects;
    # Of a header: where the function that it is in is compiled.
    my @sources = $mutant->{file} =~ /\.c$/ ? ($mutant->{file})
        : $suite->units($mutant->{file}, lines($mutant));
    for my $source ($build->sources($variant, @sources)) {
        my $object = $build->compile($variant, $source, $mutant->{file}, $text,
            $folder) // return undef;
        $objects{$source} = $object
            unless $build->same($variant, $source, $object);
    }
    return \%objects;
}

# Can it be planted? Its objects so far: {variant: objects}; undef if not.
sub plant
{
    my ($mutant) = @_;
    my $key = $suite->digest_around($mutant->{file});
    my $known = $results->can_be_planted($mutant->{id}, $key);
    return $known ? {} : undef if defined $known;
    my $folder = "$work/planted/$mutant->{id}";
    my %found;
    make_path($folder);
    for my $variant (qw(test arm64 sim sim-arm64),
        $mutant->{kind} eq 'order' ? qw(tsan sim-memory) : ()) {
        my $objects = objects($mutant, $variant, $folder) // last;
        $found{$variant} = $objects;
        next unless %$objects;
        $results->planted($mutant->{id}, $key, 1);
        return \%found;
    }
    $results->planted($mutant->{id}, $key, 0);
    remove_tree($folder);
    return undef;
}

# The lines that its tests have to reach: the last one up to it that has code.
sub lines
{
    my ($mutant) = @_;
    my ($file, $line, $from, $until) = @$mutant{qw(file line from until)};
    my @lines = $suite->lines($file, $from, $until);
    my @before = grep {$_ <= $line} @lines;
    return $before[-1] if @before;
    return $lines[0] if @lines;
    my @after = $suite->lines($file, $line, $line + 20);
    return $after[0] // ();
}

sub tests
{
    my ($mutant) = @_;
    my (@first, @foreign, @threads);
    my @tests = $suite->reaching($mutant->{file}, lines($mutant));
    my %first = map {$_ => 1} @tests;
    push @tests, grep {!$first{$_}} $suite->about($mutant->{file})
        if !@tests || $mutant->{file} =~ /\.h$/;
    for (@tests) {
        my $list = m{^(?:tsan|memory)/} ? \@threads
            : m{^(?:arm64|x86-64)/} ? \@foreign : \@first;
        push @$list, $_;
    }
    @threads = () unless $mutant->{kind} =~ /^(?:lock|order)$/;
    return (@first, @foreign, @threads);
}

# A test that calls a function of a header has it in its own object.
sub tests_of
{
    my ($mutant, $program, $folder) = @_;
    return () unless $mutant->{file} =~ /\.h$/;
    my $text = mutated(slurp($mutant->{file}), $mutant);
    my $variant = $build->variant($program);
    my %objects;
    for ($build->own_sources($program, $mutant->{file})) {
        $objects{$_} = $build->compile($variant, $_, $mutant->{file}, $text,
            $folder) // next;
    }
    return %objects;
}

sub say_test
{
    printf "    %-40s %s\n", @_ if $option{mutant};
}

# Its programs of a test: {program: where it is}; {} if this test's objects are
# those without the mutant.
sub programs_of
{
    my ($mutant, $test, $objects) = @_;
    my $folder = "$work/planted/$mutant->{id}";
    my $variant = $suite->{tests}{$test}{variant};
    make_path($folder);
    my $own = $objects->{$variant} //= objects($mutant, $variant, $folder);
    my %programs;
    return \%programs unless $own && %$own;
    for my $program (@{$suite->{tests}{$test}{programs}}) {
        my %all = (%$own, tests_of($mutant, $program, $folder));
        $programs{$program} = $build->link($program, \%all, $folder) //
            return undef;
    }
    return \%programs;
}

# What one test says of it: {how, late}, how is '' if it passes; undef if the
# mutant is none for this test.
sub try_test
{
    my ($mutant, $test, $objects) = @_;
    my $programs = programs_of($mutant, $test, $objects) //
        return {how => 'does not link', late => 0};
    return undef unless %$programs;
    my $folder = "$work/planted/$mutant->{id}";
    my ($how, $late) = $suite->run($test, $programs, $folder);
    ($how, $late) = ('', 0) if $how && !$suite->passes($test, $folder);
    # What hangs on the host, or on time, has to fail twice, and the test has to
    # pass without the mutant in between.
    if ($how && ($late || $suite->is_shaky($test))) {
        my ($without) = $suite->run($test, {}, $folder);
        ($how, $late) = $without ? ('', 0)
            : $suite->run($test, $programs, $folder);
    }
    unlink values %$programs;
    return {how => $how, late => $late};
}

# {how}: the test that kills it, and what that says; '' if it lives, and then
# how many tests were tried, and left out.
sub judge
{
    my ($mutant, $objects) = @_;
    my ($id, $tried, $left) = ($mutant->{id}, 0, 0);
    my @tests = tests($mutant);
    # What found it before finds it again.
    my $killer = $results->killer($id) // '';
    @tests = ((grep {$_ eq $killer} @tests), grep {$_ ne $killer} @tests);
    my %known = map {$_ => $results->of($id, $_, $suite->digest_of($_))} @tests;
    @tests = ((grep {$known{$_}} @tests), grep {!$known{$_}} @tests)
        unless $option{mutant};
    for my $test (@tests) {
        ++$left && next if defined $option{within} &&
            $suite->seconds($test) > $option{within};
        my $said = $known{$test};
        if (!$said) {
            $said = try_test($mutant, $test, $objects) // next;
            $results->tried($id, $test, $suite->digest_of($test),
                @$said{qw(how late)});
        }
        say_test($test, $said->{how} || 'passes');
        $tried++;
        return {how => "$test: $said->{how}", late => $said->{late}}
            if $said->{how};
    }
    return {how => '', tried => $tried, left => $left};
}

# ---- All of them ---------------------------------------------------------

# The first of the candidates that can be planted, with their objects.
sub plant_sample
{
    my @candidates = @_;
    my @planted;
    while (@candidates && @planted < $option{count}) {
        my $more = $option{count} - @planted;
        my @batch = splice @candidates, 0, $more + int($more / 3) + 1;
        my %objects;
        pool($option{jobs}, \@batch, \&plant, sub {
            $objects{$_[0]{id}} = $_[1];
        });
        push @planted, map {{%$_, objects => $objects{$_->{id}}}}
            grep {$objects{$_->{id}}} @batch;
        print STDERR 'mutate: ', scalar @planted, " compiled\n";
    }
    splice @planted, $option{count} if @planted > $option{count};
    return @planted;
}

sub describe
{
    my ($mutant) = @_;
    return "$mutant->{id} $mutant->{file}:$mutant->{line}:$mutant->{kind} "
        . "$mutant->{function}";
}

sub tell
{
    my ($mutant, $result) = @_;
    $mutant->{fate} = $result->{how} ? 'killed' : 'lived';
    @$mutant{qw(how late)} = @$result{qw(how late)};
    my $lived = $result->{tried} || $result->{left}
        ? "none of $result->{tried} tests finds it" : 'no test comes by';
    $lived .= ", $result->{left} were left out" if $result->{left};
    printf "%-6s %s: %s\n", $mutant->{fate}, describe($mutant),
        $result->{how} || $lived;
    remove_tree("$work/planted/$mutant->{id}");
}

sub percent
{
    my ($killed, $lived) = @_;
    return $killed + $lived ? 100 * $killed / ($killed + $lived) : 100;
}

# A table of one key; the rows that are not good enough.
sub table
{
    my ($key, @mutants) = @_;
    my %count;
    $count{$_->{$key}}{$_->{fate}}++ for @mutants;
    my @low;
    printf "\n%-20s %7s %7s %7s %10s\n", $key,
        qw(planted killed lived equivalent);
    for my $name (sort keys %count) {
        my ($killed, $lived, $equivalent) =
            map {$count{$name}{$_} // 0} qw(killed lived equivalent);
        my $score = percent($killed, $lived);
        printf "%-20s %7d %7d %7d %10d %6.1f %%\n", $name,
            $killed + $lived + $equivalent, $killed, $lived, $equivalent,
            $score;
        push @low, $name if $killed + $lived >= 10 && $score < $least_of_layer;
    }
    return @low;
}

sub report
{
    my @mutants = @_;
    my %count = (killed => 0, lived => 0, equivalent => 0);
    $count{$_->{fate}}++ for @mutants;
    for (grep {$_->{fate} eq 'lived'} @mutants) {
        print "\n", describe($_), "\n    $_->{text}\n    => $_->{to}\n";
    }
    table('kind', @mutants);
    my @low = table('layer', @mutants);
    my $late = grep {$_->{late}} @mutants;
    print "\n$late of the killed took too long\n";
    print "below $least_of_layer %: @low\n" if @low;
    my $score = percent(@count{qw(killed lived)});
    printf "mutate: %d planted, %d killed, %d lived, %d equivalent:"
        . " %.1f %% killed\n", scalar @mutants,
        @count{qw(killed lived equivalent)}, $score;
    return $score >= $least_of_all && !@low;
}

sub write_json
{
    my @mutants = map {my %m = %$_; delete @m{qw(objects edits)}; \%m} @_;
    open my $out, '>', $option{json} or die "$option{json}: $!\n";
    print $out JSON::PP->new->pretty->canonical->encode(\@mutants);
}

sub main
{
    my @all = map {mutants($_)} sources();
    my $reasons = read_equivalents();
    if ($option{check}) {
        my @wrong = (check_mutants(\@all),
            check_equivalents(\@all, $reasons));
        print "$_\n" for @wrong;
        return !@wrong;
    }
    my @asked = grep {is_asked_for($_)} @all;
    @asked or die "mutate: no such mutant\n";
    if ($option{list}) {
        print describe($_), "\n    $_->{text}\n    => $_->{to}\n" for @asked;
        print "mutate: ", scalar @asked, " mutants\n";
        return 1;
    }
    make_path($work);
    $results = Results->new($work);
    $build = Build->new($work, $option{jobs});
    $suite = Suite->new($build, $work, @option{qw(jobs orders)});
    my @mutants = plant_sample(sample(@asked));
    @mutants or die "mutate: none of these can be planted\n";
    my @run = grep {!$reasons->{$_->{id}} || $option{mutant}} @mutants;
    pool($option{jobs}, \@run, sub {judge($_[0], $_[0]{objects})}, \&tell);
    $_->{fate} //= 'equivalent' for @mutants;
    my $good = report(@mutants);
    write_json(@mutants) if $option{json};
    return $good;
}

exit(main() ? 0 : 1);

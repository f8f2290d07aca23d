# SPDX-License-Identifier: MIT
#
# Suite.pm: the tests, how long each takes, and which lines each reaches.
#
#   Suite->new(BUILD, WORK, JOBS, ROUNDS)
#                             runs each test once for gcov, the explorer one of
#                             ROUNDS orders. What is known of a program that is
#                             as it was is kept in WORK
#   ->passes(TEST)            without a mutant: asked for when it has found one
#   ->reaching(FILE, LINES)   the tests that reach one of them, quick ones first
#   ->about(FILE)             the tests of its layer that reach any of it
#   ->units(FILE, LINES)      the sources whose objects hold code of them
#   ->lines(FILE, FROM, UNTIL)      which of them have code
#   ->seconds(TEST)                 of a processor, that it takes
#   ->digest_of(TEST)               of its programs without a mutant
#   ->digest_around(FILE)           of what a mutant of FILE is compiled into
#   ->run(TEST, PROGRAMS, FOLDER)   (what went wrong, "" if it passes; was it
#                                   time)
#
# A test is a program of cmocka, or a script of tests/tools, which runs `aspen`.
package Suite;
use strict;
use warnings;
use Cwd qw(getcwd);
use Digest::MD5;
use File::Basename qw(dirname basename);
use File::Find qw(find);
use File::Path qw(make_path remove_tree);
use POSIX qw(:sys_wait_h setpgid);
use Storable qw(nstore retrieve);
use Time::HiRes qw(time sleep);
use Pool qw(pool);

my @tool_programs = qw(aspen aspen-broken);
# What the scripts look for beside them.
my @beside = qw(aspen-bench aspen-pressure pkey_guest shadow_guest unseen_guest);

sub new
{
    my ($class, $build, $work, $jobs, $rounds) = @_;
    $ENV{ASPEN_FIRST_FAILURE} = 'yes'; # tests/tools/lib.bash
    my $self = bless {build => $build, work => $work, jobs => $jobs,
        rounds => $rounds}, $class;
    $self->{tests} = {$self->find_tests};
    my $known = "$work/known";
    my $all = -f $known ? retrieve($known) : {};
    $self->control($all, $known);
    $self->{known} = {map {$_ => $all->{$_}} keys %{$self->{tests}}};
    $self->index_lines;
    return $self;
}

# name: {programs, variant, layer}
sub find_tests
{
    my ($self) = @_;
    my %tests;
    my %folder = map {basename($_, '.c') => basename(dirname($_))}
        glob('tests/{unit/*,host,threads}/test_*.c');
    for my $program (grep m{(?:^|/)tests/}, $self->{build}->programs) {
        my $name = basename($program);
        $tests{$program} = {programs => [$program],
            variant => $self->{build}->variant($program),
            layer => $program =~ /unit/ ? $folder{$name} // '' : 'sim'};
    }
    for my $script (grep !/lib\.bash/, glob 'tests/tools/*.sh') {
        $tests{$script} = {programs => [@tool_programs], script => $script,
            variant => 'test', layer => 'tools'};
    }
    return %tests;
}

# Where $which (base, cover) has a program.
sub at
{
    my ($self, $which, $program) = @_;
    return "$self->{work}/$which/$program";
}

sub digest
{
    my ($self, $test) = @_;
    my $md5 = Digest::MD5->new;
    $md5->add($self->{rounds}) if $test->{layer} eq 'sim';
    for my $path ($test->{script} // (), map {($self->at('base', $_),
        $self->at('cover', $_))} @{$test->{programs}}) {
        $md5->add($self->digest_of_file($path)) if -f $path;
    }
    return $md5->hexdigest;
}

# Those for gcov are large: read again when they are others.
sub digest_of_file
{
    my ($self, $path) = @_;
    my $key = join ' ', $path, (stat $path)[1, 7, 9];
    $self->{files} //= -f "$self->{work}/files"
        ? retrieve("$self->{work}/files") : {};
    return $self->{files}{$key} //= do {
        open my $in, '<', $path or die "$path: $!\n";
        Digest::MD5->new->addfile($in)->hexdigest;
    };
}

sub digest_of
{
    my ($self, $name) = @_;
    return $self->{known}{$name} ? $self->{known}{$name}{digest} : '';
}

sub digest_around
{
    my ($self, $file) = @_;
    my $md5 = Digest::MD5->new;
    if ($file =~ /\.h$/) {
        $md5->add($_, $self->digest_of($_)) for sort keys %{$self->{known}};
        return $md5->hexdigest;
    }
    for my $object ($self->{build}->objects_of($file)) {
        open my $in, '<', $object or next;
        $md5->addfile($in);
    }
    return $md5->hexdigest;
}

# Which lines each test reaches, and how long it takes there. What is not built
# for gcov reaches what its twin does.
sub control
{
    my ($self, $all, $known) = @_;
    my (%digest, @todo);
    for my $name (sort keys %{$self->{tests}}) {
        $digest{$name} = $self->digest($self->{tests}{$name});
        next if $all->{$name} && $all->{$name}{digest} eq $digest{$name};
        delete $all->{$name}; # an interrupted run is not to find it
        push @todo, $name if $self->is_covered($name);
    }
    nstore($self->{files}, "$self->{work}/files");
    print STDERR 'mutate: ', scalar @todo, " tests for gcov\n" if @todo;
    remove_tree(glob "$self->{work}/worker*/gcov"); # of another build
    # Those that take long begin first.
    @todo = sort {$self->is_shaky($b) <=> $self->is_shaky($a)} @todo;
    pool($self->{jobs}, \@todo, sub {$self->cover(@_)}, sub {
        my ($name, $found) = @_;
        print STDERR "mutate: fails under gcov: $name: $found->{how}\n"
            if $found->{how};
        $all->{$name} = {%$found, digest => $digest{$name}};
        nstore($all, $known);
    });
    $all->{$_} //= {digest => $digest{$_}, cpu => 1, wall => 5}
        for keys %digest;
}

sub is_covered
{
    my ($self, $name) = @_;
    return -f $self->at('cover', $self->{tests}{$name}{programs}[0]);
}

# (how, wall, cpu) of a run: what went wrong, seconds of a clock and of a
# processor.
sub timed
{
    my ($self, @run) = @_;
    my @before = (time, (times)[2, 3]);
    my ($how) = $self->run(@run);
    my @after = (time, (times)[2, 3]);
    return (how => $how, wall => $after[0] - $before[0],
        cpu => $after[1] - $before[1] + $after[2] - $before[2]);
}

# ---- Without a mutant ----------------------------------------------------

# {how, cpu, wall}, once it was run; kept in a file, since workers share it.
sub plain
{
    my ($self, $name) = @_;
    my $path = "$self->{work}/plain/" . $name =~ s{/}{-}gr;
    return $self->{plain}{$name} if $self->{plain}{$name};
    return undef unless -f $path;
    my $found = eval {retrieve($path)} or return undef; # being written
    return undef if $found->{digest} ne $self->digest_of($name);
    return $self->{plain}{$name} = $found;
}

# A test that does not pass as it is kills nobody: '' if it passes, or what goes
# wrong.
sub passes
{
    my ($self, $name, $folder) = @_;
    my $found = $self->plain($name);
    if (!$found) {
        my %run = $self->timed($name, {}, $folder, 100);
        %run = $self->timed($name, {}, $folder, 100)
            if $run{how} && $self->is_shaky($name);
        make_path("$self->{work}/plain");
        nstore({%run, digest => $self->digest_of($name)},
            "$self->{work}/plain/" . $name =~ s{/}{-}gr);
        print STDERR "mutate: fails without a mutant: $name: $run{how}\n"
            if $run{how};
        $found = \%run;
    }
    return !$found->{how};
}

# ---- gcov ----------------------------------------------------------------

# {how, cpu, wall, lines => {code: {file: {source: lines}}, reached: {file:
# lines}}}: lines as bits.
sub cover
{
    my ($self, $name, $worker) = @_;
    my $test = $self->{tests}{$name};
    my $folder = "$self->{work}/worker$worker";
    my $objects = getcwd() . "/$self->{work}/cover/obj";
    my $gcov = "$folder/gcov";
    # gcov looks for the notes beside the counts.
    if (!-d $gcov) {
        make_path($gcov);
        system("cp -rs '$objects/.' '$gcov';"
            . " find '$gcov' -name '*.[od]' -delete");
    }
    local $ENV{GCOV_PREFIX} = getcwd() . "/$gcov";
    local $ENV{GCOV_PREFIX_STRIP} = ($objects =~ tr{/}{});
    local $ENV{ASPEN_FIRST_FAILURE} = '';
    # Few orders of the explorer reach what all of them do.
    local $self->{rounds} = 5 * $self->{rounds};
    my %found = $self->timed($name,
        {map {$_ => $self->at('cover', $_)} @{$test->{programs}}}, $folder,
        100);
    my @counts;
    find(sub {push @counts, $File::Find::name if /\.gcda$/}, $gcov);
    $found{lines} = {code => {}, reached => {}};
    # Guests of the tools count as well, where no notes are.
    read_gcov($found{lines}, grep {-f s/da$/no/r} @counts);
    unlink @counts;
    return \%found;
}

sub read_gcov
{
    my ($lines, @counts) = @_;
    return unless @counts;
    open my $in, '-|', 'gcov', '-t', '-j', @counts or die "gcov: $!\n";
    while (<$in>) {
        my ($source) = m{"data_file": "[^"]*/gcov/[^/]+/(.*)\.gcda"} or next;
        $source .= '.c';
        for (split /\{"lines": \[/) {
            my ($file) = /"file": "([^"]+)"/g or next;
            while (/"count": (\d+), "line_number": (\d+)/g) {
                vec($lines->{code}{$file}{$source} //= '', $2, 1) = 1
                    unless $source =~ m{^tests/};
                vec($lines->{reached}{$file} //= '', $2, 1) = 1 if $1;
            }
        }
    }
    close $in or die "gcov does not read its counts\n";
}

sub index_lines
{
    my ($self) = @_;
    my (%code, %units);
    for my $found (values %{$self->{known}}) {
        my $lines = $found->{lines} ? $found->{lines}{code} : {};
        for my $file (keys %$lines) {
            for my $source (keys %{$lines->{$file}}) {
                my $own = $lines->{$file}{$source};
                $_ = ($_ // '') | $own for $code{$file}, $units{$file}{$source};
            }
        }
    }
    $self->{code} = \%code;
    $self->{units} = \%units;
}

sub units
{
    my ($self, $file, @lines) = @_;
    my $of = $self->{units}{$file} || {};
    return grep {my $own = $of->{$_}; grep {vec $own, $_, 1} @lines}
        sort keys %$of;
}

sub lines
{
    my ($self, $file, $from, $until) = @_;
    my $code = $self->{code}{$file} // '';
    return grep {vec $code, $_, 1} $from .. $until;
}

# What is built in another way, and not for gcov: arm64/tests/unit/NAME,
# tsan/tests/unit/NAME, memory/tests/explore/NAME, tests/explore/test_mmu-VARIANT.
sub twin
{
    my ($self, $name) = @_;
    return $name if $self->{known}{$name} && $self->{known}{$name}{lines};
    return $name =~ s{^(?:tsan|memory|arm64|x86-64)/|/test_(?:mmu|second)\K-\S+$}{}gr;
}

sub reached
{
    my ($self, $name, $file) = @_;
    return $self->{known}{$self->twin($name)}{lines}{reached}{$file} // '';
}

# The folder of tests/unit, or the like, that is about a file.
sub folder_of
{
    my ($file) = @_;
    return $1 if $file =~ m{^src/([^/]+)/};
    return 'tools' if $file =~ m{^tools/};
    return $file =~ m{^ports/sim/} ? 'sim' : 'port';
}

sub reaching
{
    my ($self, $file, @lines) = @_;
    my $layer = folder_of($file);
    my (@found, %cost);
    for my $name (sort keys %{$self->{tests}}) {
        my $reached = $self->reached($name, $file);
        next unless grep {vec $reached, $_, 1} @lines;
        push @found, $name;
        # 0.15 s to link it; what is about this layer knows best.
        $cost{$name} = 0.15 + $self->seconds($name);
        $cost{$name} *= 0.3 if $self->{tests}{$name}{layer} eq $layer;
    }
    return sort {$cost{$a} <=> $cost{$b} || $a cmp $b} @found;
}

# What reaches a line and ends there, by a panic, leaves no counts: tests that
# are about the file and reach any of it.
sub about
{
    my ($self, $file) = @_;
    my $layer = folder_of($file);
    return grep {$self->{tests}{$_}{layer} eq $layer}
        $self->reaching($file, $self->lines($file, 1, 10000));
}

# ---- One test ------------------------------------------------------------

sub command
{
    my ($self, $name, $programs) = @_;
    my $test = $self->{tests}{$name};
    my $path = sub {$programs->{$_[0]} // $self->at('base', $_[0])};
    return ($test->{layer} eq 'sim'
        ? ('env', "ASPEN_ROUNDS_OF=$self->{rounds}") : (),
        $path->($test->{programs}[0])) unless $test->{script};
    my $here = getcwd();
    my $work = "$here/$self->{work}/base";
    my ($aspen, $broken) = map {"$here/" . $path->($_)} @tool_programs;
    symlink "$work/$_", dirname($aspen) . "/$_" for @beside; # or it is there
    return ('env', "ASPEN=$aspen", "ASPEN_BROKEN_BUILD=$broken",
        "MAKE_SNAPSHOTS=$work/make_snapshots", 'scripts/check/leaks.sh',
        "$work/aspen", 'bash', $test->{script});
}

# How long it may take: seconds of the processor, and seconds until it is taken
# for stuck.
sub limits
{
    my ($self, $name, $factor) = @_;
    my $known = $self->plain($name) || $self->{known}{$self->twin($name)};
    return (600, 1200) unless $known && defined $known->{cpu};
    $factor *= 10 if $name =~ m{^(?:tsan|memory)/} && !$self->plain($name);
    return (int($factor * $known->{cpu} + 3.5),
        $factor * 2 * $known->{wall} + 10);
}

sub seconds
{
    my ($self, $name) = @_;
    return ($self->plain($name) || $self->{known}{$self->twin($name)})->{cpu};
}

# Whether it may fail for another reason than the mutant: a busy machine.
sub is_shaky
{
    my ($self, $name) = @_;
    return $self->{tests}{$name}{layer} =~ /^(?:host|threads|tools|port)$/;
}

# $programs: {program: where it is}, instead of those of base.
sub run
{
    my ($self, $name, $programs, $folder, $factor) = @_;
    my ($cpu, $wall) = $self->limits($name, $factor // 5);
    my @command = $self->command($name, $programs);
    my $log = "$folder/test.log";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        setpgid(0, 0);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $log;
        open STDERR, '>&', \*STDOUT;
        exec('sh', '-c', "ulimit -t $cpu; ulimit -c 0; exec \"\$@\"", 'sh',
            @command) or POSIX::_exit(127);
    }
    my ($until, $late, $pause) = (time + $wall, 0, 0.002);
    while (waitpid($pid, WNOHANG) == 0) {
        $until = time + 5 if time > $until && is_runnable($pid);
        $late = 1, kill 'KILL', -$pid
            if time > $until || (-s $log // 0) > 1 << 26;
        sleep $pause;
        $pause *= 1.5 if $pause < 0.1;
    }
    my $status = $?;
    kill 'KILL', -$pid; # what it left
    return ('') if $status == 0;
    my $signal = $status & 127;
    $late ||= $signal == 9 || $signal == 24;
    return ($late ? 'too long' : reason($log, $status), $late);
}

# Whether a thread of the process group would run if it could: then it is the
# machine that is slow.
sub is_runnable
{
    my ($group) = @_;
    for (glob '/proc/[0-9]*/task/[0-9]*/stat') {
        open my $in, '<', $_ or next;
        my ($state, $own) = (<$in> // '') =~ /.*\) (\S) \d+ (\d+)/ or next;
        return 1 if $own == $group && $state =~ /[RD]/;
    }
    return 0;
}

# What a person wants to see first.
sub reason
{
    my ($log, $status) = @_;
    my $how = $status & 127 ? 'signal ' . ($status & 127)
        : 'status ' . ($status >> 8);
    open my $in, '<', $log or return $how;
    read $in, my $text, 1 << 20;
    return $how unless $text =~ /^(.*(?:assertion|panic|LINE   \]
        |ERROR   \]|FAIL|sim:|WARNING:\ Thr).*)$/mx;
    return substr "$how: $1", 0, 150;
}

1;

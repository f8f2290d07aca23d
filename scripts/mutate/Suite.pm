# SPDX-License-Identifier: MIT
#
# Suite.pm: the tests, how long each takes, and which lines each reaches.
#
#   Suite->new(BUILD, WORK, JOBS)   runs each test once as it is, which has to
#                                   pass, and once for gcov. What is known of a
#                                   program that is as it was is kept in WORK.
#   ->reaching(FILE, LINES)   the tests that reach one of them, quick ones first
#   ->about(FILE)             the tests of its layer that reach any of it
#   ->units(FILE, LINES)      the sources whose objects hold code of them
#   ->lines(FILE, FROM, UNTIL)      which of them have code
#   ->seconds(TEST)                 of a processor, that it takes
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
my @beside = qw(aspen-bench pkey_guest shadow_guest unseen_guest);

sub new
{
    my ($class, $build, $work, $jobs) = @_;
    my $self = bless {build => $build, work => $work, jobs => $jobs}, $class;
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
    for my $path ($test->{script} // (), map {($self->at('base', $_),
        $self->at('cover', $_))} @{$test->{programs}}) {
        open my $in, '<', $path or next; # tsan is not built for gcov
        $md5->addfile($in);
    }
    return $md5->hexdigest;
}

# What each test is without a mutant. A test that does not pass could kill
# nobody; one that hangs on a busy machine is left out this time.
sub control
{
    my ($self, $all, $known) = @_;
    my (%digest, @todo);
    for my $name (sort keys %{$self->{tests}}) {
        $digest{$name} = $self->digest($self->{tests}{$name});
        push @todo, $name
            unless ($all->{$name}{digest} // '') eq $digest{$name};
    }
    return unless @todo;
    print STDERR 'mutate: ', scalar @todo, " tests without a mutant\n";
    remove_tree(glob "$self->{work}/worker*/gcov"); # of another build
    my @broken;
    pool($self->{jobs}, \@todo, sub {$self->measure(@_)}, sub {
        my ($name, $found) = @_;
        if ($found->{how}) {
            push @broken, $name unless $self->is_shaky($name);
            print STDERR "mutate: fails without a mutant: $name:",
                " $found->{how}\n";
            return;
        }
        $found->{digest} = $digest{$name};
        $all->{$name} = $found;
        nstore($all, $known);
    });
    die "mutate: not without these\n" if @broken;
}

sub measure
{
    my ($self, $name, $worker) = @_;
    my $test = $self->{tests}{$name};
    my $folder = "$self->{work}/worker$worker";
    make_path($folder);
    my @before = (time, (times)[2, 3]);
    my ($how) = $self->run($name, {}, $folder);
    ($how) = $self->run($name, {}, $folder) if $how && $self->is_shaky($name);
    my @after = (time, (times)[2, 3]);
    my %found = (how => $how, wall => $after[0] - $before[0],
        cpu => $after[1] - $before[1] + $after[2] - $before[2]);
    $found{lines} = $self->cover($name, $folder) unless $how;
    return \%found;
}

# ---- gcov ----------------------------------------------------------------

# {code: {file: {source: lines}}, reached: {file: lines}}, as bits.
sub cover
{
    my ($self, $name, $folder) = @_;
    my $test = $self->{tests}{$name};
    return {} unless -f $self->at('cover', $test->{programs}[0]);
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
    $self->run($name, {map {$_ => $self->at('cover', $_)} @{$test->{programs}}},
        $folder, 20);
    my @counts;
    find(sub {push @counts, $File::Find::name if /\.gcda$/}, $gcov);
    my %lines = (code => {}, reached => {});
    read_gcov(\%lines, @counts);
    unlink @counts;
    return \%lines;
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
        my $lines = $found->{lines}{code} || {};
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

# What is not built for gcov reaches what its like does: tsan/tests/unit/NAME,
# tests/explore/test_mmu-VARIANT.
sub reached
{
    my ($self, $name, $file) = @_;
    (my $twin = $name) =~ s{^tsan/|(?<=test_mmu)-\S+$}{}g;
    return $self->{known}{$twin}{lines}{reached}{$file} // '';
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
        $cost{$name} = 0.15 + $self->{known}{$name}{cpu};
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
    return $path->($test->{programs}[0]) unless $test->{script};
    my $here = getcwd();
    my $work = "$here/$self->{work}/base";
    my ($aspen, $broken) = map {"$here/" . $path->($_)} @tool_programs;
    symlink "$work/$_", dirname($aspen) . "/$_" for @beside; # or it is there
    return ('env', "ASPEN=$aspen", "ASPEN_BROKEN_BUILD=$broken",
        "MAKE_SNAPSHOTS=$work/make_snapshots", 'bash', $test->{script});
}

# How long it may take: seconds of the processor, and seconds until it is taken
# for stuck.
sub limits
{
    my ($self, $name, $factor) = @_;
    my $known = $self->{known}{$name};
    return (600, 1200) unless $known;
    return (int($factor * $known->{cpu} + 3.5),
        $factor * 2 * $known->{wall} + 20);
}

sub seconds
{
    my ($self, $name) = @_;
    return $self->{known}{$name}{cpu};
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

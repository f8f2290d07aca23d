#!/usr/bin/env perl
# SPDX-License-Identifier: MIT
#
# citations.pl: what comments and documents name exists. Each line it prints is
# a citation that leads nowhere; exit status 1 when there is one.
#
#   path       src/..., docs/..., tests/...: a file or folder; `*` stands for any
#   file       name.c, layer/name.h: a file of that name
#   test       test_name: a test program, or a function of a test
#   program    build/tests/unit/name, build/examples/name: has a source
#   target     `make name`, or a line of an example that begins so
#   name       aspen_name, ASPEN_NAME: an identifier of the code; `_*` at the
#              end stands for any
#   function   name(): a function of the code, or of the list below
#   invariant  I1, P1: stands in this file, in one of the same name, in one
#              that the file includes, or in src/internal.h; "I1 of FILE" or
#              "FILE I1" in that file, "I1 of struct NAME" above that struct
#   link       [text](place): a file, and a heading of it after `#`
#   listed     docs/README.md has a link to each document of docs
#
# Comments of C, of make and of scripts are read, and Markdown as a whole; of
# CHANGELOG.md, which tells of what is gone, the links alone. Words of three and
# more capitals in a path stand for any, as does X at the end of a name.
use strict;
use warnings;

# Functions that are not ours, and that comments name with parentheses.
my %theirs = map {$_ => 1} qw(
    _install_special_mapping arch_pick_mmap_layout bprm_mm_init can_do_mlock
    check_data_rlimit copy_process do_mprotect_pkey do_pagemap_scan dup_mmap exec_mmap
    madvise_set_anon_name mapping_deny_writable may_expand_vm
    mwriteprotect_range userfaultfd_register validate_range
    memfd_wait_for_pins mlock_future_ok oom_badness oom_evaluate_task
    oom_reap_task_mm prctl_set_mm select_bad_process
    remap_pfn_range shmem_setattr truncate_pagecache unmap_mapping_range
    vm_insert_page vma_merge vmf_insert_mixed vmf_insert_pfn);

my %is_file = map {$_ => 1} grep {-f $_}
    split /\0/, `git ls-files -z --cached --others --exclude-standard`;
my (%is_folder, %by_name);
for my $path (keys %is_file) {
    my ($folder, $name) = $path =~ m,^(.*?)([^/]*)$,;
    push @{$by_name{$name}}, $path;
    while ($folder =~ s,/[^/]*$,,) {
        $is_folder{$folder} = 1;
    }
}

my (%text, %code, %words, %headings, %invariants, %targets);

sub content
{
    my ($path) = @_;
    if (!defined $text{$path}) {
        local $/;
        open my $in, '<', $path or die "$path: $!\n";
        $text{$path} = <$in>;
        $text{$path} = '' unless defined $text{$path};
    }
    return $text{$path};
}

# A file as [line number, what is prose in it]; and its code, without that.
sub split_prose
{
    my ($path) = @_;
    my ($prose, $code) = ([], '');
    my $number = 1;
    if ($path =~ /\.[ch]$/) {
        my $all = content($path);
        while ($all =~ m{\G(?:(/\*.*?\*/|//[^\n]*)|
                ("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|.))}gsx) {
            if (defined $1) {
                my $line = $number;
                push @$prose, [$line++, $_] for split /\n/, $1, -1;
                $code .= ' ';
            } else {
                $code .= $2;
            }
            $number += ($1 // $2) =~ tr/\n//;
        }
    } else {
        my $document = $path =~ /\.md$/;
        for (split /\n/, content($path), -1) {
            if ($document || /^\s*#(?!!)/) {
                push @$prose, [$number, $_];
            } else {
                $code .= "$_\n";
            }
            $number++;
        }
    }
    return ($prose, $code);
}

# GitHub's anchor of a heading.
sub anchor
{
    my ($heading) = @_;
    $heading =~ s/\[([^\]]*)\]\([^)]*\)/$1/g;
    $heading = lc $heading;
    $heading =~ s/[^\w\- ]//g;
    $heading =~ tr/ /-/;
    return $heading;
}

# ---- What there is --------------------------------------------------------

my @prose_of = ();
for my $path (sort keys %is_file) {
    next if $path !~ /\.(?:[ch]|md|mk|sh|pl)$|(?:^|\/)(?:Makefile|init|run)$/;
    next if $path =~ m,^bench/maple/,;
    my ($prose, $code) = split_prose($path);
    $code{$path} = $code;
    push @prose_of, [$path, $prose];
    if ($path =~ /\.[ch]$/) {
        $words{$_} = 1 for $code =~ /\w+/g;
    }
    for (@$prose) {
        $invariants{$path}{$_} = 1 for $_->[1] =~ /\b([IP]\d+)  \S/g;
    }
    if ($path =~ /\.md$/) {
        my $fenced = 0;
        for (@$prose) {
            $fenced = !$fenced if $_->[1] =~ /^```/;
            $headings{$path}{anchor($1)} = 1
                if !$fenced && $_->[1] =~ /^#+ +(.*?)\s*$/;
        }
    }
    if ($path =~ /(?:Makefile|\.mk)$/) {
        for (split /\n/, $code) {
            next unless /^([^\t=]+?):(?:[^=]|$)/ || /^\.PHONY: *(.*)/;
            my $left = $_ =~ /^\.PHONY: *(.*)/ ? $1 : $1;
            for my $foreign ('arm64', 'x86-64') {
                (my $names = $left) =~ s/\$\(FOREIGN\)/$foreign/g;
                $targets{$_} = 1 for split ' ', $names;
            }
        }
    }
}
for my $path (keys %is_file) {
    $targets{$1} = $targets{"asan/$1"} = 1
        if $path =~ m,^tests/(?:unit|host|threads)/(?:.*/)?(test_\w+)\.c$,;
}
$targets{$_} = 1 for qw(test_NAME asan/test_NAME);
# Names of scripts and of variables of make count as words, too.
for my $path (grep {!/\.md$/} keys %code) {
    $words{$_} = 1 for $code{$path} =~ /\baspen_\w+|\bASPEN_\w+|\btest_\w+/g;
}

# Of Rust everything does; what it says in comments is not read.
for my $path (grep {/\.rs$/} keys %is_file) {
    $words{$_} = 1 for content($path) =~ /\w+/g;
}

# ---- What is cited --------------------------------------------------------

my $found = 0;
sub broken
{
    my ($path, $line, $kind, $what) = @_;
    print "$path:$line: no such $kind: $what\n";
    $found++;
}

sub path_exists
{
    my ($cited) = @_;
    $cited =~ s,/$,,;
    return 1 if $is_file{$cited} || $is_folder{$cited};
    if ($cited =~ /[*A-Z]/) {
        # docs/*.md; tests/unit/LAYER, where a word of capitals stands for any.
        (my $pattern = quotemeta $cited) =~ s/\\\*/[^\/]*/g;
        $pattern =~ s/(?<![A-Z])[A-Z]{3,}(?![A-Z])/[^\/]*/g;
        return scalar grep {/^$pattern(?:\/|$)/} keys %is_file;
    }
    return 0;
}

# layer/name.h, tools' folder/name.c, name.c: where they are.
sub places
{
    my ($cited, $from) = @_;
    (my $name = $cited) =~ s,.*/,,;
    return grep {$_ eq $cited || m,(?:^|/)\Q$cited\E$,} @{$by_name{$name} || []};
}

sub includes
{
    my ($path) = @_;
    return map {places($_, $path)} $code{$path} =~ /#\s*include\s+[<"]([^>"]+)/g;
}

# Where an invariant that is cited without a place may stand.
sub near
{
    my ($path) = @_;
    (my $stem = $path) =~ s/\.[ch]$//;
    return grep {$is_file{$_}} $path, "$stem.h", "$stem.c", includes($path),
        $path =~ m,^src/, ? 'src/internal.h' : ();
}

# Does the comment above a struct say so?
sub above_struct
{
    my ($struct, $name) = @_;
    for my $path (grep {/\.[ch]$/} keys %code) {
        my ($above) = content($path) =~
            m{/\*((?:(?!\*/).)*)\*/\s*struct \Q$struct\E \{}s;
        return 1 if defined $above && $above =~ /\b$name  \S/;
    }
    return 0;
}

sub check_invariants
{
    my ($path, $line, $prose) = @_;
    return if $path !~ /\.[ch]$/ || $prose =~ /\b[IP]\d+  \S/; # what it is
    if ($prose =~ /\b([IP]\d+) of struct (\w+)/) {
        broken($path, $line, 'invariant', "$1 of struct $2")
            unless above_struct($2, $1);
        return;
    }
    while ($prose =~ /(?:([\w\/]+\.[ch]) )?\b([IP]\d+)\b(?: of ([\w\/]+\.[ch]))?/g) {
        my ($place, $name) = ($1 // $3, $2);
        my @where = $place ? places($place, $path) : near($path);
        broken($path, $line, 'invariant', $place ? "$name of $place" : $name)
            unless grep {$invariants{$_}{$name}} @where;
    }
}

sub check_link
{
    my ($path, $line, $to) = @_;
    return if $to =~ /^(?:https?|mailto):/;
    my ($file, $heading) = split /#/, $to, 2;
    my $at = $path;
    if ($file ne '') {
        (my $folder = $path) =~ s,[^/]*$,,;
        $at = "$folder$file";
        1 while $at =~ s,(?:^|(?<=/))(?!\.\./)[^/]+/\.\./,,;
        $at =~ s,/$,,;
    }
    if (!$is_file{$at} && !$is_folder{$at}) {
        broken($path, $line, 'link', $to);
    } elsif (defined $heading && !$headings{$at}{$heading}) {
        broken($path, $line, 'heading', $to);
    }
}

for (@prose_of) {
    my ($path, $prose) = @$_;
    my ($fenced, $document) = (0, $path =~ /\.md$/);
    for (@$prose) {
        my ($line, $words) = @$_;
        $fenced = !$fenced if $document && $words =~ /^```/;
        if ($document && !$fenced) {
            (my $plain = $words) =~ s/`[^`]*`//g;
            check_link($path, $line, $1)
                while $plain =~ /\]\(([^)\s]+)\)/g;
        }
        next if $path =~ m,^CHANGELOG\.md$|/citations\.pl$,;

        while ($words =~ m{(?<![\w/.\$\}-])((?:src|include|ports|tests|tools|docs|
                scripts|bench|examples)/[\w./*-]*[\w*/])}gx) {
            my $cited = $1;
            broken($path, $line, 'path', $cited)
                unless path_exists($cited) || $cited =~ m,^tools/?$,;
        }
        while ($words =~ m{(?<![\w/.*<\$\}])((?:[a-z_0-9-]+/)*[a-z_0-9-]+\.
                (?:c|h|sh|md|pl|mk))\b(?![\w/*(]|\.\w)}gx) {
            my $cited = $1;
            next if $cited =~ m,^(?:src|include|ports|tests|tools|docs|scripts|
                bench|examples|build)/,x;
            broken($path, $line, 'file', $cited)
                unless places($cited, $path) || $targets{$cited};
        }
        while ($words =~ /(?<![\w\/])(test_[a-z0-9_]+)\b(?!\.[a-z])/g) {
            my $cited = $1;
            broken($path, $line, 'test', $cited)
                unless $by_name{"$cited.c"} || $words{$cited} ||
                $by_name{"$cited.h"};
        }
        while ($words =~ m,\bbuild/(tests/unit|tests/explore|examples)/(\w+),g) {
            my ($kind, $name) = ($1, $2);
            my $where = $kind eq 'tests/unit' ? 'tests/(?:unit|host|threads)'
                : $kind;
            broken($path, $line, 'program', "build/$kind/$name")
                unless $name =~ /^[A-Z]+$/ || $name =~ /_NAME$/ ||
                grep {m,^$where/(?:\w+/)?\Q$name\E\.c$,} keys %is_file;
        }
        my @commands = $words =~ /`make ([^`]*)`/g;
        push @commands, $1 if $document && ($fenced || $words =~ /^ {4}/) &&
            $words =~ /^\s*(?:\$ )?make ([^#]*)/;
        for my $command (@commands) {
            for my $target (split ' ', $command) {
                last if $target =~ /^[`#]/;
                next if $target =~ /=|^-|^['"]/ || $target !~ /^[a-z]/;
                broken($path, $line, 'target', "make $target")
                    unless $targets{$target};
            }
        }
        while ($words =~ /(?<![\w\/.-])((?:aspen|ASPEN)_\w+)(\*?)(\.\w+)?/g) {
            my ($cited, $any) = ($1, $2);
            next if $words{$cited} || $by_name{"$cited.c"} || $by_name{"$cited.h"};
            next if ($any || $cited =~ /_$/) &&
                grep {/^\Q$cited\E/} keys %words;
            next if $cited =~ /_X$/;
            broken($path, $line, 'name', "$cited$any");
        }
        while ($words =~ /(?<![\w.>-])([a-z_]\w+)\(\)/g) {
            broken($path, $line, 'function', "$1()")
                unless $words{$1} || $theirs{$1} || $1 =~ /_X$/;
        }
        check_invariants($path, $line, $words);
    }
}
for my $path (grep {m,^docs/\w+/.*\.(?:md|1)$,} sort keys %is_file) {
    (my $link = $path) =~ s,^docs/,,;
    broken('docs/README.md', 1, 'line for', $path)
        unless content('docs/README.md') =~ /\]\(\Q$link\E\)/;
}
exit($found ? 1 : 0);

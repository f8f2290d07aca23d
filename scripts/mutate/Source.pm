# SPDX-License-Identifier: MIT
#
# Source.pm: the small changes that can be made to a source file.
#
#   mutants(PATH)   a list of {file, line, layer, function, kind, text, ordinal,
#                   id, to, edits}; edits: [offset, length, replacement], ...
#   mutated(TEXT, MUTANT)   the text with the mutant in it: as many lines
#
# Kinds:
#
#   negate     a comparison or a condition is the other way round; and is or
#   shift      a comparison is off by one
#   term       one operand of and, or does not count
#   bound      + 1 or - 1 is left out
#   flag       true is false
#   swap       two neighbouring arguments have changed places
#   store      something is not written: a field, an element
#   drop       a call is not made
#   flush      the same, of one that flushes
#   charge     the same, of one that charges or gives a charge back
#   reference  the same, of one that takes or gives back a reference
#   lock       a lock is not taken in a function that takes and gives it back
#   order      an acquire or release is relaxed
#
# The code is as clang-format leaves it, and this relies on it: a function's
# name begins a line, its braces stand alone in column 0, a statement begins a
# line. Assertions are no code: an assertion that says less is found by nothing.
#
# A mutant is known by the first 8 digits of a hash of file, function, kind, the
# statement without its line breaks, what becomes of it, and which of its like
# it is in that function: it stays the same while its function moves.
package Source;
use strict;
use warnings;
use Digest::SHA qw(sha1_hex);
use Exporter 'import';
our @EXPORT_OK = qw(mutants mutated slurp);

my $asserts = qr/\b(?:ASPEN_(?:TREE_)?ASSERT\w*|_Static_assert
    |ASPEN_STATIC_ASSERT|ASPEN_PREFETCH\w*|ASPEN_PORT_(?:UN)?POISON
    |aspen_lock_order_assert\w*)\s*\(/x;
my $keywords = qr/^(?:if|for|while|switch|return|sizeof|_Alignof|defined)$/;
# Which argument is which does not matter.
my $symmetric = qr/^(?:aspen_(?:max|min)_u64|aspen_same_\w+|memcmp|strcmp)$/;
my %opposite = ('==' => '!=', '!=' => '==', '<' => '>=', '>=' => '<',
    '>' => '<=', '<=' => '>', '&&' => '||', '||' => '&&');
my %shifted = ('<' => '<=', '<=' => '<', '>' => '>=', '>=' => '>');

sub slurp
{
    my ($path) = @_;
    open my $in, '<', $path or die "$path: $!\n";
    local $/;
    return scalar <$in>;
}

# Comments, directives, what is between quotes, as blanks: no offset changes.
sub masked
{
    my ($text) = @_;
    my $blank = sub {(my $b = $_[0]) =~ s/[^\n]/ /g; $b};
    my $quoted = sub {(my $b = $_[0]) =~ s/[^\n"']/_/g; $b};
    $text =~ s{(/\*.*?\*/|//[^\n]*)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+')}
              {defined $1 ? $blank->($1) : $quoted->($2)}gse;
    $text =~ s/^([ \t]*#(?:[^\n]*\\\n)*[^\n]*)/$blank->($1)/gme;
    return $text;
}

# The offset behind the parenthesis that closes the one at $at.
sub closing
{
    my ($code, $at) = @_;
    my $depth = 0;
    pos($$code) = $at;
    while ($$code =~ /[()]/g) {
        $depth += $& eq '(' ? 1 : -1;
        return pos $$code unless $depth;
    }
    return length $$code;
}

# [offset, length] of each argument of the call whose parenthesis opens at $at.
sub arguments
{
    my ($code, $at) = @_;
    my $end = closing($code, $at);
    my ($from, $depth, @found) = ($at + 1, 0);
    for my $i ($at .. $end - 1) {
        my $c = substr $$code, $i, 1;
        $depth++ if $c =~ /[([{]/;
        $depth-- if $c =~ /[)\]}]/;
        if (($c eq ',' && $depth == 1) || $i == $end - 1) {
            my $piece = substr $$code, $from, $i - $from;
            my ($lead) = $piece =~ /^(\s*)/;
            $piece =~ s/^\s+|\s+$//g;
            push @found, [$from + length $lead, length $piece]
                if length $piece;
            $from = $i + 1;
        }
    }
    return @found;
}

# What a function body is searched in: the whole text, so that offsets agree.
# @_: code, [from, to), where to put mutants: a sub (kind, offset, edits).
sub conditions
{
    my ($code, $from, $to, $add) = @_;
    pos($$code) = $from;
    while ($$code =~ /\bif (?=\()/g && pos $$code < $to) {
        my $open = pos $$code;
        my $end = closing($code, $open);
        my $inside = substr $$code, $open + 1, $end - $open - 2;
        # A single comparison is turned round by `operators`.
        $add->('negate', $open, [$open + 1, 0, '!('], [$end - 1, 0, ')'])
            unless $inside =~ /\s(?:[<>=!]=|[<>]|&&|\|\|)\s/;
        pos($$code) = $open + 1;
    }
}

sub operators
{
    my ($code, $from, $to, $add) = @_;
    pos($$code) = $from;
    while ($$code =~ /(?<=\s)([<>=!]=|[<>]|&&|\|\|)(?=\s)/g &&
        pos $$code < $to) {
        my ($op, $at) = ($1, pos($$code) - length $1);
        my $after = pos $$code;
        $add->('negate', $at, [$at, length $op, $opposite{$op}]);
        $add->('shift', $at, [$at, length $op, $shifted{$op}])
            if $shifted{$op};
        term($code, $at, $add) if $op =~ /[&|]/;
        pos($$code) = $after;
    }
    pos($$code) = $from;
    while ($$code =~ /\s[-+] 1(?:u|ul|ull)?\b(?!\.)/g && pos $$code < $to) {
        $add->('bound', $-[0] + 1, [$-[0] + 1, length($&) - 1, '']);
    }
    pos($$code) = $from;
    while ($$code =~ /\b(true|false)\b/g && pos $$code < $to) {
        my $other = $1 eq 'true' ? 'false' : 'true';
        $add->('flag', $-[0], [$-[0], length $1, $other]);
    }
}

# An edit that leaves out as much, but not its line breaks.
sub instead
{
    my ($code, $at, $length, $new) = @_;
    (my $breaks = substr $$code, $at, $length) =~ s/[^\n]//g;
    return [$at, $length, $new . $breaks];
}

# The operands of the && or || at $at: each in its turn does not count.
sub term
{
    my ($code, $at, $add) = @_;
    my $neutral = substr($$code, $at, 2) eq '&&' ? 'true' : 'false';
    my ($depth, $end) = (0, $at + 2);
    for (; $end < length $$code; $end++) {
        my $c = substr $$code, $end, 1;
        last if $depth == 0 && ($c =~ /[;,)?{]/ ||
            substr($$code, $end, 2) =~ /^(?:&&|\|\|)/ ||
            substr($$code, $end, 3) =~ /^ : /);
        $depth++ if $c =~ /[([]/;
        $depth-- if $c =~ /[)\]]/;
    }
    $add->('term', $at, instead($code, $at + 2, $end - $at - 2, " $neutral"));
    # The operand on the left, where it is the first.
    my $begin = $at - 1;
    for ($depth = 0; $begin > 0; $begin--) {
        my $c = substr $$code, $begin, 1;
        return if $depth == 0 &&
            substr($$code, $begin - 1, 2) =~ /^(?:&&|\|\|)/;
        last if $depth == 0 && $c =~ /[;,({?]/;
        last if $depth == 0 &&
            substr($$code, $begin - 2, 3) =~ /(?: :|[^=!<>]=) $/;
        last if substr($$code, $begin - 6, 7) =~ /\breturn $/;
        $depth++ if $c =~ /[)\]]/;
        $depth-- if $c =~ /[([]/;
    }
    $begin++;
    $begin++ while substr($$code, $begin, 1) =~ /\s/;
    $add->('term', $at,
        instead($code, $begin, $at - $begin, "$neutral "));
}

# A call that is a statement: what to call its being left out.
sub kind_of_drop
{
    my ($name) = @_;
    return 'flush' if $name =~ /flush/;
    return 'charge' if $name =~ /charge|account|rss/;
    return 'reference' if $name =~ /_(?:get|put|ref|unref|release|hold)s?$/;
    return 'drop';
}

# Statements that begin a line: [offset, offset behind the `;`, text].
sub statements
{
    my ($code, $from, $to) = @_;
    my @found;
    pos($$code) = $from;
    while ($$code =~ /^[ \t]+(?=[\w*(])/gm && pos $$code < $to) {
        my $at = pos $$code;
        my $before = substr $$code, $from, $-[0] - $from;
        my $begins = $before =~ /(?:[;{}:]|\belse|\)|^)\s*$/;
        # Behind ")": the head of an if, a for or a while, or a line of an
        # expression, which begins with an operator then.
        next unless $begins;
        my ($depth, $end) = (0, $at);
        for (; $end < $to; $end++) {
            my $c = substr $$code, $end, 1;
            last if $depth <= 0 && $c =~ /[;{}]/;
            $depth++ if $c =~ /[([]/;
            $depth-- if $c =~ /[)\]]/;
        }
        push @found, [$at, $end + 1, substr($$code, $at, $end + 1 - $at)]
            if substr($$code, $end, 1) eq ';';
    }
    return @found;
}

sub dropped
{
    my ($code, $from, $to, $add) = @_;
    for (statements($code, $from, $to)) {
        my ($at, $end, $text) = @$_;
        next if $text =~ /^(?:if|for|while|switch|return|else|case|do)\b/;
        my $left = $text;
        $left =~ s/[^\n]//g;
        if ($text =~ /^(?:\(void\))?((?:\w+(?:->|\.))*\w+)(?=\()/) {
            my ($name, $open) = ($1, $at + $+[1]);
            next if $name =~ /(?:un)?lock$|^va_/ ||
                closing($code, $open) != $end - 1;
            $add->(kind_of_drop($name), $at, [$at, $end - $at, ";$left"]);
        } elsif ($text =~ /^\*?[\w\[\]().>*-]+\s*(?:[-+*\/|&^]|<<|>>)?=\s/ ||
            $text =~ /^\*?[\w\[\].>-]+(?:\+\+|--);/) {
            $text =~ /^[^=;]*(?:->|\.|\[|\*)/ or next;
            $add->('store', $at, [$at, $end - $at, ";$left"]);
        }
    }
}

# A lock that the function takes and gives back: both are left out.
sub locks
{
    my ($code, $from, $to, $add) = @_;
    my (%taken, %given);
    for (statements($code, $from, $to)) {
        my ($at, $end, $text) = @$_;
        $text =~ /^(\w*?)(un)?lock(?=\()/ or next;
        my ($what, $un, $open) = ($1, $2, $at + $+[0]);
        my @arguments = map {substr $$code, $_->[0], $_->[1]}
            arguments($code, $open);
        # aspen_table_lock(aspen, table, CLASS): unlock knows of no class.
        @arguments = grep {!/^ASPEN_LOCK_|^c$/} @arguments;
        my $key = "$what(@arguments)";
        (my $left = $text) =~ s/[^\n]//g;
        push @{($un ? \%given : \%taken)->{$key}}, [$at, $end - $at, ";$left"];
    }
    for my $key (keys %taken) {
        $add->('lock', $taken{$key}[0][0], @{$taken{$key}}, @{$given{$key}})
            if $given{$key};
    }
}

sub calls
{
    my ($code, $from, $to, $add) = @_;
    pos($$code) = $from;
    while ($$code =~ /\b(\w+)(?=\()/g && pos $$code < $to) {
        my ($name, $open) = ($1, pos $$code);
        $add->('order', $open - length $name, [$open, 0, '_relaxed'])
            if $name =~ /^aspen_(?:load|store|fetch_add|fetch_sub)$/;
        next if $name =~ $keywords || $name =~ $symmetric;
        my @arguments = arguments($code, $open);
        for my $i (1 .. $#arguments) {
            my ($one, $two) = @arguments[$i - 1, $i];
            my @words = map {substr $$code, $_->[0], $_->[1]} $one, $two;
            next if $words[0] eq $words[1] || "@words" =~ /[{]|\b__ATOMIC/;
            # Lines stay where they are: breaks in an argument go along.
            $add->('swap', $one->[0], [@$one, \$two->[0], $two->[1]],
                [@$two, \$one->[0], $one->[1]]);
        }
        pos($$code) = $open;
    }
    pos($$code) = $from;
    while ($$code =~ /\b__ATOMIC_(?:ACQUIRE|RELEASE|ACQ_REL|SEQ_CST)\b/g &&
        pos $$code < $to) {
        $add->('order', $-[0], [$-[0], length $&, '__ATOMIC_RELAXED']);
    }
}

# [name, from, to) of each function, of its body.
sub functions
{
    my ($code) = @_;
    my @found;
    while ($$code =~ /^\{\n(.*?)^\}/gms) {
        my ($from, $to, $head) = ($-[1], $+[1], substr $$code, 0, $-[0]);
        $head =~ s/.*^[};][^\n]*\n//ms;
        push @found, [$1, $from, $to] if $head =~ /.*^(\w+)\(/ms;
    }
    return @found;
}

sub layer_of
{
    my ($file) = @_;
    return "src/$1" if $file =~ m{^src/([^/]+)/};
    return "ports/$1" if $file =~ m{^ports/([^/]+)/};
    return "tools/aspen/$1" if $file =~ m{^tools/aspen/([^/]+)/};
    return $file;
}

# One line of blanks removed: for people, and for the identity.
sub squeezed
{
    my ($text) = @_;
    $text =~ s/\s+/ /g;
    $text =~ s/^ | $//g;
    return $text;
}

# The statement around $at: between what ends the one before and its own end.
sub around
{
    my ($code, $at, $from, $to) = @_;
    my $begin = $at;
    $begin-- while $begin > $from && substr($$code, $begin - 1, 1) !~ /[;{}]/;
    my $end = $at;
    $end++ while $end < $to && substr($$code, $end, 1) !~ /[;{}]/;
    my $whole = substr $$code, $begin, $end + 1 - $begin;
    my ($lead) = $whole =~ /^(\s*)/;
    return ($begin + length $lead, $end + 1);
}

sub mutated
{
    my ($text, $mutant) = @_;
    for (sort {$b->[0] <=> $a->[0]} @{$mutant->{edits}}) {
        substr($text, $_->[0], $_->[1]) = $_->[2];
    }
    return $text;
}

sub mutants
{
    my ($file) = @_;
    my $text = slurp($file);
    my $code = masked($text);
    my @ignored;
    while ($code =~ /$asserts/g) {
        push @ignored, [$-[0], closing(\$code, $+[0] - 1)];
    }
    my (@found, %seen);
    for (functions(\$code)) {
        my ($function, $from, $to) = @$_;
        my $add = sub {
            my ($kind, $at, @edits) = @_;
            return if grep {$at >= $_->[0] && $at < $_->[1]} @ignored;
            @edits = map {[$_->[0], $_->[1], ref $_->[2]
                ? substr($text, ${$_->[2]}, $_->[3]) : $_->[2]]} @edits;
            my ($begin, $end) = around(\$code, $at, $from, $to);
            # An initialiser in a call ends no statement.
            for (@edits) {
                my $behind = $_->[0] + $_->[1];
                $end = $behind if $_->[0] < $end && $behind > $end;
            }
            my $old = substr $text, $begin, $end - $begin;
            my $new = $old;
            for (sort {$b->[0] <=> $a->[0]} @edits) {
                next if $_->[0] < $begin || $_->[0] + $_->[1] > $end;
                substr($new, $_->[0] - $begin, $_->[1]) = $_->[2];
            }
            my %mutant = (file => $file, function => $function,
                layer => layer_of($file), kind => $kind, edits => \@edits,
                line => 1 + (substr($text, 0, $at) =~ tr/\n//),
                text => squeezed($old), to => squeezed($new));
            $mutant{from} = 1 + (substr($text, 0, $begin) =~ tr/\n//);
            $mutant{until} = 1 + (substr($text, 0, $end) =~ tr/\n//);
            my $key = join "\0", @mutant{qw(file function kind text to)};
            $mutant{ordinal} = $seen{$key}++;
            $mutant{id} = substr sha1_hex("$key\0$mutant{ordinal}"), 0, 8;
            push @found, \%mutant;
        };
        $_->(\$code, $from, $to, $add)
            for \&conditions, \&operators, \&dropped, \&locks, \&calls;
    }
    return sort {$a->{line} <=> $b->{line} || $a->{id} cmp $b->{id}} @found;
}

1;

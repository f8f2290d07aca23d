# SPDX-License-Identifier: MIT
#
# Pool.pm: pool(JOBS, ITEMS, WORK, DONE): WORK(item, worker's number) in as many
# processes as JOBS says; DONE(item, what WORK returned) here, as they end.
package Pool;
use strict;
use warnings;
use Exporter 'import';
use IO::Handle;
use IO::Select;
use MIME::Base64 qw(encode_base64 decode_base64);
use Storable qw(freeze thaw);
our @EXPORT_OK = qw(pool);

sub worker
{
    my ($number, $items, $work, $in, $out) = @_;
    $out->autoflush(1);
    while (defined(my $index = <$in>)) {
        my $result = $work->($items->[$index], $number);
        print $out encode_base64(freeze([$index + 0, $result]), ''), "\n";
    }
    close $out;
    require POSIX;
    POSIX::_exit(0);
}

sub pool
{
    my ($jobs, $items, $work, $done) = @_;
    my ($next, %to, @pids) = (0);
    my $select = IO::Select->new;
    for my $number (1 .. $jobs) {
        pipe my $their_in, my $my_out or die "pipe: $!\n";
        pipe my $my_in, my $their_out or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            close $_ for $my_out, $my_in, values %to;
            worker($number, $items, $work, $their_in, $their_out);
        }
        push @pids, $pid;
        close $_ for $their_in, $their_out;
        $my_out->autoflush(1);
        $to{$my_in} = $my_out;
        $select->add($my_in);
    }
    my $feed = sub {
        my ($from) = @_;
        if ($next < @$items) {
            print {$to{$from}} $next++ . "\n";
        } else {
            $select->remove($from);
            close delete $to{$from};
        }
    };
    $feed->($_) for $select->handles;
    while ($select->count) {
        for my $from ($select->can_read) {
            my $line = <$from>;
            defined $line or die "a worker ended\n";
            my ($index, $result) = @{thaw(decode_base64($line))};
            $done->($items->[$index], $result);
            $feed->($from);
        }
    }
    waitpid $_, 0 for @pids;
}

1;

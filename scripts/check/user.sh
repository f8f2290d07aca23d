#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/user.sh BUILD: scripts/check/comparing.sh as somebody who is not root, owns
# nothing here, has no HOME, and a folder in PATH that only others may enter.
# The user has a number that nobody has, and no name: nothing is added to the
# host, and nothing stays.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$1
. scripts/check/lib.bash

[ "$(id -u)" -eq 0 ] ||
    skip_all check-user 'not root, so all of make check runs as a user'
command -v setpriv >/dev/null || skip_all check-user 'no setpriv'
user=61000
while getent passwd $user >/dev/null || getent group $user >/dev/null ||
    grep -qsE "^Uid:.*\b$user\b" /proc/[0-9]*/status; do
    user=$((user + 1))
done

work=$(mktemp -d "${TMPDIR:-/tmp}/aspen-user-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -m 700 "$work/closed"
mkdir "$work/tmp"
chown $user:$user "$work/tmp"

# ccache does not compile for who has no home.
path=$(sed 's,[^:]*/ccache/*:,,g' <<<"$PATH")
as_user()
{
    env -u HOME -u USER -u LOGNAME -u MAKEFLAGS -u MAKELEVEL \
        TMPDIR="$work/tmp" PATH="$work/closed:$path:$work/closed" \
        setpriv --reuid=$user --regid=$user --clear-groups \
        --inh-caps=-all --ambient-caps=-all "$@"
}

as_user true 2>/dev/null ||
    skip_all check-user 'may not become another user here'
# Where the tree is may be root's alone.
tree=$PWD
if ! as_user test -r "$tree/tests/tools/lib.bash" -a \
    -x "$tree/$build/aspen"; then
    tree=$work/tree
    mkdir "$tree"
    tar -c "$build"/aspen{,-bench,-pressure,-broken} "$build/make_snapshots" \
        "$build"/*_guest "$build/tests/unit" scripts tests/unit \
        tests/host tests/threads tests/tools tests/snapshots |
        tar -x -C "$tree" && chmod -R go+rX "$tree"
    build=${build#/} # what tar makes of a whole path
    as_user "$tree/$build/aspen" --version >/dev/null ||
        skip_all check-user \
            "a user can neither get to $PWD nor run programs of $work"
fi
cd "$tree" || exit 2
as_user scripts/check/comparing.sh "$build"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/dist/check.sh BUILD: `make dist` gives the same bytes in another clone,
# for another user's settings and at another place of the world; and what it gives is a
# tree that says its version and has all that the build asks for.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$1
. scripts/check/lib.bash

command -v git >/dev/null || skip_all check-dist 'no git'
{ git rev-parse --verify -q HEAD && [ -z "$(git rev-parse --show-prefix)" ]; } \
    >/dev/null 2>&1 ||
    skip_all check-dist 'this is no git repository, or somebody else'"'"'s'
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
log=$work/log

elsewhere()
{
    git clone -q --shared . "$work/clone" &&
        git -C "$work/clone" config core.autocrlf false &&
        (umask 077 && TZ=Pacific/Apia LC_ALL=C GZIP='' \
            "$work/clone/scripts/dist/dist.sh" "$work/there")
}

whole()
{
    mkdir "$work/tree" &&
        tar -xzf "$work"/here/aspen-*.tar.gz -C "$work/tree" --strip-components=1 &&
        (cd "$work/tree" && sed -e 's/#.*//' sources.txt | xargs ls >/dev/null) &&
        test -x "$work/tree/debian/rules" -a ! -e "$work/tree/build"
}

try 'make dist' scripts/dist/dist.sh "$work/here" || finish
try 'in another clone' elsewhere || finish
try 'the same bytes' cmp "$work"/here/aspen-*.tar.gz "$work"/there/aspen-*.tar.gz
try 'the whole tree' whole
finish

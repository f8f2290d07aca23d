#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/dist/dist.sh DIRECTORY: what is committed as DIRECTORY/aspen-VERSION.tar.gz;
# its name is the last line. The bytes are the same on every machine and at every
# time: git's archive has the commit's time, and gzip is told to add none.
set -eu
cd "$(dirname "$0")/../.."
to=${1:?usage: dist.sh DIRECTORY}
mkdir -p "$to"
# Not one around it, either, which this was unpacked in.
{ git rev-parse --verify -q HEAD && [ -z "$(git rev-parse --show-prefix)" ]; } \
    >/dev/null 2>&1 || {
    echo "dist: $PWD is no git repository with a commit: nothing says what belongs to a release" >&2
    exit 2
}
version=$(git show HEAD:include/aspen/version.h |
    sed -n 's/.*ASPEN_VERSION_STRING "\(.*\)"/\1/p')
git diff --quiet HEAD -- || echo "dist: changes that are not committed are left out" >&2
file=$to/aspen-$version.tar.gz
git -c tar.umask=0022 archive --format=tar --prefix="aspen-$version/" HEAD |
    gzip -n9 >"$file.new"
mv "$file.new" "$file"
echo "$file"

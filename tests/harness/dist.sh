#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a release is made of: scripts/dist/dist.sh and check.sh where the folder is no
# repository, but is in one: nothing of that one is packed.
. "$(dirname "$0")/lib.bash"

command -v git >/dev/null || {
    leave_out dist 'no git'
    end_harness
}
outer=$work/outer
copy_to "$outer/inner" scripts/dist/{dist,check}.sh scripts/check/lib.bash \
    include/aspen/version.h
as_git()
{
    git -C "$outer" -c user.name=a -c user.email=a@example.org \
        -c init.defaultBranch=a "$@"
}
{ as_git init -q && mkdir -p "$outer/include/aspen" &&
    cp include/aspen/version.h "$outer/include/aspen" && as_git add include &&
    as_git commit -qm outer; } || exit 2
expect dist-around 2 "dist: $outer/inner is no git repository with a commit: nothing says what belongs to a release" \
    "$outer/inner/scripts/dist/dist.sh" "$work/packed"
judge 'dist-around packed something' test ! -e "$work/packed/aspen-0.1.0.tar.gz"
expect check-dist-around 0 '0 passed, 0 failed, 1 skipped' \
    "$outer/inner/scripts/dist/check.sh" build
end_harness

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The committed snapshots are those that make_snapshots makes: when the format
# changes on purpose, `make snapshots` makes them again.
. "$(dirname "$0")/lib.bash"

mkdir "$work/made"
check made "${MAKE_SNAPSHOTS:?}" "$work/made"
for made in "$work"/made/*.snap; do
    check "$(basename "$made")" cmp "$made" "$snapshots/$(basename "$made")"
done
check no-others test \
    "$(ls "$work/made")" = "$(cd "$snapshots" && ls ./*.snap | sed 's,./,,')"
finish

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/format.sh FILE...: each file is as clang-format would have it. Without
# clang-format 14, which .clang-format is written for, this is a skip.
set -u
. "$(dirname "$0")/lib.bash"
version=$(clang-format --version 2>/dev/null | grep -o 'version [0-9]*')
[ "$version" = "version 14" ] ||
    skip_all check-format 'no clang-format 14'
wrong=$(for file in "$@"; do
    clang-format --dry-run -Werror "$file" >/dev/null 2>&1 || echo "$file"
done)
[ -z "$wrong" ] || printf 'FAIL %s: make format\n' $wrong
failed=$(printf '%s' "$wrong" | grep -c .)
passed=$(($# - failed))
finish

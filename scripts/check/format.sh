#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/format.sh FILE...: each file is as clang-format would have it. Without
# clang-format 14, which .clang-format is written for, this is a skip.
set -u
version=$(clang-format --version 2>/dev/null | grep -o 'version [0-9]*')
if [ "$version" != "version 14" ]; then
    echo "skipped check-format: no clang-format 14"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
failed=$(for file in "$@"; do
    clang-format --dry-run -Werror "$file" >/dev/null 2>&1 || echo "$file"
done)
count=$(printf '%s' "$failed" | grep -c .)
[ -z "$failed" ] || printf 'FAIL %s: make format\n' $failed
echo "$(($# - count)) passed, $count failed, 0 skipped"
[ "$count" -eq 0 ]

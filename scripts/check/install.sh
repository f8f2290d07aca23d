#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/install.sh DIR: install below DIR, build the smallest embedding from
# what was installed and nothing else, run it, uninstall.
set -u
cd "$(dirname "$0")/../.." || exit 2
dir=$(mkdir -p "$1" && cd "$1" && pwd)
: "${CC:=gcc}" "${PKG_CONFIG:=pkg-config}" "${MAKE:=make}"
log=$dir/log
. scripts/check/lib.bash

# PATH:=VALUE of the installed tree, whatever the caller's environment says.
flags()
{
    PKG_CONFIG_PATH=$dir/usr/lib/pkgconfig $PKG_CONFIG \
        --define-variable=prefix="$dir/usr" "$@" aspen
}

compile()
{
    # In an empty folder: nothing of the source tree can be found by accident.
    (cd "$dir" && $CC -std=c11 -o embed embed.c $(flags --cflags --libs))
}

rm -rf "${dir:?}/usr"
cp examples/embed.c "$dir/embed.c"
try install env -u MAKEFLAGS "$MAKE" --no-print-directory install PREFIX=/usr DESTDIR="$dir"
try "pkg-config: version" flags --exact-version="$(sed -n \
    's/.*ASPEN_VERSION_STRING "\(.*\)"/\1/p' include/aspen/version.h)"
try "compile with pkg-config" compile
try run timeout 60 "$dir/embed"
if [ -f build/aspen ]; then
    try "the command" "$dir/usr/bin/aspen" --help
    try "the bench" "$dir/usr/bin/aspen" bench --help
fi
if [ -f docs/use/aspen.1 ]; then
    try "manual page" test -s "$dir/usr/share/man/man1/aspen.1"
fi
try uninstall env -u MAKEFLAGS "$MAKE" --no-print-directory uninstall PREFIX=/usr \
    DESTDIR="$dir"
try "nothing is left" test -z "$(find "$dir/usr" -type f)"
finish

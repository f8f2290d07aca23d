#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/install.sh BUILD: install below BUILD/stage, build the smallest
# embedding from what was installed and nothing else, run it, uninstall.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$1
dir=$(mkdir -p "$build/stage" && cd "$build/stage" && pwd)
: "${CC:=gcc}" "${PKG_CONFIG:=pkg-config}" "${MAKE:=make}"
log=$dir/log
. scripts/check/lib.bash

# PATH:=VALUE of the installed tree, whatever the caller's environment says; as
# seen from $dir, whose own path may have a blank.
flags()
{
    (cd "$dir" && PKG_CONFIG_PATH=usr/lib/pkgconfig $PKG_CONFIG \
        --define-variable=prefix=usr "$@" aspen)
}

compile()
{
    # In an empty folder: nothing of the source tree can be found by accident.
    (cd "$dir" && $CC -std=c11 -o embed embed.c $(flags --cflags --libs))
}

make_it()
{
    env -u MAKEFLAGS "$MAKE" --no-print-directory BUILD="$build" "$@" \
        PREFIX=/usr DESTDIR="$dir"
}

rm -rf "${dir:?}/usr"
cp examples/embed.c "$dir/embed.c"
try install make_it install
try "pkg-config: version" flags --exact-version="$(sed -n \
    's/.*ASPEN_VERSION_STRING "\(.*\)"/\1/p' include/aspen/version.h)"
try "compile with pkg-config" compile
try run timeout --foreground 60 "$dir/embed"
if [ -f "$build/aspen" ]; then
    try "the command" "$dir/usr/bin/aspen" --help
    try "the bench" "$dir/usr/bin/aspen" bench --help
fi
if [ -f docs/use/aspen.1 ]; then
    try "manual page" test -s "$dir/usr/share/man/man1/aspen.1"
fi
try uninstall make_it uninstall
try "nothing is left" test -z "$(find "$dir/usr" -type f)"
finish

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# generate.sh [--check]: aspen-sys/src/bindings.rs from the public headers and
# ports/extern, by Debian 12's bindgen (0.60.1) and rustfmt. With --check it is
# compared with the one that is committed: exit status 1 and the difference.
#
# bindgen cannot compute macros that are more than a number - casts, other macros
# with arguments, as in ASPEN_FLAG(3): for these a constant is declared in C, which
# it can, and given the macro's name afterwards.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
committed=$here/aspen-sys/src/bindings.rs
# Debian's come first; rustfmt is asked for by bindgen.
export PATH=/usr/bin:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
includes=(-I"$root/include" -I"$root/ports/extern")

# Macros of flags.h and others whose value has a cast or another macro in it.
macros()
{
    cat "$root"/include/aspen/*.h "$root"/include/aspen/*/*.h |
        perl -0777 -pe 's/\\\n//g; s{/\*.*?\*/}{}gs' |
        sed -n 's/^#define \(ASPEN_[A-Z0-9_]*\)[ \t][ \t]*\(.*[(|].*\)$/\1/p' | sort -u
}

# Those with the highest bit.
highest()
{
    cat "$root"/include/aspen/*.h "$root"/include/aspen/*/*.h |
        sed -n 's/^#define \(ASPEN_[A-Z0-9_]*\)[ \t][ \t]*\(U*INT64_M[AXIN]*\|ASPEN_FLAG(63)\)$/\1/p'
}

{
    cat "$here/aspen-sys/wrapper.h"
    macros | grep -vxF -e ASPEN_MUST_USE -e "$(highest)" | while read -r name; do
        echo "static const __typeof__($name) value_of_$name = $name;"
    done
    highest | while read -r name; do
        echo "static const int64_t highest_of_$name = (int64_t)($name);"
    done
} >"$work/wrapper.h"

bindgen "$work/wrapper.h" --use-core --ctypes-prefix crate::ctypes \
    --size_t-is-usize --no-doc-comments --no-prepend-enum-name \
    --with-derive-default --allowlist-function 'aspen_.*' \
    --allowlist-type 'aspen.*' --allowlist-var '((value|highest)_of_)?ASPEN_.*' \
    --blocklist-item 'ASPEN_[A-Z_]*_H' \
    -- -std=c11 "${includes[@]}" -DASPEN_TEST_BUILD |
    perl -e '
        my @lines = <STDIN>;
        print "// SPDX-License-Identifier: MIT\n";
        my %have = map {/^pub const (ASPEN_\w+):/ ? ($1 => 1) : ()} @lines;
        for (@lines) {
            next if /^pub const value_of_(\w+):/ && $have{$1};
            s/^pub const value_of_/pub const /;
            s/^pub const highest_of_(\w+): .* = (.*);/pub const $1: u64 = $2_i64 as u64;/;
            s/: u64 = (.*) as u64/: i64 = $1/ if /ASPEN_OOM_NEVER/; # the only one with a sign
            print;
        }' >"$work/bindings.rs"

if [ "${1-}" = --check ]; then
    diff -u "$committed" "$work/bindings.rs" >"$work/diff" && exit 0
    head -n 60 "$work/diff"
    echo "bindings/rust/generate.sh was not run after a header changed"
    exit 1
fi
cp "$work/bindings.rs" "$committed"

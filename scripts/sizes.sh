#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# sizes.sh BUILD: how big the release build of the core is: text by layer, the
# largest stacks, the structures that there are many of. sizes.sh --structures:
# these alone, which docs/evidence/performance.md has to show as they are.
set -u
cd "$(dirname "$0")/.." || exit 2

structures()
{
    local source
    source=$(mktemp --suffix=.c)
    {
        echo '#include "internal.h"'
        echo '#include <stdio.h>'
        echo 'int main(void) {'
        for name in aspen aspen_mm aspen_vma aspen_frame aspen_anon_vma \
            aspen_anon_vma_link aspen_object aspen_interval_node; do
            echo "printf(\"  %-22s %6zu\\n\", \"$name\", sizeof(struct $name));"
        done
        echo 'return 0; }'
    } >"$source"
    gcc -std=c11 -D_DEFAULT_SOURCE -Iinclude -Isrc -Iports/posix \
        -o "$source.out" "$source" && "$source.out"
    local status=$?
    rm -f "$source" "$source.out"
    return $status
}

if [ "$1" = --structures ]; then
    structures
    exit
fi

build=$1
objects=$build/obj/release/src

echo "text of the core, bytes (read-only data included)"
total=0
for layer in base tree group frames paging machine space object rmap swap migrate reclaim \
    ranges fault calls life inspect; do
    files=$(find "$objects/$layer" -name '*.o' 2>/dev/null)
    [ -n "$files" ] || continue
    text=$(size $files | awk 'NR > 1 {n += $1} END {print n}')
    total=$((total + text))
    printf '  %-10s %7d\n' "$layer" "$text"
done
printf '  %-10s %7d\n\n' total "$total"

# Only gcc tells who calls whom.
graphs=$build/sizes
rm -rf "$graphs"
mkdir -p "$graphs"
export graphs
if sed 's/#.*//;/^ *$/d' sources.txt | xargs -n 1 -P "$(nproc)" sh -c '
    gcc -std=c11 -O2 -Iinclude -Isrc -Iports/posix -fcallgraph-info=su -c \
        -o "$graphs/$(echo "$1" | tr / _).o" "$1"' compile; then
    scripts/stack.pl "$graphs"/*.ci
    echo
    echo "largest stack frames of one function, bytes"
    grep -ohE 'label: "[^"]* bytes' "$graphs"/*.ci |
        sed -E 's/label: "([^\]*)\\n([^:]*)[^ ]*\\n([0-9]+) bytes/\3 \1 (\2)/' |
        sort -nr | head -n 6 | awk '{printf "  %5d  %s %s\n", $1, $2, $3}'
    echo
fi

echo "structures, bytes"
structures

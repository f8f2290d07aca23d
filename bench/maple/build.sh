#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# build.sh OUT: build OUT/maple_bench, Linux's maple tree in user space, from
# Debian's package linux-source-6.12. Needs liburcu-dev and xz-utils as well.
# Exit status 2: something is not installed.
set -e
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
name=linux-source-6.12
archive=/usr/src/$name.tar.xz
if [ ! -r "$archive" ]; then
    echo "maple tree: apt-get install $name liburcu-dev xz-utils" >&2
    exit 2
fi
if [ ! -d "$out/linux/lib" ]; then
    mkdir -p "$out/linux.part"
    tar -xJf "$archive" -C "$out/linux.part" --strip-components=1 \
        $name/lib $name/include $name/tools $name/arch/x86
    mv "$out/linux.part" "$out/linux"
fi
cd "$out/linux/tools/testing/radix-tree"
mkdir -p generated
cp ../shared/autoconf.h generated/
echo '#define XA_CHUNK_SHIFT 6' >generated/map-shift.h
echo '#define CONFIG_64BIT 1' >generated/bit-length.h
# 64 bits have to be said here too, or nodes come out with 512 bytes.
flags="-O2 -DNDEBUG -DCONFIG_64BIT=1 -D_LGPL_SOURCE -I../shared -I.
    -I../../include -I../../../lib -w"
for file in maple_lib maple_bench maple_slab; do
    ${CC:-gcc} $flags -I"$here/../tree" -c "$here/$file.c" -o "$out/$file.o"
done
${CC:-gcc} "$out/maple_lib.o" "$out/maple_bench.o" "$out/maple_slab.o" \
    -o "$out/maple_bench" -lurcu -lpthread

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/amalgam.sh ASPEN.C OUTDIR CC...: the single source file compiles
# without warnings, in both builds and by each compiler, and the smallest
# embedding runs on it. Neither it nor a port needs anything of src/: include/
# and the port's folder are all that they see here.
set -u
cd "$(dirname "$0")/../.." || exit 2
source=$1
out=$2
shift 2
warnings="-Wall -Wextra -Wconversion -Wshadow -Werror"
log=$out/log
. scripts/check/lib.bash

mkdir -p "$out"
for cc; do
    name=$(basename "$cc")
    for build in release test; do
        define=
        [ $build = release ] || define=-DASPEN_TEST_BUILD
        both="-std=c11 -O2 $define -Iinclude"
        options="$both -Iports/posix"
        for port in template sim; do
            try "$name $build: over ports/$port" $cc $both $warnings \
                -D_DEFAULT_SOURCE -Iports/$port -fsyntax-only "$source"
        done
        for file in ports/*/*.c; do
            # Kernels' ports share ports/kernel, which is for each of them.
            folder=$(dirname "$file") beside=ports/kernel target=
            [ "$folder" != ports/kernel ] || beside=ports/x86_64
            # clang knows the registers of every processor, and looks.
            case $name-$folder in
            *clang*-ports/riscv64)
                target="--target=riscv64-unknown-elf -ffreestanding" ;;
            *clang*-ports/aarch64)
                target="--target=aarch64-unknown-elf -ffreestanding" ;;
            esac
            try "$name $build: $file" $cc $target $both $warnings -D_DEFAULT_SOURCE \
                -I"$folder" -I$beside -fsyntax-only "$file"
        done
        try "$name $build" $cc $options $warnings -c \
            -o "$out/aspen-$build.o" "$source"
        try "$name $build: link" $cc $options -o "$out/embed-$build" \
            examples/embed.c "$out/aspen-$build.o" ports/posix/*.c -lurcu-bp \
            -lpthread
        try "$name $build: run" timeout --foreground 60 "$out/embed-$build"
    done
done
finish

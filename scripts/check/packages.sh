#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/packages.sh LIBRARY: Meson and CMake build examples/embed.c with
# Aspen as a subproject, in a temporary folder; it runs, and the library has
# the same functions as make's. One that is not installed is a skip.
set -u
cd "$(dirname "$0")/../.." || exit 2
library=$(realpath "${1:?usage: packages.sh LIBRARY}")
top=$PWD
: "${CC:=gcc}"
export CC
. scripts/check/lib.bash

# NAME COMMAND...: false, and a skip, when one of the commands is missing.
has()
{
    local name=$1 command
    shift
    for command; do
        if ! command -v "$command" >/dev/null; then
            skip "$name" "no $command"
            return 1
        fi
    done
}

names()
{
    nm -g --defined-only "$1" | awk 'NF == 3 {print $3}' | sort
}

same_names()
{
    diff <(names "$library") <(names "$1")
}

# An archive of Meson may be thin: what it names is beside it.
judge()
{
    try "$1: the functions of $(basename "$library")" same_names "$2"
    try "$1: run" timeout --foreground 60 "$3"
}

with_meson()
{
    mkdir -p "$dir/meson/subprojects"
    cp examples/embed.c "$dir/meson/"
    ln -s "$top" "$dir/meson/subprojects/aspen"
    cat >"$dir/meson/meson.build" <<'BUILD'
project('embed', 'c', default_options: ['c_std=c11'])
aspen_dep = dependency('aspen', fallback: ['aspen', 'aspen_dep'])
executable('embed', 'embed.c', dependencies: aspen_dep)
BUILD
    try 'meson: set up' meson setup --wrap-mode=forcefallback "$dir/meson/build" \
        "$dir/meson" || return
    try 'meson: build' ninja -C "$dir/meson/build" || return
    judge meson "$dir/meson/build/subprojects/aspen/libaspen.a" \
        "$dir/meson/build/embed"
}

with_cmake()
{
    mkdir -p "$dir/cmake"
    cp examples/embed.c "$dir/cmake/"
    cat >"$dir/cmake/CMakeLists.txt" <<BUILD
cmake_minimum_required(VERSION 3.13)
project(embed LANGUAGES C)
add_subdirectory("$top" aspen)
add_executable(embed embed.c)
target_link_libraries(embed PRIVATE aspen::aspen)
BUILD
    try 'cmake: set up' cmake -S "$dir/cmake" -B "$dir/cmake/build" || return
    try 'cmake: build' cmake --build "$dir/cmake/build" -j "$(nproc)" || return
    judge cmake "$dir/cmake/build/aspen/libaspen.a" "$dir/cmake/build/embed"
}

# What of it is there is tried, even where the rest cannot be installed.
scripts/deps.sh packages || :

dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
log=$dir/log
! has meson meson ninja || with_meson
! has cmake cmake || with_cmake
finish

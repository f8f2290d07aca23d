#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# image.sh DIRECTORY BUILD: the two disks that a guest gets.
#
#   system.img    this machine's own programs, of those packages below that are
#                 installed, and the libraries they need; made once. With
#                 SYSTEM (see scripts/check/kernels.sh) what is in there, but compilers
#   project.img   what is in BUILD, and the scripts; made each time, in a second
#
# Both are ext4: that is where the tests keep their files.
set -u
cd "$(dirname "$0")/../.." || exit 2
directory=$1 build=$2
temporary=$(mktemp -d) || exit 2
trap 'rm -rf "$temporary"' EXIT
packages='bash coreutils grep sed mawk findutils diffutils tar util-linux
    mount libgcc-s1 perl-base python3 python3-minimal python3.*-minimal libpython3.*-minimal
    libpython3.*-stdlib libjansson4 liburcu8 libcmocka0
    liblz4-1 libzstd1 libnbd0'

# Names of files on standard input -> with their libraries, copied to $1.
copy_with_libraries()
{
    local files=$temporary/files
    sort -u >"$files"
    { cat "$files"
        grep -E '/s?bin/|\.so' "$files" | xargs -d '\n' ldd 2>/dev/null |
            grep -oE '(=> |^\s)/[^ ]+ \(' | grep -oE '/[^ ]+' | sort -u |
            while read -r library; do
                echo "$library"
                readlink -f "$library"
            done; } | sort -u |
        tar -cf - --no-recursion -T - 2>/dev/null | tar -xf - -C "$1"
}

ext4()
{
    mke2fs -q -F -t ext4 -b 4096 -O ^has_journal -E root_owner=0:0 -d "$2" \
        "$1" "$3" >/dev/null || exit 2
}

system()
{
    local root=$temporary/system part
    mkdir -p "$root"/{aspen,dev,etc,proc,run,sys,tmp,root,home,var/tmp,usr}
    for part in bin sbin lib lib64; do
        mkdir -p "$root/usr/$part"
        ln -s usr/$part "$root/$part"
    done
    chmod 1777 "$root/tmp" "$root/var/tmp"
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages \
        2>/dev/null | sed -n 's/^installed //p' | xargs dpkg -L |
        grep -vE '^/usr/share/(doc|man|locale|info|lintian)/|/test/' |
        while read -r file; do
            [ -d "$file" ] || echo "/${file#/}"
        done | copy_with_libraries "$root"
    ln -sf mawk "$root/usr/bin/awk"
    ln -sf bash "$root/usr/bin/sh"
    echo 'root:x:0:0:root:/root:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
user:x:1000:1000::/home:/bin/bash' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\nuser:x:1000:\n' >"$root/etc/group"
    ext4 "$directory/system.img" "$root" 512M
}

# Compilers would be most of it; nor is a driver left that finds none.
system_of_another()
{
    local root=$temporary/system
    mkdir -p "$root"
    tar -C "$SYSTEM/root" -cf - --exclude ./usr/include --exclude '*.a' \
        --exclude './usr/lib/gcc*/*/*/*' --exclude './usr/bin/*gcc*' \
        --exclude './usr/bin/*cpp*' --exclude ./usr/share/doc \
        --exclude ./usr/share/locale . | tar -xf - -C "$root"
    mkdir -p "$root"/{aspen,dev,proc,run,sys,tmp,home,root,var/tmp}
    chmod 1777 "$root/tmp" "$root/var/tmp"
    ext4 "$directory/system.img" "$root" 512M
}

# Programs whose test has another name by now stay where they were built.
without_stale()
{
    local program source
    for program in "$1"/tests/*/test_*; do
        source=$(basename "$program")
        source=${source%%-*}.c # test_mmu-flags and the like
        compgen -G "tests/*/$source" >/dev/null ||
            compgen -G "tests/unit/*/$source" >/dev/null || rm -r "$program"
    done
}

project()
{
    local root=$temporary/project
    mkdir -p "$root/build"
    cp -r scripts docs "$root/"
    mkdir -p "$root/tests"
    cp -r tests/tools tests/snapshots "$root/tests/"
    for file in "$build"/aspen{,-bench,-broken} "$build"/*_guest \
        "$build/tests"; do
        [ ! -e "$file" ] || cp -r "$file" "$root/build/"
    done
    without_stale "$root/build"
    cp "$directory/todo" "$root/todo"
    chmod -R a+rX "$root"
    # With room for what tests write.
    ext4 "$directory/project.img" "$root" \
        $(($(du -sm "$root" | cut -f 1) * 11 / 10 + 128))M
}

if [ ! -s "$directory/system.img" ] || [ "$0" -nt "$directory/system.img" ]; then
    echo 'kernels: making the system'
    if [ -n "${SYSTEM:-}" ]; then
        system_of_another
    else
        system
    fi
fi
project

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# image.sh BUILD NAME: the disk of examples/kernel, BUILD/kernel/NAME.cpio, of
# the name
#
#   base   busybox, bash and GNU's small tools
#   full   the same, perl, python3 and gcc
#
# Debian's packages and all that they need are fetched and unpacked, never
# installed: no root is needed. Those that the packages of a base system need
# as well are left out where no program of ours starts them.
set -u
build=$1
name=$2
here=$(cd "$(dirname "$0")" && pwd)
base="busybox-static bash dash coreutils diffutils findutils grep sed gawk"
full="$base perl python3 gcc libc6-dev"
unused='^(dpkg|tar|debianutils|media-types|libdb5.3|.*-common|libasan8|liblsan0
libtsan2|libubsan1|libitm1|libquadmath0|libgprofng0|libsqlite3-0|libkrb.*
libgssapi-.*|libk5.*|libtirpc.*|libnsl.*|rpcsvc-proto|libssl3)$'
unused=$(printf %s "$unused" | tr '\n' '|')
packages=$build/kernel/packages
root=$build/kernel/$name.root

# For packages that cannot be had; check.sh
give_up()
{
    echo "kernel: $1" >&2
    exit 2
}

# With no package installed, apt says all that would have to be.
wanted()
{
    apt-get -s -o Dir::State::Status=/dev/null install \
        --no-install-recommends ${!name} 2>/dev/null |
        awk '/^Inst/ {print $2}' | grep -vE "$unused"
}

# Those of $list; false, and $why, when one cannot be had.
fetch()
{
    local package
    list=$(wanted)
    why='apt knows no packages: apt-get update'
    [ -n "$list" ] || return
    mkdir -p "$packages"
    for package in $list; do
        ls "$packages/${package}_"*.deb >/dev/null 2>&1 && continue
        why="cannot fetch $package"
        (cd "$packages" && apt-get -q download "$package" >log 2>&1) || {
            tail -n 3 "$packages/log" >&2
            return 1
        }
    done
}

unpack()
{
    local package directory
    rm -rf "$root"
    mkdir -p "$root"/{usr/bin,usr/sbin,usr/lib,usr/lib64,etc,dev,proc,tmp,root}
    for directory in bin sbin lib lib64; do
        ln -s "usr/$directory" "$root/$directory"
    done
    for package in $list; do
        dpkg-deb --fsys-tarfile "$packages/${package}_"*.deb |
            tar -x --keep-directory-symlink --no-same-owner -C "$root" ||
            exit
    done
    rm -rf "$root"/usr/share/{doc,man,info,locale,lintian,bash-completion} \
        "$root"/usr/lib/x86_64-linux-gnu/gconv \
        "$root"/usr/lib/gcc/x86_64-linux-gnu/12/lto*
    find "$root/usr/lib" -name '*.a' ! -name libc_nonshared.a \
        ! -name libgcc.a ! -name libgcc_eh.a -delete
}

# What maintainer scripts would do, as far as a program sees it.
finish()
{
    local file
    for file in "$root"/usr/bin/gawk "$root"/usr/bin/mawk; do
        [ ! -e "$file" ] || ln -sf "$(basename "$file")" "$root/usr/bin/awk"
    done
    ln -sf dash "$root/usr/bin/sh"
    echo 'root:x:0:0:root:/root:/bin/bash' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    printf '%s\n' /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu \
        >"$root/etc/ld.so.conf"
}

case $name in
base | full) ;;
*)
    echo "image.sh: no image called $name" >&2
    exit 2
    ;;
esac
# apt's lists may be older than what can be had.
fetch || { [ "$(id -u)" -eq 0 ] && apt-get -q update >/dev/null 2>&1 && fetch; } ||
    give_up "$why"
unpack
finish
"$here/cpio.pl" "$root" "$build/kernel/$name.cpio.new" || exit
mv "$build/kernel/$name.cpio.new" "$build/kernel/$name.cpio"
rm -rf "$root"

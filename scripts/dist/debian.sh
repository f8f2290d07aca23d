#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/dist/debian.sh BUILD: Debian's packages out of what `make dist` gives,
# built by an ordinary user in a system that has nothing but what debian/control
# asks for (debootstrap makes it, in BUILD/debian), judged by lintian, installed
# there; every example that is shipped is built against them, and the command run.
# Root alone can make such a system. Some five minutes.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$1
: "${SUITE:=bookworm}" "${MIRROR:=}"
. scripts/check/lib.bash

[ "$(id -u)" -eq 0 ] || skip_all check-debian 'only root can make a system in a folder'
scripts/deps.sh debian || skip_all check-debian 'no debootstrap, lintian or dpkg-dev'
mkdir -p "$build/debian"
work=$(cd "$build/debian" && pwd)
root=$work/root
log=$work/log
trap 'umount "$root/proc" 2>/dev/null' EXIT

in_root()
{
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        HOME=/root DEBIAN_FRONTEND=noninteractive http_proxy="${http_proxy-}" \
        https_proxy="${https_proxy-}" "$@"
}

as_builder()
{
    in_root setpriv --reuid 1000 --regid 1000 --clear-groups \
        env HOME=/build "$@"
}

# Where the packages of this machine come from, those of that one do too.
mirror()
{
    [ -z "$MIRROR" ] || { echo "$MIRROR"; return; }
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        "Codename: $SUITE" 'Origin: Debian' | head -n 1
}

a_system()
{
    umount "$root/proc" 2>/dev/null
    rm -rf "${root:?}"
    debootstrap --variant=minbase "$SUITE" "$root" $(mirror) || return
    # How this machine reaches them.
    cp -rL /etc/apt/. "$root/etc/apt/" && cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    mount -t proc proc "$root/proc" && in_root apt-get -q update
}

unpacked()
{
    rm -rf "${root:?}/build" && mkdir "$root/build" &&
        tar -xzf "$(tail -n 1 "$work/dist")" -C "$root/build" &&
        chown -R 1000:1000 "$root/build"
}

depends()
{
    in_root apt-get -q -y --no-install-recommends install dpkg-dev &&
        in_root sh -c 'cd /build/aspen-* &&
            apt-get -q -y --no-install-recommends build-dep ./'
}

packages()
{
    as_builder sh -c "cd /build/aspen-* && DEB_BUILD_OPTIONS=parallel=$(nproc) \
        dpkg-buildpackage -us -uc"
}

# Nothing at all.
silent()
{
    lintian --allow-root "$root"/build/aspen_*.changes >"$work/lintian" 2>&1
    cat "$work/lintian"
    [ ! -s "$work/lintian" ]
}

installed()
{
    in_root sh -c 'apt-get -q -y --no-install-recommends install \
        /build/libaspen-dev_*.deb /build/aspen-tools_*.deb gcc libc6-dev pkg-config'
}

# example NAME: from the package's own copy, in an empty folder.
example()
{
    as_builder sh -c "rm -rf /build/try && mkdir /build/try && cd /build/try &&
        cc -std=c11 -Wall -Wextra -Werror -o $1 \
            /usr/share/doc/libaspen-dev/examples/$1.c \
            \$(pkg-config --cflags --libs aspen) && ./$1"
}

gone()
{
    in_root apt-get -q -y purge libaspen-dev aspen-tools &&
        [ -z "$(find "$root/usr" -iname '*aspen*' ! -path '*/doc/*')" ]
}

try 'make dist' sh -c "scripts/dist/dist.sh '$work' >'$work/dist'" || finish
try 'a bare system' a_system || finish
try 'the sources' unpacked || finish
try 'what they ask for' depends || finish
try 'dpkg-buildpackage, as a user' packages || finish
try 'lintian has nothing to say' silent
try 'installed' installed || finish
for name in embed emulator file tour; do
    try "examples/$name.c" example $name
done
try 'the command' as_builder aspen --version
try 'a program of its own' as_builder aspen pressure --help
try 'the manual page' test -s "$root/usr/share/man/man1/aspen.1.gz"
try 'purged' gone
finish

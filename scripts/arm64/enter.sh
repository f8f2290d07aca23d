#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# enter.sh ROOT BUILD COMMAND...: run a command in an arm64 system, through
# qemu-user, with the project at /aspen and BUILD at /build.
#
# The kernel starts arm64 programs by binfmt_misc. Since Linux 6.7 a user
# namespace has one of its own, so nothing of this machine changes, and nobody
# has to be root. On older kernels it must be registered already, as Debian's
# packages qemu-user-static and binfmt-support do when they are installed.
# Exit status 125, and why, where neither is there.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
interpreter=$(command -v qemu-aarch64-static) || {
    echo 'no qemu-aarch64-static' >&2
    exit 125
}
export interpreter here

# In the namespace.
register()
{
    local elf='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00'
    local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff'

    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2>/dev/null &&
        printf '%s' ":aspen-arm64:M::$elf\\x02\\x00\\xb7\\x00:$mask\\xfe\\xff\\xff\\xff:$interpreter:F" \
            >/proc/sys/fs/binfmt_misc/register 2>/dev/null && return
    grep -qs '^flags:.*F' /proc/sys/fs/binfmt_misc/qemu-aarch64
}

inside()
{
    local root=$1 build=$2 part
    shift 2
    register || {
        echo 'binfmt_misc: no namespace of its own (Linux 6.7), and arm64' \
            'programs are not registered' >&2
        exit 125
    }
    for part in proc sys dev; do
        mount --rbind "/$part" "$root/$part" || exit 125
    done
    mount --rbind "$here" "$root/aspen" || exit 125
    mount --rbind "$build" "$root/build" || exit 125
    mount -t tmpfs none "$root/tmp" || exit 125
    cd /
    exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root LANG=C.UTF-8 "$@"
}
export -f register inside

unshare --user --map-root-user --mount true 2>/dev/null || {
    echo 'no user namespaces' >&2
    exit 125
}
root=$(cd "$1" && pwd) build=$(cd "$2" && pwd) || exit 125
shift 2
exec unshare --user --map-root-user --mount bash -c 'inside "$@"' inside \
    "$root" "$build" "$@"

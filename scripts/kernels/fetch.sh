#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# fetch.sh DIRECTORY RELEASE: Debian's newest cloud kernel of a release (6.1,
# 6.12) and an initramfs for it, in DIRECTORY/RELEASE:
#
#   vmlinuz     the kernel
#   initrd      busybox, the modules that the disks need, scripts/kernels/init
#   version     what the package is called: package and version
#
# The package is fetched and unpacked, never installed: no root is needed. Its
# name comes from the meta packages, so it is the one that Debian would install.
# ARCH and SYSTEM are as scripts/check/kernels.sh says.
# Exit status 2, and why, where there is none to be had.
set -u
here=$(cd "$(dirname "$0")" && pwd)
release=$2
mkdir -p "$1/$release"
directory=$(cd "$1/$release" && pwd)
: "${ARCH:=amd64}"
busybox=$(command -v busybox)
if [ "$ARCH" = arm64 ]; then
    export APT_CONFIG=$SYSTEM/apt.conf
    busybox=$SYSTEM/root/bin/busybox
fi
modules="virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev
    virtio_pci virtio_blk"

give_up()
{
    echo "$release: $1" >&2
    exit 2
}

# The package that a meta package stands for, if it is of this release.
stands_for()
{
    apt-cache depends "$1" 2>/dev/null |
        sed -n "s/^ *Depends: \(linux-image-${release/./\\.}\.[0-9].*\)/\1/p" |
        head -1
}

newest()
{
    local meta package
    for meta in "linux-image-cloud-$ARCH" \
        "linux-image-$release-cloud-$ARCH"; do
        package=$(stands_for "$meta")
        [ -z "$package" ] || echo "$package"
    done | sort -V | tail -1
}

unpack()
{
    local work=$1 module file
    (cd "$work" && apt-get -q download "$package" >log 2>&1) || {
        tail -n 3 "$work/log" >&2
        give_up "cannot fetch $package"
    }
    dpkg-deb -x "$work"/*.deb "$work/package" || give_up 'cannot unpack it'
    mkdir -p "$work"/initrd/{bin,dev,proc,system,modules}
    cp "$busybox" "$work/initrd/bin/busybox"
    for command in sh mount insmod sleep switch_root poweroff; do
        ln -s busybox "$work/initrd/bin/$command"
    done
    for module in $modules; do
        file=$(find "$work/package" -name "$module.ko*")
        case $file in
        '') ;;
        *.xz) xz -dc "$file" >"$work/initrd/modules/$module.ko" ;;
        *) cp "$file" "$work/initrd/modules/" ;;
        esac
    done
    cp "$here/init" "$work/initrd/init"
    chmod 755 "$work/initrd/init"
    (cd "$work/initrd" && find . | cpio -o -H newc -R 0:0 2>/dev/null |
        gzip -1) >"$directory/initrd" || give_up 'cannot make the initramfs'
    cp "$work"/package/boot/vmlinuz-* "$directory/vmlinuz"
    echo "$package $(dpkg-deb -f "$work"/*.deb Version)" >"$directory/version"
}

package=$(newest)
if [ -z "$package" ] && [ "$(id -u)" -eq 0 ]; then
    apt-get -q update >/dev/null 2>&1
    package=$(newest)
fi
if [ -s "$directory/version" ] && [ "$directory/version" -nt "$here/init" ] &&
    [ "$directory/version" -nt "$0" ] && { [ -z "$package" ] ||
    [ "$(cut -d' ' -f1 "$directory/version")" = "$package" ]; }; then
    exit 0
fi
[ -n "$package" ] || give_up 'apt knows no kernel of this release'
echo "kernels: fetching $package"
temporary=$(mktemp -d) || exit 2
trap 'rm -rf "$temporary"' EXIT
unpack "$temporary"

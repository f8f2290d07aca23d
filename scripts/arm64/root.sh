#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# root.sh DIRECTORY: a Debian 12 system for arm64 in DIRECTORY/root: what make
# and make check need there. Its packages are unpacked, none is configured, so
# no root is needed, and the machine's own dpkg never hears of the architecture:
# apt runs with a configuration of its own, which stays in DIRECTORY/apt.conf
# for whoever wants more packages (APT_CONFIG).
# Exit status 2, and why, where it cannot be had.
set -u
mkdir -p "$1"
directory=$(cd "$1" && pwd)
packages='bash busybox-static coreutils dash diffutils findutils gcc grep
    hostname libc-bin libc6-dev libcmocka-dev libjansson-dev liburcu-dev make mawk
    mount perl-base pkg-config procps python3 sed tar util-linux'

give_up()
{
    echo "arm64: $1" >&2
    [ ! -s "$directory/log" ] || tail -n 3 "$directory/log" >&2
    exit 2
}

[ ! -s "$directory/made" ] || [ "$0" -nt "$directory/made" ] || exit 0
command -v apt-get >/dev/null || give_up 'there is no apt-get'
echo 'arm64: fetching a Debian system'
rm -rf "$directory/root" "$directory/apt"
mkdir -p "$directory"/apt/{lists,archives}/partial "$directory/root"
: >"$directory/apt/status"
cat >"$directory/apt.conf" <<CONF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Dir::State "$directory/apt";
Dir::State::status "$directory/apt/status";
Dir::Cache "$directory/apt";
CONF
export APT_CONFIG=$directory/apt.conf
# Sources of others than Debian may have no such packages: no matter.
apt-get -q update >"$directory/log" 2>&1
# shellcheck disable=SC2086
apt-get -q -y --download-only -o Acquire::Retries=2 install $packages \
    >>"$directory/log" 2>&1 || give_up 'apt has no packages for it'
for package in "$directory"/apt/archives/*.deb; do
    dpkg-deb -x "$package" "$directory/root" || give_up 'cannot unpack it'
    # Who asks dpkg there is told that it is installed.
    dpkg-deb -f "$package" | sed '/^Package:/a Status: install ok installed'
    echo
done >"$directory/status"
rm -f "$directory"/apt/archives/*.deb


# What configuring would have done, as far as it is missed.
cd "$directory/root" || exit 2
ln -sf mawk usr/bin/awk
mkdir -p aspen build var/lib/dpkg
cp "$directory/status" var/lib/dpkg/status
echo 'root:x:0:0:root:/root:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
user:x:1000:1000::/home:/bin/bash' >etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\nuser:x:1000:\n' >etc/group
cat etc/debian_version >"$directory/made"

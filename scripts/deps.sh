#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# deps.sh GROUP: see to it that the Debian packages of a group are there.
#
#   build    make, make run
#   check    make check: the former and what the tests need
#   swap     swap devices of a process: lz4, zstd, NBD. A build without them works,
#            and says so when one of them is asked for
#   bench    make bench: build and the yardsticks
#   plots    make plots: gnuplot
#   fuzz     make fuzz: libFuzzer
#   packages make check-packages: Meson and CMake
#   kernels  make check-kernels: QEMU and what makes a small system for it
#   arm64    make check-arm64: QEMU for programs and for machines
#   model    make check-model: spin
#   abi      make check-abi: libabigail
#   pages    make check-pages: a browser
#   debian   make check-debian: what builds and judges packages, and a system
#   rust     make check-rust: rustc, cargo, bindgen, rustfmt
#   boot     make run-kernel: QEMU for examples/kernel, and what makes its disk
#   bare     make check-bare: QEMU's machines and compilers for tests/bare
#
# With ASPEN_INSTALL=yes, which the Makefile says for `make deps`, `make run`,
# `make check` and its like, root installs them with apt-get; what will be
# installed is said first. Otherwise, or without root or network, what is missing
# and how to get it is printed: exit status 2. On systems without dpkg nothing
# is done: a missing tool shows when it is used.
set -u

build="gcc libc6-dev libjansson-dev liburcu-dev pkg-config"
foreign=gcc-aarch64-linux-gnu
[ "$(uname -m)" != aarch64 ] || foreign=gcc-x86-64-linux-gnu
swap="liblz4-dev libzstd-dev libnbd-dev nbdkit"
# perl: what comes with every system, perl-base, lacks its modules (JSON::PP).
check="$build clang g++ $foreign libcmocka-dev libseccomp-dev perl $swap"
bench="$build linux-source-6.12 xz-utils"
fuzz="$build clang libclang-rt-14-dev"
plots="gnuplot-nox"
packages="meson ninja-build cmake"
kernels="qemu-system-x86 busybox-static cpio e2fsprogs xz-utils"
arm64="$foreign qemu-user-static qemu-system-arm cpio e2fsprogs xz-utils"
model="spin"
abi="abigail-tools"
pages="chromium"
debian="debhelper debootstrap dpkg-dev git lintian"
rust="rustc cargo bindgen rustfmt"
boot="gcc libc6-dev perl qemu-system-x86 busybox-static"
bare="gcc $foreign gcc-riscv64-linux-gnu qemu-system-arm qemu-system-misc
opensbi qemu-system-x86"

groups="build check swap bench plots fuzz packages kernels arm64 model abi pages debian rust boot bare"
case " $groups " in
*" ${1-} "*)
    wanted=${!1}
    ;;
*)
    echo "usage: deps.sh ${groups// /|}" >&2
    exit 2
    ;;
esac
command -v dpkg-query >/dev/null || exit 0

missing=()
for package in $wanted; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)
    [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

install=(apt-get install -y --no-install-recommends "${missing[@]}")

# $1: why; $2: what would do it, if anything but apt-get would.
give_up()
{
    echo "aspen: $1. Please run:" >&2
    [ -z "${2-}" ] || echo "    $2" >&2
    echo "    apt-get update && ${install[*]}" >&2
    exit 2
}

[ "$(id -u)" -eq 0 ] || give_up "packages are missing and you are not root"
if [ "${ASPEN_INSTALL-}" != yes ]; then
    by_make="make deps"
    [ "$1" = build ] || by_make="make deps GROUP=$1"
    give_up "packages are missing: ${missing[*]}" "$by_make     # or:"
fi
command -v apt-get >/dev/null || give_up "packages are missing"

exec 9<"$0" # one at a time: make check runs two lists of targets
flock 9 2>/dev/null || :
echo "aspen: installing ${missing[*]}"
log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
options=(-q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=2)
apt()
{
    apt-get "${options[@]}" "$@" >>"$log" 2>&1
}
apt "${install[@]:1}" || { apt update && apt "${install[@]:1}"; } || {
    tail -n 5 "$log" >&2
    give_up "apt-get could not install them"
}

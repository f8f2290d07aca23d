#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# help.sh MAKEFILE...: the targets that the makefiles really have.
set -u
has()
{
    cat "$@" 2>/dev/null | grep -qE "^[^#	=]*\b$target( [^=]*)?:([^=]|$)"
}

while IFS='|' read -r target words; do
    [ -n "$target" ] || continue
    if has "$@"; then
        printf 'make %-16s %s\n' "$target" "$words"
    fi
done <<'END'
all|what plain `make` does: build/aspen, build/libaspen.a, -test.a
deps|install what it needs (root, Debian); GROUP=check for the tests
run|rehearse the fork of a real process
run-kernel|boot examples/kernel in QEMU; CMD='CMD' CPUS=2 MEMORY=512 IMAGE=full
check|build everything and pass every test
check-kernel|programs on examples/kernel, in QEMU, print what they print here
check-kernel-full|the same with perl, python3 and gcc
check-bare|the core on bare machines of three kinds in QEMU, beside tests/mmu
check-circles|no files of src call each other in a circle, or upwards
check-mutants|plant the mistakes of tests/mutants, see each found
mutate|plant a sample of small mistakes, see most found; SEED COUNT MUTANT
check-long|the tests that take long
check-user|the tests that compare with this kernel, as an ordinary user
check-container|the same by the default rules of Docker and podman
check-harness|the scripts that count tests, and run them elsewhere
check-arm64|built for arm64, run there through QEMU
check-model|models of fork and of the VMA lock, searched whole by spin
check-kernels|Debian's other kernels in QEMU; KERNELS=6.1 CPUS=max RUN='CMD'
kernels-table|its results of the last run into docs/evidence/hosts.md
conflicts|which cache lines two calls of two CPUs share
check-conflicts|no more of them than before
check-packages|embed.c with Aspen as a subproject of Meson and of CMake
check-pages|what --html writes, opened and clicked through in Chromium
check-abi|what programs rely on that were compiled against the headers
abi|record that anew
dist|what is committed as one file, the same bytes everywhere
check-dist|they are the same
check-debian|Debian's packages of it, in a bare system (root)
check-hosts|the same under other ulimits, sysctls, cgroups; HOSTS=--list
bench|measure beside Linux's maple tree and fork (installs what it needs)
plots|draw the tables of docs/evidence/performance.md
unit|the unit tests; `make test_NAME` for one
unit-asan|the same under ASan and UBSan; `make asan/test_NAME`
unit-tsan|the same under ThreadSanitizer
unit-clang|the same built by clang
check-processor|random calls of threads beside a processor; MMU_SECONDS=60
aspen.c|build/aspen.c: the core as one source file
sizes|text, stack and struct sizes
format|clang-format on every file
install|library, headers, command, manual; PREFIX, DESTDIR
uninstall|take them away again
clean|remove build/
END
echo
echo 'Variables: CC CXX CLANG CFLAGS LDFLAGS PREFIX DESTDIR V=1'
echo 'Packages:  installed for root by make deps, run, run-kernel, check, check-X,'
echo '           bench, plots; the others say what is missing (scripts/deps.sh)'

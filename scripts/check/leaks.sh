#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# leaks.sh PROGRAM COMMAND...: run the command, whose programs AddressSanitizer
# was built into, or LeakSanitizer alone. At their end LeakSanitizer stops them by
# ptrace, and dies of it where ptrace is refused (or the program traced): with
# every test passed. PROGRAM is one of them, asked first; where that happens leaks
# are not looked for, which is one test skipped by name.
set -u
program=$1
shift
if "$program" 2>&1 </dev/null |
    grep -q 'LeakSanitizer has encountered a fatal error'; then
    echo "skipped leaks: LeakSanitizer cannot trace here (detect_leaks=0)"
    echo '0 passed, 0 failed, 1 skipped'
    export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
    export LSAN_OPTIONS="${LSAN_OPTIONS:+$LSAN_OPTIONS:}detect_leaks=0"
fi
"$@"

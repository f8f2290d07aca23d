#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# run.sh ASPEN: rehearse a real process: an interpreter that has loaded
# something, of those that this machine has.
set -eu
aspen=$1
if command -v python3 >/dev/null; then
    command=(python3 -c 'import json, re, threading, time; time.sleep(60)')
elif command -v perl >/dev/null; then
    command=(perl -e 'use POSIX; my @a = (1 .. 100000); sleep 60')
else
    command=(bash -c 'read -t 60 line < <(sleep 60)')
fi
printf '+ %s rehearse --' "$aspen"
printf ' %q' "${command[@]}"
printf '\n'
exec "$aspen" rehearse -- "${command[@]}"

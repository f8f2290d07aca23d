#!/bin/sh
# SPDX-License-Identifier: MIT
#
# wraps.sh FILE...: the linker's options for the functions of the library that
# these files stand before.
sed -nE -e 's/^(BETWEEN|CALL|CALL_VOID)\((int, |void, |bool, |uint64_t, )?(aspen_[a-z_]*).*/\3/p' \
    -e 's/^__wrap_(aspen_[a-z_]*)\(.*/\1/p' "$@" | sed 's/^/-Wl,--wrap=/'

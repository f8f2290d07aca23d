#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# table.sh TABLE DOCUMENT: put the table that check-kernels has left into the
# document, between its two comments.
set -eu
awk -v table="$1" '
    /^<!-- end of check-kernels -->$/ {on = 0}
    !on
    /^<!-- make check-kernels -->$/ {
        on = found = 1
        while ((getline line <table) > 0)
            print line
    }
    END {exit !found}' "$2" >"$2.new"
mv "$2.new" "$2"

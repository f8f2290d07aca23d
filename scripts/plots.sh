#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# plots.sh [data]: docs/evidence/plots from the tables of performance.md.
#
# What is plotted of a table is kept beside the picture (*.dat), so that a
# picture can be made again, and compared with the table, without measuring.
# pressure.dat is the first eight columns of what `aspen pressure phase
# --memory 4M --samples FILE` wrote.
# With "data" only these are written: to the folder $PLOTS_DATA, if it is set.
set -eu
cd "$(dirname "$0")/.."
plots=docs/evidence/plots
data=${PLOTS_DATA:-$plots}

# rows HEADING: what was measured in nanoseconds under it, separated by tabs:
# name, n, Aspen's median, lowest, highest, and the peer's.
rows()
{
    awk -F ' *\\| *' -v heading="## $1" '
        function range(text, at) {
            split(text, ends, "-")
            return ends[at]
        }
        BEGIN {
            OFS = "\t"
            # The second row of these is beside what bounds them.
            bound["first touch"] = "zeroing"
            bound["copy on write"] = "copying"
            print "# row", "n", "Aspen", "low", "high", "peer", "low", "high"
        }
        /^## / {here = $0 == heading}
        here && $4 == "ns" {
            name = $2
            if (seen[name, $3]++)
                name = name ", beside " bound[$2] " alone"
            print name, $3, $5, range($6, 1), range($6, 2),
                $7, range($8, 1), range($8, 2)
        }' docs/evidence/performance.md
}

rows 'The range tree' >"$data/tree.dat"
rows 'Fork and exit' >"$data/fork.dat"
rows 'Memory calls and faults' >"$data/calls.dat"
[ "${1-}" != data ] || exit 0
cd $plots
gnuplot plots.gp

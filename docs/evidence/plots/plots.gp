# SPDX-License-Identifier: MIT
#
# plots.gp - tree.svg, fork.svg, calls.svg: medians as points, with a line from
# the lowest to the highest sample; the axis is logarithmic. pressure.svg: how a
# run of `aspen pressure` went. `make plots` runs it in this folder.

set datafile separator "\t"
set encoding utf8

ink = "#334155"
aspen = "#0f766e"
peer = "#c2410c"

set style line 1 lc rgb aspen lw 2 pt 7 ps 0.75
set style line 2 lc rgb peer lw 2 pt 5 ps 0.65
set style line 3 lc rgb "#e2e8f0" lw 1
set style line 4 lc rgb "#f1f5f9" lw 1
set border 1 lc rgb "#94a3b8" lw 1
set tics nomirror scale 0.4 textcolor rgb ink
set grid xtics ytics ls 3, ls 4
set logscale x
set key outside top left horizontal Left reverse samplen 1.2 textcolor rgb ink
set title offset 0,-0.4 textcolor rgb ink
set xlabel textcolor rgb ink offset 0,0.4

# The rows of one n, in the order of the table.
rows(file, n) = sprintf("< awk -F '\\t' '$2 == %s' %s", n, file)
all(file) = sprintf("< grep -v '^#' %s", file)
height(file, n) = system(sprintf("awk -F '\\t' '$2 == %s' %s | wc -l", n, file)) + 0

# --- the range tree, small and large

set terminal svg size 900,560 dynamic font "Helvetica,Arial,sans-serif,13" background rgb "#ffffff"
set output "tree.svg"
set yrange [height("tree.dat", "1000") - 0.5:-0.5]
set xrange [0.3:2000]
set format x "%g"
set xlabel "nanoseconds an operation"
set multiplot
set lmargin at screen 0.28
set rmargin at screen 0.62
set tmargin at screen 0.88
set bmargin at screen 0.11
set title "1,000 ranges"
unset key
plot rows("tree.dat", "1000") using 6:0:7:8 with xerrorbars ls 2 notitle, \
     rows("tree.dat", "1000") using 3:0:4:5:yticlabels(1) with xerrorbars ls 1 notitle
set lmargin at screen 0.64
set rmargin at screen 0.98
set title "100,000 ranges"
set key at screen 0.02,0.975 top left horizontal maxrows 1 width 2
set format y ""
plot rows("tree.dat", "100000") using 3:0:4:5 with xerrorbars ls 1 title "Aspen", \
     rows("tree.dat", "100000") using 6:0:7:8 with xerrorbars ls 2 title "Linux's maple tree"
unset multiplot
set format y

# --- fork and exit

set terminal svg size 900,400 dynamic font "Helvetica,Arial,sans-serif,13" background rgb "#ffffff"
set output "fork.svg"
set yrange [system("grep -vc '^#' fork.dat") - 0.5:-0.5]
set xrange [5:5000]
set xlabel "nanoseconds a page, or a VMA"
set lmargin at screen 0.34
set rmargin at screen 0.97
set tmargin at screen 0.86
set bmargin at screen 0.15
set title " "
set key at screen 0.02,0.975 top left horizontal maxrows 1 width 2
plot all("fork.dat") using 3:0:4:5:yticlabels(1) with xerrorbars ls 1 title "Aspen", \
     all("fork.dat") using 6:0:7:8 with xerrorbars ls 2 title "the host's kernel, with all that it does besides"

# --- memory calls and faults

set terminal svg size 900,400 dynamic font "Helvetica,Arial,sans-serif,13" background rgb "#ffffff"
set output "calls.svg"
set yrange [height("calls.dat", "26") - 0.5:-0.5]
set xrange [100:50000]
set xlabel "nanoseconds"
set multiplot
set lmargin at screen 0.28
set rmargin at screen 0.62
set tmargin at screen 0.82
set bmargin at screen 0.15
set title "beside 26 mappings" textcolor rgb ink
unset key
plot rows("calls.dat", "26") using 6:0:7:8 with xerrorbars ls 2 notitle, \
     rows("calls.dat", "26") using 3:0:4:5:yticlabels(1) with xerrorbars ls 1 notitle
set lmargin at screen 0.64
set rmargin at screen 0.98
set title "beside 50,000"
set key at screen 0.02,0.975 top left horizontal maxrows 1 width 2
set format y ""
plot rows("calls.dat", "50000") using 3:0:4:5 with xerrorbars ls 1 title "Aspen", \
     rows("calls.dat", "50000") using 6:0:7:8 with xerrorbars ls 2 title "the host's kernel"
unset multiplot

# --- aspen pressure phase

reset
set datafile separator " "
set terminal svg size 900,480 dynamic font "Helvetica,Arial,sans-serif,13" background rgb "#ffffff"
set output "pressure.svg"
set border 1 lc rgb "#94a3b8" lw 1
set tics nomirror scale 0.4 textcolor rgb ink
set style line 3 lc rgb "#e2e8f0" lw 1
set grid ytics ls 3
set xrange [0:16384]
set xtics 2048
set lmargin 8
set rmargin 4
set style line 5 lc rgb aspen lw 2
set style line 6 lc rgb peer lw 2 dt (6, 4)
set style line 7 lc rgb "#4338ca" lw 2 dt (2, 4)
set key outside top left horizontal Left reverse samplen 2 textcolor rgb ink
set title offset 0,-0.4 textcolor rgb ink
set yrange [0:*]
# Of the accesses between each fourth sample and the next fourth.
between = "< awk '!/^#/ && NR % 4 == 2 { if (n++) print ($1 + a) / 2, " . \
    "100 * ($6 - h) / ($1 - a), 100 * ($7 - l) / ($1 - a), " . \
    "100 * ($8 - o) / ($1 - a); a = $1; h = $6; l = $7; o = $8 }' pressure.dat"
set multiplot layout 2,1
set format x ""
plot "pressure.dat" using 1:2 with lines ls 5 title "pages in memory", \
     "pressure.dat" using 1:3 with lines ls 6 title "pages on the swap device"
set format x "%g"
set yrange [0:100]
set xlabel "accesses" textcolor rgb ink
plot between using 1:2 with lines ls 5 title "percent that hit: Aspen", \
     between using 1:3 with lines ls 6 title "LRU", \
     between using 1:4 with lines ls 7 title "optimum"
unset multiplot

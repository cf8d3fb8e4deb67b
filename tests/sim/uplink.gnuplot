# SPDX-License-Identifier: MIT
# Draws what uplink.c prints: gnuplot -e "table='FILE'; picture='FILE.svg'" tests/sim/uplink.gnuplot
# A panel for each size of values; of each the blocks fixed and random with 3 replicas, and fixed and
# random with as many replicas as nodes. Points are measured, lines are the bounds.
set terminal svg size 1000,420 font 'sans-serif,12' background '#ffffff'
set output picture
set logscale y
set grid ytics
set xlabel 'nodes'
set xrange [2.7:8.3]
set key below maxcols 2 samplen 2
set multiplot layout 1,3
titles = "'100 bytes' '10 KB' '100 KB'"
colours = "#e08a1e #1f5fa8 #e3b778 #8fb0d8"
hows = "'fixed, 3 replicas' 'random, 3 replicas' 'fixed, all replicas' 'random, all replicas'"
do for [size = 0:2] {
    set title word(titles, size + 1).' a value, writes a second'
    plot for [how = 0:3] table index 4 * size + how using 1:6 with lines dt 2 \
            lc rgb word(colours, how + 1) notitle, \
        for [how = 0:3] table index 4 * size + how using 1:5 with linespoints pt 7 ps 0.6 \
            lc rgb word(colours, how + 1) title word(hows, how + 1)
}
unset multiplot

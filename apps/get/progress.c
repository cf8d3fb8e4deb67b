/* SPDX-License-Identifier: MIT */
#include "get/progress.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_S     UINT64_C(1000000000)
#define BAR_MAX      50
#define BESIDE_BAR   42 /* columns of all else */
#define TEXT_BYTES   24
#define HOURS_TOLD_S (UINT64_C(100) * 3600)

/* "999 B", "1.0 kB", "12.3 MB": at most four digits, and powers of 1000. */
static void write_bytes(char text[TEXT_BYTES], double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    size_t unit = 0;
    while (bytes >= 999.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        bytes /= 1000;
        unit++;
    }
    snprintf(text, TEXT_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

/* "0:07", "1:02:03", or nothing that could be believed. */
static void write_time(char text[TEXT_BYTES], uint64_t seconds)
{
    unsigned s = (unsigned)(seconds % 60), m = (unsigned)(seconds / 60 % 60);
    if (seconds >= HOURS_TOLD_S)
        snprintf(text, TEXT_BYTES, "-:--");
    else if (seconds >= 3600)
        snprintf(text, TEXT_BYTES, "%u:%02u:%02u", (unsigned)(seconds / 3600), m, s);
    else
        snprintf(text, TEXT_BYTES, "%u:%02u", m, s);
}

/* "[=====>    ]", or nothing where there is no room. Returns its columns. */
static int write_bar(char *text, double share, int columns)
{
    int width = columns - BESIDE_BAR < BAR_MAX ? columns - BESIDE_BAR : BAR_MAX;
    if (width < 4)
        return 0;
    int inside = width - 2, full = (int)(share * inside);
    text[0] = '[';
    memset(text + 1, '=', (size_t)full);
    memset(text + 1 + full, ' ', (size_t)(inside - full));
    if (full < inside)
        text[1 + full] = '>';
    text[width - 1] = ']';
    return width;
}

void progress_write(const struct progress *p, int columns, char *line, size_t line_bytes)
{
    char bytes[TEXT_BYTES], rate[TEXT_BYTES], time[TEXT_BYTES], bar[BAR_MAX];
    double elapsed_s = (double)p->elapsed_ns / NS_PER_S;
    double bytes_per_s = elapsed_s > 0 ? (double)(p->done - p->resumed) / elapsed_s : 0;
    write_bytes(bytes, (double)p->done);
    write_bytes(rate, bytes_per_s);
    if (p->total == PROGRESS_UNKNOWN || p->total < p->done) {
        write_time(time, p->elapsed_ns / NS_PER_S);
        snprintf(line, line_bytes, "%9s  %9s/s  %7s", bytes, rate, time);
        return;
    }
    double share = p->total > 0 ? (double)p->done / (double)p->total : 1;
    double left_s = bytes_per_s > 0 ? (double)(p->total - p->done) / bytes_per_s : HOURS_TOLD_S;
    if (p->done == p->total)
        left_s = elapsed_s;
    write_time(time, left_s < HOURS_TOLD_S ? (uint64_t)left_s : HOURS_TOLD_S);
    int width = write_bar(bar, share, columns);
    snprintf(line, line_bytes, "%3d%% %.*s %9s  %9s/s  %7s", (int)(share * 100), width, bar, bytes,
             rate, time);
}

/* SPDX-License-Identifier: MIT */
/* Slow start and congestion avoidance of RFC 5681, counted in bytes (RFC 3465). */
#include "tcp/congestion.h"

#include "strait.h"

static void newreno_start(struct congestion *c)
{
    c->ssthresh = UINT32_MAX; /* RFC 5681 3.1: arbitrarily high */
    c->acked = 0;
}

/* The window is kept below this, so that sums with it do not wrap. */
#define CWND_MAX (UINT32_C(1) << 30)

static void newreno_acked(struct congestion *c, uint32_t bytes)
{
    if (c->cwnd < c->ssthresh) {
        /* One acknowledgement may stand for a whole super-packet, so the limit of RFC 3465 2.2 on
         * the growth for one would starve the start; what was acknowledged has left the path. */
        uint32_t room = c->ssthresh - c->cwnd;
        uint32_t growth = bytes < room ? bytes : room;
        c->cwnd = c->cwnd + growth < CWND_MAX ? c->cwnd + growth : CWND_MAX;
        bytes -= growth;
    }
    c->acked += bytes;
    if (c->acked >= c->cwnd) { /* RFC 5681 3.1, one segment for each window */
        c->acked -= c->cwnd;
        if (c->cwnd < CWND_MAX)
            c->cwnd += c->mss;
    }
}

static void newreno_lost(struct congestion *c, uint32_t flight)
{
    c->ssthresh = flight / 2 > 2 * c->mss ? flight / 2 : 2 * c->mss; /* RFC 5681 (4) */
    c->acked = 0;
}

const struct congestion_algorithm congestion_newreno = {
    .name = "reno",
    .start = newreno_start,
    .acked = newreno_acked,
    .lost = newreno_lost,
};

const struct congestion_algorithm *const congestion_algorithms[] = {
    [STRAIT_CONGESTION_RENO] = &congestion_newreno,
};

#define ETHERNET_MSS 1460u /* ten of them are the 14600 bytes of RFC 6928 */

void congestion_start(struct congestion *c, const struct congestion_algorithm *algorithm,
                      uint32_t mss, uint32_t segments)
{
    uint32_t bytes = segments * ETHERNET_MSS;
    uint32_t floor = 2 * mss > bytes ? 2 * mss : bytes;
    uint32_t window = segments * mss;

    c->mss = mss;
    c->cwnd = window < floor ? window : floor; /* RFC 6928 2 (1) */
    algorithm->start(c);
}

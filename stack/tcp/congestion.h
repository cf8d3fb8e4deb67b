/* SPDX-License-Identifier: MIT */
/*
 * Congestion control: how much may be in flight. An algorithm is a const table of functions over
 * the small state below; recovery (loss.c) decides when something was lost and what is sent again.
 * Amounts are bytes.
 */
#ifndef TCP_CONGESTION_H
#define TCP_CONGESTION_H

#include <stdint.h>

struct congestion {
    uint32_t cwnd;
    uint32_t ssthresh;
    uint32_t mss;
    uint32_t acked; /* acknowledged since the window last grew, in congestion avoidance */
};

struct congestion_algorithm {
    const char *name; /* as in TCP_CONGESTION */

    /* A connection begins. */
    void (*start)(struct congestion *);

    /* `bytes` of new data were acknowledged outside recovery while the window was in use. */
    void (*acked)(struct congestion *, uint32_t bytes);

    /* A loss was found with `flight` bytes outstanding: sets ssthresh. */
    void (*lost)(struct congestion *, uint32_t flight);
};

extern const struct congestion_algorithm congestion_newreno;

/* By enum strait_congestion. */
extern const struct congestion_algorithm *const congestion_algorithms[];

/* Starts with the initial window of RFC 6928 for this MSS, which has `segments` instead of 10. */
void congestion_start(struct congestion *, const struct congestion_algorithm *, uint32_t mss,
                      uint32_t segments);

#endif

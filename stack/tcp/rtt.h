/* SPDX-License-Identifier: MIT */
/* The round-trip time and the retransmission timeout (RFC 6298). Microseconds. */
#ifndef TCP_RTT_H
#define TCP_RTT_H

#include <stdint.h>

#include "strait.h"

#define RTT_RTO_SYN_LOST_US 3000000u /* RFC 6298 5.7 */
#define RTT_BACKOFF_MAX     16       /* from here on the timeout does not grow any more */

struct rtt {
    uint32_t srtt_us; /* 0: no sample yet */
    uint32_t rttvar_us;
    uint32_t rto_us; /* without backoff */
    uint32_t min_us; /* the smallest sample; 0: none yet */
};

/* The configuration's bounds on the timeout (rto_*_us) hold from the next call on. */
void rtt_init(struct rtt *, const struct strait_config *);

/* Takes a measurement of a segment that was sent once (Karn: RFC 6298 3); 0 is less than 1. */
void rtt_sample(struct rtt *, const struct strait_config *, uint32_t sample_us);

/* The SYN was lost, and nothing was measured: a cautious timeout (RFC 6298 5.7). */
void rtt_syn_lost(struct rtt *);

/* The timeout after `backoff` expiries in a row, in nanoseconds (RFC 6298 5.5). */
static inline uint64_t rtt_timeout_ns(const struct rtt *r, const struct strait_config *config,
                                      unsigned backoff)
{
    uint64_t timeout_us = (uint64_t)r->rto_us
                          << (backoff < RTT_BACKOFF_MAX ? backoff : RTT_BACKOFF_MAX);

    return (timeout_us < config->rto_max_us ? timeout_us : config->rto_max_us) * 1000;
}

#endif

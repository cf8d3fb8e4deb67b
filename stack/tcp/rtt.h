/* SPDX-License-Identifier: MIT */
/* The round-trip time and the retransmission timeout (RFC 6298). Microseconds. */
#ifndef TCP_RTT_H
#define TCP_RTT_H

#include <stdint.h>

#define RTT_RTO_INITIAL_US  1000000u   /* RFC 6298 2.1 */
#define RTT_RTO_SYN_LOST_US 3000000u   /* RFC 6298 5.7 */
#define RTT_RTO_MIN_US      200000u    /* Linux's; RFC 6298 2.4 would have 1 s */
#define RTT_RTO_MAX_US      120000000u /* RFC 6298 2.5: at least 60 s */

struct rtt {
    uint32_t srtt_us; /* 0: no sample yet */
    uint32_t rttvar_us;
    uint32_t rto_us; /* without backoff */
    uint32_t min_us; /* the smallest sample; 0: none yet */
};

void rtt_init(struct rtt *);

/* Takes a measurement of a segment that was sent once (Karn: RFC 6298 3). */
void rtt_sample(struct rtt *, uint64_t sample_ns);

/* The SYN was lost, and nothing was measured: a cautious timeout (RFC 6298 5.7). */
void rtt_syn_lost(struct rtt *);

/* The timeout after `backoff` expiries in a row, in nanoseconds (RFC 6298 5.5). */
uint64_t rtt_timeout_ns(const struct rtt *, unsigned backoff);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * SYN cookies (RFC 4987 3.6): a SYN is answered without a record of it. What a record would hold
 * goes out with the SYN-ACK and comes back with the ACK: the number of the SYN is the ACK's own
 * less one, an MSS out of eight and a keyed hash stand in the ISS, the other options in the low
 * bits of the timestamp.
 *
 * What this costs, and why records are used for as long as there is room (RFC 4987 3.6):
 *   - The MSS is rounded down. Without timestamps there is no window scaling, no SACK, no ECN.
 *   - The SYN-ACK is not sent again: a peer whose ACK is lost, and who waits for us to speak first,
 *     believes itself connected until it sends something.
 *   - The ISS does not follow the clock (RFC 9293 3.4.1).
 *   - While the cookie is good, the first segment of a connection that has closed and left no
 *     TIME-WAIT record would open it again, be it a late duplicate or a replay: the cookies that
 *     have opened one are remembered for that (spent.h), the latest of them.
 */
#ifndef TCP_COOKIE_H
#define TCP_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp/isn.h"
#include "tcp/segment.h"

/* A cookie is good for one period at least, and for less than two. */
#define COOKIE_PERIOD_NS   (64 * NS_PER_S)
#define COOKIE_LIFETIME_NS (2 * COOKIE_PERIOD_NS)

/* Takes from a SYN what its cookie cannot bring back. */
void cookie_limit(const struct core *, struct segment *syn);

/* The ISS that answers a SYN so limited. */
uint32_t cookie_iss(const struct core *, const struct tuple *, const struct segment *syn);

/* The timestamp that goes with it: the last one not after `now` whose low bits tell the options. */
uint32_t cookie_timestamp(uint32_t now, const struct segment *syn);

/*
 * Whether an ACK brings back a cookie that is good, for a SYN of the number `irs`. Then *syn is the
 * limited SYN, but for its window, which is 0, and its timestamp, which is that of the ACK.
 */
bool cookie_open(const struct core *, const struct tuple *, uint32_t irs, const struct segment *ack,
                 struct segment *syn);

#endif

/* SPDX-License-Identifier: MIT */
/* Full segments in flight, and what of them is sent again: what the scripts about loss share. */
#ifndef TESTS_TCP_FLIGHT_H
#define TESTS_TCP_FLIGHT_H

#include "fixtures.h"

#define MSS    1460
#define SEG(n) (1 + (n)*MSS) /* the sequence number at which the n-th segment begins, from 0 */

#define established_sack(s) established_with(s, .sack = true)

/* Ten full segments are sent: all of the initial window. The last has PSH. */
static inline void send_ten(struct script *s)
{
    send_and_expect(s, 10 * MSS, MSS, 1);
}

/* Strait sends segments first to last - 1, and no more. */
static inline void expect_segments(struct script *s, unsigned first, unsigned last)
{
    for (unsigned i = first; i < last; i++)
        expect(s, ". %u:%u(1460) ack 1", SEG(i), SEG(i + 1));
    expect_nothing(s);
}

/* In the place of a link's send: the packets are not examined, and many are sent in a short time.
 */
static inline int swallow(struct strait_link *link, const struct iovec *parts, int count,
                          const struct strait_offload *offload)
{
    (void)link;
    (void)parts;
    (void)count;
    (void)offload;
    return 0;
}

#endif

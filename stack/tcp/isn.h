/* SPDX-License-Identifier: MIT */
/* Numbers that a stranger to a connection must not guess, all keyed by the configured secret. */
#ifndef TCP_ISN_H
#define TCP_ISN_H

#include <stdint.h>

#include "base/core.h"
#include "ip/address.h"

/* The four numbers that name a connection, seen from this host; in front those that tell two of a
 * host apart. */
struct tuple {
    struct address remote;
    uint16_t local_port, remote_port;
    struct address local;
};

static inline bool tuple_equal(const struct tuple *a, const struct tuple *b)
{
    return a->remote_port == b->remote_port && a->local_port == b->local_port &&
           address_equal(&a->remote, &b->remote) && address_equal(&a->local, &b->local);
}

/* The initial sequence number: a clock of 4 us plus a hash of the tuple (RFC 9293 3.4.1). */
uint32_t isn_choose(const struct core *, const struct tuple *);

/* What is added to the millisecond clock in timestamps: the same for one tuple (RFC 7323 5.4). */
uint32_t isn_timestamp_offset(const struct core *, const struct tuple *);

/* Where the search for a local port starts (RFC 6056 3.3.3); the tuple's own port is left out. */
uint32_t isn_port_offset(const struct core *, const struct tuple *);

/* What makes a SYN cookie hard to guess (RFC 4987 3.6): a hash of all that it vouches for. */
uint32_t isn_cookie_hash(const struct core *, const struct tuple *, uint32_t irs, uint64_t period,
                         uint64_t terms);

/* The place of a tuple in the table of connections. */
uint32_t isn_tuple_hash(const struct core *, const struct tuple *);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Reassembly (RFC 791 3.2, RFC 1122 3.3.2): fragments wait here until their packet is whole, or
 * strait_config.fragment_timeout_ms have passed. Bounded in all by
 * strait_config.fragments_max_bytes, which counts every byte that is held; what exceeds a bound
 * drops the oldest packet.
 */
#ifndef IP_REASSEMBLY_H
#define IP_REASSEMBLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct ip;
struct ip_packet;

#define REASSEMBLY_SHARES 256

/* What waits of the sources that share a hash: a part of the memory, so that no other source can be
 * starved by them. */
struct reassembly_share {
    struct list packets; /* incomplete, oldest first */
    uint32_t count;
    size_t bytes;
};

struct reassembly {
    struct list packets; /* all that are incomplete, oldest first */
    size_t bytes;
    struct reassembly_share shares[REASSEMBLY_SHARES];
};

void reassembly_init(struct reassembly *);

/* Drops what waits. */
void reassembly_finish(struct ip *);

/*
 * Takes a fragment, which is borrowed for the call. The one that makes its packet whole sends that
 * through ipv4_input.
 */
void reassembly_input(struct ip *, const struct ip_packet *);

/* Whether there is a packet that is not whole. */
static inline bool reassembly_waits(const struct reassembly *r)
{
    return !list_empty(&r->packets);
}

/* Drops what has waited too long. Returns when the next will have, or STRAIT_NEVER. */
uint64_t reassembly_advance(struct ip *);

#endif

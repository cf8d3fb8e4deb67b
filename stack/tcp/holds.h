/* SPDX-License-Identifier: MIT */
/*
 * Local ports that connections hold, and what is left of them in TIME-WAIT, besides those that are
 * bound (ip/ports.h): how many there are on each address and port, so that a bind need not look at
 * every connection.
 */
#ifndef TCP_HOLDS_H
#define TCP_HOLDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/table.h"
#include "ip/address.h"
#include "ip/ports.h"

/* Whom the holder of a port lets share it: flags, as in a struct binding. */
#define HOLD_REUSE_ADDRESS 1u
#define HOLD_REUSE_PORT    2u
#define HOLD_KINDS         4u

struct holds {
    struct table table; /* by port */
};

/* Returns false when memory is short. */
bool holds_init(struct holds *);

/* Frees the table, which is empty. */
void holds_finish(struct holds *);

/* One more holds the port of an address. Returns false when memory is short. */
bool holds_add(struct holds *, const struct address *, uint16_t port, uint8_t sharing);

/* One that was added holds it no more. */
void holds_remove(struct holds *, const struct address *, uint16_t port, uint8_t sharing);

/* One that was added shares the port with others now. */
void holds_change(struct holds *, const struct address *, uint16_t port, uint8_t from, uint8_t to);

/* Whether one stands in the way of a binding to the port of this address, which may be 0.0.0.0: by
 * the rule of ports_bind. */
bool holds_exclude(const struct holds *, const struct binding *, const struct address *,
                   uint16_t port);

/* The flags of a binding. */
static inline uint8_t holds_sharing(const struct binding *b)
{
    return (uint8_t)((b->reuse_address ? HOLD_REUSE_ADDRESS : 0) |
                     (b->reuse_port ? HOLD_REUSE_PORT : 0));
}

#endif

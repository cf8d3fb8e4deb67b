/* SPDX-License-Identifier: MIT */
/* Local ports of one transport: which are bound, and by whom. */
#ifndef IP_PORTS_H
#define IP_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core.h"
#include "base/list.h"
#include "ip/address.h"

#define PORTS_BUCKETS 256

/* A claim on a local port; embed it in what claims. Port 0 means none. */
struct binding {
    struct list node;
    struct address address; /* 0.0.0.0: all of the host's */
    uint16_t port;
    bool reuse_address : 1; /* SO_REUSEADDR: shares with others that do and do not listen */
    bool reuse_port : 1;    /* SO_REUSEPORT: shares with others that do */
    bool listening : 1;
};

struct ports {
    struct list buckets[PORTS_BUCKETS]; /* by port */
};

void ports_init(struct ports *);

/*
 * Claims a port for an address: as in Linux, two claims that overlap may stand side by side if both
 * sockets say SO_REUSEPORT, or both SO_REUSEADDR and the first does not listen. Returns 0, or -1
 * with errno EADDRINUSE.
 */
int ports_bind(struct ports *, struct binding *, const struct address *, uint16_t port);

/* Leads a claim to another address, by the same rule. If that is refused, all stays as it is. */
int ports_move(struct ports *, struct binding *, const struct address *);

/* The claim becomes that of a listener. Returns 0, or -1 with errno EADDRINUSE. */
int ports_listen(struct ports *, struct binding *);

/* Claims a free one of the shard's local ports, drawn at random (RFC 6056 3.3.2). As above. */
int ports_bind_any(struct ports *, struct core *, struct binding *, const struct address *);

/* Gives the port back, if there is one. */
void ports_release(struct binding *);

/* Whether anybody has claimed the port for an address that overlaps with this one. */
bool ports_taken(const struct ports *, const struct address *, uint16_t port);

/* The bucket a port falls in; its nodes are struct binding, of this and of other ports. */
static inline struct list *ports_bucket(struct ports *p, uint16_t port)
{
    return &p->buckets[port % PORTS_BUCKETS];
}

#endif

/* SPDX-License-Identifier: MIT */
/* What udp.c and ping.c share of their endpoints; private to this folder. */
#ifndef UDP_ENDPOINT_H
#define UDP_ENDPOINT_H

#include "udp/udp.h"

/* A datagram that waits, at the front of its block; the payload follows the block's header. */
struct datagram {
    struct list node;
    struct address source;
    uint16_t source_port;
    uint8_t kind; /* enum pool_class of the block */
    uint32_t length;
};

_Static_assert(sizeof(struct datagram) <= POOL_HEADER_BYTES, "the header of a block");

/* The endpoint that `local` and its port belong to, whoever its peer is; NULL if there is none. */
struct udp_endpoint *udp_endpoint_at(struct ports *, const struct address *local, uint16_t port);

/* Copies a datagram into the endpoint's queue. One that finds no room is dropped and counted. */
void udp_enqueue(struct udp *, struct udp_endpoint *, const struct datagram *header,
                 const uint8_t *payload);

/*
 * An ICMP error about a packet of the endpoint, whose peer, if it has one, it was for; or NULL:
 * nobody can have sent it. Lets the endpoint know, or counts that it does not.
 */
void udp_tell_error(struct udp *, struct udp_endpoint *, const struct ip_error *);

/* What becomes of a packet of the endpoint that is too long for the path. */
enum outgoing_length udp_too_long(const struct udp *, const struct udp_endpoint *);

#endif

/* SPDX-License-Identifier: MIT */
/* What udp.c, failure.c and ping.c share of their endpoints; private to this folder. */
#ifndef UDP_ENDPOINT_H
#define UDP_ENDPOINT_H

#include "udp/udp.h"

/* A datagram that waits, at the front of its block; the payload follows the block's header. */
struct datagram {
    struct list node;
    struct udp_arrival arrival;
    uint8_t kind; /* enum pool_class of the block */
    uint32_t length;
};

_Static_assert(sizeof(struct datagram) <= POOL_HEADER_BYTES, "the header of a block");

/* Both ends of what arrives, or of what was sent. */
struct udp_flow {
    struct address local, remote;
    uint16_t local_port, remote_port; /* an echo's peer has none */
};

_Static_assert(sizeof(struct udp_flow) == 2 * sizeof(struct address) + 2 * sizeof(uint16_t),
               "it is hashed as it lies in memory");

/* ---- udp.c ---- */

/* The endpoint that what comes by this flow is for; NULL if there is none. Of those that share by
 * SO_REUSEPORT, the hash of the flow chooses. */
struct udp_endpoint *udp_find(struct udp *, struct ports *, const struct udp_flow *);

/* What is known of a packet that has arrived. */
struct udp_arrival udp_arrival_of(const struct udp *, const struct ip_packet *,
                                  uint16_t source_port);

/* Copies a datagram into the endpoint's queue. One that finds no room is dropped and counted. */
void udp_enqueue(struct udp *, struct udp_endpoint *, const struct datagram *header,
                 const uint8_t *payload);

/* Copies to the parts as much as they hold. */
void udp_scatter(const struct iovec *parts, int count, const uint8_t *bytes, size_t length);

/* What becomes of a packet of the endpoint that is too long for the path. */
enum outgoing_length udp_too_long(const struct udp_endpoint *);

/* ---- failure.c ---- */

/* A datagram of the endpoint has failed: keeps that, if it does, and tells its owner. */
void udp_note_failure(struct udp *, struct udp_endpoint *, const struct udp_failure *,
                      const uint8_t *payload, size_t length);

/*
 * An ICMP error about a packet of the endpoint, or NULL: nobody can have sent it. Lets the endpoint
 * know, or counts that it does not. What was sent to `remote_port` is quoted after `header_bytes`.
 */
void udp_tell_error(struct udp *, struct udp_endpoint *, const struct ip_error *,
                    uint16_t remote_port, size_t header_bytes);

/* The ip_protocol's error function. */
void udp_error(void *self, const struct ip_error *);

#endif

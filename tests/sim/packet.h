/* SPDX-License-Identifier: MIT */
/* A TCP packet as a checker sees it: read from the wire, apart from the stack that is tested. */
#ifndef TESTS_SIM_PACKET_H
#define TESTS_SIM_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strait.h"

#define PACKET_FIN 0x01
#define PACKET_SYN 0x02
#define PACKET_RST 0x04
#define PACKET_ACK 0x10
#define PACKET_URG 0x20
#define PACKET_ECE 0x40
#define PACKET_CWR 0x80

#define PACKET_CE 3 /* the ECN field of IP: congestion was met */

#define PACKET_HEADERS_BYTES    40 /* of IP and TCP, without options */
#define PACKET_TIMESTAMPS_BYTES 12
#define PACKET_SCALE_NONE       255
#define PACKET_SACKS_MAX        4

/* The identification of forged packets. Strait's own is 0, as RFC 6864 4 allows. */
#define PACKET_FORGED 0xf0f0

/* From this port nobody opens a connection, but a stranger pretends to. */
#define PACKET_FORGED_PORT 30000

struct packet {
    uint32_t source, destination; /* addresses, host order */
    uint16_t id;
    uint8_t ecn; /* the field of IP, RFC 3168 5 */
    uint16_t source_port, destination_port;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window; /* as in the header */
    uint16_t urgent; /* the pointer */
    uint16_t mss;    /* 0: absent */
    uint8_t scale;   /* PACKET_SCALE_NONE: absent */
    bool stamped;
    uint32_t stamp; /* TSval */
    bool sack_permitted;
    uint32_t sack_count;
    struct {
        uint32_t left, right;
    } sack[PACKET_SACKS_MAX];
    uint32_t option_bytes; /* of all TCP options, padding included */
    const uint8_t *payload;
    uint32_t length;  /* of the payload */
    uint32_t total;   /* of the packet */
    uint32_t pieces;  /* segments of the wire that it will be cut into */
    uint32_t largest; /* payload of the largest of them */
    bool whole;       /* lengths and checksums are right */
};

/*
 * Reads a packet, payload borrowed. Returns false if it is no TCP packet that can be told apart:
 * another protocol, or too damaged to find its ports.
 */
bool packet_read(struct packet *, const void *bytes, size_t length, const struct strait_offload *);

/* The sequence space that it takes. */
static inline uint32_t packet_span(const struct packet *p)
{
    return p->length + ((p->flags & PACKET_SYN) != 0) + ((p->flags & PACKET_FIN) != 0);
}

/* Whether a stranger has made it. */
bool packet_is_forged(const void *bytes, size_t length);

/* Sets both checksums of a packet of `length` bytes, made by hand. */
void packet_seal(uint8_t *ip, size_t length);

#endif

/* SPDX-License-Identifier: MIT */
/* A TCP segment on the wire (RFC 9293 3.1, 3.2; RFC 7323, 2018, 3168) and as a checked struct. */
#ifndef TCP_SEGMENT_H
#define TCP_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ip/ip.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20
#define TCP_ECE 0x40
#define TCP_CWR 0x80

#define TCP_HEADER_BYTES     20
#define TCP_TIMESTAMPS_BYTES 12 /* the option with its padding */
#define TCP_SACK_HEAD_BYTES  4  /* of the option, with its padding */
#define TCP_SACK_BLOCK_BYTES 8
#define TCP_SACK_BLOCKS_MAX  4  /* that 40 bytes of options have room for (RFC 2018 3) */
#define TCP_CHECKSUM_AT      16 /* in the header */
#define TCP_SCALE_MAX        14 /* RFC 7323 2.3 */

/* What a receiver has of the data above its acknowledgement: [left, right), as on the wire. */
struct sack_block {
    uint32_t left, right;
};

/* The options that are understood; an unknown one is skipped (RFC 9293 3.1, MUST-6). */
struct tcp_options {
    uint16_t mss; /* 0: absent */
    uint8_t scale;
    bool has_scale;
    bool has_timestamps;
    bool sack_permitted;
    uint8_t sack_count;       /* blocks in use */
    uint32_t timestamp, echo; /* TSval and TSecr */
    struct sack_block sack[TCP_SACK_BLOCKS_MAX];
};

struct segment {
    uint16_t source_port, destination_port;
    uint32_t seq, ack;
    uint16_t window; /* as in the header, not scaled */
    uint16_t urgent; /* the pointer; it counts from seq, and has a meaning with TCP_URG only */
    uint8_t flags;   /* TCP_* */
    uint8_t ecn;     /* of the packet: IP_ECN_* */
    struct tcp_options options;
    const uint8_t *payload; /* of a received segment; borrowed */
    uint32_t length;        /* of the payload */
    uint32_t pieces;        /* segments of the wire that it was made from, at least 1 */
};

/* The sequence space that a segment takes (SEG.LEN). */
static inline uint32_t segment_span(const struct segment *s)
{
    return s->length + ((s->flags & TCP_SYN) != 0) + ((s->flags & TCP_FIN) != 0);
}

/* Parses and verifies a segment. Returns false, and counts why, if it is to be dropped. */
bool segment_parse(struct core *, const struct ip_packet *, struct segment *);

/* Writes all but the payload as the transport's header, and the packet's ECN field. */
void segment_write(struct ip_outgoing *, const struct segment *);

#endif

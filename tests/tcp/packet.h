/* SPDX-License-Identifier: MIT */
/*
 * Packets as the scripts see them: `struct packet` holds what an IPv4 packet with TCP, UDP or ICMP
 * says, packet_build turns it into bytes and packet_parse turns bytes into it, with every length
 * and every checksum examined. Checksums are computed here, by the definition of RFC 1071, and not
 * by the code under test.
 */
#ifndef TESTS_TCP_PACKET_H
#define TESTS_TCP_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strait.h"

#define PACKET_BYTES_MAX   65535
#define PACKET_OPTIONS_MAX 40 /* a TCP header has room for as many NOPs */

/* Bits of the TCP header's flags (RFC 9293 3.1, RFC 3168). */
enum {
    TCP_FIN = 1,
    TCP_SYN = 2,
    TCP_RST = 4,
    TCP_PSH = 8,
    TCP_ACK = 16,
    TCP_URG = 32,
    TCP_ECE = 64,
    TCP_CWR = 128
};

/* Kinds of TCP options; OPTION_HEX is any bytes, well-formed or not, put into the header as is. */
enum {
    OPTION_EOL = 0,
    OPTION_NOP = 1,
    OPTION_MSS = 2,
    OPTION_WSCALE = 3,
    OPTION_SACK_OK = 4,
    OPTION_SACK = 5,
    OPTION_TS = 8,
    OPTION_HEX = 256
};

struct option {
    unsigned kind;
    unsigned values;   /* how many of `value` are in use */
    uint32_t value[8]; /* MSS; shift; TS val and ecr; edges of SACK blocks */
    unsigned open;     /* in a pattern: bit i says that value[i] may be anything */
    unsigned bytes;    /* how many of `byte` are in use */
    uint8_t byte[40];  /* what follows the length field of any other kind; all of OPTION_HEX */
};

struct packet {
    uint64_t time_ns; /* when it was sent; not on the wire */

    uint8_t tos, ttl, protocol;
    uint16_t ip_id;
    bool dont_fragment;
    uint32_t source, destination;           /* addresses in host order */
    uint16_t source_port, destination_port; /* TCP, UDP */

    unsigned flags; /* TCP from here on */
    uint32_t seq, ack;
    uint16_t window, urgent;
    unsigned options;
    struct option option[PACKET_OPTIONS_MAX];

    uint8_t type, code; /* ICMP from here on */
    uint16_t id, sequence;

    const uint8_t *payload; /* borrowed; behind the transport's (of ICMP: the 8-byte) header */
    size_t payload_bytes;

    struct strait_offload offload;
    char problem[120]; /* the first thing that is wrong with the packet, or "" */
};

/* Says what is wrong with a packet, unless something has been said already. */
void packet_problem(struct packet *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Reads a packet, as a link was asked to send it with `offload`. Whatever is not as the RFCs want a
 * sent packet to be becomes `problem`. `payload` points into `bytes`.
 */
void packet_parse(struct packet *, const uint8_t *bytes, size_t length,
                  const struct strait_offload *offload);

/*
 * Writes a packet with right lengths and checksums. Options are padded with EOL; those that do not
 * fit into 40 bytes are an error. Returns the packet's length, or 0 if there is no room for it.
 */
size_t packet_build(const struct packet *, uint8_t *bytes, size_t capacity);

/* Makes the checksums of a packet right again that was changed by hand. */
void packet_fix_checksums(uint8_t *bytes, size_t length);

/*
 * Puts the sum of the pseudo-header alone into the checksum field of a TCP segment: what a link
 * with checksum offload delivers (virtio 1.2, 5.1.6).
 */
void packet_make_partial(uint8_t *bytes, size_t length, struct strait_offload *);

/* The bytes of the two streams of data; position counts from 0. */
enum stream { STREAM_STRAIT, STREAM_REMOTE };
uint8_t stream_byte(enum stream, uint32_t position);
void stream_fill(enum stream, uint32_t position, uint8_t *bytes, size_t length);

/* Returns the index of the first byte that is not the stream's, or `length`. */
size_t stream_check(enum stream, uint32_t position, const uint8_t *bytes, size_t length);

#endif

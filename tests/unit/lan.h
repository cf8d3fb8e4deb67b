/* SPDX-License-Identifier: MIT */
/*
 * The network layer alone, on a link in memory: a host 10.7.0.2/24 whose sent packets are kept to
 * be looked at. Packets are written as hex; what a test computes about them it computes here, by
 * the letter of RFC 1071, and not with the code under test.
 */
#ifndef TESTS_UNIT_LAN_H
#define TESTS_UNIT_LAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/core.h"
#include "ip/ip.h"
#include "strait.h"

#define LAN_PACKET_MAX 65535

#define LAN_HOST 0x0a070002 /* 10.7.0.2 */
#define LAN_PEER 0x0a070001 /* 10.7.0.1 */

/* A datagram from 10.7.0.1 port 40000 to port 7, "hello", and one that goes the other way. */
#define LAN_DATAGRAM_IN                                                                            \
    "45 00 00 21 12 34 00 00 40 11 54 88 0a 07 00 01 0a 07 00 02"                                  \
    "9c 40 00 07 00 0d 0b aa 68 65 6c 6c 6f"
#define LAN_DATAGRAM_OUT                                                                           \
    "45 00 00 21 00 00 40 00 40 11 26 bc 0a 07 00 02 0a 07 00 01"                                  \
    "00 07 9c 40 00 0d 0b aa 68 65 6c 6c 6f"

struct lan {
    struct core core;
    struct ip ip;
    struct interface *interface; /* of the link */
    struct strait_link link;
    unsigned sent;                 /* how many packets the link was given */
    uint8_t bytes[LAN_PACKET_MAX]; /* the last of them */
    size_t length;
    struct strait_offload offload;
    int fail_with; /* errno with which the link refuses packets; 0: it takes them */
};

/* Makes the layer and attaches the link; lan_free when done. */
struct lan *lan_new(uint32_t mtu, uint32_t features);

/* Ends it; no payload memory is in use any more. */
void lan_free(struct lan *);

/* A link that gives its packets to `lan`, for a second interface. */
void lan_link(struct lan *lan, struct strait_link *link, uint32_t mtu, uint32_t features);

/* Writes the bytes of "45 00 ..." and returns how many they are. */
size_t lan_hex(uint8_t *bytes, size_t capacity, const char *hex);

/* Lets the bytes of `hex` arrive. */
void lan_input_hex(struct lan *, const char *hex);

/* Lets a packet arrive, from a copy of exactly its length; `offload` may be NULL. */
void lan_input(struct lan *, const uint8_t *packet, size_t length,
               const struct strait_offload *offload);

/* Fails unless exactly one packet was sent since the last look, and it is this one. */
void lan_expect_hex(struct lan *, const char *hex);

/* Fails if a packet was sent since the last look. */
void lan_expect_nothing(struct lan *);

/* The sum of the bytes as 16-bit words, folded: of a whole header with its checksum, 0xffff. */
uint16_t lan_sum(const uint8_t *bytes, size_t length);

/* Makes the checksum of the IPv4 header right. */
void lan_mend(uint8_t *packet);

#endif

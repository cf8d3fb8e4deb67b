/* SPDX-License-Identifier: MIT */
/* The IPv4 header on the wire (RFC 791 3.1), for those who make or change one. Private to
 * stack/ip/. */
#ifndef IP_IPV4_H
#define IP_IPV4_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/checksum.h"

#define IPV4_HEADER_MAX_BYTES 60 /* with options */
#define IPV4_PACKET_MAX_BYTES 65535

/* Where the fields stand. */
#define IPV4_TOS_AT          1
#define IPV4_TOTAL_LENGTH_AT 2
#define IPV4_ID_AT           4
#define IPV4_FRAGMENT_AT     6
#define IPV4_TTL_AT          8
#define IPV4_PROTOCOL_AT     9
#define IPV4_CHECKSUM_AT     10
#define IPV4_SOURCE_AT       12
#define IPV4_DESTINATION_AT  16

enum ipv4_option {
    IPV4_OPTION_END = 0,
    IPV4_OPTION_NOP = 1,
    IPV4_OPTION_LOOSE_SOURCE_ROUTE = 131,
    IPV4_OPTION_STRICT_SOURCE_ROUTE = 137,
};
#define IPV4_OPTION_COPIED 0x80 /* the bit of those that stand in every fragment */

static inline size_t ipv4_header_bytes(const uint8_t *header)
{
    return (header[0] & 15u) * 4u;
}

/* The sum over the header, folded. Hardly one has options, and every packet waits for it twice. */
static inline uint16_t ipv4_header_sum(const uint8_t *header, size_t header_bytes)
{
    if (header_bytes != IPV4_HEADER_BYTES)
        return checksum_fold(checksum_add(0, header, header_bytes));
    /* Whole 32-bit words: 2^16 and 1 are the same to it, RFC 1071 2 (C). */
    return checksum_fold((uint64_t)load_be32(header) + load_be32(header + 4) +
                         load_be32(header + 8) + load_be32(header + 12) + load_be32(header + 16));
}

/* Sums the header, whatever sum it had. */
static inline void ipv4_write_checksum(uint8_t *header, size_t header_bytes)
{
    store_be16(header + IPV4_CHECKSUM_AT, 0);
    store_be16(header + IPV4_CHECKSUM_AT, (uint16_t)~ipv4_header_sum(header, header_bytes));
}

/*
 * The checksum of a transport from the sum over all that it covers. In UDP zero would mean that
 * there is none (RFC 768); to the sum, 0xffff is the same.
 */
static inline uint16_t ipv4_transport_checksum(uint8_t protocol, uint64_t sum)
{
    uint16_t checksum = (uint16_t)~checksum_fold(sum);
    return checksum == 0 && protocol == IPPROTO_UDP ? 0xffff : checksum;
}

#endif

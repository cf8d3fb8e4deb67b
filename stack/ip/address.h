/* SPDX-License-Identifier: MIT */
/* Network addresses: 16 bytes, IPv4 as IPv4-mapped (RFC 4291 2.5.5.2). */
#ifndef IP_ADDRESS_H
#define IP_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

struct address {
    uint8_t bytes[16];
};

/* For log messages: printf("to " ADDRESS_FORMAT, ADDRESS_BYTES(&address)). */
#define ADDRESS_FORMAT   "%u.%u.%u.%u"
#define ADDRESS_BYTES(a) (a)->bytes[12], (a)->bytes[13], (a)->bytes[14], (a)->bytes[15]

/* An IPv4 address from a number in host order. */
static inline struct address address_v4(uint32_t v4)
{
    struct address a = {{[10] = 0xff, [11] = 0xff}};
    store_be32(a.bytes + 12, v4);
    return a;
}

/* Whether it is IPv4-mapped. */
static inline bool address_is_v4(const struct address *a)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(a->bytes, prefix, sizeof(prefix)) == 0;
}

/* The IPv4 address as a number in host order. */
static inline uint32_t address_to_v4(const struct address *a)
{
    return load_be32(a->bytes + 12);
}

static inline struct address address_from_in(struct in_addr in)
{
    return address_v4(ntohl(in.s_addr));
}

static inline struct in_addr address_to_in(const struct address *a)
{
    return (struct in_addr){htonl(address_to_v4(a))};
}

static inline struct sockaddr_in address_to_socket(const struct address *a, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr = address_to_in(a),
        .sin_port = htons(port),
    };
}

static inline bool address_equal(const struct address *a, const struct address *b)
{
    /* The second half first: two that differ hardly ever do so in the first one alone. */
    return memcmp(a->bytes + 8, b->bytes + 8, 8) == 0 && memcmp(a->bytes, b->bytes, 8) == 0;
}

/* 0.0.0.0: as a local address it stands for every address of the host. */
static inline bool address_is_any(const struct address *a)
{
    return address_to_v4(a) == INADDR_ANY;
}

static inline bool address_is_multicast(const struct address *a)
{
    return IN_MULTICAST(address_to_v4(a));
}

static inline bool address_is_loopback(const struct address *a)
{
    return address_to_v4(a) >> 24 == IN_LOOPBACKNET;
}

/* 169.254.0.0/16, of which no router sends anything on (RFC 3927 2.7). */
static inline bool address_is_link_local(const struct address *a)
{
    return address_to_v4(a) >> 16 == 0xa9fe;
}

/* Whether a packet may come from or go to this address as a single host (RFC 1122 3.2.1.3): so it
 * may to none of 0.0.0.0/8 and 127.0.0.0/8, nor from 224.0.0.0 on (multicast and reserved). */
static inline bool address_is_unicast(const struct address *a)
{
    uint32_t first = address_to_v4(a) >> 24;

    return first != 0 && first < 224 && first != IN_LOOPBACKNET;
}

#endif

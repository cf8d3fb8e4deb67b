/* SPDX-License-Identifier: MIT */
/*
 * The MTUs of paths, as far as ICMP has told them (RFC 1191): a cache by destination. It is
 * bounded; what was not used for the longest time goes first. Whether a message may be believed is
 * for the transport to say, and for ip_path_too_big.
 */
#ifndef IP_PATH_H
#define IP_PATH_H

#include <stdint.h>

#include "base/core.h"
#include "base/list.h"
#include "ip/address.h"

#define PATHS_MAX     256
#define PATHS_BUCKETS 64

/*
 * No path is taken to carry less. RFC 791 has networks of 68 bytes, but they are not met with,
 * while each message that makes segments so small multiplies the host's work; Linux draws the line
 * here.
 */
#define PATH_MTU_MIN 552

struct path {
    struct list bucket_node, recent_node;
    struct address destination;
    uint16_t mtu;
    uint64_t expires_ns;
};

struct paths {
    struct core *core;
    uint32_t count; /* of `all`, in use */
    struct path all[PATHS_MAX];
    struct list buckets[PATHS_BUCKETS];
    struct list recent; /* the least recently used first */
};

void paths_init(struct paths *, struct core *);

/* The MTU of the path to a destination, whose first link carries `link_mtu` bytes. */
uint16_t paths_mtu(struct paths *, const struct address *destination, uint16_t link_mtu);

/* Notes that the path carries no more than `mtu` bytes. Returns what it carries by all messages. */
uint16_t paths_lower(struct paths *, const struct address *destination, uint16_t mtu);

/*
 * The MTU that a message means: `told` is what it says (0: nothing, as routers did before RFC
 * 1191), `packet_bytes` the length of the packet that was too big. PATH_MTU_MIN at least.
 */
uint16_t path_mtu_meant(uint16_t told, uint16_t packet_bytes);

#endif

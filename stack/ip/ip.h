/* SPDX-License-Identifier: MIT */
/*
 * The network layer: interfaces, routes, packets in and out, and the table through which packets
 * and ICMP errors go up to the transports. TCP and UDP know no IP header: they get a checked
 * ip_packet and give an ip_outgoing.
 */
#ifndef IP_IP_H
#define IP_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/core.h"
#include "base/list.h"
#include "base/shard.h"
#include "ip/address.h"
#include "ip/path.h"
#include "ip/reassembly.h"
#include "strait.h"

struct ip;

#define IP_INTERFACES_MAX 8
#define IP_ROUTES_MAX     32
#define IPV4_HEADER_BYTES 20  /* without options */
#define IP_ID_SEQUENCES   256 /* of identifications, shared by the destinations */
#define ICMP_PEERS        64  /* groups of destinations, each with a limit on errors */

/* The ECN field, the low bits of the TOS byte (RFC 3168 5). */
#define IP_ECN_MASK    3
#define IP_ECN_NOT_ECT 0
#define IP_ECN_ECT1    1
#define IP_ECN_ECT0    2
#define IP_ECN_CE      3

/* A link with the host's address on it. */
struct interface {
    struct strait_link *link;
    struct address address;
    struct address broadcast; /* of its network, or 255.255.255.255 if that has none (RFC 3021) */
    uint8_t prefix_bits;
};

/* The interface that leads to the host itself, its link and the packets that wait on it. */
struct loopback {
    struct strait_link link;
    struct interface interface;
    struct list queue; /* the oldest first */
    uint32_t packets;
    size_t bytes;
};

/* Where packets to one destination go; found once and kept by its user. */
struct route {
    struct interface *interface;
    struct address source, destination;
    uint16_t mtu;         /* of the path, bytes of an IP packet */
    uint8_t header_bytes; /* that ip_output puts in front: 20 */
    uint8_t ttl;
    uint8_t tos;
    bool may_be_cut; /* by routers on the way: DF is not set, as it is otherwise where it can be */
};

/* The field of fragments in a header (RFC 791 3.1): flags, and the offset in units of 8 bytes. */
#define IPV4_DONT_FRAGMENT  0x4000
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_OFFSET_MASK    0x1fff
#define IPV4_OFFSET_UNIT    8

/* A packet that has arrived, parsed and checked. All pointers are borrowed for the call. */
struct ip_packet {
    struct interface *interface;
    struct address source, destination;
    uint8_t protocol;
    uint8_t ttl;
    uint8_t tos;
    bool local;        /* for this host, or for everyone near */
    bool broadcast;    /* sent to a broadcast or multicast address */
    uint16_t fragment; /* the field of that name, in host order */
    uint16_t id;       /* of the whole packet */
    const uint8_t *header;
    size_t header_bytes;
    const uint8_t *payload; /* what follows the IP header */
    size_t length;          /* of the payload */
    const struct strait_offload *offload;
};

static inline bool ip_is_fragment(const struct ip_packet *packet)
{
    return packet->fragment & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK);
}

/* Whether it is a fragment that others follow. */
static inline bool ip_more_follow(const struct ip_packet *packet)
{
    return packet->fragment & IPV4_MORE_FRAGMENTS;
}

/* Where its payload stands in that of the whole packet, in bytes. */
static inline size_t ip_fragment_offset(const struct ip_packet *packet)
{
    return (packet->fragment & IPV4_OFFSET_MASK) * (size_t)IPV4_OFFSET_UNIT;
}

/* What becomes of a packet that is longer than a link of its path carries. */
enum outgoing_length {
    OUTGOING_WHOLE,        /* refused if it exceeds the route's MTU, dropped by a router (DF) */
    OUTGOING_CUT_HERE,     /* goes in fragments if it exceeds the route's MTU, else with DF */
    OUTGOING_CUT_ANYWHERE, /* by routers, too: of its size nobody would be told */
};

/*
 * A packet to be sent: the transport's header in `headers` behind room for the network's, and the
 * payload by reference. Set `header_bytes`, `checksum_at`, and the parts with outgoing_payload.
 */
#define OUTGOING_NETWORK_ROOM  40
#define OUTGOING_TRANSPORT_MAX 60
#define OUTGOING_PARTS_MAX     24
#define OUTGOING_NO_CHECKSUM   (-1)

struct ip_outgoing {
    uint8_t headers[OUTGOING_NETWORK_ROOM + OUTGOING_TRANSPORT_MAX];
    size_t header_bytes; /* of the transport's header */
    int checksum_at;     /* in it, with the field zero; or OUTGOING_NO_CHECKSUM */
    bool pseudo_header;  /* whether the checksum covers one (ICMPv4: no) */
    uint8_t too_long;    /* enum outgoing_length */
    uint8_t ecn;         /* IP_ECN_*, beside the TOS of the route */
    uint16_t gso_size;   /* payload bytes a segment, if this is a super-packet */
    size_t payload_bytes;
    int count;                                  /* parts in use; part 0 is for the headers */
    struct iovec parts[1 + OUTGOING_PARTS_MAX]; /* the payload from part 1 on */
};

static inline uint8_t *outgoing_transport(struct ip_outgoing *out)
{
    return out->headers + OUTGOING_NETWORK_ROOM;
}

/* Sets the fields of a packet without payload, which stays whole; the transport's header is still
 * to be written. */
static inline void outgoing_init(struct ip_outgoing *out, size_t header_bytes, int checksum_at,
                                 bool pseudo_header)
{
    out->header_bytes = header_bytes;
    out->checksum_at = checksum_at;
    out->pseudo_header = pseudo_header;
    out->too_long = OUTGOING_WHOLE;
    out->ecn = IP_ECN_NOT_ECT;
    out->gso_size = 0;
    out->payload_bytes = 0;
    out->count = 1;
}

/* Appends borrowed payload as one part. */
static inline void outgoing_payload(struct ip_outgoing *out, const void *bytes, size_t length)
{
    out->parts[out->count].iov_base = (void *)bytes;
    out->parts[out->count].iov_len = length;
    out->count++;
    out->payload_bytes += length;
}

/*
 * An ICMP error about a packet that this host sent (RFC 1122 3.2.2), the quoted header checked.
 * What the quote says about the transport is for the transport to check.
 */
struct ip_error {
    struct address local, remote; /* source and destination of the quoted packet */
    struct address teller;        /* who has sent the message */
    uint8_t type, code;           /* of the ICMP message */
    uint16_t mtu;                 /* fragmentation needed: of the next hop, or 0 */
    uint16_t packet_bytes;        /* the length of the quoted packet when it was sent */
    const uint8_t *quote;         /* the transport's bytes that were quoted, 8 at least */
    size_t quote_bytes;
};

/* ICMP messages (RFC 792; RFC 1122 3.2.2), as icmp_error takes and ip_error tells them. */
enum icmp_type {
    ICMP_TYPE_ECHO_REPLY = 0,
    ICMP_TYPE_UNREACHABLE = 3,
    ICMP_TYPE_SOURCE_QUENCH = 4,
    ICMP_TYPE_REDIRECT = 5,
    ICMP_TYPE_ECHO = 8,
    ICMP_TYPE_TIME_EXCEEDED = 11,
    ICMP_TYPE_PARAMETER_PROBLEM = 12,
};

/* Codes of ICMP_TYPE_TIME_EXCEEDED (RFC 792). */
enum icmp_time_exceeded {
    ICMP_CODE_IN_TRANSIT = 0,
    ICMP_CODE_IN_REASSEMBLY = 1,
};

/* Codes of ICMP_TYPE_UNREACHABLE (RFC 1122 3.2.2.1, RFC 1812 5.2.7.1). */
enum icmp_unreachable {
    ICMP_CODE_NETWORK = 0,
    ICMP_CODE_HOST = 1,
    ICMP_CODE_PROTOCOL = 2,
    ICMP_CODE_PORT = 3,
    ICMP_CODE_FRAGMENTATION_NEEDED = 4,
    ICMP_CODE_SOURCE_ROUTE_FAILED = 5,
    ICMP_CODE_NETWORK_UNKNOWN = 6,
    ICMP_CODE_HOST_UNKNOWN = 7,
    ICMP_CODE_SOURCE_ISOLATED = 8,
    ICMP_CODE_NETWORK_PROHIBITED = 9,
    ICMP_CODE_HOST_PROHIBITED = 10,
    ICMP_CODE_NETWORK_TOS = 11,
    ICMP_CODE_HOST_TOS = 12,
    ICMP_CODE_PROHIBITED = 13,
    ICMP_CODE_PRECEDENCE_VIOLATION = 14,
    ICMP_CODE_PRECEDENCE_CUTOFF = 15,
};

static inline bool ip_error_is_too_big(const struct ip_error *error)
{
    return error->type == ICMP_TYPE_UNREACHABLE && error->code == ICMP_CODE_FRAGMENTATION_NEEDED;
}

/* A protocol above IP. `self` is what was given to ip_register. */
struct ip_protocol {
    void (*input)(void *self, const struct ip_packet *);
    void (*error)(void *self, const struct ip_error *); /* NULL: not interested */
};

struct ip_route_entry {
    struct address network;
    uint8_t prefix_bits;
    struct interface *interface;
};

/* What limits the ICMP errors that are made: a bucket of tokens (RFC 1812 4.3.2.8). */
struct icmp_bucket {
    uint64_t filled_at_ns; /* up to when it has been filled */
    uint32_t tokens;
};

struct ip {
    struct core *core;
    struct interface interfaces[IP_INTERFACES_MAX];
    struct ip_route_entry routes[IP_ROUTES_MAX]; /* longest prefix first */
    uint8_t interface_count, route_count;
    struct loopback loopback;
    struct paths paths;
    const struct ip_protocol *protocols[256];
    void *protocol_self[256];
    const struct ip_protocol *echo; /* who asks others for echoes; NULL: nobody */
    void *echo_self;
    struct reassembly reassembly;
    uint16_t ids[IP_ID_SEQUENCES]; /* how many identifications of each sequence have been used */
    struct icmp_bucket icmp_all, icmp_peers[ICMP_PEERS];
    struct shard_rule shard_rule;
};

/* Makes the layer, ICMP included. `core` outlives it. */
void ip_init(struct ip *, struct core *);

/* Frees what waits in the layer. */
void ip_finish(struct ip *);

/* Takes in what the host has sent to itself, and does what is due. Returns the time of the next
 * deadline, or STRAIT_NEVER; what is sent to the host from now on, loopback_waits tells. */
uint64_t ip_advance(struct ip *);

/* Hands packets and errors of a protocol number to `protocol`, which lives as long as the layer. */
void ip_register(struct ip *, uint8_t number, const struct ip_protocol *protocol, void *self);

/*
 * Hands ICMP echo replies, whose payload is the ICMP message and its header whole, and errors about
 * ICMP messages that this host has sent to `protocol`, as above.
 */
void ip_register_echo(struct ip *, const struct ip_protocol *protocol, void *self);

/*
 * Puts the host's address on a link and routes the address's network there, if it has no route yet;
 * the first interface also becomes the default route. Returns NULL with errno EINVAL (the MTU or
 * the address is unusable, or one of link and address is attached already) or ENOSPC.
 */
struct interface *ip_attach(struct ip *, struct strait_link *, struct address, int prefix_bits);

/* The interface of an attached link, or NULL. */
static inline struct interface *ip_interface(struct ip *ip, const struct strait_link *link)
{
    for (int i = 0; i < ip->interface_count; i++) {
        if (ip->interfaces[i].link == link)
            return &ip->interfaces[i];
    }
    return NULL;
}

/* ---- route.c ---- */

/*
 * Adds a route, or leads the network's route to another interface. Returns 0, or -1 with errno
 * EINVAL (prefix_bits is not 0 to 32, or the network has bits beyond it) or ENOSPC.
 */
int ip_route_add(struct ip *, struct address network, int prefix_bits, struct interface *);

/*
 * Finds the way to a unicast destination by the longest prefix, or through the loopback interface
 * to the host itself. The source is `source` if not NULL and not 0.0.0.0 (it must be an address of
 * the host), else that of the interface; an address of the host is reached from itself. Returns 0,
 * or -1 with errno EADDRNOTAVAIL, EINVAL (from 127.0.0.0/8 to another host) or ENETUNREACH (no
 * route, or no unicast address).
 */
int ip_route_find(struct ip *, const struct address *source, const struct address *destination,
                  struct route *);

/* The number of an interface as socket calls know it: 1 is the loopback's, 2 the first attached. */
unsigned ip_interface_number(const struct ip *, const struct interface *);

/*
 * Leads a route to another host out by the interface of that number, whatever the routes are.
 * Returns 0, or -1 with errno ENODEV (there is none).
 */
int ip_route_through(struct ip *, unsigned number, struct route *);

/* Whether the host has this address on one of its interfaces. */
bool ip_is_local(const struct ip *, const struct address *);

/* Whether this is the host for itself: ip_is_local, or in 127.0.0.0/8. */
bool ip_is_own(const struct ip *, const struct address *);

/* Whether this is the limited broadcast address or that of a network the host is on. */
bool ip_is_broadcast(const struct ip *, const struct address *);

/* Whether this is an address of an interface, the host's own or the network's for broadcasts. */
bool ip_is_near(const struct ip *, const struct address *);

/*
 * A router has said that a packet of ours was too big for the path, and the transport has found
 * that the quote is of something it has sent. Lowers the MTU of the route and, for ten minutes, of
 * all that are found from now on to this destination. Returns false if the message lowers nothing,
 * or contradicts itself.
 */
bool ip_path_too_big(struct ip *, struct route *, const struct ip_error *);

/* ---- loopback.c ---- */

/* Called by ip_init and ip_finish. */
void loopback_init(struct ip *);
void loopback_finish(struct ip *);

/* Takes in what the host has sent to itself since the last call. */
void loopback_deliver(struct ip *);

/* Whether something waits for loopback_deliver. */
static inline bool loopback_waits(const struct ip *ip)
{
    return !list_empty(&ip->loopback.queue);
}

/* ---- ipv4.c ---- */

/* What is read of a packet that is only looked at ahead of time. */
struct ip_glance {
    struct address source, destination;
    const uint8_t *payload; /* of at least `least_bytes`; borrowed */
};

/* Reads the first bytes of a packet, which may be anything, without checking it. Returns false if
 * it does not look like a whole one of that protocol; then nothing is to be expected of it. */
bool ipv4_glance(const void *packet, size_t length, uint8_t protocol, size_t least_bytes,
                 struct ip_glance *);

/*
 * A packet of IP version 4 has arrived on an interface: checks it and hands it to its protocol.
 * `packet` and `offload`, which is not NULL, are borrowed for the call.
 */
void ipv4_input(struct ip *, struct interface *, const void *packet, size_t length,
                const struct strait_offload *);

/* The same for a packet that was put together here. */
void ipv4_input_reassembled(struct ip *, struct interface *, const void *packet, size_t length);

/*
 * Sends a packet along a route: writes the network header, finishes the transport's checksum or
 * leaves it to the link. A packet that is longer than the route's MTU goes in fragments, if it may.
 * One that is not has DF set, unless routers may cut it and there may be one that has to: no path
 * is taken to carry less than PATH_MTU_MIN. A super-packet (`gso_size` is set and less than the
 * payload) needs a link with STRAIT_LINK_TSO4. Returns 0, or -1 with errno EMSGSIZE (the packet, or
 * a segment of the super-packet, is longer than the route's MTU and may not be fragmented, the
 * packet is longer than any, or the link takes no super-packet) or that of the link.
 */
int ip_output(struct ip *, const struct route *, uint8_t protocol, struct ip_outgoing *);

/* Gives a packet of `bytes` to a link, and counts it. Returns 0, or -1 with the link's errno. */
int ip_transmit(struct ip *, struct strait_link *, const struct iovec *parts, int count,
                size_t bytes, const struct strait_offload *);

/* Whether the checksum that stands in the payload is right, pseudo-header included. */
bool ip_checksum_adds_up(const struct ip_packet *);

/* The same, or the link vouches for the packet. */
static inline bool ip_checksum_right(const struct ip_packet *packet)
{
    return packet->offload->checksum != STRAIT_CHECKSUM_COMPLETE || ip_checksum_adds_up(packet);
}

/* ---- handover.c ---- */

/*
 * Gives a packet for this host to the shard that it belongs to, if that is another one; it is then
 * done with here, and true is returned. There are several shards.
 */
bool ip_hand_over(struct ip *, const struct ip_packet *, bool reassembled);

/* Whether answers to what is sent along a route, by TCP or UDP, come to this shard. */
bool ip_answers_come_here(const struct ip *, const struct route *, uint16_t local_port,
                          uint16_t remote_port);

/* ---- fragment.c ---- */

/*
 * Sends the packet whose IPv4 header and payload are given in fragments that fit the MTU (RFC 791
 * 3.2). It may be a fragment itself. The payload, of at most 1 + OUTGOING_PARTS_MAX parts and one
 * byte at least, is not copied. Returns 0, or -1 with the errno of the link, which then has got a
 * part of them.
 */
int ip_fragment(struct ip *, struct strait_link *, size_t mtu, const uint8_t *header,
                size_t header_bytes, const struct iovec *payload, size_t payload_bytes);

/*
 * The identification of the next packet that is sent in fragments. Nobody else can predict it, nor
 * tell from those that he is sent how many others are sent; 65536 packets of the same source,
 * destination and protocol have different ones.
 */
uint16_t ip_next_id(struct ip *, const struct route *, uint8_t protocol);

/* ---- forward.c ---- */

/*
 * Sends a packet on that is for another host: in fragments, if it is too long for the next link and
 * DF is not set. What cannot go on is counted, dropped, and answered with an ICMP error; but a
 * super-packet that would fit once cut, for a link that does not cut (no STRAIT_LINK_TSO4), or
 * would have to be cut and fragmented both, is dropped without a word.
 */
void ip_forward(struct ip *, const struct ip_packet *);

/* ---- icmp.c ---- */

/* Registers ICMP with the layer; called by ip_init. */
void icmp_init(struct ip *);

/*
 * The errno that an ICMP error means to a socket, 0 if none: Linux's choice. `hard` tells whether
 * the condition will hold, so that trying again is of no use.
 */
int icmp_errno(const struct ip_error *, bool *hard);

/*
 * Answers a packet with an ICMP error (RFC 1122 3.2.2, 3.2.2.1; limited by RFC 1812 4.3.2.8),
 * unless the rules forbid an answer to it.
 */
void icmp_error(struct ip *, const struct ip_packet *, uint8_t type, uint8_t code);

/* The same with the second word of the message: the MTU of the next hop (RFC 1191 4), or in the
 * first byte where the header is wrong (RFC 792). */
void icmp_error_with(struct ip *, const struct ip_packet *, uint8_t type, uint8_t code,
                     uint32_t word);

#endif

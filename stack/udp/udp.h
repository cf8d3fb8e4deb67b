/* SPDX-License-Identifier: MIT */
/*
 * UDP (RFC 768; RFC 1122 4.1): endpoints with a bounded queue of whole datagrams. An endpoint may
 * speak ICMP echo instead, see ping.h; what is said here of ports is then said of identifiers.
 */
#ifndef UDP_UDP_H
#define UDP_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "ip/ip.h"
#include "ip/ports.h"

#define UDP_HEADER_BYTES 8
#define UDP_FAILURES_MAX 64 /* that wait in one endpoint to be read */

struct udp {
    struct core *core;
    struct ip *ip;
    struct ports ports;
    struct ports echo_ids;
    /* Tells the owner of an endpoint that its events may have changed; only sets bits and queues.
     */
    void (*wake)(void *context, void *owner);
    void *wake_context;
};

/* What is known of a datagram that has arrived, besides its payload. */
struct udp_arrival {
    struct address source, destination;
    uint16_t source_port;
    uint8_t ttl, tos;
    uint8_t interface; /* its number, ip_interface_number */
};

/* What one datagram is sent with, where that is not what its endpoint has. */
struct udp_terms {
    struct address source; /* 0.0.0.0: as the endpoint and the route have it */
    unsigned interface;    /* its number; 0: as the route has it */
    int ttl, tos;          /* UDP_TERM_NONE: as the endpoint has it */
};
#define UDP_TERM_NONE (-1)

/* Why a datagram has not got through, as ICMP or (by_icmp false) the host itself has said. */
struct udp_failure {
    int error; /* an errno */
    bool by_icmp;
    uint8_t type, code; /* of the ICMP message */
    uint16_t port;      /* `remote` and this: where the datagram was to go */
    uint32_t mtu;       /* EMSGSIZE: of the way; otherwise 0 */
    struct address remote;
    struct address teller; /* who has sent the message */
};

struct udp_endpoint {
    struct binding binding; /* local address and port; connected: the address sent from */
    bool address_implied;   /* the address was not bound but found by udp_connect */
    void *owner;
    bool echo;              /* made by ping_open */
    struct address remote;  /* if connected: the only source that is received from */
    uint16_t remote_port;   /* 0: not connected */
    int error;              /* an errno to be reported once, 0 if none */
    struct list queue;      /* of datagrams, oldest first */
    size_t queued_bytes;    /* memory of the queue */
    size_t queue_max_bytes; /* an empty queue takes a datagram of any length */
    uint8_t ttl, tos;       /* of what is sent */
    uint64_t cut_until_ns;  /* until then routers may cut what is sent: it goes without DF */
    uint8_t mtu_discover;   /* IP_PMTUDISC_* of ip(7) */
    bool keeps_failures;    /* IP_RECVERR: errors are told whoever the peer is, and kept */
    uint8_t failure_count;  /* in the list */
    struct list failures;   /* the oldest first */
};

void udp_init(struct udp *, struct core *, struct ip *);

/* Registered with IP by the stack; `self` is the struct udp. */
extern const struct ip_protocol udp_protocol;

/* Makes an endpoint without address and port, its queue bounded as configured. */
void udp_open(struct udp *, struct udp_endpoint *, void *owner);

/* Drops what is queued and gives the port back. */
void udp_close(struct udp *, struct udp_endpoint *);

/*
 * Claims an address of the host, or all of them (0.0.0.0), and a port; port 0 means any free one.
 * Returns 0, or -1 with errno EADDRINUSE, EADDRNOTAVAIL or EINVAL (it is bound already).
 */
int udp_bind(struct udp *, struct udp_endpoint *, const struct address *, uint16_t port);

/*
 * Sets the peer: the only one that is received from, and whose ICMP errors are told. Binds if need
 * be; where no address was bound, that of the route becomes the local one. `remote` NULL takes the
 * peer away, and an address that was found so. Returns 0, or -1 with errno EINVAL (port 0), EACCES
 * (a broadcast address), EADDRINUSE (the port is claimed on that local address), or that of
 * ip_route_find.
 */
int udp_connect(struct udp *, struct udp_endpoint *, const struct address *, uint16_t port);

/*
 * Sends one datagram made of parts, to the peer if `remote` is NULL, on `terms`, which may be NULL;
 * in fragments, if it is longer than the path's MTU and mtu_discover allows it, else (but for
 * IP_PMTUDISC_DONT, _INTERFACE and _OMIT) with DF set; with IP_PMTUDISC_WANT without, for ten
 * minutes after a router has said that a datagram of an endpoint without a peer was too big.
 * Returns 0, or -1 with errno: EDESTADDRREQ, EINVAL (port 0), ENETUNREACH (a foreign source),
 * ENODEV (no such interface), EACCES (a broadcast address), EMSGSIZE (more than 65507 bytes, or
 * than the path carries and may not be cut), ENOBUFS (no memory to gather many parts), a pending
 * error as ECONNREFUSED, EADDRINUSE (no free port), those of ip_route_find, or the link's.
 */
int udp_send(struct udp *, struct udp_endpoint *, const struct iovec *parts, int count,
             const struct address *remote, uint16_t port, const struct udp_terms *terms);

/*
 * Takes (or with `peek` only copies) the oldest datagram, at most what the parts hold. Returns its
 * whole length, or -1 with errno EAGAIN or a pending error, which is told once and before any
 * datagram. `arrival` may be NULL.
 */
ssize_t udp_receive(struct udp *, struct udp_endpoint *, const struct iovec *parts, int count,
                    bool peek, struct udp_arrival *arrival);

/* POLLIN, POLLOUT, POLLERR as they stand. */
short udp_events(const struct udp_endpoint *);

/* The length of the oldest datagram that waits, 0 if none does. */
size_t udp_next_length(const struct udp_endpoint *);

/* The MTU of the path to the peer. Returns -1 with errno ENOTCONN, or that of ip_route_find. */
int udp_mtu(struct udp *, const struct udp_endpoint *);

/* ---- failure.c ---- */

/* Keeps failures from now on, or drops those that are kept. */
void udp_keep_failures(struct udp *, struct udp_endpoint *, bool on);

/*
 * Takes the oldest failure that is kept, and copies the payload of the datagram as far as it is
 * known and the parts hold it. Returns the length of what is known, or -1 with errno EAGAIN.
 */
ssize_t udp_take_failure(struct udp *, struct udp_endpoint *, const struct iovec *parts, int count,
                         struct udp_failure *);

#endif

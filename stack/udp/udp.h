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
 * Sends one datagram made of parts, to the peer if `remote` is NULL; in fragments, if it is longer
 * than the path's MTU, else with DF set; without, for ten minutes after a router has said that a
 * datagram of an endpoint without a peer was too big. Returns 0, or -1 with errno: EDESTADDRREQ,
 * EINVAL (port 0), EACCES (a broadcast address), EMSGSIZE (more than 65507 bytes), ENOBUFS (no
 * memory to gather many parts), a pending error as ECONNREFUSED, EADDRINUSE (no free port), those
 * of ip_route_find, or the link's.
 */
int udp_send(struct udp *, struct udp_endpoint *, const struct iovec *parts, int count,
             const struct address *remote, uint16_t port);

/*
 * Takes (or with `peek` only copies) the oldest datagram, at most what the parts hold. Returns its
 * whole length, or -1 with errno EAGAIN or a pending error, which is told once and before any
 * datagram. `remote` and `port` are the sender's and may be NULL.
 */
ssize_t udp_receive(struct udp *, struct udp_endpoint *, const struct iovec *parts, int count,
                    bool peek, struct address *remote, uint16_t *port);

/* POLLIN, POLLOUT, POLLERR as they stand. */
short udp_events(const struct udp_endpoint *);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * ICMP echo (RFC 792) as a datagram transport: the "ping socket" of Linux. An endpoint of UDP is
 * used for it, whose port is the identifier of the requests it sends. What is sent is an ICMP
 * message, an echo request of 8 bytes and its data; what is received are the replies to such
 * messages, whole. A peer has no port: any number may stand for it.
 */
#ifndef UDP_PING_H
#define UDP_PING_H

#include "udp/udp.h"

#define PING_HEADER_BYTES 8

/* Makes an endpoint as udp_open does, which speaks ICMP echo, and lets others bind its identifier.
 */
void ping_open(struct udp *, struct udp_endpoint *, void *owner);

/*
 * Sends the echo request that the parts, at most OUTGOING_PARTS_MAX, are together. Its identifier
 * and checksum are written here, whatever stands in their place. Returns 0, or -1 with errno EINVAL
 * (no echo request, or shorter than its header) or that of ip_output.
 */
int ping_send(struct udp *, const struct udp_endpoint *, const struct route *,
              const struct iovec *parts, int count);

/* What IP hands up of echo: registered by the stack; `self` is the struct udp. */
extern const struct ip_protocol ping_protocol;

#endif

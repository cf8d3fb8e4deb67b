/* SPDX-License-Identifier: MIT */
/*
 * Watches tun0 by libpcap and holds every packet against what RFC 791, 792, 768, 9293 and 7323
 * demand of two hosts that lose nothing: checksums are right, no packet is above the MTU and no
 * segment above the MSS, no byte is sent twice (but by the kernel's timers) or beyond the window,
 * and no window shrinks. The device has to run without offload: otherwise what is seen is not what
 * a wire would carry.
 */
#ifndef INTEROP_WIRE_H
#define INTEROP_WIRE_H

#include <stdint.h>

struct wire;

/* Begins to watch. About 60 MB of packets are kept until they are checked. */
struct wire *wire_open(uint32_t mtu);

/*
 * Checks all that was seen since the last call; fails the test at the first violation, and if a
 * packet has escaped. Returns the number of IPv4 packets.
 */
uint64_t wire_check(struct wire *);

void wire_close(struct wire *);

#endif

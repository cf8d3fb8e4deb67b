/* SPDX-License-Identifier: MIT */
#ifndef PING_FAULT_H
#define PING_FAULT_H

#include <stddef.h>
#include <stdint.h>

#define FAULT_BYTES 64 /* the longest there is, and '\0' */

/*
 * What an ICMP error (RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1) says, in the words of iputils.
 * `mtu` is that of the next hop, for what was too long.
 */
void fault_describe(char text[FAULT_BYTES], uint8_t type, uint8_t code, uint32_t mtu);

#endif

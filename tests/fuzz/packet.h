/* SPDX-License-Identifier: MIT */
/*
 * Packets of IPv4 as the fuzz targets make and examine them. Sums are made here, by the definition
 * of RFC 1071, and not by the code under test.
 */
#ifndef TESTS_FUZZ_PACKET_H
#define TESTS_FUZZ_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strait.h"

#define PACKET_IP_BYTES      20 /* header without options */
#define PACKET_TCP_BYTES     20
#define PACKET_OPTIONS_BYTES 40 /* at most, of TCP */
#define PACKET_HEADERS_BYTES (PACKET_IP_BYTES + PACKET_TCP_BYTES)

#define PACKET_FIN 0x01
#define PACKET_SYN 0x02
#define PACKET_RST 0x04
#define PACKET_PSH 0x08
#define PACKET_ACK 0x10
#define PACKET_URG 0x20

/* Both in host order. */
void packet_ip_header(uint8_t *packet, size_t length, uint8_t protocol, uint32_t source,
                      uint32_t destination);

/* A TCP header without options behind the IP header; the data offset is that of `header_bytes`. */
struct packet_tcp {
    uint16_t source_port, destination_port;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window, urgent;
    uint32_t header_bytes; /* options included */
};
void packet_tcp_header(uint8_t *packet, const struct packet_tcp *);

/* What the TCP header of a packet that packet_check has passed says. */
struct packet_tcp packet_tcp_read(const uint8_t *packet, size_t length);

/* Whether the packet has a whole TCP header, as far as its own lengths tell. */
bool packet_is_tcp(const uint8_t *packet, size_t length);

/*
 * Makes the IP header's checksum right, and that of TCP, UDP or ICMP behind it, as far as the
 * packet has them: whatever else is wrong stays wrong. A fragment's transport is left alone.
 */
void packet_seal(uint8_t *packet, size_t length);

/* The IP header's alone. */
void packet_seal_header(uint8_t *packet, size_t length);

/*
 * As packet_seal, but for what a link with checksum offload leaves out (virtio 1.2, 5.1.6): the
 * field has the sum of the pseudo-header alone, and *offload says so.
 */
void packet_seal_partial(uint8_t *packet, size_t length, struct strait_offload *offload);

/* Ends the program if a packet that `source` sent, or forwarded, is not as it has to be. */
void packet_check(const uint8_t *packet, size_t length, uint32_t source, uint32_t mtu,
                  uint32_t features, const struct strait_offload *);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * UDP alone, on the lan of lan.h: one open endpoint of the host, and the few moves that most tests
 * make with it.
 */
#ifndef TESTS_UNIT_UDP_LAN_H
#define TESTS_UNIT_UDP_LAN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lan.h"
#include "udp/udp.h"

#define PEER_PORT 40000

struct udp_lan {
    struct lan *lan;
    struct udp udp;
    struct udp_endpoint endpoint; /* open; its owner is this */
    unsigned woken;
    struct address any, host, peer, other;
};

/* Makes it, with an MTU of 1500 or 65535 bytes; for cmocka_unit_test_setup_teardown. */
int udp_lan_setup(void **state);
int udp_lan_setup_jumbo(void **state);

/* Fails if memory is still in use. */
int udp_lan_teardown(void **state);

uint64_t udp_lan_counter(struct udp_lan *, enum counter);

/* Binds the endpoint to a port of every address. */
void udp_lan_bind(struct udp_lan *, uint16_t port);

/* Writes a datagram of `length` zeros from `source`, its UDP checksum zero (not computed). */
size_t udp_lan_write(uint8_t *packet, uint32_t source, uint16_t source_port,
                     uint16_t destination_port, size_t length);

/* Lets such a datagram arrive. */
void udp_lan_input(struct udp_lan *, uint32_t source, uint16_t source_port, uint16_t port,
                   size_t length);

/* Takes a datagram into a buffer of 64 bytes; returns what udp_receive does. */
ssize_t udp_lan_receive(struct udp_lan *, char *bytes);

/* Fails unless nothing is queued. */
void udp_lan_expect_empty(struct udp_lan *);

/* Sends a text; returns what udp_send does. */
int udp_lan_send(struct udp_lan *, const char *text, const struct address *to, uint16_t port);

#endif

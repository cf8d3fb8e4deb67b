/* SPDX-License-Identifier: MIT */
/*
 * A host without a device: a stack, an echo server on it, and on its link a made-up peer that holds
 * any number of connections to it, of which it remembers two numbers each. Nothing but the stack
 * costs anything here: no system call, no kernel.
 */
#ifndef TESTS_BENCH_PEER_H
#define TESTS_BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strait.h"

#define PEER_MSS 1460

/* The peer's end of a connection. */
struct peer_connection {
    uint32_t seq;  /* what it sends next */
    uint32_t ack;  /* what it expects next */
    uint32_t edge; /* of the window that it was offered */
    bool open;     /* the SYN was answered */
};

struct peer {
    struct strait_link link;
    struct strait *stack;
    struct peer_connection *connections;
    size_t count;
    int *accepted; /* the host's ends, in the order in which they came */
    size_t accepted_count;
    bool asleep; /* the server reads nothing of what is accepted from now on */
    uint64_t now_ns;
};

/* Makes the host with room for so many connections; a failure ends all. */
struct peer *peer_new(size_t count);
void peer_free(struct peer *);

/* Gives the stack a segment of the connection of that number: flags, and so many bytes of text. */
void peer_send(struct peer *, size_t number, uint8_t flags, uint32_t length);

/* Gives it one each of several connections, which a link would have read at once: so it tells of
 * them all before the first. Flags, and so few bytes of text that each is a short packet. */
#define PEER_BATCH_MAX   16
#define PEER_SHORT_BYTES 64
void peer_send_each(struct peer *, const uint32_t *numbers, size_t count, uint8_t flags,
                    uint32_t length);

/* Lets the host do what there is to do, after so much time. */
void peer_turn(struct peer *, uint64_t later_ns);

/* Opens a connection, and has a byte echoed on it unless the server is asleep. */
void peer_open(struct peer *, size_t number);

#define PEER_FIN 1u
#define PEER_SYN 2u
#define PEER_PSH 8u
#define PEER_ACK 16u

#endif

/* SPDX-License-Identifier: MIT */
/*
 * One end of a TCP connection in a pair, driven by its socket's callbacks: sends what it is given,
 * collects what arrives, and notes how the connection ends. Failures of the sockets themselves fail
 * the test.
 */
#ifndef TESTS_UNIT_TALKER_H
#define TESTS_UNIT_TALKER_H

#include <stdbool.h>
#include <stddef.h>

#include "pair.h"

struct talker {
    struct pair *pair;
    int host;
    int fd;
    const char *sending; /* what is left to be sent */
    size_t sending_bytes;
    bool finish;    /* shut the write side down after the last byte */
    bool deaf;      /* reads nothing */
    char *received; /* and a NUL behind; NULL before the first read */
    size_t received_bytes, capacity;
    bool ended; /* the peer has finished */
    int error;  /* the connection has failed; 0 */
};

/* Connects from one host to a port of the other; what is said before it is connected waits. */
struct talker *talker_connect(struct pair *, int from, uint16_t port);

/* Takes over a connected or connecting non-blocking socket of a host. */
struct talker *talker_adopt(struct pair *, int host, int fd);

/* Sends bytes, which are borrowed until they have been sent; one piece at a time. */
void talker_say(struct talker *, const void *bytes, size_t length);

/* Sends no more after what has been said. */
void talker_finish(struct talker *);

/* Stops or starts reading. */
void talker_be_deaf(struct talker *, bool deaf);

/* Lets the world go on until so much has arrived in all, or until the connection has ended. */
void talker_hear(struct talker *, size_t bytes);
void talker_hear_end(struct talker *);

/* Closes the socket and frees the talker. */
void talker_close(struct talker *);

#endif

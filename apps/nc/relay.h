/* SPDX-License-Identifier: MIT */
/*
 * Carries bytes between a connected socket of a stack and two descriptors of the machine, as fast
 * as the slower side of each way takes them: each way holds 64 KiB at most. The end of the input
 * becomes a half-close, if the socket is a stream; the peer's half-close ends the output.
 */
#ifndef NC_RELAY_H
#define NC_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "strait.h"

/* How a relay has ended. */
enum relay_end {
    RELAY_DONE,         /* all is carried */
    RELAY_IDLE,         /* nothing came for too long */
    RELAY_SOCKET_ERROR, /* with an errno, as are those that follow */
    RELAY_INPUT_ERROR,
    RELAY_OUTPUT_ERROR,
};

struct relay_config {
    struct strait *stack;
    struct strait_env *env;
    int fd;              /* the socket: connected, non-blocking, the caller's; not watched */
    int input, output;   /* of the machine; they stay open */
    bool datagrams;      /* each piece of input is a datagram, and nothing tells the end */
    bool ends_with_peer; /* does not wait for the end of the input once the peer has finished */
    uint64_t idle_ns;    /* 0: waits for ever */
    void (*ended)(void *context, enum relay_end, int errno_number);
    void *context;
};

struct relay;

/* Begins. The configuration is copied. Returns NULL with ENOMEM. */
struct relay *relay_start(const struct relay_config *);

/* Ends it at once, if it has not ended. NULL is allowed. */
void relay_free(struct relay *);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Byte streams over connections, sent and compared byte by byte as they go. A stream is computed
 * from its seed by both sides, so nothing is kept and a gigabyte costs no memory. One thread moves
 * many transfers at once, over the kernel's sockets or over Strait's.
 */
#ifndef INTEROP_TRANSFER_H
#define INTEROP_TRANSFER_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "strait.h"

/* The socket calls of one stack. `send` and `recv` do not block: they fail with EAGAIN. */
struct transport {
    ssize_t (*send)(struct strait *, int fd, const void *, size_t);
    ssize_t (*recv)(struct strait *, int fd, void *, size_t);
    int (*shutdown)(struct strait *, int fd, int how);
    int (*poll)(struct strait *, struct pollfd *, nfds_t, int timeout_ms);
    struct strait *stack; /* NULL for the kernel's */
};

extern const struct transport kernel_transport;
struct transport strait_transport(struct strait *);

struct stream;

/* A connection with what is to be sent and what has to be received. */
struct transfer {
    int fd;
    uint64_t send_bytes, receive_bytes;
    bool keep_open; /* sends no FIN after the last byte, and expects none */
    uint64_t sent, received;
    bool ended;    /* the other side's FIN was seen */
    bool finished; /* all sent, all received, and the end of both directions seen */
    struct stream *out, *in;
};

/* Prepares a transfer over a connected descriptor, which stays the caller's. */
void transfer_init(struct transfer *, int fd, uint64_t send_seed, uint64_t send_bytes,
                   uint64_t receive_seed, uint64_t receive_bytes);

/* An echo: what is sent has to come back. */
void transfer_init_echo(struct transfer *, int fd, uint64_t seed, uint64_t bytes);

void transfer_finish(struct transfer *);

/*
 * Moves all transfers to their end. Returns 0, or -1 with a line in `error`: a wrong byte, an early
 * or a missing end, an error of a socket, or `timeout_ms` without an end.
 */
int transfer_run(const struct transport *, struct transfer *, size_t count, int timeout_ms,
                 char *error, size_t error_bytes);

/*
 * Only sends, until nothing could be sent for `quiet_ms`: all is sent, or both ends' buffers are
 * full because nobody reads. Returns 0, or -1 with errno.
 */
int transfer_fill(const struct transport *, struct transfer *, int quiet_ms);

/* Milliseconds of the monotonic clock. */
uint64_t now_ms(void);

#endif

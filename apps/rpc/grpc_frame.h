/* SPDX-License-Identifier: MIT */
/*
 * Messages as gRPC frames them in the body of a stream: a byte that says whether it is compressed,
 * the length in 4 bytes, and the message. Both ends use this.
 */
#ifndef APPS_RPC_GRPC_FRAME_H
#define APPS_RPC_GRPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_FRAME_HEAD_BYTES 5
#define GRPC_FRAME_SMALL      120 /* what is no longer needs no memory of its own */

/* Bytes that grow; all zero is none. */
struct grpc_bytes {
    uint8_t *grown; /* NULL: they are in `small` */
    size_t length, room;
    uint8_t small[GRPC_FRAME_SMALL];
};

const uint8_t *grpc_bytes(const struct grpc_bytes *);

/* Returns whether there was memory. */
bool grpc_bytes_add(struct grpc_bytes *, const uint8_t *bytes, size_t length);

/* Takes away so many of the first. */
void grpc_bytes_drop(struct grpc_bytes *, size_t length);

/* Frees them; they are none then. */
void grpc_bytes_free(struct grpc_bytes *);

/* A message with its head behind them. Returns as grpc_bytes_add. */
bool grpc_frame_add(struct grpc_bytes *, const uint8_t *message, size_t length);

/* ---- Reading ---- */

enum grpc_frame_state {
    GRPC_FRAME_PARTIAL, /* or of which nothing has come: see `head_bytes` */
    GRPC_FRAME_WHOLE,   /* `message` is */
    GRPC_FRAME_COMPRESSED,
    GRPC_FRAME_LONG, /* more than `max` */
    GRPC_FRAME_NO_MEMORY,
};

struct grpc_frame {
    enum grpc_frame_state state;
    size_t max; /* of a message; set it */
    size_t head_bytes, length;
    uint8_t head[GRPC_FRAME_HEAD_BYTES];
    struct grpc_bytes message;
};

/*
 * Takes what belongs to the message of the next bytes, in however many pieces they come. Memory
 * follows what has come, not what has been promised. Returns how many it has taken: fewer than were
 * given once it is not partial any more.
 */
size_t grpc_frame_feed(struct grpc_frame *, const uint8_t *bytes, size_t length);

/* Makes ready for the next message. */
void grpc_frame_next(struct grpc_frame *);

#endif

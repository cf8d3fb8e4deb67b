/* SPDX-License-Identifier: MIT */
/*
 * What both ends of HTTP/2 share: the way of nghttp2's output into a stream. nghttp2 does no I/O:
 * it is given what has arrived, and asked for what is to be sent.
 */
#ifndef APPS_RPC_H2_H
#define APPS_RPC_H2_H

#include <nghttp2/nghttp2.h>
#include <stddef.h>
#include <stdint.h>

#include "stream.h"

#define H2_SCRATCH_BYTES     65536       /* gathered for one write, or read at once */
#define H2_QUEUE_MAX         10000       /* frames that may wait for a peer that does not read */
#define H2_STREAM_WINDOW     (256 << 10) /* bytes that a peer may send before they are taken */
#define H2_CONNECTION_WINDOW (1 << 20)

struct h2 {
    nghttp2_session *session;
    uint8_t *rest; /* of the last write: what the stream did not take; NULL: none */
    size_t rest_bytes, rest_sent;
};

enum h2_progress {
    H2_SENT,    /* all that there is to send for now */
    H2_PENDING, /* the stream takes no more for now */
    H2_FAILED,  /* the connection, or memory */
};

/* Sends what there is. `scratch` has H2_SCRATCH_BYTES. */
enum h2_progress h2_flush(struct h2 *, struct stream *, uint8_t *scratch);

void h2_free(struct h2 *);

/* Options of both ends: nothing that reads a clock, and windows that follow the reader. Returns
 * NULL when memory is short; to be freed with nghttp2_option_del. */
nghttp2_option *h2_options(void);

/* Says the settings of an end, and opens the window of the connection. A client takes no streams:
 * 0. Returns 0 or an error of nghttp2. */
int h2_begin(nghttp2_session *, uint32_t streams_max, uint32_t header_bytes_max);

/* A header field whose name and value live as long as the program. */
#define H2_STATIC(name, value)                                                                     \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1,                \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE                           \
    }

/* One whose name does, and whose value is copied. */
#define H2_FIELD(name, value, length)                                                              \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, (length),                         \
            NGHTTP2_NV_FLAG_NO_COPY_NAME                                                           \
    }

/* The same for a value that no other request has. In the table of what was sent it would only stand
 * in the way: each search would compare it, and it would drive out what comes again. */
#define H2_UNIQUE(name, value, length)                                                             \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, (length),                         \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_INDEX                                \
    }

#endif

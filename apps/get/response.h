/* SPDX-License-Identifier: MIT */
/* One response of HTTP/1 as it arrives (RFC 9112, parsed by http-parser): what its head says that
 * matters to a download, and its body without the chunks that it may have come in. */
#ifndef GET_RESPONSE_H
#define GET_RESPONSE_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RESPONSE_FIELD_BYTES                                                                       \
    2048 /* of a field that is kept, with its end; a longer one is empty                           \
          */
#define RESPONSE_UNKNOWN UINT64_MAX

struct response {
    /* Of the head, once `head_done`. */
    bool head_done;
    unsigned status;
    char reason[64];
    uint64_t length; /* of the body, or RESPONSE_UNKNOWN */
    char location[RESPONSE_FIELD_BYTES];
    /* Content-Range (RFC 9110 14.4): bytes FIRST to LAST of TOTAL, each perhaps RESPONSE_UNKNOWN */
    uint64_t range_first, range_last, range_total;

    bool done;         /* the body is whole */
    const char *error; /* what was wrong, in words; NULL: nothing */

    /* Takes a part of the body. */
    void (*body)(void *context, const char *bytes, size_t length);
    void *context;

    /* Private to response.c. */
    http_parser parser;
    size_t reason_bytes;
    char field[16]; /* the name of the field under way, as much as fits */
    size_t field_bytes;
    char value[RESPONSE_FIELD_BYTES];
    size_t value_bytes;
    bool in_value;
};

/* Makes ready for a response to a GET. */
void response_init(struct response *, void (*body)(void *context, const char *bytes, size_t length),
                   void *context);

/*
 * Takes bytes of the connection, `length` at least 1. Stops where the head ends, so that it can be
 * looked at before the body comes. Informational responses are passed over. Returns how many bytes
 * were taken; all of them, or `head_done`, `done` or `error` says why not.
 */
size_t response_feed(struct response *, const char *bytes, size_t length);

/* The connection has ended, which may be the end of the body, or an error. */
void response_close(struct response *);

#endif

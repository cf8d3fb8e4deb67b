/* SPDX-License-Identifier: MIT */
/* What answers requests below a path of an HTTP server, in place of files; now, or later. */
#ifndef APPS_HTTP_GATE_H
#define APPS_HTTP_GATE_H

#include <stddef.h>
#include <stdint.h>

#include "http/request.h"

#define HTTP_GATES_MAX 8

/* A request that waits for its answer. */
struct http_exchange;

struct http_gate {
    const char *prefix; /* "/rpc/" */
    size_t body_max;    /* bytes; beyond it 413 */
    /*
     * Takes a request of any method, which is borrowed for the call, and sees to it that
     * http_exchange_answer is called once: before this returns, which then is NULL; or later,
     * unless what this returns is cancelled before.
     */
    void *(*ask)(void *context, struct http_exchange *, const struct http_request *);
    void (*cancel)(void *asked);
    /*
     * May answer, before it returns, in the gate's own form a request that HTTP refuses with
     * `status`, such as one whose body is too long; what it leaves is answered as for a file. NULL:
     * it leaves all.
     */
    void (*refuse)(void *context, struct http_exchange *, const struct http_request *);
    void *context;
};

/* A body that is read piece by piece, as the peer takes it. */
struct http_source {
    /* Reads at most `length` bytes at `offset`. Returns how many; 0 if there are none to be had. */
    size_t (*read)(struct http_source *, void *bytes, size_t length, uint64_t offset);
    void (*release)(struct http_source *);
};

#define HTTP_REPLY_FIELDS_BYTES 96

struct http_reply {
    unsigned status;
    const char *type;           /* of the body, static; NULL: there is none */
    char *body;                 /* of malloc, and the server's from now on */
    struct http_source *source; /* in place of it, and the server's too */
    uint64_t length;
    /* Further field lines, each with its end, in less than HTTP_REPLY_FIELDS_BYTES; or NULL. */
    const char *fields;
};

/* Copies the reply. One with a type and neither body nor source, as after a failed malloc, becomes
 * 503. */
void http_exchange_answer(struct http_exchange *, const struct http_reply *);

#endif

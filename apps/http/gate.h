/* SPDX-License-Identifier: MIT */
/* What answers POST below a path of an HTTP server, in place of files; now, or later. */
#ifndef APPS_HTTP_GATE_H
#define APPS_HTTP_GATE_H

#include <stddef.h>

#include "http/request.h"

/* A request that waits for its answer. */
struct http_post;

struct http_gate {
    const char *prefix; /* "/rpc/" */
    size_t body_max;    /* bytes; beyond it 413 */
    /*
     * Takes a request, which is borrowed for the call, and sees to it that http_post_answer is
     * called once: before this returns, which then is NULL; or later, unless what this returns is
     * cancelled before.
     */
    void *(*ask)(void *context, struct http_post *, const struct http_request *);
    void (*cancel)(void *asked);
    void *context;
};

/* `body` is of malloc, and the server's from now on; NULL, of a failed malloc, is answered by 503.
 */
void http_post_answer(struct http_post *, unsigned status, const char *type, char *body,
                      size_t length);

#endif

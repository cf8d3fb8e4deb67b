/* SPDX-License-Identifier: MIT */
/*
 * An HTTP/1.1 server: GET and HEAD of the files below a directory (RFC 9110, RFC 9112), with gates
 * beside them (http/gate.h), conditions and ranges, lists of directories without an index,
 * persistent connections, and pipelined requests answered in order.
 *
 * At most 1024 connections: beyond that the one that has waited longest for a request is closed for
 * a new one, else the one that has been sending its request longest; if all are being answered the
 * new ones wait in the listener's backlog. A request has to bring its head within 10
 * seconds (408). A connection is ended after 60 seconds without a request or with an incomplete
 * body, or if its peer has taken nothing of a response for as long; and by a reset if a file is
 * written to or cut while it is sent.
 */
#ifndef APPS_HTTP_HTTP_H
#define APPS_HTTP_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "http/gate.h"
#include "server.h"

struct http_config {
    uint16_t port;
    const char *root; /* a directory of the environment; NULL: one built-in page */

    /* Copied; NULL ends them. The first whose prefix fits has a request. */
    const struct http_gate *gates[HTTP_GATES_MAX];

    /* Takes a line of the access log, with its end, for each request that was answered; or NULL. */
    void (*log)(void *log_context, const char *line, size_t length);
    void *log_context;
};

/*
 * Starts the server; to be ended with server_stop and server_free. The configuration is copied.
 * Returns NULL with errno: what file_open says of the root, or see server_start.
 */
struct server *http_start(struct strait *, struct strait_env *, const struct http_config *);

/* The same on streams of any kind; to one that sends files bytes can be lent (stream_lend). */
struct server *http_start_at(const struct stream_host *, const struct http_config *);

#endif

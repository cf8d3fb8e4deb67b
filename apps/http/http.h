/* SPDX-License-Identifier: MIT */
/*
 * A small HTTP/1.1 server: GET and HEAD of the files below a directory (RFC 9110, RFC 9112), with
 * persistent connections and pipelined requests answered in order. At most 256 connections; further
 * ones wait in the listener's backlog. A connection is ended after 30 seconds without a request,
 * with an incomplete one, or with a response of which the peer has taken nothing more.
 */
#ifndef APPS_HTTP_HTTP_H
#define APPS_HTTP_HTTP_H

#include <stdint.h>

#include "server.h"

/*
 * Starts the server on a port; to be ended with server_stop and server_free. `root` is a directory
 * of the environment (copied; links in it are followed), or NULL: then one built-in page says what
 * this is. Returns NULL with errno (see server_start).
 */
struct server *http_start(struct strait *, struct strait_env *, uint16_t port, const char *root);

#endif

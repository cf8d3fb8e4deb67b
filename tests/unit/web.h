/* SPDX-License-Identifier: MIT */
/* The HTTP server on a pair of stacks in virtual time, with files in memory, and a client. */
#ifndef TESTS_UNIT_WEB_H
#define TESTS_UNIT_WEB_H

#include "http/http.h"
#include "pair.h"
#include "talker.h"

#define WEB_BULK_BYTES 3000000 /* several pieces, and more than all the buffers on the way */

/* The end of a head after whose request the server closes. */
#define WEB_CLOSE "Host: x\r\nConnection: close\r\n\r\n"

struct web {
    struct pair *pair;
    struct server *server;
    struct talker *client;
    char log[4096]; /* the access log, as a string, while there is room */
};

/* Setup of a group: the content of /srv/bulk, which is web_bulk. */
int web_fill_bulk(void **state);
extern char web_bulk[WEB_BULK_BYTES];

/*
 * Serves port 80 of host 1 from `root` (NULL: the built-in page), and connects a client. There are
 * /srv with index.html, hello.txt, "a b", empty, bulk, sub/index.html and bare/, and /secret.
 */
struct web *web_new(const char *root);

/* Frees it all; a file that is still open fails the test. */
void web_free(struct web *);

/* Says a request, after which the server closes, and returns all that is answered. */
const char *web_answer(struct web *, const char *request);

/* The start of the body behind the first head received, whose NULs all come later. */
const char *web_body(const struct talker *client);

/* One server on /srv, one request: the answer begins so, and contains the line. */
void web_expect(const char *request, const char *status_line, const char *line);

/*
 * Lets the client read again: fails unless what it gets ends in a reset and its session is over.
 * Frees it all.
 */
void web_expect_reset(struct web *);

#endif

/* SPDX-License-Identifier: MIT */
#include "glutton.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The room for a body is doubled as it comes: beyond the half it is the whole. */
#define SAID_BYTES (HTTP_BODIES_MAX / 2 + 1)

static void *ask(void *context, struct http_exchange *exchange, const struct http_request *request)
{
    (void)context, (void)exchange, (void)request;
    fail_msg("the body has no end");
    return NULL;
}

const struct http_gate glutton_gate = {
    .prefix = "/glutton", .body_max = HTTP_BODIES_MAX, .ask = ask};

struct talker *glutton_connect(struct pair *pair, uint16_t port)
{
    char *body = calloc(1, SAID_BYTES), head[100];
    struct talker *t = talker_connect(pair, 0, port);
    assert_non_null(body);
    int length =
        snprintf(head, sizeof(head),
                 "PUT /glutton HTTP/1.1\r\nHost: x\r\nContent-Length: %u\r\n\r\n", HTTP_BODIES_MAX);
    talker_say(t, head, (size_t)length);
    while (t->sending_bytes > 0)
        pair_run(pair, PAIR_MS);
    talker_say(t, body, SAID_BYTES);
    while (t->sending_bytes > 0)
        pair_run(pair, PAIR_MS);
    pair_run(pair, PAIR_S); /* what is on its way arrives */
    free(body);
    return t;
}

/* SPDX-License-Identifier: MIT */
/* The key-value store by HTTP, over a node that is stood in for. */
#ifndef TESTS_UNIT_SHOP_H
#define TESTS_UNIT_SHOP_H

#include "http/http.h"
#include "kv/http.h"
#include "standin.h"
#include "talker.h"

#define SHOP_PORT 80

struct shop {
    struct pair *pair;
    struct standin standin;
    struct kv_http *gates;
    struct server *server;
    char directory[64];
    char request[16384];
    struct talker *talker;
};

struct shop *shop_new(void);
void shop_free(struct shop *);

/* Says a request on a new connection; `fields` are whole lines. */
void shop_say(struct shop *, const char *line, const char *fields, const char *body);

/* The answer to a request, which has this status; returns its body. */
const char *shop_ask(struct shop *, const char *line, const char *fields, const char *body,
                     int status);

/* What the last answer has, and has not. */
void shop_expect_field(const struct shop *, const char *line);
void shop_expect_no_field(const struct shop *, const char *name);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A download by HTTP/1.1: asks for a URL or the rest of it, follows redirections, and hands on the
 * body. It runs on socket callbacks of any environment.
 */
#ifndef GET_GET_H
#define GET_GET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "get/url.h"
#include "strait.h"

#define GET_REDIRECTIONS_MAX 5
#define GET_UNKNOWN          UINT64_MAX

/* At most so many bytes of the body come between two looks at `full`. */
#define GET_PIECE_BYTES 65536

struct get_config {
    struct strait *stack;
    struct strait_env *env;
    struct url url;
    struct in_addr address; /* of the URL's host */
    uint64_t have;          /* bytes that there are already: the rest is asked for */

    /*
     * The body will come now, from this byte on: `have`, or 0 if the server sends all of it.
     * `total` is the length of the whole, or GET_UNKNOWN. Returns false if it cannot be taken.
     */
    bool (*begin)(void *context, uint64_t first, uint64_t total);
    /* A part of the body. Returns false if it cannot be taken. */
    bool (*body)(void *context, const char *bytes, size_t length);
    /* The words for an errno: strerror. */
    const char *(*words)(int errno_number);
    /* Whether no more is to come, until get_resume. */
    bool (*full)(void *context);
    /*
     * It has ended. `error` says in words what has failed, NULL: nothing, or what a function above
     * has refused. Not called from within get_start.
     */
    void (*ended)(void *context, bool whole, const char *error);
    void *context;
};

struct get;

/* Begins. The configuration is copied. Returns NULL with ENOMEM. */
struct get *get_start(const struct get_config *);

/* There is room again. */
void get_resume(struct get *);

/* Ends it, if it has not ended, and closes its connection. NULL is allowed. */
void get_free(struct get *);

#endif

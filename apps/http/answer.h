/* SPDX-License-Identifier: MIT */
/* What a request is answered with: a status, a head, and where the body comes from. */
#ifndef APPS_HTTP_ANSWER_H
#define APPS_HTTP_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "http/date.h"
#include "http/gate.h"
#include "http/request.h"
#include "http/site.h"

/* Room for any head: the fields of fixed size, and the Location, a part of the target. */
#define HTTP_ANSWER_HEAD_BYTES (HTTP_TARGET_BYTES_MAX + 1024)

struct http_answer {
    unsigned status;
    const char *type;           /* of the body; NULL: there is none, not even for GET */
    uint64_t length;            /* of the body, which HEAD is not sent */
    const char *text;           /* the body; NULL: it is a part of the file, or empty */
    char *page;                 /* that text, if it is to be freed; else NULL */
    struct http_source *source; /* of the body, to be released; NULL: none */
    struct site_file *file;     /* what is asked for, to be released; NULL: it is no file */
    bool from_future;           /* the file, by its time: it is told to be of now */
    uint64_t first;             /* of the file's bytes that is sent */
    const char *moved;          /* with 301: the path to which a slash is to be added */
    size_t moved_bytes;
    char words[64];                       /* room for a text */
    char fields[HTTP_REPLY_FIELDS_BYTES]; /* further lines of the head */
};

/*
 * Answers a request that is done from a site; NULL is the site that is one built-in page. `now` is
 * in seconds since 1970. To be ended by http_answer_release.
 */
void http_answer(struct http_answer *, struct site *, const struct http_request *, int64_t now);

/* Makes an answer that is nothing but its status. */
void http_answer_status(struct http_answer *, unsigned status);

/* Makes the answer of a gate. */
void http_answer_reply(struct http_answer *, const struct http_reply *);

void http_answer_release(struct http_answer *, struct site *);

/* Writes the head, with `date` as http_date_format has it. Returns its length. */
size_t http_answer_head(const struct http_answer *, const struct http_request *, const char *date,
                        bool close_after, char text[HTTP_ANSWER_HEAD_BYTES]);

#endif

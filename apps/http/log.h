/* SPDX-License-Identifier: MIT */
#ifndef APPS_HTTP_LOG_H
#define APPS_HTTP_LOG_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "http/request.h"

#define HTTP_LOG_BYTES 8192 /* room for any line */

/* What an access log tells of one answered request. */
struct http_record {
    struct in_addr peer;
    int64_t time; /* of the answer, seconds since 1970 */
    const struct http_request *request;
    unsigned status;
    uint64_t body_bytes; /* that were sent */
};

/*
 * Writes a line, with its end, in Apache's "combined" format. What the peer has sent stands in it
 * escaped (\xHH), so that it cannot forge a line, and cut at some length. Returns the line's
 * length.
 */
size_t http_log_line(const struct http_record *, char text[HTTP_LOG_BYTES]);

#endif

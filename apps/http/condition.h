/* SPDX-License-Identifier: MIT */
/* Conditional requests (RFC 9110 13) and ranges (RFC 9110 14), for GET and HEAD. */
#ifndef APPS_HTTP_CONDITION_H
#define APPS_HTTP_CONDITION_H

#include <stdbool.h>
#include <stdint.h>

#include "http/request.h"

#define HTTP_NO_DATE INT64_MIN /* conditions on dates are then passed over (RFC 9110 13.1.3) */

/* What the server has. */
struct http_version {
    const char *etag; /* a strong one, with its quotes */
    int64_t modified; /* seconds since 1970, at most `now`; or HTTP_NO_DATE */
    int64_t now;
};

/*
 * What the request's conditions come to (RFC 9110 13.2.2). Returns 0 (go on), 304 or 412. A
 * condition that cannot be understood is no condition.
 */
unsigned http_condition(const struct http_request *, const struct http_version *);

enum http_range { HTTP_WHOLE, HTTP_PART, HTTP_UNSATISFIABLE };

/*
 * Which part is asked for of `size` bytes: from `*first` to `*last`, both included. Several ranges,
 * another unit, or what cannot be understood, ask for the whole (RFC 9110 14.2), as does an
 * If-Range that does not hold.
 */
enum http_range http_range(const struct http_request *, const struct http_version *, uint64_t size,
                           uint64_t *first, uint64_t *last);

#endif

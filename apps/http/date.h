/* SPDX-License-Identifier: MIT */
/* Dates of HTTP (RFC 9110 5.6.7) and of access logs; seconds since 1970 in UTC, leap seconds not
 * counted. */
#ifndef APPS_HTTP_DATE_H
#define APPS_HTTP_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_DATE_BYTES 32 /* room for either form, and a NUL */

/* "Sun, 06 Nov 1994 08:49:37 GMT"; a time before 1970 or after 9999 becomes the nearest within. */
void http_date_format(int64_t seconds, char text[HTTP_DATE_BYTES]);

/* "06/Nov/1994:08:49:37 +0000", likewise. */
void http_date_format_log(int64_t seconds, char text[HTTP_DATE_BYTES]);

/*
 * Reads a date in any of the three forms. `now` tells which century two digits of a year mean.
 * Returns false if it is none.
 */
bool http_date_parse(const char *text, size_t length, int64_t now, int64_t *seconds);

#endif

/* SPDX-License-Identifier: MIT */
/* URLs of the scheme http (RFC 9110 4.2.1, RFC 3986), as far as a client needs them. */
#ifndef GET_URL_H
#define GET_URL_H

#include <stddef.h>
#include <stdint.h>

#define URL_HOST_BYTES   256  /* of a name in the DNS, with its end */
#define URL_TARGET_BYTES 2048 /* of path and query, with their end */

struct url {
    char host[URL_HOST_BYTES]; /* a name, or an IPv4 address in digits */
    uint16_t port;
    char target[URL_TARGET_BYTES]; /* what is asked for: path and query, with a '/' in front */
};

/* Reads an absolute URL. Returns NULL, or what is wrong with it, in words. */
const char *url_parse(struct url *, const char *text);

/*
 * Reads what a Location field says (RFC 9110 10.2.2), which may be relative to the URL that was
 * asked for. Dots in a relative path are left to the server. `url` and `base` may be the same.
 * Returns as above.
 */
const char *url_join(struct url *, const struct url *base, const char *location);

#endif

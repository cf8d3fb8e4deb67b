/* SPDX-License-Identifier: MIT */
#include "get/url.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SCHEME       "http://"
#define PORT_DEFAULT 80

static const char too_long[] = "the URL is too long";

/* Whether only characters stand in it that a URL can have (RFC 3986 2). */
static bool is_clean(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

/* Reads the port behind the colon; an empty one is the default one (RFC 3986 6.2.3). */
static bool read_port(const char *text, size_t length, uint16_t *port)
{
    unsigned long value = 0;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)text[i]) || value > UINT16_MAX)
            return false;
        value = value * 10 + (unsigned long)(text[i] - '0');
    }
    *port = length == 0 ? PORT_DEFAULT : (uint16_t)value;
    return length == 0 || (value > 0 && value <= UINT16_MAX);
}

/* Reads "host:port" of `length` characters. */
static const char *read_authority(struct url *url, const char *text, size_t length)
{
    const char *colon = memchr(text, ':', length);
    size_t host_length = colon ? (size_t)(colon - text) : length;
    if (memchr(text, '@', length))
        return "names and passwords are not supported in a URL";
    if (length > 0 && text[0] == '[')
        return "IPv6 is not spoken";
    if (host_length == 0)
        return "the host is missing in the URL";
    if (host_length >= sizeof(url->host))
        return too_long;
    url->port = PORT_DEFAULT;
    if (colon && !read_port(colon + 1, length - host_length - 1, &url->port))
        return "the port in the URL is no number from 1 to 65535";
    memcpy(url->host, text, host_length);
    url->host[host_length] = '\0';
    return NULL;
}

/* Stores `kept` characters of the base's path, and then path and query of `text`. */
static const char *store_target(struct url *url, const char *kept, size_t kept_length,
                                const char *text)
{
    char target[URL_TARGET_BYTES];
    size_t length = strcspn(text, "#"); /* the fragment is the client's own: RFC 9110 4.1 */
    const char *slash = kept_length == 0 && text[0] != '/' ? "/" : "";
    int written = snprintf(target, sizeof(target), "%.*s%s%.*s", (int)kept_length, kept, slash,
                           (int)length, text);
    if (written < 0 || (size_t)written >= sizeof(target))
        return too_long;
    memcpy(url->target, target, sizeof(target));
    return NULL;
}

const char *url_parse(struct url *url, const char *text)
{
    if (strlen(text) > URL_HOST_BYTES + URL_TARGET_BYTES)
        return too_long;
    if (!is_clean(text))
        return "a URL has no spaces or special characters; write them as %20";
    if (strncasecmp(text, SCHEME, strlen(SCHEME)) != 0)
        return strstr(text, "://") ? "only http:// is spoken" : "a URL begins with http://";
    text += strlen(SCHEME);
    size_t length = strcspn(text, "/?#");
    const char *wrong = read_authority(url, text, length);
    return wrong ? wrong : store_target(url, "", 0, text + length);
}

const char *url_join(struct url *url, const struct url *base, const char *location)
{
    char absolute[sizeof(SCHEME) + URL_HOST_BYTES + URL_TARGET_BYTES];
    size_t path = strcspn(base->target, "?");
    size_t colon = strcspn(location, ":/?#");
    if (location[colon] == ':' && colon > 0)
        return url_parse(url, location);
    if (strncmp(location, "//", 2) == 0) {
        if (strlen(location) > URL_HOST_BYTES + URL_TARGET_BYTES)
            return too_long;
        snprintf(absolute, sizeof(absolute), "http:%s", location);
        return url_parse(url, absolute);
    }
    if (!is_clean(location))
        return "the new URL has spaces or special characters";
    struct url joined = *base;
    const char *wrong;
    if (location[0] == '/')
        wrong = store_target(&joined, "", 0, location);
    else if (location[0] == '?')
        wrong = store_target(&joined, base->target, path, location);
    else if (location[0] == '\0' || location[0] == '#')
        wrong = NULL;
    else {
        while (base->target[path - 1] != '/')
            path--;
        wrong = store_target(&joined, base->target, path, location);
    }
    if (!wrong)
        *url = joined;
    return wrong;
}

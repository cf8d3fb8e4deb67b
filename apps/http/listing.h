/* SPDX-License-Identifier: MIT */
#ifndef APPS_HTTP_LISTING_H
#define APPS_HTTP_LISTING_H

#include <stddef.h>

#include "strait.h"

/*
 * Writes an HTML page with the names in an open directory, sorted; those that begin with a dot are
 * left out, and so is what goes beyond 4096 names or 256 KiB (the page says so). `path` is that of
 * the directory on the site, for the title. Returns the page, to be freed, or NULL with errno.
 */
char *http_listing(struct strait_env *, int directory, const char *path, size_t *length);

#endif

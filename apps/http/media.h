/* SPDX-License-Identifier: MIT */
#ifndef APPS_HTTP_MEDIA_H
#define APPS_HTTP_MEDIA_H

/* The media type of a file by its name's suffix; application/octet-stream if it tells nothing. */
const char *http_media_type(const char *path);

#endif

/* SPDX-License-Identifier: MIT */
/* A copy of a node's database, as the body of an HTTP answer. */
#ifndef KV_DOWNLOAD_H
#define KV_DOWNLOAD_H

#include "http/gate.h"

/*
 * Opens a file of SQLite's file system to be read as a body; it is removed when the body is
 * released, and `released` is called. Returns NULL if it cannot be opened.
 */
struct http_source *kv_download_open(const char *path, uint64_t *length,
                                     void (*released)(void *context), void *context);

/* Removes what is left of an earlier one, if there is any. */
void kv_download_remove(const char *path);

#endif

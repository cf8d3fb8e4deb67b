/* SPDX-License-Identifier: MIT */
/* A GET by HTTP of what a node tells of itself, or of its database, on a stream of any kind. */
#ifndef KV_FETCH_H
#define KV_FETCH_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream.h"

/* Nothing has come for so long: it has failed. */
#define KV_FETCH_SILENCE_NS UINT64_C(10000000000)

struct kv_fetch;

struct kv_fetch_config {
    struct stream_host host;
    struct sockaddr_in server;
    const char *target; /* "/status"; borrowed for the call */
    /* A part of the body. Returns false if it cannot be taken; then it has failed. */
    bool (*body)(void *context, unsigned status, const char *bytes, size_t length);
    /* It has ended: whole, with a status; or `error` says in words why not. */
    void (*ended)(void *context, unsigned status, const char *error);
    void *context;
};

/* Returns NULL with errno: ENOMEM, or of stream_connect. */
struct kv_fetch *kv_fetch_start(const struct kv_fetch_config *);

/* Ends it, untold if it has not ended. NULL is allowed. */
void kv_fetch_free(struct kv_fetch *);

#endif

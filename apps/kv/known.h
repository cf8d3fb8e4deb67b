/* SPDX-License-Identifier: MIT */
/*
 * What is known of the clients that were heard lately, so that the tables need not be asked: a
 * bounded copy of rows of `client` (journal.h), of which any may be missing.
 */
#ifndef KV_KNOWN_H
#define KV_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KV_KNOWN_SETS 4096
#define KV_KNOWN_WAYS 4 /* clients of one set */

struct kv_known_client {
    uint64_t client;  /* 0: free */
    uint64_t highest; /* no request above it has results; not in the table */
    uint64_t retired;
    int64_t results, used_ms;
    bool ended;
    uint64_t used; /* when, by the count of uses */
};

struct kv_known {
    struct kv_known_client (*sets)[KV_KNOWN_WAYS]; /* NULL: memory was short, nothing is known */
    uint64_t uses;
};

void kv_known_init(struct kv_known *);
void kv_known_free(struct kv_known *);

/* What is known of the client, or NULL; until the next kv_known_put. */
struct kv_known_client *kv_known_find(struct kv_known *, uint64_t client);

/* Keeps a copy of the client, which is not 0, maybe in place of the one of its set that was not
 * used for longest. */
void kv_known_put(struct kv_known *, const struct kv_known_client *);

void kv_known_forget(struct kv_known *, uint64_t client);
void kv_known_forget_all(struct kv_known *);

#endif

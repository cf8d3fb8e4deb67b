/* SPDX-License-Identifier: MIT */
/*
 * Small values that were read or written lately: a transaction reads each of its keys three times,
 * to judge, to vote and to commit. It is bounded, and what it holds is what the tables say.
 */
#ifndef KV_CACHE_H
#define KV_CACHE_H

#include "kv/messages.h"

#define KV_CACHE_SETS        4096
#define KV_CACHE_WAYS        8    /* keys of one set */
#define KV_CACHE_ENTRY_BYTES 2048 /* of key and value together; what is larger is not kept */

struct kv_cached {
    struct kv_blob *key; /* NULL: free */
    struct kv_result result;
    uint64_t used; /* when, by the count of uses */
};

/* The tags stand apart from what they are of, so that a look touches little memory. */
struct kv_cache_set {
    uint32_t tags[KV_CACHE_WAYS]; /* of the hash of the key */
    struct kv_cached entries[KV_CACHE_WAYS];
};

struct kv_cache {
    struct kv_cache_set *sets; /* NULL: memory was short, and nothing is kept */
    uint64_t uses;
    uint64_t hits, misses;
};

void kv_cache_init(struct kv_cache *);
void kv_cache_free(struct kv_cache *);

/* Whether the key is there; if so the result, with a reference to its value. */
bool kv_cache_get(struct kv_cache *, const struct kv_blob *key, struct kv_result *);

/* Keeps what was read or has been written, maybe in place of the key of its set that was not used
 * for longest. Of what is too large nothing is known any more. */
void kv_cache_put(struct kv_cache *, const struct kv_blob *key, const struct kv_result *);

#endif

/* SPDX-License-Identifier: MIT */
/* Each key has a set of few places, so that keys which a client has chosen to collide cost nobody
 * more than their own places. */
#include "kv/cache.h"

#include <stdlib.h>

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME  UINT64_C(0x100000001b3)

static struct kv_cached *set_of(const struct kv_cache *c, const struct kv_blob *key)
{
    uint64_t hash = FNV_OFFSET;

    for (size_t i = 0; i < key->length; i++)
        hash = (hash ^ key->bytes[i]) * FNV_PRIME;
    return c->sets[(hash ^ hash >> 32) % KV_CACHE_SETS];
}

static struct kv_cached *find(const struct kv_cache *c, const struct kv_blob *key)
{
    if (!c->sets || key->length > KV_CACHE_ENTRY_BYTES)
        return NULL;
    struct kv_cached *set = set_of(c, key);
    for (int i = 0; i < KV_CACHE_WAYS; i++)
        if (set[i].key && kv_blob_equal(set[i].key, key))
            return &set[i];
    return NULL;
}

static void clear(struct kv_cached *entry)
{
    kv_blob_release(entry->key);
    kv_blob_release(entry->result.value);
    *entry = (struct kv_cached){0};
}

void kv_cache_init(struct kv_cache *c)
{
    *c = (struct kv_cache){.sets = calloc(KV_CACHE_SETS, sizeof(c->sets[0]))};
}

void kv_cache_free(struct kv_cache *c)
{
    for (size_t i = 0; c->sets && i < KV_CACHE_SETS; i++)
        for (int way = 0; way < KV_CACHE_WAYS; way++)
            clear(&c->sets[i][way]);
    free(c->sets);
}

bool kv_cache_get(struct kv_cache *c, const struct kv_blob *key, struct kv_result *result)
{
    struct kv_cached *entry = find(c, key);

    if (!entry) {
        c->misses++;
        return false;
    }
    c->hits++;
    entry->used = ++c->uses;
    *result = entry->result;
    kv_blob_hold(result->value);
    return true;
}

void kv_cache_put(struct kv_cache *c, const struct kv_blob *key, const struct kv_result *result)
{
    size_t bytes = key->length + (result->value ? result->value->length : 0);

    if (!c->sets || bytes > KV_CACHE_ENTRY_BYTES)
        return;
    struct kv_cached *set = set_of(c, key), *oldest = &set[0];
    for (int i = 1; i < KV_CACHE_WAYS; i++)
        if (set[i].used < oldest->used)
            oldest = &set[i];
    clear(oldest);
    oldest->key = kv_blob_new(key->bytes, key->length);
    if (!oldest->key)
        return;
    oldest->result = *result;
    kv_blob_hold(oldest->result.value);
    oldest->used = ++c->uses;
}

void kv_cache_drop(struct kv_cache *c, const struct kv_blob *key)
{
    struct kv_cached *entry = find(c, key);

    if (entry)
        clear(entry);
}

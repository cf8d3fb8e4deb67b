/* SPDX-License-Identifier: MIT */
/* Each key has a set of few places, so that keys which a client has chosen to collide cost nobody
 * more than their own places. */
#include "kv/cache.h"

#include <stdlib.h>

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME  UINT64_C(0x100000001b3)

static uint64_t hash_of(const struct kv_blob *key)
{
    uint64_t hash = FNV_OFFSET;

    for (size_t i = 0; i < key->length; i++)
        hash = (hash ^ key->bytes[i]) * FNV_PRIME;
    return hash;
}

static struct kv_cache_set *set_of(const struct kv_cache *c, uint64_t hash)
{
    return &c->sets[(hash ^ hash >> 32) % KV_CACHE_SETS];
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

static struct kv_cached *find(const struct kv_cache *c, const struct kv_blob *key, uint64_t hash)
{
    if (!c->sets)
        return NULL;
    struct kv_cache_set *set = set_of(c, hash);
    for (int i = 0; i < KV_CACHE_WAYS; i++) {
        struct kv_cached *entry = &set->entries[i];
        if (set->tags[i] == tag_of(hash) && entry->key && kv_blob_equal(entry->key, key))
            return entry;
    }
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
            clear(&c->sets[i].entries[way]);
    free(c->sets);
}

bool kv_cache_get(struct kv_cache *c, const struct kv_blob *key, struct kv_result *result)
{
    struct kv_cached *entry = find(c, key, hash_of(key));

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

/* A place for a key that has none, or NULL. */
static struct kv_cached *add(struct kv_cache *c, const struct kv_blob *key, uint64_t hash)
{
    struct kv_blob *copy = c->sets ? kv_blob_new(key->bytes, key->length) : NULL;

    if (!copy)
        return NULL;
    struct kv_cache_set *set = set_of(c, hash);
    int least = 0; /* a free one, if there is one */
    for (int i = 1; i < KV_CACHE_WAYS; i++)
        if (set->entries[i].used < set->entries[least].used)
            least = i;
    clear(&set->entries[least]);
    set->tags[least] = tag_of(hash);
    set->entries[least].key = copy;
    return &set->entries[least];
}

void kv_cache_put(struct kv_cache *c, const struct kv_blob *key, const struct kv_result *result)
{
    size_t bytes = key->length + (result->value ? result->value->length : 0);
    uint64_t hash = hash_of(key);
    struct kv_cached *entry = find(c, key, hash);

    if (bytes > KV_CACHE_ENTRY_BYTES) {
        if (entry)
            clear(entry);
        return;
    }
    if (!entry && !(entry = add(c, key, hash)))
        return;
    kv_blob_hold(result->value);
    kv_blob_release(entry->result.value);
    entry->result = *result;
    entry->used = ++c->uses;
}

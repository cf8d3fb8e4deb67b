/* SPDX-License-Identifier: MIT */
/* Each client has a set of few places, so that clients who have chosen colliding names cost nobody
 * more than their own places. */
#include "kv/known.h"

#include <stdlib.h>
#include <string.h>

#define FACTOR UINT64_C(0x9e3779b97f4a7c15)

static struct kv_known_client *set_of(const struct kv_known *k, uint64_t client)
{
    return k->sets[(client * FACTOR >> 32) % KV_KNOWN_SETS];
}

static struct kv_known_client *find(const struct kv_known *k, uint64_t client)
{
    if (!k->sets || client == 0)
        return NULL;
    struct kv_known_client *set = set_of(k, client);
    for (int i = 0; i < KV_KNOWN_WAYS; i++)
        if (set[i].client == client)
            return &set[i];
    return NULL;
}

void kv_known_init(struct kv_known *k)
{
    *k = (struct kv_known){.sets = calloc(KV_KNOWN_SETS, sizeof(k->sets[0]))};
}

void kv_known_free(struct kv_known *k)
{
    free(k->sets);
}

struct kv_known_client *kv_known_find(struct kv_known *k, uint64_t client)
{
    struct kv_known_client *c = find(k, client);

    if (c)
        c->used = ++k->uses;
    return c;
}

/* A free one, if there is one. */
static struct kv_known_client *least_used(struct kv_known_client *set)
{
    struct kv_known_client *least = &set[0];

    for (int i = 1; i < KV_KNOWN_WAYS; i++)
        if (set[i].used < least->used)
            least = &set[i];
    return least;
}

void kv_known_put(struct kv_known *k, const struct kv_known_client *client)
{
    if (!k->sets)
        return;
    struct kv_known_client *place = find(k, client->client);
    if (!place)
        place = least_used(set_of(k, client->client));
    *place = *client;
    place->used = ++k->uses;
}

void kv_known_forget(struct kv_known *k, uint64_t client)
{
    struct kv_known_client *c = find(k, client);

    if (c)
        *c = (struct kv_known_client){0};
}

void kv_known_forget_all(struct kv_known *k)
{
    if (k->sets)
        memset(k->sets, 0, KV_KNOWN_SETS * sizeof(k->sets[0]));
}

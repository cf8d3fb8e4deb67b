/* SPDX-License-Identifier: MIT */
#include "http/block.h"

#include <stdbool.h>
#include <stdlib.h>

#define SPARES_MAX 64

struct block_store {
    unsigned references; /* of the owner, and of each block that is not spare */
    size_t bytes, bytes_max;
    unsigned spare_count;
    struct block *spares; /* the last one that was used first: it is warm in the cache */
};

struct block_store *block_store_new(size_t bytes_max)
{
    struct block_store *store = malloc(sizeof(*store));
    if (store)
        *store = (struct block_store){.references = 1, .bytes_max = bytes_max};
    return store;
}

static struct block *take_spare(struct block_store *store)
{
    struct block *b = store->spares;
    store->spares = b->next_spare;
    store->spare_count--;
    return b;
}

void block_store_release(struct block_store *store)
{
    if (--store->references > 0)
        return;
    while (store->spares)
        free(take_spare(store));
    free(store);
}

struct block *block_new(struct block_store *store, size_t capacity)
{
    if (capacity > store->bytes_max - store->bytes)
        return NULL;
    bool spare = capacity == BLOCK_BYTES && store->spares;
    struct block *b = spare ? take_spare(store) : malloc(sizeof(*b) + capacity);
    if (!b)
        return NULL;
    b->store = store;
    b->references = 1;
    b->capacity = capacity;
    store->references++;
    store->bytes += capacity;
    return b;
}

struct block *block_hold(struct block *b)
{
    b->references++;
    return b;
}

void block_release(void *block)
{
    struct block *b = block;
    struct block_store *store = b->store;
    if (--b->references > 0)
        return;
    store->bytes -= b->capacity;
    if (b->capacity == BLOCK_BYTES && store->spare_count < SPARES_MAX) {
        b->next_spare = store->spares;
        store->spares = b;
        store->spare_count++;
    } else {
        free(b);
    }
    block_store_release(store);
}

/* SPDX-License-Identifier: MIT */
#include "base/pool.h"

#include <stdlib.h>

#include "base/check.h"

#define KEPT_MAX_BYTES ((size_t)8 << 20)

/* A block on a free list. */
struct pool_block {
    struct pool_block *next;
};

void pool_init(struct pool *p, size_t limit_bytes)
{
    size_t quarter = limit_bytes / 4;
    *p = (struct pool){
        .limit_bytes = limit_bytes,
        .kept_max_bytes = quarter < KEPT_MAX_BYTES ? quarter : KEPT_MAX_BYTES,
    };
}

enum pool_class pool_class_for(size_t bytes)
{
    if (bytes <= POOL_SMALL_BYTES)
        return POOL_SMALL;
    return bytes <= POOL_MEDIUM_BYTES ? POOL_MEDIUM : POOL_LARGE;
}

/* Takes a block off the free list of its kind, which is not empty. */
static struct pool_block *unkeep(struct pool *p, enum pool_class kind)
{
    struct pool_block *block = p->free[kind];
    p->free[kind] = block->next;
    p->kept_bytes -= pool_class_bytes(kind);
    return block;
}

void pool_finish(struct pool *p)
{
    CHECK(p->used_bytes == 0);
    for (enum pool_class kind = POOL_SMALL; kind < POOL_CLASSES; kind++) {
        while (p->free[kind] != NULL)
            free(unkeep(p, kind));
    }
}

void *pool_take(struct pool *p, enum pool_class kind, size_t spare_bytes)
{
    size_t bytes = pool_class_bytes(kind);
    void *block = NULL;
    if (bytes <= pool_room(p, spare_bytes))
        block = p->free[kind] != NULL ? unkeep(p, kind) : malloc(POOL_HEADER_BYTES + bytes);
    if (block == NULL) {
        p->refused++;
        return NULL;
    }
    p->used_bytes += bytes;
    return block;
}

/*
 * Makes room for `bytes` more to be kept, at the expense of the other kinds: or the blocks of a
 * load that has passed would send those of the present one to malloc for ever.
 */
static void make_room(struct pool *p, enum pool_class kind, size_t bytes)
{
    for (enum pool_class other = POOL_SMALL; other < POOL_CLASSES; other++) {
        while (other != kind && p->free[other] != NULL && p->kept_bytes + bytes > p->kept_max_bytes)
            free(unkeep(p, other));
    }
}

void pool_return(struct pool *p, enum pool_class kind, void *block)
{
    size_t bytes = pool_class_bytes(kind);
    CHECK(p->used_bytes >= bytes);
    p->used_bytes -= bytes;
    if (p->kept_bytes + bytes > p->kept_max_bytes)
        make_room(p, kind, bytes);
    if (p->kept_bytes + bytes > p->kept_max_bytes) {
        free(block);
        return;
    }
    struct pool_block *kept = block;
    kept->next = p->free[kind];
    p->free[kind] = kept;
    p->kept_bytes += bytes;
}

/* SPDX-License-Identifier: MIT */
#include "base/pool.h"

#include <stdlib.h>

#include "base/check.h"

#define KEPT_MAX_BYTES ((size_t)8 << 20)

void pool_init(struct pool *p, size_t limit_bytes)
{
    size_t quarter = limit_bytes / 4;
    *p = (struct pool){
        .limit_bytes = limit_bytes,
        .kept_max_bytes = quarter < KEPT_MAX_BYTES ? quarter : KEPT_MAX_BYTES,
    };
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

void *pool_take_new(struct pool *p, enum pool_class kind, size_t spare_bytes)
{
    size_t bytes = pool_class_bytes(kind);
    void *block = NULL;
    if (bytes <= pool_room(p, spare_bytes))
        block = malloc(POOL_HEADER_BYTES + bytes);
    if (block == NULL) {
        p->refused++;
        return NULL;
    }
    p->used_bytes += bytes;
    return block;
}

/* Blocks of other kinds make room, or those of a load that has passed would send those of the
 * present one to malloc for ever. */
void pool_return_more(struct pool *p, enum pool_class kind, void *block)
{
    size_t bytes = pool_class_bytes(kind);
    for (enum pool_class other = POOL_SMALL; other < POOL_CLASSES; other++) {
        while (other != kind && p->free[other] != NULL && p->kept_bytes + bytes > p->kept_max_bytes)
            free(unkeep(p, other));
    }
    if (p->kept_bytes + bytes <= p->kept_max_bytes) {
        pool_return(p, kind, block);
        return;
    }
    p->used_bytes -= bytes;
    free(block);
}

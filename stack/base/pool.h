/* SPDX-License-Identifier: MIT */
/*
 * Memory for payload: blocks of a few sizes, kept on free lists when they come back, all counted
 * against one budget. In the steady state nothing is asked of malloc.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"

/* The classes of usable block sizes, in bytes. */
enum pool_class { POOL_SMALL, POOL_MEDIUM, POOL_LARGE, POOL_CLASSES };
#define POOL_SMALL_BYTES  ((size_t)2048)
#define POOL_MEDIUM_BYTES ((size_t)16384)
#define POOL_LARGE_BYTES  ((size_t)65536)

/* Every block has this much room more, for a header of its user. */
#define POOL_HEADER_BYTES ((size_t)80)

/* A block on a free list. */
struct pool_block {
    struct pool_block *next;
};

struct pool {
    size_t limit_bytes; /* of blocks in use */
    size_t used_bytes;
    size_t kept_bytes;     /* on the free lists */
    size_t kept_max_bytes; /* above this, blocks go back to malloc */
    uint64_t refused;      /* allocations that the budget or malloc refused */
    struct pool_block *free[POOL_CLASSES];
};

/* Keeps at most a quarter of the limit on the free lists, and not more than 8 MiB. */
void pool_init(struct pool *, size_t limit_bytes);

/* Frees the kept blocks; every block has been returned. */
void pool_finish(struct pool *);

static inline size_t pool_class_bytes(enum pool_class kind)
{
    static const size_t bytes[POOL_CLASSES] = {POOL_SMALL_BYTES, POOL_MEDIUM_BYTES,
                                               POOL_LARGE_BYTES};
    return bytes[kind];
}

/* The smallest class that holds `bytes`, or the largest there is. */
static inline enum pool_class pool_class_for(size_t bytes)
{
    if (bytes <= POOL_SMALL_BYTES)
        return POOL_SMALL;
    return bytes <= POOL_MEDIUM_BYTES ? POOL_MEDIUM : POOL_LARGE;
}

/* What can still be taken, in bytes, if `spare_bytes` are left to others. */
static inline size_t pool_room(const struct pool *p, size_t spare_bytes)
{
    size_t taken = p->used_bytes + spare_bytes;
    return p->limit_bytes > taken ? p->limit_bytes - taken : 0;
}

/* What pool_take does where no block of the kind is kept, or none may be taken. */
void *pool_take_new(struct pool *, enum pool_class, size_t spare_bytes);

/*
 * Returns a block of POOL_HEADER_BYTES and the bytes of its class, or NULL when the budget is spent
 * or malloc fails (counted in `refused`). Only the bytes of the class count against the budget, of
 * which `spare_bytes` are left to others.
 */
static inline void *pool_take(struct pool *p, enum pool_class kind, size_t spare_bytes)
{
    size_t bytes = pool_class_bytes(kind);
    struct pool_block *block = p->free[kind];
    if (block == NULL || bytes > pool_room(p, spare_bytes))
        return pool_take_new(p, kind, spare_bytes);
    p->free[kind] = block->next;
    p->kept_bytes -= bytes;
    p->used_bytes += bytes;
    return block;
}

/* What pool_return does where no more blocks may be kept. */
void pool_return_more(struct pool *, enum pool_class, void *block);

/* Gives back a block that was taken from the same class. */
static inline void pool_return(struct pool *p, enum pool_class kind, void *block)
{
    size_t bytes = pool_class_bytes(kind);
    struct pool_block *kept = block;
    CHECK(p->used_bytes >= bytes);
    if (p->kept_bytes + bytes > p->kept_max_bytes) {
        pool_return_more(p, kind, block);
        return;
    }
    p->used_bytes -= bytes;
    kept->next = p->free[kind];
    p->free[kind] = kept;
    p->kept_bytes += bytes;
}

#endif

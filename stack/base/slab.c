/* SPDX-License-Identifier: MIT */
/*
 * A block stands on a multiple of its size, so that an object's address tells its block's. What the
 * C library puts in front of a block lies in the end of the one before, which is left to it.
 */
#include "base/slab.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BLOCK_BYTES  ((size_t)32768)
#define HEADER_BYTES ((size_t)64) /* a cache line */
#define TAIL_BYTES   ((size_t)64) /* of the block that are not ours */

/* A sanitizer of addresses sees the use of an object that was given back only if it was malloc's.
 */
#if defined(__SANITIZE_ADDRESS__)
#define SINGLY true
#elif defined(__has_feature)
#define SINGLY __has_feature(address_sanitizer)
#else
#define SINGLY false
#endif

/* An object that is free. */
struct slab_object {
    struct slab_object *next;
};

struct slab_block {
    struct list node; /* of slab.open, or on none */
    struct slab_object *free;
    uint32_t taken;
    uint32_t used; /* objects from here on were never taken */
};

_Static_assert(sizeof(struct slab_block) <= HEADER_BYTES, "the header has its room");

void slab_init(struct slab *s, size_t object_bytes)
{
    CHECK(object_bytes > 0 && object_bytes <= SLAB_OBJECT_MAX);
    object_bytes = (object_bytes + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
    *s = (struct slab){
        .object_bytes = object_bytes,
        .per_block = (uint32_t)((BLOCK_BYTES - HEADER_BYTES - TAIL_BYTES) / object_bytes),
    };
    list_init(&s->open);
}

void slab_finish(struct slab *s)
{
    CHECK(list_empty(&s->open));
    free(s->spare);
    s->spare = NULL;
}

static struct slab_block *block_of(void *object)
{
    return (struct slab_block *)((uintptr_t)object & ~(uintptr_t)(BLOCK_BYTES - 1));
}

/* Opens the spare block, or a new one. Returns NULL when memory is short. */
static struct slab_block *open_block(struct slab *s)
{
    struct slab_block *b = s->spare;

    s->spare = NULL;
    if (b == NULL) {
        void *memory;
        if (posix_memalign(&memory, BLOCK_BYTES, BLOCK_BYTES - TAIL_BYTES) != 0)
            return NULL;
        b = memory;
        *b = (struct slab_block){0};
    }
    list_append(&s->open, &b->node);
    return b;
}

void *slab_take(struct slab *s)
{
    if (SINGLY)
        return calloc(1, s->object_bytes);

    struct slab_block *b = container_of(s->open.next, struct slab_block, node);
    if (list_empty(&s->open))
        b = open_block(s);
    if (b == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    void *object = b->free;
    if (object != NULL)
        b->free = b->free->next;
    else
        object = (char *)b + HEADER_BYTES + b->used++ * s->object_bytes;
    if (++b->taken == s->per_block)
        list_remove(&b->node);
    return memset(object, 0, s->object_bytes);
}

/* Keeps a block without taken objects, if there is none yet, so that one that comes and goes does
 * not make and free blocks. */
static void close_block(struct slab *s, struct slab_block *b)
{
    list_remove(&b->node);
    if (s->spare == NULL)
        s->spare = b;
    else
        free(b);
}

void slab_give(struct slab *s, void *object)
{
    if (SINGLY) {
        free(object);
        return;
    }
    struct slab_block *b = block_of(object);
    struct slab_object *o = object;

    CHECK(b->taken > 0);
    o->next = b->free;
    b->free = o;
    if (b->taken-- == s->per_block)
        list_append(&s->open, &b->node);
    if (b->taken == 0)
        close_block(s, b);
}

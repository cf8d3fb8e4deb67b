/* SPDX-License-Identifier: MIT */
/*
 * Objects of one size, of which there may be very many, side by side in blocks: without the
 * allocator's header and rounding, and without asking it for each. A block goes back when its last
 * object does, but for one.
 */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct slab_block;

struct slab {
    size_t object_bytes;
    uint32_t per_block;
    struct list open;         /* blocks that have some free objects and some taken */
    struct slab_block *spare; /* all of whose objects are free; or NULL */
};

/* Makes an empty slab of objects of at most SLAB_OBJECT_MAX bytes, aligned as pointers are. */
#define SLAB_OBJECT_MAX ((size_t)4096)
void slab_init(struct slab *, size_t object_bytes);

/* Frees the slab; all objects have been given back. */
void slab_finish(struct slab *);

/* An object of zeros; NULL with errno ENOMEM. */
void *slab_take(struct slab *);

/* Gives an object back that was taken from this slab. */
void slab_give(struct slab *, void *object);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Bytes of files in memory that is shared: by the site that keeps them, the responses that they are
 * a part of, and the stack, to which they are lent until the peer has them. So a block may outlive
 * the server that has made it.
 */
#ifndef APPS_HTTP_BLOCK_H
#define APPS_HTTP_BLOCK_H

#include <stddef.h>

#define BLOCK_BYTES ((size_t)65536) /* of blocks that come and go often: they are used again */

struct block_store;

struct block {
    struct block_store *store;
    struct block *next_spare;
    unsigned references;
    size_t capacity;
    char bytes[];
};

/*
 * Memory for blocks of so many bytes in all; a few that are not in use stay on top of it. Returns
 * NULL when memory is short.
 */
struct block_store *block_store_new(size_t bytes_max);

/* Ends it for its owner; it goes with the last of its blocks. */
void block_store_release(struct block_store *);

/* A block with one reference. Returns NULL at the store's bound, or when memory is short. */
struct block *block_new(struct block_store *, size_t capacity);

/* Adds a reference, and returns the block. */
struct block *block_hold(struct block *);

/* Gives back a reference to a block; it may be the `release` of strait_send_reference. */
void block_release(void *block);

#endif

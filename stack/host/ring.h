/* SPDX-License-Identifier: MIT */
/*
 * A ring of records in memory, from one thread to one other, without a lock: whoever puts never
 * waits for whoever takes. A record lies in one piece.
 */
#ifndef HOST_RING_H
#define HOST_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define RING_ALIGNMENT 8 /* of records, bytes */

struct ring {
    uint8_t *bytes;
    size_t capacity; /* a power of two */
    /* Counted from the beginning, and never wrapped: each is written by one thread, and has a cache
     * line of its own. */
    _Alignas(64) _Atomic uint64_t put;
    _Alignas(64) _Atomic uint64_t taken;
};

/*
 * Makes a ring of `capacity` bytes, a power of two and 64 at least. Returns 0, or -1 with ENOMEM.
 * ring_finish frees it.
 */
int ring_init(struct ring *, size_t capacity);
void ring_finish(struct ring *);

/* The longest record that an empty ring is sure to take, bytes. */
size_t ring_record_max(const struct ring *);

/*
 * For the one thread: adds a record that is copied out of the parts. Returns false if there is no
 * room for it now.
 */
bool ring_put(struct ring *, const struct iovec *parts, int count);

/*
 * For the other: shows the oldest record, until it is taken away. Returns NULL if there is none. A
 * call that begins after ring_put has ended, in the one order of all sequentially consistent
 * operations, sees the record.
 */
const void *ring_peek(struct ring *, size_t *length);
void ring_take(struct ring *);

#endif

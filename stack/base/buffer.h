/* SPDX-License-Identifier: MIT */
/*
 * A piece of a byte stream, held in chunks and addressed by 64-bit stream positions. A send buffer
 * is appended to at its end and dropped from at its front; a receive buffer is written at any
 * position, in order or not, with holes where nothing has arrived (which positions are filled is
 * for the caller to know: ranges.h). An empty buffer holds no memory.
 *
 * Chunks come from a pool and have one of its sizes; a chunk stands on a multiple of its size,
 * unless a neighbour is in the way, so that the number of chunks is bounded by the span and not by
 * the number of writes. A chunk may also be external: bytes of somebody else that are referenced
 * until they are dropped, and then released.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct pool;
struct chunk;

struct buffer {
    struct chunk *first; /* which keeps what else there is to know: an empty buffer is small */
    uint64_t start;      /* everything before has been dropped */
    uint64_t end;        /* one past the highest position written */
};

/* All zero is an empty buffer at position 0; this one starts at `position`. */
void buffer_init(struct buffer *, uint64_t position);

/* Drops everything and releases the memory. */
void buffer_clear(struct buffer *, struct pool *);

/*
 * Copies bytes to [position, position + length). Position is at least `start`; bytes there already
 * are overwritten, unless they are external, which is a bug. Returns how many bytes were taken from
 * the front: fewer than `length` when the pool has no more, or only the `spare_bytes` that are left
 * to others.
 */
size_t buffer_write(struct buffer *, struct pool *, size_t spare_bytes, uint64_t position,
                    const void *bytes, size_t length);

/*
 * Appends bytes at `end` by reference, `length` at least 1. `release(argument)` is called once all
 * of them are dropped. Returns 0, or -1 when memory is short (then nothing is kept and release is
 * not called).
 */
int buffer_append_external(struct buffer *, const void *bytes, size_t length,
                           void (*release)(void *argument), void *argument);

/*
 * Describes [position, position + length), all of which has been written, in at most `max` parts.
 * Returns the number of parts; the parts are valid until the next call that changes the buffer.
 * They may cover less than `length` if `max` does not suffice; *covered is what they cover.
 */
int buffer_view(struct buffer *, uint64_t position, size_t length, struct iovec *parts, int max,
                size_t *covered);

/* Copies [position, position + length), all of which has been written. */
void buffer_read(struct buffer *, uint64_t position, void *bytes, size_t length);

/* Drops everything below `position` (at most `end`) and frees the chunks that are no longer needed.
 */
void buffer_drop_below(struct buffer *, struct pool *, uint64_t position);

/* Drops everything at and above `position` (at least `start`); `end` becomes at most `position`. */
void buffer_drop_above(struct buffer *, struct pool *, uint64_t position);

/* Bytes of pool memory held. */
size_t buffer_memory(const struct buffer *);

#endif

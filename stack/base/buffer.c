/* SPDX-License-Identifier: MIT */
/*
 * Each chunk owns an extent of the stream, [start, end), and extents never overlap; between them
 * are holes. A chunk of the pool carries its header in the front of its block. Its extent is the
 * aligned cell of its size in which it was first written, less what its neighbours hold already:
 *
 *        prev         cell of a large chunk        next
 *     [........)[.............|.............)[...........)
 *               ^ extent start                ^ extent end
 *
 * Every chunk reaches below `end` of the buffer and above its `start`, so an empty buffer has none.
 */
#include "base/buffer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/pool.h"

struct chunk {
    struct chunk *next, *prev;       /* the first one's `prev` is the last, whose `next` is NULL */
    uint64_t start, end;             /* stream positions */
    uint8_t *bytes;                  /* of position `start` */
    void (*release)(void *argument); /* external chunks only, NULL otherwise */
    void *argument;
    enum pool_class kind; /* of the block; not for external chunks */

    /* Of the whole buffer, in its first chunk. */
    struct chunk *near; /* of the last access within: where the next one is likely */
    size_t memory;      /* of the pool's blocks, in bytes */
};

_Static_assert(sizeof(struct chunk) <= POOL_HEADER_BYTES, "the header fits in front of the bytes");

static inline size_t smaller(size_t a, uint64_t b)
{
    return a < b ? a : (size_t)b;
}

static inline struct chunk *last_chunk(const struct buffer *b)
{
    return b->first ? b->first->prev : NULL;
}

/* Makes the chunk the first, which knows of all what `before` did. */
static void lead(struct buffer *b, struct chunk *c, const struct chunk *before)
{
    struct chunk *last = c->next ? before->prev : c;

    b->first = c;
    c->prev = last;
    c->near = before->near;
    c->memory = before->memory;
}

/* A part of the stream, [start, end). */
struct extent {
    uint64_t start, end;
};

/* Puts a new chunk, which has no neighbours yet, behind `prev`, or at the front. */
static inline void link_chunk(struct buffer *b, struct chunk *prev, struct chunk *c)
{
    struct chunk *first = b->first;

    if (first == NULL) {
        b->first = c->prev = c;
        return;
    }
    if (prev == NULL) {
        c->next = first;
        lead(b, c, first);
        first->prev = c;
        return;
    }
    c->next = prev->next;
    c->prev = prev;
    prev->next = c;
    if (c->next != NULL)
        c->next->prev = c;
    else
        first->prev = c;
}

static void unlink_chunk(struct buffer *b, struct chunk *c)
{
    struct chunk *first = b->first;

    if (c == first && c->next == NULL) {
        b->first = NULL;
        return;
    }
    if (first->near == c)
        first->near = c == first ? NULL : c->prev;
    if (c->release == NULL)
        first->memory -= pool_class_bytes(c->kind);
    if (c == first) {
        lead(b, c->next, c);
        return;
    }
    c->prev->next = c->next;
    (c->next ? c->next : first)->prev = c->prev;
}

/* Frees an external chunk, and tells whose bytes it held. */
static void release_external(struct chunk *c)
{
    void (*release)(void *argument) = c->release;
    void *argument = c->argument;
    free(c);
    release(argument);
}

static inline void free_chunk(struct buffer *b, struct pool *pool, struct chunk *c)
{
    unlink_chunk(b, c);
    if (c->release == NULL)
        pool_return(pool, c->kind, c);
    else
        release_external(c);
}

/* As find, for a position between the start of the first chunk and that of the last. */
static struct chunk *find_between(struct chunk *first, uint64_t position)
{
    if (position < first->end)
        return first;

    struct chunk *c = first->near ? first->near : first;
    while (c->start > position)
        c = c->prev;
    while (c->next->start <= position)
        c = c->next;
    first->near = c;
    return c;
}

/*
 * The last chunk that starts at or before `position`; NULL if there is none. Appending and dropping
 * work at the ends and leave `near` to whoever walks through the middle, as a sender's output does.
 */
static inline struct chunk *find(const struct buffer *b, uint64_t position)
{
    struct chunk *first = b->first;

    if (first == NULL || position < first->start)
        return NULL;
    return position >= first->prev->start ? first->prev : find_between(first, position);
}

/*
 * The kind of block to ask for: what holds `length` bytes, and more when a stream goes on behind a
 * full chunk, so that many small writes do not end in many small chunks.
 */
static enum pool_class wanted_kind(const struct buffer *b, const struct chunk *prev,
                                   uint64_t position, size_t length)
{
    enum pool_class kind = pool_class_for(length);
    bool goes_on =
        prev != NULL && prev->release == NULL && prev->end == position && position == b->end;
    if (goes_on && kind <= prev->kind)
        kind = prev->kind < POOL_LARGE ? prev->kind + 1 : POOL_LARGE;
    return kind;
}

/* What a chunk could own: the aligned cell of its size around a position, within the hole. */
static inline struct extent cell_in(struct extent hole, enum pool_class kind, uint64_t position)
{
    size_t bytes = pool_class_bytes(kind);
    uint64_t start = position & ~(uint64_t)(bytes - 1), end = start + bytes;
    return (struct extent){start > hole.start ? start : hole.start,
                           end < hole.end ? end : hole.end};
}

/* Makes a chunk for `position`, which lies in the hole behind `prev`; NULL if the pool has none. */
static struct chunk *make_chunk(struct buffer *b, struct pool *pool, size_t spare_bytes,
                                struct chunk *prev, uint64_t position, size_t length)
{
    const struct chunk *next = prev ? prev->next : b->first;
    struct extent hole = {prev ? prev->end : 0, next ? next->start : UINT64_MAX};
    enum pool_class kind = wanted_kind(b, prev, position, length);
    struct extent cell = cell_in(hole, kind, position);
    /* A smaller block will do where the neighbours leave no more, or the budget. */
    while (kind > POOL_SMALL && (cell.end - cell.start <= pool_class_bytes(kind - 1) ||
                                 pool_class_bytes(kind) > pool_room(pool, spare_bytes)))
        cell = cell_in(hole, --kind, position);

    struct chunk *c = pool_take(pool, kind, spare_bytes);
    if (c == NULL)
        return NULL;
    *c = (struct chunk){
        .start = cell.start,
        .end = cell.end,
        .bytes = (uint8_t *)c + POOL_HEADER_BYTES,
        .kind = kind,
    };
    link_chunk(b, prev, c);
    b->first->memory += pool_class_bytes(kind);
    return c;
}

void buffer_init(struct buffer *b, uint64_t position)
{
    *b = (struct buffer){.start = position, .end = position};
}

void buffer_clear(struct buffer *b, struct pool *pool)
{
    buffer_drop_below(b, pool, b->end);
}

/* The chunk for `position` behind `prev`: the next one, or a new one in the hole before that; NULL
 * if the pool has none. */
static struct chunk *chunk_behind(struct buffer *b, struct pool *pool, size_t spare_bytes,
                                  struct chunk *prev, uint64_t position, size_t length)
{
    struct chunk *next = prev ? prev->next : b->first;
    if (next != NULL && next->start == position)
        return next;
    return make_chunk(b, pool, spare_bytes, prev, position, length);
}

size_t buffer_write(struct buffer *b, struct pool *pool, size_t spare_bytes, uint64_t position,
                    const void *bytes, size_t length)
{
    CHECK(position >= b->start);
    struct chunk *c = find(b, position);
    const uint8_t *from = bytes;
    size_t left = length;
    while (left > 0) {
        if (c == NULL || position >= c->end)
            c = chunk_behind(b, pool, spare_bytes, c, position, left);
        if (c == NULL)
            break;
        CHECK(c->release == NULL);
        size_t part = smaller(left, c->end - position);
        memcpy(c->bytes + (position - c->start), from, part);
        from += part;
        position += part;
        left -= part;
        if (position > b->end)
            b->end = position;
    }
    return length - left;
}

int buffer_append_external(struct buffer *b, const void *bytes, size_t length,
                           void (*release)(void *argument), void *argument)
{
    CHECK(length > 0 && release != NULL);
    struct chunk *c = malloc(sizeof(*c));
    if (c == NULL)
        return -1;
    *c = (struct chunk){
        .start = b->end,
        .end = b->end + length,
        .bytes = (uint8_t *)bytes, /* only read: buffer_write keeps off */
        .release = release,
        .argument = argument,
    };
    /* What the last chunk could still have taken belongs to this one now. */
    struct chunk *last = last_chunk(b);
    if (last != NULL && last->end > b->end)
        last->end = b->end;
    link_chunk(b, last, c);
    b->end = c->end;
    return 0;
}

int buffer_view(struct buffer *b, uint64_t position, size_t length, struct iovec *parts, int max,
                size_t *covered)
{
    struct chunk *c = find(b, position);
    size_t done = 0;
    int count = 0;
    for (; done < length && count < max; c = c->next) {
        uint64_t at = position + done;
        CHECK(c != NULL && at >= c->start && at < c->end);
        size_t part = smaller(length - done, c->end - at);
        parts[count++] = (struct iovec){.iov_base = c->bytes + (at - c->start), .iov_len = part};
        done += part;
    }
    *covered = done;
    return count;
}

void buffer_read(struct buffer *b, uint64_t position, void *bytes, size_t length)
{
    if (length == 0)
        return;
    uint8_t *to = bytes;
    const struct chunk *c = find(b, position);
    CHECK(c != NULL && position < c->end);
    while (length > c->end - position) {
        size_t part = (size_t)(c->end - position);
        memcpy(to, c->bytes + (position - c->start), part);
        to += part;
        position += part;
        length -= part;
        c = c->next;
        CHECK(c != NULL && position == c->start);
    }
    memcpy(to, c->bytes + (position - c->start), length);
}

void buffer_drop_below(struct buffer *b, struct pool *pool, uint64_t position)
{
    CHECK(position <= b->end);
    if (position <= b->start)
        return;
    b->start = position;
    while (b->first != NULL && (b->first->end <= position || position == b->end))
        free_chunk(b, pool, b->first);
}

void buffer_drop_above(struct buffer *b, struct pool *pool, uint64_t position)
{
    CHECK(position >= b->start);
    if (position >= b->end)
        return;
    b->end = position;
    struct chunk *last = last_chunk(b);
    while (last != NULL && (last->start >= position || position == b->start)) {
        struct chunk *before = last == b->first ? NULL : last->prev;
        free_chunk(b, pool, last);
        last = before;
    }
    if (last != NULL && last->release != NULL && last->end > position)
        last->end = position;
}

size_t buffer_memory(const struct buffer *b)
{
    return b->first ? b->first->memory : 0;
}

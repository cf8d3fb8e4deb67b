/* SPDX-License-Identifier: MIT */
/*
 * A record is a word that tells its length, and its bytes; the next begins at a multiple of 8. What
 * does not fit between the last record and the end of the memory begins at its start again, and the
 * word of what is left out says SKIP. Both counts are of bytes, so that `put - taken` is what is
 * in use.
 */
#include "host/ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define WORD RING_ALIGNMENT
#define SKIP UINT64_MAX

int ring_init(struct ring *r, size_t capacity)
{
    CHECK(capacity >= 64 && (capacity & (capacity - 1)) == 0);
    r->bytes = malloc(capacity);
    r->capacity = capacity;
    atomic_init(&r->put, 0);
    atomic_init(&r->taken, 0);
    return r->bytes ? 0 : -1;
}

void ring_finish(struct ring *r)
{
    free(r->bytes);
}

/* Of the empty ring, wherever it stands: one half and the other are both left out at worst. */
size_t ring_record_max(const struct ring *r)
{
    return r->capacity / 2 - WORD;
}

static uint8_t *at(struct ring *r, uint64_t count)
{
    return r->bytes + (count & (r->capacity - 1));
}

/* What lies between the count and the end of the memory. */
static size_t until_end(const struct ring *r, uint64_t count)
{
    return r->capacity - (count & (r->capacity - 1));
}

static void write_word(struct ring *r, uint64_t count, uint64_t word)
{
    memcpy(at(r, count), &word, sizeof(word));
}

static uint64_t read_word(struct ring *r, uint64_t count)
{
    uint64_t word;
    memcpy(&word, at(r, count), sizeof(word));
    return word;
}

static size_t room_of(size_t length)
{
    return WORD + (length + WORD - 1) / WORD * WORD;
}

bool ring_put(struct ring *r, const struct iovec *parts, int count)
{
    uint64_t put = atomic_load_explicit(&r->put, memory_order_relaxed); /* it is ours */
    uint64_t taken = atomic_load_explicit(&r->taken, memory_order_acquire);
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;

    size_t left_out = until_end(r, put) < room_of(length) ? until_end(r, put) : 0;
    if (put + left_out + room_of(length) - taken > r->capacity)
        return false;
    if (left_out > 0)
        write_word(r, put, SKIP);
    put += left_out;
    write_word(r, put, length);
    uint8_t *to = at(r, put) + WORD;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > 0) /* an empty part may have no address */
            memcpy(to, parts[i].iov_base, parts[i].iov_len);
        to += parts[i].iov_len;
    }
    atomic_store(&r->put, put + room_of(length));
    return true;
}

const void *ring_peek(struct ring *r, size_t *length)
{
    uint64_t taken = atomic_load_explicit(&r->taken, memory_order_relaxed); /* it is ours */
    if (taken == atomic_load(&r->put))
        return NULL;
    if (read_word(r, taken) == SKIP) {
        taken += until_end(r, taken); /* a record follows, put in the same call */
        atomic_store_explicit(&r->taken, taken, memory_order_release);
    }
    *length = read_word(r, taken);
    return at(r, taken) + WORD;
}

void ring_take(struct ring *r)
{
    uint64_t taken = atomic_load_explicit(&r->taken, memory_order_relaxed);
    atomic_store_explicit(&r->taken, taken + room_of(read_word(r, taken)), memory_order_release);
}

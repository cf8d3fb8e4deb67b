/* SPDX-License-Identifier: MIT */
#include "sim/content.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define CAPACITY_AT_FIRST ((uint64_t)4096)

bool content_reserve(struct content *c, uint64_t size)
{
    if (size <= c->capacity)
        return true;
    uint64_t capacity = c->capacity ? 2 * c->capacity : CAPACITY_AT_FIRST;
    if (capacity < size)
        capacity = size;
    uint8_t *bytes = realloc(c->bytes, capacity);
    if (!bytes)
        return false;
    c->bytes = bytes;
    c->capacity = capacity;
    return true;
}

void content_grow(struct content *c, uint64_t size)
{
    if (size <= c->size)
        return;
    CHECK(size <= c->capacity);
    memset(c->bytes + c->size, 0, size - c->size);
    c->size = size;
}

void content_write(struct content *c, uint64_t offset, const void *bytes, size_t length)
{
    content_grow(c, offset + length);
    CHECK(c->bytes);
    memcpy(c->bytes + offset, bytes, length);
}

void content_resize(struct content *c, uint64_t size)
{
    if (size < c->size)
        c->size = size;
    content_grow(c, size);
}

void content_copy(struct content *to, const struct content *from)
{
    CHECK(content_reserve(to, from->size));
    if (from->size > 0)
        memcpy(to->bytes, from->bytes, from->size);
    to->size = from->size;
    to->exists = from->exists;
}

/* SPDX-License-Identifier: MIT */
#include "map.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define SIZE_MIN (1 << 16)

void map_free(struct map *m)
{
    free(m->keys);
    free(m->values);
    *m = (struct map){0};
}

static uint64_t place_of(const struct map *m, uint64_t key)
{
    uint64_t i = key & (m->size - 1);

    while (m->values[i] && m->keys[i] != key)
        i = (i + 1) & (m->size - 1);
    return i;
}

uint32_t map_get(const struct map *m, uint64_t key)
{
    return m->size ? m->values[place_of(m, key)] : 0;
}

static void grow(struct map *m)
{
    struct map old = *m;

    m->size = old.size ? 2 * old.size : SIZE_MIN;
    m->keys = calloc(m->size, sizeof(m->keys[0]));
    m->values = calloc(m->size, sizeof(m->values[0]));
    CHECK(m->keys && m->values);
    for (uint64_t i = 0; i < old.size; i++) {
        if (!old.values[i])
            continue;
        uint64_t place = place_of(m, old.keys[i]);
        m->keys[place] = old.keys[i];
        m->values[place] = old.values[i];
    }
    map_free(&old);
}

void map_set(struct map *m, uint64_t key, uint32_t value)
{
    if (4 * (m->count + 1) > 3 * m->size)
        grow(m);
    uint64_t place = place_of(m, key);
    m->count += m->values[place] == 0;
    m->keys[place] = key;
    m->values[place] = value;
}

/* A product of 64-bit numbers, folded. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t map_hash(const uint8_t *bytes, size_t length, uint64_t number)
{
    uint64_t hash =
        mix(number ^ UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db)) + length;

    for (size_t i = 0; i < length; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, length - i < 8 ? length - i : 8);
        hash = mix(hash ^ word, UINT64_C(0xd6e8feb86659fd93));
    }
    return mix(hash ^ (hash >> 32), UINT64_C(0x8ebc6af09c88c6e3));
}

/* SPDX-License-Identifier: MIT */
/* A hash table from 64-bit hashes to numbers that are not 0, and the hash. It only grows. */
#ifndef TESTS_KV_MAP_H
#define TESTS_KV_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map {
    uint64_t *keys;
    uint32_t *values; /* 0: nothing here */
    uint64_t size;    /* 0, or a power of two */
    uint64_t count;
};

/* All zero is an empty map. */
void map_free(struct map *);

/* The value of a key, 0 if it has none. */
uint32_t map_get(const struct map *, uint64_t key);
void map_set(struct map *, uint64_t key, uint32_t value);

/* The hash of `length` bytes and a number. */
uint64_t map_hash(const uint8_t *bytes, size_t length, uint64_t number);

#endif

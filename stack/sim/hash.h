/* SPDX-License-Identifier: MIT */
/*
 * A running 64-bit hash that tells two histories apart: fast, the same on every machine, and no
 * defence against somebody who looks for collisions. Each step is a bijection of the hash so far
 * and of the word, so that two histories which differ in one word never have the same hash.
 */
#ifndef SIM_HASH_H
#define SIM_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The hash of all before, and then of `word`. */
static inline uint64_t hash_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    return hash ^ hash >> 32;
}

/* The hash of all before, and then of these bytes and their number. */
uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length);

#endif

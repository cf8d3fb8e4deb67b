/* SPDX-License-Identifier: MIT */
/*
 * A small fast generator of pseudo-random numbers, xoshiro256** (Blackman, Vigna 2018), seeded by
 * splitmix64. The same seed gives the same sequence everywhere. Not for secrets.
 */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include <stdint.h>

struct prng {
    uint64_t state[4];
};

void prng_seed(struct prng *, uint64_t seed);

/* The next 64 bits. */
uint64_t prng_next(struct prng *);

/* A number from 0 to limit - 1, each as likely as the other; limit is at least 1. */
uint64_t prng_below(struct prng *, uint64_t limit);

#endif

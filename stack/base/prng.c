/* SPDX-License-Identifier: MIT */
#include "base/prng.h"

#include "base/check.h"

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

/* splitmix64 (Steele, Lea, Flood 2014), with the constants of Vigna's version. */
static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

void prng_seed(struct prng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->state[i] = splitmix64(&seed);
}

uint64_t prng_next(struct prng *r)
{
    uint64_t *s = r->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *r, uint64_t limit)
{
    CHECK(limit > 0);
    /* 2^64 modulo limit: without that many numbers, every result has as many causes as the other.
     */
    uint64_t surplus = -limit % limit;
    uint64_t number;
    do {
        number = prng_next(r);
    } while (number < surplus);
    return number % limit;
}

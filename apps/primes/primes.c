/* SPDX-License-Identifier: MIT */
#include "primes/primes.h"

#include <primesieve.h>
#include <stddef.h>
#include <stdlib.h>

#define KNOWN_BELOW 65536

struct primes {
    uint32_t *known;
    size_t known_count;
};

struct primes *primes_new(void)
{
    struct primes *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    /* It would use all cores for one call, and leave none to the others. */
    primesieve_set_num_threads(1);
    p->known = primesieve_generate_primes(0, KNOWN_BELOW - 1, &p->known_count, UINT32_PRIMES);
    if (p->known)
        return p;
    free(p);
    return NULL;
}

void primes_free(struct primes *p)
{
    if (!p)
        return;
    primesieve_free(p->known);
    free(p);
}

bool primes_knows(const struct primes *p, uint32_t i)
{
    return i < p->known_count || i > PRIMES_INDEX_MAX;
}

bool ith_prime(const struct primes *p, uint32_t i, uint32_t *prime)
{
    if (i > PRIMES_INDEX_MAX)
        return false;
    if (i < p->known_count) {
        *prime = p->known[i];
        return true;
    }
    uint64_t found = primesieve_nth_prime((int64_t)i + 1, 0);
    *prime = (uint32_t)found;
    return found <= UINT32_MAX;
}

uint32_t is_coprime(uint32_t x, uint32_t y)
{
    while (y != 0) {
        uint32_t rest = x % y;
        x = y;
        y = rest;
    }
    return x == 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * The two procedures, as a program would call them that has them itself. The arithmetic of primes
 * is libprimesieve's.
 */
#ifndef APPS_PRIMES_PRIMES_H
#define APPS_PRIMES_PRIMES_H

#include <stdbool.h>
#include <stdint.h>

#define PRIMES_INDEX_MAX 203280220 /* of the last prime that fits 32 bits, 4294967291 */

struct primes;

/* Knows the primes below 65536 by heart. Returns NULL when memory is short. */
struct primes *primes_new(void);
void primes_free(struct primes *);

/* Whether ith_prime(i) is known by heart; others take up to a second. */
bool primes_knows(const struct primes *, uint32_t i);

/*
 * The i-th prime, counted from 0: ith_prime(5) is 13. Returns whether it fits 32 bits, which is so
 * for i up to PRIMES_INDEX_MAX, and there was memory to find it. Any thread may call it.
 */
bool ith_prime(const struct primes *, uint32_t i, uint32_t *prime);

/* 1 if the greatest common divisor of the two is 1, otherwise 0; that of 0 and 0 is 0. */
uint32_t is_coprime(uint32_t x, uint32_t y);

#endif

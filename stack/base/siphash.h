/* SPDX-License-Identifier: MIT */
/* SipHash-2-4 (Aumasson, Bernstein: SipHash, a fast short-input PRF, 2012). */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* The 64-bit hash of `length` bytes under a key of 16 bytes. */
uint64_t siphash(const uint8_t key[16], const void *bytes, size_t length);

/* That of the 16 bytes of two little-endian words, which are not in memory yet. */
uint64_t siphash_of_words(const uint8_t key[16], uint64_t first, uint64_t second);

/* SipHash-1-3, at half the cost: where the hash itself is not shown to anybody, as in a table. */
uint64_t siphash_1_3(const uint8_t key[16], const void *bytes, size_t length);

/* The same of two words. */
uint64_t siphash_1_3_of_words(const uint8_t key[16], uint64_t first, uint64_t second);

#endif

/* SPDX-License-Identifier: MIT */
#include "base/siphash.h"

#include <endian.h>
#include <string.h>

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return le64toh(word);
}

/* SipRound, section 2.2 of the paper. */
static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static inline void rounds(uint64_t v[4], int count)
{
    for (int i = 0; i < count; i++)
        sip_round(v);
}

static inline void compress(uint64_t v[4], uint64_t word, int count)
{
    v[3] ^= word;
    rounds(v, count);
    v[0] ^= word;
}

static inline void initialize(uint64_t v[4], const uint8_t key[16])
{
    uint64_t k0 = load_le64(key), k1 = load_le64(key + 8);

    /* "somepseudorandomlygeneratedbytes" */
    v[0] = k0 ^ 0x736f6d6570736575;
    v[1] = k1 ^ 0x646f72616e646f6d;
    v[2] = k0 ^ 0x6c7967656e657261;
    v[3] = k1 ^ 0x7465646279746573;
}

static inline uint64_t finalize(uint64_t v[4], int count)
{
    v[2] ^= 0xff;
    rounds(v, count);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* SipHash-c-d. */
static inline uint64_t hash(const uint8_t key[16], const void *bytes, size_t length, int c, int d)
{
    uint64_t v[4];
    const uint8_t *p = bytes;
    size_t left = length;

    initialize(v, key);
    for (; left >= 8; p += 8, left -= 8)
        compress(v, load_le64(p), c);

    /* The last word holds the rest and, in its top byte, the length modulo 256. */
    uint64_t last = (uint64_t)length << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)p[i] << (8 * i);
    compress(v, last, c);
    return finalize(v, d);
}

/* The same of the 16 bytes of two words. */
static inline uint64_t hash_of_words(const uint8_t key[16], uint64_t first, uint64_t second, int c,
                                     int d)
{
    uint64_t v[4];

    initialize(v, key);
    compress(v, first, c);
    compress(v, second, c);
    compress(v, (uint64_t)16 << 56, c); /* the length */
    return finalize(v, d);
}

uint64_t siphash(const uint8_t key[16], const void *bytes, size_t length)
{
    return hash(key, bytes, length, 2, 4);
}

uint64_t siphash_of_words(const uint8_t key[16], uint64_t first, uint64_t second)
{
    return hash_of_words(key, first, second, 2, 4);
}

uint64_t siphash_1_3(const uint8_t key[16], const void *bytes, size_t length)
{
    return hash(key, bytes, length, 1, 3);
}

uint64_t siphash_1_3_of_words(const uint8_t key[16], uint64_t first, uint64_t second)
{
    return hash_of_words(key, first, second, 1, 3);
}

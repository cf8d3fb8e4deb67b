/* SPDX-License-Identifier: MIT */
#include "sim/hash.h"

#include <endian.h>
#include <string.h>

#define WORD_BYTES sizeof(uint64_t)

static uint64_t load_word(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return le64toh(word);
}

/* Four words at a time, side by side: a multiplication takes longer than its turn. */
static uint64_t hash_blocks(uint64_t hash, const uint8_t *at, size_t count)
{
    uint64_t a = hash, b = ~hash, c = hash >> 1, d = ~hash >> 1;
    for (; count > 0; count--, at += 4 * WORD_BYTES) {
        a = hash_word(a, load_word(at));
        b = hash_word(b, load_word(at + WORD_BYTES));
        c = hash_word(c, load_word(at + 2 * WORD_BYTES));
        d = hash_word(d, load_word(at + 3 * WORD_BYTES));
    }
    return hash_word(hash_word(hash_word(hash_word(hash, a), b), c), d);
}

uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    size_t blocks = length / (4 * WORD_BYTES);
    hash = hash_word(hash, length);
    if (blocks > 0) {
        hash = hash_blocks(hash, at, blocks);
        at += blocks * 4 * WORD_BYTES;
        length -= blocks * 4 * WORD_BYTES;
    }
    for (; length >= WORD_BYTES; length -= WORD_BYTES, at += WORD_BYTES)
        hash = hash_word(hash, load_word(at));
    if (length > 0) {
        uint8_t last[WORD_BYTES] = {0};
        memcpy(last, at, length);
        hash = hash_word(hash, load_word(last));
    }
    return hash;
}

/* SPDX-License-Identifier: MIT */
#include "sim/hash.h"

#include <endian.h>
#include <string.h>

#define LANES      4 /* hashed side by side: a multiplication takes longer than its turn */
#define WORD_BYTES sizeof(uint64_t)

static uint64_t load_word(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return le64toh(word);
}

uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    hash = hash_word(hash, length);
    if (length >= LANES * WORD_BYTES) {
        uint64_t lanes[LANES] = {hash, ~hash, hash >> 1, ~hash >> 1};
        for (; length >= LANES * WORD_BYTES; length -= LANES * WORD_BYTES)
            for (int i = 0; i < LANES; i++, at += WORD_BYTES)
                lanes[i] = hash_word(lanes[i], load_word(at));
        for (int i = 0; i < LANES; i++)
            hash = hash_word(hash, lanes[i]);
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

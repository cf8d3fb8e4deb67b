/* SPDX-License-Identifier: MIT */
/*
 * Access to wire bytes: big-endian loads and stores, and a reader that checks bounds. Nothing else
 * in Strait casts a packet to a struct.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A word goes in one access, at whatever address: memcpy of a fixed size is a move. Byte by byte
 * the compiler would find that out for some, and not for others. */
static inline uint16_t load_be16(const uint8_t *p)
{
    uint16_t word;
    memcpy(&word, p, sizeof(word));
    return be16toh(word);
}

static inline uint32_t load_be32(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof(word));
    return be32toh(word);
}

static inline void store_be16(uint8_t *p, uint16_t value)
{
    uint16_t word = htobe16(value);
    memcpy(p, &word, sizeof(word));
}

static inline void store_be32(uint8_t *p, uint32_t value)
{
    uint32_t word = htobe32(value);
    memcpy(p, &word, sizeof(word));
}

/*
 * Reads forward through borrowed bytes. Reading past the end yields zeros and sets `short_of`,
 * which stays set: a parser reads all its fields and checks once.
 */
struct reader {
    const uint8_t *at;
    size_t left;
    bool short_of;
};

static inline struct reader reader_over(const void *bytes, size_t length)
{
    return (struct reader){.at = bytes, .left = length};
}

/* Returns the next `length` bytes, or NULL when there are not that many. */
static inline const uint8_t *read_bytes(struct reader *r, size_t length)
{
    if (length > r->left) {
        r->left = 0;
        r->short_of = true;
        return NULL;
    }
    const uint8_t *bytes = r->at;
    r->at += length;
    r->left -= length;
    return bytes;
}

static inline uint8_t read_u8(struct reader *r)
{
    const uint8_t *p = read_bytes(r, 1);
    return p ? p[0] : 0;
}

static inline uint16_t read_be16(struct reader *r)
{
    const uint8_t *p = read_bytes(r, 2);
    return p ? load_be16(p) : 0;
}

static inline uint32_t read_be32(struct reader *r)
{
    const uint8_t *p = read_bytes(r, 4);
    return p ? load_be32(p) : 0;
}

#endif

/* SPDX-License-Identifier: MIT */
#include "base/checksum.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

/*
 * The sum does not depend on the byte order in which the words are loaded, but for the order of the
 * bytes in the result (RFC 1071 2(B)). So whole native words are added, with the carry brought
 * round to the low end, and only the folded result is turned into network order.
 */
static inline uint64_t add_around(uint64_t a, uint64_t b)
{
    uint64_t sum = a + b;
    return sum + (sum < b);
}

static inline uint64_t load_word(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

static inline uint16_t load_half(const uint8_t *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof(half));
    return half;
}

uint64_t checksum_add(uint64_t sum, const void *bytes, size_t length)
{
    const uint8_t *p = bytes;
    uint64_t lanes[4] = {0}; /* independent, so that one addition need not wait for another */

    for (; length >= sizeof(lanes); p += sizeof(lanes), length -= sizeof(lanes)) {
        lanes[0] = add_around(lanes[0], load_word(p));
        lanes[1] = add_around(lanes[1], load_word(p + 8));
        lanes[2] = add_around(lanes[2], load_word(p + 16));
        lanes[3] = add_around(lanes[3], load_word(p + 24));
    }
    uint64_t total = add_around(add_around(lanes[0], lanes[1]), add_around(lanes[2], lanes[3]));
    for (; length >= sizeof(total); p += sizeof(total), length -= sizeof(total))
        total = add_around(total, load_word(p));
    for (; length >= sizeof(uint16_t); p += sizeof(uint16_t), length -= sizeof(uint16_t))
        total = add_around(total, load_half(p));
    if (length > 0) /* an odd byte is followed by a zero, RFC 1071 1 (1) */
        total = add_around(total, load_half((const uint8_t[]){*p, 0}));
    return sum + be16toh(checksum_fold(total));
}

uint64_t checksum_add_parts(uint64_t sum, const struct iovec *parts, int count, size_t skip)
{
    bool odd = false; /* the next byte is the second of a 16-bit word */

    for (int i = 0; i < count; i++) {
        size_t length = parts[i].iov_len;
        if (skip >= length) {
            skip -= length;
            continue;
        }
        uint16_t part = checksum_fold(
            checksum_add(0, (const uint8_t *)parts[i].iov_base + skip, length - skip));
        sum += odd ? __builtin_bswap16(part) : part;
        odd ^= (length - skip) & 1;
        skip = 0;
    }
    return sum;
}

/* SPDX-License-Identifier: MIT */
/*
 * The Internet checksum (RFC 1071). A running sum is started with 0 (or a pseudo-header's sum), fed
 * with parts, and folded. Its value is in network order read as a big-endian number, so that
 * store_be16(p, ~checksum_fold(sum)) writes it.
 */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Adds `length` bytes that start at an even offset of the data. */
uint64_t checksum_add(uint64_t sum, const void *bytes, size_t length);

/* Adds the parts as if they stood behind each other, whatever their lengths, from byte `skip` on.
 */
uint64_t checksum_add_parts(uint64_t sum, const struct iovec *parts, int count, size_t skip);

/* Folds to 16 bits, not complemented; a valid packet with its checksum in place folds to 0xffff. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    /* Each half is added to the other one; the carry out of the lower sum belongs to the upper. */
    uint32_t half = (uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32);
    return (uint16_t)((half + (half << 16 | half >> 16)) >> 16);
}

#endif

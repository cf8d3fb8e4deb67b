/* SPDX-License-Identifier: MIT */
/*
 * A set of disjoint ranges [start, end) of stream positions, sorted, with a bound on their number.
 * Touching and overlapping ranges are merged. Memory is taken at the first range and returned with
 * the last.
 */
#ifndef BASE_RANGES_H
#define BASE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
    uint64_t start, end;
};

struct ranges {
    struct range *list;
    uint32_t count;
    uint32_t capacity;
};

/* All zero is the empty set. Frees the memory and empties it. */
void ranges_clear(struct ranges *);

/*
 * Adds [start, end), start < end. Returns false, and changes nothing, if the set would need more
 * than `limit` ranges or if memory is short.
 */
bool ranges_add(struct ranges *, uint64_t start, uint64_t end, uint32_t limit);

/* The first range that ends above `position`, or NULL: those above it follow in the list. */
const struct range *ranges_above(const struct ranges *, uint64_t position);

/* How many positions of [start, end) are in the set. */
uint64_t ranges_overlap(const struct ranges *, uint64_t start, uint64_t end);

/* Takes away everything below `position`. */
void ranges_remove_below(struct ranges *, uint64_t position);

#endif

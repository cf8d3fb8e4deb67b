/* SPDX-License-Identifier: MIT */
/* Numbers as people write them, with a unit behind: "200ms", "4MiB", "50%". */
#ifndef BASE_QUANTITY_H
#define BASE_QUANTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A unit and how many of the smallest it is. A list goes from the largest to the smallest, whose
 * size is 1, and ends with a name of NULL. The name "" lets a number stand alone. */
struct quantity_unit {
    const char *name;
    uint64_t size;
};

extern const struct quantity_unit quantity_times[];  /* us, ms, s, min, h */
extern const struct quantity_unit quantity_bytes[];  /* none, KiB, MiB, GiB, TiB */
extern const struct quantity_unit quantity_shares[]; /* % */
extern const struct quantity_unit quantity_counts[]; /* none */

/*
 * Reads decimal digits and a unit of the list, with nothing around them or between. A value that is
 * too large becomes UINT64_MAX. Returns false if the text is something else.
 */
bool quantity_read(const char *text, const struct quantity_unit *units, uint64_t *value);

/* Writes the value in the largest unit that leaves no remainder, as snprintf; returns its length.
 */
int quantity_write(uint64_t value, const struct quantity_unit *units, char *text, size_t size);

#endif

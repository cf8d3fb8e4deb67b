/* SPDX-License-Identifier: MIT */
/*
 * What a file of a simulated disk holds. Private to stack/sim/.
 */
#ifndef SIM_CONTENT_H
#define SIM_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of a file, and whether its name is there. Zeroed, it is empty; free `bytes`. */
struct content {
    uint8_t *bytes;
    uint64_t size, capacity;
    bool exists;
};

/* Makes room for `size` bytes; false when memory is short. */
bool content_reserve(struct content *, uint64_t size);

/* What follows needs the room. Makes the content at least so long; what is new is zero. */
void content_grow(struct content *, uint64_t size);

/* Makes it exactly so long, with zeros or by a cut. */
void content_resize(struct content *, uint64_t size);

void content_write(struct content *, uint64_t offset, const void *bytes, size_t length);

/* Copies all but the capacity, and makes room for it: memory has to be there. */
void content_copy(struct content *to, const struct content *from);

#endif

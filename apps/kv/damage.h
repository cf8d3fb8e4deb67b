/* SPDX-License-Identifier: MIT */
/*
 * Damaged rows, as they are found. An operator is told of each of them once: whoever asks for one
 * again and again fills no log.
 */
#ifndef KV_DAMAGE_H
#define KV_DAMAGE_H

#include "kv/messages.h"

#define KV_DAMAGE_TOLD_MAX 64 /* lines, of which the last says that others are only counted */

struct kv_damage {
    uint64_t found;                    /* each time that a row was read */
    uint64_t told[KV_DAMAGE_TOLD_MAX]; /* the lines, by their sums */
    uint32_t told_count;
    void (*warn)(void *context, const char *line); /* or NULL */
    void *context;
};

/* Counts a row, and tells this line of it unless it was told before. */
__attribute__((format(printf, 2, 3))) void kv_damage_found(struct kv_damage *, const char *format,
                                                           ...);

/* The key as people can read it, percent-encoded as in a path; its beginning, if it is long. */
#define KV_DAMAGE_KEY_BYTES 128
void kv_damage_key(const struct kv_blob *, char text[KV_DAMAGE_KEY_BYTES]);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The keys of a cluster's world, and their values, in which a reader sees what was written: a
 * number of 8 bytes and as many more as were drawn, which all follow from the number; of a list,
 * 8 bytes for each element.
 */
#ifndef TESTS_SIM_KV_VALUE_H
#define TESTS_SIM_KV_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/prng.h"

/* Keys are numbered: registers, then accounts, then lists. */
#define KV_REGISTERS     4
#define KV_ACCOUNTS      3
#define KV_LISTS         3
#define KV_FIRST_ACCOUNT KV_REGISTERS
#define KV_FIRST_LIST    (KV_REGISTERS + KV_ACCOUNTS)
#define KV_KEYS          (KV_FIRST_LIST + KV_LISTS)

#define KV_VALUE_BYTES        4096
#define KV_VALUE_ELEMENTS_MAX 400 /* of a list; one more is room for */

/* The name of a key, a string. */
void kv_value_key(uint32_t key, char name[8]);
bool kv_value_is_list(uint32_t key);

/* What a key had. */
struct kv_seen {
    bool found;
    uint64_t version;
    uint64_t number;                          /* of a register or an account; 0: not found */
    uint64_t elements[KV_VALUE_ELEMENTS_MAX]; /* of a list */
    uint32_t count;
};

/* Writes the value of a number, or a list with one element more. Return its bytes. */
size_t kv_value_write(struct prng *, uint64_t number, uint8_t value[KV_VALUE_BYTES]);
size_t kv_value_append(const struct kv_seen *, uint64_t element, uint8_t value[KV_VALUE_BYTES]);

/* Reads a value, NULL for none; the version stays. Returns false if nobody can have written it. */
bool kv_value_read(uint32_t key, const uint8_t *value, size_t length, struct kv_seen *);

#endif

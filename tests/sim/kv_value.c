/* SPDX-License-Identifier: MIT */
#include "kv_value.h"

#include <stdio.h>
#include <string.h>

bool kv_value_is_list(uint32_t key)
{
    return key >= KV_FIRST_LIST;
}

void kv_value_key(uint32_t key, char name[8])
{
    if (kv_value_is_list(key))
        snprintf(name, 8, "list%u", (unsigned)(key - KV_FIRST_LIST) % 10);
    else if (key >= KV_FIRST_ACCOUNT)
        snprintf(name, 8, "acct%u", (unsigned)(key - KV_FIRST_ACCOUNT) % 10);
    else
        snprintf(name, 8, "reg%u", (unsigned)key % 10);
}

/* Most are short, some need several packets. */
size_t kv_value_write(struct prng *prng, uint64_t number, uint8_t value[KV_VALUE_BYTES])
{
    size_t more = prng_below(prng, prng_below(prng, 10) == 0 ? KV_VALUE_BYTES - 7 : 51);
    memcpy(value, &number, 8);
    memset(value + 8, (uint8_t)number, more);
    return 8 + more;
}

size_t kv_value_append(const struct kv_seen *seen, uint64_t element, uint8_t value[KV_VALUE_BYTES])
{
    memcpy(value, seen->elements, (size_t)8 * seen->count);
    memcpy(value + (size_t)8 * seen->count, &element, 8);
    return (size_t)8 * (seen->count + 1);
}

static bool read_number(const uint8_t *value, size_t length, uint64_t *number)
{
    if (length < 8)
        return false;
    memcpy(number, value, 8);
    for (size_t i = 8; i < length; i++)
        if (value[i] != (uint8_t)*number)
            return false;
    return true;
}

static bool read_list(const uint8_t *value, size_t length, struct kv_seen *seen)
{
    if (length % 8 != 0 || length / 8 > KV_VALUE_ELEMENTS_MAX)
        return false;
    seen->count = (uint32_t)(length / 8);
    memcpy(seen->elements, value, length);
    return true;
}

bool kv_value_read(uint32_t key, const uint8_t *value, size_t length, struct kv_seen *seen)
{
    seen->found = value != NULL;
    seen->number = 0;
    seen->count = 0;
    if (!value)
        return true;
    return kv_value_is_list(key) ? read_list(value, length, seen)
                                 : read_number(value, length, &seen->number);
}

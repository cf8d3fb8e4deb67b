/* SPDX-License-Identifier: MIT */
#include "base/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct quantity_unit quantity_times[] = {
    {"h", UINT64_C(3600) * 1000000},
    {"min", 60 * 1000000},
    {"s", 1000000},
    {"ms", 1000},
    {"us", 1},
    {NULL, 0},
};

const struct quantity_unit quantity_bytes[] = {
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"", 1},
    {NULL, 0},
};

const struct quantity_unit quantity_shares[] = {{"%", 1}, {NULL, 0}};

const struct quantity_unit quantity_counts[] = {{"", 1}, {NULL, 0}};

static uint64_t multiply(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t append(uint64_t number, char digit)
{
    uint64_t tens = multiply(number, 10), ones = (uint64_t)(digit - '0');
    return tens <= UINT64_MAX - ones ? tens + ones : UINT64_MAX;
}

bool quantity_read(const char *text, const struct quantity_unit *units, uint64_t *value)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t number = 0;

    if (digits == 0)
        return false;
    for (size_t i = 0; i < digits; i++)
        number = append(number, text[i]);
    for (; units->name; units++) {
        if (strcmp(text + digits, units->name) == 0) {
            *value = multiply(number, units->size);
            return true;
        }
    }
    return false;
}

int quantity_write(uint64_t value, const struct quantity_unit *units, char *text, size_t size)
{
    while (units->size > 1 && (value == 0 || value % units->size != 0))
        units++;
    return snprintf(text, size, "%" PRIu64 "%s", value / units->size, units->name);
}

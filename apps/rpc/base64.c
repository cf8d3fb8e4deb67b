/* SPDX-License-Identifier: MIT */
#include "rpc/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value_of(char c)
{
    if (c == '-')
        c = '+';
    else if (c == '_')
        c = '/';
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

bool base64_read(const char *text, size_t text_bytes, uint8_t *bytes, size_t *length)
{
    uint32_t bits = 0;
    unsigned count = 0;
    *length = 0;
    size_t padded_bytes = text_bytes;
    while (text_bytes > 0 && padded_bytes - text_bytes < 2 && text[text_bytes - 1] == '=')
        text_bytes--;
    if (padded_bytes > text_bytes && padded_bytes % 4 != 0)
        return false;
    for (size_t i = 0; i < text_bytes; i++) {
        int digit = value_of(text[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        bytes[(*length)++] = (uint8_t)(bits >> count);
    }
    return text_bytes % 4 != 1;
}

void base64_write(const uint8_t *bytes, size_t length, char *text)
{
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= left > 2 ? bytes[i + 2] : 0;
        for (unsigned j = 0; j < 4; j++)
            *text++ = (char)(j <= left ? digits[group >> (18 - 6 * j) & 63] : '=');
    }
}

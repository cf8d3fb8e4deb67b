/* SPDX-License-Identifier: MIT */
#include "rpc/grpc_field.h"

#include <string.h>

#define TIMEOUT_DIGITS 8

/* ---- grpc-timeout ---- */

static const struct {
    char letter;
    uint64_t ns;
} units[] = {
    {'n', 1}, {'u', 1000}, {'m', RPC_MS}, {'S', RPC_S}, {'M', 60 * RPC_S}, {'H', 3600 * RPC_S},
};

#define UNITS (sizeof(units) / sizeof(units[0]))

bool grpc_timeout_read(const char *text, size_t length, uint64_t *ns)
{
    uint64_t number = 0;
    if (length < 2 || length > TIMEOUT_DIGITS + 1)
        return false;
    for (size_t i = 0; i < length - 1; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    for (size_t i = 0; i < UNITS; i++) {
        if (units[i].letter != text[length - 1])
            continue;
        bool fits = number <= RPC_DEADLINE_MAX_NS / units[i].ns;
        *ns = fits ? number * units[i].ns : RPC_DEADLINE_MAX_NS;
        return true;
    }
    return false;
}

size_t grpc_timeout_write(uint64_t ns, char text[GRPC_TIMEOUT_BYTES + 1])
{
    char digits[TIMEOUT_DIGITS];
    size_t unit = 0, count = 0, length = 0;
    while (unit < UNITS - 1 && ns / units[unit].ns >= UINT64_C(100000000))
        unit++;
    uint64_t number = ns / units[unit].ns;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0)
        text[length++] = digits[--count];
    text[length++] = units[unit].letter;
    text[length] = '\0';
    return length;
}

/* ---- grpc-message ---- */

static bool is_plain(char c)
{
    return c >= ' ' && c <= '~' && c != '%';
}

size_t grpc_message_encode(const char *text, size_t length, char *encoded, size_t room)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (n + (is_plain(text[i]) ? 1 : 3) > room)
            break;
        if (is_plain(text[i])) {
            encoded[n++] = text[i];
            continue;
        }
        encoded[n++] = '%';
        encoded[n++] = hex[c >> 4];
        encoded[n++] = hex[c & 15];
    }
    return n;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What is no encoding is kept as it is: a message is not lost for it. */
size_t grpc_message_decode(const char *encoded, size_t length, char *text, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < length && n < room; i++) {
        bool whole = encoded[i] == '%' && length - i > 2;
        int high = whole ? digit(encoded[i + 1]) : -1, low = whole ? digit(encoded[i + 2]) : -1;
        if (high < 0 || low < 0) {
            text[n++] = encoded[i];
            continue;
        }
        text[n++] = (char)(high << 4 | low);
        i += 2;
    }
    return n;
}

/* ---- grpc-status ---- */

static const char *const statuses[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                       "9", "10", "11", "12", "13", "14", "15", "16"};

#define STATUSES (sizeof(statuses) / sizeof(statuses[0]))

enum rpc_code grpc_status_read(const char *text, size_t length)
{
    for (size_t i = 0; i < STATUSES; i++)
        if (strlen(statuses[i]) == length && memcmp(statuses[i], text, length) == 0)
            return (enum rpc_code)i;
    return RPC_UNKNOWN_ERROR;
}

const char *grpc_status_text(enum rpc_code code)
{
    return statuses[(size_t)code < STATUSES ? code : RPC_UNKNOWN_ERROR];
}

/* ---- The identity ---- */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 24 bytes are eight groups: there is nothing to pad. */
bool grpc_identity_read(const char *text, size_t length, uint8_t identity[RPC_IDENTITY_BYTES])
{
    if (length != GRPC_IDENTITY_TEXT_BYTES)
        return false;
    for (size_t i = 0; i < length; i += 4) {
        uint32_t group = 0;
        for (size_t j = i; j < i + 4; j++) {
            const char *at = text[j] != '\0' ? strchr(base64, text[j]) : NULL;
            if (!at)
                return false;
            group = group << 6 | (uint32_t)(at - base64);
        }
        *identity++ = (uint8_t)(group >> 16);
        *identity++ = (uint8_t)(group >> 8);
        *identity++ = (uint8_t)group;
    }
    return true;
}

void grpc_identity_write(const uint8_t identity[RPC_IDENTITY_BYTES],
                         char text[GRPC_IDENTITY_TEXT_BYTES])
{
    for (size_t i = 0; i < RPC_IDENTITY_BYTES; i += 3) {
        uint32_t group =
            (uint32_t)identity[i] << 16 | (uint32_t)identity[i + 1] << 8 | identity[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *text++ = base64[group >> shift & 63];
    }
}

/* ---- HTTP ---- */

enum rpc_code grpc_code_of_http(unsigned status)
{
    switch (status) {
    case 400:
        return RPC_INTERNAL;
    case 401:
        return RPC_UNAUTHENTICATED;
    case 403:
        return RPC_PERMISSION_DENIED;
    case 404:
        return RPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return RPC_UNAVAILABLE;
    default:
        return RPC_UNKNOWN_ERROR;
    }
}

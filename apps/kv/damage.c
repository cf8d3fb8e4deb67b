/* SPDX-License-Identifier: MIT */
#include "kv/damage.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store.h"

#define LINE_BYTES 700

static bool was_told(const struct kv_damage *d, uint64_t sum)
{
    for (uint32_t i = 0; i < d->told_count; i++)
        if (d->told[i] == sum)
            return true;
    return false;
}

void kv_damage_found(struct kv_damage *d, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;

    d->found++;
    if (!d->warn || d->told_count == KV_DAMAGE_TOLD_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    uint64_t sum = store_sum_text(STORE_SUM, line);
    if (was_told(d, sum))
        return;
    d->told[d->told_count++] = sum;
    d->warn(d->context, d->told_count < KV_DAMAGE_TOLD_MAX
                            ? line
                            : "more rows are damaged, which are only counted from now on "
                              "(kv_journal_damaged)");
}

/* RFC 3986 2.3: what is unreserved stands for itself, and here the slash too. */
void kv_damage_key(const struct kv_blob *key, char text[KV_DAMAGE_KEY_BYTES])
{
    static const char more[] = "...";
    size_t at = 0, room = KV_DAMAGE_KEY_BYTES - sizeof(more) - 3;

    for (size_t i = 0; i < key->length; i++) {
        uint8_t c = key->bytes[i];
        if (at > room) {
            memcpy(text + at, more, sizeof(more));
            return;
        }
        if (c < 0x80 && (isalnum(c) || (c != 0 && strchr("-._~/", c))))
            text[at++] = (char)c;
        else
            at += (size_t)snprintf(text + at, KV_DAMAGE_KEY_BYTES - at, "%%%02X", c);
    }
    text[at] = '\0';
}

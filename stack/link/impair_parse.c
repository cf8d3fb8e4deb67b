/* SPDX-License-Identifier: MIT */
/*
 * Reads an impairment as a user writes it. Numbers are decimal fractions with a unit, and are kept
 * as whole numbers of the smallest one: what has to be rounded is refused, so that what was read is
 * what was written.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "link/impair.h"

#define WORD_BYTES  80 /* of a key with its value; none that is right comes near */
#define DIGITS_MAX  15 /* of a number, so that it fits 64 bits */
#define NUMBERS_MAX 3  /* of a value */

enum key { DELAY, JITTER, RATE, QUEUE, ECN, LOSS, BURST, DUPLICATE, REORDER, CORRUPT, KEYS };

struct unit {
    const char *name;
    uint64_t factor;
};

/* What kind of value a key has. */
struct kind {
    struct unit units[5]; /* the last one has no name */
    uint64_t min, max;
    int count; /* of the numbers, divided by '/' */
    const char *what;
};

static const struct kind time_kind = {
    .units = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}},
    .max = IMPAIR_TIME_MAX_NS,
    .count = 1,
    .what = "a time in ns, us, ms or s, at most 3600s",
};

static const struct kind rate_kind = {
    .units = {{"bit", 1}, {"kbit", 1000}, {"mbit", 1000000}, {"gbit", 1000000000}},
    .min = 1,
    .max = IMPAIR_RATE_MAX_BPS,
    .count = 1,
    .what = "a rate in bit, kbit, mbit or gbit, at least 1bit and at most 1000gbit",
};

static const struct kind size_kind = {
    .units = {{"b", 1}, {"kb", 1024}, {"mb", 1024 * 1024}},
    .min = 1,
    .max = IMPAIR_BYTES_MAX,
    .count = 1,
    .what = "a size in b, kb or mb, at least 1b and at most 64mb",
};

static const struct kind chance_kind = {
    .units = {{"%", 10000}},
    .max = 1000000,
    .count = 1,
    .what = "a percentage from 0% to 100%, in steps of 0.0001%",
};

static const struct kind burst_kind = {
    .units = {{"%", 10000}},
    .max = 1000000,
    .count = 3,
    .what = "three percentages: of entering a burst, of leaving it, of loss within",
};

static const struct {
    const char *name;
    const struct kind *kind;
    const char *example;
    enum key needs; /* another key without which it has no effect; itself: none */
} keys[KEYS] = {
    [DELAY] = {"delay", &time_kind, "20ms", DELAY},
    [JITTER] = {"jitter", &time_kind, "5ms", DELAY},
    [RATE] = {"rate", &rate_kind, "100mbit", RATE},
    [QUEUE] = {"queue", &size_kind, "64kb", RATE},
    [ECN] = {"ecn", &size_kind, "30kb", RATE},
    [LOSS] = {"loss", &chance_kind, "1%", LOSS},
    [BURST] = {"burst", &burst_kind, "0.1%/20%/50%", BURST},
    [DUPLICATE] = {"duplicate", &chance_kind, "1%", DUPLICATE},
    [REORDER] = {"reorder", &chance_kind, "5%", DELAY},
    [CORRUPT] = {"corrupt", &chance_kind, "0.1%", CORRUPT},
};

struct parse {
    uint64_t values[KEYS][NUMBERS_MAX];
    bool given[KEYS];
    char *error;
    size_t error_bytes;
};

__attribute__((format(printf, 2, 3))) static int fail(const struct parse *p, const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(p->error, p->error_bytes, format, arguments);
    va_end(arguments);
    return -1;
}

/* Reads digits, or digits "." digits, as `mantissa` / `scale`. Returns what follows, or NULL. */
static const char *read_decimal(const char *text, uint64_t *mantissa, uint64_t *scale)
{
    const char *at = text;
    bool fraction = false;
    *mantissa = 0;
    *scale = 1;
    for (; at - text <= DIGITS_MAX; at++) {
        if (*at == '.' && !fraction && at > text && isdigit((unsigned char)at[1])) {
            fraction = true;
            continue;
        }
        if (!isdigit((unsigned char)*at))
            return at > text ? at : NULL;
        *mantissa = *mantissa * 10 + (uint64_t)(*at - '0');
        *scale *= fraction ? 10 : 1;
    }
    return NULL;
}

static bool read_value(const char *text, const struct kind *kind, uint64_t *value)
{
    uint64_t mantissa, scale, product;
    const char *unit = read_decimal(text, &mantissa, &scale);
    if (!unit)
        return false;
    for (const struct unit *u = kind->units; u->name; u++) {
        if (strcmp(u->name, unit) != 0)
            continue;
        if (__builtin_mul_overflow(mantissa, u->factor, &product) || product % scale != 0)
            return false;
        *value = product / scale;
        return *value >= kind->min && *value <= kind->max;
    }
    return false;
}

/* Reads all numbers of a value, which is cut at its slashes. */
static bool read_values(char *text, const struct kind *kind, uint64_t values[NUMBERS_MAX])
{
    for (int n = 0; n < kind->count; n++) {
        char *slash = strchr(text, '/');
        bool more = n < kind->count - 1;
        if ((slash != NULL) != more)
            return false;
        if (slash)
            *slash = '\0';
        if (!read_value(text, kind, &values[n]))
            return false;
        if (slash)
            text = slash + 1;
    }
    return true;
}

static enum key key_of(const char *name)
{
    enum key key = 0;
    while (key < KEYS && strcmp(keys[key].name, name) != 0)
        key++;
    return key;
}

/* One "key=value", which is cut up. */
static int parse_word(struct parse *p, char *word)
{
    char *value = strchr(word, '=');
    if (value)
        *value++ = '\0';
    enum key key = key_of(word);
    if (key == KEYS)
        return fail(p,
                    "there is no \"%s\"; there are delay, jitter, rate, queue, ecn, loss, burst, "
                    "duplicate, reorder, corrupt",
                    word);
    if (p->given[key])
        return fail(p, "%s is given twice", word);
    p->given[key] = true;
    char wrong[WORD_BYTES];
    snprintf(wrong, sizeof(wrong), "%s", value ? value : "");
    if (!value || !read_values(value, keys[key].kind, p->values[key]))
        return fail(p, "%s \"%s\": must be %s, as in %s=%s", word, wrong, keys[key].kind->what,
                    word, keys[key].example);
    return 0;
}

/* Cuts the text at its commas. */
static int parse_words(struct parse *p, const char *text)
{
    for (;;) {
        char word[WORD_BYTES];
        const char *comma = strchr(text, ',');
        size_t length = comma ? (size_t)(comma - text) : strlen(text);
        if (length == 0)
            return fail(p, "an empty word; write it as delay=20ms,loss=1%%");
        if (length >= sizeof(word))
            return fail(p, "\"%.20s...\" is too long", text);
        memcpy(word, text, length);
        word[length] = '\0';
        if (parse_word(p, word))
            return -1;
        if (!comma)
            return 0;
        text = comma + 1;
    }
}

static int check_together(const struct parse *p)
{
    for (enum key key = 0; key < KEYS; key++) {
        if (p->given[key] && !p->given[keys[key].needs])
            return fail(p, "%s has no effect without %s", keys[key].name,
                        keys[keys[key].needs].name);
    }
    return 0;
}

int impair_parse(const char *text, struct impair_config *config, char *error, size_t error_bytes)
{
    struct parse p = {.error = error, .error_bytes = error_bytes};
    if (parse_words(&p, text) || check_together(&p))
        return -1;
    *config = (struct impair_config){
        .delay_ns = p.values[DELAY][0],
        .jitter_ns = p.values[JITTER][0],
        .rate_bps = p.values[RATE][0],
        .queue_bytes = (size_t)p.values[QUEUE][0],
        .ecn_bytes = (size_t)p.values[ECN][0],
        .loss = (impair_ppm)p.values[LOSS][0],
        .burst_enter = (impair_ppm)p.values[BURST][0],
        .burst_leave = (impair_ppm)p.values[BURST][1],
        .burst_loss = (impair_ppm)p.values[BURST][2],
        .duplicate = (impair_ppm)p.values[DUPLICATE][0],
        .reorder = (impair_ppm)p.values[REORDER][0],
        .corrupt = (impair_ppm)p.values[CORRUPT][0],
    };
    return 0;
}

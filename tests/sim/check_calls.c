/* SPDX-License-Identifier: MIT */
#include "check_calls.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

/* A timer is late by less than its tick. */
#define TICK_NS UINT64_C(65536)

/* Of the last prime that fits 32 bits. */
#define PRIME_INDEX_MAX 203280220

struct checking {
    const struct call_record *calls;
    size_t call_count;
    const struct audit_row *rows;
    size_t row_count;
    void (*violated)(void *context, const char *line);
    void *context;
};

static const char *const kinds[CALL_KINDS] = {"add", "set", "get", "ith_prime", "is_coprime"};

__attribute__((format(printf, 3, 4))) static void violate(const struct checking *c, size_t call,
                                                          const char *format, ...)
{
    char text[200], line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (call < c->call_count)
        snprintf(line, sizeof(line), "call %zu (%s %" PRIu32 ") %s", call,
                 kinds[c->calls[call].kind], c->calls[call].x, text);
    else
        snprintf(line, sizeof(line), "%s", text);
    c->violated(c->context, line);
}

/* ---- Each by itself ---- */

/* By trial: slow, and right at a glance. */
static bool is_prime(uint32_t n)
{
    for (uint32_t d = 2; (uint64_t)d * d <= n; d++)
        if (n % d == 0)
            return false;
    return n >= 2;
}

static uint32_t prime_of(uint32_t i)
{
    uint32_t n = 1;
    for (uint32_t found = 0; found <= i;)
        found += is_prime(++n);
    return n;
}

static bool have_common_divisor(uint32_t x, uint32_t y)
{
    for (uint32_t d = 2; d <= x || d <= y; d++)
        if (x % d == 0 && y % d == 0)
            return true;
    return false;
}

static void check_time(const struct checking *c, size_t i)
{
    const struct call_record *r = &c->calls[i];
    if (r->fate == CALL_OPEN)
        violate(c, i, "has not ended");
    if (r->fate == CALL_ENDED && r->ended_ns > r->deadline_ns + TICK_NS)
        violate(c, i, "ended %" PRIu64 " us after its deadline",
                (r->ended_ns - r->deadline_ns) / 1000);
}

static void check_value(const struct checking *c, size_t i, uint32_t expected)
{
    if (c->calls[i].result != expected)
        violate(c, i, "has the result %" PRIu32 " and not %" PRIu32, c->calls[i].result, expected);
}

/* The counter was, at some time during the call, what the additions around it say. */
static void check_get(const struct checking *c, size_t i)
{
    const struct call_record *get = &c->calls[i];
    uint64_t least = 0, most = 0;
    for (size_t j = 0; j < c->call_count; j++) {
        const struct call_record *r = &c->calls[j];
        bool answered = r->fate == CALL_ENDED && r->reply.outcome == RPC_RESULT;
        if (r->kind != CALL_ADD)
            continue;
        if (answered && r->ended_ns < get->began_ns)
            least += r->x;
        if (r->began_ns <= get->ended_ns)
            most += r->x;
    }
    if (get->result < least || get->result > most)
        violate(c, i, "has the result %" PRIu32 ", and not from %" PRIu64 " to %" PRIu64,
                get->result, least, most);
}

static void check_result(const struct checking *c, size_t i)
{
    const struct call_record *r = &c->calls[i];
    switch (r->kind) {
    case CALL_SET:
        check_value(c, i, r->x);
        break;
    case CALL_GET:
        check_get(c, i);
        break;
    case CALL_ITH_PRIME:
        if (r->x > PRIME_INDEX_MAX)
            violate(c, i, "has a result, though there is none");
        else
            check_value(c, i, prime_of(r->x));
        break;
    case CALL_IS_COPRIME:
        check_value(c, i, !have_common_divisor(r->x, r->y));
        break;
    default: /* an addition: see check_effect */
        break;
    }
}

/* ---- Effects ---- */

static void check_effect(const struct checking *c, size_t i)
{
    const struct call_record *r = &c->calls[i];
    const struct audit_row *row = NULL;
    size_t times = 0;
    for (size_t j = 0; j < c->row_count; j++) {
        if (c->rows[j].client != r->client || c->rows[j].sequence != r->sequence)
            continue;
        row = &c->rows[j];
        times++;
    }
    bool told = r->fate == CALL_ENDED || r->fate == CALL_CANCELLED;
    if (times > 1)
        violate(c, i, "took effect %zu times", times);
    if (times > 0 && row->amount != r->x)
        violate(c, i, "added %" PRIu32, row->amount);
    if (times > 0 && told && r->reply.outcome == RPC_NOT_EXECUTED)
        violate(c, i, "took effect, though it was not executed");
    if (r->fate != CALL_ENDED || r->reply.outcome != RPC_RESULT)
        return;
    if (times == 0)
        violate(c, i, "has a result, but took no effect");
    else if (times == 1 && row->value != r->result)
        violate(c, i, "has the result %" PRIu32 ", its effect was %" PRIu32, r->result, row->value);
}

static void check_rows(const struct checking *c, uint32_t counter)
{
    uint32_t value = 0;
    for (size_t j = 0; j < c->row_count; j++) {
        const struct audit_row *row = &c->rows[j];
        size_t i = 0;
        while (i < c->call_count &&
               (c->calls[i].kind != CALL_ADD || c->calls[i].client != row->client ||
                c->calls[i].sequence != row->sequence))
            i++;
        if (i == c->call_count)
            violate(c, SIZE_MAX, "an effect that nobody has asked for: %" PRIu32, row->amount);
        value += row->amount;
        if (row->value != value)
            violate(c, SIZE_MAX, "effect %zu has made %" PRIu32 " of %" PRIu32, j, row->value,
                    value - row->amount);
    }
    if (counter != value)
        violate(c, SIZE_MAX, "the counter is %" PRIu32 ", its effects make %" PRIu32, counter,
                value);
}

void check_calls(const struct call_record *calls, size_t call_count, const struct audit_row *rows,
                 size_t row_count, uint32_t counter,
                 void (*violated)(void *context, const char *line), void *context)
{
    const struct checking c = {calls, call_count, rows, row_count, violated, context};
    for (size_t i = 0; i < call_count; i++) {
        check_time(&c, i);
        if (calls[i].fate == CALL_ENDED && calls[i].reply.outcome == RPC_RESULT)
            check_result(&c, i);
        if (calls[i].kind == CALL_ADD)
            check_effect(&c, i);
    }
    check_rows(&c, counter);
}

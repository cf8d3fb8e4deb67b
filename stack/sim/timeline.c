/* SPDX-License-Identifier: MIT */
/*
 * The events to come are a binary heap in an array, and each event knows its place in it, so that
 * one that is already scheduled can be moved. No two have the same (time, serial): the order does
 * not depend on how the heap happens to lie.
 */
#include "sim/timeline.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "strait.h"

#define LINE_BYTES        256
#define CAPACITY_AT_FIRST 32

void timeline_init(struct timeline *t, uint64_t now_ns, uint64_t seed)
{
    *t = (struct timeline){.now_ns = now_ns, .hash = hash_word(0, seed)};
}

void timeline_finish(struct timeline *t)
{
    free(t->heap);
}

bool timeline_make_room(struct timeline *t)
{
    if (t->made == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : CAPACITY_AT_FIRST;
        struct event **heap = realloc(t->heap, (capacity + 1) * sizeof(struct event *));
        if (!heap)
            return false;
        t->heap = heap;
        t->capacity = capacity;
    }
    t->made++;
    return true;
}

void timeline_give_room(struct timeline *t)
{
    t->made--;
    CHECK(t->count <= t->made);
}

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->serial < b->serial;
}

static void put(struct timeline *t, size_t place, struct event *e)
{
    t->heap[place] = e;
    e->place = place;
}

/* Puts the event at `place`, or nearer to the top. */
static void sift_up(struct timeline *t, size_t place, struct event *e)
{
    for (; place > 1 && is_before(e, t->heap[place / 2]); place /= 2)
        put(t, place, t->heap[place / 2]);
    put(t, place, e);
}

/* Puts the event at `place`, or further down. */
static void sift_down(struct timeline *t, size_t place, struct event *e)
{
    for (size_t child; (child = 2 * place) <= t->count; place = child) {
        if (child < t->count && is_before(t->heap[child + 1], t->heap[child]))
            child++;
        if (is_before(e, t->heap[child]))
            break;
        put(t, place, t->heap[child]);
    }
    put(t, place, e);
}

static void settle(struct timeline *t, size_t place, struct event *e)
{
    if (place > 1 && is_before(e, t->heap[place / 2]))
        sift_up(t, place, e);
    else
        sift_down(t, place, e);
}

static void take_off(struct timeline *t, struct event *e)
{
    size_t place = e->place;
    struct event *last = t->heap[t->count--];
    e->place = 0;
    if (last != e)
        settle(t, place, last);
}

void event_schedule(struct timeline *t, struct event *e, uint64_t at_ns)
{
    if (at_ns < t->now_ns)
        at_ns = t->now_ns;
    if (at_ns == STRAIT_NEVER) {
        if (e->place)
            take_off(t, e);
        return;
    }
    if (e->place && e->at_ns == at_ns)
        return;
    e->at_ns = at_ns;
    e->serial = ++t->serial;
    if (e->place) {
        settle(t, e->place, e);
        return;
    }
    CHECK(t->count < t->made);
    sift_up(t, ++t->count, e);
}

void timeline_move(struct timeline *t, uint64_t now_ns)
{
    CHECK(now_ns >= t->now_ns);
    if (now_ns > t->now_ns)
        t->instant = 0;
    t->now_ns = now_ns;
}

void timeline_log(struct timeline *t, const char *format, ...)
{
    char line[LINE_BYTES];
    int n = snprintf(line, sizeof(line), "%" PRIu64 ".%09" PRIu64 " ", t->now_ns / 1000000000,
                     t->now_ns % 1000000000);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + n, sizeof(line) - (size_t)n, format, arguments);
    va_end(arguments);
    t->log(t->log_context, t->now_ns, line);
}

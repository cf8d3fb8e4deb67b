/* SPDX-License-Identifier: MIT */
#include "base/ranges.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define CAPACITY_FIRST 4u

void ranges_clear(struct ranges *r)
{
    free(r->list);
    *r = (struct ranges){0};
}

/* The index of the first range that ends at or after `position`; `count` if none does. */
static uint32_t first_ending_from(const struct ranges *r, uint64_t position)
{
    uint32_t low = 0, high = r->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (r->list[middle].end >= position)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The index of the first range that starts after `position`; `count` if none does. */
static uint32_t first_starting_after(const struct ranges *r, uint64_t position)
{
    uint32_t low = 0, high = r->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (r->list[middle].start > position)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Takes the ranges with indices [from, to) out. */
static void cut(struct ranges *r, uint32_t from, uint32_t to)
{
    memmove(&r->list[from], &r->list[to], (r->count - to) * sizeof(*r->list));
    r->count -= to - from;
    if (r->count == 0)
        ranges_clear(r);
}

static bool insert(struct ranges *r, uint32_t index, struct range range, uint32_t limit)
{
    if (r->count >= limit)
        return false;
    if (r->count == r->capacity) {
        uint32_t capacity = r->capacity > 0 ? r->capacity : CAPACITY_FIRST / 2;
        capacity = capacity < limit / 2 ? 2 * capacity : limit;
        struct range *list = realloc(r->list, capacity * sizeof(*list));
        if (list == NULL)
            return false;
        r->list = list;
        r->capacity = capacity;
    }
    memmove(&r->list[index + 1], &r->list[index], (r->count - index) * sizeof(*r->list));
    r->list[index] = range;
    r->count++;
    return true;
}

bool ranges_add(struct ranges *r, uint64_t start, uint64_t end, uint32_t limit)
{
    CHECK(start < end);
    uint32_t from = first_ending_from(r, start);
    uint32_t to = first_starting_after(r, end);
    if (from == to)
        return insert(r, from, (struct range){start, end}, limit);

    /* [from, to) touch the new range: they become one. */
    struct range *merged = &r->list[from];
    uint64_t last_end = r->list[to - 1].end;
    merged->start = start < merged->start ? start : merged->start;
    merged->end = end > last_end ? end : last_end;
    cut(r, from + 1, to);
    return true;
}

const struct range *ranges_above(const struct ranges *r, uint64_t position)
{
    uint32_t first = first_ending_from(r, position);
    if (first < r->count && r->list[first].end == position)
        first++;
    return first < r->count ? &r->list[first] : NULL;
}

uint64_t ranges_overlap(const struct ranges *r, uint64_t start, uint64_t end)
{
    uint64_t overlap = 0;
    for (uint32_t i = first_ending_from(r, start); i < r->count && r->list[i].start < end; i++) {
        uint64_t from = r->list[i].start > start ? r->list[i].start : start;
        uint64_t to = r->list[i].end < end ? r->list[i].end : end;
        overlap += to - from;
    }
    return overlap;
}

void ranges_remove_below(struct ranges *r, uint64_t position)
{
    if (r->count == 0)
        return;
    uint32_t first = first_ending_from(r, position);
    if (first < r->count && r->list[first].end == position)
        first++;
    if (first < r->count && r->list[first].start < position)
        r->list[first].start = position;
    cut(r, 0, first);
}

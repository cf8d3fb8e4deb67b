/* SPDX-License-Identifier: MIT */
/*
 * A timer that is due at tick T stands on the level of the highest bit in which T differs from
 * now_tick, in the slot that T's bits of that level name. So on every level all occupied slots lie
 * ahead of the present one, and everything on a level comes before everything on the next: the
 * earliest work is the first occupied slot of the lowest occupied level. When the time reaches a
 * slot above level 0, its timers agree with now_tick in one more digit and move down.
 *
 * The head of a slot knows the earliest deadline that was put there. So the time need not be moved
 * to where the slot begins, but only to where one of its timers may be due: whoever sleeps until
 * then is not woken for nothing.
 *
 * Two timers of the same tick never change their order: as long as one of them stands on a level,
 * now_tick has not entered its slot there, and then the other one stands in the same slot.
 */
#include "base/timer.h"

#include <stddef.h>

#define TICK_MAX ((UINT64_C(1) << (TIMER_LEVELS * TIMER_LEVEL_BITS)) - 1)
_Static_assert(TIMER_TICK_SHIFT + TIMER_LEVELS * TIMER_LEVEL_BITS == 64,
               "the wheel reaches to the end of time");

static void head_init(struct strait_timer *head)
{
    head->next = head->prev = head;
}

static void append(struct strait_timer *head, struct strait_timer *t)
{
    t->prev = head->prev;
    t->next = head;
    head->prev->next = t;
    head->prev = t;
}

/* Moves everything from `from` to the end of `to`. */
static void append_all(struct strait_timer *to, struct strait_timer *from)
{
    if (from->next == from)
        return;
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    head_init(from);
}

static void unlink_timer(struct strait_timer *t)
{
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->next = t->prev = NULL;
}

/* The first tick at or after the deadline; in the last tick of all time, that one. */
static uint64_t tick_of(uint64_t deadline_ns)
{
    uint64_t partial = (deadline_ns & ((UINT64_C(1) << TIMER_TICK_SHIFT) - 1)) != 0;
    uint64_t tick = (deadline_ns >> TIMER_TICK_SHIFT) + partial;
    return tick < TICK_MAX ? tick : TICK_MAX;
}

/* Puts the timer into its slot, or onto `due` if its tick has come. */
static void place(struct timer_wheel *w, struct strait_timer *t, struct strait_timer *due)
{
    uint64_t tick = tick_of(t->deadline_ns);
    if (tick <= w->now_tick) {
        append(due, t);
        return;
    }
    int level = (63 - __builtin_clzll(tick ^ w->now_tick)) / TIMER_LEVEL_BITS;
    unsigned slot = (tick >> (level * TIMER_LEVEL_BITS)) & (TIMER_SLOTS - 1);
    struct strait_timer *head = &w->slots[level][slot];
    if (head->next == head || t->deadline_ns < head->deadline_ns)
        head->deadline_ns = t->deadline_ns;
    append(head, t);
    w->occupied[level] |= UINT64_C(1) << slot;
    w->levels |= 1u << level;
}

/* The slot has lost its last timer. */
static void vacate(struct timer_wheel *w, unsigned level, unsigned slot)
{
    w->occupied[level] &= ~(UINT64_C(1) << slot);
    if (w->occupied[level] == 0)
        w->levels &= ~(1u << level);
}

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ns, void *owner)
{
    w->now_tick = now_ns >> TIMER_TICK_SHIFT;
    w->owner = owner;
    w->levels = 0;
    head_init(&w->due);
    for (int level = 0; level < TIMER_LEVELS; level++) {
        w->occupied[level] = 0;
        for (unsigned slot = 0; slot < TIMER_SLOTS; slot++)
            head_init(&w->slots[level][slot]);
    }
}

void timer_start(struct timer_wheel *w, struct strait_timer *t, uint64_t deadline_ns)
{
    timer_stop(w, t);
    if (deadline_ns == STRAIT_NEVER)
        return;
    t->deadline_ns = deadline_ns;
    place(w, t, &w->due);
}

void timer_stop(struct timer_wheel *w, struct strait_timer *t)
{
    if (!timer_running(t))
        return;
    struct strait_timer *next = t->next;
    unlink_timer(t);
    if (next->next != next)
        return;

    /* Only a head is alone on its list. A slot's bit goes out with its last timer. */
    size_t offset = (uintptr_t)next - (uintptr_t)w->slots;
    if (offset >= sizeof(w->slots))
        return;
    unsigned slot = (unsigned)(offset / sizeof(*next));
    vacate(w, slot / TIMER_SLOTS, slot % TIMER_SLOTS);
}

/*
 * Finds the first occupied slot of the lowest occupied level, and the tick at which it begins;
 * false if the wheel is empty.
 */
static bool first_slot(const struct timer_wheel *w, unsigned *level, unsigned *slot, uint64_t *tick)
{
    if (w->levels == 0)
        return false;
    *level = (unsigned)__builtin_ctz(w->levels);
    *slot = (unsigned)__builtin_ctzll(w->occupied[*level]);
    unsigned shift = *level * TIMER_LEVEL_BITS;
    uint64_t above = ~(((UINT64_C(1) << TIMER_LEVEL_BITS) << shift) - 1);
    *tick = (w->now_tick & above) | (uint64_t)*slot << shift;
    return true;
}

/* Moves the time to `target_tick`, and every timer whose tick has come onto `due`, in order. */
static void collect(struct timer_wheel *w, uint64_t target_tick, struct strait_timer *due)
{
    unsigned level, slot;
    uint64_t tick;
    while (first_slot(w, &level, &slot, &tick) && tick <= target_tick) {
        struct strait_timer moving;
        head_init(&moving);
        append_all(&moving, &w->slots[level][slot]);
        vacate(w, level, slot);
        w->now_tick = tick;
        while (moving.next != &moving) {
            struct strait_timer *t = moving.next;
            unlink_timer(t);
            place(w, t, due);
        }
    }
    w->now_tick = target_tick;
}

void timer_wheel_advance(struct timer_wheel *w, uint64_t now_ns)
{
    uint64_t target_tick = now_ns >> TIMER_TICK_SHIFT;
    bool none_waits = w->due.next == &w->due;
    if (target_tick < w->now_tick || (target_tick == w->now_tick && none_waits))
        return;

    /* All is collected before anything runs: what a callback starts cannot expire in this turn. */
    struct strait_timer due;
    head_init(&due);
    append_all(&due, &w->due);
    collect(w, target_tick, &due);
    while (due.next != &due) {
        struct strait_timer *t = due.next;
        unlink_timer(t);
        t->expired(w->owner, t);
    }
}

uint64_t timer_wheel_next(const struct timer_wheel *w)
{
    unsigned level, slot;
    uint64_t tick;
    if (w->due.next != &w->due)
        return w->now_tick << TIMER_TICK_SHIFT;
    if (!first_slot(w, &level, &slot, &tick))
        return STRAIT_NEVER;
    return tick_of(w->slots[level][slot].deadline_ns) << TIMER_TICK_SHIFT;
}

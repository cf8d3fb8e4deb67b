/* SPDX-License-Identifier: MIT */
/*
 * A hierarchical timer wheel (Varghese, Lauck 1987) over struct strait_timer: starting, stopping
 * and expiring cost O(1). Its tick is 2^16 ns (65.5 us): a timer never expires before its deadline,
 * and in a wheel that is advanced when timer_wheel_next says, less than one tick after it. Timers
 * that expire at one advance do so in the order of their ticks, and within one tick in the order in
 * which they were started; a deadline that is past when the timer is started counts as of that
 * tick.
 */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "strait.h"

#define TIMER_TICK_SHIFT 16 /* a tick is 1 << 16 nanoseconds */
#define TIMER_LEVEL_BITS 6
#define TIMER_LEVELS     8
#define TIMER_SLOTS      (1u << TIMER_LEVEL_BITS)

struct timer_wheel {
    uint64_t now_tick;               /* every tick up to this one has been run */
    void *owner;                     /* passed to `expired` */
    uint64_t occupied[TIMER_LEVELS]; /* a bit for each slot that has timers */
    unsigned levels;                 /* a bit for each level that has some */
    struct strait_timer due;         /* list head: started with a deadline already past */
    struct strait_timer slots[TIMER_LEVELS][TIMER_SLOTS]; /* list heads */
};

/* Makes an empty wheel at time `now_ns`; `owner` is given to each expired timer. */
void timer_wheel_init(struct timer_wheel *, uint64_t now_ns, void *owner);

/*
 * (Re)starts the timer, whose `expired` is set. A deadline in the past expires at the next advance;
 * STRAIT_NEVER stops it.
 */
void timer_start(struct timer_wheel *, struct strait_timer *, uint64_t deadline_ns);

/* Stops the timer if it runs. */
void timer_stop(struct timer_wheel *, struct strait_timer *);

/* Whether the timer was started and has not expired or been stopped. */
static inline bool timer_running(const struct strait_timer *t)
{
    return t->next != NULL;
}

/*
 * Expires every timer whose deadline is at or before `now_ns` rounded down to a tick. `expired` may
 * start and stop any timer of the wheel; one that it starts with a deadline already past waits for
 * the next advance. Time never goes back: an earlier `now_ns` does nothing.
 */
void timer_wheel_advance(struct timer_wheel *, uint64_t now_ns);

/*
 * When the wheel next wants to be advanced: the tick boundary at or after the earliest deadline, or
 * that of a timer near it which has been stopped since; STRAIT_NEVER when it is empty.
 */
uint64_t timer_wheel_next(const struct timer_wheel *);

#endif

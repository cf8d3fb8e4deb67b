/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/list.h"
#include "base/prng.h"
#include "base/timer.h"

#define TICK_NS   (UINT64_C(1) << TIMER_TICK_SHIFT)
#define SECOND_NS UINT64_C(1000000000)
#define DAY_NS    (86400 * SECOND_NS)

/* The owner of a wheel: what has expired, in order. */
struct journal {
    struct timer_wheel wheel;
    int count;
    int expired[1024];
};

struct alarm {
    struct strait_timer timer;
    int number;
    struct alarm *other; /* for the callbacks that act on a second timer */
    uint64_t restart_ns;
};

static void note(void *owner, struct strait_timer *t)
{
    struct journal *j = owner;
    assert_false(timer_running(t));
    assert_in_range(j->count, 0, 1023);
    j->expired[j->count++] = container_of(t, struct alarm, timer)->number;
}

static struct journal *journal_at(uint64_t now_ns)
{
    static struct journal j;
    timer_wheel_init(&j.wheel, now_ns, &j);
    j.count = 0;
    return &j;
}

static void assert_expired(const struct journal *j, const int *numbers, int count)
{
    assert_int_equal(j->count, count);
    assert_memory_equal(j->expired, numbers, (size_t)count * sizeof(*numbers));
}

/* The first tick boundary at or after the time. */
static uint64_t boundary_from(uint64_t time_ns)
{
    return (time_ns + TICK_NS - 1) / TICK_NS * TICK_NS;
}

static void expires_at_the_tick_boundary_not_before(void **state)
{
    (void)state;
    struct journal *j = journal_at(0);
    struct alarm a = {.timer.expired = note, .number = 1};
    timer_start(&j->wheel, &a.timer, 3 * TICK_NS + 1);
    assert_true(timer_running(&a.timer));
    assert_int_equal(timer_wheel_next(&j->wheel), 4 * TICK_NS);
    timer_wheel_advance(&j->wheel, 4 * TICK_NS - 1);
    assert_int_equal(j->count, 0);
    timer_wheel_advance(&j->wheel, 4 * TICK_NS);
    assert_int_equal(j->count, 1);
    assert_false(timer_running(&a.timer));
    assert_true(timer_wheel_next(&j->wheel) == STRAIT_NEVER);

    timer_start(&j->wheel, &a.timer, 7 * TICK_NS);
    timer_wheel_advance(&j->wheel, 7 * TICK_NS);
    assert_int_equal(j->count, 2);
}

static void past_deadline_expires_at_the_next_advance(void **state)
{
    (void)state;
    struct journal *j = journal_at(10 * SECOND_NS);
    struct alarm a = {.timer.expired = note, .number = 1};
    struct alarm b = {.timer.expired = note, .number = 2};
    timer_start(&j->wheel, &a.timer, 9 * SECOND_NS);
    timer_start(&j->wheel, &b.timer, 0);
    assert_true(timer_running(&b.timer));
    assert_true(timer_wheel_next(&j->wheel) <= 10 * SECOND_NS);
    timer_wheel_advance(&j->wheel, 10 * SECOND_NS);
    assert_expired(j, (int[]){1, 2}, 2);
}

static void never_stops_and_stopping_twice_is_harmless(void **state)
{
    (void)state;
    struct journal *j = journal_at(0);
    struct alarm a = {.timer.expired = note};
    timer_stop(&j->wheel, &a.timer);
    timer_start(&j->wheel, &a.timer, SECOND_NS);
    timer_start(&j->wheel, &a.timer, STRAIT_NEVER);
    assert_false(timer_running(&a.timer));
    assert_true(timer_wheel_next(&j->wheel) == STRAIT_NEVER);
    timer_start(&j->wheel, &a.timer, 0);
    timer_stop(&j->wheel, &a.timer);
    timer_stop(&j->wheel, &a.timer);
    assert_true(timer_wheel_next(&j->wheel) == STRAIT_NEVER);
    timer_wheel_advance(&j->wheel, 10 * SECOND_NS);
    assert_int_equal(j->count, 0);
}

static void restarting_moves_the_deadline_both_ways(void **state)
{
    (void)state;
    struct journal *j = journal_at(0);
    struct alarm a = {.timer.expired = note};
    timer_start(&j->wheel, &a.timer, SECOND_NS);
    timer_start(&j->wheel, &a.timer, 2 * SECOND_NS);
    timer_wheel_advance(&j->wheel, 2 * SECOND_NS - 1);
    assert_int_equal(j->count, 0);
    timer_start(&j->wheel, &a.timer, 5 * SECOND_NS);
    timer_start(&j->wheel, &a.timer, 3 * SECOND_NS);
    timer_wheel_advance(&j->wheel, 3 * SECOND_NS + TICK_NS);
    assert_int_equal(j->count, 1);
    timer_wheel_advance(&j->wheel, 9 * SECOND_NS);
    assert_int_equal(j->count, 1);
}

static void time_never_goes_back(void **state)
{
    (void)state;
    struct journal *j = journal_at(10 * SECOND_NS);
    struct alarm a = {.timer.expired = note};
    timer_start(&j->wheel, &a.timer, 11 * SECOND_NS);
    timer_start(&j->wheel, &a.timer, 9 * SECOND_NS);
    timer_wheel_advance(&j->wheel, SECOND_NS);
    assert_int_equal(j->count, 0);
    timer_wheel_advance(&j->wheel, 10 * SECOND_NS);
    assert_int_equal(j->count, 1);
}

static void one_advance_expires_in_the_order_of_ticks_then_of_starts(void **state)
{
    (void)state;
    struct journal *j = journal_at(0);
    const uint64_t far_ns = 100000 * TICK_NS;
    struct alarm alarms[6];
    for (int i = 0; i < 6; i++)
        alarms[i] = (struct alarm){.timer.expired = note, .number = i};

    /* The same tick from three levels of the wheel, and others around it. */
    timer_start(&j->wheel, &alarms[0].timer, far_ns);
    timer_start(&j->wheel, &alarms[1].timer, far_ns + DAY_NS);
    timer_wheel_advance(&j->wheel, far_ns - 1000 * TICK_NS);
    timer_start(&j->wheel, &alarms[2].timer, far_ns - 5);
    timer_start(&j->wheel, &alarms[3].timer, far_ns + TICK_NS);
    timer_wheel_advance(&j->wheel, far_ns - 3 * TICK_NS);
    timer_start(&j->wheel, &alarms[4].timer, far_ns - 1);
    timer_start(&j->wheel, &alarms[5].timer, far_ns - TICK_NS);
    assert_int_equal(j->count, 0);
    timer_wheel_advance(&j->wheel, 2 * DAY_NS);
    assert_expired(j, (int[]){5, 0, 2, 4, 3, 1}, 6);
}

static void restart_itself(void *owner, struct strait_timer *t)
{
    struct journal *j = owner;
    note(owner, t);
    timer_start(&j->wheel, t, container_of(t, struct alarm, timer)->restart_ns);
}

static void restarted_in_the_past_waits_for_the_next_advance(void **state)
{
    (void)state;
    struct journal *j = journal_at(0);
    struct alarm a = {.timer.expired = restart_itself};
    timer_start(&j->wheel, &a.timer, SECOND_NS);
    for (int turn = 1; turn <= 5; turn++) {
        timer_wheel_advance(&j->wheel, 60 * SECOND_NS);
        assert_int_equal(j->count, turn);
        assert_true(timer_running(&a.timer));
        a.restart_ns = (uint64_t)turn * 10 * SECOND_NS;
    }
}

static void stop_the_other(void *owner, struct strait_timer *t)
{
    struct journal *j = owner;
    note(owner, t);
    timer_stop(&j->wheel, &container_of(t, struct alarm, timer)->other->timer);
}

static void stopped_by_a_callback_of_the_same_advance_does_not_expire(void **state)
{
    (void)state;
    struct journal *j = journal_at(0);
    struct alarm c = {.timer.expired = note, .number = 3};
    struct alarm b = {.timer.expired = note, .number = 2};
    struct alarm a = {.timer.expired = stop_the_other, .number = 1, .other = &b};
    for (uint64_t gap_ns = 0; gap_ns <= 200 * TICK_NS; gap_ns += 100 * TICK_NS) {
        uint64_t now_ns = j->wheel.now_tick * TICK_NS;
        timer_start(&j->wheel, &a.timer, now_ns + TICK_NS);
        timer_start(&j->wheel, &b.timer, now_ns + TICK_NS + gap_ns);
        timer_start(&j->wheel, &c.timer, now_ns + TICK_NS + gap_ns);
        j->count = 0;
        timer_wheel_advance(&j->wheel, now_ns + SECOND_NS);
        assert_expired(j, (int[]){1, 3}, 2);
        assert_false(timer_running(&b.timer));
        assert_true(timer_wheel_next(&j->wheel) == STRAIT_NEVER);
    }
}

static void start_the_other(void *owner, struct strait_timer *t)
{
    struct journal *j = owner;
    struct alarm *a = container_of(t, struct alarm, timer);
    note(owner, t);
    timer_start(&j->wheel, &a->other->timer, a->restart_ns);
}

static void postponed_by_a_callback_of_the_same_advance_waits(void **state)
{
    (void)state;
    struct journal *j = journal_at(0);
    struct alarm b = {.timer.expired = note, .number = 2};
    struct alarm a = {.timer.expired = start_the_other, .number = 1, .other = &b};
    a.restart_ns = 65 * TICK_NS; /* the same slot, one turn of level 0 later */
    timer_start(&j->wheel, &a.timer, TICK_NS);
    timer_start(&j->wheel, &b.timer, TICK_NS);
    timer_wheel_advance(&j->wheel, TICK_NS);
    assert_expired(j, (int[]){1}, 1);
    timer_wheel_advance(&j->wheel, 65 * TICK_NS - 1);
    assert_expired(j, (int[]){1}, 1);
    timer_wheel_advance(&j->wheel, 65 * TICK_NS);
    assert_expired(j, (int[]){1, 2}, 2);
}

static void free_itself(void *owner, struct strait_timer *t)
{
    note(owner, t);
    free(container_of(t, struct alarm, timer));
}

static void a_callback_may_free_its_timer(void **state)
{
    (void)state;
    struct journal *j = journal_at(0);
    for (int i = 0; i < 3; i++) {
        struct alarm *a = calloc(1, sizeof(*a));
        a->timer.expired = free_itself;
        a->number = i;
        timer_start(&j->wheel, &a->timer, SECOND_NS);
    }
    timer_wheel_advance(&j->wheel, 2 * SECOND_NS);
    assert_expired(j, (int[]){0, 1, 2}, 3);
}

/* Goes from each wish of the wheel to the next until the timer expires; returns the wishes. */
static int wakeups_until_expired(struct journal *j, struct alarm *a, uint64_t deadline_ns)
{
    uint64_t next_ns = 0;
    int wakeups = 0;
    timer_start(&j->wheel, &a->timer, deadline_ns);
    while (timer_running(&a->timer)) {
        next_ns = timer_wheel_next(&j->wheel);
        assert_true(next_ns <= boundary_from(deadline_ns));
        timer_wheel_advance(&j->wheel, next_ns);
        wakeups++;
        assert_in_range(wakeups, 1, TIMER_LEVELS);
    }
    assert_true(next_ns >= deadline_ns && next_ns - deadline_ns < TICK_NS);
    return wakeups;
}

static void deadlines_around_every_level_boundary(void **state)
{
    (void)state;
    struct alarm a = {.timer.expired = note};
    for (int level = 0; level < TIMER_LEVELS; level++) {
        uint64_t step_ns = TICK_NS << (level * TIMER_LEVEL_BITS);
        for (int64_t by = -2; by <= 2; by++) {
            const int64_t shifts[] = {0, 1, -1, (int64_t)TICK_NS - 1};
            for (size_t i = 0; i < sizeof(shifts) / sizeof(*shifts); i++) {
                uint64_t start_ns = 63 * TICK_NS + 17;
                uint64_t deadline_ns =
                    63 * step_ns + (uint64_t)(by * (int64_t)TICK_NS) + (uint64_t)shifts[i];
                if (deadline_ns <= start_ns)
                    continue;
                struct journal *j = journal_at(start_ns);
                wakeups_until_expired(j, &a, deadline_ns);
                assert_int_equal(j->count, 1);
            }
        }
    }
}

static void a_timer_costs_one_wakeup_however_far_it_is(void **state)
{
    (void)state;
    struct alarm a = {.timer.expired = note};
    assert_int_equal(wakeups_until_expired(journal_at(0), &a, 60 * TICK_NS), 1);
    assert_int_equal(wakeups_until_expired(journal_at(12345), &a, SECOND_NS), 1);
    assert_int_equal(wakeups_until_expired(journal_at(12345), &a, 400 * DAY_NS), 1);
}

static void deadline_at_the_end_of_time(void **state)
{
    (void)state;
    struct journal *j = journal_at(5 * SECOND_NS);
    struct alarm a = {.timer.expired = note};
    timer_start(&j->wheel, &a.timer, STRAIT_NEVER - 1);
    timer_wheel_advance(&j->wheel, 30000 * DAY_NS);
    assert_int_equal(j->count, 0);
    assert_true(timer_wheel_next(&j->wheel) != STRAIT_NEVER);
    timer_wheel_advance(&j->wheel, UINT64_MAX);
    assert_int_equal(j->count, 1);
}

/* ---- Against a model: an array that is searched and sorted ---- */

#define ALARMS 200

struct model {
    struct alarm alarms[ALARMS];
    bool running[ALARMS];
    uint64_t deadline_ns[ALARMS];
    uint64_t tick[ALARMS];  /* at which it is to expire */
    uint64_t order[ALARMS]; /* of the starts */
    uint64_t starts;
    uint64_t now_ns;
};

static void model_start(struct model *m, struct journal *j, int i, uint64_t deadline_ns)
{
    uint64_t tick = boundary_from(deadline_ns) / TICK_NS, now_tick = m->now_ns / TICK_NS;
    m->running[i] = true;
    m->deadline_ns[i] = deadline_ns;
    m->tick[i] = tick > now_tick ? tick : now_tick;
    m->order[i] = m->starts++;
    timer_start(&j->wheel, &m->alarms[i].timer, deadline_ns);
}

/* The running timer that is first to expire; -1 if none runs. */
static int model_first(const struct model *m)
{
    int first = -1;
    for (int i = 0; i < ALARMS; i++) {
        if (!m->running[i])
            continue;
        if (first < 0 || m->tick[i] < m->tick[first] ||
            (m->tick[i] == m->tick[first] && m->order[i] < m->order[first]))
            first = i;
    }
    return first;
}

static void model_advance(struct model *m, struct journal *j, uint64_t now_ns)
{
    j->count = 0;
    timer_wheel_advance(&j->wheel, now_ns);
    m->now_ns = now_ns;
    int count = 0, i;
    while ((i = model_first(m)) >= 0 && m->tick[i] <= now_ns / TICK_NS) {
        assert_true(count < j->count);
        assert_int_equal(j->expired[count], i);
        assert_true(m->deadline_ns[i] <= now_ns);
        m->running[i] = false;
        count++;
    }
    assert_int_equal(j->count, count);
}

static void check_next(const struct model *m, const struct journal *j)
{
    uint64_t next_ns = timer_wheel_next(&j->wheel);
    int first = model_first(m);
    if (first < 0) {
        assert_true(next_ns == STRAIT_NEVER);
        return;
    }
    assert_true(next_ns <= m->tick[first] * TICK_NS);
    assert_true(next_ns >= m->now_ns / TICK_NS * TICK_NS);
}

static uint64_t random_delay(struct prng *r)
{
    return prng_next(r) >> (14 + prng_below(r, 45));
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    enum { STEPS = 10000 };
    static struct model m;
    struct prng r;
    prng_seed(&r, 1);
    m = (struct model){.now_ns = 3 * SECOND_NS + 4711};
    struct journal *j = journal_at(m.now_ns);
    for (int i = 0; i < ALARMS; i++)
        m.alarms[i] = (struct alarm){.timer.expired = note, .number = i};

    for (int step = 0; step < STEPS; step++) {
        int i = (int)prng_below(&r, ALARMS);
        switch (prng_below(&r, 8)) {
        case 0:
            timer_stop(&j->wheel, &m.alarms[i].timer);
            m.running[i] = false;
            break;
        case 1:
            model_advance(&m, j, m.now_ns + random_delay(&r));
            break;
        case 2:
        case 3: /* as a driver does: to the very time that the wheel wishes */
            if (model_first(&m) >= 0 && timer_wheel_next(&j->wheel) > m.now_ns)
                model_advance(&m, j, timer_wheel_next(&j->wheel));
            break;
        case 4: /* in the past, or almost */
            model_start(&m, j, i, m.now_ns - prng_below(&r, 3 * TICK_NS));
            break;
        default:
            model_start(&m, j, i, m.now_ns + random_delay(&r));
        }
        assert_int_equal(timer_running(&m.alarms[i].timer), m.running[i]);
        check_next(&m, j);
    }
}

/* A driver that always sleeps until timer_wheel_next is less than a tick late, with few wake-ups.
 */
static void never_early_and_less_than_a_tick_late(void **state)
{
    (void)state;
    enum { STARTS = 10000 };
    static struct model m;
    struct prng r;
    int wakeups = 0, starts = 0;
    prng_seed(&r, 2);
    m = (struct model){.now_ns = 987654321};
    struct journal *j = journal_at(m.now_ns);
    for (int i = 0; i < ALARMS; i++)
        m.alarms[i] = (struct alarm){.timer.expired = note, .number = i};

    while (starts < STARTS || model_first(&m) >= 0) {
        for (int i = 0; i < ALARMS && starts < STARTS; i++) {
            if (!m.running[i]) {
                model_start(&m, j, i, m.now_ns + 1 + random_delay(&r));
                starts++;
            }
        }
        uint64_t next_ns = timer_wheel_next(&j->wheel);
        assert_true(next_ns > m.now_ns);
        model_advance(&m, j, next_ns);
        for (int k = 0; k < j->count; k++)
            assert_true(next_ns - m.deadline_ns[j->expired[k]] < TICK_NS);
        wakeups++;
    }
    /* Each timer takes one wake-up, and at most one more for each level that it comes down. */
    assert_in_range(wakeups, 1, 4 * STARTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expires_at_the_tick_boundary_not_before),
        cmocka_unit_test(past_deadline_expires_at_the_next_advance),
        cmocka_unit_test(never_stops_and_stopping_twice_is_harmless),
        cmocka_unit_test(restarting_moves_the_deadline_both_ways),
        cmocka_unit_test(time_never_goes_back),
        cmocka_unit_test(one_advance_expires_in_the_order_of_ticks_then_of_starts),
        cmocka_unit_test(restarted_in_the_past_waits_for_the_next_advance),
        cmocka_unit_test(stopped_by_a_callback_of_the_same_advance_does_not_expire),
        cmocka_unit_test(postponed_by_a_callback_of_the_same_advance_waits),
        cmocka_unit_test(a_callback_may_free_its_timer),
        cmocka_unit_test(deadlines_around_every_level_boundary),
        cmocka_unit_test(a_timer_costs_one_wakeup_however_far_it_is),
        cmocka_unit_test(deadline_at_the_end_of_time),
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(never_early_and_less_than_a_tick_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

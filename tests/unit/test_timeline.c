/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/prng.h"
#include "sim/timeline.h"
#include "strait.h"

#define EVENTS 100
#define STEPS  20000

static void make_room(struct timeline *t, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(timeline_make_room(t));
}

/* Takes the next event off, and says which of the array it is. */
static int next_of(struct timeline *t, const struct event *events)
{
    struct event *e = timeline_first(t);
    assert_non_null(e);
    timeline_move(t, e->at_ns);
    event_schedule(t, e, STRAIT_NEVER);
    return (int)(e - events);
}

static void events_of_one_time_happen_in_the_order_of_scheduling(void **state)
{
    (void)state;
    struct timeline t;
    struct event e[4] = {0};
    timeline_init(&t, 10, 0);
    make_room(&t, 4);
    event_schedule(&t, &e[3], 20);
    event_schedule(&t, &e[1], 20);
    event_schedule(&t, &e[2], 15);
    event_schedule(&t, &e[0], 20);
    assert_int_equal(next_of(&t, e), 2);
    assert_int_equal(next_of(&t, e), 3);
    assert_int_equal(next_of(&t, e), 1);
    assert_int_equal(next_of(&t, e), 0);
    assert_null(timeline_first(&t));
    timeline_finish(&t);
}

static void an_event_that_moves_goes_behind_and_one_that_stays_keeps_its_place(void **state)
{
    (void)state;
    struct timeline t;
    struct event e[3] = {0};
    timeline_init(&t, 10, 0);
    make_room(&t, 3);
    for (int i = 0; i < 3; i++)
        event_schedule(&t, &e[i], 20);
    event_schedule(&t, &e[0], 30);
    event_schedule(&t, &e[0], 20);
    event_schedule(&t, &e[1], 20);
    assert_int_equal(next_of(&t, e), 1);
    assert_int_equal(next_of(&t, e), 2);
    assert_int_equal(next_of(&t, e), 0);
    timeline_finish(&t);
}

static void a_time_that_is_past_means_now(void **state)
{
    (void)state;
    struct timeline t;
    struct event e = {0};
    timeline_init(&t, 10, 0);
    make_room(&t, 1);
    event_schedule(&t, &e, 3);
    assert_int_equal(timeline_first(&t)->at_ns, 10);
    timeline_finish(&t);
}

/* A naive model: of all that are scheduled, the smallest (time, serial) by looking at each. */
struct model {
    uint64_t at_ns[EVENTS], serial[EVENTS], last_serial;
};

static int model_next(const struct model *m)
{
    int best = -1;
    for (int i = 0; i < EVENTS; i++)
        if (m->at_ns[i] != STRAIT_NEVER &&
            (best < 0 || m->at_ns[i] < m->at_ns[best] ||
             (m->at_ns[i] == m->at_ns[best] && m->serial[i] < m->serial[best])))
            best = i;
    return best;
}

static void random_schedules_agree_with_a_naive_model(void **state)
{
    (void)state;
    struct timeline t;
    struct event e[EVENTS] = {0};
    struct model m = {.last_serial = 0};
    struct prng prng;
    prng_seed(&prng, 1);
    timeline_init(&t, 0, 0);
    make_room(&t, EVENTS);
    memset(m.at_ns, 0xff, sizeof(m.at_ns));
    for (int step = 0; step < STEPS; step++) {
        int i = (int)prng_below(&prng, EVENTS);
        uint64_t at_ns = t.now_ns + prng_below(&prng, 50);
        if (prng_below(&prng, 8) == 0)
            at_ns = STRAIT_NEVER;
        if (m.at_ns[i] != at_ns)
            m.serial[i] = ++m.last_serial;
        m.at_ns[i] = at_ns;
        event_schedule(&t, &e[i], at_ns);
        int next = model_next(&m);
        if (next >= 0 && prng_below(&prng, 2) == 0) {
            assert_int_equal(next_of(&t, e), next);
            assert_int_equal(t.now_ns, m.at_ns[next]);
            m.at_ns[next] = STRAIT_NEVER;
        }
    }
    timeline_finish(&t);
}

static void the_count_of_an_instant_ends_with_it(void **state)
{
    (void)state;
    struct timeline t;
    timeline_init(&t, 10, 0);
    timeline_count(&t);
    timeline_count(&t);
    timeline_move(&t, 10);
    assert_int_equal(t.instant, 2);
    timeline_move(&t, 11);
    assert_int_equal(t.instant, 0);
    assert_int_equal(t.happened, 2);
    timeline_finish(&t);
}

static void time_kind_index_and_word_of_a_note_all_count(void **state)
{
    (void)state;
    struct timeline t[5];
    for (int i = 0; i < 5; i++)
        timeline_init(&t[i], i == 4 ? 11 : 10, 0);
    timeline_note(&t[0], NOTE_SENT, 1, 1);
    timeline_note(&t[1], NOTE_LOST, 1, 1);
    timeline_note(&t[2], NOTE_SENT, 2, 1);
    timeline_note(&t[3], NOTE_SENT, 1, 2);
    timeline_note(&t[4], NOTE_SENT, 1, 1);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++)
            assert_int_not_equal(t[i].hash, t[j].hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_of_one_time_happen_in_the_order_of_scheduling),
        cmocka_unit_test(an_event_that_moves_goes_behind_and_one_that_stays_keeps_its_place),
        cmocka_unit_test(a_time_that_is_past_means_now),
        cmocka_unit_test(random_schedules_agree_with_a_naive_model),
        cmocka_unit_test(the_count_of_an_instant_ends_with_it),
        cmocka_unit_test(time_kind_index_and_word_of_a_note_all_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

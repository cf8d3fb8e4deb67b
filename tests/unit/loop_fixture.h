/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the loop share: a loop, a pipe to watch, and a note of each callback that ran.
 */
#ifndef TESTS_UNIT_LOOP_FIXTURE_H
#define TESTS_UNIT_LOOP_FIXTURE_H

#include <stdint.h>

#include "strait.h"

#define LOOP_MS UINT64_C(1000000) /* in nanoseconds */

struct loop_fixture {
    struct strait_loop *loop;
    struct strait_env *env;
    int pipe[2];
    char calls[64]; /* a letter for each callback that ran */
};

/* Makes the fixture; for cmocka_unit_test_setup_teardown. */
int loop_setup(void **state);
int loop_teardown(void **state);

/* Appends a letter to `calls`. */
void loop_note(struct loop_fixture *, char letter);

/* A turn that does not wait. */
void loop_turn_now(struct loop_fixture *);

/* The deadline that is so far from now. */
uint64_t loop_in_ms(struct loop_fixture *, uint64_t ms);

/* A timer that notes 't' when it expires, if `expired` is this function. */
struct loop_alarm {
    struct strait_timer timer;
    struct loop_fixture *fixture;
    uint64_t expired_ns;
    int again; /* how often it starts itself again */
};
void loop_alarm_expired(void *owner, struct strait_timer *);

/* A post to a fixture: notes 'a'. */
void loop_post_a(void *fixture);

/* A thread with a fixture: posts that after 10 ms. */
void *loop_post_from_thread(void *fixture);

#endif

/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pipe2 */
#include "loop_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/list.h"

int loop_setup(void **state)
{
    struct loop_fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->loop = strait_loop_new();
    assert_non_null(f->loop);
    f->env = strait_loop_env(f->loop);
    assert_int_equal(pipe2(f->pipe, O_NONBLOCK | O_CLOEXEC), 0);
    *state = f;
    return 0;
}

int loop_teardown(void **state)
{
    struct loop_fixture *f = *state;
    strait_loop_free(f->loop);
    close(f->pipe[0]);
    close(f->pipe[1]);
    free(f);
    return 0;
}

void loop_note(struct loop_fixture *f, char letter)
{
    size_t length = strlen(f->calls);
    assert_true(length + 1 < sizeof(f->calls));
    f->calls[length] = letter;
    f->calls[length + 1] = '\0'; /* a test may have cleared them by their first letter alone */
}

void loop_turn_now(struct loop_fixture *f)
{
    assert_int_equal(strait_loop_turn(f->loop, 0), 0);
}

uint64_t loop_in_ms(struct loop_fixture *f, uint64_t ms)
{
    return f->env->now(f->env) + ms * LOOP_MS;
}

void loop_alarm_expired(void *owner, struct strait_timer *timer)
{
    struct strait_env *env = owner;
    struct loop_alarm *alarm = container_of(timer, struct loop_alarm, timer);
    loop_note(alarm->fixture, 't');
    alarm->expired_ns = env->now(env);
    if (alarm->again-- > 0)
        env->timer_start(env, timer, alarm->expired_ns + LOOP_MS);
}

void loop_post_a(void *fixture)
{
    loop_note(fixture, 'a');
}

void *loop_post_from_thread(void *fixture)
{
    struct loop_fixture *f = fixture;
    usleep(10000);
    strait_post(f->env, loop_post_a, f);
    return NULL;
}

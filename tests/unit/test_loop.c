/* SPDX-License-Identifier: MIT */
/* What a loop waits for, and when it runs what: time, posts, work, descriptors, signals. */
#define _GNU_SOURCE /* pipe2 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/list.h"
#include "loop_fixture.h"

/* ---- Time ------------------------------------------------------------------------------------ */

static void a_turn_ends_at_its_deadline(void **state)
{
    struct loop_fixture *f = *state;
    uint64_t deadline_ns = loop_in_ms(f, 20);
    assert_int_equal(strait_loop_turn(f->loop, deadline_ns), 0);
    uint64_t now_ns = f->env->now(f->env);
    assert_true(now_ns >= deadline_ns);
    assert_true(now_ns < deadline_ns + 500 * LOOP_MS);
}

static void a_timer_ends_the_wait_and_expires_not_before_its_time(void **state)
{
    struct loop_fixture *f = *state;
    struct loop_alarm alarm = {.timer.expired = loop_alarm_expired, .fixture = f};
    uint64_t deadline_ns = loop_in_ms(f, 10);
    f->env->timer_start(f->env, &alarm.timer, deadline_ns);
    loop_turn_now(f);
    assert_string_equal(f->calls, "");
    while (!f->calls[0])
        assert_int_equal(strait_loop_turn(f->loop, loop_in_ms(f, 5000)), 0);
    assert_true(alarm.expired_ns >= deadline_ns);
    assert_true(alarm.expired_ns < deadline_ns + 500 * LOOP_MS);
}

static void a_stopped_timer_does_not_expire(void **state)
{
    struct loop_fixture *f = *state;
    struct loop_alarm alarm = {.timer.expired = loop_alarm_expired, .fixture = f};
    f->env->timer_start(f->env, &alarm.timer, loop_in_ms(f, 5));
    f->env->timer_stop(f->env, &alarm.timer);
    assert_int_equal(strait_loop_turn(f->loop, loop_in_ms(f, 20)), 0);
    assert_string_equal(f->calls, "");
}

static void a_timer_may_start_itself_again(void **state)
{
    struct loop_fixture *f = *state;
    struct loop_alarm alarm = {.timer.expired = loop_alarm_expired, .fixture = f, .again = 2};
    f->env->timer_start(f->env, &alarm.timer, 0);
    uint64_t deadline_ns = loop_in_ms(f, 5000);
    while (strlen(f->calls) < 3 && f->env->now(f->env) < deadline_ns)
        assert_int_equal(strait_loop_turn(f->loop, deadline_ns), 0);
    assert_string_equal(f->calls, "ttt");
}

/* ---- Posts and work -------------------------------------------------------------------------- */

static void post_b(void *argument)
{
    loop_note(argument, 'b');
}

static void post_again(void *argument)
{
    struct loop_fixture *f = argument;
    loop_note(f, 'p');
    strait_post(f->env, loop_post_a, f);
}

static void a_post_of_another_thread_ends_the_wait(void **state)
{
    struct loop_fixture *f = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, loop_post_from_thread, f), 0);
    assert_int_equal(strait_loop_turn(f->loop, loop_in_ms(f, 10000)), 0);
    assert_string_equal(f->calls, "a");
    pthread_join(thread, NULL);
}

static void posts_run_in_their_order(void **state)
{
    struct loop_fixture *f = *state;
    for (int i = 0; i < 20; i++)
        strait_post(f->env, i % 2 ? post_b : loop_post_a, f);
    loop_turn_now(f);
    assert_string_equal(f->calls, "abababababababababab");
    loop_turn_now(f);
    assert_int_equal(strlen(f->calls), 20);
}

static void a_post_of_a_post_waits_for_the_next_turn(void **state)
{
    struct loop_fixture *f = *state;
    strait_post(f->env, post_again, f);
    loop_turn_now(f);
    assert_string_equal(f->calls, "p");
    assert_int_equal(strait_loop_turn(f->loop, loop_in_ms(f, 10000)), 0);
    assert_string_equal(f->calls, "pa");
}

struct job {
    struct strait_work work;
    struct loop_fixture *fixture;
    pthread_t ran_on;
};

static void job_run(struct strait_work *work)
{
    usleep(5000);
    container_of(work, struct job, work)->ran_on = pthread_self();
}

static void job_done(struct strait_work *work)
{
    loop_note(container_of(work, struct job, work)->fixture, 'd');
}

static void finished_work_ends_the_wait(void **state)
{
    struct loop_fixture *f = *state;
    struct job job = {.work = {.run = job_run, .done = job_done}, .fixture = f};
    assert_int_equal(f->env->execute(f->env, &job.work), 0);
    assert_int_equal(strait_loop_turn(f->loop, loop_in_ms(f, 10000)), 0);
    assert_string_equal(f->calls, "d");
    assert_false(pthread_equal(job.ran_on, pthread_self()));
}

static void free_carries_out_accepted_work_and_posts(void **state)
{
    struct loop_fixture *f = *state;
    struct job jobs[10];
    for (int i = 0; i < 10; i++) {
        jobs[i] = (struct job){.work = {.run = job_run, .done = job_done}, .fixture = f};
        assert_int_equal(f->env->execute(f->env, &jobs[i].work), 0);
    }
    strait_post(f->env, loop_post_a, f);
    strait_loop_free(f->loop);
    assert_string_equal(f->calls, "dddddddddda");
    f->loop = strait_loop_new(); /* for teardown */
    assert_non_null(f->loop);
}

/* ---- Descriptors of the host ----------------------------------------------------------------- */

static void ready_r(void *argument, int fd, short revents)
{
    struct loop_fixture *f = argument;
    assert_int_equal(fd, f->pipe[0]);
    assert_int_equal(revents, POLLIN);
    loop_note(f, 'r');
}

static void ready_hangup(void *argument, int fd, short revents)
{
    (void)fd;
    assert_true(revents & POLLHUP);
    loop_note(argument, 'h');
}

/* Ends the watches of both ends, its own included. */
static void ready_end(void *argument, int fd, short revents)
{
    struct loop_fixture *f = argument;
    (void)fd;
    (void)revents;
    loop_note(f, 'e');
    assert_int_equal(f->env->watch(f->env, f->pipe[0], 0, NULL, NULL), 0);
    assert_int_equal(f->env->watch(f->env, f->pipe[1], 0, NULL, NULL), 0);
}

static void a_watch_is_called_for_as_long_as_its_event_holds(void **state)
{
    struct loop_fixture *f = *state;
    assert_int_equal(f->env->watch(f->env, f->pipe[0], POLLIN, ready_r, f), 0);
    loop_turn_now(f);
    assert_string_equal(f->calls, "");
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    loop_turn_now(f);
    loop_turn_now(f);
    assert_string_equal(f->calls, "rr");
    char byte;
    assert_int_equal(read(f->pipe[0], &byte, 1), 1);
    loop_turn_now(f);
    assert_string_equal(f->calls, "rr");
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    assert_int_equal(f->env->watch(f->env, f->pipe[0], 0, NULL, NULL), 0);
    loop_turn_now(f);
    assert_string_equal(f->calls, "rr");
}

static void a_hangup_is_told_unasked(void **state)
{
    struct loop_fixture *f = *state;
    assert_int_equal(f->env->watch(f->env, f->pipe[0], POLLIN, ready_hangup, f), 0);
    close(f->pipe[1]);
    f->pipe[1] = -1;
    loop_turn_now(f);
    assert_string_equal(f->calls, "h");
}

static void a_watch_that_a_callback_ended_is_not_called_in_the_same_turn(void **state)
{
    struct loop_fixture *f = *state;
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    assert_int_equal(f->env->watch(f->env, f->pipe[0], POLLIN, ready_end, f), 0);
    assert_int_equal(f->env->watch(f->env, f->pipe[1], POLLOUT, ready_end, f), 0);
    loop_turn_now(f);
    assert_string_equal(f->calls, "e");
    loop_turn_now(f);
    assert_string_equal(f->calls, "e");
}

static void a_new_descriptor_of_an_old_number_has_its_own_watch(void **state)
{
    struct loop_fixture *f = *state;
    assert_int_equal(f->env->watch(f->env, f->pipe[0], POLLIN, ready_hangup, f), 0);
    int number = f->pipe[0];
    close(f->pipe[0]);
    close(f->pipe[1]);
    assert_int_equal(pipe2(f->pipe, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(f->pipe[0], number);
    assert_int_equal(f->env->watch(f->env, f->pipe[0], POLLIN, ready_r, f), 0);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    loop_turn_now(f);
    assert_string_equal(f->calls, "r");
}

static void what_cannot_be_watched_is_refused(void **state)
{
    struct loop_fixture *f = *state;
    errno = 0;
    assert_int_equal(f->env->watch(f->env, -1, POLLIN, ready_r, f), -1);
    assert_int_equal(errno, EBADF);
    int closed = dup(0);
    close(closed);
    assert_int_equal(f->env->watch(f->env, closed, POLLIN, ready_r, f), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(f->env->watch(f->env, closed, 0, NULL, NULL), 0);
}

/* ---- Signals, stop, re-entrance -------------------------------------------------------------- */

static struct loop_fixture *signalled; /* a handler has no argument */

static void on_alarm_note(int number)
{
    (void)number;
    loop_note(signalled, 's');
}

static void on_alarm_stop(int number)
{
    (void)number;
    loop_note(signalled, 's');
    strait_loop_stop(signalled->loop);
}

/* Sends SIGALRM every `ms` until `ms` is 0. */
static void set_alarm(struct loop_fixture *f, void (*handler)(int), int ms)
{
    signalled = f;
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval every = {.it_interval.tv_usec = ms * 1000, .it_value.tv_usec = ms * 1000};
    setitimer(ITIMER_REAL, &every, NULL);
}

static void a_signal_ends_a_wait_with_eintr(void **state)
{
    struct loop_fixture *f = *state;
    set_alarm(f, on_alarm_note, 10);
    errno = 0;
    assert_int_equal(f->env->wait(f->env, loop_in_ms(f, 10000)), -1);
    assert_int_equal(errno, EINTR);
    set_alarm(f, SIG_DFL, 0);
}

static void expired_stop(void *owner, struct strait_timer *timer)
{
    (void)owner;
    strait_loop_stop(container_of(timer, struct loop_alarm, timer)->fixture->loop);
}

static void run_goes_on_after_a_signal(void **state)
{
    struct loop_fixture *f = *state;
    struct loop_alarm alarm = {.timer.expired = expired_stop, .fixture = f};
    uint64_t deadline_ns = loop_in_ms(f, 60);
    f->env->timer_start(f->env, &alarm.timer, deadline_ns);
    set_alarm(f, on_alarm_note, 20);
    assert_int_equal(strait_loop_run(f->loop), 0);
    set_alarm(f, SIG_DFL, 0);
    assert_true(f->env->now(f->env) >= deadline_ns);
    assert_int_equal(f->calls[0], 's');
}

static void run_is_stopped_by_a_signal_handler(void **state)
{
    struct loop_fixture *f = *state;
    set_alarm(f, on_alarm_stop, 10);
    assert_int_equal(strait_loop_run(f->loop), 0);
    set_alarm(f, SIG_DFL, 0);
    assert_int_equal(f->calls[0], 's');
}

static void post_stop(void *argument)
{
    strait_loop_stop(((struct loop_fixture *)argument)->loop);
}

static void a_stop_before_run_counts_once(void **state)
{
    struct loop_fixture *f = *state;
    strait_loop_stop(f->loop);
    assert_int_equal(strait_loop_run(f->loop), 0);
    strait_post(f->env, post_stop, f);
    strait_post(f->env, loop_post_a, f);
    assert_int_equal(strait_loop_run(f->loop), 0);
    assert_string_equal(f->calls, "a");
}

static void post_turn(void *argument)
{
    struct loop_fixture *f = argument;
    errno = 0;
    assert_int_equal(strait_loop_turn(f->loop, 0), -1);
    assert_int_equal(errno, EDEADLK);
    errno = 0;
    assert_int_equal(strait_loop_run(f->loop), -1);
    assert_int_equal(errno, EDEADLK);
    loop_note(f, 'n');
}

static void a_turn_inside_a_callback_is_edeadlk(void **state)
{
    struct loop_fixture *f = *state;
    strait_post(f->env, post_turn, f);
    loop_turn_now(f);
    assert_string_equal(f->calls, "n");
}

/* What was set for a timer that has been stopped ends one wait in vain, and no more. */
static void a_timer_that_was_stopped_does_not_keep_the_loop_awake(void **state)
{
    struct loop_fixture *f = *state;
    struct loop_alarm alarm = {.timer.expired = loop_alarm_expired, .fixture = f};
    pthread_t thread;
    f->env->timer_start(f->env, &alarm.timer, loop_in_ms(f, 30));
    assert_int_equal(pthread_create(&thread, NULL, loop_post_from_thread, f), 0);
    assert_int_equal(strait_loop_turn(f->loop, STRAIT_NEVER), 0);
    assert_string_equal(f->calls, "a");
    f->env->timer_stop(f->env, &alarm.timer);
    uint64_t deadline_ns = loop_in_ms(f, 80);
    int turns = 0;
    for (; f->env->now(f->env) < deadline_ns; turns++)
        assert_int_equal(strait_loop_turn(f->loop, deadline_ns), 0);
    assert_in_range(turns, 1, 3);
    assert_string_equal(f->calls, "a");
    pthread_join(thread, NULL);
}

/* ---- The descriptor of a loop inside another one --------------------------------------------- */

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

static void the_descriptor_is_readable_when_there_is_work(void **state)
{
    struct loop_fixture *f = *state;
    int fd = strait_loop_descriptor(f->loop);
    assert_true(fd >= 0);
    assert_int_equal(strait_loop_descriptor(f->loop), fd);
    assert_false(readable(fd, 0));

    strait_post(f->env, loop_post_a, f);
    assert_true(readable(fd, 0));
    loop_turn_now(f);
    assert_string_equal(f->calls, "a");
    assert_false(readable(fd, 0));

    assert_int_equal(f->env->watch(f->env, f->pipe[0], POLLIN, ready_r, f), 0);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    assert_true(readable(fd, 0));
}

static void the_descriptor_is_readable_when_a_timer_is_due(void **state)
{
    struct loop_fixture *f = *state;
    struct loop_alarm alarm = {.timer.expired = loop_alarm_expired, .fixture = f, .again = 1};
    int fd = strait_loop_descriptor(f->loop);
    f->env->timer_start(f->env, &alarm.timer, loop_in_ms(f, 20));
    loop_turn_now(f);
    assert_false(readable(fd, 0));
    for (int i = 0; i < 100 && strlen(f->calls) < 2; i++) {
        assert_true(readable(fd, 10000));
        loop_turn_now(f);
    }
    assert_string_equal(f->calls, "tt");
    assert_false(readable(fd, 0));
}

static void a_timer_started_before_the_descriptor_was_asked_for_is_told_too(void **state)
{
    struct loop_fixture *f = *state;
    struct loop_alarm alarm = {.timer.expired = loop_alarm_expired, .fixture = f};
    f->env->timer_start(f->env, &alarm.timer, loop_in_ms(f, 5));
    assert_true(readable(strait_loop_descriptor(f->loop), 10000));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_turn_ends_at_its_deadline),
        TEST(a_timer_ends_the_wait_and_expires_not_before_its_time),
        TEST(a_stopped_timer_does_not_expire),
        TEST(a_timer_may_start_itself_again),
        TEST(a_post_of_another_thread_ends_the_wait),
        TEST(posts_run_in_their_order),
        TEST(a_post_of_a_post_waits_for_the_next_turn),
        TEST(finished_work_ends_the_wait),
        TEST(free_carries_out_accepted_work_and_posts),
        TEST(a_watch_is_called_for_as_long_as_its_event_holds),
        TEST(a_hangup_is_told_unasked),
        TEST(a_watch_that_a_callback_ended_is_not_called_in_the_same_turn),
        TEST(a_new_descriptor_of_an_old_number_has_its_own_watch),
        TEST(what_cannot_be_watched_is_refused),
        TEST(a_signal_ends_a_wait_with_eintr),
        TEST(run_goes_on_after_a_signal),
        TEST(run_is_stopped_by_a_signal_handler),
        TEST(a_stop_before_run_counts_once),
        TEST(a_turn_inside_a_callback_is_edeadlk),
        TEST(a_timer_that_was_stopped_does_not_keep_the_loop_awake),
        TEST(the_descriptor_is_readable_when_there_is_work),
        TEST(the_descriptor_is_readable_when_a_timer_is_due),
        TEST(a_timer_started_before_the_descriptor_was_asked_for_is_told_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>

#include "base/list.h"
#include "host/executor.h"

struct fixture {
    struct executor executor;
    sem_t woken; /* posted by the executor's wake */
    sem_t gate;  /* held work waits here */
    sem_t entered;
    pthread_t driver;
    unsigned done;
    int order[8];
};

struct job {
    struct strait_work work;
    struct fixture *fixture;
    int number;
    pthread_t ran_on;
    bool signals_blocked;
    unsigned again; /* how often `done` submits it once more */
};

static void wake(void *argument)
{
    sem_post(&((struct fixture *)argument)->woken);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    sem_init(&f->woken, 0, 0);
    sem_init(&f->gate, 0, 0);
    sem_init(&f->entered, 0, 0);
    f->driver = pthread_self();
    executor_init(&f->executor, wake, f);
    *state = f;
    return 0;
}

/* Each test ends with executor_finish, after which the executor is no more. */
static int release(void **state)
{
    struct fixture *f = *state;
    sem_destroy(&f->woken);
    sem_destroy(&f->gate);
    sem_destroy(&f->entered);
    free(f);
    return 0;
}

static void job_run(struct strait_work *work)
{
    struct job *job = container_of(work, struct job, work);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    job->signals_blocked = sigismember(&blocked, SIGTERM) == 1;
    job->ran_on = pthread_self();
}

static void job_hold(struct strait_work *work)
{
    struct job *job = container_of(work, struct job, work);
    sem_post(&job->fixture->entered);
    sem_wait(&job->fixture->gate);
}

static void job_done(struct strait_work *work)
{
    struct job *job = container_of(work, struct job, work);
    struct fixture *f = job->fixture;
    assert_true(pthread_equal(pthread_self(), f->driver));
    if (f->done < 8)
        f->order[f->done] = job->number;
    f->done++;
    if (job->again == 0)
        return;
    job->again--;
    assert_int_equal(executor_submit(&f->executor, work), 0);
}

static struct job job_of(struct fixture *f, void (*run)(struct strait_work *))
{
    return (struct job){.work = {.run = run, .done = job_done}, .fixture = f};
}

static void work_runs_on_another_thread_and_is_done_on_the_driving_one(void **state)
{
    struct fixture *f = *state;
    struct job job = job_of(f, job_run);
    assert_int_equal(executor_submit(&f->executor, &job.work), 0);
    sem_wait(&f->woken);
    assert_int_equal(f->done, 0);
    executor_complete(&f->executor);
    assert_int_equal(f->done, 1);
    assert_false(pthread_equal(job.ran_on, f->driver));
    executor_complete(&f->executor);
    assert_int_equal(f->done, 1);
    executor_finish(&f->executor);
}

static void signals_are_left_to_the_driving_thread(void **state)
{
    struct fixture *f = *state;
    struct job job = job_of(f, job_run);
    assert_int_equal(executor_submit(&f->executor, &job.work), 0);
    executor_finish(&f->executor);
    assert_true(job.signals_blocked);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_int_equal(sigismember(&blocked, SIGTERM), 0);
}

static void no_thread_is_started_before_the_first_work(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->executor.thread_count, 0);
    executor_finish(&f->executor);
}

static void an_idle_thread_is_used_again(void **state)
{
    struct fixture *f = *state;
    struct job job = job_of(f, job_run);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(executor_submit(&f->executor, &job.work), 0);
        sem_wait(&f->woken);
        executor_complete(&f->executor);
        /* The thread that has woken us may not have gone back to wait yet. */
        for (bool idle = false; !idle;) {
            pthread_mutex_lock(&f->executor.lock);
            idle = f->executor.idle > 0;
            pthread_mutex_unlock(&f->executor.lock);
        }
    }
    assert_int_equal(f->executor.thread_count, 1);
    assert_int_equal(f->done, 100);
    executor_finish(&f->executor);
}

/* With all threads held, the queue alone decides how much more is taken. */
static void a_full_queue_is_eagain_and_takes_work_again_when_there_is_room(void **state)
{
    struct fixture *f = *state;
    enum { ALL = EXECUTOR_THREADS_MAX + EXECUTOR_QUEUE_MAX };
    struct job *jobs = calloc(ALL + 1, sizeof(*jobs));
    assert_non_null(jobs);
    for (int i = 0; i <= ALL; i++)
        jobs[i] = job_of(f, i < EXECUTOR_THREADS_MAX ? job_hold : job_run);

    for (int i = 0; i < EXECUTOR_THREADS_MAX; i++) {
        assert_int_equal(executor_submit(&f->executor, &jobs[i].work), 0);
        sem_wait(&f->entered);
    }
    for (int i = EXECUTOR_THREADS_MAX; i < ALL; i++)
        assert_int_equal(executor_submit(&f->executor, &jobs[i].work), 0);
    errno = 0;
    assert_int_equal(executor_submit(&f->executor, &jobs[ALL].work), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(f->executor.thread_count, EXECUTOR_THREADS_MAX);

    for (int i = 0; i < EXECUTOR_THREADS_MAX; i++)
        sem_post(&f->gate);
    while (f->done < ALL) {
        sem_wait(&f->woken);
        executor_complete(&f->executor);
    }
    assert_int_equal(executor_submit(&f->executor, &jobs[ALL].work), 0);
    executor_finish(&f->executor);
    assert_int_equal(f->done, ALL + 1);
    free(jobs);
}

static void work_is_done_in_the_order_in_which_it_finished(void **state)
{
    struct fixture *f = *state;
    struct job held = job_of(f, job_hold), quick = job_of(f, job_run);
    held.number = 1;
    quick.number = 2;
    assert_int_equal(executor_submit(&f->executor, &held.work), 0);
    sem_wait(&f->entered);
    assert_int_equal(executor_submit(&f->executor, &quick.work), 0);
    sem_wait(&f->woken);
    sem_post(&f->gate);
    executor_finish(&f->executor);
    assert_int_equal(f->done, 2);
    assert_int_equal(f->order[0], 2);
    assert_int_equal(f->order[1], 1);
}

static void finish_runs_all_accepted_work_and_what_its_done_submits(void **state)
{
    struct fixture *f = *state;
    struct job jobs[50];
    for (int i = 0; i < 50; i++) {
        jobs[i] = job_of(f, job_run);
        jobs[i].again = 3;
        assert_int_equal(executor_submit(&f->executor, &jobs[i].work), 0);
    }
    executor_finish(&f->executor);
    assert_int_equal(f->done, 50 * 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, release)
    const struct CMUnitTest tests[] = {
        TEST(work_runs_on_another_thread_and_is_done_on_the_driving_one),
        TEST(signals_are_left_to_the_driving_thread),
        TEST(no_thread_is_started_before_the_first_work),
        TEST(an_idle_thread_is_used_again),
        TEST(a_full_queue_is_eagain_and_takes_work_again_when_there_is_room),
        TEST(work_is_done_in_the_order_in_which_it_finished),
        TEST(finish_runs_all_accepted_work_and_what_its_done_submits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

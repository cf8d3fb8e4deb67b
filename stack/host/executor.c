/* SPDX-License-Identifier: MIT */
#include "host/executor.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>

#include "base/check.h"

static void queue_init(struct work_queue *q)
{
    q->first = NULL;
    q->end = &q->first;
}

static void queue_put(struct work_queue *q, struct strait_work *work)
{
    work->next = NULL;
    *q->end = work;
    q->end = &work->next;
}

static struct strait_work *queue_take(struct work_queue *q)
{
    struct strait_work *work = q->first;
    q->first = work->next;
    if (!q->first)
        q->end = &q->first;
    return work;
}

void executor_init(struct executor *e, void (*wake)(void *argument), void *argument)
{
    *e = (struct executor){.wake = wake, .argument = argument};
    CHECK(pthread_mutex_init(&e->lock, NULL) == 0);
    CHECK(pthread_cond_init(&e->queued_some, NULL) == 0);
    CHECK(pthread_cond_init(&e->finished_some, NULL) == 0);
    queue_init(&e->queued);
    queue_init(&e->finished);
}

/* Runs the oldest queued work; called, and returns, with the lock held. Nobody is woken with it,
 * who would only wait for it. */
static void run_next(struct executor *e)
{
    struct strait_work *work = queue_take(&e->queued);
    e->queued_count--;
    pthread_mutex_unlock(&e->lock);
    work->run(work);
    pthread_mutex_lock(&e->lock);
    bool first = !e->finished.first;
    queue_put(&e->finished, work);
    if (!first)
        return;
    pthread_mutex_unlock(&e->lock);
    pthread_cond_signal(&e->finished_some);
    e->wake(e->argument);
    pthread_mutex_lock(&e->lock);
}

static void *thread_main(void *argument)
{
    struct executor *e = argument;
    pthread_mutex_lock(&e->lock);
    while (e->queued.first || !e->ending) {
        if (e->queued.first) {
            run_next(e);
            continue;
        }
        e->idle++;
        pthread_cond_wait(&e->queued_some, &e->lock);
        e->idle--;
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* Adds a thread to the pool; returns whether it could. */
static bool start_thread(struct executor *e)
{
    /* Signals belong to the driving thread: there they end its wait. */
    sigset_t all, before;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int error = pthread_create(&e->threads[e->thread_count], NULL, thread_main, e);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (error)
        return false;
    e->thread_count++;
    return true;
}

int executor_submit(struct executor *e, struct strait_work *work)
{
    pthread_mutex_lock(&e->lock);
    bool full = e->queued_count == EXECUTOR_QUEUE_MAX;
    bool busy = e->queued_count >= e->idle;
    pthread_mutex_unlock(&e->lock);

    /* A thread that cannot be had matters only if there is none. */
    if (busy && !full && e->thread_count < EXECUTOR_THREADS_MAX)
        start_thread(e);
    if (full || e->thread_count == 0) {
        errno = EAGAIN;
        return -1;
    }

    e->pending++;
    pthread_mutex_lock(&e->lock);
    queue_put(&e->queued, work);
    e->queued_count++;
    pthread_mutex_unlock(&e->lock);
    pthread_cond_signal(&e->queued_some);
    return 0;
}

void executor_complete(struct executor *e)
{
    pthread_mutex_lock(&e->lock);
    struct strait_work *work = e->finished.first;
    queue_init(&e->finished);
    pthread_mutex_unlock(&e->lock);

    while (work) {
        struct strait_work *next = work->next; /* `done` may free the work */
        e->pending--;
        work->done(work);
        work = next;
    }
}

void executor_finish(struct executor *e)
{
    while (e->pending > 0) {
        pthread_mutex_lock(&e->lock);
        while (!e->finished.first)
            pthread_cond_wait(&e->finished_some, &e->lock);
        pthread_mutex_unlock(&e->lock);
        executor_complete(e);
    }

    pthread_mutex_lock(&e->lock);
    e->ending = true;
    pthread_cond_broadcast(&e->queued_some);
    pthread_mutex_unlock(&e->lock);
    for (unsigned i = 0; i < e->thread_count; i++)
        CHECK(pthread_join(e->threads[i], NULL) == 0);

    pthread_cond_destroy(&e->finished_some);
    pthread_cond_destroy(&e->queued_some);
    pthread_mutex_destroy(&e->lock);
}

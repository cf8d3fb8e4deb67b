/* SPDX-License-Identifier: MIT */
/*
 * A small thread pool for work that may block. Threads start with the first work that finds none
 * idle, at most EXECUTOR_THREADS_MAX of them, with all signals blocked. Accepted work is always
 * run, on a thread of the pool, and its `done` always called, on the driving thread: the one that
 * makes all the calls below.
 */
#ifndef HOST_EXECUTOR_H
#define HOST_EXECUTOR_H

#include <pthread.h>
#include <stdbool.h>

#include "strait.h"

#define EXECUTOR_THREADS_MAX 4
#define EXECUTOR_QUEUE_MAX   1024 /* work that no thread has taken yet */

/* First in, first out. */
struct work_queue {
    struct strait_work *first, **end;
};

struct executor {
    pthread_mutex_t lock; /* guards the fields down to `ending` */
    pthread_cond_t queued_some, finished_some;
    struct work_queue queued, finished;
    unsigned queued_count;
    unsigned idle; /* threads that wait for work, those about to wake included */
    bool ending;

    /* Of the driving thread alone. */
    unsigned pending; /* accepted, `done` not called yet */
    unsigned thread_count;
    pthread_t threads[EXECUTOR_THREADS_MAX];
    void (*wake)(void *argument);
    void *argument;
};

/*
 * Starts without threads. `wake(argument)` is called, on a thread of the pool, when finished work
 * begins to wait for executor_complete.
 */
void executor_init(struct executor *, void (*wake)(void *argument), void *argument);

/* Takes the work. Returns 0, or -1 with EAGAIN when the queue is full or no thread can be had. */
int executor_submit(struct executor *, struct strait_work *);

/* Calls `done` for all work that has finished, in the order in which it finished. */
void executor_complete(struct executor *);

/*
 * Lets all accepted work finish, calls its `done`, and joins the threads. Work that a `done`
 * submits meanwhile is run as well.
 */
void executor_finish(struct executor *);

#endif
